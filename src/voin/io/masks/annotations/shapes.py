"""Polygons and run lengths as masks; what they say of themselves is checked against the frame first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from voin.core.errors import ValueRefusal
from voin.io.masks.annotations.parse import listed, mapping, whole

_MOST_POINTS = 100_000
_EDGES_AT_ONCE = 1024
_FAR = 1e6  # pixels


def fill_polygon(points: Any, size: tuple[int, int], where: str) -> np.ndarray:
    """Return the pixels whose centre lies in a polygon: bool (h, w).

    Coordinates count from the upper left corner of the frame, so that (0, 0), (2, 0), (2, 1), (0, 1) are two pixels.
    OpenCV would also fill what the outline touches, one pixel more to the right and below.

    Args:
        points: (x, y) of each corner, at least three; beyond the frame it is cut off.
        size: (h, w) of the frame.
        where: whose polygon it is, for messages.
    """
    if len(points) > _MOST_POINTS:
        what = f"{where} has a polygon of {len(points)} points"
        raise ValueRefusal(what, f"it may have {_MOST_POINTS}", "simplify it")
    try:
        corners: np.ndarray = np.array(points, np.float64)
    except (TypeError, ValueError, OverflowError):
        corners = np.zeros(0)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not (np.abs(corners) < _FAR).all():
        must = "it must be the x and y of three corners or more"
        raise ValueRefusal(f"{where} has a polygon that is none", must, "draw it anew, or remove it")
    crossings = np.zeros((size[0], size[1] + 1), np.uint8)
    for first in range(0, len(corners), _EDGES_AT_ONCE):
        one = corners[first : first + _EDGES_AT_ONCE]
        _cross(crossings, one, np.take(corners, range(first + 1, first + 1 + len(one)), axis=0, mode="wrap"))
    return np.bitwise_xor.accumulate(crossings, axis=1)[:, :-1].astype(bool)


def _cross(crossings: np.ndarray, one: np.ndarray, other: np.ndarray) -> None:
    """Turn over, in each row that an edge crosses, the first pixel whose centre lies right of it."""
    upper, lower = np.where(one[:, 1:] <= other[:, 1:], (one, other), (other, one))
    rows = np.clip(np.ceil(np.stack([upper[:, 1], lower[:, 1]]) - 0.5), 0, len(crossings)).astype(int)
    counts = rows[1] - rows[0]
    edge = np.repeat(np.arange(len(one)), counts)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + rows[0][edge]
    step = (lower[edge] - upper[edge]).T
    x = upper[edge, 0] + (row + 0.5 - upper[edge, 1]) * step[0] / step[1]
    column = np.clip(np.ceil(x - 0.5), 0, crossings.shape[1] - 1).astype(int)
    np.bitwise_xor.at(crossings, (row, column), np.uint8(1))


def fill_runs(counts: Sequence[Any], size: tuple[int, int], where: str, by_columns: bool = True) -> np.ndarray:
    """Return a mask, bool (h, w), from the lengths of its runs, of which the first is background."""
    pixels = size[0] * size[1]
    if len(counts) > pixels + 1:
        raise _runs_refusal(where, f"{len(counts)} runs", pixels)
    lengths = [whole(count, f"a run of {where}", 0, pixels) for count in counts]
    if sum(lengths) != pixels:
        raise _runs_refusal(where, f"runs of {sum(lengths)} pixels", pixels)
    mask = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return mask.reshape(size[::-1]).T if by_columns else mask.reshape(size)


def runs_of(mask: np.ndarray) -> list[int]:
    """Return the lengths of the runs of a flat mask, bool (n,), of which the first is background, maybe of none."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8))) + 1
    lengths = np.diff(np.concatenate([[0], edges, [len(mask)]]))
    return [*([0] if len(mask) and mask[0] else []), *lengths.tolist()]


def compress(mask: np.ndarray) -> str:
    """Return COCO's letters for a mask, bool (h, w): what `parse_compressed` reads."""
    counts, letters = runs_of(mask.T.ravel()), []
    for place, count in enumerate(counts):
        value, going = count - (counts[place - 2] if place > 2 else 0), True
        while going:
            bits, value = value & 31, value >> 5
            going = value != (-1 if bits & 16 else 0)
            letters.append(chr(48 + (bits | (32 if going else 0))))
    return "".join(letters)


def parse_compressed(text: str, where: str, most: int) -> list[int]:
    """Return the run lengths that COCO's letters stand for: five bits each, lowest first; from the third run on the
    difference to the one before the last.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 30 or len(counts) > most:
            break
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    else:
        if shift == 0:
            return counts
    raise ValueRefusal(f"{where} has run lengths that are none", "they must be COCO's", "export the file again")


def fill_coco(segmentation: Any, size: tuple[int, int], where: str) -> np.ndarray:
    """Return a mask, bool (h, w), from what COCO calls a segmentation: polygons, or run lengths, compressed or not."""
    mask = np.zeros(size, bool)
    if isinstance(segmentation, list):
        for polygon in segmentation:
            numbers = listed(polygon, f"a polygon of {where}")
            if len(numbers) % 2:
                numbers = []
            mask |= fill_polygon([*zip(numbers[::2], numbers[1::2], strict=True)], size, where)
        return mask
    runs = mapping(segmentation, f"the segmentation of {where}")
    said = runs.get("size")
    if said != list(size):
        shown = str(said)[:40]
        what = f"{where} has a mask of size {shown} in a frame of {[*size]}"
        raise ValueRefusal(what, "both must be equal, [height, width]", "export the file again")
    counts = runs.get("counts")
    if isinstance(counts, str):
        counts = parse_compressed(counts, where, size[0] * size[1] + 1)
    return fill_runs(listed(counts, f"counts of {where}"), size, where)


def _runs_refusal(where: str, have: str, pixels: int) -> ValueRefusal:
    return ValueRefusal(f"{where} has {have}", f"they must fill {pixels} pixels", "export the file again")
