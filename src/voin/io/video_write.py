"""Write consecutive frames as a video file, in a thread of its own, so that encoding overlaps with the work.

No codec here reorders frames (no B-frames) and every file starts with a key frame, so files of the same video can be
joined packet by packet (`video_join`), and the n-th packet is the n-th frame: it gets its exact time, whatever the
encoder thinks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TypeVar, cast

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream

from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.files import replace_file
from voin.core.overlap import result_of
from voin.io.colour.codecs import CODINGS, choose_codec, coding_options, layout_for
from voin.io.colour.video_samples import VideoFrame, for_encoder
from voin.io.fields import FieldTag, encoder_options
from voin.io.quality import Quality
from voin.io.video_info import FFMPEG_ERRORS, RGB_MATRIX, Colour, VideoInfo, from_rgb, matrix_of, turn_back
from voin.io.video_read import ALPHA

_AHEAD = 5  # frames in the hands of the encoder; memory grows with them
_TURNABLE = (".mp4", ".mov", ".m4v")  # containers whose rotation tag viewers obey
_LAYER_SUFFIXES = (".mov", ".webm")
_KEY_SECONDS = 4  # a key frame at least this often, so that seeking stays quick


@dataclass(frozen=True)
class _Encoding:
    """A codec, its pixel layout and options, and the colour tags that go with them."""

    codec: str
    layout: str
    options: dict[str, str]
    colour: Colour


_W = TypeVar("_W", bound="_Writer")  # not `Self`, which the checker of the test run cannot follow


class _Writer:
    """Encodes frames of one size into one file, whole or absent."""

    _channels: int = 3

    def __init__(
        self, path: str | Path, info: VideoInfo, times: Sequence[int], encoding: _Encoding, turn: bool
    ) -> None:
        if len(times) == 0 or any(b <= a for a, b in pairwise(times)):
            raise ValueRefusal(
                f"{path}: {len(times)} frame times", "they must be one or more and rise", "take them from info.times"
            )
        self._path = Path(path)
        self._draft = self._path.with_name(f".{self._path.stem}.part{self._path.suffix}")
        self._info = info
        self._times = list(times)
        self._encoding = encoding
        self._turn = turn
        self._written = self._sent = self._packed = 0
        self._container: OutputContainer | None = None
        self._reformatter = VideoReformatter()
        fields = info.fields if turn or not info.rotation else ""  # lines that are turned are none any more
        self._fields = encoder_options(encoding.codec, fields)
        self._tag = FieldTag(fields) if fields and self._fields else None
        self._thread = ThreadPoolExecutor(1, f"encode {self._path.name}")
        self._pending: deque[Future[None]] = deque()

    def write(self, frame: np.ndarray) -> None:
        """Hand over the next frame; it is copied, and encoded later.

        Raises:
            ValueError: wrong size or dtype, or more frames than times.
            OSError: an earlier frame could not be written.
        """
        deep = self._channels == 4 and frame.dtype == np.uint16
        if not (frame.dtype == np.uint8 or deep) or frame.shape != (*self._info.size, self._channels):
            raise ValueRefusal(
                f"a frame has shape {frame.shape} and dtype {frame.dtype}",
                f"it must be uint8 {(*self._info.size, self._channels)}",
                "convert it first",
            )
        stored = np.ascontiguousarray(turn_back(frame, self._info) if self._turn else frame)
        layout = "rgb24" if self._channels == 3 else "rgba64le" if deep else "rgba"
        self._take(av.VideoFrame.from_ndarray(stored, format=layout))

    def _take(self, frame: av.VideoFrame) -> None:
        """Hand over the next frame, which nobody else changes."""
        if self._written == len(self._times):
            raise ValueRefusal(
                f"{self._path} has {self._written} frames already", "one a time is due", "give it more times"
            )
        self._put(frame)
        self._written += 1

    def close(self) -> None:
        """Finish the file and give it its name. Raises ValueError where frames are missing, else as `write`."""
        if self._written < len(self._times):
            self.discard()
            raise ValueRefusal(
                f"{self._path} got {self._written} frames for {len(self._times)} times",
                "it must get one each",
                "write all",
            )
        self._put(None)
        self._thread.shutdown()
        replace_file(self._draft, self._path)

    def discard(self) -> None:
        """Stop, and leave no file."""
        self._thread.shutdown(cancel_futures=True)
        if self._container is not None:
            with suppress(*FFMPEG_ERRORS):
                self._container.close()
        self._draft.unlink(missing_ok=True)

    def __enter__(self: _W) -> _W:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _put(self, frame: av.VideoFrame | None) -> None:
        """Hand a frame to the encoder and wait while it has too many, or the end and wait for all."""
        self._pending.append(self._thread.submit(self._encode, frame))
        try:
            while len(self._pending) > (0 if frame is None else _AHEAD):
                result_of(self._pending.popleft())
        except Exception as failure:
            self.discard()
            raise FileRefusal(
                f"{self._path} cannot be written ({failure})",
                "the disk must have room and the folder be writable",
                "make room or choose another folder",
            ) from failure

    def _encode(self, frame: av.VideoFrame | None) -> None:
        if self._container is None:
            options = container_options(self._info)
            self._container = av.open(str(self._draft.resolve()), "w", container_options=options)
            self._stream = self._add_stream(self._container)
        if frame is not None:
            frame = self._laid_out(frame)
            if self._tag is not None:
                frame = self._tag(frame)
            frame.pts, frame.time_base = self._sent, self._stream.codec_context.time_base
            self._sent += 1
        for packet in self._stream.encode(frame):
            set_time(packet, self._info, self._times, self._packed)
            self._container.mux(packet)
            self._packed += 1
        if frame is None:
            self._container.close()

    def _laid_out(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return an RGB(A) frame in the layout of the encoder."""
        return from_rgb(frame, self._encoding.layout, self._encoding.colour, self._reformatter)

    def _add_stream(self, container: OutputContainer) -> VideoStream:
        encoding, info = self._encoding, self._info
        rate = info.rate if Fraction(1, 1000) <= info.rate <= 1000 else Fraction(25)
        stream = cast(
            VideoStream, container.add_stream(encoding.codec, rate=rate, options=encoding.options | self._fields)
        )
        height, width = info.stored_size if self._turn else info.size
        stream.width, stream.height, stream.pix_fmt = width, height, encoding.layout
        # The encoder counts frames; the container holds the real times.
        stream.codec_context.time_base = 1 / rate
        stream.time_base = info.time_base
        stream.gop_size = max(1, round(_KEY_SECONDS * rate))
        stream.max_b_frames = 0
        aspect = info.aspect if self._turn or info.rotation in (0, 180) else 1 / info.aspect
        if aspect != 1:
            stream.sample_aspect_ratio = aspect
        colour = encoding.colour
        stream.color_primaries, stream.color_trc = colour.primaries, colour.transfer
        stream.colorspace, stream.color_range = colour.matrix, colour.range
        if self._turn and (info.rotation or info.mirrored):  # by this tag viewers turn the picture
            stream.set_display_rotation(-info.rotation, hflip=info.mirrored)
        if encoding.codec == "libvpx-vp9" and encoding.layout.startswith("yuva"):
            stream.metadata[ALPHA] = "1"  # without it browsers show webm without its alpha
        return stream


