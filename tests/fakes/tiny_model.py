"""A model of untrained, tiny networks, as a folder of checkpoints."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from voin.method.fill.generator import Generator, GeneratorConfig
from voin.method.flow.network import FlowConfig, FlowNetwork
from voin.method.shape.network import ShapeConfig, ShapeNetwork
from voin.weights.checkpoint import About, Recipe, save_checkpoint
from voin.weights.hub import KINDS

CLASSES = ("bear", "cat")


def networks() -> dict[str, nn.Module]:
    """The three networks, new; what they give is not what the classical parts give."""
    made = {
        "shape": ShapeNetwork(ShapeConfig(channels=(8, 12, 16), depth=1, patches=((1, 1), (2, 2)), prior=4, classes=3)),
        "flow": FlowNetwork(FlowConfig(channels=(8, 12), gaps=(0, 1))),
        "generator": Generator(GeneratorConfig(channels=(6, 8, 12), dilations=(1, 2), classes=3)),
    }
    nn.init.constant_(made["shape"].fusion[-1].bias, 2.0)  # type: ignore[union-attr,index]
    nn.init.normal_(made["flow"].head.weight, std=0.1)  # type: ignore[union-attr]
    nn.init.normal_(made["generator"].colours.weight, std=0.3)  # type: ignore[union-attr]
    return made


def save_model(folder: Path, *kinds: str, seed: int = 0) -> Path:
    """Save networks of some kinds, all by default; gives the folder."""
    torch.manual_seed(seed)
    for kind, network in networks().items():
        if kind in (kinds or KINDS):
            about = About(kind, CLASSES, Recipe("voin train", 12.0, "2 CPU cores"), ("DAVIS",), {"iou, DAVIS": 0.5})
            save_checkpoint(folder / f"{kind}.safetensors", network, about, precision="fp16")
    return folder
