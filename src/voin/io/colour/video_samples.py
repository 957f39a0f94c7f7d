"""Frames of videos in their own samples: planes of luma and chroma, of which only those are replaced that must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter
from jaxtyping import Shaped

from voin.core.types import Frame, Mask, Picture
from voin.io.colour.samples import PictureFrame
from voin.io.video_info import VideoInfo, from_rgb, to_rgb, turn_back, turn_upright

# Planes that hold the samples of packed layouts.
_PLANAR = {
    **{"rgb24": "gbrp", "bgr24": "gbrp", "bgr0": "gbrp", "rgb0": "gbrp", "0rgb": "gbrp", "0bgr": "gbrp"},
    **{"rgba": "gbrap", "bgra": "gbrap", "argb": "gbrap", "abgr": "gbrap"},
    **{"rgb48le": "gbrp16le", "rgb48be": "gbrp16le", "rgba64le": "gbrap16le", "rgba64be": "gbrap16le"},
    **{"x2rgb10le": "gbrp10le", "x2bgr10le": "gbrp10le", "yuyv422": "yuv422p", "uyvy422": "yuv422p"},
    **{"y210le": "yuv422p10le", "p010le": "yuv420p10le", "v30xle": "yuv444p10le", "ya8": "yuva444p"},
    **{"nv12": "yuv420p", "nv21": "yuv420p", "nv16": "yuv422p", "nv24": "yuv444p", "p210le": "yuv422p10le"},
}


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """A decoded frame, as stored: it may be turned, and hold luma and chroma. It never changes."""

    frame: av.VideoFrame
    info: VideoInfo
    reformatter: VideoReformatter

    @property
    def size(self) -> tuple[int, int]:
        """(h, w), upright."""
        return self.info.size

    def shown(self) -> Frame:
        """Return the upright display-referred RGB, uint8 or uint16."""
        return self._rgb(self.info.samples.dtype)

    def eight_bits(self) -> Picture:
        """Return the same in 8 bits."""
        return self._rgb(np.dtype(np.uint8))

    def shown_in(self, box: tuple[int, int, int, int]) -> Frame:
        """Return what `shown` does, of which only the pixels in the box x0 y0 x1 y1 are set."""
        (h, w), (x0, y0, x1, y1) = self.size, box
        # On the grid of the chroma samples.
        x0, y0, x1, y1 = max(x0, 0) // 2 * 2, max(y0, 0) // 2 * 2, min(-(-x1 // 2) * 2, w), min(-(-y1 // 2) * 2, h)
        if not self._by_pixels or x0 >= x1 or y0 >= y1:
            return self.shown()
        # Memory that nobody touches costs nothing.
        room = np.empty((h, w, 3), self.info.samples.dtype)
        room[y0:y1, x0:x1] = to_rgb(self.frame, self.info.colour, self.reformatter, room.dtype, (x0, y0, x1, y1))
        return room

    def thinned(self, step: int) -> Picture:
        """Return every `step`-th pixel of every `step`-th row of it in 8 bits, from the first on."""
        if not self._by_pixels:
            return self.eight_bits()[::step, ::step]
        # The same pixels, chosen before they are converted: of a large frame that takes a hundredth of the time.
        rows, columns = np.arange(0, self.frame.height, step), np.arange(0, self.frame.width, step)
        few = av.VideoFrame(len(columns), len(rows), "yuv444p")
        for index, ((room, _, _), (samples, _, _)) in enumerate(zip(_planes(few), _planes(self.frame), strict=True)):
            share = 2 if index else 1  # a chroma sample stands for two rows and columns
            room[:] = samples[np.ix_(rows // share, columns // share)]
        return to_rgb(few, self.info.colour, self.reformatter, whole=(self.frame.height, self.frame.width))

    def picture(self, dtype: np.dtype) -> PictureFrame:
        """Return the frame as a picture of RGB, or RGBA where the video has alpha."""
        rgb = self._rgb(dtype)
        if not self.info.samples.alpha:
            return PictureFrame(rgb)
        layout = "rgba" if dtype == np.uint8 else "rgba64le"
        alpha = turn_upright(self.frame.reformat(format=layout).to_ndarray()[..., 3], self.info)
        return PictureFrame(np.dstack([rgb, alpha]))

    def replaced(self, colours: Frame, where: Mask) -> VideoFrame:
        """Return a copy whose pixels `where` show upright RGB, opaque; all samples of other pixels alone are kept."""
        rows, columns = turn_back(where.view(np.uint8), self.info), turn_back(colours, self.info)
        target = _copy(self.frame)
        layout = target.format
        across, down = (8 // layout.chroma_width(8), 8 // layout.chroma_height(8)) if not layout.is_rgb else (1, 1)
        x, y, w, h = cv2.boundingRect(np.ascontiguousarray(rows))
        # On the grid of the chroma samples.
        x0, y0 = x // across * across, y // down * down
        x1, y1 = min(-(-(x + w) // across) * across, target.width), min(-(-(y + h) // down) * down, target.height)
        hidden = rows[y0:y1, x0:x1]
        seen = to_rgb(target, self.info.colour, self.reformatter, colours.dtype, box=(x0, y0, x1, y1))
        seen[hidden > 0] = columns[y0:y1, x0:x1][hidden > 0]
        kind = "rgb24" if seen.dtype == np.uint8 else "rgb48le"
        made = from_rgb(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(seen), format=kind),
            layout.name,
            self.info.colour,
            VideoReformatter(),
            self.info.stored_size,
        )
        for (room, bits, alpha), (samples, _, _) in zip(_planes(target), _planes(made), strict=True):
            step_x, step_y = (1, 1) if room.shape == (target.height, target.width) else (across, down)
            place = np.s_[y0 // step_y : -(-y1 // step_y), x0 // step_x : -(-x1 // step_x)]
            touched = _covered(hidden, step_x, step_y)
            room[place][touched] = 2**bits - 1 if alpha else samples[touched]
        return replace(self, frame=target)

    @property
    def _by_pixels(self) -> bool:
        """Whether a pixel's colours depend on nothing else: of frames with an odd side FFmpeg spreads the chroma."""
        even = self.frame.height % 2 == self.frame.width % 2 == 0
        return self.frame.format.name == "yuv420p" and even and not self.info.rotation and not self.info.mirrored

    def _rgb(self, dtype: np.dtype) -> np.ndarray:
        return turn_upright(to_rgb(self.frame, self.info.colour, self.reformatter, dtype), self.info)


