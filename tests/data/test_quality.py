"""Which objects are kept, and for which reason others are not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from voin.data.quality import REASONS, FilterConfig, reason_to_skip
from voin.data.sources import load_masks, open_source

H, W = 108, 192


def discs(radii: Sequence[float], x: float = 90, y: float = 50) -> np.ndarray:
    """One disc a frame; radius 0 is none."""
    rows, columns = np.mgrid[0:H, 0:W]
    return np.stack([(columns - x) ** 2 + (rows - y) ** 2 < radius**2 for radius in radii])


def test_a_whole_object_is_kept() -> None:
    assert reason_to_skip(discs([20] * 12)) is None


def test_each_reason_is_given() -> None:
    behind_post = discs([20] * 12)
    behind_post[:, :, 86:94] = False
    found = {
        "empty": reason_to_skip(discs([0] * 12)),
        "too short": reason_to_skip(discs([20] * 7)),
        "too small": reason_to_skip(discs([4] * 12)),
        "at the border too long": reason_to_skip(discs([20] * 12, x=0)),
        "shape jumps": reason_to_skip(discs([20] * 5 + [12] * 3 + [20] * 4)),
        "in pieces": reason_to_skip(behind_post),
    }
    assert found == {reason: reason for reason in REASONS}


def test_an_object_that_goes_and_comes_back_jumps() -> None:
    assert reason_to_skip(discs([20] * 5 + [0] + [20] * 6)) == "shape jumps"


def test_coming_nearer_steadily_is_no_jump() -> None:
    assert reason_to_skip(discs([5 * 1.12**i for i in range(16)])) is None


def test_masks_that_lie_further_apart_may_change_more() -> None:
    breathing = discs([20 + 2.0 * (-1) ** i for i in range(12)])
    assert reason_to_skip(breathing) == "shape jumps"
    assert reason_to_skip(breathing, stride_frames=5) is None


def test_the_border_may_touch_an_object_for_a_while() -> None:
    at_border = np.concatenate([discs([20] * 3, x=0), discs([20] * 13)])
    assert reason_to_skip(at_border, FilterConfig(most_jumps=1.0)) is None


def test_thresholds_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="least_frames is 0"):
        FilterConfig(least_frames=0)
    with pytest.raises(ValueError, match=r"most_border is 2\.0; it must lie in 0\.\.1; leave it out for 0\.25"):
        FilterConfig(most_border=2.0)


def test_the_whole_objects_of_davis_are_kept_and_clearly_hidden_ones_are_not(davis: Path) -> None:
    clips = {clip.name: clip for clip in open_source(davis, "davis")}
    kept = [clip for clip in clips.values() if clip.split == "validation"]
    assert len(kept) >= 10
    for clip in kept:
        assert reason_to_skip(load_masks(clip, (216, 384))) is None, clip.name
    for name in ("bmx-bumps", "bus", "dog-agility", "soccerball"):
        assert reason_to_skip(load_masks(clips[name], (216, 384))) is not None, name
