"""Where the time of a job goes, by Python's and torch's own profilers: a flame chart and a list of functions."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

FUNCTIONS = 40  # that are listed


@contextmanager
def profiled(chart: Path) -> Iterator[list[dict[str, Any]]]:
    """Watch this thread inside the `with`, and write a Chrome trace of its stages and torch's operators to `chart`.

    Yields:
        A list, filled when the `with` ends: the functions that took longest, `function`, `calls`, `own_seconds`, what
        they call in C included, and `seconds` with all that they call.
    """
    functions: list[dict[str, Any]] = []
    activities = torch.profiler.supported_activities() - {torch.profiler.ProfilerActivity.XPU}
    counted = cProfile.Profile(builtins=False)
    with torch.profiler.profile(activities=activities) as traced:
        counted.enable()
        try:
            yield functions
        finally:
            counted.disable()
    traced.export_chrome_trace(str(chart))
    stats: dict[Any, Any] = pstats.Stats(counted).stats  # type: ignore[attr-defined]
    longest = sorted(stats.items(), key=lambda entry: -entry[1][2])[:FUNCTIONS]
    for (file, line, name), (_, calls, own, total, _) in longest:
        place = f"{_shorten(file)}:{line} {name}"
        functions.append({"function": place, "calls": calls, "own_seconds": own, "seconds": total})


def _shorten(file: str) -> str:
    """Name a file from its package on."""
    path, own = Path(file), Path(__file__).parents[2]
    if path.is_relative_to(own):
        return str(path.relative_to(own))
    return file.rpartition("site-packages/")[2] if "site-packages/" in file else path.name
