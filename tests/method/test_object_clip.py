from __future__ import annotations

import numpy as np
import pytest

from voin.method.window import CompletedBox, WindowConfig, cut_clip, paste


def patch(left: int, top: int, occluded: np.ndarray, colour: int) -> CompletedBox:
    whole = np.ones_like(occluded)
    colours = np.full((*occluded.shape, 3), colour, np.uint8)
    return CompletedBox(
        left, top, whole, occluded, np.zeros_like(occluded), colours, np.zeros(occluded.shape, np.uint8)
    )


def test_only_occluded_pixels_change_and_the_frame_itself_does_not() -> None:
    generator = np.random.default_rng(0)
    frame = generator.integers(0, 256, (33, 47, 3)).astype(np.uint8)
    before, occluded = frame.copy(), generator.random((9, 11)) > 0.5
    result = paste(frame, [patch(5, 3, occluded, 77)])
    changed = np.zeros((33, 47), bool)
    changed[3:12, 5:16] = occluded
    assert np.array_equal(result[~changed], before[~changed])
    assert (result[changed] == 77).all()
    assert np.array_equal(frame, before)


def test_what_lies_in_front_stays_in_front() -> None:
    frame = np.zeros((30, 30, 3), np.uint8)
    every = np.ones((10, 10), bool)
    result = paste(frame, [patch(5, 5, every, 1), patch(10, 5, every, 2)])
    assert (result[5:15, 5:15] == 1).all()
    assert (result[5:15, 15:20] == 2).all()
    visible = paste(frame, [patch(5, 5, ~every, 1), patch(10, 5, every, 2)])
    assert (visible[5:15, 5:15] == 0).all()  # visible pixels of the front object are not painted over either


def test_windows_of_different_sides_make_one_clip() -> None:
    frames = [np.zeros((120, 160, 3), np.uint8)] * 3
    masks = [np.zeros((120, 160), bool) for _ in frames]
    for i, mask in enumerate(masks):
        mask[20 : 40 + 30 * i, 30 : 50 + 30 * i] = True
    clip = cut_clip(frames, masks, config=WindowConfig(size=64, smooth_frames=0.1, reach_frames=0))
    assert len(clip) == 3
    assert [each.shape[0] for each in clip.frames] == clip.windows.side.astype(int).tolist()
    assert [each.sum() for each in clip.visible] == [each.sum() for each in masks]


def test_small_frames_and_empty_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 32x32"):
        cut_clip([np.zeros((31, 40, 3), np.uint8)], [np.ones((31, 40), bool)])
    with pytest.raises(ValueError, match="marks no pixel"):
        cut_clip([np.zeros((40, 40, 3), np.uint8)], [np.zeros((40, 40), bool)])
