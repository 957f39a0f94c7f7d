from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import tiny_sam2
from scenes.mask_clips import box_of, passing
from voin.core.errors import PackageRefusal
from voin.tracking import sam2 as mask_sam2
from voin.tracking.prompts import Prompt
from voin.tracking.sam2 import Sam2Tracker, has_sam2, load_sam2
from voin.tracking.shot import Tracker

FRAMES, MASKS = passing(count=5)


@pytest.fixture(scope="module")
def network() -> Any:
    return tiny_sam2.build()


@pytest.fixture(scope="module")
def tracker(network: Any) -> Sam2Tracker:
    return Sam2Tracker(network)


def test_it_is_a_tracker(tracker: Sam2Tracker) -> None:
    assert isinstance(tracker, Tracker)


def test_each_frame_gets_a_mask_of_its_size(tracker: Sam2Tracker) -> None:
    found = list(tracker.follow(iter(FRAMES), MASKS[0]))
    assert len(found) == len(FRAMES)
    assert all(mask.shape == MASKS[0].shape and mask.dtype == bool for mask in found)
    assert np.array_equal(found[0], MASKS[0])


def test_what_is_marked_decides_about_the_track(tracker: Sam2Tracker) -> None:
    one, other = (list(tracker.follow(iter(FRAMES), mask)) for mask in (MASKS[0], ~MASKS[0]))
    assert not np.array_equal(one[-1], other[-1])


def test_box_and_clicks_are_seen_by_the_network(tracker: Sam2Tracker) -> None:
    box = box_of(MASKS[0])
    prompts = [Prompt(0, box=box), Prompt(0, points=((30, 45),)), Prompt(0, points=((30, 45),), negative=((100, 20),))]
    masks = [tracker.mark(FRAMES[0], prompt, ()) for prompt in prompts]
    assert all(mask.shape == MASKS[0].shape and mask.any() for mask in masks)
    assert masks[1][45, 30]
    assert not masks[2][20, 100]
    assert not np.array_equal(masks[0], masks[1])


def test_a_painted_mask_is_taken_as_it_is(tracker: Sam2Tracker) -> None:
    assert np.array_equal(tracker.mark(FRAMES[0], Prompt(0, mask=MASKS[0]), ()), MASKS[0])


def test_the_same_input_gives_the_same_masks(tracker: Sam2Tracker) -> None:
    one, other = (list(tracker.follow(iter(FRAMES), MASKS[0])) for _ in range(2))
    assert all(np.array_equal(first, second) for first, second in zip(one, other, strict=True))


def test_memory_does_not_grow_with_the_length_of_the_video(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker, sessions = Sam2Tracker(network), []
    tracker.reach = 4
    make = tracker._session
    monkeypatch.setattr(tracker, "_session", lambda h, w: sessions.append(make(h, w)) or sessions[-1])
    list(tracker.follow((FRAMES[i % 5] for i in range(14)), MASKS[0]))
    assert len(sessions[0].processed_frames) <= 5
    assert len(sessions[0].output_dict_per_obj[0]["non_cond_frame_outputs"]) <= 5
    assert list(sessions[0].output_dict_per_obj[0]["cond_frame_outputs"]) == [0]


def test_weights_come_from_a_folder(network: Any, tmp_path: Path) -> None:
    network.save_pretrained(tmp_path / "sam2")
    assert has_sam2(str(tmp_path / "sam2"))
    loaded = load_sam2(str(tmp_path / "sam2"))
    one, other = (list(each.follow(iter(FRAMES[:3]), MASKS[0])) for each in (Sam2Tracker(network), loaded))
    assert all(np.array_equal(first, second) for first, second in zip(one, other, strict=True))


def test_a_folder_without_weights_is_refused(network: Any, tmp_path: Path) -> None:
    assert not has_sam2(str(tmp_path))
    with pytest.raises(OSError, match="cannot be loaded as SAM 2") as caught:
        load_sam2(str(tmp_path))
    assert str(caught.value).count("; ") == 2


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert not has_sam2()
    with pytest.raises(PackageRefusal, match=r"voin\[sam2\]") as caught:
        mask_sam2.load_sam2()
    assert len(caught.value.parts) == 3
