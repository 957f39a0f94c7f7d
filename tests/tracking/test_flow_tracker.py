from __future__ import annotations

import numpy as np
import pytest

from scenes.mask_clips import iou, passing, texture
from voin.tracking.flow_tracker import FlowTracker

FRAMES, MASKS = passing()
AREA = int(MASKS[0].sum())


@pytest.fixture(scope="module")
def tracked() -> list[np.ndarray]:
    return list(FlowTracker().follow(iter(FRAMES), MASKS[0]))


def test_each_frame_gets_a_mask_of_its_size(tracked: list[np.ndarray]) -> None:
    assert len(tracked) == len(FRAMES)
    assert all(mask.shape == MASKS[0].shape and mask.dtype == bool for mask in tracked)
    assert np.array_equal(tracked[0], MASKS[0])


def test_the_object_is_followed_where_it_is_seen(tracked: list[np.ndarray]) -> None:
    for number in range(7):
        assert iou(tracked[number], MASKS[number]) > 0.8, number


def test_the_mask_shrinks_behind_an_occluder(tracked: list[np.ndarray]) -> None:
    least = int(np.argmin([mask.sum() for mask in MASKS]))
    assert tracked[least].sum() < 0.6 * AREA
    assert tracked[least][:, 76:100].sum() < 0.15 * AREA


def test_the_mask_comes_back_after_the_occluder(tracked: list[np.ndarray]) -> None:
    back = [number for number, mask in enumerate(MASKS) if number > 12 and mask.sum() == AREA]
    assert back
    assert np.mean([iou(tracked[number], MASKS[number]) for number in back]) > 0.75


def test_an_object_that_is_hidden_wholly_vanishes_and_comes_back() -> None:
    # It waits, as something as wide as itself drives past.
    frames, masks = passing(count=1, bar=None)
    front = texture(5, (96, 60), 90, 180, (0.4, 0.5, 1.3))
    shown, truth = [], []
    for number in range(26):
        frame, mask = frames[0].copy(), masks[0].copy()
        left = 170 - 10 * number
        first, last = max(left, 0), min(left + 60, 160)
        if first < last:
            frame[:, first:last] = front[:, first - left : last - left]
            mask[:, first:last] = False
        shown.append(frame)
        truth.append(mask)
    found = list(FlowTracker().follow(iter(shown), masks[0]))
    gone = [number for number, mask in enumerate(truth) if not mask.any()]
    assert gone
    assert max(found[number].sum() for number in gone) < 0.1 * AREA
    assert iou(found[-1], truth[-1]) > 0.8


def test_another_object_that_passes_is_not_swallowed() -> None:
    frames, masks = passing(count=16, bar=None)
    other = texture(9, (30, 24), 100, 255, (0.5, 0.5, 1.2))
    for number, frame in enumerate(frames):
        left = 150 - 9 * number
        first, last = max(left, 0), min(left + 24, 160)
        if first < last:
            frame[60:90, first:last] = other[:, first - left : last - left]
            masks[number][60:90, first:last] = False
    found = list(FlowTracker().follow(iter(frames), masks[0]))
    assert np.mean([iou(one, true) for one, true in zip(found, masks, strict=True)]) > 0.8
    for number, mask in enumerate(found):
        left = 150 - 9 * number
        taken = mask[60:90, max(left, 0) : max(left + 24, 0)].sum()
        assert taken < 0.15 * 30 * 24, number


def test_the_same_input_gives_the_same_masks(tracked: list[np.ndarray]) -> None:
    again = list(FlowTracker().follow(iter(FRAMES), MASKS[0]))
    assert all(np.array_equal(one, other) for one, other in zip(tracked, again, strict=True))


def test_frames_are_not_written_into() -> None:
    before = [frame.copy() for frame in FRAMES[:3]]
    list(FlowTracker().follow(iter(FRAMES[:3]), MASKS[0]))
    assert all(np.array_equal(one, other) for one, other in zip(before, FRAMES, strict=False))


@pytest.mark.parametrize("box", [(0, 0, 6, 6), (150, 86, 10, 10), (0, 0, 160, 96)])
def test_an_object_at_the_edge_or_as_large_as_the_frame_is_followed(box: tuple[int, int, int, int]) -> None:
    x, y, w, h = box
    mask = np.zeros(MASKS[0].shape, bool)
    mask[y : y + h, x : x + w] = True
    assert len(list(FlowTracker().follow(iter(FRAMES[:3]), mask))) == 3
