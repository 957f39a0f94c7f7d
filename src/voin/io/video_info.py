"""What a video is: its size, frame times, colour tags and orientation, and how its colours become RGB and back.

Frames elsewhere are upright uint8 RGB. A file may hold them turned, with a colour matrix and range of its own and with
fewer chroma samples; both directions of that change stand here, so that they stay inverse.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast

import av
import cv2
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from voin.io.colour.samples import EIGHT_BITS, PLAIN, FieldOrder, Samples
from voin.io.quality import Acceleration

# What FFmpeg may raise on a bad file; PyAV's own errors are not all OSErrors or ValueErrors.
FFMPEG_ERRORS = (FFmpegError, OSError, ValueError, LookupError, RuntimeError, OverflowError, MemoryError)

# Reading repeats chroma samples, with exact sums; writing averages them. So each is the other's inverse: a frame that
# is read and written unchanged keeps its YUV samples (limited range; full range: +-1 in chroma), where FFmpeg's
# default flags darken every picture by one level.
_EXACT = Interpolation.POINT | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_AVERAGE = Interpolation.AREA

# Colour tags by FFmpeg's numbers (those of ITU-T H.273).
RGB_MATRIX, UNSPECIFIED = 0, 2
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_CLOCKWISE = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


@dataclass(frozen=True)
class Colour:
    """Colour tags of a file, as the numbers of ITU-T H.273 (FFmpeg's): 2 is "unspecified"."""

    primaries: int = UNSPECIFIED  # 1 BT.709, 9 BT.2020, ...
    transfer: int = UNSPECIFIED  # 1 BT.709, 16 PQ, 18 HLG, ...
    matrix: int = UNSPECIFIED  # 0 RGB, 1 BT.709, 5 and 6 BT.601, 9 BT.2020, ...
    range: int = 0  # 0 unspecified, 1 limited (16-235), 2 full (0-255)


@dataclass(frozen=True)
class VideoInfo:
    """What `probe` found out about a video, a folder of pictures or a GIF."""

    path: Path
    kind: Literal["video", "folder", "gif"]
    size: tuple[int, int]  # (h, w), upright, as a viewer shows it
    count: int  # frames, exactly
    rate: Fraction  # frames a second, on average
    time_base: Fraction  # seconds of one unit of `times`
    times: tuple[int, ...]  # presentation time of each frame, in display order; the first may differ from 0
    rotation: int  # degrees clockwise by which a viewer turns the stored picture: 0, 90, 180 or 270
    colour: Colour
    audio: bool  # whether there is sound
    names: tuple[str, ...]  # of the frames: file stems for folders, "00000" and so on for videos
    duration: int = 0  # from the first frame's start to the last one's end, in units of `time_base`; 0: unknown
    mirrored: bool = False  # the viewer also flips it left to right, after turning
    aspect: Fraction = Fraction(1)  # width of a pixel over its height, as stored (before turning)
    samples: Samples = PLAIN
    deinterlace: bool = False  # frames are read whole, where they were interlaced
    hwaccel: Acceleration = "none"  # what decodes them
    timed: bool = True  # False where the times are unusable: frames are counted, and reading starts at the first one

    @property
    def fields(self) -> FieldOrder:
        """Which lines of a frame, as it is read, are shown first; "" where all are of one moment."""
        return "" if self.deinterlace else self.samples.fields

    @property
    def stored_size(self) -> tuple[int, int]:
        """(h, w) before a viewer turns the picture."""
        h, w = self.size
        return (w, h) if self.rotation in (90, 270) else (h, w)


def turn_upright(picture: np.ndarray, info: VideoInfo) -> np.ndarray:
    """Turn a stored picture as a viewer does."""
    if info.rotation:
        picture = cv2.rotate(picture, _CLOCKWISE[info.rotation])
    return cv2.flip(picture, 1) if info.mirrored else picture


def turn_back(picture: np.ndarray, info: VideoInfo) -> np.ndarray:
    """Undo `turn_upright`."""
    if info.mirrored:
        picture = cv2.flip(picture, 1)
    return cv2.rotate(picture, _CLOCKWISE[360 - info.rotation]) if info.rotation else picture


def matrix_of(colour: Colour, stored_size: tuple[int, int]) -> Colorspace:
    """Choose the colour matrix: the tagged one, or what players guess without a tag (HD is BT.709, the rest BT.601)."""
    height, width = stored_size
    guess = Colorspace.ITU709 if width >= 1280 or height > 576 else Colorspace.ITU601
    return _MATRICES.get(colour.matrix, guess)


def to_rgb(
    frame: av.VideoFrame,
    colour: Colour,
    reformatter: VideoReformatter,
    dtype: np.dtype = EIGHT_BITS,
    box: tuple[int, int, int, int] | None = None,
    whole: tuple[int, int] | None = None,
) -> np.ndarray:
    """Turn a decoded frame into (h, w, 3) RGB of `dtype`, uint8 or uint16, not yet upright; samples are rounded.

    Of a planar frame a box x0 y0 x1 y1 can be asked for, on the grid of its chroma samples. The frame may be a part of
    one of (h, w) `whole`.
    """
    rgb = reformatter.reformat(
        _unsited(frame) if box is None else _cut(frame, box),
        format="rgb24" if dtype == EIGHT_BITS else "rgb48le",
        src_colorspace=matrix_of(colour, whole or (frame.height, frame.width)),
        src_color_range=_range_of(colour),
        interpolation=_EXACT,
    )
    return rgb.to_ndarray()


def _cut(frame: av.VideoFrame, box: tuple[int, int, int, int]) -> av.VideoFrame:
    """Copy a box of a planar frame, x0 y0 x1 y1 on the grid of its chroma samples."""
    x0, y0, x1, y1 = box
    part = av.VideoFrame(x1 - x0, y1 - y0, frame.format.name)
    for source, target in zip(frame.planes, part.planes, strict=True):
        across, down = -(-frame.width // source.width), -(-frame.height // source.height)
        width = 1 if frame.format.components[0].bits <= 8 else 2
        samples = np.frombuffer(cast(Any, source), np.uint8).reshape(-1, source.line_size)
        room = np.frombuffer(cast(Any, target), np.uint8).reshape(-1, target.line_size)
        left, top, right = width * (x0 // across), y0 // down, width * (x0 // across + target.width)
        room[: target.height, : right - left] = samples[top : top + target.height, left:right]
    return part


def _unsited(frame: av.VideoFrame) -> av.VideoFrame:
    """Copy a frame with subsampled chroma without the tag that says where between the pixels its chroma samples lie.

    With the tag, FFmpeg shifts chroma by a part of a sample on reading but not on writing.
    """
    layout = frame.format
    whole = layout.chroma_width(frame.width) == frame.width and layout.chroma_height(frame.height) == frame.height
    if whole or layout.is_rgb or not layout.is_planar or any(plane.line_size < 0 for plane in frame.planes):
        return frame
    copy = av.VideoFrame(frame.width, frame.height, layout.name)
    for source, target in zip(frame.planes, copy.planes, strict=True):
        samples = np.frombuffer(cast(Any, source), np.uint8).reshape(-1, source.line_size)
        room = np.frombuffer(cast(Any, target), np.uint8).reshape(-1, target.line_size)
        bytes_shared = min(source.line_size, target.line_size)
        room[:, :bytes_shared] = samples[:, :bytes_shared]
    return copy


def from_rgb(
    frame: av.VideoFrame,
    layout: str,
    colour: Colour,
    reformatter: VideoReformatter,
    whole: tuple[int, int] | None = None,
) -> av.VideoFrame:
    """Turn an RGB(A) frame, or a part of one of (h, w) `whole`, into a pixel layout, inverse to `to_rgb`."""
    return reformatter.reformat(
        frame,
        format=layout,
        dst_colorspace=matrix_of(colour, whole or (frame.height, frame.width)),
        dst_color_range=_range_of(colour),
        interpolation=_AVERAGE,
        # In several threads FFmpeg now and then gives some samples of small pictures of 16 bits another value.
        threads=1 if frame.format.components[0].bits > 8 else 0,
    )


def _range_of(colour: Colour) -> ColorRange:
    return ColorRange.JPEG if colour.range == ColorRange.JPEG else ColorRange.MPEG
