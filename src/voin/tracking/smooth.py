"""Settle what each pixel is together with its neighbours: pixels of like colours go together (mean field, Potts)."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float

from voin.core.types import Picture

# Rows and columns to the neighbours that a pixel is compared with; each pair counts both ways.
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 3), (3, 0))
_FLOOR = 0.05  # what neighbours count across an edge
# Lightness counts less than hue: shadows change it.
_LAB = np.array([0.6, 1.3, 1.3], np.float32)


def lab(picture: Picture) -> Float[np.ndarray, "h w 3"]:
    """Return the colours in Lab, scaled so that distances suit telling objects apart."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.float32) * _LAB


def smooth_evidence(
    evidence: Float[np.ndarray, "h w"], picture: Picture, strength: float = 0.4, rounds: int = 8
) -> Float[np.ndarray, "h w"]:
    """Let neighbours of like colour vote about each other, and return the log odds after the vote.

    Args:
        evidence: log odds of each pixel being the object.
        picture: the frame, for its edges.
        strength: weight of one neighbour of the same colour.
        rounds: of the vote; the number is fixed, so that the same input gives the same mask.
    """
    colours = lab(picture)
    pairs = []
    for down, right in _NEIGHBOURS:
        h, w = evidence.shape
        here = slice(0, h - down), slice(max(0, -right), w - max(0, right))
        other = slice(down, h), slice(max(0, right), w + min(0, right))
        pairs.append((here, other, ((colours[here] - colours[other]) ** 2).sum(axis=-1)))
    usual = 2 * float(np.mean([distance.mean() for _, _, distance in pairs])) + 1e-6
    weights = [(here, other, strength * (np.exp(-distance / usual) + _FLOOR)) for here, other, distance in pairs]
    result = evidence
    for _ in range(rounds):
        belief = np.tanh(result / 2)
        votes = np.zeros_like(evidence)
        for here, other, weight in weights:
            votes[here] += weight * belief[other]
            votes[other] += weight * belief[here]
        result = evidence + 2 * votes
    return result
