"""The label map of any frame, whatever the masks were stored as, and label maps as indexed PNGs."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from voin.core.errors import ValueRefusal
from voin.core.files import write_whole
from voin.io.masks.frames import are_keyframes
from voin.io.masks.planes import Plane
from voin.io.masks.reading import MaskReading
from voin.io.masks.values import Kind
from voin.io.video_info import VideoInfo

_INVERTED_SHARE = 0.6  # of the frame; what covers more and touches all four sides surrounds the object
VOID = 255  # the index of pixels that belong to no one in label pictures of Pascal VOC and DAVIS


@cache
def davis_palette() -> np.ndarray:
    """Return the colours of object ids in the DAVIS and Pascal VOC data sets: uint8 (256, 3) RGB, 0 is black."""
    numbers, bits = np.arange(256), range(8)
    channels = [sum((numbers >> (3 * bit + channel) & 1) << (7 - bit) for bit in bits) for channel in range(3)]
    return np.stack(channels, axis=1).astype(np.uint8)


@dataclass(frozen=True)
class Origin:
    """Where masks are from, in the words of their reading.

    Attributes:
        count: masks that were given.
        unit: what one is.
        matched: how they were matched to frames.
        within: what the masks lie in, where that is several.
        given: frames that have a mask of an object, by id, where these differ; None where a mask is one of all objects.
        may_be_void: whether 255 beside other ids is void.
    """

    count: int
    unit: str
    matched: str
    within: str = ""
    given: Mapping[int, frozenset[int]] | None = None
    may_be_void: bool = False
    rims: int = 0
    categories: Mapping[int, str] = field(default_factory=dict)
    numbered: str = ""
    overlaps: str = ""
    black_and_white: bool = False


class MaskSource:
    """The masks of a video's objects, from `open_masks`."""

    ids: tuple[int, ...]  # of objects, rising: all that occur but void, or those asked for
    found: tuple[int, ...]  # all ids that occur
    boxes: np.ndarray  # (objects, frames, 4) of x0, y0, x1, y1, the latter exclusive; zeros where it is not seen
    areas: np.ndarray  # (objects, frames), pixels
    reading: MaskReading

    def __init__(
        self,
        info: VideoInfo,
        planes: dict[int, Plane],
        tables: dict[Kind, np.ndarray],
        ids: Iterable[int] | None,
        origin: Origin,
    ) -> None:
        self._size = info.size
        self._planes = planes
        self._tables = tables
        self._given = origin.given
        found = self._measure()
        self.found = tuple(sorted(found))
        void = origin.may_be_void and "ids" in tables and ids is None and {VOID} < found.keys()
        self.ids = tuple(sorted(set(found if ids is None else ids) - ({VOID} if void else set())))
        for table in tables.values():
            table[~np.isin(table, self.ids)] = 0
        self.boxes = np.zeros((len(self.ids), info.count, 4), np.int64)
        self.areas = np.zeros((len(self.ids), info.count), np.int64)
        for place, number in enumerate(self.ids):
            for frame, (box, area) in found.get(number, {}).items():
                self.boxes[place, frame] = box
                self.areas[place, frame] = area
        pixels = info.size[0] * info.size[1]
        lacking = {number: [f for f in range(info.count) if not self.given(f, number)] for number in self.ids}
        missing = set(range(info.count)) - planes.keys()
        self.reading = MaskReading(
            count=origin.count,
            unit=origin.unit,
            within=origin.within,
            matched=origin.matched,
            frames=info.count,
            missing=tuple(sorted(missing.union(*lacking.values()))),
            lacking=tuple(number for number in self.ids if set(lacking[number]) - missing),
            shares={n: sum(area for _, area in found[n].values()) / len(found[n]) / pixels for n in self.found},
            taken=self.ids,
            void=void,
            surrounding=tuple(number for number in self.found if self._covers(found[number])),
            black_and_white=origin.black_and_white or (set(tables) == {"grey"} and len(self.found) == 1),
            rims=origin.rims,
            categories=origin.categories,
            numbered=origin.numbered,
            overlaps=origin.overlaps,
        )

    def given(self, frame: int, number: int | None = None) -> bool:
        """Return whether there is a mask for this frame, of any object or of one, be it an empty one."""
        if number is None or self._given is None:
            return frame in self._planes
        return frame in self._given.get(number, ())

    def frames_given(self, number: int, start: int, end: int) -> list[int]:
        """List the frames start..end-1 that have a mask of an object, be it an empty one."""
        return [frame for frame in range(start, end) if self.given(frame, number)]

    def on_keyframes(self, ids: Iterable[int], start: int, end: int) -> bool:
        """Return whether objects lack masks in the frames start..end-1, and all that do have them on keyframes."""
        given = [self.frames_given(number, start, end) for number in ids]
        lacking = [frames for frames in given if len(frames) < end - start]
        return bool(lacking) and all(are_keyframes(frames, start, end) for frames in lacking)

    def label(self, frame: int) -> np.ndarray:
        """Return the object ids of a frame: uint8 (h, w), 0 where no object is seen or no mask is given."""
        label = np.zeros(self._size, np.uint8)
        plane = self._planes.get(frame)
        if plane is not None:
            (h, w), top, left = plane.size, plane.top, plane.left
            label[top : top + h, left : left + w] = self._tables[plane.kind][plane.values()]
        return label

    def _covers(self, seen: dict[int, tuple[tuple[int, int, int, int], int]]) -> bool:
        """Return whether an object looks like what surrounds one: most of the frame, all four sides, most masks."""
        h, w = self._size
        wide = [box == (0, 0, w, h) and area > _INVERTED_SHARE * h * w for box, area in seen.values()]
        return 2 * sum(wide) > len(self._planes)

    def _measure(self) -> dict[int, dict[int, tuple[tuple[int, int, int, int], int]]]:
        found: dict[int, dict[int, tuple[tuple[int, int, int, int], int]]] = {}
        for frame, plane in self._planes.items():
            label = self._tables[plane.kind][plane.values()]
            for number in np.flatnonzero(np.bincount(label.ravel(), minlength=1)[1:]) + 1:
                mask = (label == number).view(np.uint8)
                x, y, w, h = cv2.boundingRect(mask)
                box = (plane.left + x, plane.top + y, plane.left + x + w, plane.top + y + h)
                found.setdefault(int(number), {})[frame] = (box, cv2.countNonZero(mask))
        return found


def write_label(path: str | Path, label: np.ndarray) -> None:
    """Write object ids, uint8 (h, w), as an indexed PNG in the colours of DAVIS; never leaves half a file."""
    if label.dtype != np.uint8 or label.ndim != 2:
        raise ValueRefusal(
            f"a label map has shape {label.shape} and dtype {label.dtype}", "it must be uint8 (h, w)", "convert it"
        )
    picture = Image.fromarray(label)
    picture.putpalette(davis_palette().tobytes())  # makes it an indexed picture
    data = io.BytesIO()
    picture.save(data, "PNG", compress_level=1)
    write_whole(Path(path), data.getvalue())
