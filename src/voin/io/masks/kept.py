"""What was read of masks, kept by a run: one that goes on need not decode ten thousand pictures again.

A file holds the packed planes of one set of masks, under a name made of all that they depend on: the files' names,
sizes and times of change, and how they were matched to frames. It is an archive of arrays. Nothing in it is believed:
what is damaged, or does not fit the video, is as good as absent.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from voin.core.files import identity, write_whole
from voin.io.masks.planes import Plane
from voin.io.masks.values import MOST_COLOURS, Kind
from voin.io.video_info import VideoInfo

_VERSION = 1  # of the file, and of what planes are made of
_KINDS: tuple[Kind, ...] = get_args(Kind)
_VALUES = 256


@dataclass(frozen=True)
class ReadMasks:
    """A set of masks, decoded, before their values are understood.

    Attributes:
        planes: by frame.
        counts: pixels of each raw value, (256,), for each kind that occurs.
        colours: raw value of each colour, as 0xRRGGBB.
        overlapping: frames in which objects overlap.
    """

    planes: dict[int, Plane]
    counts: dict[Kind, np.ndarray]
    colours: dict[int, int]
    overlapping: int


class KeptMasks:
    """Sets of masks in the folder of a run; what was read is written there once the run may write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._new: dict[str, ReadMasks] = {}

    def name(self, path: Path, frames: Sequence[int | None], info: VideoInfo) -> str:
        """Return what a set of masks is called: another name as soon as a file, its frame or the video is another."""
        facts = (_VERSION, identity(path), list(frames), str(info.path), info.count, info.size)
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]

    def find(self, name: str, info: VideoInfo) -> ReadMasks | None:
        """Return a kept set; None where there is none that is whole and fits the video."""
        try:
            with np.load(self._path(name), allow_pickle=False) as stored:
                return _restore({key: stored[key] for key in stored.files}, info.count, info.size)
        except Exception:  # of kinds that NumPy, zipfile and zlib do not tell
            return None

    def note(self, name: str, read: ReadMasks) -> None:
        """Remember what was read, for `save`."""
        # Its tables are changed while values are understood; planes are not.
        counts: dict[Kind, np.ndarray] = {kind: count.copy() for kind, count in read.counts.items()}
        self._new[name] = ReadMasks(dict(read.planes), counts, dict(read.colours), read.overlapping)

    def save(self) -> None:
        """Write what was noted, and forget it."""
        if not self._new:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, read in self._new.items():
            data = io.BytesIO()
            np.savez(data, allow_pickle=False, **_arrays(read))
            write_whole(self._path(name), data.getvalue())
        self._new.clear()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.npz"


def _arrays(read: ReadMasks) -> dict[str, np.ndarray]:
    planes = read.planes.values()
    return {
        "frames": np.array(list(read.planes), np.int64),
        "kinds": np.array([_KINDS.index(plane.kind) for plane in planes], np.int64),
        "boxes": np.array([(plane.top, plane.left, *plane.size) for plane in planes], np.int64).reshape(-1, 4),
        "lengths": np.array([len(plane.data) for plane in planes], np.int64),
        "data": np.frombuffer(b"".join(plane.data for plane in planes), np.uint8),
        "colours": np.array(list(read.colours.items()), np.int64).reshape(-1, 2),
        "overlapping": np.array(read.overlapping, np.int64),
        **{f"count_{kind}": count.astype(np.int64) for kind, count in read.counts.items()},
    }


def _restore(stored: dict[str, Any], count: int, size: tuple[int, int]) -> ReadMasks | None:
    """Make of arrays what they were made of; None where they cannot be."""
    frames, kinds, boxes, lengths = (stored[name] for name in ("frames", "kinds", "boxes", "lengths"))
    data, colours = stored["data"], stored["colours"]
    counts: dict[Kind, np.ndarray] = {kind: stored[f"count_{kind}"] for kind in _KINDS if f"count_{kind}" in stored}
    one_each = frames.shape == kinds.shape == lengths.shape and boxes.shape == (len(frames), 4)
    numbers = all(array.dtype == np.int64 for array in (frames, kinds, boxes, lengths, colours, *counts.values()))
    if not (one_each and numbers and data.dtype == np.uint8 and len(frames) <= count):
        return None
    inside = ((boxes >= 0) & (boxes <= [*size, *size])).all() and (boxes[:, :2] + boxes[:, 2:] <= size).all()
    known = {_KINDS[kind] for kind in kinds} if ((kinds >= 0) & (kinds < len(_KINDS))).all() else None
    in_video = len(set(frames.tolist())) == len(frames) and ((frames >= 0) & (frames < count)).all()
    if not (inside and in_video) or known != counts.keys() or (lengths < 0).any() or lengths.sum() != len(data):
        return None
    if any(tally.shape != (_VALUES,) or (tally < 0).any() for tally in counts.values()):
        return None
    if colours.shape[1:] != (2,) or not ((colours[:, 1] > 0) & (colours[:, 1] <= MOST_COLOURS)).all():
        return None
    content, planes, start = data.tobytes(), {}, 0
    for frame, kind, (top, left, h, w), length in zip(
        *(x.tolist() for x in (frames, kinds, boxes, lengths)), strict=True
    ):
        packed = content[start : start + length]
        unpacking = zlib.decompressobj()
        if len(unpacking.decompress(packed, h * w + 1)) != h * w or not unpacking.eof:
            return None
        planes[frame], start = Plane(_KINDS[kind], top, left, (h, w), packed), start + length
    pairs = {int(code): int(value) for code, value in colours.tolist()}
    return ReadMasks(planes, counts, pairs, int(stored["overlapping"]))
