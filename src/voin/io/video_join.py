"""Join segments into one video without encoding anew, with the source's sound, which `check_sound` tries before.

What else the source holds is carried over by `tracks`.
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.files import replace_file
from voin.io.tracks import Carried, Subtitles, carry, tell
from voin.io.video_info import FFMPEG_ERRORS, VideoInfo
from voin.io.video_read import readable_packets
from voin.io.video_write import ALPHA, container_options, set_time

# Sound that a container takes as it is, and what the rest becomes.
_MP4_SOUND = {"aac", "mp3", "mp3float", "ac3", "eac3", "opus", "libopus", "flac", "alac"}
_SOUND = {
    ".mp4": (_MP4_SOUND, "aac"),
    ".m4v": (_MP4_SOUND, "aac"),
    ".mov": ({"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le", "pcm_s16be"}, "aac"),
    ".webm": ({"opus", "libopus", "vorbis"}, "libopus"),
    ".mkv": (_MP4_SOUND | {"vorbis", "dca", "truehd", "pcm_s16le", "pcm_s24le"}, "aac"),
}

_FORMATS = {".mkv": "matroska", ".m4v": "mp4"}  # FFmpeg's names, where they are not the suffix
_LAYOUTS = ("mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1")  # what so many channels are taken for
_TRIED = 40  # packets of sound that are tried before
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)


def join(
    segments: Sequence[Path],
    out: str | Path,
    info: VideoInfo,
    *,
    start: int = 0,
    end: int | None = None,
    audio: bool = True,
    extras: bool = False,
) -> None:
    """Join `segments`, which hold frames start..end-1 of `info`, into the file `out`; it is whole or absent.

    The frames get the source's times; if `start` is not 0 they begin at time 0. Sound is copied packet by packet and
    cut likewise; sound that the container cannot hold is encoded anew.

    Args:
        segments: Files of one `VideoWriter` or `LayerWriter` setting, in order.
        out: Same suffix as the segments.
        info: The source.
        start: Its first frame in the segments.
        end: The frame after the last one; None for the last of the source.
        audio: Take the source's sound along, if it has any.
        extras: And its subtitles, chapters and title, where `out` takes them; `check_extras` says which.

    Raises:
        OSError: a segment cannot be read, the segments do not hold these frames or do not fit together, or `out` cannot
            be written.
    """
    out = Path(out)
    end = info.count if end is None else end
    if not segments or not 0 <= start < end <= info.count:
        raise ValueRefusal(
            f"{out}: {len(segments)} segments for frames {start} to {end}",
            f"there must be one or more, for some of the {info.count} frames of {info.path}",
            "write some first",
        )
    draft = out.with_name(f".{out.stem}.part{out.suffix}")
    zero = _zero(info, start)
    times = tuple(time - zero for time in info.times[start:end])
    try:
        with ExitStack() as stack:
            first = stack.enter_context(_opened(segments[0]))
            options = container_options(info) | {"movflags": "faststart"}  # browsers can begin before they have it all
            container = stack.enter_context(av.open(str(draft.resolve()), "w", container_options=options))
            # The template brings the rotation tag along.
            picture = container.add_stream_from_template(first.streams.video[0], opaque=True)
            picture.time_base = info.time_base
            if ALPHA in map(str.lower, first.streams.video[0].metadata):
                picture.metadata[ALPHA] = "1"
            flows = [_pictures(segments, picture, info, times)]
            tracks: dict[int, _Track | Subtitles] = {}
            if (audio and info.audio) or (extras and info.kind == "video"):
                source = stack.enter_context(_opened(info.path))
                if audio:
                    tracks |= {s.index: _Track(container, s, out) for s in source.streams.audio if s.codec_context}
                if extras:
                    span = zero * info.time_base, info.times[end] * info.time_base if end < info.count else None
                    tracks |= carry(source, container, picture, out.suffix.lower(), *span)
                if tracks:  # with no stream named, FFmpeg would read them all
                    flows.append(_others(source, tracks, info, start, end))
            for packet in heapq.merge(*flows, key=lambda packet: (packet.dts or 0) * packet.time_base):
                container.mux(packet)
        replace_file(draft, out)
    except FFmpegError as error:
        raise FileRefusal(
            f"{out} cannot be written ({error.strerror})",
            "the disk must have room and the folder be writable",
            "make room or choose another folder",
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _zero(info: VideoInfo, start: int) -> int:
    """Return the time in the source that becomes 0: a whole video keeps its times, a cut one starts at 0."""
    return info.times[start] if start > 0 or info.times[0] < 0 else 0


def check_sound(info: VideoInfo, suffix: str) -> str:
    """Return in words what becomes of a video's sound in a file of that suffix; "" where it is silent.

    Raises:
        OSError: it can neither be copied nor encoded anew; found out by doing so with the beginning of it.
    """
    if not info.audio:
        return ""
    said = []
    with _opened(info.path) as source:
        for number, stream in enumerate(source.streams.audio):
            if not stream.codec_context:
                said.append(f"track {number} cannot be decoded and is left out")
                continue
            try:
                with av.open(io.BytesIO(), "w", format=_FORMATS.get(suffix, suffix[1:])) as container:
                    track = _Track(container, stream, Path(f"sound{suffix}"))
                    source.seek(0)
                    tried = (packet for packet in source.demux(stream) if packet.size and packet.pts is not None)
                    for packet in [*islice(tried, _TRIED), None]:
                        for ready in track.add(packet, Fraction(0)):
                            container.mux(ready)
            except FFMPEG_ERRORS as error:
                raise FileRefusal(
                    f"the sound of {info.path} cannot be put into a {suffix} file ({track_name(stream)}: {error})",
                    "it must be one that can be copied or encoded anew",
                    "use --no-audio to leave it out, or convert it with ffmpeg",
                ) from error
            said.append(track.words)
    return f"Sound: {'; '.join(said)}" if said else ""


def check_extras(info: VideoInfo, suffix: str, start: int = 0) -> Carried:
    """Return what becomes of all that a video holds beside pictures and sound in a file of that suffix."""
    if info.kind != "video":
        return Carried()
    with _opened(info.path) as source:
        return tell(source, suffix, start == 0)


def track_name(source: AudioStream) -> str:
    """Write what a sound track is: "pcm_s16le, 2 channels"."""
    return f"{source.codec_context.name}, {source.layout.name}"


def _opened(path: Path, **options: Any) -> InputContainer:
    try:
        return av.open(str(path.resolve()), metadata_errors="replace", **options)
    except FFMPEG_ERRORS as error:
        what = f"{path} cannot be read ({error})"
        raise FileRefusal(what, "it must be a whole video", "remove it and run again") from error


def _pictures(
    segments: Sequence[Path], stream: VideoStream, info: VideoInfo, times: tuple[int, ...]
) -> Iterator[Packet]:
    """Return the packets of all segments, with the source's times."""
    count, header = 0, None
    for path in segments:
        # No frame is decoded only to look at it, which takes 60 ms at 1920x1080: the extradata say what it is made of.
        with _opened(path, stream_options=[{"skip_frame": "all"}]) as segment:
            codec = segment.streams.video[0].codec_context
            found = (codec.name, codec.width, codec.height, codec.extradata)
            if header is not None and found != header:
                raise FileRefusal(
                    f"{path} was written with other settings than {segments[0]}",
                    "all segments must agree",
                    "remove them and run again",
                )
            header = found
            for packet in segment.demux(segment.streams.video[0]):
                if packet.size == 0:
                    continue
                if count < len(times):
                    packet.stream = stream
                    set_time(packet, info, times, count)
                    yield packet
                count += 1
    if count != len(times):
        raise FileRefusal(
            f"the {len(segments)} segments hold {count} frames, not {len(times)}",
            "each must be there once",
            "remove them and run again",
        )


