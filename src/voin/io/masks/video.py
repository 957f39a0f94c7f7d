"""Masks as a video for one object: white on black, or the object cut out by alpha."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext

from voin.core.errors import FileRefusal, ValueRefusal
from voin.io.animation import is_animation, read_alphas
from voin.io.limits import VideoLimits
from voin.io.masks.frames import Moments
from voin.io.masks.values import RawMask
from voin.io.video import VideoInfo, probe, read
from voin.io.video_info import FFMPEG_ERRORS, turn_upright
from voin.io.video_read import open_video
from voin.io.video_write import ALPHA

_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_SATURATED = 96  # levels between the strongest and the weakest channel, from which a pixel has a colour


class VideoMasks:
    """A video whose frames are 255 where they are white, or opaque where they have alpha (half and more), else 0."""

    def __init__(self, path: Path, limits: VideoLimits = VideoLimits()) -> None:  # noqa: B008 - frozen
        self._info = probe(path, limits=limits)
        start, base = self._info.times[0], self._info.time_base
        shown = [(time - start) * base for time in self._info.times]
        self.names = Moments(shown, self._info.duration * base or shown[-1] + 1 / self._info.rate)
        self.size = self._info.size

    @staticmethod
    def takes(path: Path) -> bool:
        """Return whether a path may be a video: what is nothing else."""
        return True

    def masks(self, colours: dict[int, int]) -> Iterator[RawMask]:
        """Read one frame after the other. Raises OSError where one does not decode, ValueError where it has colours."""
        info = self._info
        alphas = _alphas(info)
        for index, frame in enumerate(read(info)):
            alpha = next(alphas, None)
            if alpha is not None and alpha.min() < 128:  # a cut-out object, as in pictures
                yield RawMask(str(info.path), cv2.threshold(alpha, 127, 255, cv2.THRESH_BINARY)[1], "grey")
                continue
            red, green, blue = cv2.split(frame)
            strongest, weakest = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
            mask = cv2.threshold(strongest, 127, 255, cv2.THRESH_BINARY)[1]
            saturated = cv2.threshold(cv2.subtract(strongest, weakest), _SATURATED, 255, cv2.THRESH_BINARY)[1]
            if cv2.countNonZero(saturated) > 0.5 * max(1, cv2.countNonZero(mask)):
                raise ValueRefusal(
                    f"{info.path} has colours in frame {index}",
                    "a mask video is white on black, for one object",
                    "give several objects as indexed PNGs, one a frame",
                )
            yield RawMask(str(info.path), mask, "grey")


def _alphas(info: VideoInfo) -> Iterator[np.ndarray]:
    """Decode the alpha of each frame, upright uint8 (h, w); nothing where the video has none."""
    if is_animation(info.path):
        yield from read_alphas(info)
    if info.kind != "video":
        return
    with open_video(info.path) as (container, stream):
        codec = stream.codec_context
        if {key.lower(): word for key, word in stream.metadata.items()}.get(ALPHA) == "1" and codec.name in _WITH_ALPHA:
            # FFmpeg's own decoders leave alpha out.
            codec = cast(VideoCodecContext, av.CodecContext.create(_WITH_ALPHA[codec.name], "r"))
        elif not any(component.is_alpha for component in stream.format.components):
            return
        times = set(info.times)
        try:
            for frame in (frame for packet in container.demux(stream) for frame in codec.decode(packet)):
                if not info.timed or frame.pts in times:
                    rgba = frame.reformat(format="rgba").to_ndarray()
                    yield turn_upright(np.ascontiguousarray(rgba[..., 3]), info)
        except FFMPEG_ERRORS as error:
            what = f"{info.path} has alpha that does not decode"
            raise FileRefusal(what, "it must be a whole video", "copy it again from its source") from error
