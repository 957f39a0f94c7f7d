"""Which frames masks belong to: by a rule that is written down, and refused where two readings are possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from scenes.video_clips import described, save
from voin.core.errors import ValueRefusal
from voin.io.masks.frames import Moments, frames_of, parse_frames, write_frames
from voin.io.masks.source import open_masks
from voin.io.video_info import VideoInfo

VIDEO = described(count=24)


def folder_of(names: Sequence[str]) -> VideoInfo:
    return replace(described(count=len(names)), kind="folder", names=tuple(names))


def matched(names: Sequence[str] | Moments | int, info: VideoInfo = VIDEO) -> list[int | None]:
    return frames_of(Path("m"), names, info, None).frames


def moments(count: int, rate: Fraction | int, start: Fraction = Fraction(0)) -> Moments:
    return Moments([start + Fraction(i) / rate for i in range(count)], start + Fraction(count) / rate)


@pytest.mark.parametrize(
    ("names", "frames"),
    [
        ([f"{i:05d}" for i in range(23)], [*range(23)]),
        (["00005", "00012", "00023"], [5, 12, 23]),
        ([f"{i:05d}" for i in (1, 6, 24)], [0, 5, 23]),
        ([f"task-12_frame-{i}_annotation-3" for i in (0, 7, 19)], [0, 7, 19]),
        ([f"task-12_frame-{i}_annotation-{n}" for n, i in enumerate((0, 7, 19), start=3)], [0, 7, 19]),
        ([f"img{i}_v{n}" for n, i in enumerate((2, 9, 11))], [2, 9, 11]),
        ([f"{i:05d}" for i in range(25)], [*range(24), None]),
        ([f"{i:05d}" for i in range(1, 26)], [*range(24), None]),
    ],
)
def test_numbers_in_names_say_the_frame(names: list[str], frames: list[int | None]) -> None:
    assert matched(names) == frames


@pytest.mark.parametrize(
    ("names", "first", "second"),
    [
        ([f"{i:05d}" for i in range(1, 24)], "1-23", "0-22"),
        ([f"{i:05d}" for i in range(1, 24, 5)], "1-21:5", "0-20:5"),
        (["00001"], "1", "0"),
        ([f"task{n}_{i}" for n, i in enumerate((5, 6, 11))], "5,6,11", "0-2"),
    ],
)
def test_where_two_readings_are_possible_both_are_said_and_either_can_be_chosen(
    names: list[str], first: str, second: str
) -> None:
    with pytest.raises(ValueRefusal, match="which may be matched by the numbers in their names") as refusal:
        matched(names)
    remedy = f"use --mask-frames {first} for the first, or --mask-frames {second} for the second"
    assert refusal.value.remedy == remedy
    for text in (first, second):
        assert frames_of(Path("m"), names, VIDEO, text).frames == parse_frames(text)


@pytest.mark.parametrize(
    ("names", "frames", "found"),
    [
        (["a1", "a6"], [f"f{i}" for i in range(1, 11)], [0, 5]),
        (["a0", "a5"], [f"f{i}" for i in range(1, 11)], [0, 5]),
        (["a1003", "a1007"], [f"shot2_{i}" for i in range(1001, 1011)], [2, 6]),
        (["a0", "a6"], [f"shot2_{i}" for i in range(1001, 1011)], [0, 6]),
        (["f1", "f6"], [f"f{i}" for i in range(10)], [1, 6]),
    ],
)
def test_masks_of_a_folder_go_by_the_numbers_of_its_frames(
    names: list[str], frames: list[str], found: list[int]
) -> None:
    assert matched(names, folder_of(frames)) == found


def test_masks_and_frames_numbered_differently_are_refused_where_that_may_mean_two_things() -> None:
    with pytest.raises(ValueRefusal, match=r"counted from 0.* or .*counted from 1"):
        matched(["a1", "a6"], folder_of([f"shot2_{i}" for i in range(1001, 1011)]))
    with pytest.raises(ValueRefusal, match=r"frames are numbered 0 to 9.* or .*counted from 1"):
        matched(["a1", "a6"], folder_of([f"f{i}" for i in range(10)]))


def test_the_reading_says_what_is_left_out() -> None:
    found = frames_of(Path("m"), [f"{i:05d}" for i in range(25)], VIDEO, None)
    assert found.how == "by the numbers in their names (0 to 24; frames are numbered 0 to 23; 24 is left out)"
    with pytest.raises(ValueRefusal, match="has 26 masks for a video of 24 frames"):
        matched([f"{i:05d}" for i in range(26)])


@pytest.mark.parametrize(
    ("masks", "frames"),
    [
        (moments(24, 25), [*range(24)]),
        (moments(48, 50), [frame for i in range(24) for frame in (i, None)]),
        (moments(12, Fraction(25, 2)), [*range(0, 24, 2)]),
        (moments(23, 25), [*range(23)]),
        (moments(25, 25), [*range(24), None]),
    ],
)
def test_a_mask_video_of_another_rate_goes_by_time(masks: Moments, frames: list[int | None]) -> None:
    assert matched(masks) == frames


def test_every_frame_has_the_mask_that_is_shown_nearest_to_it() -> None:
    found = matched(moments(29, 30))
    assert [frame for frame in found if frame is not None] == [*range(24)]
    assert all(abs(i / 30 - frame / 25) <= 1 / 60 for i, frame in enumerate(found) if frame is not None)


def test_mask_videos_of_another_length_are_refused_with_both_lengths() -> None:
    with pytest.raises(ValueRefusal, match=r"the masks last 0\.48 s, the video 0\.96 s; .*--mask-frames"):
        matched(moments(24 // 2, 25))
    assert frames_of(Path("m"), moments(3, 25), VIDEO, "0,5,10").frames == [0, 5, 10]


def test_a_mask_video_of_twice_the_frames_gives_each_frame_its_mask(tmp_path: Path) -> None:
    masks = []
    for index in range(24):
        mask = np.zeros((48, 64, 3), np.uint8)
        mask[10:30, index : index + 20] = 255
        masks.append(mask)
    twice = described(count=24, time_base=Fraction(1, 50))
    save(tmp_path / "m.mp4", masks, replace(twice, rate=Fraction(50), duration=24))
    source = open_masks(tmp_path / "m.mp4", described(count=12))
    assert source.reading.missing == ()
    assert "by time (50 masks and 25 frames a second; 12 left out)" in source.reading.line
    for frame in range(12):
        assert (source.label(frame) > 0)[15].tolist() == (masks[2 * frame][15, :, 0] > 0).tolist()


def test_frames_are_written_as_they_are_read() -> None:
    for frames in ([0], [0, 5], [3, 4, 5], [0, 5, 10], [1, 2, 9]):
        assert parse_frames(write_frames(frames)) == frames
    assert write_frames([*range(0, 71, 5)]) == "0-70:5"
