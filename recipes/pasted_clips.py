"""Occluded clips with a known truth: object-shaped occluders pasted over DAVIS objects.

A first, small stand-in for the benchmark: each clip's object is crossed by another clip's object (its silhouette and
its pixels, moving as that one moves), sized and swung so that half of the hidden object's area is covered on average.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

# Occluders: whole objects of DAVIS training clips; never of the clip they hide.
OCCLUDERS = ("bear", "elephant", "car-turn", "hike", "lucia", "mallard-water", "rhino", "flamingo", "boat", "bus")


@dataclass(frozen=True)
class PastedClip:
    """A clip with its occluder: `occluded` frames in, `truth` frames to compare with."""

    name: str
    truth: np.ndarray  # (t, h, w, 3) uint8
    frames: np.ndarray  # (t, h, w, 3) uint8, with the occluder
    amodal: np.ndarray  # (t, h, w) bool
    visible: np.ndarray  # (t, h, w) bool
    occluder: np.ndarray  # (t, h, w) bool

    @property
    def occluded(self) -> np.ndarray:
        return self.amodal & ~self.visible


def read_davis(root: Path, name: str, size: tuple[int, int], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Read `count` frames (t, h, w, 3) and masks (t, h, w) of a DAVIS sequence, reduced to `size` (h, w)."""
    paths = sorted((root / "JPEGImages" / "480p" / name).glob("*.jpg"))[:count]
    frames, masks = [], []
    for path in paths:
        picture = cv2.imread(str(path))[:, :, ::-1]
        label = cv2.imread(str(root / "Annotations" / "480p" / name / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
        inside = (label if label.ndim == 2 else label.max(axis=2)) > 0
        frames.append(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA))
        masks.append(cv2.resize(inside.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA) > 0.5)
    return np.stack(frames), np.stack(masks)


def paste_clip(root: Path, name: str, size: tuple[int, int] = (216, 384), count: int = 60, seed: int = 0) -> PastedClip:
    """Hide half of a DAVIS object, on average, behind another clip's moving object.

    Args:
        root: folder with the DAVIS layout.
        name: the sequence whose object is hidden.
        size: (h, w) of the clip.
        count: at most so many frames.
        seed: chooses the occluder, its path and its phase, together with `name`.
    """
    truth, amodal = read_davis(root, name, size, count)
    generator = np.random.default_rng([seed, *name.encode()])
    other = str(generator.choice([occluder for occluder in OCCLUDERS if occluder != name]))
    cover, shape = read_davis(root, other, size, count)
    swing = generator.uniform(0.7, 1.0)  # of the object's size, to either side
    period = generator.uniform(30, 60)  # frames
    phase = generator.uniform(0, 2 * np.pi)
    heading = generator.uniform(-0.4, 0.4) + generator.integers(2) * np.pi  # mostly sideways
    low, high = 0.1, 4.0  # the occluder's scale that hides half is found by bisection
    for _ in range(9):
        scale = (low * high) ** 0.5
        occluder, pixels = _place(amodal, cover, shape, scale, swing, period, phase, heading)
        hidden = (amodal & occluder).sum() / max(amodal.sum(), 1)
        low, high = (scale, high) if hidden < 0.5 else (low, scale)
    frames = np.where(occluder[..., None], pixels, truth)
    return PastedClip(name, truth, frames, amodal, amodal & ~occluder, occluder)


def _place(amodal, cover, shape, scale, swing, period, phase, heading):
    """Put the other clip's object over `amodal`'s centre, swinging to and fro; returns its mask and its pixels."""
    t, h, w = amodal.shape
    occluder, pixels = np.zeros_like(amodal), np.zeros((t, h, w, 3), np.uint8)
    diameter = np.median([m.sum() for m in amodal if m.any()]) ** 0.5
    size = np.median([mask.sum() for mask in shape if mask.any()]) ** 0.5
    factor = scale * diameter / size
    last = np.array([w / 2, h / 2])
    for i in range(t):
        # A shorter occluder clip runs to and fro.
        j = i % (2 * len(shape) - 2)
        j = j if j < len(shape) else 2 * len(shape) - 2 - j
        if amodal[i].any():
            last = np.array(np.nonzero(amodal[i])).mean(axis=1)[::-1]
        if not shape[j].any():
            continue
        centre = np.array(np.nonzero(shape[j])).mean(axis=1)[::-1]
        offset = swing * diameter * 1.5 * np.sin(2 * np.pi * i / period + phase)
        target = last + offset * np.array([np.cos(heading), np.sin(heading)])
        matrix = np.array([[factor, 0, target[0] - factor * centre[0]], [0, factor, target[1] - factor * centre[1]]])
        warped = cv2.warpAffine(shape[j].astype(np.float32), matrix, (w, h), flags=cv2.INTER_LINEAR)
        occluder[i] = warped > 0.5
        pixels[i] = cv2.warpAffine(cover[j], matrix, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return occluder, pixels
