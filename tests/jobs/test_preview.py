from __future__ import annotations

import numpy as np
import pytest

from voin.core import draw as viz
from voin.jobs.plan import Chunk, Shot
from voin.jobs.preview import View, candidates, column
from voin.method.window import CompletedBox

SIZE = (60, 80)


def patch_at(left: int, top: int, h: int = 8, w: int = 6) -> CompletedBox:
    amodal = np.ones((h, w), bool)
    occluded = amodal.copy()
    occluded[:, : w // 2] = False
    colours = np.full((h, w, 3), 7, np.uint8)
    return CompletedBox(left, top, amodal, occluded, occluded, colours, np.zeros((h, w), np.uint8))


@pytest.mark.parametrize(("left", "top"), [(0, 0), (30, 20), (74, 52)])
def test_a_view_holds_the_object_and_lies_within_the_frame(left: int, top: int) -> None:
    rows, columns = View(32, 40).of([patch_at(left, top)], SIZE)
    assert rows.start >= 0
    assert rows.stop <= SIZE[0]
    assert (rows.stop - rows.start, columns.stop - columns.start) == (32, 40)
    assert rows.start <= top
    assert top + 8 <= rows.stop
    assert columns.start <= left
    assert left + 6 <= columns.stop


def test_a_column_shows_input_masks_and_result() -> None:
    frame = np.full((*SIZE, 3), 100, np.uint8)
    result, patch = frame.copy(), patch_at(30, 20)
    result[20:28, 33:36] = 7
    picture = column(frame, result, [patch], View(*SIZE))
    before, masks, after = np.split(picture, 3)
    assert (before == frame).all()
    assert (after == result).all()
    assert (masks[20:28, 33:36] == (100 * 0.4 + np.array(viz.AMODAL) * 0.6 + 0.5).astype(np.uint8)).all()
    masks[20:28, 30:36] = 100
    assert (masks == frame).all()


def test_candidates_are_frames_in_which_much_is_hidden() -> None:
    chunk, chunk_frames = Chunk(0, Shot(0, 100, {}), 10, 90, 0, 100), range(10, 90)
    hidden = [100 if 30 <= i < 60 else i % 2 for i in chunk_frames]
    assert candidates(hidden, chunk, 1)[0] == 30
    assert candidates(hidden, chunk, 1)[-1] == 59
    assert len(candidates(hidden, chunk, 1)) == 6
    assert len(candidates(hidden, chunk, 1000)) == 2
    assert candidates([0] * 80, chunk, 1) == [50]
