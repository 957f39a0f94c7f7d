"""The methods that come with the package, by name: `voin.load`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from voin.core.config import to_json
from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.system import choose_device, has_bfloat16
from voin.method.fill.generator import GeneratorConfig, make_generator
from voin.method.fill.inpaint import InpaintFill
from voin.method.fill.stage import FillUse, NetworkFill
from voin.method.flow.network import FlowConfig, FlowNetwork
from voin.method.flow.smooth import SmoothFlow
from voin.method.flow.stage import FlowUse, NetworkFlow
from voin.method.motion import DIS, load_motion
from voin.method.pipeline import Inpainter, PipelineConfig
from voin.method.shape.network import ShapeConfig, ShapeNetwork
from voin.method.shape.stage import NetworkShape, ShapeUse
from voin.method.shape.voting import VotedShape
from voin.method.stages import Shape
from voin.method.window import WindowConfig
from voin.weights.checkpoint import TENSORS, load_checkpoint, read_record, read_use
from voin.weights.hub import find_model, list_models, networks_of
from voin.weights.runtime import ONNX, OnnxLayers

PRESETS = ("small", "paper")
RUNTIMES = ("torch", "onnx")
SMALL = "small"  # the model of `voin` where none is named
PAPER_SIZE = 384  # width of the paper's frames, which are 16:9 (4.1)

STAGES = {"shape": "shape", "flow": "flow", "fill": "generator"}  # of the pipeline -> the kind of network
# What makes a network of its config, for `voin.weights.checkpoint`.
NETWORKS = {
    "shape": (ShapeConfig, ShapeNetwork),
    "flow": (FlowConfig, FlowNetwork),
    "generator": (GeneratorConfig, make_generator),
}
# How a network is to be used: what stands in its JSON file, and what goes for one whose file says nothing of it.
USES = {"shape": ShapeUse, "flow": FlowUse, "generator": FillUse}


def use_after_training(kind: str, size: int) -> dict[str, Any]:
    """Return what the JSON file of a network says of its use, after training on pictures of `size` pixels."""
    use = to_json(USES[kind]())
    # A network without a size of its own takes any.
    return use if use["size"] is None else {**use, "size": size}


def load(
    method: str | Path = "voin",
    *,
    model: str | Path | None = None,
    classical: Collection[str] = (),
    preset: str = "small",
    flow: str = "dis",
    raft_weights: Path | None = None,
    device: str = "auto",
    certainty: float | None = None,
    runtime: str = "torch",
) -> Inpainter:
    """Make an inpainter.

    Args:
        method: `voin` has trained networks, `classical` needs no weights; anything else is a model, and means `voin`
            with that model.
        model: what the networks of `voin` are read from: a model that ships with the package, a folder, or "owner/name"
            on the Hugging Face hub; None takes `small`, which ships.
        classical: of `shape`, `flow` and `fill`, the stages that do without their network.
        preset: `small` works in a window that follows the object, `paper` on the whole frame, 384x216; the
            networks for the latter do not ship, so it needs a `model`.
        flow: `dis`, `raft-small` or `raft-large`.
        raft_weights: a state-dict file for RAFT; None takes torchvision's own.
        device: `auto`, `cpu`, `cuda` or `mps`.
        certainty: how sure of a pixel the shape network must be, above 0 and below 1; None for what its file says.
        runtime: what computes the networks, `torch` or `onnx`: ONNX Runtime, in float32, with a model of
            `voin.method.export.export_model`; all else stays with torch and the device.

    Raises:
        ValueError: an unknown method, model, stage, preset, flow, device or runtime, or some that do not go together.
        ImportError: RAFT without torchvision, a model on the hub without huggingface-hub, or no ONNX Runtime.
        OSError: weights that are not there or cannot be read.
    """
    if preset not in PRESETS:
        raise ValueRefusal(f"preset is {preset!r}", "it must be small or paper", "choose it with --preset")
    unknown = [stage for stage in classical if stage not in STAGES]
    if unknown:
        raise ValueRefusal(f"classical has {unknown[0]!r}", "it must name stages, shape, flow or fill", "correct it")
    if runtime not in RUNTIMES or (runtime != "torch" and method == "classical"):
        raise ValueRefusal(
            f"runtime is {runtime!r} and the method {str(method)!r}",
            "it must be torch or onnx, the latter for a method with networks",
            "choose it with --runtime",
        )
    place = choose_device(device)
    # Before RAFT's weights: what is refused is refused at once.
    folder = None
    if method != "classical":
        folder, model = _find(method, model, preset)
    elif model is not None:
        raise ValueRefusal(
            f"the model is {str(model)!r} and the method classical",
            "that one has no networks, so it must be alone",
            "leave one of them out",
        )
    # Measured on two DAVIS training clips: at twice the size RAFT's flow is worth 0.5 and 1.0 dB more.
    motion = load_motion(flow, raft_weights, place, enlarge=2)
    paper = preset == "paper"
    # Measured on DAVIS training clips: RAFT's flow is good up to the occluder's rim, and needs no painting over.
    raft = flow != "dis"
    smooth = SmoothFlow(rim=3.0) if raft else SmoothFlow()
    stages: dict[str, Any] = {"shape": VotedShape(), "flow": smooth, "fill": InpaintFill()}
    name = "classical"
    if folder is not None:
        exchanged = [stage for stage in STAGES if stage in classical]
        name = "-".join(["voin", *(["classical", *exchanged] if exchanged else [])])
        trained = [stage for stage in STAGES if stage not in exchanged]
        found = networks_of(folder)
        lacking = [stage for stage in trained if STAGES[stage] not in found]
        if lacking:
            raise FileRefusal(
                f"{folder} lacks {' and '.join(STAGES[stage] + TENSORS for stage in lacking)}",
                "a model must have a network for each stage that is not exchanged",
                f"train it, or load with classical={tuple(lacking)!r}",
            )
        stages |= {stage: load_stage(found[STAGES[stage]], smooth, preset, place, runtime) for stage in trained}
    if certainty is not None:
        set_certainty(stages["shape"], certainty)
    window = WindowConfig(PAPER_SIZE) if paper else WindowConfig()
    # What the generator was trained to be given; the classical stage takes anything.
    propagation: Any = getattr(getattr(stages["fill"], "config", None), "propagation", "rated")
    config = PipelineConfig(window=window, paint=not raft, whole_frame=paper, propagation=propagation)
    stages |= {"motion": motion, "coarse_motion": DIS(finest=2)}
    return Inpainter(**stages, config=config, device=place, name=name, model=model)


def _find(method: str | Path, model: str | Path | None, preset: str) -> tuple[Path, str]:
    """Find the folder of the model that the words name, and what to call it."""
    if method != "voin":
        if model is not None:
            raise ValueRefusal(
                f"method is {str(method)!r} and the model {str(model)!r}",
                "a model must be named once",
                f"write --method voin --model {model}",
            )
        model = method
    if preset == "paper" and model in (None, SMALL):
        raise ValueRefusal(
            "preset is paper, and its weights do not ship",
            "networks for whole frames must come from a model",
            "train them and give --model FOLDER, or use --preset small",
        )
    model = SMALL if model is None else model
    if model == SMALL and SMALL not in list_models():
        raise FileRefusal(
            "no weights ship with this voin",
            "the method voin must have those of its networks",
            "use --method classical, or give a model: --model FOLDER",
        )
    try:
        return find_model(model), str(model)
    except ValueError as error:
        if model != method:
            raise
        raise ValueRefusal(
            f"method is {str(method)!r}",
            "it must be voin, classical or a model (a folder, or owner/name on the hub)",
            "choose it with --method",
        ) from error


def set_certainty(shape: Shape, certainty: float) -> None:
    """Set how sure of a pixel a shape network must be; a shape without one is refused."""
    if not isinstance(shape, NetworkShape) or not 0 < certainty < 1:
        raise ValueRefusal(
            f"certainty is {certainty}",
            "it must lie between 0 and 1, and be that of a shape network",
            "leave it out for what the model was tuned to",
        )
    shape.certainty = shape.behind = certainty


def load_stage(path: Path, prior: SmoothFlow, preset: str, place: torch.device, runtime: str = "torch") -> Any:
    """Make the stage of the network in a file; `prior` is what one of flow starts from."""
    kind, record = path.stem, read_record(path)
    network: Any = load_checkpoint(path, {kind: NETWORKS[kind]}, place).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    use = {"half": runtime == "torch" and has_bfloat16(place), **vars(read_use(path, USES[kind]))}
    if preset == "paper":
        use["size"] = None  # whole frames as they are
        # What is made of networks besides, because small ones are not sure enough, is no part of the paper.
        use |= {name: value for name, value in {"certainty": 0.5, "behind": 0.5, "least": 0.0}.items() if name in use}
    # A network that is told no class knows none, whatever it was trained on.
    classes = record.about.classes if getattr(network.config, "classes", 0) else ()
    made = {"shape": NetworkShape, "flow": NetworkFlow, "generator": NetworkFill}[kind]
    stage = made(network, prior if kind == "flow" else classes, **use)
    stage.sha256 = record.sha256[:12]
    if runtime == "onnx":
        layers = getattr(network, "compute", network)
        network.runtime = OnnxLayers(path.with_suffix(ONNX), record.sha256, layers, place.type)
        stage.runtime = runtime  # results differ by rounding: it stands in run.json
    return stage
