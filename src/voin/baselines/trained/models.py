"""The trained baselines by name: what networks each has, and how they are read from folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from voin.baselines.trained import deepfill, dfvi, edges, lgtsm, pcnet, pcnet_c, pcnet_m, sttn
from voin.baselines.trained.deepfill import Deepfill, DeepfillConfig
from voin.baselines.trained.dfvi import Dfvi, DfviConfig, DfviPainting
from voin.baselines.trained.edges import EdgeGenerator, EdgesConfig
from voin.baselines.trained.fgvc import FgvcPainting
from voin.baselines.trained.inpainter import BaselineInpainter, Painting
from voin.baselines.trained.lgtsm import Lgtsm, LgtsmConfig, LgtsmPainting
from voin.baselines.trained.pcnet import Pcnet, PcnetConfig, PcnetShape
from voin.baselines.trained.pcnet_c import PcnetC, PcnetCConfig, PcnetCPainting
from voin.baselines.trained.pcnet_m import PcnetM, PcnetMConfig, PcnetMShape
from voin.baselines.trained.sttn import Sttn, SttnConfig, SttnPainting
from voin.core.config import Checked, setting
from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.system import choose_device, has_bfloat16
from voin.method.flow.smooth import SmoothFlow
from voin.method.load import PAPER_SIZE, PRESETS, SMALL, load_stage, set_certainty
from voin.method.motion import DIS, Motion, load_motion
from voin.method.pipeline import PipelineConfig
from voin.method.shape.voting import VotedShape
from voin.method.stages import Shape
from voin.method.window import WindowConfig
from voin.weights.checkpoint import TENSORS, Build, either, load_checkpoint, read_record, read_use
from voin.weights.hub import find_model, list_models, networks_of

NETWORKS: Build = {
    "sttn": (SttnConfig, Sttn),
    "lgtsm": (LgtsmConfig, Lgtsm),
    "deepfill": (DeepfillConfig, Deepfill),
    "dfvi": (DfviConfig, Dfvi),
    "edges": (EdgesConfig, EdgeGenerator),
    "pcnet": (PcnetConfig, Pcnet),
    "pcnet-m": (PcnetMConfig, PcnetM),
    "pcnet-c": (PcnetCConfig, PcnetC),
}


@dataclass(frozen=True)
class BaselinesConfig(Checked):
    """The numbers of all of them, by kind."""

    sttn: SttnConfig = setting(factory=SttnConfig, help="STTN.")
    lgtsm: LgtsmConfig = setting(factory=LgtsmConfig, help="LGTSM.")
    deepfill: DeepfillConfig = setting(factory=DeepfillConfig, help="The image network of DFVI and FGVC.")
    dfvi: DfviConfig = setting(factory=DfviConfig, help="Flow completion of DFVI.")
    edges: EdgesConfig = setting(factory=EdgesConfig, help="The edge network of FGVC.")
    pcnet: PcnetConfig = setting(factory=PcnetConfig, help="PCNet's U-Net.")
    pcnet_m: PcnetMConfig = setting(factory=PcnetMConfig, help="PCNet-M.")
    pcnet_c: PcnetCConfig = setting(factory=PcnetCConfig, help="PCNet-C.")

    def of(self, kind: str) -> Any:
        """Return the numbers of a kind."""
        return getattr(self, kind.replace("-", "_"))


PAPER = BaselinesConfig(
    sttn=sttn.PAPER,
    lgtsm=lgtsm.PAPER,
    deepfill=deepfill.PAPER,
    dfvi=dfvi.PAPER,
    edges=edges.PAPER,
    pcnet=pcnet.PAPER,
    pcnet_m=pcnet_m.PAPER,
    pcnet_c=pcnet_c.PAPER,
)


@dataclass(frozen=True)
class BaselineUse(Checked):
    """How a baseline's network is to be used; stands in its JSON file."""

    size: int | None = setting(None, "Side of the picture that the network looks at, where frames are larger.", least=1)


@dataclass(frozen=True)
class Trained:
    """A network of a model folder.

    Attributes:
        network: ready for use.
        size: as `BaselineUse`.
        half: whether it computes in bfloat16.
        sha256: of its file, the beginning.
        classes: names of the categories that it knows.
    """

    network: Any
    size: int | None
    half: bool
    sha256: str
    classes: tuple[str, ...]


Found = dict[str, Trained]


@dataclass(frozen=True)
class Row:
    """A baseline: the kinds of its networks, and what makes it of them and of an estimator of motion.

    Attributes:
        kinds: of its networks.
        painting: makes what gives pixels; None where shapes alone are completed.
        shape: makes what completes shapes; None takes the same network for all.
        flow: it completes flow, too.
    """

    kinds: tuple[str, ...]
    painting: Callable[[Found, Motion], Painting] | None
    shape: Callable[[Found], Shape] | None = None
    flow: bool = False

    @property
    def content(self) -> bool:
        """Whether it gives pixels."""
        return self.painting is not None


