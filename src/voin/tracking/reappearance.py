"""Find again what was hidden: the last clear view of an object, laid over the frame where the object must be.

While something is in front, the pixels of the clear view that the frame shows again are the object; the others are what
hides it. So a mask shrinks behind an occluder, vanishes, and comes back, also where nothing of it was left to follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import cv2
import numpy as np
from jaxtyping import Bool, Float

from voin.core.types import Mask, Picture
from voin.method.window import box_of
from voin.tracking.smooth import lab
from voin.tracking.view import MaskView, Place, place_of

_NEXT = np.ones((5, 5), np.uint8)
_ALL = 0.95  # of an object's pixels: the rest is noise


@dataclass(frozen=True)
class ReturnConfig:
    """When an object counts as hidden, and as seen again."""

    hidden: float = 0.7  # below this share of its clear area it is hidden in part, and ...
    clear: float = 0.9  # ... from this share on it is clear again
    forget: int = 60  # frames after which a smaller object is taken for what it is, not for a hidden one
    reach: float = 0.08  # it is searched for so far from where it must be, over its size, ...
    reach_growth: float = 0.02  # ... and so much farther for each frame that it is hidden wholly, ...
    most_reach: float = 0.35  # ... up to this
    alike: float = 14.0  # pixels of less colour difference show the same, in levels
    least_seen: float = 0.1  # share of the clear view that must be seen again
    agreement: float = 0.4  # least correlation of the detail of what is seen again
    loose: float = 0.6  # up to this correlation the clear view says nothing else, ...
    rigid: float = 0.9  # ... from this one on it says it all
    explained: float = 0.75  # with less than this share of it in its clear view, an object has changed
    fade: float = 0.97  # what is left, each frame, of a view's proof that it had explained its object
    settled: int = 8  # age of a view, in frames, at which it has its full say: a new one fits whatever it is
    shows: float = 3.0  # log odds of pixels that show the object again, ...
    hides: float = 3.0  # ... against pixels that hide it, ...
    beside: float = 1.5  # ... and against pixels beside it


@dataclass(frozen=True, eq=False)
class Again:
    """The clear view laid over a frame."""

    shift: Float[np.ndarray, "2"]  # (dx, dy) by which it has moved, pixels of the frame
    laid: Mask  # the whole object at working size, hidden or not
    seen: Mask  # its pixels that the frame shows
    agreement: float  # correlation of the detail of what is seen

    def explained(self, mask: Mask, config: ReturnConfig) -> float:
        """Return from 0 to 1 how much of a mask the clear view explains: all that is seen of a rigid object."""
        count = np.count_nonzero(mask)
        if count == 0:
            return 1.0
        share = np.count_nonzero(mask & cv2.dilate(self.seen.astype(np.uint8), _NEXT).astype(bool)) / count
        return float(np.clip((share - config.explained) / (_ALL - config.explained), 0, 1))

    def agreed(self, config: ReturnConfig) -> float:
        """Return from 0 to 1 how well what is seen fits the clear view in detail."""
        return float(np.clip((self.agreement - config.loose) / (config.rigid - config.loose), 0, 1))

    def weigh(self, odds: Float[np.ndarray, "h w"], trust: float, config: ReturnConfig) -> Float[np.ndarray, "h w"]:
        """Bring the clear view into the log odds of each pixel being the object, as far as it is trusted (0 to 1).

        What is seen again is the object; the rest of its view is hidden, and there is nothing of it beside its view.
        """
        without = odds - trust * np.where(self.laid, config.hides, config.beside)
        shown = np.maximum(odds, config.shows * (2 * trust - 1)) if trust > 0.5 else odds
        return np.where(self.seen, shown, without)


@dataclass(frozen=True, eq=False)
class Clear:
    """The last clear view of an object, and where it must be now."""

    picture: Picture  # its box, cut out of the frame
    mask: Mask  # the object in it
    place: Place  # where that box is now
    age: int = 0  # frames since then
    lost: int = 0  # frames in a row in which nothing of it was seen

    @staticmethod
    def of(frame: Picture, mask: Mask) -> Clear:
        """Keep an object as it is seen now."""
        x0, y0, x1, y1 = box_of(mask)
        return Clear(frame[y0:y1, x0:x1].copy(), mask[y0:y1, x0:x1].copy(), place_of(mask))

    @property
    def area(self) -> int:
        """Pixels of the object."""
        return int(np.count_nonzero(self.mask))

    def share(self, mask: Mask) -> float:
        """Return the area of a mask over that of the clear view."""
        return np.count_nonzero(mask) / max(self.area, 1)

    def moved(self, shift: Float[np.ndarray, "2"], seen: bool) -> Clear:
        """Move it on to the next frame by (dx, dy); `seen` says whether anything of the object was."""
        (x0, y0, x1, y1), (dx, dy) = self.place, (float(step) for step in shift)
        place = (x0 + dx, y0 + dy, x1 + dx, y1 + dy)
        return replace(self, place=place, age=self.age + 1, lost=0 if seen else self.lost + 1)

    def look(
        self, now: Picture, view: MaskView, shifts: Sequence[Float[np.ndarray, "2"]], config: ReturnConfig
    ) -> Again | None:
        """Look for it in the next frame, of which `now` is the part `view`; None if it is not seen.

        It is searched for around each of `shifts`, (dx, dy) by which it may have moved, pixels of the frame.
        """
        x0, y0, x1, y1 = self.place
        size = max(round((x1 - x0) * view.scale), 8), max(round((y1 - y0) * view.scale), 8)
        small = cv2.resize(self.picture, size, interpolation=cv2.INTER_AREA)
        picture = _colours(small)
        mask = cv2.resize(self.mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
        reach = min(config.reach + config.reach_growth * self.lost, config.most_reach) * max(size)
        frame = _colours(now)
        first = (np.array([x0, y0]) - view.crop[:2]) * view.scale
        tried = [_best_place(frame, picture, mask, first + shift * view.scale, reach, config.alike) for shift in shifts]
        score, at = max(tried)
        if score < config.least_seen:
            return None
        laid, moved = _lay(np.dstack([picture, _detail(small)]), mask, at, (now.shape[0], now.shape[1]))
        found = _seen(np.dstack([frame, _detail(now)]), moved, laid, config)
        if found is None:
            return None
        moved = (np.array(at) - first) / view.scale
        return Again(moved, laid, *found)


def _colours(picture: Picture) -> Float[np.ndarray, "h w 3"]:
    return cv2.GaussianBlur(lab(picture), (0, 0), 1.5)


def _detail(picture: Picture) -> Float[np.ndarray, "h w"]:
    """Return what is finer than the colours by which places are compared: chance does not make that agree."""
    light = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.GaussianBlur(light, (0, 0), 0.7) - cv2.GaussianBlur(light, (0, 0), 2.5)


def _best_place(
    frame: Float[np.ndarray, "h w 3"],
    picture: Float[np.ndarray, "rows columns 3"],
    mask: Bool[np.ndarray, "rows columns"],
    start: Float[np.ndarray, "2"],
    reach: float,
    alike: float,
) -> tuple[float, tuple[int, int]]:
    """Find where most pixels of the clear view are alike; gives their share, and the left and top of its box there."""
    rows, columns = np.nonzero(mask)
    if len(rows) < 30:
        return 0.0, (0, 0)
    step = max(len(rows) // 800, 1)
    rows, columns = rows[::step], columns[::step]
    colours = picture[rows, columns]
    h, w = frame.shape[:2]
    left, top = (round(float(edge)) for edge in start)
    grid = max(round(reach / 12), 1)
    best = -np.inf, (left, top)
    steps = np.arange(-int(reach // grid), int(reach // grid) + 1) * grid
    fine = np.arange(-grid + 1, grid)
    for offsets in (steps, fine):
        middle = best[1]
        for down, right in product(offsets, offsets):
            y, x = rows + middle[1] + down, columns + middle[0] + right
            inside = (y >= 0) & (x >= 0) & (y < h) & (x < w)
            difference = np.abs(frame[y.clip(0, h - 1), x.clip(0, w - 1)] - colours).sum(axis=-1)
            score = float(np.maximum(1 - difference / (2 * alike), 0)[inside].sum()) / len(rows)
            # Of equals the nearest.
            score -= 1e-3 * float(np.hypot(middle[0] + right - left, middle[1] + down - top)) / max(reach, 1)
            if score > best[0]:
                best = score, (int(middle[0] + right), int(middle[1] + down))
    return best


def _lay(
    picture: Float[np.ndarray, "h w 4"], mask: Mask, at: tuple[int, int], size: tuple[int, int]
) -> tuple[Bool[np.ndarray, "frame_h frame_w"], Float[np.ndarray, "frame_h frame_w 4"]]:
    """Lay the clear view into an empty picture of `size` (h, w), with its left and top at `at`."""
    (left, top), (h, w) = at, size
    laid, moved = np.zeros(size, bool), np.zeros((*size, 4), np.float32)
    y0, y1, x0, x1 = max(top, 0), min(top + mask.shape[0], h), max(left, 0), min(left + mask.shape[1], w)
    if y0 < y1 and x0 < x1:
        part = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        laid[y0:y1, x0:x1], moved[y0:y1, x0:x1] = mask[part], picture[part]
    return laid, moved


def _seen(
    frame: Float[np.ndarray, "h w 4"], moved: Float[np.ndarray, "h w 4"], laid: Mask, config: ReturnConfig
) -> tuple[Mask, float] | None:
    """Mark the pixels that show the clear view, and tell how well they fit it in detail; None if there are too few."""
    alike = (laid & (np.abs(frame - moved)[..., :3].sum(axis=-1) < config.alike)).astype(np.uint8)
    alike = cv2.morphologyEx(alike, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    if np.count_nonzero(alike) < max(config.least_seen * np.count_nonzero(laid), 30):
        return None
    closed = laid & (cv2.morphologyEx(alike.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)) > 0)
    one, other = frame[closed][:, 3], moved[closed][:, 3]
    if min(one.std(), other.std()) < 0.5:
        return None
    agreement = float(np.corrcoef(one, other)[0, 1])
    return (alike, agreement) if agreement >= config.agreement else None
