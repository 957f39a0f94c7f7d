"""From trained networks to the methods that are judged: found in folders, put together, one folder a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voin.baselines.trained.inpainter import BaselineInpainter
from voin.baselines.trained.models import load_baseline
from voin.benchmark.paper.rows import Network, Row
from voin.core.errors import ValueRefusal
from voin.core.files import write_whole
from voin.core.system import choose_device
from voin.method.flow.smooth import SmoothFlow
from voin.method.load import load, load_stage
from voin.method.motion import DIS
from voin.method.pipeline import Inpainter, PipelineConfig
from voin.weights.checkpoint import RECORD, TENSORS, read_record
from voin.weights.hub import find_model, networks_of

MODELS = "models"  # in the output folder: a folder a row and seed, as `voin complete --model` takes it


@dataclass(frozen=True)
class Made:
    """The networks of a row, in one folder.

    Attributes:
        folder: of all of them.
        minutes: of training, all together, as their files say.
        sums: kind of network to the sum of its file.
    """

    folder: Path
    minutes: float
    sums: dict[str, str]


def seeded(name: str, seed: int) -> str:
    """Return the name of a run or a row with a seed: "sttn", and with another seed "sttn.1"."""
    return name if seed == 0 else f"{name}.{seed}"


def find_trained(models: Path, network: Network, seed: int) -> Path | None:
    """Find a network that was trained before, in DIR/NAME/best or in DIR/NAME; None if it is not there."""
    folder = models / seeded(network.name, seed)
    return next((place for place in (folder / "best", folder) if place.is_dir() and networks_of(place)), None)


def put_together(row: Row, parts: list[Path], folder: Path) -> Made:
    """Copy the networks of a row into one folder, and return what they are; what is the same there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {kind: path for part in parts for kind, path in networks_of(part).items()}
    for path in found.values():
        for suffix in (TENSORS, RECORD):
            source, target = path.with_suffix(suffix), (folder / path.name).with_suffix(suffix)
            data = source.read_bytes()
            if not target.is_file() or target.read_bytes() != data:
                write_whole(target, data)
    for kind, path in networks_of(folder).items():
        if kind not in found:  # of an earlier version of the row
            path.with_suffix(RECORD).unlink()
    return describe(row, folder)


def describe(row: Row, folder: Path) -> Made:
    """Read what the files of a row's networks say of themselves."""
    records = {kind: read_record(path) for kind, path in networks_of(folder).items()}
    if not records:
        raise ValueRefusal(f"{folder} has no network", f"the row {row.name} needs one", "train it again")
    minutes = sum(record.about.recipe.minutes for record in records.values())
    return Made(folder, minutes, {kind: record.sha256[:12] for kind, record in records.items()})


def shipped(row: Row) -> Made:
    """Return the model that a row names."""
    return describe(row, find_model(row.model))


def load_row(row: Row, made: Made, preset: str, device: str) -> Inpainter:
    """Make what is judged of a row's networks."""
    # A model that ships has its own views, whatever the preset of what is trained beside it.
    method = METHODS[row.method](made.folder, "small" if row.model else preset, device)
    # Scores depend on the networks, not on the place where their folder lies.
    method.model = row.name
    return method


def _baseline(name: str) -> Callable[[Path, str, str], Inpainter]:
    return lambda folder, preset, device: load_baseline(name, (folder,), preset=preset, device=device)


def _ours(*classical: str) -> Callable[[Path, str, str], Inpainter]:
    return lambda folder, preset, device: load("voin", model=folder, classical=classical, preset=preset, device=device)


def _shape(folder: Path, preset: str, device: str) -> Inpainter:
    """Complete shapes alone: pixels would take most of the time, and nobody looks at them."""
    place = choose_device(device)
    shape: Any = load_stage(networks_of(folder)["shape"], SmoothFlow(), preset, place)
    told = "shape", str(folder), {"shape": shape.sha256}
    return BaselineInpainter(None, shape, DIS(finest=2), PipelineConfig(), place, *told)


# Where the whole mask is given, none has to be completed.
METHODS: dict[str, Callable[[Path, str, str], Inpainter]] = {
    **{name: _baseline(name) for name in ("dfvi", "lgtsm", "fgvc", "sttn", "pcnet")},
    "voin": _ours("shape"),
    "whole": _ours(),
    "fill": _ours("shape", "flow"),
    "flow": _ours("shape", "fill"),
    "shape": _shape,
}
