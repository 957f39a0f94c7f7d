"""The small form of a pack, to be sent: one zip file of its index, JPEG frames and PNG masks."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from voin.core.errors import FileRefusal, ValueRefusal
from voin.data.packs.pack import Pack, PackClip, PackIndex, Progress, decode_index, drafted, lay_out, write_pack
from voin.data.schema import MOST_BYTES

_INDEX = "index.json"
# What a broken archive makes the zip reader raise.
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError),
    *(KeyError, ValueError, OverflowError, NotImplementedError, RuntimeError),
)


def write_transport(pack: Pack, out: Path, quality: int = 95, progress: Progress | None = None) -> None:
    """Write a pack in its small form, with JPEGs of a quality of 1 to 100.

    Raises:
        ValueError: the quality is none.
        OSError: the file cannot be written.
    """
    if not 1 <= quality <= 100:
        raise ValueRefusal(f"quality is {quality}", "JPEG knows 1 to 100", "use 95")
    jpeg = [cv2.IMWRITE_JPEG_QUALITY, quality]
    png = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_BILEVEL, int(not pack.soft)]
    with drafted(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        # With a fixed date, so that the same pack gives the same file.
        archive.writestr(zipfile.ZipInfo(_INDEX), pack.encode())
        for number in range(len(pack)):
            for i, (frame, mask) in enumerate(zip(*pack.clip(number), strict=True)):
                name = f"{number:05d}/{i:05d}"
                bgr, grey = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), mask if pack.soft else mask * 255
                archive.writestr(zipfile.ZipInfo(f"{name}.jpg"), cv2.imencode(".jpg", bgr, jpeg)[1].tobytes())
                archive.writestr(zipfile.ZipInfo(f"{name}.png"), cv2.imencode(".png", grey, png)[1].tobytes())
            if progress is not None:
                progress(number + 1, len(pack))


def read_transport(file: Path, out: Path, progress: Progress | None = None) -> Pack:
    """Unpack the small form to a pack with the same index; masks are exact, frames as JPEG has them.

    Raises:
        OSError: the file is broken, or the pack cannot be written.
        ValueError: it is not such a file, or one of another version.
    """
    if not zipfile.is_zipfile(file):
        file.open("rb").close()  # says if it is absent
        raise ValueRefusal(f"{file} is no packed pack", "such are made by `voin data pack`", "give such a file")
    with _Archive(file) as archive:
        if _INDEX not in archive.names:
            raise ValueRefusal(
                f"{file} is a zip file of something else", f"it must hold {_INDEX}", "give a packed pack"
            )
        index = decode_index(file, archive.read(_INDEX, MOST_BYTES))
        # As `write_pack` will lay them out: the pack could not be read else.
        if index.clips != lay_out(((c.name, c.video, c.category, c.count) for c in index.clips), *index.shape):
            what = f"{file} says that its clips lie elsewhere than one behind the other"
            raise FileRefusal(what, "it must be as `voin data pack` wrote it", "copy it again")
        absent = next((name for name in _names(index) if name not in archive.names), None)
        if absent is not None:
            raise FileRefusal(f"{file} has no {absent}", "it must hold all that its index lists", "copy it again")
        return write_pack(out, index, archive.clips(index), progress)


def _names(index: PackIndex) -> Iterator[str]:
    for number, clip in enumerate(index.clips):
        for i in range(clip.count):
            yield from (f"{number:05d}/{i:05d}.jpg", f"{number:05d}/{i:05d}.png")


class _Archive:
    """A zip file that may be damaged, or lie."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._zip = zipfile.ZipFile(file)
        except _BROKEN as error:
            raise FileRefusal(f"{file} is broken ({error})", "it must be whole", "copy it again") from error
        self.names = set(self._zip.namelist())

    def __enter__(self) -> _Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def read(self, name: str, most: int) -> bytes:
        """Read a file of `most` bytes at most."""
        try:
            if self._zip.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise zipfile.BadZipFile("packed in another way than packs are")
            with self._zip.open(name) as part:
                data = part.read(most + 1)
        except _BROKEN as error:
            what = f"{name} in {self._file} is broken or absent"
            raise FileRefusal(what, "the file must be whole", "copy it again") from error
        if len(data) > most:
            what = f"{name} in {self._file} is larger than {most:,} bytes"
            raise FileRefusal(what, "no file of a pack is so large", "copy it again")
        return data

    def clips(self, index: PackIndex) -> Iterator[tuple[Iterator[np.ndarray], Iterator[np.ndarray]]]:
        """Yield frames and masks of each clip, decoded one by one: what a clip only claims to hold takes no memory."""
        for number, clip in enumerate(index.clips):
            yield self._frames(number, clip, index), self._masks(number, clip, index)

    def _frames(self, number: int, clip: PackClip, index: PackIndex) -> Iterator[np.ndarray]:
        for i in range(clip.count):
            bgr = self._picture(f"{number:05d}/{i:05d}.jpg", cv2.IMREAD_COLOR, index.shape)
            yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)

    def _masks(self, number: int, clip: PackClip, index: PackIndex) -> Iterator[np.ndarray]:
        for i in range(clip.count):
            grey = self._picture(f"{number:05d}/{i:05d}.png", cv2.IMREAD_GRAYSCALE, index.shape)
            yield grey if index.soft else (grey > 127).astype(np.uint8)

    def _picture(self, name: str, flags: int, shape: tuple[int, int]) -> np.ndarray:
        data = self.read(name, 8 * shape[0] * shape[1] + 2**16)  # more than noise takes in either form
        try:
            with Image.open(BytesIO(data), formats=("PNG", "JPEG")) as header:
                fits = header.size == (shape[1], shape[0])
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if fits else None
        except Exception:  # Pillow raises SyntaxError, struct.error and more on garbage
            picture = None
        if picture is None:
            what = f"{name} in {self._file} cannot be decoded"
            raise FileRefusal(what, f"it must be a picture of {shape[1]}x{shape[0]}", "copy the file again")
        return picture
