"""VOI sets on disk: open one, read its clips, write a clip's pictures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from voin.core.errors import FileRefusal
from voin.data.manifest import (
    AMODAL,
    COMPOSITE,
    KINDS,
    OCCLUDER,
    TRUTH,
    VISIBLE,
    ClipRecord,
    Manifest,
    clip_folder,
    file_name,
    read_manifest,
    sum_of,
)
from voin.io.images import check_whole, header_size, opened, read_picture, shown, write_image
from voin.io.masks.source import write_label

_Pictures = UInt8[np.ndarray, "t h w 3"]
_Masks = Bool[np.ndarray, "t h w"]


@dataclass(frozen=True)
class VoiClip:
    """A clip of a set: the true frames, and what stands before them; `pixels` are the occluder's, 0 where it is not."""

    record: ClipRecord
    truth: _Pictures
    amodal: _Masks
    visible: _Masks
    occluder: _Masks
    pixels: _Pictures

    @property
    def frames(self) -> np.ndarray:
        """The input of a method: the truth behind the occluder, uint8 (t, h, w, 3)."""
        return np.where(self.occluder[..., None], self.pixels, self.truth)

    @property
    def occluded(self) -> np.ndarray:
        """The hidden part of the object, bool (t, h, w)."""
        return self.amodal & ~self.visible


@dataclass(frozen=True)
class VoiSet:
    """A set on disk; clips are read one by one."""

    root: Path
    manifest: Manifest

    def records(self, split: str | None = None) -> tuple[ClipRecord, ...]:
        """List the clips of a split, or all, sorted by name."""
        return tuple(record for record in self.manifest.clips if split in (None, record.split))

    def folder(self, record: ClipRecord, kind: str) -> Path:
        """Return the folder of one kind of a clip's files."""
        return clip_folder(self.root, record.split, kind, record.name)

    def load(self, record: ClipRecord) -> VoiClip:
        """Read a clip; files that are missing, broken or of another size are refused (OSError)."""
        readers = {OCCLUDER: read_occluder, TRUTH: read_picture, AMODAL: _read_indexed, VISIBLE: _read_indexed}
        pictures = {}
        for kind, read in readers.items():
            paths = [self.folder(record, kind) / file_name(kind, i) for i in range(record.count)]
            pictures[kind] = np.stack([_sized(path, read, record) for path in paths])
        pixels, alpha = np.split(pictures[OCCLUDER], [3], axis=-1)
        return VoiClip(
            record,
            pictures[TRUTH],
            pictures[AMODAL] > 0,
            pictures[VISIBLE] > 0,
            alpha[..., 0] > 127,
            np.ascontiguousarray(pixels),
        )


def open_set(root: Path) -> VoiSet:
    """Open a set that `voin data build` has made; refusals are those of `read_manifest`."""
    return VoiSet(root, read_manifest(root))


def _sized(path: Path, read: Callable[[Path], np.ndarray], record: ClipRecord) -> np.ndarray:
    if not path.is_file():
        raise FileRefusal(
            f"{path} is missing", f"a clip has all files of its {record.count} frames", "build the set again"
        )
    size = header_size(path)  # before any memory is asked for
    if size != record.size:
        raise FileRefusal(f"{path} is {shown(size)}", f"the manifest says {shown(record.size)}", "build the set again")
    return read(path)


def _read_indexed(path: Path) -> np.ndarray:
    with opened(path) as picture:
        if picture.mode != "P":
            raise FileRefusal(
                f"{path} is of the kind {picture.mode!r}", "masks of a set are indexed", "build the set again"
            )
        return np.array(picture)


def read_occluder(path: Path) -> np.ndarray:
    """Read an occluder, uint8 (h, w, 4) RGBA."""
    data = np.fromfile(path, np.uint8)
    check_whole(path, data)
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
        raise FileRefusal(f"{path} is not an RGBA picture", "occluders have alpha", "build the set again")
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA)


def write_clip(
    place: Path,
    name: str,
    draft: Path,
    truth: np.ndarray,
    amodal: np.ndarray,
    occluder: np.ndarray,
    pixels: np.ndarray,
    originals: tuple[Path, ...],
    composites: bool = False,
) -> dict[str, str]:
    """Write a clip's files, whole or not at all; return `sum_of` each kind's folder.

    Args:
        place: the folder of a split, in which the clip comes to stand.
        name: of the clip.
        draft: a folder in which the files are first written to one side; it is removed in the end.
        truth: uint8 (t, h, w, 3).
        amodal: bool (t, h, w).
        occluder: bool (t, h, w).
        pixels: the occluder's, uint8 (t, h, w, 3).
        originals: as `write_truth` takes them.
        composites: write the input frames, too.
    """
    kinds = (*KINDS, COMPOSITE) if composites else KINDS
    shutil.rmtree(draft, ignore_errors=True)
    try:
        for kind in kinds:
            (draft / kind).mkdir(parents=True)
        write_truth(draft / TRUTH, truth, originals)
        write_masks(draft / AMODAL, AMODAL, amodal)
        write_masks(draft / VISIBLE, VISIBLE, amodal & ~occluder)
        write_occluder(draft / OCCLUDER, occluder, pixels)
        if composites:
            write_composites(draft / COMPOSITE, draft / TRUTH, occluder, pixels)
        sums = {kind: sum_of(draft / kind) for kind in kinds}
        for kind in kinds:
            folder = place / kind / name
            shutil.rmtree(folder, ignore_errors=True)  # of a build that was stopped just here
            folder.parent.mkdir(parents=True, exist_ok=True)
            (draft / kind).rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return sums


def write_truth(folder: Path, frames: np.ndarray, originals: tuple[Path, ...]) -> None:
    """Write true frames, uint8 (t, h, w, 3), into a folder that exists.

    Where the source's file, of `originals`, is a JPEG of the same size, it is linked or copied; else JPEGs are made.
    """
    for index, (frame, original) in enumerate(zip(frames, originals, strict=True)):
        path = folder / file_name(TRUTH, index)
        if original.suffix.lower() not in (".jpg", ".jpeg") or header_size(original) != frame.shape[:2]:
            write_image(path, frame)
            continue
        try:
            os.link(original.resolve(), path)
        except OSError:  # another disk, or a file system without links
            path.write_bytes(original.read_bytes())


def write_masks(folder: Path, kind: str, masks: np.ndarray) -> None:
    """Write masks, bool (t, h, w), as indexed PNGs of 0 and 1 into a folder that exists."""
    for index, mask in enumerate(masks):
        write_label(folder / file_name(kind, index), mask.astype(np.uint8))


def write_occluder(folder: Path, occluder: np.ndarray, pixels: np.ndarray) -> None:
    """Write an occluder, bool (t, h, w), with its colours, uint8 (t, h, w, 3), as RGBA PNGs into an existing folder."""
    for index, (mask, colours) in enumerate(zip(occluder, pixels, strict=True)):
        alpha = mask.astype(np.uint8) * 255
        write_image(folder / file_name(OCCLUDER, index), np.dstack([np.where(mask[..., None], colours, 0), alpha]))


def write_composites(folder: Path, truth: Path, occluder: np.ndarray, pixels: np.ndarray) -> None:
    """Write the input frames as PNGs: the occluder before the true frames as they stand in the folder `truth`."""
    for index, (mask, colours) in enumerate(zip(occluder, pixels, strict=True)):
        frame = read_picture(truth / file_name(TRUTH, index))
        write_image(folder / file_name(COMPOSITE, index), np.where(mask[..., None], colours, frame))
