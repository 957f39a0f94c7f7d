"""Masks as polygons: outlines along the edges of pixels, simplified."""

from __future__ import annotations

import cv2
import numpy as np

_FINE = 2  # parts of a pixel's side, so that an outline runs within the pixels and holds all their centres
_TOLERANCE = 0.5  # pixels, by which a simplified outline may leave the exact one

Ring = np.ndarray  # (n, 2) of x, y, counted from the upper left corner of the frame


def trace(mask: np.ndarray) -> list[Ring]:
    """Return a polygon of each part of a mask, bool (h, w); a hole is joined to its part by a line there and back.

    Filled by the even-odd rule, their union is the mask, but for what the simplification leaves off.
    """
    x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
    fine = np.repeat(np.repeat(mask[y : y + h, x : x + w].view(np.uint8), _FINE, axis=0), _FINE, axis=1)
    contours, tree = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for place, contour in enumerate(contours):
        parent = int(tree[0][place][3])
        exact = (contour.astype(np.float32) + 0.5) / _FINE
        simple = cv2.approxPolyDP(exact, _TOLERANCE, True)
        points = (simple if len(simple) > 2 else exact)[:, 0] + np.array([x, y], np.float32)
        if parent < 0:
            rings[place] = points
        else:
            holes.setdefault(parent, []).append(points)
    return [joined([ring, *holes.get(place, [])]) for place, ring in rings.items()]


def joined(rings: list[Ring]) -> Ring:
    """Join polygons to one, by lines there and back, which the even-odd rule leaves out."""
    ring, *further = rings
    for other in further:
        distances = np.square(ring[:, None] - other[None]).sum(axis=-1)
        at, to = np.unravel_index(int(distances.argmin()), distances.shape)
        around = np.roll(other, -int(to), axis=0)
        ring = np.concatenate([ring[: at + 1], around, around[:1], ring[at:]])
    return ring


def numbers_of(ring: Ring) -> list[list[float]]:
    """Return a polygon as lists of numbers, for JSON."""
    return [[round(float(x), 2), round(float(y), 2)] for x, y in ring]