class VideoWriter(_Writer):
    """Writes upright uint8 RGB frames (h, w, 3) as one H.264 file: a segment for `join`, or a whole video.

    Sizes with an odd side are kept by full chroma resolution (4:4:4), as H.264 cannot hold them otherwise. The file has
    the source's times, colour tags, pixel aspect and rotation tag. In a `with`, an exception leaves no file.

    The suffix of `path` chooses the container: .mp4, .mov, .mkv. `times` are those of each frame that will come, in
    `info.time_base`.
    """

    _channels = 3

    def __init__(self, path: str | Path, info: VideoInfo, times: Sequence[int], quality: Quality | None = None) -> None:
        turn = Path(path).suffix.lower() in _TURNABLE
        super().__init__(path, info, times, _encoding(info, quality or Quality()), turn)


class SamplesWriter(_Writer):
    """Writes a video's frames as `read_frames` gives them, in samples like their own, by the codec of `quality`.

    The file has the source's times, colour tags, pixel aspect and orientation, as that of a `VideoWriter`.
    """

    def __init__(self, path: str | Path, info: VideoInfo, times: Sequence[int], quality: Quality) -> None:
        codec = choose_codec(info.samples, quality)
        layout = layout_for(codec, info.samples.layout)
        rgb = av.VideoFormat(layout).is_rgb
        colour = replace(info.colour, matrix=RGB_MATRIX, range=int(ColorRange.JPEG)) if rgb else _video_colour(info)
        encoding = _Encoding(CODINGS[codec].encoder, layout, coding_options(codec, layout, quality), colour)
        super().__init__(path, info, times, encoding, turn=True)

    def write_samples(self, frame: VideoFrame) -> None:
        """Hand over the next frame; it is encoded later. Raises as `write`."""
        self._take(frame.frame)

    def _laid_out(self, frame: av.VideoFrame) -> av.VideoFrame:
        return for_encoder(frame, self._encoding.layout, self._reformatter)


