"""What an object and its surroundings look like: remembered pixels, with their neighbours and their place.

A pixel is more likely the object, the nearer it comes to a remembered one of the object, and the farther it stays from
those of the surroundings. Nothing is learned; a few hundred pixels of a few frames are enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int

from voin.core.errors import ValueRefusal
from voin.core.types import Mask, Picture
from voin.tracking.smooth import lab

Features = Float[np.ndarray, "h w c"]

_COLOUR = 1 / 20  # one unit of distance is 20 levels
_ASIDE, _ASIDE_WEIGHT = 3, 0.35  # neighbours that describe a pixel: so far away, and what they count
_GROUPS = 4  # the nearest of each quarter of the memory, averaged: a single odd pixel decides nothing
_AT_ONCE = 1024
_LEAST_KEPT = 30  # pixels


def describe(picture: Picture, centre: tuple[float, float], size: float, place: float, aside: bool = True) -> Features:
    """Describe each pixel by its colour, the colours around it (if `aside`), and where it is.

    Args:
        picture: uint8 RGB.
        centre: (x, y) of the object.
        size: of the object, in pixels.
        place: what a distance of one object's size counts.
        aside: whether what is around a pixel counts.
    """
    colours = cv2.GaussianBlur(lab(picture) * _COLOUR, (0, 0), 1.0)
    h, w = colours.shape[:2]
    parts = [colours]
    if aside:
        n = _ASIDE
        wide = cv2.copyMakeBorder(colours, n, n, n, n, cv2.BORDER_REPLICATE) * _ASIDE_WEIGHT
        parts += [wide[n + y : n + y + h, n + x : n + x + w] for y, x in ((-n, 0), (n, 0), (0, -n), (0, n))]
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    at = np.stack([x - np.float32(centre[0]), y - np.float32(centre[1])], axis=-1) * np.float32(place / size)
    return np.concatenate([*parts, at], axis=-1)


def distances(
    queries: Float[np.ndarray, "n c"], remembered: Float[np.ndarray, "m c"], seed: int = 0
) -> Float[np.ndarray, " n"]:
    """Return the distance of each query to what is remembered."""
    order = np.random.default_rng(seed).permutation(len(remembered))
    groups = min(_GROUPS, len(remembered))
    memory = torch.from_numpy(np.ascontiguousarray(remembered[order[: len(order) // groups * groups]]))
    square, found = (memory**2).sum(dim=1), []
    for query in torch.from_numpy(np.ascontiguousarray(queries)).split(_AT_ONCE):
        # |q - m|^2 without the q^2, which is the same for all.
        near = torch.addmm(square[None], query, memory.T, alpha=-2).view(len(query), groups, -1).amin(dim=-1)
        found.append((near + (query**2).sum(dim=1, keepdim=True)).clamp(min=0).sqrt().mean(dim=1))
    return torch.cat(found).numpy() if found else np.zeros(0, np.float32)


@dataclass
class Memory:
    """Pixels of the object and of its surroundings, of the first frame and of the last few."""

    first: int = 800  # pixels of either kind that are kept of the first frame, and ...
    later: int = 300  # ... of each later one
    frames: int = 3  # later frames that are kept
    _kept: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def add(self, features: Features, sure: Mask, surely_not: Mask) -> None:
        """Remember a frame: some pixels that surely are the object, and some that surely are not."""
        if not sure.any() or not surely_not.any():
            return
        flat = features.reshape(-1, features.shape[-1])
        count = self.later if self._kept else self.first
        random = np.random.default_rng(len(self._kept))
        near, far = (flat[_some(np.flatnonzero(mask), count, random)] for mask in (sure, surely_not))
        self._kept.append((_edited(near, far), far))
        del self._kept[1 : -self.frames]

    def compare(self, queries: Float[np.ndarray, "n c"], soft: float = 0.08) -> Float[np.ndarray, " n"]:
        """Return the log odds of each query being the object; `soft` is a distance that tells nothing."""
        if not self._kept:
            raise ValueRefusal(
                "nothing is remembered", "a frame must be added before pixels are compared", "call add first"
            )
        near, far = (distances(queries, np.concatenate([frame[kind] for frame in self._kept])) for kind in (0, 1))
        return np.log((far + soft) / (near + soft))

    def __bool__(self) -> bool:
        return bool(self._kept)


def _edited(near: Float[np.ndarray, "n c"], far: Float[np.ndarray, "m c"]) -> Float[np.ndarray, "k c"]:
    """Leave out pixels of the object that look like its surroundings: a mask that holds some of these mends itself."""
    to_far, to_near = (torch.cdist(torch.from_numpy(near), torch.from_numpy(other)) for other in (far, near))
    apart = to_near.sort(dim=1).values[:, min(2, len(near) - 1)]  # the first is the pixel itself
    kept = (to_far.amin(dim=1) > apart).numpy()
    return near[kept] if np.count_nonzero(kept) >= _LEAST_KEPT else near


def _some(places: Int[np.ndarray, " n"], count: int, random: np.random.Generator) -> Int[np.ndarray, " k"]:
    return np.sort(random.choice(places, min(count, len(places)), replace=False))
