from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakes.fake_method import WINDOW, labels, save_frames, save_labels
from scenes.video_clips import pictures
from voin.core.progress import Silent
from voin.jobs.check import Inputs, check_inputs
from voin.jobs.options import CompleteOptions
from voin.jobs.plan import make_plan
from voin.method import parts

COUNT = 40
SIZE = (32, 48)


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    folder = save_frames(tmp_path / "frames", pictures(COUNT, SIZE))
    masks = save_labels(tmp_path / "masks", [labels(1, SIZE)[0]] * COUNT)
    return check_inputs(folder, masks, CompleteOptions(), Silent())


@pytest.mark.parametrize("core", [1, 3, 7, 64])
@pytest.mark.parametrize("context", [0, 2, 50])
@pytest.mark.parametrize("cuts", [(), (1,), (13, 20, 39)])
def test_chunks_hold_each_frame_once_and_stay_within_their_shot(
    inputs: Inputs, core: int, context: int, cuts: tuple[int, ...]
) -> None:
    options = CompleteOptions(chunk_frames=core, context_frames=context)
    chunks = make_plan(replace(inputs, options=options), cuts, WINDOW).chunks
    assert [i for chunk in chunks for i in range(chunk.start, chunk.end)] == list(range(COUNT))
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
    for chunk in chunks:
        assert chunk.shot.start <= chunk.first <= chunk.start < chunk.end <= chunk.last <= chunk.shot.end
        assert chunk.count <= core
        assert chunk.start - chunk.first == min(context, chunk.start - chunk.shot.start)
        assert chunk.last - chunk.end == min(context, chunk.shot.end - chunk.end)


def test_chunks_of_a_shot_are_nearly_as_long_as_each_other(inputs: Inputs) -> None:
    counts = [
        chunk.count for chunk in make_plan(replace(inputs, options=CompleteOptions(chunk_frames=13)), (), WINDOW).chunks
    ]
    assert counts == [10, 10, 10, 10]


@pytest.mark.parametrize("most_bytes", [0, 10**5, 3 * 10**5, 10**6, 10**9])
def test_large_windows_get_shorter_chunks(inputs: Inputs, monkeypatch: pytest.MonkeyPatch, most_bytes: int) -> None:
    monkeypatch.setattr(parts, "MOST_BYTES", most_bytes)
    options = CompleteOptions(chunk_frames=16, context_frames=8)
    made = make_plan(replace(inputs, options=options), (), WINDOW)
    (shot,) = made.shots
    longest = max(chunk.last - chunk.first for chunk in made.chunks) + made.ahead
    each = 4 * float((shot.windows[1].side ** 2).max())
    assert longest * each <= max(most_bytes, (8 + 2 * 4 + 2) * each)


def test_objects_have_windows_only_in_shots_in_which_they_occur(tmp_path: Path) -> None:
    maps = labels(8, SIZE, objects=2)
    for label in maps[4:]:
        label[label == 2] = 0
    folder = save_frames(tmp_path / "frames", pictures(8, SIZE))
    inputs = check_inputs(folder, save_labels(tmp_path / "masks", maps), CompleteOptions(order=(2, 1)), Silent())
    assert inputs.ids == (2, 1)
    first, second = make_plan(inputs, (4,), WINDOW).shots
    assert list(first.windows) == [2, 1]
    assert list(second.windows) == [1]


def test_windows_hold_the_whole_object_where_it_is_known(tmp_path: Path) -> None:
    maps = labels(8, SIZE)
    whole = [np.pad(label, ((0, 0), (0, 20)))[:, :48] for label in maps]
    for label in whole:
        label[8:12, 8:44] = 1
    folder, masks = save_frames(tmp_path / "frames", pictures(8, SIZE)), save_labels(tmp_path / "masks", maps)
    amodal = save_labels(tmp_path / "whole", whole)
    inputs = check_inputs(folder, masks, CompleteOptions(amodal=amodal), Silent())
    assert (inputs.boxes(1)[:, 2] == 44).all()
    (shot,) = make_plan(inputs, (), WINDOW).shots
    assert (shot.windows[1].left + shot.windows[1].side >= 44).all()
