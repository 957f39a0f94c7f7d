"""Single pictures as files, and folders of them: reading frames, writing PNGs that never stand half-written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.files import write_whole
from voin.core.types import largest
from voin.io.colour.picture_kinds import FURTHER, PNG_SETTINGS, USUAL, further_size, read_frame, samples_of
from voin.io.colour.samples import PictureFrame, Samples
from voin.io.limits import VideoLimits
from voin.io.quality import shown
from voin.io.video_info import Colour, VideoInfo

FRAME_SUFFIXES = (*USUAL, *FURTHER)
_PNG_START = b"\x89PNG"
_ORIENTATION = 0x0112  # the EXIF tag; from 5 on, height and width change places
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return the sort key under which img2 comes before img10."""
    parts = re.split(r"(\d+)", name)
    return tuple((1, int(part), part) if part.isdecimal() else (0, 0, part.lower()) for part in parts)


def list_pictures(folder: Path) -> list[Path]:
    """List a folder's pictures in natural order, those of other kinds only where it has no PNG and no JPEG.

    Hidden files are left out.
    """
    found = [path for path in folder.iterdir() if path.suffix.lower() in FRAME_SUFFIXES and path.is_file()]
    found = [path for path in found if not path.name.startswith(".")]
    usual = [path for path in found if path.suffix.lower() in USUAL]
    return sorted(usual or found, key=lambda path: (natural(path.stem), path.name))


