"""Corrupt visible masks as real segmentation does (the paper's Figure 9): too wide, narrow, shifted, lost, or gross.

Pure functions on (t, h, w) bool; the same seed gives the same masks. Strengths are relative to the object: lengths to
its diameter, the square root of its median visible area in pixels; losses to its visible area.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool

from voin.core.errors import ValueRefusal

Stack = Bool[np.ndarray, "t h w"]


@dataclass(frozen=True)
class Corruption:
    """One of `KINDS` at one strength, in the unit that stands there; 0 changes nothing."""

    kind: str
    strength: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueRefusal(
                f"the damage is {self.kind!r}", f"it must be one of {', '.join(KINDS)}", "choose one of these"
            )
        most = 1.0 if self.kind == "lost" else 2.0
        if not 0 <= self.strength <= most:
            raise ValueRefusal(
                f"the strength of {self.kind} is {self.strength}",
                f"it must lie in [0, {most:g}]",
                "the strengths of the benchmark are in voin.benchmark.corrupt.STRENGTHS",
            )

    @property
    def name(self) -> str:
        """Kind and strength, safe as a file name: "dilated-0.05"."""
        return f"{self.kind}-{self.strength:g}"


def corrupt(visible: Stack, corruption: Corruption, seed: int) -> Stack:
    """Return the visible masks of one object in one clip, corrupted; frames may lose all of theirs.

    `seed` decides direction and pieces; use another one for each clip.
    """
    if corruption.strength == 0 or not visible.any():
        return visible.copy()
    return KINDS[corruption.kind](visible, corruption.strength, seed)


def diameter(visible: Stack) -> float:
    """Return the square root of the median area, in pixels, over the frames that show the object; 0 if none does."""
    areas = visible.sum(axis=(1, 2))
    return float(np.sqrt(np.median(areas[areas > 0]))) if areas.any() else 0.0


def dilate(visible: Stack, strength: float, seed: int = 0) -> Stack:
    """Widen the mask by `strength` diameters all around, so that it takes in occluder and background."""
    del seed
    reach = strength * diameter(visible)
    return np.stack([mask | (_distance(~mask) <= reach + 0.5) if mask.any() else mask for mask in visible])


def erode(visible: Stack, strength: float, seed: int = 0) -> Stack:
    """Narrow the mask by `strength` diameters all around; the picture's edge does not narrow it.

    Thin objects are narrowed by less, so that something of the object is left in the clip.
    """
    del seed
    depths = [_distance(mask) if mask.any() else np.zeros(mask.shape, np.float32) for mask in visible]
    reach = min(strength * diameter(visible) + 0.5, max(float(depth.max()) for depth in depths) - 1e-3)
    return np.stack([mask & (depth > reach) for mask, depth in zip(visible, depths, strict=True)])


def shift(visible: Stack, strength: float, seed: int = 0) -> Stack:
    """Move the mask by `strength` diameters, in a random direction that is the clip's own."""
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    reach = strength * diameter(visible)
    dx, dy = round(reach * np.cos(angle)), round(reach * np.sin(angle))
    moved = np.zeros_like(visible)
    h, w = visible.shape[1:]
    if abs(dy) >= h or abs(dx) >= w:
        return moved
    moved[:, max(dy, 0) : h + min(dy, 0), max(dx, 0) : w + min(dx, 0)] = visible[
        :, max(-dy, 0) : h + min(-dy, 0), max(-dx, 0) : w + min(-dx, 0)
    ]
    return moved


def lose(visible: Stack, strength: float, seed: int = 0) -> Stack:
    """Lose round pieces, `strength` of all visible pixels of the clip; each piece moves with the object.

    A piece is 0.2 to 0.5 diameters wide and lacks for a third of the clip or longer, as pieces do that a tracker loses.
    """
    generator = np.random.default_rng(seed)
    size = diameter(visible)
    y, x = np.mgrid[: visible.shape[1], : visible.shape[2]]
    boxes = [cv2.boundingRect(mask.astype(np.uint8)) for mask in visible]
    left, wanted = visible.copy(), (1 - strength) * visible.sum()
    t = len(visible)
    while left.sum() > wanted:
        # Where something is left, so that each piece takes some away and the loop ends.
        areas = left.sum(axis=(1, 2))
        frame = int(generator.choice(t, p=areas / areas.sum()))
        row, column = np.argwhere(left[frame])[generator.integers(areas[frame])]
        radius = max(generator.uniform(0.1, 0.25) * size, 0.5)
        length = generator.integers(-(-t // 3), t, endpoint=True)
        first = generator.integers(max(0, frame - length + 1), frame, endpoint=True)
        x0, y0, w, h = boxes[frame]
        across, down = (column - x0) / w, (row - y0) / h
        for i in range(first, min(first + length, t)):
            x0, y0, w, h = boxes[i]
            left[i] &= np.hypot(x - x0 - across * w, y - y0 - down * h) > radius
            if left.sum() <= wanted:
                break
    return left


def join(visible: Stack, strength: float, seed: int = 0) -> Stack:
    """Take in another object, `strength` times as large: a mirror image that stands close beside and moves along.

    It stands where there is more room, on the same ground; the picture's edge may cut it.
    """
    del seed
    result = visible.copy()
    boxes = [cv2.boundingRect(mask.astype(np.uint8)) for mask in visible]
    shown = [box for mask, box in zip(visible, boxes, strict=True) if mask.any()]
    width = visible.shape[2]
    right = sum(width - x - w for x, _, w, _ in shown) >= sum(x for x, *_ in shown)
    for mask, (x, y, w, h), joined in zip(visible, boxes, result, strict=True):
        if not mask.any():
            continue
        wide, high = (max(round(side * strength**0.5), 1) for side in (w, h))
        mirrored = np.ascontiguousarray(mask[y : y + h, x : x + w][:, ::-1]).astype(np.uint8)
        other = cv2.resize(mirrored, (wide, high), interpolation=cv2.INTER_NEAREST) > 0
        # A little inside the object's box, as things that a tracker takes for one touch each other.
        left, top = (x + w - w // 8 if right else x + w // 8 - wide), y + h - high
        x0, x1, y0 = max(left, 0), min(left + wide, width), max(top, 0)
        if x0 < x1:
            joined[y0 : y + h, x0:x1] |= other[y0 - top :, x0 - left : x1 - left]
    return result


def _distance(inside: Bool[np.ndarray, "h w"]) -> np.ndarray:
    """Return the distance of each pixel to the nearest one outside, between centres: 0.5 more than to the rim."""
    return cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


# What a strength measures: diameters for the first three, the share of the visible pixels, the area over the object's.
KINDS: dict[str, Callable[[Stack, float, int], Stack]] = {
    "dilated": dilate,
    "eroded": erode,
    "shifted": shift,
    "lost": lose,
    "joined": join,
}
STRENGTHS: dict[str, tuple[float, ...]] = {
    "dilated": (0.025, 0.05, 0.1, 0.2),
    "eroded": (0.025, 0.05, 0.1, 0.2),
    "shifted": (0.05, 0.1, 0.2, 0.4),
    "lost": (0.1, 0.2, 0.4, 0.6),
    "joined": (0.25, 0.5, 1.0),
}
_GROSS = ("joined",)  # errors of another kind than the benchmark's, which the paper's Figure 9 shows


def standard() -> tuple[Corruption, ...]:
    """Return the corruptions of the benchmark, each kind at four strengths; gross errors are none of them."""
    usual = {kind: strengths for kind, strengths in STRENGTHS.items() if kind not in _GROSS}
    return tuple(Corruption(kind, strength) for kind, strengths in usual.items() for strength in strengths)
