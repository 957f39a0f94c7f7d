from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from scenes.video_clips import described
from voin.io import timelines
from voin.io.timelines import read_edit
from voin.io.video import VideoInfo
from voin.jobs.check import asked_cuts

HEAD = "TITLE: FILM\nFCM: NON-DROP FRAME\n\n"


def film(count: int = 250, rate: Fraction | int = 25) -> VideoInfo:
    return replace(described(), count=count, rate=Fraction(rate))


def event(number: int, begin: str, end: str, channels: str = "V", edit: str = "C") -> str:
    return (
        f"{number:03d}  AX       {channels:5} {edit:8} 00:00:00:00 00:00:09:00 {begin} {end}\n* FROM CLIP NAME: A.MOV\n"
    )


def listed(folder: Path, text: str) -> Path:
    (folder / "edit.edl").write_text(text)
    return folder / "edit.edl"


# Lists of edits.


def test_record_times_become_frames_of_the_video(tmp_path: Path) -> None:
    text = HEAD + event(1, "01:00:00:00", "01:00:01:05") + event(2, "01:00:01:05", "01:00:04:00")
    text += event(3, "01:00:04:00", "01:00:10:00") + event(4, "01:00:02:00", "01:00:03:00", channels="AA")
    found = read_edit(listed(tmp_path, text), film())
    assert found.cuts == (30, 100)
    assert found.line == "Cuts: 2 from edit.edl, record times from 01:00:00:00 at 25 frames a second"


def test_a_dissolve_is_cut_in_its_middle_and_black_is_a_shot(tmp_path: Path) -> None:
    text = HEAD + event(1, "00:00:00:00", "00:00:02:00") + event(2, "00:00:02:00", "00:00:02:00")
    text += event(2, "00:00:02:00", "00:00:06:00", edit="D    020") + event(3, "00:00:07:00", "00:00:10:00", "B")
    found = read_edit(listed(tmp_path, text), film())
    assert found.cuts == (60, 150, 175)
    assert found.line.endswith("; 1 dissolve, cut in the middle")


@pytest.mark.parametrize(("count", "cuts", "start"), [(250, (50, 100), "01:00:00:00"), (200, (50,), "01:00:02:00")])
def test_the_length_of_the_video_shows_whether_it_begins_at_the_full_hour(
    tmp_path: Path, count: int, cuts: tuple[int, ...], start: str
) -> None:
    text = HEAD + event(1, "01:00:02:00", "01:00:04:00") + event(2, "01:00:04:00", "01:00:10:00")
    found = read_edit(listed(tmp_path, text), film(count))
    assert found.cuts == cuts
    assert f"record times from {start}" in found.line


@pytest.mark.parametrize("mark", ["FCM: DROP FRAME\n", ""])
def test_drop_frame_leaves_out_numbers_not_frames(tmp_path: Path, mark: str) -> None:
    sign = ":" if mark else ";"
    text = (
        mark + event(1, f"00:00:00{sign}00", f"00:01:00{sign}02") + event(2, f"00:01:00{sign}02", f"00:10:00{sign}00")
    )
    found = read_edit(listed(tmp_path, text), film(17982, Fraction(30000, 1001)))
    assert found.cuts == (1800,)
    assert "it ends" not in found.line


def test_an_edit_that_ends_early_says_where(tmp_path: Path) -> None:
    text = HEAD + event(1, "00:00:00:00", "00:00:02:00") + event(2, "00:00:02:00", "00:00:04:00")
    found = read_edit(listed(tmp_path, text), film())
    assert found.cuts == (50, 100)
    assert found.line.endswith("; it ends at frame 100 of 250")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no edit of the picture; it must be a CMX 3600 list"),
        (event(1, "00:00:00:00", "00:00:02:00", "A2"), "has no edit of the picture"),
        (event(1, "00:00:00:00", "00:00:02:29"), r"line 1 has the time 00:00:02:29, and the video 25 frames a second"),
        (event(1, "00:00:00:00", "00:00:11:00"), "is 275 frames long and the video 250 frames"),
        (event(1, "00:00:04:00", "00:00:02:00"), "line 1 ends before it begins"),
        ("1 2 3\n", "line 1 is '1 2 3'; it must be an edit"),
    ],
)
def test_lists_that_do_not_fit_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_edit(listed(tmp_path, text), film())


