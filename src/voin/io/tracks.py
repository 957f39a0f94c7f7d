"""What a video file holds beside pictures and sound: subtitles, chapters, its title, further tracks.

They are carried over where the file that is written takes them; what is not is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import SubtitleSet

from voin.core.errors import count_of
from voin.io.video_info import FFMPEG_ERRORS

# Subtitles that a file takes as they are, and what text becomes otherwise.
_MP4_TEXT = ({"mov_text"}, "mov_text")
_MKV = {"subrip", "srt", "ass", "ssa", "webvtt", "dvdsub", "pgssub", "dvbsub"}
_SUBTITLES = {
    **dict.fromkeys((".mp4", ".m4v", ".mov"), _MP4_TEXT),
    ".mkv": (_MKV, "subrip"),
    ".webm": ({"webvtt"}, "webvtt"),
}
_TEXT = {"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text", "microdvd", "sami", "subviewer"}
# What of a file's own words others can say; Matroska takes all.
_BOTH = {"title", "date", "comment", "genre", "copyright", "creation_time", "location"}
_ITUNES = {"artist", "album_artist", "album", "composer", "description", "synopsis", "grouping", "lyrics", "show"}
_WORDS = {
    ".mp4": _BOTH | _ITUNES | {"episode_id", "network", "keywords", "track", "disc"},
    ".m4v": _BOTH | _ITUNES | {"episode_id", "network", "keywords", "track", "disc"},
    ".mov": _BOTH | {"album", "comment", "make", "model"},
}
# Of the file that they stood in alone.
_OWN = {"major_brand", "minor_version", "compatible_brands", "encoder", "software", "duration"}
_OWN |= {"timecode", "location-eng"}  # these are told by others
_TIMECODE = "timecode"
_DISCARDED = 48  # FFmpeg's word for tracks that it reads by itself


@dataclass(frozen=True)
class Carried:
    """What becomes of all that is neither picture nor sound, in words."""

    kept: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """All of it in one line; "" where there is nothing."""
        parts = (f"{said}: {', '.join(what)}" for said, what in (("Kept", self.kept), ("Left out", self.left_out)))
        return "; ".join(part for part in parts if not part.endswith(": "))


class Subtitles:
    """A track of subtitles in what is written: copied, or written anew as text that the file takes."""

    def __init__(self, container: OutputContainer, source: SubtitleStream, suffix: str) -> None:
        taken, encoder = _SUBTITLES[suffix]
        self._source = source
        self._copied = source.codec_context.name in taken
        if self._copied:
            self._stream = container.add_stream_from_template(source, opaque=True)
        else:
            if not source.codec_context.is_open:
                source.codec_context.open()  # it knows its style from then on
            self._stream = cast(SubtitleStream, container.add_stream(cast(Any, encoder)))
            self._stream.time_base = Fraction(1, 1000)
            self._stream.codec_context.time_base = Fraction(1, 1000)
            self._stream.codec_context.subtitle_header = source.codec_context.subtitle_header or b""
            self._stream.codec_context.open()
        _name_track(source, self._stream)
        with suppress(AttributeError):
            self._stream.disposition = source.disposition

    def add(self, packet: Packet | None, zero: Fraction) -> list[Packet]:
        """Turn a packet of the source (None: there are no more) into packets of the track, `zero` seconds earlier."""
        if packet is None or packet.pts is None or not packet.time_base:
            return []
        begin, duration = packet.pts * packet.time_base - zero, (packet.duration or 0) * packet.time_base
        if begin < 0:  # it was shown before the first frame
            begin, duration = Fraction(0), max(duration + begin, Fraction(0))
        if not self._copied:
            return self._written_anew(packet, begin, duration)
        packet.pts = packet.dts = round(begin / packet.time_base)
        packet.duration = round(duration / packet.time_base)
        packet.stream = self._stream
        return [packet]

    def _written_anew(self, packet: Packet, begin: Fraction, duration: Fraction) -> list[Packet]:
        shown: SubtitleSet | None = None
        with suppress(*FFMPEG_ERRORS):
            shown = self._source.codec_context.decode2(packet)
        texts: list[Any] = [text for rect in shown or () if (text := getattr(rect, "ass", None))]
        made = []
        for text in texts:
            subtitle = SubtitleSet.create(text, 0, round(duration * 1000), pts=0)
            written = self._stream.codec_context.encode_subtitle(subtitle)
            written.pts = written.dts = round(begin * 1000)
            written.duration, written.time_base = round(duration * 1000), Fraction(1, 1000)
            written.stream = self._stream
            made.append(written)
        return made


def tell(source: InputContainer, suffix: str, whole: bool) -> Carried:
    """Return what becomes of a file's further tracks, chapters and words in one of that suffix.

    Args:
        source: the file.
        suffix: of what is written; "" for pictures, which hold none of it.
        whole: all of its frames are, from the first one.
    """
    kept, left_out = [], []
    for stream in source.streams:
        fate = ""
        told_elsewhere = stream.type == "audio" or stream is _main(source) or _TIMECODE in stream.metadata
        if told_elsewhere or _is_chapters(source, stream):
            continue
        if stream.type == "subtitle":
            fate = _fate(cast(SubtitleStream, stream), suffix)
        (kept if fate else left_out).append(f"subtitles ({_describe(stream)}; {fate})" if fate else _described(stream))
    kept += [count_of(len(chapters), "chapter")] if (chapters := source.chapters()) else []
    if code := _timecode(source):
        (kept if whole else left_out).append(f"timecode {code}")
    for name, word in _words(source).items():
        (kept if _takes(suffix, name) else left_out).append(f'{name} "{_short(word)}"')
    if not suffix:
        return Carried((), tuple(kept + left_out))
    return Carried(tuple(kept), tuple(left_out))


def carry(
    source: InputContainer,
    container: OutputContainer,
    picture: Stream,
    suffix: str,
    zero: Fraction,
    stop: Fraction | None,
) -> dict[int, Subtitles]:
    """Give a file that is written the words and chapters of the source, and make its tracks of subtitles.

    Args:
        source: the file with all its frames.
        container: to be written.
        picture: its video.
        suffix: of it.
        zero: seconds in the source at which it begins.
        stop: seconds in the source at which it ends; None: with it.

    Returns:
        The tracks, by their index in the source.
    """
    container.metadata.update({name: word for name, word in _words(source).items() if _takes(suffix, name)})
    if (code := _timecode(source)) and not zero:
        picture.metadata[_TIMECODE] = code
    chapters = list(_moved(source, zero, stop))
    if chapters:
        container.set_chapters(chapters)
    found = [cast(SubtitleStream, stream) for stream in source.streams if stream.type == "subtitle"]
    return {
        stream.index: Subtitles(container, stream, suffix)
        for stream in found
        if not _is_chapters(source, stream) and _fate(stream, suffix)
    }


def _moved(source: InputContainer, zero: Fraction, stop: Fraction | None) -> Iterator[Any]:
    """Return the chapters between two moments of the source, by the time since the first one."""
    for chapter in cast(list[dict[str, Any]], source.chapters()):
        base = chapter["time_base"]
        first, last = chapter["start"] * base, chapter["end"] * base
        last = last if stop is None else min(last, stop)
        if last > max(first, zero):
            times = {"start": round((max(first, zero) - zero) / base), "end": round((last - zero) / base)}
            yield {**chapter, **times}


def _name_track(source: Stream, target: Stream) -> None:
    for name in ("language", "title"):
        if word := source.metadata.get(name):
            target.metadata[name] = word


def _fate(stream: SubtitleStream, suffix: str) -> str:
    """Return how a file takes subtitles: "copied", "as mov_text"; "" where it does not."""
    if stream.codec_context is None or suffix not in _SUBTITLES:
        return ""
    taken, encoder = _SUBTITLES[suffix]
    name = stream.codec_context.name
    return "copied" if name in taken else f"as {encoder}" if name in _TEXT else ""


def _is_chapters(source: InputContainer, stream: Stream) -> bool:
    """Return whether a track of a QuickTime file is but the form in which it holds its chapters."""
    count = len(source.chapters())
    unseen = int(stream.discard) >= _DISCARDED or (stream.frames == count and not stream.disposition)
    return bool(count) and "mov" in source.format.name and stream.type in ("subtitle", "data") and unseen


def _timecode(source: InputContainer) -> str:
    """Return the time of day, or of a tape, of the first frame."""
    said = (stream.metadata.get(_TIMECODE, "") for stream in source.streams if stream.type in ("video", "data"))
    return source.metadata.get(_TIMECODE, "") or next(filter(None, said), "")


def _main(source: InputContainer) -> Stream | None:
    streams = [stream for stream in source.streams.video if not stream.disposition & Disposition.attached_pic]
    return streams[0] if streams else None


def _words(source: InputContainer) -> dict[str, str]:
    """Return what a file says of itself, by lower-case names."""
    return {name.lower(): word for name, word in source.metadata.items() if name.lower() not in _OWN and word}


def _takes(suffix: str, name: str) -> bool:
    return suffix not in _WORDS or name in _WORDS[suffix]


def _describe(stream: Stream) -> str:
    codec = stream.codec_context.name if stream.codec_context else ""
    title = stream.metadata.get("title") or (stream.metadata.get("handler_name") if stream.type == "data" else None)
    words = (codec, getattr(stream, "name", None), title, stream.language)
    return ", ".join(dict.fromkeys(word for word in words if word)) or "unknown"


def _described(stream: Stream) -> str:
    """Return a track that is left out in words."""
    if stream.type == "video":
        kind = "a cover picture" if stream.disposition & Disposition.attached_pic else "a further video"
    else:
        kind = {"subtitle": "subtitles", "data": "a data track", "attachment": "an attachment"}[stream.type]
    return f"{kind} ({_describe(stream)})"


def _short(word: str) -> str:
    line = " ".join(word.split())
    return line if len(line) <= 40 else f"{line[:37]}..."
