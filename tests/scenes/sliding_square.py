"""A clip whose truth is exact: a square of summed sine waves slides, by parts of a pixel, behind a bar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Sliding:
    """A square that slides behind a bar; `true` shows it without the bar.

    Attributes:
        frames: t pictures (h, w, 3) in [0, 1].
        true: the same without the bar.
        visible: t masks.
        amodal: t masks.
        speed: (dx, dy) of the square, pixels a frame; the background and the bar stand still.
    """

    frames: list[np.ndarray]
    true: list[np.ndarray]
    visible: list[np.ndarray]
    amodal: list[np.ndarray]
    speed: tuple[float, float]

    def flows(self) -> tuple[Tensor, Tensor]:
        """Give the true flow of the square everywhere, forward and backward, (1, t-1, 2, h, w)."""
        h, w = self.visible[0].shape
        forward = torch.tensor(self.speed).view(1, 1, 2, 1, 1).expand(1, len(self.frames) - 1, 2, h, w).contiguous()
        return forward, -forward

    def stack(self, masks: list[np.ndarray]) -> Tensor:
        """Stack masks, (t, h, w) bool."""
        return torch.from_numpy(np.stack(masks))


def waves(seed: int, shortest: float = 7.0, longest: float = 24.0) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Make a smooth random texture that is known at every point, not only at pixels: f(x, y) -> (..., 3)."""
    generator = np.random.default_rng(seed)
    length, angle = generator.uniform(shortest, longest, 24), generator.uniform(0, 2 * np.pi, 24)
    phase = generator.uniform(0, 2 * np.pi, (24, 3))
    kx, ky = 2 * np.pi * np.cos(angle) / length, 2 * np.pi * np.sin(angle) / length

    def colours(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        wave = np.cos((x[..., None] * kx + y[..., None] * ky)[..., None] + phase).mean(axis=-2)
        return (0.5 + 0.9 * wave).clip(0, 1).astype(np.float32)

    return colours


def slide(
    t: int = 21,
    size: tuple[int, int] = (96, 128),
    side: float = 48.0,
    speed: tuple[float, float] = (1.7, 0.3),
    bar: tuple[int, int] = (56, 68),
    start: tuple[float, float] = (21.0, 22.0),
) -> Sliding:
    """Render the clip."""
    square, background = waves(1), waves(2, 12.0, 40.0)
    y, x = np.mgrid[0 : size[0], 0 : size[1]].astype(float)
    covered = (x >= bar[0]) & (x < bar[1])
    frames, true, visible, amodal = [], [], [], []
    for i in range(t):
        left, top = start[0] + speed[0] * i, start[1] + speed[1] * i
        inside = (np.abs(x - left - side / 2) < side / 2) & (np.abs(y - top - side / 2) < side / 2)
        whole = np.where(inside[..., None], square(x - left, y - top), background(x, y))
        true.append(whole)
        frames.append(np.where(covered[..., None], np.array([0.1, 0.2, 0.7], np.float32), whole))
        visible.append(inside & ~covered)
        amodal.append(inside)
    return Sliding(frames, true, visible, amodal, speed)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio of colours in [0, 1], dB."""
    return float(-10 * np.log10(np.mean((one.astype(np.float64) - other) ** 2)))
