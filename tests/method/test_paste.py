from __future__ import annotations

import numpy as np
import pytest
import torch

from voin.method.paste import make_box, native_masks
from voin.method.propagation.tracks import Tracks
from voin.method.window import ObjectClip, Windows, cut, paste


def clip_at(left: int, top: int, side: int, h: int = 47, w: int = 61) -> tuple[np.ndarray, ObjectClip]:
    frame = np.random.default_rng(0).integers(0, 256, (h, w, 3)).astype(np.uint8)
    windows = Windows(np.array([float(left)]), np.array([float(top)]), np.array([float(side)]), 32)
    visible = np.zeros((h, w), bool)
    visible[5:20, 5:20] = True
    return frame, ObjectClip(windows, (h, w), [cut(frame, windows, 0)], [cut(visible, windows, 0)])


@pytest.mark.parametrize(("left", "top", "side"), [(2, 3, 33), (-9, -7, 45), (30, 20, 41), (-5, -5, 77)])
def test_nothing_outside_occluded_changes_whatever_the_window(left: int, top: int, side: int) -> None:
    frame, clip = clip_at(left, top, side)
    amodal = torch.zeros(1, 1, 1, 32, 32)
    amodal[..., 2:30, 2:30] = 1
    whole, occluded = native_masks(clip, amodal, amodal, 0)
    assert not (occluded & clip.visible[0]).any()
    assert np.array_equal(whole, occluded | clip.visible[0])
    nothing = torch.zeros(1, 32, 32)
    tracks = Tracks(0, nothing.to(torch.int16) - 1, torch.zeros(0, 2), torch.zeros(0))
    white, black = torch.ones(3, 32, 32), torch.zeros(3, 32, 32)
    patch = make_box(clip, 0, whole, occluded, [tracks], [black, white, black[:1], white[:1]])
    assert np.array_equal(patch.missing, patch.occluded)
    result = paste(frame, [patch])
    changed = np.zeros(frame.shape[:2], bool)
    changed[patch.rows, patch.columns] = patch.occluded
    assert changed.sum() == occluded.sum() > 0
    assert np.array_equal(result[~changed], frame[~changed])
    assert (result[changed] == 255).all()


def test_an_object_wholly_seen_gives_a_patch_that_changes_nothing() -> None:
    frame, clip = clip_at(0, 0, 40)
    whole, occluded = native_masks(clip, torch.zeros(1, 1, 1, 32, 32), torch.zeros(1, 1, 1, 32, 32), 0)
    patch = make_box(clip, 0, whole, occluded)
    assert (patch.left, patch.top, patch.amodal.shape) == (5, 5, (15, 15))
    assert (patch.confidence == 255).all()
    assert np.array_equal(paste(frame, [patch]), frame)


@pytest.mark.parametrize(("first", "rows", "kept"), [(14, 4, False), (6, 4, True), (14, 20, False)])
def test_only_the_rim_of_what_lies_outside_the_picture_is_not_hidden_in_it(first: int, rows: int, kept: bool) -> None:
    _, clip = clip_at(40, 2, 42)
    hidden = torch.zeros(1, 1, 1, 32, 32)
    hidden[..., 10 : 10 + rows, first:] = 1
    _, occluded = native_masks(clip, hidden, hidden, 0)
    assert occluded.any() == kept
    hidden[..., 16:] = 0  # the picture's last column; nothing outside
    assert native_masks(clip, hidden, hidden, 0)[1].any()
