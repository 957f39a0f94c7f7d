"""Which frames masks belong to: as asked, by the frames' names, one a frame, or by the numbers in the masks' names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from voin.core.errors import ValueRefusal
from voin.io.video_info import VideoInfo


class MatchedFrames(NamedTuple):
    """The frame of each mask, all different, and how they were found, in words."""

    frames: list[int]
    how: str


_RANGE = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")


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


def frames_of(
    where: Path, names: Sequence[str] | int, info: VideoInfo, asked: str | Sequence[int] | None
) -> MatchedFrames:
    """Find the frame of each mask, or raise ValueError.

    Args:
        where: The masks' path, for messages.
        names: The masks' file stems in natural order, or only their number where they have no names.
        info: The video.
        asked: The frames as the user gave them; None to find them out.
    """
    count = names if isinstance(names, int) else len(names)
    have = f"{where} has {count} mask{'s' if count != 1 else ''} for a video of {info.count} frames"
    if asked is not None:
        return MatchedFrames(_asked_frames(have, count, info, asked), "as --mask-frames says")
    if count > info.count:
        raise ValueRefusal(
            f"{have}", remedy="give at most one mask a frame, or use --mask-frames to say which frames they belong to"
        )
    if not isinstance(names, int):
        by_name = {name: frame for frame, name in enumerate(info.names)}
        if all(name in by_name for name in names) and info.kind == "folder":
            return MatchedFrames([by_name[name] for name in names], "by the frames' names")
    if count == info.count:
        return MatchedFrames(list(range(count)), "in order, one a frame")
    advice = "give one mask a frame, or use --mask-frames to say which frames they belong to"
    if isinstance(names, int):
        raise ValueRefusal(f"{have}", remedy=f"{advice}")
    numbers, frames = _numbers(names), _numbers(info.names)
    if numbers is None or frames is None:
        raise ValueRefusal(f"{have}, and their names do not say which frames they belong to", remedy=f"{advice}")
    by_number = {number: frame for frame, number in enumerate(frames)}
    for name, number in zip(names, numbers, strict=True):
        if number not in by_number:
            raise ValueRefusal(
                f"{have}, and {name} would belong to frame {number}",
                f"frames are numbered {frames[0]} to {frames[-1]}",
                f"{advice}",
            )
    span = f"{min(numbers)} to {max(numbers)}" if len(numbers) > 1 else f"{numbers[0]}"
    return MatchedFrames(
        [by_number[number] for number in numbers],
        f"by the numbers in their names ({span}; frames are numbered {frames[0]} to {frames[-1]})",
    )


def _asked_frames(have: str, count: int, info: VideoInfo, asked: str | Sequence[int]) -> list[int]:
    frames = parse_frames(asked) if isinstance(asked, str) else [int(frame) for frame in asked]
    if len(frames) != count:
        raise ValueRefusal(f"{have}, and {len(frames)} frames are named for them", remedy="name one a mask")
    if len(set(frames)) != len(frames):
        raise ValueRefusal(f"{have}, and a frame is named twice", remedy="name each frame once")
    wrong = [frame for frame in frames if not 0 <= frame < info.count]
    if wrong:
        raise ValueRefusal(
            f"{have}, and frame {wrong[0]} is named", f"frames are 0 to {info.count - 1}", "name some of these"
        )
    return frames


def _numbers(names: Sequence[str]) -> list[int] | None:
    """Find the number that tells the names apart: the last one in them that is different in each."""
    groups = [re.findall(r"\d+", name) for name in names]
    for place in range(1, min(map(len, groups), default=0) + 1):
        numbers = [int(group[-place]) for group in groups]
        if len(set(numbers)) == len(numbers):
            return numbers
    return None
