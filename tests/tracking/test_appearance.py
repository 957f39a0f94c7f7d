from __future__ import annotations

import numpy as np
import pytest

from scenes.mask_clips import passing
from voin.tracking.appearance import Memory, _edited, describe, distances

FRAMES, MASKS = passing(count=4, bar=None)


def features(number: int) -> np.ndarray:
    rows, columns = np.nonzero(MASKS[number])
    return describe(FRAMES[number], (float(columns.mean()), float(rows.mean())), 36.0, 0.6)


def test_pixels_of_a_later_frame_are_told_apart() -> None:
    memory = Memory()
    memory.add(features(0), MASKS[0], ~MASKS[0])
    odds = memory.compare(features(3).reshape(-1, 17)).reshape(MASKS[3].shape)
    assert ((odds > 0) == MASKS[3]).mean() > 0.97


def test_pixels_that_look_like_the_surroundings_are_not_remembered_as_the_object() -> None:
    random = np.random.default_rng(0)
    thing, ground = (random.normal(centre, 0.3, (300, 5)).astype(np.float32) for centre in (0, 3))
    wrong = random.normal(3, 0.3, (20, 5)).astype(np.float32)
    kept = _edited(np.concatenate([thing, wrong]), ground)
    assert (kept.mean(axis=1) < 1.5).sum() > 290
    assert (kept.mean(axis=1) > 1.5).sum() < 5


def test_distances_are_zero_to_what_is_remembered_alone() -> None:
    one = np.random.default_rng(0).normal(size=(1, 5)).astype(np.float32)
    assert distances(one, one)[0] == pytest.approx(0, abs=1e-3)
    assert distances(one, one + 1)[0] == pytest.approx(np.sqrt(5), rel=1e-3)


def test_an_empty_memory_is_refused() -> None:
    memory = Memory()
    assert not memory
    memory.add(features(0), MASKS[0], np.zeros_like(MASKS[0]))
    assert not memory
    with pytest.raises(ValueError, match="nothing is remembered"):
        memory.compare(features(0).reshape(-1, 17))
