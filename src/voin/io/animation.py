"""Animated PNG and WebP: read by Pillow, one frame after the other, as FFmpeg reads neither with all its frames."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import numpy as np
from PIL import Image

from voin.core.errors import FileRefusal
from voin.io.colour.samples import PictureFrame, Samples
from voin.io.limits import LARGEST, VideoLimits
from voin.io.video_info import Colour, VideoInfo

SUFFIXES = (".png", ".apng", ".webp")
_TIME_BASE = Fraction(1, 1000)  # Pillow's
_USUAL_MS = 100  # what viewers take where no duration is said


def is_animation(path: Path) -> bool:
    """Return whether a file is an animated PNG or WebP; what cannot be read is none."""
    if path.suffix.lower() not in SUFFIXES:
        return False
    try:
        h, w = _canvas(path)
        if h * w > LARGEST.pixels:
            return True  # which is for `probe_animation` to refuse
        with Image.open(path, formats=("PNG", "WEBP")) as picture:
            return getattr(picture, "n_frames", 1) > 1
    except Exception:  # Pillow raises SyntaxError, struct.error, zlib.error and more on garbage.
        return False


def probe_animation(path: Path, limits: VideoLimits) -> VideoInfo:
    """Find out what an animation holds; its frames are decoded, as only so their times are known.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than the limits.
    """
    limits.check_pixels(path, _canvas(path))
    shown = []
    with closing(_frames(path)) as frames:
        for picture in frames:
            shown.append((picture.size, _duration(picture), picture.has_transparency_data))
            limits.check_frames(path, len(shown))
    width, height = shown[0][0]
    times = tuple(accumulate((duration for _, duration, _ in shown), initial=0))
    return VideoInfo(
        path=path,
        kind="gif",
        size=(height, width),
        count=len(shown),
        rate=Fraction(1000 * len(shown), times[-1]),
        time_base=_TIME_BASE,
        times=times[:-1],
        duration=times[-1],
        rotation=0,
        colour=Colour(),
        audio=False,
        names=tuple(f"{i:05d}" for i in range(len(shown))),
        samples=Samples(alpha=any(seen_through for *_, seen_through in shown)),
        timed=False,
    )


def read_animation(info: VideoInfo, start: int, end: int) -> Iterator[tuple[int, PictureFrame | None, str]]:
    """Decode frames start..end-1; yields (index, frame, ""), for broken ones (index, None, what is wrong)."""
    index, mode = 0, "RGBA" if info.samples.alpha else "RGB"
    try:
        with closing(_frames(info.path)) as frames:
            for index, picture in enumerate(frames):
                if index >= end:
                    return
                if index >= start:
                    yield index, PictureFrame(np.asarray(picture.convert(mode))), ""
        index += 1
        wrong = "it is missing"
    except OSError as error:
        wrong = str(error)
    for missing in range(max(index, start), end):
        yield missing, None, wrong


def read_alphas(info: VideoInfo) -> Iterator[np.ndarray]:
    """Decode the alpha of each frame, uint8 (h, w)."""
    with closing(_frames(info.path)) as frames:
        for picture in frames:
            yield np.asarray(picture.convert("RGBA"))[..., 3]


def _frames(path: Path) -> Generator[Image.Image, None, None]:
    """Show one frame after the other in the same picture; yields at least one, or raises OSError."""
    try:
        with Image.open(path, formats=("PNG", "WEBP")) as picture:
            index = 0
            while True:
                picture.seek(index)
                picture.load()
                yield picture
                index += 1
                if index >= getattr(picture, "n_frames", 1):
                    return
    except Exception as error:  # Pillow raises SyntaxError, struct.error, zlib.error and more on garbage.
        what = f"{path} cannot be read as an animation ({error})"
        raise FileRefusal(what, "it must be a whole PNG or WebP", "copy it again from its source") from error


def _canvas(path: Path) -> tuple[int, int]:
    """Read the (h, w) of what is shown, (0, 0) where there is none: Pillow makes room for a whole WebP on opening."""
    with path.open("rb") as file:
        head = file.read(30)
    if head[:4] == b"RIFF" and head[12:16] == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
        return height, width
    if head[12:16] == b"IHDR":
        return int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")
    return 0, 0


def _duration(picture: Image.Image) -> int:
    return max(1, round(picture.info.get("duration") or _USUAL_MS))
