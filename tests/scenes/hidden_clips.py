"""Synthetic clips whose truth is known: a textured object slides over a textured background, behind a bar."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from voin.method.fill.inpaint import InpaintFill
from voin.method.flow.smooth import SmoothFlow
from voin.method.motion import DIS
from voin.method.pipeline import Inpainter, PipelineConfig
from voin.method.shape.voting import VotedShape
from voin.method.window import WindowConfig


@dataclass(frozen=True)
class Scene:
    """A clip and its truth: `frames` is what the camera sees, `clean` the same without the bar."""

    frames: Tensor  # (1, t, 3, h, w)
    clean: Tensor  # (1, t, 3, h, w)
    visible: Tensor  # (1, t, 1, h, w), 0 or 1
    amodal: Tensor  # (1, t, 1, h, w), 0 or 1
    bar: Tensor  # (1, t, 1, h, w), 0 or 1

    @property
    def hidden(self) -> Tensor:
        return self.amodal - self.visible


def texture(size: tuple[int, int], seed: int, mean: tuple[float, float, float], grain: float = 1.5) -> np.ndarray:
    """Smooth random colours around `mean`, (h, w, 3) float32; `grain` is the size of the blobs in pixels."""
    noise = np.random.default_rng(seed).normal(size=(*size, 3)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), grain)
    return np.clip(np.array(mean, np.float32) + 0.14 * noise / noise.std(), 0, 1)


def scene(
    t: int = 10,
    size: tuple[int, int] = (64, 80),
    start: tuple[float, float] = (10.0, 20.0),
    speed: tuple[float, float] = (2.6, 0.4),
    side: int = 24,
    bar: tuple[int, int] | None = (34, 42),
    bar_speed: float = 0.0,
    seed: int = 0,
) -> Scene:
    """Make a disc-shaped object of `side` pixels that starts at (x, y) and moves by `speed` pixels a frame.

    The bar covers the columns `bar` of the first frame, from top to bottom; None leaves it out.
    """
    h, w = size
    behind = texture(size, seed, (0.35, 0.45, 0.35), 2.0)
    skin = texture((2 * side, 2 * side), seed + 1, (0.75, 0.5, 0.3), 1.5)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    seen, clean, visible, amodal, front = [], [], [], [], []
    for i in range(t):
        left, top = start[0] + speed[0] * i, start[1] + speed[1] * i
        inside = np.hypot(x - left - side / 2, y - top - side / 2) < side / 2
        drawn = cv2.remap(skin, x - left + side / 2, y - top + side / 2, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        whole = np.where(inside[..., None], np.clip(drawn, 0, 1), behind)
        covered = np.zeros(size, bool)
        if bar is not None:
            first, last = (round(edge + bar_speed * i) for edge in bar)
            covered[:, max(first, 0) : max(last, 0)] = True
        clean.append(whole)
        seen.append(np.where(covered[..., None], np.array([0.1, 0.15, 0.6], np.float32), whole))
        amodal.append(inside)
        visible.append(inside & ~covered)
        front.append(covered)
    pictures = [torch.from_numpy(np.stack(each)).permute(0, 3, 1, 2)[None].float() for each in (seen, clean)]
    masks = [torch.from_numpy(np.stack(each))[None, :, None].float() for each in (visible, amodal, front)]
    return Scene(*pictures, *masks)


def inpainter(size: int = 64, **stages: object) -> Inpainter:
    """The classical method in a small window; keyword arguments replace its stages."""
    parts = {
        "shape": VotedShape(),
        "flow": SmoothFlow(),
        "fill": InpaintFill(),
        "motion": DIS(),
        "coarse_motion": DIS(2),
    }
    return Inpainter(**{**parts, **stages}, config=PipelineConfig(window=WindowConfig(size=size)))  # type: ignore[arg-type]


def iou(one: Tensor, other: Tensor) -> float:
    one, other = one > 0.5, other > 0.5
    return (one & other).sum().item() / max((one | other).sum().item(), 1)


def psnr(one: Tensor, other: Tensor, where: Tensor) -> float:
    """PSNR over the pixels of mask `where` (b, t, 1, h, w)."""
    error = ((one - other) ** 2 * where).sum() / (3 * where.sum())
    return (-10 * torch.log10(error)).item()
