"""The layers that lie behind and before the object: uint8 or larger (h, w, 4), their colours and alpha."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from voin.core.types import Picture
from voin.method.window import CompletedBox


def draw_background(frame: Picture, behind: CompletedBox | None, objects: Iterable[CompletedBox]) -> np.ndarray:
    """Draw all that is neither occluder nor object, and what was filled; nothing behind the objects."""
    layer = _opaque(frame)
    if behind is not None:
        layer[behind.rows, behind.columns, :3][behind.occluded] = behind.colours[behind.occluded]
    for box in objects:
        layer[box.rows, box.columns][box.amodal] = 0
    return layer


def draw_front(frame: Picture, behind: CompletedBox | None) -> np.ndarray:
    """Draw what is in front, as it was."""
    layer = np.zeros((*frame.shape[:2], 4), frame.dtype)
    if behind is None:
        return layer
    box = _opaque(frame[behind.rows, behind.columns])
    box[~behind.occluded] = 0
    layer[behind.rows, behind.columns] = box
    return layer


def _opaque(frame: Picture) -> np.ndarray:
    most = 255 if frame.dtype == np.uint8 else np.iinfo(frame.dtype).max
    return np.concatenate([frame, np.full((*frame.shape[:2], 1), most, frame.dtype)], axis=2)
