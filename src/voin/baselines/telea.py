"""Per-frame fast-marching inpainting: each frame by itself."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from voin.baselines.painter import Painter, Pictures, Stack

_MARGIN = 2  # unknown pixels put around a picture that is inpainted


class Telea(Painter):
    """Per-frame fast-marching inpainting (Telea 2004, `cv2.inpaint`); a frame that shows no pixel of the object gets
    the mean colour of the nearest one that does.

    Args:
        radius: neighbourhood that a pixel is made from.
    """

    name = "telea"

    def __init__(self, radius: int = 3) -> None:
        self.radius = radius

    def settings(self) -> dict[str, Any]:
        """Return what the result depends on."""
        return {"radius": self.radius}

    def _paint(self, pictures: Pictures, known: Stack, hidden: Stack) -> tuple[Pictures, np.ndarray]:
        return paint_frames(pictures, known, hidden, self.radius), np.zeros(hidden.shape, np.float32)


def paint_frames(pictures: Pictures, known: Stack, hole: Stack, radius: int) -> Pictures:
    """Inpaint `hole` in each frame from that frame's `known` pixels alone; nothing else can leak in.

    A frame without a known pixel gets the mean colour of the nearest frame with one, of which there must be some.
    """
    painted = pictures.copy()
    counts = known.sum(axis=(1, 2))
    for i in np.flatnonzero(hole.any(axis=(1, 2))):
        if counts[i] == 0:
            showing = np.flatnonzero(counts)
            nearest = showing[np.abs(showing - i).argmin()]
            painted[i][hole[i]] = (pictures[nearest][known[nearest]].mean(axis=0) + 0.5).astype(np.uint8)
            continue
        x, y, w, h = cv2.boundingRect((hole[i] | known[i]).astype(np.uint8))
        box = slice(y, y + h), slice(x, x + w)
        # All that is not known is inpainted along with the hole, and is not for use: so it cannot be a source. With a
        # margin, since OpenCV takes slopes along the edge of the picture from unknown pixels, too.
        unknown = np.pad((~known[i][box]).astype(np.uint8), _MARGIN, constant_values=1)
        picture = np.pad(pictures[i][box], ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0)))
        result = cv2.inpaint(picture, unknown, radius, cv2.INPAINT_TELEA)[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        painted[i][box][hole[i][box]] = result[hole[i][box]]
    return painted
