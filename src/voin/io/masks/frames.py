"""Which frames masks belong to. The first rule that fits holds.

1. as `--mask-frames` says;
2. by name, where all masks are named like frames of the folder;
3. in order, where there are as many masks as frames;
4. by time, where the masks are a video that lasts as long, give or take a frame;
5. by the number in the masks' names: the one after the word "frame", else one that is different in each. It is the
   number of the frame's file, or counted from 0; or from 1, if it starts at 1. One mask too many is left out.

Where two readings of the numbers are possible, the masks are refused, and both are said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from voin.core.errors import ValueRefusal, count_of
from voin.io.video_info import VideoInfo

_RANGE = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")
_NUMBER = re.compile(r"(?P<word>[^\W\d_]*)[\W_]*(?P<number>\d{1,18})")
_FRAME_WORDS = {"frame", "frames", "frm", "img", "image"}


class Moments(NamedTuple):
    """When the masks of a mask video are shown: seconds from the first one's start, and where the last one ends."""

    seconds: Sequence[Fraction]
    end: Fraction


class FrameNumbers(NamedTuple):
    """The frame of each mask, counted from 0, where a file says them."""

    numbers: Sequence[int]


class MatchedFrames(NamedTuple):
    """The frame of each mask, all different, None where it has none; and how they were found, in words."""

    frames: list[int | None]
    how: str


class _Reading(NamedTuple):
    frames: tuple[int | None, ...]
    how: str


def parse_frames(text: str) -> list[int]:
    """Turn "0,5,10" or "0-70:5" (70 included) into a list of frame numbers. Raises ValueError where it is neither."""
    frames: list[int] = []
    for part in text.replace(" ", "").split(","):
        match = _RANGE.fullmatch(part)
        if match is None or match[3] == "0" or (match[2] and int(match[2]) < int(match[1])):
            raise ValueRefusal(
                f"the frames of the masks are {text!r}", "they must be like 0,5,10 or 0-70:5", "write them so"
            )
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if (last - first) // step > 10_000_000:
            raise ValueRefusal(
                f"the frames of the masks are {text!r}", "these are more than any video has", "check the numbers"
            )
        frames += range(first, last + 1, step)
    return frames


def write_frames(frames: Sequence[int]) -> str:
    """Write frame numbers so that `parse_frames` reads them: "0-70:5"."""
    steps = {later - earlier for earlier, later in pairwise(frames)}
    if len(frames) < 3 or len(steps) > 1 or min(steps) < 1:
        return ",".join(map(str, frames))
    step = steps.pop()
    return f"{frames[0]}-{frames[-1]}" + (f":{step}" if step > 1 else "")


def are_keyframes(given: Sequence[int], start: int, end: int) -> bool:
    """Return whether masks of the frames `given` stand on the first frame only, or on a regular grid.

    The grid must span the frames start..end-1; the last of them may be marked besides.
    """
    if not given or len(given) == end - start:
        return False
    if len(given) == 1:
        return given[0] == start
    step, steps = given[1] - given[0], [second - first for first, second in pairwise(given)]
    regular = set(steps[:-1]) <= {step} and steps[-1] <= step
    return step > 1 and regular and given[0] - start < step and end - given[-1] <= step


def frames_of(
    where: Path, names: Sequence[str] | Moments | FrameNumbers | int, info: VideoInfo, asked: str | Sequence[int] | None
) -> MatchedFrames:
    """Find the frame of each mask, or raise ValueError.

    Args:
        where: The masks' path, for messages.
        names: The masks' file stems in natural order, or when they are shown, or their frames, or only their number.
        info: The video.
        asked: The frames as the user gave them; None to find them out.
    """
    count = names if isinstance(names, int) else len(names[0] if isinstance(names, Moments | FrameNumbers) else names)
    have = f"{where} has {count_of(count, 'mask')} for a video of {info.count} frames"
    if asked is not None:
        return MatchedFrames([*_asked_frames(have, count, info, asked)], "as --mask-frames says")
    if isinstance(names, FrameNumbers):
        wrong = next((number for number in names.numbers if number >= info.count), None)
        if wrong is not None:
            what = f"{have}, and one is of frame {wrong}"
            raise ValueRefusal(what, f"frames are 0 to {info.count - 1}", "give the video that was annotated")
        return MatchedFrames([*names.numbers], "by the file's frame numbers, counted from 0")
    if not isinstance(names, int | Moments) and info.kind == "folder":
        # However a system writes accents.
        by_name = {normalize("NFC", name): frame for frame, name in enumerate(info.names)}
        plain = [normalize("NFC", name) for name in names]
        if all(name in by_name for name in plain) and len(set(plain)) == len(plain):
            return MatchedFrames([by_name[name] for name in plain], "by the frames' names")
    if count == info.count:
        return MatchedFrames([*range(count)], "in order, one a frame")
    if isinstance(names, Moments):
        return _by_time(have, names, info)
    advice = "give one mask a frame, or use --mask-frames to say which frames they belong to"
    if isinstance(names, int):
        raise ValueRefusal(have, "which frames they belong to must be known", advice)
    if count > info.count + 1:
        raise ValueRefusal(have, "there may be one a frame", advice)
    return _by_number(have, names, info, advice)