def _alone(kind: type[Any]) -> Row:
    """Make the row of a baseline that is one network."""

    def make(found: Found, motion: Motion) -> Painting:
        del motion
        part = found[kind.kinds[0]]
        return kind(part.network, part.size, part.half)

    return Row(kind.kinds, make)


def _shape_of(kind: str, stage: type[PcnetShape]) -> Callable[[Found], Shape]:
    """Return what makes a stage of shape of the network of a kind."""

    def make(found: Found) -> Shape:
        part = found[kind]
        return stage(part.network, part.size, part.half, part.classes)

    return make


ROWS: dict[str, Row] = {
    "sttn": _alone(SttnPainting),
    "lgtsm": _alone(LgtsmPainting),
    "dfvi": Row(DfviPainting.kinds, DfviPainting, flow=True),
    "fgvc": Row(FgvcPainting.kinds, FgvcPainting, flow=True),
    "pcnet": Row(("pcnet",), None, _shape_of("pcnet", PcnetShape)),
    "pcnet-m": Row(("pcnet-m",), None, _shape_of("pcnet-m", PcnetMShape)),
    "pcnet-c": _alone(PcnetCPainting),
    # Both parts of PCNet, as published.
    "pcnet-mc": replace(_alone(PcnetCPainting), kinds=("pcnet-m", "pcnet-c"), shape=_shape_of("pcnet-m", PcnetMShape)),
}


def load_baseline(
    name: str,
    models: Sequence[str | Path],
    *,
    preset: str = "small",
    flow: str = "dis",
    raft_weights: Path | None = None,
    device: str = "auto",
    certainty: float | None = None,
) -> BaselineInpainter:
    """Make a trained baseline.

    Args:
        name: one of `ROWS`.
        models: folders with its networks, or other names of models; each network is taken from the first that has it.
            So is the shape network for masks that are not given; where none has one, it is that of the model that
            ships, so that all baselines complete shapes alike.
        preset: `small` or `paper`, as for `voin.load`.
        flow: `dis`, `raft-small` or `raft-large`.
        raft_weights: a state-dict file for RAFT; None takes torchvision's own.
        device: `auto`, `cpu`, `cuda` or `mps`.
        certainty: how sure of a pixel the shape network must be; None takes what it was tuned to.

    Raises:
        ValueError: an unknown preset, flow or device, or a network that is not what its file says.
        OSError: no model has a network of the baseline, or its files cannot be read.
        ImportError: RAFT without torchvision, or a model on the hub without huggingface-hub.
    """
    if preset not in PRESETS:
        raise ValueRefusal(f"preset is {preset!r}", f"it must be {either(PRESETS)}", "choose one of these")
    row, place, paper = ROWS[name], choose_device(device), preset == "paper"
    files: dict[str, Path] = {}
    for model in models:
        files = networks_of(find_model(model)) | files
    lacking = [kind for kind in row.kinds if kind not in files]
    if lacking:
        raise FileRefusal(
            f"{either(map(str, models))} has no {either(lacking)} network" if models else f"{name} was given no model",
            f"the baseline {name} must have {' and '.join(kind + TENSORS for kind in row.kinds)}",
            f"train with: voin train {lacking[0]}, and give the folder RUN/best",
        )
    networks = {kind: _load(kind, files[kind], place, paper) for kind in row.kinds}
    motion = load_motion(flow, raft_weights, place, enlarge=2)
    painting = None if row.painting is None else row.painting(networks, motion)
    config = PipelineConfig(window=WindowConfig(PAPER_SIZE) if paper else WindowConfig(), whole_frame=paper)
    shape = _load_shape(files, preset, place) if row.shape is None else row.shape(networks)
    if certainty is not None:
        set_certainty(shape, certainty)
    told = ", ".join(map(str, models)), {kind: part.sha256 for kind, part in networks.items()}
    return BaselineInpainter(painting, shape, DIS(finest=2), config, place, name, *told)


def _load(kind: str, path: Path, place: torch.device, paper: bool) -> Trained:
    network: Any = load_checkpoint(path, {kind: NETWORKS[kind]}, place)
    size = None if paper else read_use(path, BaselineUse).size
    network = network.to(memory_format=torch.channels_last)
    record = read_record(path)
    return Trained(network, size, has_bfloat16(place), record.sha256[:12], record.about.classes)


def _load_shape(files: dict[str, Path], preset: str, place: torch.device) -> Shape:
    shipped = networks_of(list_models()[SMALL]) if SMALL in list_models() else {}
    path = files.get("shape", shipped.get("shape"))
    return VotedShape() if path is None else load_stage(path, SmoothFlow(), preset, place)