class LayerWriter(_Writer):
    """Writes upright RGBA frames (h, w, 4), uint8 or uint16, with their alpha: .mov is ProRes 4444, .webm is VP9.

    It holds upright pictures and no rotation tag, so that it fits on the upright source in an editor.
    """

    _channels = 4

    def __init__(self, path: str | Path, info: VideoInfo, times: Sequence[int]) -> None:
        suffix = Path(path).suffix.lower()
        if suffix not in _LAYER_SUFFIXES:
            raise ValueRefusal(f"{path} ends in {suffix}", "a layer video must be .mov or .webm", "choose one of them")
        colour = _video_colour(info)
        if suffix == ".mov":
            encoding = _Encoding("prores_ks", "yuva444p10le", {"profile": "4444", "vendor": "apl0"}, colour)
        else:
            # auto-alt-ref would hide frames in the stream, which alpha does not allow.
            options = {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"}
            encoding = _Encoding("libvpx-vp9", "yuva420p", options | {"auto-alt-ref": "0"}, colour)
        super().__init__(path, info, times, encoding, turn=False)


def keeps_samples(info: VideoInfo, quality: Quality) -> bool:
    """Return whether a video's frames go to a `SamplesWriter`, from decoder to encoder but for what is replaced.

    H.264 takes those of the usual videos; all it would hold otherwise, and all if it is to be lossless, goes to a
    `VideoWriter` as RGB.
    """
    if choose_codec(info.samples, quality) != "h264":
        return True
    return info.samples.layout == _encoding(info, quality).layout == "yuv420p" and not info.fields


def container_options(info: VideoInfo) -> dict[str, str]:
    """Return options with which mp4 and mov hold a first time other than 0 exactly; other containers ignore them."""
    return {"movie_timescale": str(max(1000, min(info.time_base.denominator, 2**31 - 1)))}


def set_time(packet: av.Packet, info: VideoInfo, times: Sequence[int], index: int) -> None:
    """Return the packet of the `index`-th frame its time and duration."""
    packet.time_base = info.time_base
    packet.pts = packet.dts = times[index]
    if index + 1 < len(times):
        packet.duration = times[index + 1] - times[index]
    elif info.duration and times[index] - times[0] == info.times[-1] - info.times[0]:
        packet.duration = info.times[0] + info.duration - info.times[-1]
    else:
        packet.duration = max(1, round(1 / info.rate / info.time_base))


def _encoding(info: VideoInfo, quality: Quality) -> _Encoding:
    # Closed groups of pictures, none reordered: see the top of this file.
    options = {"preset": quality.preset, "bf": "0"}
    if quality.lossless:
        colour = replace(info.colour, matrix=RGB_MATRIX, range=int(ColorRange.JPEG))
        return _Encoding("libx264rgb", "rgb24", options | {"crf": "0"}, colour)
    # H.264 has chroma samples for each 2 pixels, and for each 4 lines of two fields.
    whole = info.stored_size[0] % (4 if info.fields else 2) == 0 and info.stored_size[1] % 2 == 0
    layout = "yuv420p" if whole else "yuv444p"
    return _Encoding("libx264", layout, options | {"crf": str(quality.crf)}, _video_colour(info))


def _video_colour(info: VideoInfo) -> Colour:
    """Tag the colours as the source does; where it is RGB, name the matrix that we choose."""
    if info.kind == "video" and info.colour.matrix != RGB_MATRIX:
        return info.colour
    matrix = int(matrix_of(Colour(), info.stored_size))
    # FFmpeg's scaler and H.273 number BT.601 differently.
    return replace(info.colour, matrix=1 if matrix == 1 else 6, range=int(ColorRange.MPEG))
