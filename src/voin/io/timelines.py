"""Cuts out of the edit that a video was exported from: CMX 3600 lists (.edl) and OpenTimelineIO (.otio).

A place on the record side of the edit becomes a frame of the video; frame 0 is where the edit begins.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from voin.core.errors import PackageRefusal, ValueRefusal, count_of
from voin.core.text_files import read_text
from voin.io.video_info import VideoInfo

SUFFIXES = (".edl", ".otio")
_TIME = r"(\d\d):(\d\d):(\d\d)([:;.,])(\d{2,3})"
# Number, reel, channels, kind of edit with its length, then in and out of the source and of the record.
_EVENT = re.compile(
    rf"\s*\d+\s+\S+\s+(?P<channels>\S+)\s+(?P<edit>C|D|W\d*|K\s*[BO]?)(?:\s+(?P<length>\d+))?"
    rf"\s+{_TIME}\s+{_TIME}\s+(?P<begin>{_TIME})\s+(?P<end>{_TIME})\s*$"
)
_NO_VIDEO = re.compile(r"(A\d*|AA|NONE)(/A\d*)*", re.IGNORECASE)


@dataclass(frozen=True)
class Edit:
    """The cuts of a video as an edit has them, and how it was read.

    Attributes:
        cuts: frames of the video that begin a shot, rising, none of them 0.
        line: what was understood, for people.
    """

    cuts: tuple[int, ...]
    line: str


def read_edit(path: Path, info: VideoInfo) -> Edit:
    """Read the cuts of a video from a list of edits (.edl) or a timeline (.otio).

    Raises:
        OSError: it cannot be read.
        ValueError: it holds something else, or does not fit the video.
        ImportError: .otio without the extra `otio`.
    """
    is_list = path.suffix.lower() == ".edl"
    places, length, how = (_read_list if is_list else _read_timeline)(path, info)
    if length > info.count + 1:
        raise ValueRefusal(
            f"{path} is {count_of(length, 'frame')} long and the video {count_of(info.count, 'frame')} ({how})",
            "it must be the edit that the video was exported from",
            "export both again, or give the frames that begin a shot in a text file",
        )
    ends_early = length < info.count - 1  # then its end is a cut; one frame is rounding
    cuts = tuple(sorted({place for place in places if 0 < place < (info.count if ends_early else length)}))
    short = f"; it ends at frame {length} of {info.count}" if ends_early else ""
    return Edit(cuts, f"Cuts: {len(cuts)} from {path.name}, {how}{short}")


# Lists of edits.


@dataclass(frozen=True)
class _Event:
    """An edit of the picture: record frames, and the length of the dissolve or wipe that it begins with."""

    begin: int
    end: int
    blend: int
    written: str  # its begin, as the list has it
    hour: int  # frame of the full hour before


def _read_list(path: Path, info: VideoInfo) -> tuple[set[int], int, str]:
    """Return where shots begin or end, the length of the edit, both in frames, and how it was read."""
    nominal = round(info.rate)
    events = list(_events(path, _text(path), nominal, info.rate))
    if not events:
        raise ValueRefusal(
            f"{path} has no edit of the picture",
            "it must be a CMX 3600 list, with lines such as 001 AX V C 00:00:00:00 00:00:04:00 01:00:00:00 01:00:04:00",
            "export it as CMX 3600, or use --cuts auto",
        )
    first, last = min(events, key=lambda event: event.begin), max(event.end for event in events)
    # Black before the first edit is not listed; edits usually begin at a full hour, and the video's length shows it.
    at_hour = last - first.hour in range(info.count - 1, info.count + 2)
    start, written = (first.hour, f"{first.written[:2]}:00:00:00") if at_hour else (first.begin, first.written)
    places = set()
    for event in events:
        places |= {event.begin + event.blend // 2 - start, event.end - start}
    blends = {event.begin + event.blend // 2: event for event in events if event.blend}
    # Where one shot blends into the next, the first one ends at the beginning of the blend as the list has it.
    places -= {event.begin - start for event in blends.values()}
    mixed = f"; {count_of(len(blends), 'dissolve')}, cut in the middle" if blends else ""
    return places, last - start, f"record times from {written} at {nominal} frames a second{mixed}"


def _events(path: Path, text: str, nominal: int, rate: Fraction) -> Iterator[_Event]:
    drop = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.upper().startswith("FCM:"):
            drop = "NON" not in line.upper()
        elif line.strip()[:1].isdigit():
            match = _EVENT.match(line)
            if match is None:
                raise ValueRefusal(
                    f"{path}, line {number} is {line.strip()[:80]!r}",
                    "it must be an edit: number, reel, channels, kind, and four times",
                    "export the list as CMX 3600",
                )
            if _NO_VIDEO.fullmatch(match["channels"]):
                continue
            times = (match["begin"], match["end"], f"{match['begin'][:2]}:00:00:00")
            begin, end, hour = (_frame(path, number, text, nominal, rate, drop) for text in times)
            if end < begin:
                raise ValueRefusal(f"{path}, line {number} ends before it begins", "record times must rise")
            if end > begin:  # else the clip that a dissolve comes from, which the line before has
                yield _Event(begin, end, int(match["length"] or 0), match["begin"], hour)


def _frame(path: Path, line: int, text: str, nominal: int, rate: Fraction, drop: bool) -> int:
    """Return the number of the frame that a time code names."""
    match = re.fullmatch(_TIME, text)
    assert match is not None
    hours, minutes, seconds, frames = (int(match[i]) for i in (1, 2, 3, 5))
    if frames >= nominal or minutes > 59 or seconds > 59:
        raise ValueRefusal(
            f"{path}, line {line} has the time {text}, and the video {_rate(rate)} frames a second",
            f"the last number must be below {nominal}",
            "give the list of this video, or export one of its rate",
        )
    count = ((hours * 60 + minutes) * 60 + seconds) * nominal + frames
    if (drop or match[4] == ";") and nominal % 30 == 0:
        # Of each minute but every tenth the first numbers are left out: two at 29.97 frames a second.
        passed = hours * 60 + minutes
        count -= nominal // 15 * (passed - passed // 10)
    return count


def _text(path: Path) -> str:
    kind = "a list of edits (.edl), a timeline (.otio) or a text file of frame numbers"
    return read_text(path, kind, "give its path, or use --cuts auto or --cuts none", errors="replace")


def _rate(rate: Fraction) -> str:
    return f"{float(rate):.5g}"


# Timelines.


def _read_timeline(path: Path, info: VideoInfo) -> tuple[set[int], int, str]:
    """Return where shots begin or end, the length of the edit, both in frames, and how it was read."""
    if find_spec("opentimelineio") is None:
        raise PackageRefusal(
            "OpenTimelineIO is not installed", "it is what reads .otio", 'run: pip install "voin[otio]"'
        )
    # By name: type checkers know it only where the extra is installed.
    otio: Any = import_module("opentimelineio")
    text = _text(path)
    try:
        timeline = otio.adapters.read_from_string(text, "otio_json")
        tracks = list(timeline.video_tracks()) if isinstance(timeline, otio.schema.Timeline) else []
        track = tracks[0] if len(tracks) == 1 else otio.algorithms.flatten_stack(tracks) if tracks else []
        spans = list(_spans(otio, track))
        seconds = {Fraction(span.start_time.value) / Fraction(span.start_time.rate) for span in spans}
        ends = {Fraction(end.value) / Fraction(end.rate) for end in (span.end_time_exclusive() for span in spans)}
    except Exception as error:  # of its own kinds, and of what lies in the file
        raise ValueRefusal(
            f"{path} is no timeline that can be read ({str(error).strip().splitlines()[0] if str(error) else error!r})",
            "it must be one of OpenTimelineIO",
            "export it again, or use --cuts auto",
        ) from error
    if not ends:
        raise ValueRefusal(f"{path} has no picture", "its timeline must have a video track with clips", "export it so")
    places = {_place(second, info.rate) for second in seconds | ends}
    rates = sorted({float(span.start_time.rate) for span in spans})
    known = ", ".join(f"{rate:.5g}" for rate in rates)
    same = len(rates) == 1 and math.isclose(rates[0], float(info.rate), rel_tol=2e-4)
    how = f"times at {known} frames a second" + ("" if same else f", on the video's {_rate(info.rate)}")
    more = f"; {len(tracks)} video tracks, the upper ones in front" if len(tracks) > 1 else ""
    return places, _place(max(ends), info.rate), how + more


def _place(second: Fraction, rate: Fraction) -> int:
    """Return the frame that begins nearest to a time."""
    return math.floor(second * rate + Fraction(1, 2))


def _spans(otio: Any, track: Any) -> Iterator[Any]:
    """List the time ranges of all that lies on a track; of nested sequences those of their clips, too.

    Transitions lie over a cut that is there anyway.
    """
    for item in track:
        if isinstance(item, otio.schema.Transition):
            continue
        span = track.range_of_child(item)
        yield span
        if isinstance(item, otio.core.Composition):
            for clip in item.find_clips():
                inner = clip.transformed_time_range(clip.trimmed_range(), track)
                if inner.intersects(span):
                    yield inner.clamped(span)
