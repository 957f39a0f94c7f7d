"""Read video files: count and time their frames without decoding them, and decode any range of them, exactly."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import chain, dropwhile, islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import av.logging
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from voin.core.errors import FileRefusal
from voin.io.claims import read_claims
from voin.io.colour.hardware import accelerator
from voin.io.colour.samples import FieldOrder, Samples
from voin.io.colour.video_samples import VideoFrame
from voin.io.fields import make_whole, read_fields
from voin.io.limits import LARGEST, VideoLimits
from voin.io.quality import Acceleration
from voin.io.video_info import FFMPEG_ERRORS, UNSPECIFIED, Colour, VideoInfo

# Only real containers: FFmpeg would also "play" text files, playlists that name other files, and single pictures.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,gif,flv,ogg,asf,mxf,nut,ivf,h264,hevc,m4v,obu,av1"
_FORMATS += ",yuv4mpegpipe,mpegvideo,dv,wtv"
_MOST_SAMPLES = 2**24  # of all tracks of a file: days of sound and film
_MOST_ERRORS = 64  # read errors after which a file is taken to have ended
_MOST_THREADS = 8  # each holds some frames, so memory grows with them
_MOST_HELD = 2**27  # pixels that these hold together
_MOST_LOST = 1000, 20  # frames that a file may have lost at its end, and so many for each that it has
_FIRST = 8  # frames to look at; frames out of order show within a few
_LOOK_BACK = 300  # frames to go back where seeking went too far
ALPHA = "alpha_mode"  # what Matroska says of streams with alpha
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_COMMON_RATE = 1001 * 1000  # denominators up to here hold every usual frame rate


class _Found(NamedTuple):
    """What a file's video packets say."""

    times: list[int]
    duration: int
    timed: bool = True


