"""Model folders of untrained, tiny baselines, and clips for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fakes.tiny_training import TINY
from scenes.sliding_square import Sliding, slide
from voin.baselines.trained.models import NETWORKS
from voin.weights.checkpoint import About, Recipe, save_checkpoint


def save_baseline(folder: Path, *kinds: str, size: int = 32, seed: int = 0) -> Path:
    """Save new networks of some kinds; gives the folder."""
    torch.manual_seed(seed)
    for kind in kinds:
        _, build = NETWORKS[kind]
        about = About(kind, (), Recipe("voin train", 1.0, "1 CPU core"), ("discs",), {}, {"size": size})
        save_checkpoint(folder / f"{kind}.safetensors", build(TINY.baselines.of(kind)), about, "fp16")
    return folder


def tensors(sliding: Sliding | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """A square that slides behind a bar: frames in 8-bit steps, visible, amodal."""
    sliding = sliding or slide(t=6, size=(64, 96), side=30.0, speed=(3.0, 0.0), bar=(28, 40), start=(14.0, 14.0))
    frames = torch.from_numpy(np.stack(sliding.frames)).permute(0, 3, 1, 2)[None]
    frames = (frames * 255).round() / 255
    visible, amodal = (sliding.stack(masks).float()[None, :, None] for masks in (sliding.visible, sliding.amodal))
    return frames, visible, amodal


def holes(t: int = 5, size: tuple[int, int] = (32, 48), b: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Noise with a moving hole in an object: frames, visible, hole."""
    h, w = size
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    amodal = (x - w / 2) ** 2 + (y - h / 2) ** 2 < (0.4 * h) ** 2
    bars = torch.stack([(x + i >= w // 2 - 2) & (x + i < w // 2 + 6) for i in range(t)])
    hole = (amodal & bars).float()[None, :, None].repeat(b, 1, 1, 1, 1)
    return torch.rand(b, t, 3, h, w), amodal.float().expand_as(hole) - hole, hole