def test_a_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"none\.edl cannot be read"):
        read_edit(tmp_path / "none.edl", film())


def test_only_cuts_within_the_range_count(tmp_path: Path) -> None:
    text = HEAD + event(1, "00:00:00:00", "00:00:02:00") + event(2, "00:00:02:00", "00:00:10:00")
    cuts, line = asked_cuts(listed(tmp_path, text), film(), 60, 200)
    assert cuts == ()
    assert line.startswith("Cuts: 1 from edit.edl")
    (tmp_path / "cuts.txt").write_text("70 90")
    assert asked_cuts(tmp_path / "cuts.txt", film(), 60, 80) == ((70,), "")


# Timelines.


def timeline(folder: Path, *tracks: list[tuple[str, float]], rate: float = 24) -> Path:
    """Write a timeline: tracks of clips, gaps, transitions ("/") and nested sequences, with their lengths in frames."""
    otio = pytest.importorskip("opentimelineio")
    time, span = otio.opentime.RationalTime, otio.opentime.TimeRange
    made = otio.schema.Timeline("film")

    def clip(name: str, length: float) -> Any:
        return otio.schema.Clip(name, source_range=span(time(1000, rate), time(length, rate)))

    for items in tracks:
        track = otio.schema.Track(kind="Video")
        for kind, length in items:
            if kind == "gap":
                track.append(otio.schema.Gap(source_range=span(time(0, rate), time(length, rate))))
            elif kind == "/":
                track.append(otio.schema.Transition(in_offset=time(length, rate), out_offset=time(length, rate)))
            elif kind == "nested":
                inner = otio.schema.Track(kind="Video")
                inner.extend([clip("n", length / 2), clip("m", length / 2)])
                stack = otio.schema.Stack()
                stack.append(inner)
                track.append(stack)
            else:
                track.append(clip(kind, length))
        made.tracks.append(track)
    sound = otio.schema.Track(kind="Audio")
    sound.append(clip("sound", 7))
    made.tracks.append(sound)
    otio.adapters.write_to_file(made, str(folder / "edit.otio"))
    return folder / "edit.otio"


def test_a_timeline_has_its_cuts_where_clips_and_gaps_meet(tmp_path: Path) -> None:
    path = timeline(tmp_path, [("gap", 24), ("a", 48), ("/", 6), ("b", 24), ("nested", 48)])
    found = read_edit(path, film(144, 24))
    assert found.cuts == (24, 72, 96, 120)
    assert found.line == "Cuts: 4 from edit.otio, times at 24 frames a second"


def test_times_of_another_rate_go_to_the_nearest_frame(tmp_path: Path) -> None:
    found = read_edit(timeline(tmp_path, [("a", 25), ("b", 215)]), film(250, 25))
    assert found.cuts == (26,)
    assert found.line == "Cuts: 1 from edit.otio, times at 24 frames a second, on the video's 25"


def test_upper_tracks_are_in_front(tmp_path: Path) -> None:
    found = read_edit(timeline(tmp_path, [("a", 40), ("b", 60)], [("gap", 30), ("c", 20)]), film(100, 24))
    assert found.cuts == (30, 50)
    assert found.line.endswith("; 2 video tracks, the upper ones in front")


@pytest.mark.parametrize("text", ["", "{}", "[1, 2", '{"OTIO_SCHEMA": "Clip.1"}', '{"OTIO_SCHEMA": "Timeline.1"}'])
def test_what_is_no_timeline_is_refused(tmp_path: Path, text: str) -> None:
    pytest.importorskip("opentimelineio")
    (tmp_path / "edit.otio").write_text(text)
    with pytest.raises(ValueError, match=r"is no timeline that can be read|has no picture"):
        read_edit(tmp_path / "edit.otio", film())


def test_without_the_package_timelines_are_refused_and_lists_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timelines, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'run: pip install "voin\[otio\]"'):
        read_edit(tmp_path / "edit.otio", film())
    assert read_edit(listed(tmp_path, event(1, "00:00:00:00", "00:00:10:00")), film()).cuts == ()
