"""Find again what was hidden: the last clear view of an object, laid over the frame where the object must be.

While something is in front, the pixels of the clear view that the frame shows again are the object; the others are what
hides it. So a mask shrinks behind an occluder, vanishes, and comes back, also where nothing of it was left to follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float

from voin.clip import Mask, Picture
from voin.mask_smooth import lab
from voin.mask_view import MaskView, Place
from voin.window import box_of


@dataclass(frozen=True)
class ReturnConfig:
    """When an object counts as hidden, and as seen again.

    Args:
        hidden: below this share of its clear area it is hidden in part.
        clear: from this share on it is clear again.
        forget: frames after which a smaller object is taken for what it is, not for a hidden one.
        reach: it is searched for so far from where it must be, over its size ...
        reach_growth: ... and so much farther for each frame that it is hidden wholly ...
        most_reach: ... up to this.
        alike: pixels of less colour difference show the same, in levels.
        least_seen: share of the clear view that must be seen again.
        agreement: least correlation of the detail of what is seen again.
    """

    hidden: float = 0.7
    clear: float = 0.9
    forget: int = 60
    reach: float = 0.08
    reach_growth: float = 0.02
    most_reach: float = 0.35
    alike: float = 14.0
    least_seen: float = 0.1
    agreement: float = 0.4


@dataclass(frozen=True, eq=False)
class Clear:
    """The last clear view of an object, and where it must be now.

    Attributes:
        picture: its box, cut out of the frame.
        mask: the object in it.
        place: where that box is now, in pixels of the frame.
        age: frames since then.
        lost: frames in a row in which nothing of it was seen.
    """

    picture: Picture
    mask: Mask
    place: Place
    age: int = 0
    lost: int = 0

    @staticmethod
    def of(frame: Picture, mask: Mask) -> Clear:
        """Keep an object as it is seen now."""
        x0, y0, x1, y1 = box_of(mask)
        place = float(x0), float(y0), float(x1), float(y1)
        return Clear(frame[y0:y1, x0:x1].copy(), mask[y0:y1, x0:x1].copy(), place)

    @property
    def area(self) -> int:
        """Pixels of the object."""
        return int(np.count_nonzero(self.mask))

    def share(self, mask: Mask) -> float:
        """Give the area of a mask over that of the clear view."""
        return np.count_nonzero(mask) / max(self.area, 1)

    def moved(self, shift: Float[np.ndarray, "2"], seen: bool) -> Clear:
        """Move it on to the next frame by (dx, dy); `seen` says whether anything of the object was."""
        (x0, y0, x1, y1), (dx, dy) = self.place, (float(each) for each in shift)
        place = (x0 + dx, y0 + dy, x1 + dx, y1 + dy)
        return replace(self, place=place, age=self.age + 1, lost=0 if seen else self.lost + 1)

    def look(
        self, now: Picture, view: MaskView, shift: Float[np.ndarray, "2"], config: ReturnConfig
    ) -> tuple[Float[np.ndarray, "2"], Mask] | None:
        """Look for it in the next frame.

        Args:
            now: the part `view` of the frame, at working size.
            view: of the frame.
            shift: (dx, dy) by which it must have moved, pixels of the frame.
            config: see there.

        Returns:
            The shift by which it has moved, and the pixels of the view that show it again; None if none do.
        """
        x0, y0, x1, y1 = self.place
        size = max(round((x1 - x0) * view.scale), 8), max(round((y1 - y0) * view.scale), 8)
        small = cv2.resize(self.picture, size, interpolation=cv2.INTER_AREA)
        picture = _colours(small)
        mask = cv2.resize(self.mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
        start = (np.array([x0, y0]) + shift - view.crop[:2]) * view.scale
        reach = min(config.reach + config.reach_growth * self.lost, config.most_reach) * max(size)
        frame = _colours(now)
        at = _best_place(frame, picture, mask, start, reach, config.alike)
        if at is None:
            return None
        seen = _seen(np.dstack([frame, _detail(now)]), np.dstack([picture, _detail(small)]), mask, at, config)
        if seen is None:
            return None
        return shift + (np.array(at) - np.round(start)) / view.scale, seen


def _colours(picture: Picture) -> Float[np.ndarray, "h w 3"]:
    return cv2.GaussianBlur(lab(picture), (0, 0), 1.5)


def _detail(picture: Picture) -> Float[np.ndarray, "h w"]:
    """Give what is finer than the colours by which places are compared: chance does not make that agree."""
    light = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.GaussianBlur(light, (0, 0), 0.7) - cv2.GaussianBlur(light, (0, 0), 2.5)


def _best_place(
    frame: Float[np.ndarray, "h w 3"],
    picture: Float[np.ndarray, "h w 3"],
    mask: Mask,
    start: Float[np.ndarray, "2"],
    reach: float,
    alike: float,
) -> tuple[int, int] | None:
    """Find where most pixels of the clear view are alike; gives the left and top of its box."""
    rows, columns = np.nonzero(mask)
    if len(rows) < 30:
        return None
    step = max(len(rows) // 800, 1)
    rows, columns = rows[::step], columns[::step]
    colours = picture[rows, columns]
    h, w = frame.shape[:2]
    left, top = (round(float(each)) for each in start)
    grid = max(round(reach / 12), 1)
    best: tuple[float, tuple[int, int]] | None = None
    steps = np.arange(-int(reach // grid), int(reach // grid) + 1) * grid
    fine = np.arange(-grid + 1, grid)
    for offsets in (steps, fine):
        middle = best[1] if best is not None else (left, top)
        for down in offsets:
            for right in offsets:
                y, x = rows + middle[1] + down, columns + middle[0] + right
                inside = (y >= 0) & (x >= 0) & (y < h) & (x < w)
                difference = np.abs(frame[y.clip(0, h - 1), x.clip(0, w - 1)] - colours).sum(axis=-1)
                score = float(np.maximum(1 - difference / (2 * alike), 0)[inside].sum()) / len(rows)
                # Of equals the nearest.
                score -= 1e-3 * float(np.hypot(middle[0] + right - left, middle[1] + down - top)) / max(reach, 1)
                if best is None or score > best[0]:
                    best = score, (int(middle[0] + right), int(middle[1] + down))
    return best[1] if best is not None else None


def _seen(
    frame: Float[np.ndarray, "h w 4"],
    picture: Float[np.ndarray, "h w 4"],
    mask: Mask,
    at: tuple[int, int],
    config: ReturnConfig,
) -> Mask | None:
    """Mark the pixels that show the clear view again, if they are enough and fit it in detail."""
    (left, top), (h, w) = at, frame.shape[:2]
    y0, y1, x0, x1 = max(top, 0), min(top + mask.shape[0], h), max(left, 0), min(left + mask.shape[1], w)
    if y1 - y0 < 4 or x1 - x0 < 4:
        return None
    there, here = frame[y0:y1, x0:x1], picture[y0 - top : y1 - top, x0 - left : x1 - left]
    part = mask[y0 - top : y1 - top, x0 - left : x1 - left]
    alike = (part & (np.abs(there - here)[..., :3].sum(axis=-1) < config.alike)).astype(np.uint8)
    alike = cv2.morphologyEx(alike, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    if np.count_nonzero(alike) < config.least_seen * np.count_nonzero(mask):
        return None
    closed = cv2.morphologyEx(alike.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)) > 0
    one, other = there[closed & part][:, 3], here[closed & part][:, 3]
    if min(one.std(), other.std()) < 0.5 or float(np.corrcoef(one, other)[0, 1]) < config.agreement:
        return None
    seen = np.zeros((h, w), bool)
    seen[y0:y1, x0:x1] = alike
    return seen