class _Track:
    """A sound track of the joined file: copied, or encoded anew where the container cannot hold the source's codec.

    Attributes:
        words: what becomes of it.
    """

    def __init__(self, container: OutputContainer, source: AudioStream, out: Path) -> None:
        taken, encoder = _SOUND.get(out.suffix.lower(), _SOUND[".mp4"])
        self._copied = source.codec_context.name in taken
        self._keeps_negative = out.suffix.lower() in (".mp4", ".mov", ".m4v")
        self._last: int | None = None
        self.words = f"copied ({track_name(source)})"
        if self._copied:
            self._stream = container.add_stream_from_template(source, opaque=True)
        else:
            layout = _LAYOUTS[source.channels - 1] if source.channels in (1, 2, 6) else "stereo"
            self.words = f"encoded anew ({track_name(source)} to {encoder}, {layout})"
            rate = source.rate if encoder == "aac" and source.rate in _AAC_RATES else 48000
            self._stream = cast(AudioStream, container.add_stream(encoder, rate=rate, layout=layout))
            self._stream.codec_context.open()
            self._resampler = av.AudioResampler(
                format=self._stream.format, layout=layout, rate=rate, frame_size=self._stream.frame_size or None
            )
        if source.language:
            self._stream.metadata["language"] = source.language

    def add(self, packet: Packet | None, zero: Fraction) -> list[Packet]:
        """Turn a packet of the source (None: there are no more) into packets of the track, `zero` seconds earlier."""
        ready = self._moved(packet, zero) if self._copied else self._encoded(packet, zero)
        kept = []
        for packet in ready:
            moment = packet.dts if packet.dts is not None else packet.pts
            # Players bear a gap in the sound of a damaged source; containers refuse time that stands still.
            if moment is None or (self._last is not None and moment <= self._last):
                continue
            if moment < 0 and not self._keeps_negative:  # the container would move the pictures instead
                continue
            self._last = packet.dts = moment
            packet.stream = self._stream
            kept.append(packet)
        return kept

    def _moved(self, packet: Packet | None, zero: Fraction) -> list[Packet]:
        if packet is None:
            return []
        offset = round(zero / packet.time_base)
        packet.dts = None if packet.dts is None else packet.dts - offset
        packet.pts = None if packet.pts is None else packet.pts - offset
        return [packet]

    def _encoded(self, packet: Packet | None, zero: Fraction) -> list[Packet]:
        try:
            frames: list[Any] = [None] if packet is None else packet.decode()
        except FFMPEG_ERRORS:
            return []
        frames = [frame if frame is None else _placed(frame) for frame in frames]
        for frame in frames:
            if frame is not None and frame.pts is not None and frame.time_base:
                frame.pts -= round(zero / frame.time_base)
        blocks = [block for frame in frames for block in self._resampler.resample(frame)]
        packets = [out for block in blocks for out in self._stream.encode(block)]
        return packets + (self._stream.encode(None) if packet is None else [])