def no_pictures(folder: Path, what: str = "pictures") -> FileRefusal:
    """Return the refusal of a folder without pictures; it says what lies there instead."""
    kinds = Counter(path.suffix.lower() for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
    must = "a folder of them holds PNG, JPEG, TIFF, BMP, WebP, DPX or EXR files"
    if not any(kinds):
        return FileRefusal(f"{folder} has no {what}", must, "give the folder itself")
    suffix, count = next((suffix, count) for suffix, count in kinds.most_common() if suffix)
    files = f"{count} {suffix} file{'' if count == 1 else 's'}"
    remedy = f"convert them, such as with ffmpeg -i %05d{suffix} %05d.png, or give the folder itself"
    return FileRefusal(f"{folder} has no {what}, but {files}", must, remedy)


def probe_folder(folder: Path, rate: Fraction, limits: VideoLimits, linear: bool | None = None) -> VideoInfo:
    """Read the size of every picture in a folder, from its header alone; `linear` as in `read_frame`."""
    paths = list_pictures(folder)
    limits.check_frames(folder, len(paths))
    if not paths:
        raise no_pictures(folder)
    for first, second in pairwise(paths):
        if first.stem == second.stem:
            what = f"{folder} has {first.name} and {second.name}"
            raise FileRefusal(what, "a frame must be there once", "remove one of them")
    size = _common_size(paths)
    limits.check_pixels(folder, size)
    return VideoInfo(
        path=folder,
        kind="folder",
        size=size,
        count=len(paths),
        rate=rate,
        time_base=1 / rate,
        times=tuple(range(len(paths))),
        duration=len(paths),
        rotation=0,
        colour=Colour(),
        audio=False,
        names=tuple(path.stem for path in paths),
        samples=_common_samples(paths, linear),
    )


def _common_samples(paths: list[Path], linear: bool | None) -> Samples:
    """Return what holds the samples of all pictures; a header of PNG is read of each, of other kinds one must do."""
    suffixes = {path.suffix.lower(): path for path in reversed(paths)}
    some = paths if ".png" in suffixes else list(suffixes.values())
    found = []
    for path in some:
        try:
            found.append(samples_of(path))
        except OSError:  # `read` says what is wrong, and can skip it
            continue
    bits = max((samples.bits for samples in found), default=8)
    floating = any(samples.floating for samples in found)
    light = any(samples.linear for samples in found) if linear is None else linear
    kind = suffixes.popitem()[0] if len(suffixes) == 1 else ""
    return Samples(bits, floating, any(samples.alpha for samples in found), light, kind)


def _common_size(paths: list[Path]) -> tuple[int, int]:
    """Return the size that all pictures have; broken ones are left to `read`, which can skip them."""
    sizes: dict[tuple[int, int], Path] = {}
    refusal = None
    for path in paths:
        try:
            sizes.setdefault(header_size(path), path)
        except OSError as error:
            refusal = refusal or error
        if len(sizes) > 1:
            (size, first), (found, odd) = sizes.items()
            raise FileRefusal(
                f"{odd} is {shown(found)} and {first.name} is {shown(size)}",
                "all frames must have one size",
                "scale or remove the odd ones",
            )
    if refusal is not None and not sizes:
        raise refusal
    return next(iter(sizes))


def header_size(path: Path) -> tuple[int, int]:
    """Read the upright (h, w) of a picture without decoding it."""
    if path.suffix.lower() in FURTHER:
        return further_size(path)
    with opened(path) as picture:
        width, height = picture.size
        turned = picture.format != "PNG" and picture.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture with Pillow; whatever Pillow raises on a broken file becomes an OSError that names it."""
    try:
        with Image.open(path, formats=("PNG", "JPEG", "TIFF", "BMP", "WEBP")) as picture:
            yield picture
    except Exception as error:  # Pillow raises SyntaxError, struct.error, zlib.error and more on garbage.
        raise FileRefusal(
            f"{path} cannot be read as a picture ({error})", "it must be a whole PNG or JPEG", "restore it"
        ) from error


def read_picture(path: Path) -> np.ndarray:
    """Read a picture as upright uint8 (h, w, 3) RGB; more bits are reduced to 8, alpha is dropped."""
    if path.suffix.lower() in FURTHER:
        return read_frame(path).eight_bits()
    try:
        data = np.fromfile(path, np.uint8)
        check_whole(path, data)
        png = data[:4].tobytes() == _PNG_START  # whose orientation tag nobody obeys
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR | (cv2.IMREAD_IGNORE_ORIENTATION if png else 0))
    except cv2.error as error:
        what = f"{path} cannot be decoded ({error.err})"
        raise FileRefusal(what, "it must be a PNG or JPEG", "restore it") from error
    if picture is None:
        raise FileRefusal(f"{path} cannot be decoded", "it must be a whole PNG or JPEG", "restore it")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def check_whole(path: Path, data: np.ndarray) -> None:
    """Refuse a truncated or garbled PNG or JPEG, of which OpenCV would return a part as if all were well."""
    if path.suffix.lower() in FURTHER:
        return
    with opened(path) as picture:
        picture.verify()
    tail = data[-4096:].tobytes()
    if not (b"IEND" in tail if data[:4].tobytes() == _PNG_START else b"\xff\xd9" in tail):
        raise FileRefusal(f"{path} ends too early", "it must be a whole PNG or JPEG", "copy it again from its source")


def read_folder(info: VideoInfo, start: int, end: int) -> Iterator[tuple[int, PictureFrame | None, str]]:
    """Read frames start..end-1 of a folder in their own samples; yields (index, frame or None, what is wrong)."""
    paths = list_pictures(info.path)
    if [path.stem for path in paths] != list(info.names):
        raise FileRefusal(f"{info.path} has changed since it was opened", "its files must stay the same", "start again")
    for index in range(start, end):
        try:
            if info.samples.plain:
                frame = PictureFrame(read_picture(paths[index]))
            else:
                check_whole(paths[index], np.fromfile(paths[index], np.uint8))
                frame = _alike(read_frame(paths[index], info.samples.linear), info.samples)
        except OSError as error:
            yield index, None, str(error)
            continue
        if frame.values.shape[:2] != info.size:
            yield index, None, f"{paths[index]} is {shown(frame.values.shape[:2])}, not {shown(info.size)}"
        else:
            yield index, frame, ""


def _alike(frame: PictureFrame, samples: Samples) -> PictureFrame:
    """Bring a frame of a folder of several kinds to what all of them are: as deep, and with alpha."""
    values = frame.values
    if samples.bits == 16 and values.dtype == np.uint8 and not samples.floating:
        values = values.astype(np.uint16) * np.uint16(257)
    if samples.alpha and values.shape[2] == 3:
        opaque = np.full((*values.shape[:2], 1), largest(values.dtype), values.dtype)
        values = np.concatenate([values, opaque], axis=2)
    return frame if values is frame.values else replace(frame, values=values)


def write_image(path: str | Path, array: np.ndarray) -> None:
    """Write grey (h, w), RGB (h, w, 3) or RGBA (h, w, 4) as PNG or JPEG (by suffix); never leaves half a file.

    It is uint8, or for PNG also uint16.
    """
    path = Path(path)
    kinds = (np.uint8, np.uint16) if path.suffix.lower() == ".png" else (np.uint8,)
    if array.dtype not in kinds or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ValueRefusal(
            f"a picture has shape {array.shape} and dtype {array.dtype}",
            "it must be uint8, (h, w), (h, w, 3) or (h, w, 4)",
            "convert it first",
        )
    if array.ndim == 3:
        array = cv2.cvtColor(array, cv2.COLOR_RGB2BGR if array.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    good, data = cv2.imencode(".jpg" if jpeg else ".png", array, _JPEG if jpeg else PNG_SETTINGS)
    if not good:
        raise FileRefusal(f"{path} cannot be encoded from shape {array.shape}", remedy="give a smaller picture")
    write_whole(path, data.tobytes())
