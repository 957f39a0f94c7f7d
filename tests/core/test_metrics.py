"""Each metric against an independent implementation, and its laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from voin.core.metrics import (
    CROP_LEAST,
    PSNR_CAP,
    crop_box,
    iou,
    masked_psnr,
    pair_error,
    pixel_flow_errors,
    psnr,
    ssim,
    ssim_inside,
    steady,
)
from voin.core.types import to_kind

H, W = 72, 96


def pictures(seed: int = 0, h: int = H, w: int = W) -> tuple[np.ndarray, np.ndarray]:
    """Two smooth pictures that differ."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w]
    first = np.stack([127 + 100 * np.sin(x / (7 + c) + y / 9) for c in range(3)], axis=-1)
    second = first + generator.normal(0, 12, first.shape)
    return to_kind(first / 255, np.dtype(np.uint8)), to_kind(second / 255, np.dtype(np.uint8))


def box_mask(rows: slice, columns: slice, h: int = H, w: int = W) -> np.ndarray:
    mask = np.zeros((h, w), bool)
    mask[rows, columns] = True
    return mask


def loop_psnr(first: np.ndarray, second: np.ndarray, mask: np.ndarray) -> float:
    total, count = 0.0, 0
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if mask[y, x]:
                for c in range(3):
                    total += (float(first[y, x, c]) - float(second[y, x, c])) ** 2
                    count += 1
    return 20 * math.log10(255) - 10 * math.log10(total / count)


def plain_similarity(first: np.ndarray, second: np.ndarray, window: int) -> np.ndarray:
    """The SSIM map of Wang et al. (2004) by sums over windows: (h - window + 1, w - window + 1, 3), whole windows."""
    a, b = (
        np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), (window, window), (0, 1))
        for x in (first, second)
    )
    n = window**2
    mean_a, mean_b = a.mean(axis=(-1, -2)), b.mean(axis=(-1, -2))
    var_a, var_b = a.var(axis=(-1, -2)) * n / (n - 1), b.var(axis=(-1, -2)) * n / (n - 1)
    cov = ((a * b).mean(axis=(-1, -2)) - mean_a * mean_b) * n / (n - 1)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return (2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))


def test_psnr_is_that_of_a_plain_loop() -> None:
    first, second = pictures()
    assert psnr(first, second) == pytest.approx(loop_psnr(first, second, np.ones((H, W), bool)), abs=1e-9)
    mask = box_mask(slice(10, 30), slice(5, 40))
    assert masked_psnr(first, second, mask) == pytest.approx(loop_psnr(first, second, mask), abs=1e-9)


def test_psnr_is_that_of_scikit_image() -> None:
    metrics = pytest.importorskip("skimage.metrics")
    first, second = pictures(1)
    assert psnr(first, second) == pytest.approx(metrics.peak_signal_noise_ratio(first, second, data_range=255))


def test_black_against_white_is_0_db_and_one_level_is_48() -> None:
    black = np.zeros((8, 8, 3), np.uint8)
    assert psnr(black, black + 255) == pytest.approx(0)
    assert psnr(black, black + 1) == pytest.approx(48.1308, abs=1e-4)


def test_equal_pictures_have_the_cap_and_no_others_have_more() -> None:
    first, _ = pictures()
    assert psnr(first, first) == PSNR_CAP == 100
    large = np.zeros((300, 400, 3), np.uint8)
    other = large.copy()
    other[0, 0, 0] = 1
    assert psnr(large, other) == PSNR_CAP


def test_psnr_inside_a_mask_does_not_see_what_is_outside() -> None:
    first, second = pictures()
    mask = box_mask(slice(10, 30), slice(5, 40))
    other = np.where(mask[..., None], second, 0).astype(np.uint8)
    assert masked_psnr(first, other, mask) == masked_psnr(first, second, mask)
    assert math.isnan(masked_psnr(first, second, np.zeros((H, W), bool)))


def test_ssim_is_that_of_plain_sums_over_windows() -> None:
    pytest.importorskip("skimage")
    first, second = pictures()
    assert ssim(first, second) == pytest.approx(plain_similarity(first, second, 65).mean(), abs=1e-7)
    mask = box_mask(slice(20, 41), slice(30, 55))
    inside = plain_similarity(first, second, 7)[mask[3:-3, 3:-3]].mean()
    assert ssim_inside(first, second, mask) == pytest.approx(inside, abs=1e-7)


