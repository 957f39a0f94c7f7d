"""Small VOI sets: textured squares that slide behind bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scenes.sliding_square import slide
from voin.core.types import to_kind
from voin.data.manifest import (
    AMODAL,
    OCCLUDER,
    TRUTH,
    VERSION,
    VISIBLE,
    ClipRecord,
    Manifest,
    clip_folder,
    write_manifest,
)
from voin.data.sets import VoiSet, open_set, write_masks, write_occluder
from voin.io.images import write_image

SIZE = (64, 96)
COUNT = 4
# The bar's columns: nothing of the object is before the first, so it hides more and more of it.
BARS = ((28, 36), (28, 44), (28, 54))
CATEGORIES = ("dog", "cat", None)


def write_set(root: Path, bars: Sequence[tuple[int, int]] = BARS, count: int = COUNT) -> VoiSet:
    """Write a set with a validation clip for each bar, called a, b, ...; and one training clip."""
    records = [
        _write_clip(root, "abcdefgh"[i], bar, CATEGORIES[i % 3], "validation", count) for i, bar in enumerate(bars)
    ]
    records.append(_write_clip(root, "z", bars[0], "dog", "train", count))
    write_manifest(root, Manifest(VERSION, "0", 0, {}, {}, tuple(records), ()))
    return open_set(root)


def _write_clip(root: Path, name: str, bar: tuple[int, int], category: str | None, split, count: int) -> ClipRecord:
    sliding = slide(count, SIZE, side=30.0, speed=(3.0, 0.0), bar=bar, start=(24.0, 14.0))
    occluder = np.zeros((count, *SIZE), bool)
    occluder[..., bar[0] : bar[1]] = True
    amodal, visible = np.stack(sliding.amodal), np.stack(sliding.visible)
    for kind in (TRUTH, AMODAL, VISIBLE, OCCLUDER):
        clip_folder(root, split, kind, name).mkdir(parents=True)
    for i, frame in enumerate(sliding.true):
        write_image(clip_folder(root, split, TRUTH, name) / f"{i:05d}.jpg", to_kind(frame, np.dtype(np.uint8)))
    write_masks(clip_folder(root, split, AMODAL, name), AMODAL, amodal)
    write_masks(clip_folder(root, split, VISIBLE, name), VISIBLE, visible)
    pixels = to_kind(np.stack(sliding.frames), np.dtype(np.uint8))
    write_occluder(clip_folder(root, split, OCCLUDER, name), occluder, pixels)
    hidden = (amodal & ~visible).sum(axis=(1, 2)) / amodal.sum(axis=(1, 2))
    rates = tuple(round(float(rate), 4) for rate in hidden)
    rate = round(sum(rates) / count, 4)
    return ClipRecord(name, f"video-{name}", 0, category, split, count, SIZE, "blob", None, None, rates, rate)