def _asked_frames(have: str, count: int, info: VideoInfo, asked: str | Sequence[int]) -> list[int]:
    frames = parse_frames(asked) if isinstance(asked, str) else [int(frame) for frame in asked]
    if len(frames) != count:
        raise ValueRefusal(f"{have}, and {len(frames)} frames are named for them", "each has one", "name one a mask")
    if len(set(frames)) != len(frames):
        raise ValueRefusal(f"{have}, and a frame is named twice", "a frame has one mask", "name each frame once")
    wrong = [frame for frame in frames if not 0 <= frame < info.count]
    if wrong:
        raise ValueRefusal(
            f"{have}, and frame {wrong[0]} is named", f"frames are 0 to {info.count - 1}", "name some of these"
        )
    return frames


def _by_time(have: str, masks: Moments, info: VideoInfo) -> MatchedFrames:
    seconds = [(time - info.times[0]) * info.time_base for time in info.times]
    end = info.duration * info.time_base or seconds[-1] + 1 / info.rate
    steps = end / info.count, masks.end / len(masks.seconds)
    if abs(masks.end - end) > max(steps):
        raise ValueRefusal(
            f"{have}; the masks last {float(masks.end):.2f} s, the video {float(end):.2f} s",
            "both must last equally long",
            "cut the longer one, or use --mask-frames to say which frames the masks belong to",
        )
    frames: list[int | None] = [None] * len(masks.seconds)
    if len(masks.seconds) > info.count:
        for frame, mask in enumerate(_nearest(seconds, masks.seconds)):
            if frames[mask] is None:
                frames[mask] = frame
    else:
        taken: set[int] = set()
        for mask, frame in enumerate(_nearest(masks.seconds, seconds)):
            if frame not in taken:
                frames[mask] = frame
            taken.add(frame)
    left = frames.count(None)
    how = f"by time ({float(1 / steps[1]):.4g} masks and {float(1 / steps[0]):.4g} frames a second"
    return MatchedFrames(frames, f"{how}; {left} left out)" if left else f"{how})")


def _nearest(moments: Sequence[Fraction], among: Sequence[Fraction]) -> Iterator[int]:
    """Find the nearest to each moment among others; both are in rising order."""
    at = 0
    for moment in moments:
        while at + 1 < len(among) and abs(among[at + 1] - moment) < abs(among[at] - moment):
            at += 1
        yield at


def _by_number(have: str, names: Sequence[str], info: VideoInfo, advice: str) -> MatchedFrames:
    columns = _columns(names)
    numbered = _columns(info.names)[:1]
    if not columns or not numbered:
        what = f"{have}, and their names do not say which frames they belong to"
        raise ValueRefusal(what, "each must have the number of a frame", advice)
    frames = numbered[0]
    readings = {reading.frames: reading for numbers in columns for reading in _readings(numbers, frames, len(names))}
    if len(readings) == 1:
        reading = next(iter(readings.values()))
        return MatchedFrames(list(reading.frames), reading.how)
    if readings:
        first, second, *_ = readings.values()
        said = [write_frames([frame for frame in found.frames if frame is not None]) for found in (first, second)]
        raise ValueRefusal(
            f"{have}, which may be matched {first.how} or {second.how}",
            "there must be one way to read their names",
            f"use --mask-frames {said[0]} for the first, or --mask-frames {said[1]} for the second",
        )
    number, name = next(pair for pair in zip(columns[0], names, strict=True) if pair[0] not in frames)
    raise ValueRefusal(
        f"{have}, and {name} would belong to frame {number}", f"frames are numbered {frames[0]} to {frames[-1]}", advice
    )


def _readings(numbers: list[int], frames: list[int], count: int) -> Iterator[_Reading]:
    """Return the ways in which numbers may say frames: as these are numbered, or counted from 0 or 1."""
    by_number = {number: frame for frame, number in enumerate(frames)}
    span = f"{min(numbers)} to {max(numbers)}" if len(numbers) > 1 else f"{numbers[0]}"
    same = f"frames are numbered {frames[0]} to {frames[-1]}"
    ways = [(by_number, same)]
    if frames[0] != 0:
        ways.append(({frame: frame for frame in range(len(frames))}, "counted from 0"))
    if frames[0] != 1 and min(numbers) == 1:
        ways.append(({frame + 1: frame for frame in range(len(frames))}, "counted from 1"))
    for place, (known, words) in enumerate(ways):
        found = tuple(known.get(number) for number in numbers)
        lost = [number for number, frame in zip(numbers, found, strict=True) if frame is None]
        if not lost or (count == len(frames) + 1 and lost == [max(numbers)]):
            left = f"; {lost[0]} is left out" if lost else ""
            yield _Reading(found, f"by the numbers in their names ({span}; {words}{left})")
            if place == 0 and frames[0] != 0:
                return  # the frames' own numbers


def _columns(names: Sequence[str]) -> list[list[int]]:
    """Find the numbers that tell the names apart, in the same place of each; of those after "frame" only these."""
    groups = [[(match["word"].lower(), int(match["number"])) for match in _NUMBER.finditer(name)] for name in names]
    columns, called = [], []
    for place in range(1, min(map(len, groups), default=0) + 1):
        numbers = [group[-place][1] for group in groups]
        if len(set(numbers)) == len(numbers):
            columns.append(numbers)
            if {group[-place][0] for group in groups} <= _FRAME_WORDS:
                called.append(numbers)
    return called or columns
