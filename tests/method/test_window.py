from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from voin.method.window import WholeFrame, WindowConfig, Windows, box_of, cut, fit_windows, to_working, window_box

CONFIG = WindowConfig(size=64)


def square_boxes(lefts: np.ndarray, top: int = 50, side: int = 40) -> np.ndarray:
    lefts = np.asarray(lefts).round().astype(int)
    return np.stack([lefts, np.full_like(lefts, top), lefts + side, np.full_like(lefts, top + side)], axis=1)


def at(left: int, top: int, side: int, size: int = 64) -> Windows:
    return Windows(np.array([float(left)]), np.array([float(top)]), np.array([float(side)]), size)


def test_windows_hold_the_boxes_whatever_the_motion() -> None:
    generator = np.random.default_rng(0)
    corner = generator.integers(0, 300, (60, 2))
    boxes = np.concatenate([corner, corner + generator.integers(1, 90, (60, 2))], axis=1)
    boxes[::7] = 0
    windows = fit_windows(boxes, CONFIG)
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        left, top, right, bottom = window_box(windows, i)
        assert (x1, y1) == (0, 0) or (left <= x0 and top <= y0 and right >= x1 and bottom >= y1)


def test_windows_follow_steady_motion() -> None:
    lefts = 20 + 3.0 * np.arange(40)
    windows = fit_windows(square_boxes(lefts), CONFIG)
    assert np.abs(windows.left + windows.side / 2 - lefts - 20).max() < 2
    assert windows.side.max() - windows.side.min() <= 1
    assert windows.side[0] == pytest.approx(1.5 * 40, abs=1)


def test_windows_do_not_shake_with_the_mask() -> None:
    shaken = 100 + np.random.default_rng(1).integers(-3, 4, 60)
    windows = fit_windows(square_boxes(shaken), CONFIG)
    assert np.abs(np.diff(windows.left)).mean() < np.abs(np.diff(shaken)).mean() / 3


def test_gaps_are_bridged_along_the_motion() -> None:
    lefts = 20 + 3.0 * np.arange(40)
    boxes = square_boxes(lefts)
    boxes[15:25] = 0
    windows = fit_windows(boxes, CONFIG)
    assert np.abs(windows.left + windows.side / 2 - lefts - 20).max() < 4
    assert windows.side.min() > 40


def test_occlusion_does_not_shrink_windows() -> None:
    boxes = square_boxes(np.full(30, 100))
    boxes[12:18, 2] = 105
    windows = fit_windows(boxes, CONFIG)
    assert windows.side.min() >= 1.5 * 40


def test_a_clip_without_any_object_is_refused() -> None:
    with pytest.raises(ValueError, match="no object in any frame"):
        fit_windows(np.zeros((5, 4), int), CONFIG)


def test_one_frame_is_a_clip_too() -> None:
    windows = fit_windows(square_boxes(np.array([10])), CONFIG)
    assert len(windows) == 1
    assert windows.scale[0] == windows.side[0] / 64


@pytest.mark.parametrize("frame", [(180, 320), (320, 180), (181, 320), (64, 64)])
def test_a_window_over_the_whole_frame_holds_every_pixel_of_it(frame: tuple[int, int]) -> None:
    h, w = frame
    windows = fit_windows(square_boxes(3.0 * np.arange(5), top=5, side=8), WholeFrame(64, frame=frame))
    picture = np.random.default_rng(0).integers(0, 255, (h, w, 3)).astype(np.uint8)
    for i in range(5):
        x0, y0, x1, y1 = window_box(windows, i)
        # 16:9, and no larger than it must be.
        assert (x1 - x0) * 9 == (y1 - y0) * 16
        assert min((x1 - x0 - w) / 16, (y1 - y0 - h) / 9) < 1
        assert abs(x0 + x1 - w) <= 1
        assert abs(y0 + y1 - h) <= 1
        assert np.array_equal(cut(picture, windows, i)[-y0 : h - y0, -x0 : w - x0], picture)
    # A working pixel is as high as it is wide.
    assert windows.shape == (36, 64)
    assert windows.scale[0] == windows.side[0] / 64 == windows.height[0] / 36
    assert to_working([cut(picture, windows, 0)], windows.shape).shape == (1, 3, 36, 64)


def test_a_whole_frame_without_an_object_or_a_size_is_refused() -> None:
    with pytest.raises(ValueError, match="no object in any frame"):
        fit_windows(np.zeros((5, 4), int), WholeFrame(64, frame=(90, 120)))
    with pytest.raises(ValueError, match=r"frame is \(0, 0\); it must be the \(h, w\)"):
        WholeFrame(64)


@pytest.mark.parametrize(("change", "message"), [({"size": 60}, "multiple of 8"), ({"enlarge": 0.9}, "at least 1")])
def test_bad_settings_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **change)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("left", "top"), [(5, 7), (-10, 4), (50, 30), (-20, -20), (70, 60)])
def test_a_cut_is_the_frame_with_its_border_repeated(left: int, top: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    rows, columns = np.clip(np.arange(top, top + 33), 0, 47), np.clip(np.arange(left, left + 33), 0, 63)
    result = cut(picture, at(left, top, 33), 0)
    assert result.shape == (33, 33, 3)
    if left < 64 and top < 48:
        assert np.array_equal(result, picture[rows][:, columns])


def test_a_cut_mask_is_false_outside_the_frame() -> None:
    result = cut(np.ones((48, 64), bool), at(-10, 40, 33), 0)
    assert result[:8, 10:].all()
    assert result.sum() == 8 * 23


def test_a_cut_is_a_copy() -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    cut(picture, at(5, 5, 32), 0)[:] = 1
    assert not picture.any()


def test_working_masks_hold_the_covered_share() -> None:
    mask = np.zeros((128, 128), bool)
    mask[:, :65] = True  # half of working column 32
    working = to_working([mask], 64)
    assert working.shape == (1, 1, 64, 64)
    assert 64 * 64 * working.mean().item() == pytest.approx(mask.sum() / 4, rel=0.01)
    assert working[0, 0, :, :31].min() == 1
    assert working[0, 0, :, 34:].max() == 0


def test_working_pictures_are_colours_without_aliasing() -> None:
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    working = to_working([stripes], 32)
    assert working.shape == (1, 3, 32, 32)
    assert (working[..., 1:-1] - 0.5).abs().max() < 0.06


def test_pictures_of_working_size_pass_unchanged() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    assert torch.equal(to_working([picture], 32)[0], torch.from_numpy(picture).permute(2, 0, 1).float() / 255)


def test_float_pictures_keep_their_range() -> None:
    picture = np.full((40, 40, 3), 0.25, np.float32)
    torch.testing.assert_close(to_working([picture], 32), torch.full((1, 3, 32, 32), 0.25))


def test_the_box_of_a_mask_is_tight_and_ends_exclusive() -> None:
    mask = np.zeros((20, 30), bool)
    assert box_of(mask) == (0, 0, 0, 0)
    mask[3:7, 11:29] = True
    assert box_of(mask) == (11, 3, 29, 7)


def test_an_hour_without_a_cut_is_fitted_in_seconds() -> None:
    t = np.arange(90_000)
    x = 300 + 100 * np.sin(t / 500)
    boxes = np.stack([x - 40, x * 0 + 60, x + 40, x * 0 + 140], axis=1).astype(int)
    began = time.process_time()
    windows = fit_windows(boxes)
    assert time.process_time() - began < 30  # four hundred times as much when every frame looks at every other
    assert np.abs(windows.left + windows.side / 2 - x)[100:-100].max() < 3