@contextmanager
def open_video(
    path: Path, limits: VideoLimits = LARGEST, most_pixels: int = 0, hwaccel: Acceleration = "none"
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video file, set up to decode in threads.

    Decoders make no room for frames of more than `most_pixels`, which are those of the limits where it is 0. With
    `hwaccel` frames come in the layout that the card has them in.

    Raises:
        OSError: it cannot be read, or holds no video.
        ValueError: its header claims more than the limits.
    """
    if not path.exists():
        raise FileRefusal(f"{path} does not exist", "it must be a video or a folder of pictures", "check the spelling")
    if path.stat().st_size == 0:
        raise FileRefusal(f"{path} is empty", "it must be a video", "copy it again from its source")
    claims = read_claims(path)
    limits.check_pixels(path, claims.size)
    if claims.samples > _MOST_SAMPLES:
        what = f"{path} claims {claims.samples:,} samples"
        raise FileRefusal(what, f"at most {_MOST_SAMPLES:,} can be", "copy it again from its source, or cut it")
    # With a level, which old versions of torchvision set, PyAV hands FFmpeg's messages to Python. Then threads of a
    # decoder that has met damage wait for Python, and Python waits for them while it closes the decoder: for ever.
    av.logging.set_level(None)
    try:
        # An absolute path, as FFmpeg would take "data:x" or "http:x" for something else than a file.
        options = {"format_whitelist": _FORMATS}
        most = {"max_pixels": str(most_pixels or limits.pixels)}
        given: dict[str, Any] = {"options": most, "container_options": options, "hwaccel": accelerator(hwaccel)}
        container = av.open(str(path.resolve()), metadata_errors="replace", **given)
    except FFMPEG_ERRORS as error:
        raise FileRefusal(
            f"{path} cannot be read as a video ({_reason(error)})",
            "it must be a whole mp4, mov, mkv, webm or gif",
            "copy it again from its source, or convert it with ffmpeg",
        ) from error
    with container:
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams or streams[0].codec_context is None:
            raise FileRefusal(f"{path} has no video that can be decoded", "it must hold one", "convert it with ffmpeg")
        stream = streams[0]
        stream.thread_type = "AUTO"
        context = stream.codec_context
        context.options = {**context.options, **most}
        size = (context.height or 1, context.width or 1)
        limits.check_pixels(path, size)
        threads = _MOST_HELD // (size[0] * size[1])
        stream.thread_count = max(1, min(os.cpu_count() or 1, _MOST_THREADS, threads))
        yield container, stream


def probe_video(path: Path, limits: VideoLimits) -> VideoInfo:
    """Find out what a video file holds: its packets are counted, and some frames are decoded.

    Raises:
        OSError: it cannot be read, holds no video, or none of its first frames can be decoded.
        ValueError: it is larger than the limits.
    """
    with open_video(path, limits) as (container, stream):
        gif = "gif" in container.format.name
        audio = bool(container.streams.audio)
        base = stream.time_base or Fraction(1, 1000)
        given_rate = stream.average_rate
        codec = stream.codec_context.name
        aspect = stream.sample_aspect_ratio or Fraction(1)
        # The index of a QuickTime file is all that there is; what other headers say is nothing to go by.
        limits.check_frames(path, stream.frames if "mov" in container.format.name else 0)
        found = _count_packets(path, container, stream, limits)
    first, colour, fields, ordered = _first_frames(path, limits)
    if not found.timed:
        found = _count_frames(path, limits, base, given_rate)
    h, w = first.height, first.width
    rotation, mirrored = _orientation(first)
    return VideoInfo(
        path=path,
        kind="gif" if gif else "video",
        size=(w, h) if rotation in (90, 270) else (h, w),
        count=len(found.times),
        rate=_rate(found, base, given_rate),
        time_base=base,
        times=tuple(found.times),
        duration=max(found.duration, found.times[-1] - found.times[0] + 1),
        rotation=rotation,
        colour=colour,
        audio=audio,
        names=tuple(f"{i:05d}" for i in range(len(found.times))),
        mirrored=mirrored,
        aspect=aspect,
        samples=Samples() if gif else _samples(first, codec, fields),
        timed=found.timed and ordered and not gif,  # GIFs cannot be sought
    )


def _samples(frame: av.VideoFrame, codec: str, fields: tuple[FieldOrder, bool]) -> Samples:
    components = frame.format.components
    return Samples(
        bits=max(component.bits for component in components),
        alpha=any(component.is_alpha for component in components),
        layout=frame.format.name,
        codec=codec,
        fields=fields[0],
        marked=fields[1],
    )


def read_video(info: VideoInfo, start: int, end: int) -> Iterator[tuple[int, VideoFrame | None, str]]:
    """Decode frames start..end-1; yields (index, frame or None, what is wrong), each index once, in order."""
    reformatter = VideoReformatter()
    index, wrong = start, "does not decode"
    frames = _frames_from(info, start)
    if info.deinterlace:  # the frame before is looked at, too
        frames = make_whole(_frames_from(info, max(0, start - 1)), info.samples.fields, info.samples.marked)
    for found, frame in frames:
        if found >= end:
            break
        if frame is None or found < index:
            continue
        if (frame.height, frame.width) != info.stored_size:
            wrong = f"has {frame.width}x{frame.height} pixels, unlike the first one"
            continue
        for missing in range(index, found):
            yield missing, None, wrong
        yield found, VideoFrame(frame, info, reformatter), ""
        index = found + 1
        if index == end:
            return
    for missing in range(index, end):
        yield missing, None, wrong


def _frames_from(info: VideoInfo, start: int) -> Iterator[tuple[int, av.VideoFrame | None]]:
    """Decode from the key frame before `start` to the file's end; yields (index, frame or None where it is damaged)."""
    # Seeking may land behind the wanted frame (open groups of pictures, files without an index): then go back further.
    for place in [start, max(0, start - _LOOK_BACK), 0] if info.timed else [0]:
        # A frame that is larger than the others is left out, so that it may be somewhat larger.
        most_pixels = max(2 * info.size[0] * info.size[1], 2**24)
        with open_video(info.path, most_pixels=most_pixels, hwaccel=info.hwaccel) as (container, stream):
            try:
                if place > 0:
                    container.seek(info.times[place], stream=stream)
            except FFMPEG_ERRORS:
                continue
            frames = _numbered(info, container, stream)
            if place > 0:
                frames = dropwhile(lambda found: found[1] is None, frames)
            first = next(frames, None)
            if place > 0 and (first is None or first[0] > start):
                continue
            if first is not None:
                yield from chain([first], frames)
            return


def _numbered(
    info: VideoInfo, container: InputContainer, stream: VideoStream
) -> Iterator[tuple[int, av.VideoFrame | None]]:
    for count, frame in enumerate(_decoded(container, stream)):
        index = count
        if info.timed:
            index = bisect_left(info.times, frame.pts) if frame.pts is not None else info.count
            if index == info.count or info.times[index] != frame.pts:
                continue
        yield index, None if frame.is_corrupt else as_stored(frame, info)


def as_stored(frame: av.VideoFrame, info: VideoInfo) -> av.VideoFrame:
    """Return a frame in the layout of the file: cards give the same samples, those of both chroma planes by turns."""
    if info.hwaccel == "none" or frame.format.name == info.samples.layout:
        return frame
    # To FFmpeg the full range of "yuvj" is another layout, to which it would convert the samples.
    return frame.reformat(format=info.samples.layout.replace("yuvj", "yuv"))


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Decode all that can be decoded, in display order; what cannot is left out."""
    codec: VideoCodecContext = stream.codec_context
    if codec.name in _WITH_ALPHA and {key.lower(): word for key, word in stream.metadata.items()}.get(ALPHA) == "1":
        # FFmpeg's own decoders leave alpha out.
        codec = cast(VideoCodecContext, av.CodecContext.create(_WITH_ALPHA[codec.name], "r"))
    for packet in readable_packets(container, stream):
        with suppress(*FFMPEG_ERRORS):
            yield from codec.decode(packet)


def readable_packets(container: InputContainer, *streams: Stream) -> Iterator[Packet]:
    """Return all packets that can be read, the last one of each stream empty (it flushes the decoder)."""
    errors = 0
    packets = container.demux(streams)
    while errors < _MOST_ERRORS:
        try:
            yield next(packets)
        except StopIteration:
            return
        except FFMPEG_ERRORS:
            errors += 1
            packets = container.demux(streams)


def _count_packets(path: Path, container: InputContainer, stream: VideoStream, limits: VideoLimits) -> _Found:
    """Time the frames by their packets."""
    shown: list[tuple[int | None, int]] = []  # (time, duration)
    start, read = None, 0
    for packet in readable_packets(container, stream):
        if packet.size == 0:
            continue
        read += 1
        limits.check_frames(path, read)
        if packet.is_discard:  # outside the file's edit list: decoded, never shown
            continue
        shown.append((packet.pts, packet.duration or 0))
        if packet.is_keyframe and start is None:
            start = packet.pts
    # What comes before the first key frame cannot be decoded, and no viewer shows it.
    spans = sorted((time, length) for time, length in shown if time is not None and (start is None or time >= start))
    times = [time for time, _ in spans]
    if not spans or any(time is None for time, _ in shown) or len(set(times)) < len(times):
        return _Found([], 0, timed=False)
    step = (times[-1] - times[0]) // (len(times) - 1) if len(times) > 1 else spans[-1][1]
    last = spans[-1][1] or step
    # Where frames are lost at the end, keep their places, so that reading says which ones are missing.
    lost = _promised(container, stream, spans[0][0]) - read
    if lost > _MOST_LOST[0] + _MOST_LOST[1] * read:
        what, must = f"{path} holds {read} of the {read + lost} frames that it claims", "it must hold most of them"
        raise FileRefusal(what, must, "copy it again from its source, or convert it with ffmpeg")
    for _ in range(lost):
        times.append(times[-1] + max(step, 1))
    return _Found(times, times[-1] - times[0] + max(last, 1))


def _promised(container: InputContainer, stream: VideoStream, first: int) -> int:
    """Return how many frames a file should hold by its own words, if it is cut short; otherwise 0 or less."""
    kind = container.format.name
    if "mov" in kind:
        return len(stream.index_entries)
    with Path(container.name).open("rb") as file:
        head = file.read(4096)
        size = file.seek(0, os.SEEK_END)
    if "avi" in kind:
        return stream.frames if int.from_bytes(head[4:8], "little") + 8 > size else 0
    if "matroska" in kind:
        return _promised_matroska(head, size, stream, first)
    return 0


def _promised_matroska(head: bytes, size: int, stream: VideoStream, first: int) -> int:
    at = head.find(b"\x18\x53\x80\x67")  # the segment, which holds everything; its size follows
    if at < 0 or at + 12 > len(head) or head[at + 4] != 1:
        return 0
    length = int.from_bytes(head[at + 5 : at + 12], "big")
    if length == 2**56 - 1 or at + 12 + length <= size:  # all ones: unknown, as in live recordings
        return 0
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)\D*", stream.metadata.get("DURATION", ""))
    if match is None or not stream.average_rate:
        return 0
    seconds = int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) - float(first * (stream.time_base or 0))
    return min(round(seconds * float(stream.average_rate)), LARGEST.frames)


def _count_frames(path: Path, limits: VideoLimits, base: Fraction, rate: Fraction | None) -> _Found:
    """Count the frames by decoding them all, for files whose packets have no usable times."""
    times = []
    with open_video(path, limits) as (container, stream):
        for frame in _decoded(container, stream):
            times.append(frame.pts)
            limits.check_frames(path, len(times))
    usable = [time for time in times if time is not None]
    if len(usable) < len(times) or usable != sorted(set(usable)):
        step = max(1, round(1 / (rate or 25) / base))
        usable = [index * step for index in range(len(times))]
    step = (usable[-1] - usable[0]) // (len(usable) - 1) if len(usable) > 1 else 1
    return _Found(usable, usable[-1] - usable[0] + max(step, 1), timed=False)


def _first_frames(path: Path, limits: VideoLimits) -> tuple[av.VideoFrame, Colour, tuple[FieldOrder, bool], bool]:
    """Decode the first frame; return it, the colours' tags, `read_fields`, and whether times rise with frames."""
    with open_video(path, limits) as (container, stream):
        frames = [frame for frame in islice(_decoded(container, stream), _FIRST) if not frame.is_corrupt]
        if not frames:
            what, must = f"{path} has no frame that decodes", "it must be a whole video"
            remedy = f"copy it again from its source, or {limits.raised_by} --max-pixels"
            raise FileRefusal(what, f"{must} of at most {limits.pixels:,} pixels a frame", remedy)
        first = frames[0]
        limits.check_pixels(path, (first.height, first.width))
        times = [-1 if frame.pts is None else frame.pts for frame in frames]
        ordered = all(a < b for a, b in pairwise(times))  # not so for H.264 in AVI, which has no frame times
        pairs = (
            (first.color_primaries, stream.color_primaries),
            (first.color_trc, stream.color_trc),
            (first.colorspace, stream.colorspace),
        )
        tags = [next((int(tag) for tag in pair if tag not in (UNSPECIFIED, None)), UNSPECIFIED) for pair in pairs]
        full = first.format.name.startswith("yuvj")
        colour = Colour(*tags, range=2 if full else first.color_range or stream.color_range or 0)
        return first, colour, read_fields(frames, stream), ordered


def _orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """Read the display matrix: (degrees clockwise, flipped left to right afterwards)."""
    try:
        matrix = np.frombuffer(bytes(cast(Any, frame.side_data)["DISPLAYMATRIX"]), np.int32).astype(float)
    except (KeyError, ValueError):
        return 0, False
    # (x, y) is shown at (a x + c y, b x + d y), y down.
    a, b, _, c, d = matrix[:5]
    mirrored = a * d - b * c < 0
    if mirrored:
        a, c = -a, -c
    return round(np.degrees(np.arctan2(b, a)) / 90) * 90 % 360, bool(mirrored)


def _rate(found: _Found, base: Fraction, given: Fraction | None) -> Fraction:
    """Return the average frame rate: the file's own word where its frame times bear it out, as that is exact."""
    span = (found.times[-1] - found.times[0]) * base
    measured = (len(found.times) - 1) / span if span else given or Fraction(25)
    if given and abs(given / measured - 1) < 0.005:
        return given
    return Fraction(measured).limit_denominator(_COMMON_RATE)


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
