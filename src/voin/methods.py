"""The methods that come with the package, by name: `voin.load`."""

from __future__ import annotations

from pathlib import Path

import torch

from voin.fill_classical import InpaintFill
from voin.flow_classical import SmoothFlow, SmoothFlowConfig
from voin.motion import DIS, load_motion
from voin.pipeline import Inpainter, PipelineConfig
from voin.shape_classical import VotedShape


def load(
    method: str = "classical", *, flow: str = "dis", raft_weights: Path | None = None, device: str = "auto"
) -> Inpainter:
    """Make an inpainter.

    Args:
        method: `classical` needs no weights.
        flow: `dis`, `raft-small` or `raft-large`.
        raft_weights: a state-dict file for RAFT; None takes torchvision's own.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        ValueError: an unknown method, flow or device.
        ImportError: RAFT without torchvision.
        OSError: weights that cannot be read.
    """
    place = choose_device(device)
    # Measured on two DAVIS training clips: at twice the size RAFT's flow is worth 0.5 and 1.0 dB more.
    motion = load_motion(flow, raft_weights, place, enlarge=2)
    if method != "classical":
        raise ValueError(f"method is {method!r}; it must be classical; choose it with --method")
    # Measured on DAVIS training clips: RAFT's flow is good up to the occluder's rim, and needs no painting over.
    raft = flow != "dis"
    completion = SmoothFlow(SmoothFlowConfig(rim=3.0) if raft else SmoothFlowConfig())
    config = PipelineConfig(paint=not raft)
    return Inpainter(VotedShape(), completion, InpaintFill(), motion, DIS(finest=2), config, place, method)


def choose_device(name: str) -> torch.device:
    """Give the device called `auto` (the best there is), `cpu`, `cuda` or `mps`."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(each for each, works in there.items() if works)
    if name not in there:
        raise ValueError(f"device is {name!r}; it must be auto, cpu, cuda or mps; choose one with --device")
    if not there[name]:
        raise ValueError(f"device {name} is not to be had here; torch finds none; use --device cpu")
    return torch.device(name)
