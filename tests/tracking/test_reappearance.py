from __future__ import annotations

import numpy as np

from scenes.mask_clips import iou, passing, texture
from voin.tracking.reappearance import Clear, ReturnConfig
from voin.tracking.view import MaskView

CONFIG = ReturnConfig()
FRAMES, MASKS = passing(count=3, bar=None)
HERE = np.zeros(2)


def look(frame: np.ndarray, clear: Clear, shift: np.ndarray = HERE):
    view = MaskView.around(clear.place, (96, 160), 72, 0.5, 2.0)
    return view, clear.look(view.cut(frame), view, [shift], CONFIG)


def test_an_object_that_stands_still_is_seen_whole() -> None:
    view, again = look(FRAMES[0], Clear.of(FRAMES[0], MASKS[0]))
    assert again is not None
    assert again.agreement > 0.9
    assert iou(view.paste(again.seen), MASKS[0]) > 0.85


def test_its_shift_is_found() -> None:
    _, again = look(FRAMES[1], Clear.of(FRAMES[0], MASKS[0]), np.array([2.0, 0.0]))
    assert again is not None
    assert abs(again.shift[0] - 4) < 1
    assert abs(again.shift[1]) < 1


def test_what_hides_it_is_not_it() -> None:
    frame = FRAMES[0].copy()
    frame[:, 30:44] = texture(8, (96, 14), 90, 180, (0.4, 0.5, 1.3))
    view, again = look(frame, Clear.of(FRAMES[0], MASKS[0]))
    assert again is not None
    odds = again.weigh(np.zeros(again.seen.shape, np.float32), 1.0, CONFIG)
    found = view.paste(odds > 0)
    assert found[:, 32:42].mean() < 0.05
    assert found[32:64, 14:28].mean() > 0.8
    assert found[32:64, 46:].any()


def test_something_else_in_its_place_is_not_it() -> None:
    frame = FRAMES[0].copy()
    frame[20:76, 4:60] = texture(8, (56, 56), 90, 180, (0.4, 0.5, 1.3))
    assert look(frame, Clear.of(FRAMES[0], MASKS[0]))[1] is None


def test_a_view_without_trust_changes_nothing() -> None:
    _, again = look(FRAMES[0], Clear.of(FRAMES[0], MASKS[0]))
    assert again is not None
    odds = np.random.default_rng(0).normal(size=again.seen.shape).astype(np.float32)
    assert np.array_equal(again.weigh(odds, 0.0, CONFIG), odds)


def test_it_is_counted_how_long_nothing_was_seen() -> None:
    clear = Clear.of(FRAMES[0], MASKS[0]).moved(np.array([3.0, -1.0]), seen=False).moved(HERE, seen=False)
    assert (clear.age, clear.lost) == (2, 2)
    assert clear.place == (15.0, 29.0, 51.0, 65.0)
    assert clear.moved(HERE, seen=True).lost == 0
