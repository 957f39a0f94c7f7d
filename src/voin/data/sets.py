"""VOI sets on disk: open one, read its clips, write a clip's pictures."""

from __future__ import annotations

import os
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
    OCCLUDER,
    TRUTH,
    VISIBLE,
    ClipRecord,
    Manifest,
    clip_folder,
    file_name,
    read_manifest,
)
from voin.io.images import check_whole, header_size, opened, read_picture, shown, write_image
from voin.io.masks.source import write_label

_Pictures = UInt8[np.ndarray, "t h w 3"]
_Masks = Bool[np.ndarray, "t h w"]


@dataclass(frozen=True)
class VoiClip:
    """A clip of a set: the truth, and what stands before it.

    Attributes:
        record: what the manifest says about it.
        truth: the frames without the occluder, RGB.
        amodal: the whole object.
        visible: the part of it that the occluder leaves free.
        occluder: where the occluder is.
        pixels: the occluder's colours, 0 where it is not.
    """

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
        """Read a clip.

        Raises:
            OSError: a file is missing, broken, or of another size.
        """

        def every(kind: str, read: Callable[[Path], np.ndarray]) -> np.ndarray:
            folder = self.folder(record, kind)
            return np.stack([_sized(folder / file_name(kind, i), read, record) for i in range(record.count)])

        coloured = every(OCCLUDER, read_occluder)
        return VoiClip(
            record,
            every(TRUTH, read_picture),
            every(AMODAL, _read_indexed) > 0,
            every(VISIBLE, _read_indexed) > 0,
            coloured[..., 3] > 127,
            np.ascontiguousarray(coloured[..., :3]),
        )


def open_set(root: Path) -> VoiSet:
    """Open a set that `voin data build` has made.

    Raises:
        OSError: there is none.
        ValueError: it is of another version, or its manifest is damaged.
    """
    return VoiSet(root, read_manifest(root))


def _sized(path: Path, read: Callable[[Path], np.ndarray], record: ClipRecord) -> np.ndarray:
    if not path.is_file():
        raise FileRefusal(
            f"{path} is missing", f"a clip has all files of its {record.count} frames", "build the set again"
        )
    picture = read(path)
    if picture.shape[:2] != record.size:
        raise FileRefusal(
            f"{path} is {shown(picture.shape[:2])}", f"the manifest says {shown(record.size)}", "build the set again"
        )
    return picture


def _read_indexed(path: Path) -> np.ndarray:
    with opened(path) as picture:
        if picture.mode != "P":
            raise FileRefusal(
                f"{path} is of the kind {picture.mode!r}", "masks of a set are indexed", "build the set again"
            )
        return np.array(picture)


def read_occluder(path: Path) -> np.ndarray:
    """Read an occluder, uint8 (h, w, 4) RGBA.

    Raises:
        OSError: it is broken or of another kind.
    """
    data = np.fromfile(path, np.uint8)
    check_whole(path, data)
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
        raise FileRefusal(f"{path} is not an RGBA picture", "occluders have alpha", "build the set again")
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA)


def write_truth(folder: Path, frames: np.ndarray, originals: tuple[Path, ...]) -> None:
    """Write true frames into a folder: as hard links where the source's file has them as they are, else as JPEG.

    Args:
        folder: must exist.
        frames: uint8 (t, h, w, 3).
        originals: the source's files, one a frame.
    """
    for index, (frame, original) in enumerate(zip(frames, originals, strict=True)):
        path = folder / file_name(TRUTH, index)
        jpeg = original.suffix.lower() in (".jpg", ".jpeg")
        if not (jpeg and header_size(original) == frame.shape[:2] and _linked(original, path)):
            write_image(path, frame)


def _linked(original: Path, path: Path) -> bool:
    try:
        os.link(original.resolve(), path)
    except OSError:  # another disk, or a file system without links
        path.write_bytes(original.read_bytes())
    return True


def write_masks(folder: Path, kind: str, masks: np.ndarray) -> None:
    """Write masks, bool (t, h, w), as indexed PNGs of 0 and 1 into a folder that exists."""
    for index, mask in enumerate(masks):
        write_label(folder / file_name(kind, index), mask.astype(np.uint8))


def write_occluder(folder: Path, occluder: np.ndarray, pixels: np.ndarray) -> None:
    """Write an occluder as RGBA PNGs into a folder that exists.

    Args:
        folder: must exist.
        occluder: bool (t, h, w).
        pixels: uint8 (t, h, w, 3); what is not the occluder's is left out.
    """
    for index, (mask, colours) in enumerate(zip(occluder, pixels, strict=True)):
        alpha = mask.astype(np.uint8) * 255
        write_image(folder / file_name(OCCLUDER, index), np.dstack([np.where(mask[..., None], colours, 0), alpha]))


def write_composites(folder: Path, truth: Path, occluder: np.ndarray, pixels: np.ndarray) -> None:
    """Write the input frames as PNGs: the occluder before the true frames as they stand in the folder `truth`."""
    for index, (mask, colours) in enumerate(zip(occluder, pixels, strict=True)):
        frame = read_picture(truth / file_name(TRUTH, index))
        write_image(folder / file_name(COMPOSITE, index), np.where(mask[..., None], colours, frame))
