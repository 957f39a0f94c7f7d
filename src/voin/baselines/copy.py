"""The nearest frame that shows the object at the same position: no motion."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int

from voin.baselines.painter import Painter, Pictures, Stack
from voin.baselines.telea import paint_frames


class Copy(Painter):
    """Takes a hidden pixel from the frame nearest in time that shows the object at that very position: no motion.
    Of two frames as near, the earlier. What no frame shows is painted in as `Telea` does.

    Args:
        radius: neighbourhood that a painted pixel is made from.
    """

    name = "copy"

    def __init__(self, radius: int = 3) -> None:
        self.radius = radius

    def settings(self) -> dict[str, Any]:
        """Return what the result depends on."""
        return {"radius": self.radius}

    def _paint(self, pictures: Pictures, known: Stack, hidden: Stack) -> tuple[Pictures, np.ndarray]:
        source = nearest_showing(known)
        found = hidden & (source >= 0)
        frame, row, column = np.nonzero(found)
        painted = pictures.copy()
        painted[found] = pictures[source[found], row, column]
        trust = np.zeros(hidden.shape, np.float32)
        trust[found] = 1 / (1 + np.abs(source[found] - frame))
        return paint_frames(painted, known | found, hidden & ~found, self.radius), trust


def nearest_showing(known: Stack) -> Int[np.ndarray, "t h w"]:
    """Return for each pixel the frame nearest in time in which it is `known` (the earlier of two), or -1."""
    t = len(known)
    index = np.arange(t).reshape(-1, 1, 1)
    before = np.maximum.accumulate(np.where(known, index, -t), axis=0)
    after = np.minimum.accumulate(np.where(known, index, 2 * t)[::-1], axis=0)[::-1]
    nearest = np.where(index - before <= after - index, before, after)
    return np.where((nearest >= 0) & (nearest < t), nearest, -1)