def test_frames_narrower_than_the_window_take_the_largest_odd_one() -> None:
    pytest.importorskip("skimage")
    first, second = pictures(h=40, w=96)
    assert ssim(first, second) == pytest.approx(plain_similarity(first, second, 39).mean(), abs=1e-7)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (slice(30, 31), slice(40, 41)),
        (slice(0, 1), slice(0, 1)),
        (slice(H - 1, H), slice(W - 1, W)),
        (slice(0, H), slice(0, W)),
        (slice(0, 5), slice(90, W)),
    ],
)
def test_ssim_inside_a_mask_is_the_mean_of_the_whole_map(rows: slice, columns: slice) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    first, second = pictures(2)
    mask = box_mask(rows, columns)
    _, whole = metrics.structural_similarity(first, second, win_size=7, data_range=255, channel_axis=2, full=True)
    assert ssim_inside(first, second, mask) == pytest.approx(whole[mask].mean(), abs=1e-9)


def test_equal_pictures_have_ssim_1() -> None:
    pytest.importorskip("skimage")
    first, _ = pictures()
    mask = box_mask(slice(20, 41), slice(30, 55))
    assert ssim(first, first) == pytest.approx(1)
    assert ssim_inside(first, first, mask) == pytest.approx(1)
    assert math.isnan(ssim_inside(first, first, mask & ~mask))


@pytest.mark.parametrize("seed", range(20))
def test_a_crop_holds_the_mask_and_is_a_square_in_the_frame(seed: int) -> None:
    generator = np.random.default_rng(seed)
    h, w = 216, 384
    top, left = generator.integers(h - 30), generator.integers(w - 90)
    mask = box_mask(
        slice(top, top + generator.integers(1, 30)), slice(left, left + generator.integers(1, 90)), h=h, w=w
    )
    rows, columns = crop_box(mask)
    assert mask[rows, columns].sum() == mask.sum()
    assert 0 <= rows.start < rows.stop <= h
    assert 0 <= columns.start < columns.stop <= w
    sides = rows.stop - rows.start, columns.stop - columns.start
    assert sides[0] == sides[1] >= CROP_LEAST
    spread = np.flatnonzero(mask.any(axis=0)).size, np.flatnonzero(mask.any(axis=1)).size
    assert sides[0] == max(64, max(spread) + 2 * math.ceil(0.25 * max(spread)))
    for span, axis, size in ((rows, 1, h), (columns, 0, w)):
        places = np.flatnonzero(mask.any(axis=axis))
        if span.start > 0 and span.stop < size:  # where it need not be moved, the mask is in its middle
            assert abs((places[0] - span.start) - (span.stop - 1 - places[-1])) <= 1


def test_a_crop_is_cut_where_the_frame_is_smaller() -> None:
    rows, columns = crop_box(box_mask(slice(10, 70), slice(0, 96)))
    assert (rows, columns) == (slice(0, H), slice(0, W))


def test_a_crop_around_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="the mask is empty"):
        crop_box(np.zeros((H, W), bool))


def test_iou_counts_pixels() -> None:
    truth, guess = box_mask(slice(0, 10), slice(0, 10)), box_mask(slice(0, 10), slice(5, 20))
    both = len(set(map(tuple, np.argwhere(truth))) & set(map(tuple, np.argwhere(guess))))
    either = len(set(map(tuple, np.argwhere(truth))) | set(map(tuple, np.argwhere(guess))))
    assert iou(guess, truth) == both / either == 50 / 200
    assert iou(truth, truth) == 1
    assert iou(truth & ~truth, truth) == 0
    assert math.isnan(iou(guess, truth & ~truth))


def flows(count: int, dx: float, dy: float) -> np.ndarray:
    """A clip of one motion, (count - 1, 2, H, W)."""
    return np.broadcast_to(np.array([dx, dy], np.float32)[:, None, None], (count - 1, 2, H, W)).copy()


def test_flow_error_is_the_mean_over_hidden_pixels_and_directions() -> None:
    generator = np.random.default_rng(0)
    hidden = generator.random((4, H, W)) > 0.9
    hidden[2] = False
    own = [generator.normal(size=(3, 2, H, W)).astype(np.float32) for _ in range(2)]
    true = [generator.normal(size=(3, 2, H, W)).astype(np.float16) for _ in range(2)]
    errors = pixel_flow_errors((own[0], own[1]), (true[0], true[1]), hidden)
    for i in (0, 1, 3):
        expected = []
        for y, x in np.argwhere(hidden[i]):
            if i < 3:
                expected.append(math.hypot(*(own[0][i, :, y, x].astype(float) - true[0][i, :, y, x])))
            if i > 0:
                expected.append(math.hypot(*(own[1][i - 1, :, y, x].astype(float) - true[1][i - 1, :, y, x])))
        assert errors[i] == pytest.approx(np.mean(expected), rel=1e-6)
    assert math.isnan(errors[2])


def test_flow_off_by_3_and_4_is_off_by_5() -> None:
    hidden = np.ones((3, H, W), bool)
    true = flows(3, 1, 2), flows(3, -1, -2)
    assert pixel_flow_errors((flows(3, 4, 6), flows(3, 2, 2)), true, hidden) == pytest.approx([5, 5, 5])
    assert pixel_flow_errors(true, true, hidden) == [0, 0, 0]


