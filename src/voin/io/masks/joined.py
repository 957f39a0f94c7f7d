"""Several masks as one: a folder with a folder an object, as SAM 2 writes them, or masks that are given several times.

Each is read on its own, so that it is matched to frames by its own names; then all are joined. Where objects overlap,
the one that comes first is in front.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from voin.core.errors import ValueRefusal, count_of
from voin.io.images import FRAME_SUFFIXES, list_pictures, natural
from voin.io.masks.labels import MaskSource, Origin
from voin.io.masks.planes import Plane
from voin.io.video_info import VideoInfo

_MOST_IDS = 255
_NAMED = 4  # parts that the line names


class Part(NamedTuple):
    """One of several masks, opened."""

    path: Path
    masks: MaskSource


def list_object_folders(path: Path) -> list[Path]:
    """List the folders of a folder that hold pictures, if there are none in it itself."""
    if not path.is_dir() or list_pictures(path):
        return []
    folders = (folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    return sorted((folder for folder in folders if list_pictures(folder)), key=lambda folder: natural(folder.name))


def check_no_frames(paths: Sequence[Path]) -> None:
    """Refuse pictures that are called like frames after each other, such as a shell makes of masks/*.png."""
    numbers = [re.findall(r"\d+", path.stem)[-1:] for path in paths]
    words = {re.sub(r"\d+", "0", path.stem) for path in paths}
    pictures = all(path.suffix.lower() in FRAME_SUFFIXES for path in paths)
    if pictures and len(words) == 1 and len({number[0] for number in numbers if number}) == len(paths):
        raise ValueRefusal(
            f"{len(paths)} pictures of different frames are given as MASKS ({paths[0].name}, ...)",
            "of several MASKS each shows an object of its own",
            f"give the folder that holds them, {paths[0].parent}, if they show the same",
        )


def join_masks(info: VideoInfo, parts: Sequence[Part], folders: bool, ids: Sequence[int] | None) -> MaskSource:
    """Make one set of masks of several.

    Args:
        info: the video.
        parts: from the front to the back.
        folders: whether they are the folders of one folder, an object each.
        ids: objects to take; None for all.

    Raises:
        ValueError: they are no objects, or too many.
    """
    numbers, numbered = _number_folders(parts) if folders else _number_parts(parts)
    tables = [_table(number) for number in numbers]
    planes, overlapping, frames = {}, set(), 0
    for frame in (frame for frame in range(info.count) if any(part.masks.given(frame) for part in parts)):
        label = np.zeros(info.size, np.uint8)
        hidden = np.zeros(info.size, bool)
        for part, table in zip(parts, tables, strict=True):
            if part.masks.given(frame):
                further = table[part.masks.label(frame)]
                both = (label > 0) & (further > 0)
                hidden |= both
                overlapping |= {(int(a), int(b)) for a, b in zip(*_pairs(label, further, both), strict=True)}
                label[label == 0] = further[label == 0]
        frames += bool(hidden.any())
        planes[frame] = Plane.of(label, "ids")
    given = {
        new: frozenset(frame for frame in range(info.count) if part.masks.given(frame, old))
        for part, number in zip(parts, numbers, strict=True)
        for old, new in number.items()
    }
    readings = [part.masks.reading for part in parts]
    origin = Origin(
        count=sum(reading.count for reading in readings),
        unit=readings[0].unit if len({reading.unit for reading in readings}) == 1 else "mask",
        matched=_matched(parts),
        within=f" in {len(parts)} {'folders' if folders else 'sets'}" if len(parts) > 1 else "",
        given=given,
        rims=sum(reading.rims for reading in readings),
        categories=_categories(parts, numbers, folders),
        numbered=numbered,
        overlaps=_said(overlapping, frames),
        black_and_white=all(reading.black_and_white for reading in readings),
    )
    return MaskSource(info, planes, {"ids": np.arange(256, dtype=np.uint8)}, ids, origin)


def _pairs(label: np.ndarray, further: np.ndarray, both: np.ndarray) -> np.ndarray:
    """Return the ids that overlap, (2, pairs)."""
    codes = np.unique(label[both].astype(np.uint16) << 8 | further[both])
    return np.stack([codes >> 8, codes & 255])


def _table(numbers: dict[int, int]) -> np.ndarray:
    table = np.zeros(256, np.uint8)
    for old, new in numbers.items():
        table[old] = new
    return table


def _number_folders(parts: Sequence[Part]) -> tuple[list[dict[int, int]], str]:
    """Number objects as their folders' names say; in order where these do not."""
    for part in parts:
        if len(part.masks.ids) > 1:
            several = ", ".join(map(str, part.masks.ids))
            raise ValueRefusal(
                f"{part.path} has the objects {several}",
                "in a folder of folders each must hold the masks of one object, white on black",
                "give the folder that holds the masks of all, or several MASKS one after the other",
            )
    names = [part.path.name for part in parts]
    numbers = [[int(number) for number in re.findall(r"\d{1,9}", name)[-1:]] for name in names]
    ids = [number[0] for number in numbers if number]
    kept = len(set(ids)) == len(names) and all(1 <= number <= _MOST_IDS for number in ids)
    if not kept:
        ids = list(range(1, len(names) + 1))
    _check_count(len(ids))
    listed = ", ".join(f"{number} is {name}" for number, name in [*zip(ids, names, strict=True)][:8])
    numbers = [dict.fromkeys(part.masks.ids, number) for part, number in zip(parts, ids, strict=True)]
    return numbers, "ids are the folders' names" if kept else f"ids are the folders, in order ({listed})"


def _number_parts(parts: Sequence[Part]) -> tuple[list[dict[int, int]], str]:
    """Keep ids where no two are alike; number the objects anew otherwise, in the order given."""
    every = [(place, number) for place, part in enumerate(parts) for number in part.masks.ids]
    kept = len({number for _, number in every}) == len(every)
    _check_count(len(every))
    numbers: list[dict[int, int]] = [{} for _ in parts]
    for new, (place, number) in enumerate(every, start=1):
        numbers[place][number] = number if kept else new
    listed = [
        f"{', '.join(map(str, found.values()))} from {part.path.name}"
        for part, found in zip(parts, numbers, strict=True)
        if found
    ]
    return numbers, f"ids are {'kept' if kept else 'numbered anew, in the order given'} ({'; '.join(listed[:8])})"


def _check_count(count: int) -> None:
    if count > _MOST_IDS:
        raise ValueRefusal(f"there are {count} objects", f"at most {_MOST_IDS} are understood", "give fewer")


def _categories(parts: Sequence[Part], numbers: Sequence[dict[int, int]], folders: bool) -> dict[int, str]:
    """Return what objects are: in the words of annotations, or as folders without numbers are called."""
    found = {}
    for part, number in zip(parts, numbers, strict=True):
        for old, new in number.items():
            word = part.masks.reading.categories.get(old, "")
            if folders and not re.search(r"\d", part.path.name):
                word = part.path.name
            if word:
                found[new] = word
    return found


def _matched(parts: Sequence[Part]) -> str:
    ways = list(dict.fromkeys(part.masks.reading.matched for part in parts))
    if len(ways) == 1:
        return ways[0]
    named = [f"{part.path.name} {part.masks.reading.matched}" for part in parts[:_NAMED]]
    return ", ".join([*named, *(["..."] if len(parts) > _NAMED else [])])


def _said(pairs: set[tuple[int, int]], frames: int) -> str:
    if not pairs:
        return ""
    who = "{} and {}".format(*min(pairs)) if len(pairs) == 1 else "objects"
    return f"{who} overlap in {count_of(frames, 'frame')}: the one given first is in front"
