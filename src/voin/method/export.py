"""Write the networks of a model for other runtimes: their layers as ONNX files, checked against torch."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voin.core.errors import FileRefusal
from voin.core.files import check_output
from voin.method.fill.generator import Generator
from voin.method.flow.network import FlowNetwork
from voin.method.load import NETWORKS, USES
from voin.method.shape.evidence import CHANNELS
from voin.method.shape.network import ShapeNetwork
from voin.weights.checkpoint import RECORD, load_checkpoint, read_record, read_use
from voin.weights.hub import find_model, networks_of
from voin.weights.runtime import ONNX, OnnxLayers, export_layers, largest_difference

BOUND = 1e-3  # largest difference between the runtimes, over the largest value
SIDE = 64  # of what is traced where a network takes any size
FRAMES, OTHERS = 12, 17  # in a clip that is traced, and in one that is compared


def export_model(model: str | Path, out: Path) -> Iterator[dict[str, Any]]:
    """Write a model into the folder `out`, with the ONNX files of its networks for shape, flow and fill.

    The folder is a model like any other, for torch as well.

    Yields:
        For each network when it is done: `kind`, `file`, `bytes`, and `difference`, the largest between ONNX Runtime
        and torch on a clip of noise of another length, over the largest value.

    Raises:
        ImportError: onnx or onnxruntime is missing.
        OSError: the model cannot be read, the folder not be written, or the results differ by more than `BOUND`.
    """
    folder = find_model(model)
    found = {kind: path for kind, path in networks_of(folder).items() if kind in NETWORKS}
    if not found:
        raise FileRefusal(
            f"{folder} has no network for {', '.join(NETWORKS)}", "it must have one of them", "choose another model"
        )
    check_output(out)
    copied = [file for path in found.values() for file in (path, path.with_suffix(RECORD))]
    for file in copied:
        if (out / file.name).exists() and (out / file.name).read_bytes() != file.read_bytes():
            raise FileRefusal(f"{out} holds another model", "the output must be new, or this model's", "choose another")
    out.mkdir(parents=True, exist_ok=True)
    for file in copied:
        if not (out / file.name).exists():
            shutil.copyfile(file, out / file.name)
    for kind, path in found.items():
        network: Any = load_checkpoint(path, {kind: NETWORKS[kind]}).eval()  # pyright: ignore[reportArgumentType]
        if not hasattr(network, "compute") or getattr(network, "references", None) is not None:
            raise FileRefusal(
                f"{path} has a network with references, or of the paper's base",
                "only networks of one seam can be written",
                "export a model without these, or leave this network out of the folder",
            )
        side, target, sha256 = read_use(path, USES[kind]).size or SIDE, out / f"{kind}{ONNX}", read_record(path).sha256
        given, axes = sample_input(network, FRAMES, side)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tracer, about lengths that are fixed on purpose
            export_layers(network, given, target, sha256, axes, results=2 if kind == "generator" else 1)
        # A network whose sides are free gets others, too.
        other, _ = sample_input(network, OTHERS, side if isinstance(network, ShapeNetwork) else side // 2 + 16)
        with torch.no_grad():
            expected = network.compute(*other)
        difference = largest_difference(OnnxLayers(target, sha256, network.compute)(*other), expected)
        if not difference <= BOUND:
            target.unlink()
            raise FileRefusal(
                f"{target} gives results that differ by {difference:.2g} from torch's",
                f"they must not differ by more than {BOUND:g}",
                "use another version of onnxruntime or torch",
            )
        yield {"kind": kind, "file": str(target), "bytes": target.stat().st_size, "difference": difference}


def sample_input(network: Any, frames: int, side: int) -> tuple[list[Tensor], dict[int, dict[int, str]]]:
    """Make noise that the layers of a network take, a clip of squares, and say which axes may have any length."""
    random = torch.Generator().manual_seed(0)

    def noise(channels: int, size: int) -> Tensor:
        return torch.rand(1, frames, channels, size, size, generator=random)

    sides = {1: "t", 3: "h", 4: "w"}
    if isinstance(network, ShapeNetwork):
        given = [noise(3, side), noise(1, side), torch.zeros(1, dtype=torch.long)]
        if network.config.evidence:
            given.append(noise(len(CHANNELS), side // 2))
        # Its cells know where they are, so that the size is fixed.
        return given, {i: {1: "t"} for i in (0, 1, 3) if i < len(given)}
    if isinstance(network, FlowNetwork):
        channels = network.stem.in_channels // network.config.cell**2
        return [noise(channels, -(-side // network.config.step) * network.config.step)], {0: sides}
    assert isinstance(network, Generator)
    side = -(-side // network.config.factor) * network.config.factor
    told = [] if network.category is None else [torch.zeros(1, dtype=torch.long)]
    masks = [noise(2, side >> i) for i in range(len(network.config.channels))]
    given = [noise(network.stem.content.in_channels, side), *told, *masks]
    axes = {i: {1: "t", 3: f"h{i}", 4: f"w{i}"} for i, x in enumerate(given) if x.ndim == 5}
    return given, axes
