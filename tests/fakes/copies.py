"""Programs in copies of one process that has loaded what they need: a new interpreter takes seconds for that.

The process is begun when the first copy is asked for, and computes nothing itself: a copy of one that has computed
gradients, or used threads, could not do so. The tests' own process would be another thing, too: there the library
is checked at each call.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

COPIES = multiprocessing.get_context("forkserver")
COPIES.set_forkserver_preload(
    [
        *("pytest", "torch", "cv2", "av", "lightning.fabric", "torch.utils.tensorboard"),
        *("voin.cli.app", "voin.jobs.complete", "voin.jobs.mask", "voin.jobs.speed", "voin.training.train"),
        *("voin.data.build", "voin.data.packs.pack", "voin.benchmark.evaluate", "voin.method.load"),
    ]
)


def run_copy(
    program: Sequence[str] | str, folder: Path, environment: Mapping[str, str] | None = None, seconds: float = 600
) -> subprocess.CompletedProcess[str]:
    """Run a command of voin, given as words, or lines of Python, as `subprocess.run` would in a new interpreter.

    It is killed after `seconds`; `environment` is what is changed.
    """
    with TemporaryDirectory() as place:
        said = [Path(place) / name for name in ("output", "errors")]
        process = COPIES.Process(target=_run, args=(program, folder, dict(environment or {}), said))
        process.start()
        process.join(seconds)
        process.kill()
        process.join()
        texts = [path.read_text(errors="replace") if path.exists() else "" for path in said]
    assert process.exitcode is not None
    return subprocess.CompletedProcess(program, process.exitcode, *texts)


def _run(program: Sequence[str] | str, folder: Path, environment: Mapping[str, str], said: Sequence[Path]) -> None:
    os.environ.update(environment)
    os.chdir(folder)
    for number, path in enumerate(said, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    if isinstance(program, str):
        exec(compile(program, "the program", "exec"), {"__name__": "__main__"})
        return
    from voin.cli import main

    sys.argv = [*program]
    main()
