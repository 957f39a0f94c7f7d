"""Read and write video: files (mp4, mov, mkv, webm), folders of pictures, single GIFs.

`probe` says what a video is, `read` gives its frames, `VideoWriter` and `LayerWriter` write some of them as a segment,
and `join` makes one file of the segments. Frames are upright uint8 RGB arrays (h, w, 3), or what `samples` says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np

from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.files import check_stored
from voin.io.animation import SUFFIXES as ANIMATED
from voin.io.animation import is_animation, probe_animation, read_animation
from voin.io.colour.hardware import check_decoder
from voin.io.colour.samples import PictureFrame
from voin.io.colour.video_samples import VideoFrame
from voin.io.images import FRAME_SUFFIXES, probe_folder, read_folder, write_image
from voin.io.limits import VideoLimits
from voin.io.quality import Acceleration, Quality
from voin.io.video_info import Colour, VideoInfo
from voin.io.video_join import join
from voin.io.video_read import probe_video, read_video
from voin.io.video_write import LayerWriter, SamplesWriter, VideoWriter, keeps_samples

__all__ = [
    "Colour",
    "Form",
    "LayerWriter",
    "Quality",
    "SamplesWriter",
    "SourceFrame",
    "VideoInfo",
    "VideoWriter",
    "join",
    "keeps_samples",
    "probe",
    "read",
    "read_frames",
    "write_image",
]

# A frame in its source's own samples, with the same methods.
SourceFrame = PictureFrame | VideoFrame
# How frames are given: as RGB pictures of 8 bits; as RGB or RGBA pictures with all that the samples hold; or as these.
Form = Literal["eight", "picture", "samples"]

_LOOK_BACK = 300  # frames in which to look for a sound one before a broken one


def probe(
    path: str | Path,
    rate: Fraction | float | int | None = None,
    limits: VideoLimits = VideoLimits(),  # noqa: B008 - frozen
    *,
    linear: bool | None = None,
    deinterlace: bool = False,
    hwaccel: Acceleration = "none",
) -> VideoInfo:
    """Find out what a video file, a GIF or a folder of pictures holds, without decoding all of it.

    A folder has `rate` frames a second (default 25); other files know their own. `linear` says whether the samples of
    a folder's pictures are proportional to light; by default floats are, and integers are not. With `deinterlace` the
    frames of an interlaced video file are read whole, as many as there are; with `hwaccel` a card decodes them.

    Raises:
        OSError: the path is missing, unreadable or empty, or holds no video.
        ValueError: `rate` is not positive, the video is larger than the limits, or no file that can be interlaced, or
            there is no such card.
    """
    path = Path(path)
    check_stored(path, "it must be a video or a folder of pictures")
    if rate is not None and not 0 < rate <= 1000:
        raise ValueRefusal(f"the rate is {rate} frames a second", "it must lie in (0, 1000]", "give 25, for example")
    asked = {"deinterlaced": "--deinterlace"} if deinterlace else {}
    asked |= {f"decoded by {hwaccel}": "--hwaccel"} if hwaccel != "none" else {}
    if asked and (path.is_dir() or is_animation(path) or path.suffix.lower() == ".gif"):
        raise ValueRefusal(
            f"{path} is to be {' and '.join(asked)}",
            "only video files have fields, of which whole frames are made, and are decoded on a card",
            f"give the video that it was made of, or leave {' and '.join(asked.values())} out",
        )
    if len(asked) > 1:
        raise ValueRefusal(
            f"{path} is to be {' and '.join(asked)}",
            "frames that come from a graphics card do not say which field is first",
            "leave --hwaccel out",
        )
    check_decoder(hwaccel)
    if path.is_dir():
        return probe_folder(path, Fraction(rate or 25).limit_denominator(1001000), limits, linear)
    if is_animation(path):
        return probe_animation(path, limits)
    if path.suffix.lower() in FRAME_SUFFIXES and path.exists():
        raise FileRefusal(
            f"{path} is a single picture", "a video is a file or a folder of pictures", f"give {path.parent}"
        )
    return replace(probe_video(path, limits), deinterlace=deinterlace, hwaccel=hwaccel)


def read(
    info: VideoInfo,
    start: int = 0,
    end: int | None = None,
    *,
    skip_broken: bool = False,
    broken: Callable[[int], object] | None = None,
) -> Iterator[np.ndarray]:
    """Decode frames start..end-1: exactly that many upright uint8 (h, w, 3) RGB arrays, each one's own.

    Args:
        info: From `probe`.
        start: First frame.
        end: Frame after the last one; None for all.
        skip_broken: Show the last good frame (at the start: the next one) in place of a frame that does not decode.
        broken: Called with the index of each frame so replaced; `list.append` fits.

    Raises:
        ValueError: `start` and `end` do not lie in the video.
        OSError: a frame does not decode, or the file ends early; with `skip_broken` only if none decodes at all.
    """
    frames = read_frames(info, start, end, skip_broken=skip_broken, broken=broken)
    return (frame.eight_bits() for frame in frames)


def read_frames(
    info: VideoInfo,
    start: int = 0,
    end: int | None = None,
    form: Form = "samples",
    *,
    skip_broken: bool = False,
    broken: Callable[[int], object] | None = None,
) -> Iterator[SourceFrame]:
    """Decode frames as `read` does, in some form; a video's own samples are planes of luma and chroma."""
    end = info.count if end is None else end
    if not 0 <= start <= end <= info.count:
        raise ValueRefusal(
            f"frames {start} to {end} are asked of {info.path}",
            f"it has frames 0 to {info.count}",
            "ask for some of these",
        )
    frames = _read(info, start, end, skip_broken, broken or (lambda index: None))
    return (_formed(frame, info, form) for frame in frames)


def _formed(frame: SourceFrame, info: VideoInfo, form: Form) -> SourceFrame:
    if form == "samples" or isinstance(frame, PictureFrame):
        return PictureFrame(frame.eight_bits()) if form == "eight" else frame
    return PictureFrame(frame.eight_bits()) if form == "eight" else frame.picture(info.samples.dtype)


def _read(
    info: VideoInfo, start: int, end: int, skip_broken: bool, broken: Callable[[int], object]
) -> Iterator[SourceFrame]:
    good: SourceFrame | None = None
    waiting = 0  # broken frames before the first good one
    for index, picture, wrong in _source(info, start, end):
        if picture is not None:
            for _ in range(waiting):
                yield picture
            waiting = 0
            good = picture if skip_broken else None
            yield picture
            continue
        if not skip_broken:
            raise FileRefusal(
                f"{info.path}: frame {index} of {info.count} cannot be read ({wrong})",
                "every frame must decode",
                "repair the file, or use --skip-broken to show the frame before in its place",
            )
        broken(index)
        if index == start:
            before = (found for _, found, _ in _source(info, max(0, index - _LOOK_BACK), index) if found is not None)
            good = next(iter(deque(before, maxlen=1)), None)
        if good is None:
            waiting += 1
        else:
            yield good
    if waiting:
        raise FileRefusal(
            f"{info.path}: none of the frames {start} to {end - 1} can be read",
            "one at least must be",
            "repair the file",
        )


def _source(
    info: VideoInfo, start: int, end: int
) -> Iterator[tuple[int, PictureFrame | None, str]] | Iterator[tuple[int, VideoFrame | None, str]]:
    if start == end:
        return iter(())
    if info.kind == "gif" and info.path.suffix.lower() in ANIMATED:
        return read_animation(info, start, end)
    return read_folder(info, start, end) if info.kind == "folder" else read_video(info, start, end)
