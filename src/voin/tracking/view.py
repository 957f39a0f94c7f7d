"""The part of a frame in which a mask is tracked: the object with its surroundings, at a working size."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool

from voin.core.types import Mask
from voin.method.window import box_of

Place = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the frame


@dataclass(frozen=True)
class MaskView:
    """A rectangle of the frame and the size at which it is looked at."""

    crop: tuple[int, int, int, int]  # x0, y0, x1, y1 in the frame, end exclusive
    size: tuple[int, int]  # (w, h), as OpenCV wants it
    frame: tuple[int, int]  # (h, w)

    @staticmethod
    def around(place: Place, frame: tuple[int, int], side: int, margin: float, most_scale: float) -> MaskView:
        """Choose a view of the object in the box `place`.

        Args:
            place: box around the object.
            frame: (h, w).
            side: working pixels of the box's longer side.
            margin: what is seen around it, over that side.
            most_scale: small objects are enlarged so many times at most.
        """
        (x0, y0, x1, y1), (h, w) = place, frame
        longer = max(x1 - x0, y1 - y0, 16.0)
        more = max(margin * longer, 24.0)
        left, top = max(min(int(x0 - more), w - 16), 0), max(min(int(y0 - more), h - 16), 0)
        right, bottom = min(max(int(x1 + more), left + 16), w), min(max(int(y1 + more), top + 16), h)
        scale = min(side / longer, most_scale)
        size = max(round((right - left) * scale), 16), max(round((bottom - top) * scale), 16)
        return MaskView((left, top, right, bottom), size, frame)

    @property
    def scale(self) -> float:
        """Working pixels in one of the frame."""
        return self.size[0] / (self.crop[2] - self.crop[0])

    def cut(self, values: np.ndarray) -> np.ndarray:
        """Cut this part out of a frame (h, w, ...), at working size."""
        x0, y0, x1, y1 = self.crop
        part = np.ascontiguousarray(values[y0:y1, x0:x1])
        smaller = self.size[0] < part.shape[1]
        return cv2.resize(part, self.size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)

    def cut_mask(self, mask: Mask) -> Bool[np.ndarray, "rows columns"]:
        """Cut this part out of a mask, at working size."""
        return self.cut(mask.astype(np.float32)) > 0.5

    def paste(self, mask: Mask) -> Bool[np.ndarray, "frame_h frame_w"]:
        """Return the mask of the whole frame; its outline is smooth where the working size is smaller."""
        x0, y0, x1, y1 = self.crop
        soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8)
        whole = np.zeros(self.frame, bool)
        whole[y0:y1, x0:x1] = cv2.resize(soft, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR) > 0.5
        return whole


def place_of(mask: Mask) -> Place:
    """Return the box around a mask, all 0 for an empty one."""
    x0, y0, x1, y1 = box_of(mask)
    return float(x0), float(y0), float(x1), float(y1)


def joined(*places: Place) -> Place:
    """Return the box around boxes."""
    left, top, right, bottom = zip(*places, strict=True)
    return min(left), min(top), max(right), max(bottom)
