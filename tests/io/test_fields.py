"""Interlaced video: its field order is found, kept as a tag on what is written, and whole frames are made on demand."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from fakes.fake_method import run
from fakes.told import Told
from scenes.video_clips import pictures
from voin.core.files import read_json
from voin.io.colour.samples import FieldOrder
from voin.io.fields import FieldTag, encoder_options
from voin.io.video import probe, read
from voin.jobs.mask import mask
from voin.jobs.options import MaskOptions
from voin.tracking.prompts import Prompt

COUNT = 12
SIZE = (48, 64)
KINDS = [
    ("a.mp4", "libx264", "yuv420p"),
    ("b.mp4", "libx265", "yuv420p10le"),
    ("a.mov", "prores_ks", "yuv422p10le"),
    ("a.mkv", "ffv1", "yuv422p10le"),
]


def woven(fields: FieldOrder = "top") -> list[np.ndarray]:
    """Frames of two moments: what is shown second has moved on."""
    moments = pictures(2 * COUNT)
    frames = [moment.copy() for moment in moments[::2]]
    for frame, later in zip(frames, moments[1::2], strict=True):
        second = np.s_[1::2] if fields == "top" else np.s_[::2]
        frame[second] = later[second]
    return frames


def save_interlaced(
    path: Path, frames: Sequence[np.ndarray], fields: FieldOrder, codec: str = "libx264", layout: str = "yuv420p"
) -> Path:
    options, tag = encoder_options(codec, fields), FieldTag(fields) if fields else lambda frame: frame
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=25, options={**options, "bf": "0"}))
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], layout
        for index, frame in enumerate(frames):
            picture = tag(av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format=layout))
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("fields", ["top", "bottom"])
@pytest.mark.parametrize(("name", "codec", "layout"), KINDS)
def test_the_tag_of_interlaced_frames_is_kept_and_said(
    tmp_path: Path, masks: Path, name: str, codec: str, layout: str, fields: FieldOrder
) -> None:
    clip = save_interlaced(tmp_path / name, woven(fields), fields, codec, layout)
    record = run(clip, masks, tmp_path / "out", layer="none")
    found = probe(tmp_path / "out" / f"completed{Path(name).suffix}").samples
    # HEVC has a tag for pictures of one field alone, which frames of two are not: here the container says it.
    assert (found.codec, found.fields, found.marked) == (probe(clip).samples.codec, fields, codec != "libx265")
    assert (record["input"]["interlaced"], record["input"]["deinterlaced"]) == (fields, False)


def test_what_becomes_of_fields_is_said_before_the_work(tmp_path: Path, masks: Path) -> None:
    clip = save_interlaced(tmp_path / "a.mp4", woven(), "top")
    told = Told()
    run(clip, masks, tmp_path / "a", layer="none", progress=told)
    run(clip, masks, tmp_path / "b", layer="none", progress=told, png=True)
    run(clip, masks, tmp_path / "c", layer="none", progress=told, deinterlace=True)
    assert [line for line in told.notes if line.startswith("Interlaced")] == [
        f"Interlaced, top field first: {words}"
        for words in (
            "kept as it is, with its tag (--deinterlace makes whole frames of it)",
            "kept as it is, though what is written cannot say so (--deinterlace makes whole frames of it)",
            "whole frames are made of it (--deinterlace)",
        )
    ]
    told.notes.clear()
    marked = [Prompt(0, box=(8, 8, 24, 24))]
    mask(clip, marked, tmp_path / "found", MaskOptions(cuts="none", tracker="grabcut"), progress=told)
    assert told.notes == ["Interlaced, top field first: looked at as it is (--deinterlace makes whole frames of it)"]
    assert (read_json(tmp_path / "c" / "run.json") or {})["input"]["deinterlaced"] is True
    assert probe(tmp_path / "c" / "completed.mp4").samples.fields == ""


@pytest.mark.parametrize("fields", ["top", "bottom"])
def test_whole_frames_show_the_moment_of_the_first_field_from_any_frame(tmp_path: Path, fields: FieldOrder) -> None:
    clip = save_interlaced(tmp_path / "a.mkv", woven(fields), fields, "ffv1", "yuv444p")
    wanted, combed = pictures(2 * COUNT)[::2], list(read(probe(clip)))
    info = probe(clip, deinterlace=True)
    whole = list(read(info))
    assert len(whole) == COUNT
    inner = np.s_[6:-6, 6:-6]

    def error(frames: Sequence[np.ndarray]) -> float:
        pairs = list(zip(frames, wanted, strict=True))[1:-1]
        return float(np.mean([np.abs(a[inner].astype(float) - b[inner]).mean() for a, b in pairs]))

    assert error(whole) < 0.5 * error(combed)
    for start in range(COUNT):
        part = list(read(info, start, min(COUNT, start + 2)))
        assert all((a == b).all() for a, b in zip(part, whole[start : start + 2], strict=True))


def test_frames_that_nothing_calls_interlaced_are_taken_for_it_on_demand(tmp_path: Path, masks: Path) -> None:
    clip = save_interlaced(tmp_path / "a.mkv", woven(), "", "ffv1", "yuv444p")
    assert probe(clip).samples.fields == ""
    plain, whole = list(read(probe(clip))), list(read(probe(clip, deinterlace=True)))
    assert any((a != b).any() for a, b in zip(plain, whole, strict=True))
    told = Told()
    run(clip, masks, tmp_path / "out", layer="none", progress=told, deinterlace=True)
    assert any(line.startswith("Nothing says that the video is interlaced") for line in told.notes)


def test_only_video_files_are_deinterlaced(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only video files have fields"):
        probe(tmp_path, deinterlace=True)