def _copy(frame: av.VideoFrame) -> av.VideoFrame:
    """Copy a frame into planes of its own; the samples of packed layouts stay what they are."""
    layout = _PLANAR.get(frame.format.name, frame.format.name.removesuffix("be"))
    if layout != frame.format.name and layout not in _PLANAR.values():
        layout += "le"
    if len(frame.planes) < len(frame.format.components) and layout == frame.format.name:
        layout = "gbrap16le" if frame.format.is_rgb else "yuva444p16le"  # of an unknown kind: nothing is lost
    copy = av.VideoFrame(frame.width, frame.height, layout)
    source = frame if layout == frame.format.name else frame.reformat(format=layout)
    for (room, _, _), (samples, _, _) in zip(_planes(copy), _planes(source), strict=True):
        room[:] = samples
    for name in ("color_primaries", "color_trc", "colorspace", "color_range"):
        setattr(copy, name, getattr(frame, name))
    return copy


def _planes(frame: av.VideoFrame) -> Iterator[tuple[Shaped[np.ndarray, "h w"], int, bool]]:
    """Return the samples of each plane, how many bits they have, and whether they are alpha."""
    components = {component.plane: component for component in frame.format.components}
    for index, plane in enumerate(frame.planes):
        component = components[index]
        kind = np.dtype(np.uint8 if component.bits <= 8 else np.uint16)
        samples = np.frombuffer(cast(Any, plane), kind).reshape(-1, plane.line_size // kind.itemsize)
        yield samples[: plane.height, : plane.width], component.bits, component.is_alpha


def _covered(hidden: np.ndarray, step_x: int, step_y: int) -> np.ndarray:
    """Return which samples have a hidden pixel, for samples of `step_x` x `step_y` pixels."""
    h, w = hidden.shape
    padded = np.pad(hidden, ((0, -h % step_y), (0, -w % step_x)))
    blocks = padded.reshape(padded.shape[0] // step_y, step_y, padded.shape[1] // step_x, step_x)
    return np.asarray(blocks.any(axis=(1, 3)))


def for_encoder(frame: av.VideoFrame, layout: str, reformatter: VideoReformatter) -> av.VideoFrame:
    """Return a frame in the layout that an encoder takes, and free to be coded as it likes."""
    if frame.format.name != layout:
        frame = reformatter.reformat(frame, format=layout)
    frame.pict_type = PictureType.NONE
    return frame
