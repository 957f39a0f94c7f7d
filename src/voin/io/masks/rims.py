"""Soft edges of pictures with few colours: each shade looks like an object of its own, one pixel wide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np

_LEAST = 3  # fewer thin objects are objects
_REACH = 2  # pixels from a rim to what it is the rim of
_NEAR_SHARE = 0.8  # of all rims' pixels that lie so near
_SQUARE = np.ones((3, 3), np.uint8)


def find_rims(planes: Callable[[], Iterable[np.ndarray]], values: Sequence[int]) -> frozenset[int]:
    """Return the values that are shades of soft edges: at most two pixels wide in every mask, beside something wider.

    Args:
        planes: gives the masks, uint8 (h, w), anew each time.
        values: that occur in them, without 0.
    """
    thin = set(values)
    for plane in planes():
        if len(thin) < _LEAST:
            return frozenset()
        room = np.pad(plane, 1)
        thin -= {value for value in thin if cv2.erode((room == value).astype(np.uint8), _SQUARE).any()}
    wide = np.isin(np.arange(256), sorted(set(values) - thin)).astype(np.uint8)
    if not wide.any():
        return frozenset()
    near = pixels = 0
    for plane in planes():
        shades = np.isin(plane, sorted(thin))
        near += np.count_nonzero(shades & (cv2.dilate(wide[plane], _SQUARE, iterations=_REACH) > 0))
        pixels += np.count_nonzero(shades)
    return frozenset(thin) if len(thin) >= _LEAST and near >= _NEAR_SHARE * pixels else frozenset()


def without_rims(plane: np.ndarray, rims: Iterable[int]) -> np.ndarray:
    """Give each pixel of a rim to what most of its neighbours are, from both sides inwards; 0 is one of them."""
    plane = np.pad(plane, 1)  # cut out of a frame that is 0
    rim = np.isin(plane, sorted(rims))
    result = np.where(rim, 0, plane)
    kept = [int(value) for value in np.unique(plane[~rim])]
    while rim.any():
        votes = np.stack([cv2.boxFilter(((result == value) & ~rim).astype(np.float32), -1, (3, 3)) for value in kept])
        reached = rim & (votes.max(axis=0) > 0)
        if not reached.any():
            break
        result[reached] = np.array(kept, np.uint8)[votes.argmax(axis=0)][reached]
        rim &= ~reached
    return np.ascontiguousarray(result[1:-1, 1:-1])