def _placed(frame: AudioFrame) -> AudioFrame:
    """Give sound that does not say where its channels are heard the usual places for so many."""
    if not frame.layout.name.endswith("channels") or frame.layout.nb_channels > len(_LAYOUTS):
        return frame
    layout = _LAYOUTS[frame.layout.nb_channels - 1]
    placed = AudioFrame.from_ndarray(frame.to_ndarray(), format=frame.format.name, layout=layout)
    placed.sample_rate, placed.time_base, placed.pts = frame.sample_rate, frame.time_base, frame.pts
    return placed


def _others(
    source: InputContainer, tracks: dict[int, _Track | Subtitles], info: VideoInfo, start: int, end: int
) -> Iterator[Packet]:
    """Return the packets of all sound and subtitles that belong to frames start..end-1."""
    zero = _zero(info, start) * info.time_base
    stop = info.times[end] * info.time_base if end < info.count else None
    if start > 0:
        # Some seconds early, as sound may lie before its picture in the file.
        try:
            source.seek(max(0, int((zero - 5) * av.time_base)))
        except FFMPEG_ERRORS:
            source.seek(0)
    for packet in readable_packets(source, *(source.streams[index] for index in tracks)):
        if packet.size == 0 or packet.pts is None:
            continue
        begin = packet.pts * packet.time_base
        if stop is not None and begin >= stop:
            continue
        if start > 0 and begin + (packet.duration or 0) * packet.time_base <= zero:
            continue
        yield from tracks[packet.stream_index].add(packet, zero)
    for track in tracks.values():
        yield from track.add(None, zero)
