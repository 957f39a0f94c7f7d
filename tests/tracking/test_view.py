from __future__ import annotations

import numpy as np
import pytest

from voin.tracking.view import MaskView, joined, place_of

FRAME = (90, 160)


@pytest.mark.parametrize("place", [(60.0, 30.0, 100.0, 60.0), (0.0, 0.0, 8.0, 8.0), (150.0, 80.0, 160.0, 90.0)])
def test_a_view_holds_the_object_and_lies_in_the_frame(place: tuple[float, float, float, float]) -> None:
    x0, y0, x1, y1 = MaskView.around(place, FRAME, 64, 0.5, 1.5).crop
    assert 0 <= x0 <= place[0]
    assert 0 <= y0 <= place[1]
    assert place[2] <= x1 <= 160
    assert place[3] <= y1 <= 90


@pytest.mark.parametrize("place", [(400.0, 300.0, 420.0, 330.0), (-90.0, -80.0, -60.0, -50.0)])
def test_a_place_outside_the_frame_gives_a_view_inside_it(place: tuple[float, float, float, float]) -> None:
    view = MaskView.around(place, FRAME, 64, 0.5, 1.5)
    x0, y0, x1, y1 = view.crop
    assert 0 <= x0 < x1 <= 160
    assert 0 <= y0 < y1 <= 90
    assert view.cut(np.zeros((*FRAME, 3), np.uint8)).shape[:2] == (view.size[1], view.size[0])


def test_a_mask_survives_the_way_there_and_back() -> None:
    mask = np.zeros(FRAME, bool)
    mask[30:60, 60:100] = True
    view = MaskView.around(place_of(mask), FRAME, 64, 0.5, 1.5)
    again = view.paste(view.cut_mask(mask))
    assert np.count_nonzero(again & mask) / np.count_nonzero(again | mask) > 0.95


def test_small_objects_are_enlarged_no_more_than_asked() -> None:
    assert MaskView.around((60.0, 30.0, 70.0, 40.0), FRAME, 112, 0.5, 1.5).scale == pytest.approx(1.5, rel=0.05)


def test_joined_boxes_hold_both() -> None:
    assert joined((1.0, 5.0, 3.0, 6.0), (2.0, 1.0, 9.0, 4.0)) == (1.0, 1.0, 9.0, 6.0)
