"""Masks in files: the label map of any frame, whatever the masks were stored as, and label maps as indexed PNGs.

All masks are read once, on opening: that finds every mistake before work starts. They are kept as packed cut-outs of a
few kilobytes each, so that memory hardly grows with the length of the video.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.files import write_whole
from voin.io.images import shown
from voin.io.masks.annotations.formats import AnnotationMasks
from voin.io.masks.frames import MatchedFrames, Moments, frames_of
from voin.io.masks.npz import ArrayMasks
from voin.io.masks.pictures import PictureMasks
from voin.io.masks.reading import MaskReading
from voin.io.masks.rims import find_rims, without_rims
from voin.io.masks.values import Kind, MaskFormat, NamedObjects, ids_of_values
from voin.io.masks.video import VideoMasks
from voin.io.video_info import VideoInfo

_INVERTED_SHARE = 0.6  # of the frame; what covers more and touches all four sides surrounds the object
VOID = 255  # the index of pixels that belong to no one in label pictures of Pascal VOC and DAVIS

# How masks may be stored: the first that takes a path opens it. Another way is a file of its own, and a line here.
FORMATS: list[MaskFormat] = [AnnotationMasks(), PictureMasks, ArrayMasks, VideoMasks]


@cache
def davis_palette() -> np.ndarray:
    """Return the colours of object ids in the DAVIS and Pascal VOC data sets: uint8 (256, 3) RGB, 0 is black."""
    numbers, bits = np.arange(256), range(8)
    channels = [sum((numbers >> (3 * bit + channel) & 1) << (7 - bit) for bit in bits) for channel in range(3)]
    return np.stack(channels, axis=1).astype(np.uint8)


@dataclass(frozen=True)
class _Plane:
    """A mask, packed: the part that is not 0."""

    kind: Kind
    top: int
    left: int
    size: tuple[int, int]
    data: bytes

    @staticmethod
    def of(values: np.ndarray, kind: Kind) -> _Plane:
        x, y, w, h = cv2.boundingRect(values) if values.any() else (0, 0, 0, 0)
        return _Plane(kind, y, x, (h, w), zlib.compress(values[y : y + h, x : x + w].tobytes(), 1))

    def values(self) -> np.ndarray:
        return np.frombuffer(zlib.decompress(self.data), np.uint8).reshape(self.size)

    def inverted(self, table: np.ndarray, size: tuple[int, int]) -> _Plane:
        """Return a mask of 1 where `table` says 0, of a whole frame."""
        mask = np.ones(size, np.uint8)
        mask[self.top : self.top + self.size[0], self.left : self.left + self.size[1]] = table[self.values()] == 0
        return _Plane.of(mask, "grey")


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
        planes: dict[int, _Plane],
        tables: dict[Kind, np.ndarray],
        ids: Iterable[int] | None,
        matched: MatchedFrames,
        unit: str,
        rims: int = 0,
        objects: NamedObjects | None = None,
    ) -> None:
        self._size = info.size
        self._planes = planes
        self._tables = tables
        found = self._measure()
        self.found = tuple(sorted(found))
        # Arrays name their objects, so that in them 255 is one like any other.
        void = unit == "file" and "ids" in tables and ids is None and {VOID} < found.keys()
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
        self.reading = MaskReading(
            count=len(matched.frames),
            unit=unit,
            matched=matched.how,
            frames=info.count,
            missing=tuple(frame for frame in range(info.count) if frame not in planes),
            shares={n: sum(area for _, area in found[n].values()) / len(found[n]) / pixels for n in self.found},
            taken=self.ids,
            void=void,
            surrounding=tuple(number for number in self.found if self._covers(found[number])),
            black_and_white=set(tables) == {"grey"} and len(self.found) == 1,
            rims=rims,
            categories={} if objects is None else objects.categories,
            numbered="" if objects is None else objects.numbered,
        )

    def given(self, frame: int) -> bool:
        """Return whether there is a mask for this frame, be it an empty one."""
        return frame in self._planes

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


def open_masks(
    path: str | Path,
    info: VideoInfo,
    *,
    resize: bool = False,
    frames: str | Sequence[int] | None = None,
    absent: Literal["invisible", "error"] = "invisible",
    ids: Sequence[int] | None = None,
    invert: bool = False,
    empty: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> MaskSource:
    """Read masks of the objects in a video, and check that they fit it.

    Masks are a folder of PNGs (indexed: object ids; grey: see `ids_of_values`; or coloured), a single such PNG, a mask
    video (white on black), an .npz (one array (t, h, w) of bool or ids, or one bool array an object), or annotations
    (COCO, YouTube-VIS, CVAT for video, LabelMe).

    Args:
        path: The masks.
        info: The video.
        resize: Scale masks of another size to the video's (nearest pixel).
        frames: Frames that the masks belong to, such as "0,5,10" or "0-70:5"; otherwise the file names say it.
        absent: What a frame without a mask means: the object is not visible there, or it is an error.
        ids: Objects to take; each must occur. None for all.
        invert: Take what is black in masks of white on black for the object.
        empty: Accept masks that show nothing in any frame.
        progress: Called with (masks read, masks in all).

    Raises:
        OSError: a file cannot be read.
        ValueError: number, sizes, names or values of the masks do not fit.
    """
    path = Path(path)
    if not path.exists():
        must = "it must be a folder of PNGs, a mask video, an .npz or an annotation file"
        raise FileRefusal(f"{path} does not exist", must, "check the spelling")
    stored = next(form for form in FORMATS if form.takes(path))(path)
    objects = stored if isinstance(stored, NamedObjects) else None
    if objects is not None:
        objects.choose(info)
    matched = frames_of(path, stored.names, info, frames)
    if stored.size is not None and stored.size != info.size and not resize:
        raise _size_refusal(str(path), stored.size, info)
    missing = sorted(set(range(info.count)) - set(matched.frames))
    if absent == "error" and missing:
        have = f"{path} has {len(matched.frames)} masks for a video of {info.count} frames"
        raise ValueRefusal(
            f"{have}, and none for frame {missing[0]}",
            "every frame must have one",
            "add it, empty if the object is not visible there",
        )
    colours: dict[int, int] = {}
    counts: dict[Kind, np.ndarray] = {}
    planes: dict[int, _Plane] = {}
    pairs = zip(matched.frames, stored.masks(colours), strict=True)
    for done, (frame, (where, values, kind)) in enumerate(pairs, start=1):
        if progress is not None:
            progress(done, len(matched.frames))
        if frame is None:
            continue
        if values.shape != info.size:
            h, w = info.size
            if not resize:
                raise _size_refusal(where, values.shape[:2], info)
            values = cv2.resize(values, (w, h), interpolation=cv2.INTER_NEAREST_EXACT)
        plane = _Plane.of(np.ascontiguousarray(values), kind)
        counts[kind] = counts.get(kind, 0) + np.bincount(plane.values().ravel(), minlength=256)
        planes[frame] = plane
    # Outlines have hard edges: what is thin in them is an object.
    planes, rims = (planes, 0) if objects else _without_rims(planes, counts, colours, ids)
    tables = ids_of_values(path, counts, colours, davis_palette())
    if invert:
        if set(counts) != {"grey"} or tables["grey"].max() > 1:
            raise ValueRefusal(
                f"{path} has object ids or colours",
                "only masks of white on black can be inverted",
                "leave out --invert-masks, and choose objects with --ids",
            )
        planes = {frame: plane.inverted(tables["grey"], info.size) for frame, plane in planes.items()}
        tables["grey"] = np.arange(256, dtype=np.uint8)
    unit = "annotated frame" if objects else "mask frame" if isinstance(stored.names, int | Moments) else "file"
    source = MaskSource(info, planes, tables, ids, matched, unit, rims, objects)
    lost = sorted(set(ids or ()) - set(source.found))
    if lost:
        raise ValueRefusal(
            f"{path} has no object {', '.join(map(str, lost))} in any frame, of those asked for",
            "each must occur",
            f"ask for some of {', '.join(map(str, source.found))}",
        )
    if not (source.ids or empty):
        raise ValueRefusal(
            f"{path} has no object in any frame: all masks are empty",
            "at least one must show the object",
            "check that the object is white or has an id above 0",
        )
    return source


def _without_rims(
    planes: dict[int, _Plane], counts: dict[Kind, np.ndarray], colours: dict[int, int], ids: Sequence[int] | None
) -> tuple[dict[int, _Plane], int]:
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


def _size_refusal(where: str, size: tuple[int, ...], info: VideoInfo) -> ValueRefusal:
    turned = f" (a viewer turns it by {info.rotation} degrees)" if info.rotation and size == info.stored_size else ""
    what = f"{where} is {shown((size[0], size[1]))} for a video of {shown(info.size)}{turned}"
    return ValueRefusal(what, "masks must have the video's size", "scale them, or use --resize-masks")


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