def test_flow_that_is_not_finite_counts_as_no_motion() -> None:
    hidden = np.ones((2, H, W), bool)
    true = flows(2, 3, 4), flows(2, 3, 4)
    assert pixel_flow_errors((flows(2, np.nan, np.inf), flows(2, -np.inf, np.nan)), true, hidden) == [5, 5]


def test_one_frame_alone_has_no_flow_error() -> None:
    none = np.zeros((0, 2, H, W), np.float32)
    assert np.isnan(pixel_flow_errors((none, none), (none, none), np.ones((1, H, W), bool))).all()


def moving(shift: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A textured picture that moves right by whole pixels: pictures, masks of an object on it, both flows."""
    generator = np.random.default_rng(0)
    wide = generator.integers(0, 256, (H, W + shift, 3), dtype=np.uint8)
    pair = np.stack([wide[:, shift:], wide[:, :W]])
    masks = np.stack([box_mask(slice(20, 50), slice(30, 60)), box_mask(slice(20, 50), slice(30 + shift, 60 + shift))])
    return pair, masks, flows(2, shift, 0)[0], flows(2, -shift, 0)[0]


def test_what_moves_along_the_flow_has_no_warp_error() -> None:
    pair, masks, forward, backward = moving(5)
    assert pair_error(pair, masks, forward, backward) == pytest.approx(0, abs=1e-9)


def test_flicker_is_a_warp_error_of_its_square() -> None:
    pair, masks, forward, backward = moving(5)
    pair = np.clip(pair, 0, 200)
    pair[1] += 51
    assert pair_error(pair, masks, forward, backward) == pytest.approx(0.2**2, rel=1e-4)


def test_warp_error_is_that_of_a_plain_loop() -> None:
    pair, masks, forward, backward = moving(5)
    forward = forward + np.float32(0.25)  # between pixels, also downwards
    total, count = 0.0, 0
    for y in range(H):
        for x in range(W):
            left, top = x + 5, y
            if x + 6 >= W or y + 1 >= H or not (masks[0, y, x] and masks[1, top : top + 2, left : left + 2].all()):
                continue
            corner = pair[1, top : top + 2, left : left + 2].astype(float)
            weights = np.outer([0.75, 0.25], [0.75, 0.25])[..., None]
            total += (((corner * weights).sum(axis=(0, 1)) - pair[0, y, x]) ** 2).sum() / 255**2
            count += 3
    assert pair_error(pair, masks, forward, backward) == pytest.approx(total / count, rel=1e-4)


def test_warp_error_does_not_see_what_is_outside_the_object() -> None:
    pair, masks, forward, backward = moving(5)
    pair[1] = pair[1] // 2
    other = np.where(masks[..., None], pair, 0)
    assert pair_error(other, masks, forward, backward) == pair_error(pair, masks, forward, backward) > 0


@pytest.mark.parametrize("i", [0, 1])
def test_warp_error_is_taken_where_the_object_is_in_both_frames(i: int) -> None:
    pair, masks, forward, backward = moving(5)
    pair[i, 20:35] //= 2
    assert pair_error(pair, masks, forward, backward) > 0.01
    masks[1 - i, :35] = False  # the other frame has no object where this one is darker
    assert pair_error(pair, masks, forward, backward) == pytest.approx(0, abs=1e-9)


def test_without_a_place_to_compare_there_is_no_warp_error() -> None:
    pair, masks, forward, backward = moving(5)
    assert math.isnan(pair_error(pair, masks, forward, -backward))  # does not lead back
    assert math.isnan(pair_error(pair, masks & ~masks, forward, backward))
    assert math.isnan(pair_error(pair, masks, flows(2, W, 0)[0], flows(2, -W, 0)[0]))  # leaves the frame


def test_motion_boundaries_are_not_steady() -> None:
    forward = flows(2, 0, 0)[0]
    forward[0, :, W // 2 :] = 0.5  # leads back within the tolerance, but is a step
    held = steady(forward, -forward)
    edge = np.zeros(W, bool)
    edge[W // 2 - 1 : W // 2 + 1] = True
    assert not held[:, edge].any()
    assert held[:, ~edge][:, :-1].all()


@pytest.mark.parametrize(("gap", "holds"), [(0.7, True), (0.72, False)])
def test_flow_is_steady_while_the_way_back_is_off_by_less_than_the_rule(gap: float, holds: bool) -> None:
    # At rest the rule is: off by at most the root of 0.5 pixels, and a bit more for the motion itself.
    forward, backward = torch.zeros(2, 8, 8).numpy(), np.zeros((2, 8, 8), np.float32)
    backward[1] = gap
    assert steady(forward, backward).all() == holds
