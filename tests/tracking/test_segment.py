from __future__ import annotations

import numpy as np
import pytest

from scenes.mask_clips import box_of, iou, passing, texture
from voin.tracking.prompts import Prompt
from voin.tracking.segment import segment, with_clicks

FRAMES, MASKS = passing(count=6, bar=None)


def test_a_box_finds_the_object_in_it() -> None:
    x, y, w, h = box_of(MASKS[0])
    found = segment(FRAMES[0], Prompt(0, box=(x - 3, y - 4, w + 7, h + 8)))
    assert iou(found, MASKS[0]) > 0.85


def test_nothing_outside_the_box_is_the_object() -> None:
    x, y, w, h = box_of(MASKS[0])
    found = segment(FRAMES[0], Prompt(0, box=(x, y, w // 2, h)))
    assert not found[:, x + w // 2 :].any()


def test_one_click_finds_the_object() -> None:
    x, y, w, h = box_of(MASKS[0])
    found = segment(FRAMES[0], Prompt(0, points=((x + w // 2, y + h // 2),)))
    assert iou(found, MASKS[0]) > 0.7


def test_motion_tells_the_object_from_a_ground_of_its_colours() -> None:
    sheet, thing = (texture(seed, size, 60, 200, (1, 1, 1)) for seed, size in ((1, (96, 160)), (2, (36, 36))))
    frames = [sheet.copy() for _ in range(5)]
    for number, frame in enumerate(frames):
        frame[30:66, 40 + 2 * number : 76 + 2 * number] = thing
    truth = np.zeros((96, 160), bool)
    truth[30:66, 40:76] = True
    prompt = Prompt(0, box=(34, 24, 48, 48))
    still, moving = (iou(segment(frames[0], prompt, near), truth) for near in ((), [frames[1], frames[4]]))
    assert moving > still + 0.1


def test_clicks_are_obeyed() -> None:
    x, y, w, h = box_of(MASKS[0])
    outside, inside = (x + w + 6, y + 3), (x + 4, y + 4)
    found = segment(FRAMES[0], Prompt(0, box=(x, y, w + 12, h), points=(outside,), negative=(inside,)))
    assert found[outside[1], outside[0]]
    assert not found[inside[1], inside[0]]


def test_a_painted_mask_is_taken_as_it_is() -> None:
    painted = np.zeros(MASKS[0].shape, bool)
    painted[5:20, 60:90] = True
    assert np.array_equal(segment(FRAMES[0], Prompt(0, mask=painted)), painted)


def test_clicks_correct_a_painted_mask() -> None:
    painted = np.zeros(MASKS[0].shape, bool)
    painted[5:20, 60:90] = True
    found = segment(FRAMES[0], Prompt(0, mask=painted, points=((40, 40),), negative=((70, 10),)))
    assert found[40, 40]
    assert not found[10, 70]
    assert not painted[40, 40]  # what is given is not written into


def test_a_mask_is_never_empty() -> None:
    painted = np.zeros((40, 40), bool)
    painted[10, 10] = True
    assert with_clicks(painted, Prompt(0, mask=painted, negative=((10, 10),))).any()


def test_the_same_prompt_gives_the_same_mask() -> None:
    prompt = Prompt(0, box=box_of(MASKS[0]))
    assert np.array_equal(segment(FRAMES[0], prompt, FRAMES[1:3]), segment(FRAMES[0], prompt, FRAMES[1:3]))


@pytest.mark.parametrize("box", [(0, 0, 160, 96), (0, 0, 4, 4), (156, 92, 4, 4), (0, 40, 160, 5)])
def test_boxes_of_every_shape_give_a_mask_within(box: tuple[int, int, int, int]) -> None:
    found = segment(FRAMES[0], Prompt(0, box=box))
    x, y, w, h = box
    assert found.any()
    assert found.sum() == found[y : y + h, x : x + w].sum()


@pytest.mark.parametrize(
    "prompt", [Prompt(0, box=(0, 0, 64, 48)), Prompt(0, box=(9, 9, 9, 9)), Prompt(0, points=((9, 9),))]
)
def test_a_flat_picture_gives_some_mask(prompt: Prompt) -> None:
    flat = np.full((48, 64, 3), 120, np.uint8)
    assert segment(flat, prompt, [flat]).any()


def test_a_prompt_outside_the_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the frame"):
        segment(FRAMES[0], Prompt(0, points=((160, 0),)))
