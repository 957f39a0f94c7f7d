from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest

from scenes.mask_clips import passing
from voin.core.types import Mask, Picture
from voin.tracking.prompts import Prompt
from voin.tracking.shot import PackedMask, Tracker, mark, steps_of, track_shot

SIZE = (32, 40)
FRAMES = [np.full((*SIZE, 3), number, np.uint8) for number in range(20)]


class Losing:
    """Knows where the object is, by the frames' own numbers, but loses it after so many frames."""

    name = "losing"

    def __init__(self, after: int) -> None:
        self.after = after

    def mark(self, frame: Picture, prompt: Prompt, near: Sequence[Picture]) -> Mask:
        return where(int(frame[0, 0, 0]))

    def follow(self, frames: Iterable[Picture], mask: Mask) -> Iterator[Mask]:
        for number, frame in enumerate(frames):
            yield where(int(frame[0, 0, 0])) if number <= self.after else np.zeros(SIZE, bool)


def where(frame: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[4:12, frame : frame + 8] = True
    return mask


def right(masks: Sequence[PackedMask], start: int) -> list[int]:
    return [start + i for i, mask in enumerate(masks) if np.array_equal(mask.mask(), where(start + i))]


def prompt(frame: int) -> Prompt:
    return Prompt(frame, points=((frame + 4, 8),))


def test_a_track_goes_both_ways_from_its_prompt() -> None:
    masks = track_shot(Losing(99), FRAMES.__getitem__, [prompt(7)], 3, 15)
    assert right(masks, 3) == list(range(3, 15))


def test_a_prompt_where_the_track_was_lost_corrects_the_frames_on_both_sides() -> None:
    lost = track_shot(Losing(6), FRAMES.__getitem__, [prompt(0)], 0, 20)
    assert right(lost, 0) == list(range(7))
    mended = track_shot(Losing(6), FRAMES.__getitem__, [prompt(0), prompt(12)], 0, 20)
    assert right(mended, 0) == list(range(19))


def test_masks_on_the_frames_of_prompts_are_those_of_the_prompts() -> None:
    masks = track_shot(Losing(0), FRAMES.__getitem__, [prompt(2), prompt(9), prompt(10)], 0, 12)
    assert right(masks, 0) == [2, 9, 10]


@pytest.mark.parametrize("prompts", [(0,), (11,), (5,), (2, 9), (0, 5, 11), (4, 5)])
def test_progress_counts_the_steps_that_it_announces(prompts: tuple[int, ...]) -> None:
    given, counts = [prompt(frame) for frame in prompts], []
    track_shot(Losing(99), FRAMES.__getitem__, given, 0, 12, counts.append)
    assert sum(counts) == steps_of(given, 0, 12)


def test_frames_beyond_a_cut_are_not_looked_at_for_motion() -> None:
    seen = []

    class Looking(Losing):
        def mark(self, frame: Picture, prompt: Prompt, near: Sequence[Picture]) -> Mask:
            seen.append(len(near))
            return super().mark(frame, prompt, near)

    frames, _ = passing(count=8, bar=None)
    red = [np.full_like(frames[0], (250, 20, 20))] * 4
    assert isinstance(Looking(1), Tracker)
    for together in (frames, frames[:3] + red, frames[:1]):
        mark(Looking(1), together.__getitem__, prompt(0), 0, len(together))
    assert seen == [2, 1, 0]


@pytest.mark.parametrize("mask", [np.zeros(SIZE, bool), np.ones(SIZE, bool), where(3)])
def test_packing_a_mask_loses_nothing(mask: np.ndarray) -> None:
    assert np.array_equal(PackedMask.of(mask).mask(), mask)
