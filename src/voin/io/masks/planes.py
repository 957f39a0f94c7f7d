"""Masks in memory: packed cut-outs of a few kilobytes each, so that memory hardly grows with a video's length."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from voin.io.masks.rims import find_rims, without_rims
from voin.io.masks.values import Kind


@dataclass(frozen=True)
class Plane:
    """A mask, packed: the part that is not 0."""

    kind: Kind
    top: int
    left: int
    size: tuple[int, int]
    data: bytes

    @staticmethod
    def of(values: np.ndarray, kind: Kind) -> Plane:
        """Pack a mask of a whole frame, uint8 (h, w)."""
        x, y, w, h = cv2.boundingRect(values) if values.any() else (0, 0, 0, 0)
        return Plane(kind, y, x, (h, w), zlib.compress(values[y : y + h, x : x + w].tobytes(), 1))

    def values(self) -> np.ndarray:
        """Unpack the part that is not 0."""
        return np.frombuffer(zlib.decompress(self.data), np.uint8).reshape(self.size)

    def inverted(self, table: np.ndarray, size: tuple[int, int]) -> Plane:
        """Return a mask of 1 where `table` says 0, of a whole frame."""
        mask = np.ones(size, np.uint8)
        mask[self.top : self.top + self.size[0], self.left : self.left + self.size[1]] = table[self.values()] == 0
        return Plane.of(mask, "grey")


def take_rims(
    planes: dict[int, Plane], counts: dict[Kind, np.ndarray], colours: dict[int, int], ids: Sequence[int] | None
) -> tuple[dict[int, Plane], int]:
    """Take shades of soft edges out of masks, counts and colours, but for those asked for; say how many."""
    kind: Kind = "colour" if "colour" in counts else "ids"
    values = [] if kind not in counts else [int(value) for value in np.flatnonzero(counts[kind][1:]) + 1]
    rims = find_rims(lambda: (plane.values() for plane in planes.values() if plane.kind == kind), values)
    rims -= frozenset(ids or ()) if kind == "ids" else frozenset()
    if rims:
        planes = {
            frame: replace(plane, data=zlib.compress(without_rims(plane.values(), rims).tobytes(), 1))
            if plane.kind == kind
            else plane
            for frame, plane in planes.items()
        }
        left = (plane.values().ravel() for plane in planes.values() if plane.kind == kind)
        counts[kind] = np.sum([np.bincount(values, minlength=256) for values in left], axis=0)
        for code in [code for code, value in colours.items() if value in rims]:
            del colours[code]
    return planes, len(rims)
