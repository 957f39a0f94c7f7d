from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from voin.core.resample import box_around, double, enlarge, halve, reduce


@pytest.mark.parametrize("size", [None, 40, 64])
def test_clips_that_are_small_enough_come_back_themselves(size: int | None) -> None:
    clip = torch.rand(1, 2, 3, 24, 40)
    assert reduce(clip, size) is clip
    assert enlarge(clip, (24, 40)) is clip


def test_each_pixel_is_the_mean_of_what_it_covers() -> None:
    clip = torch.rand(2, 3, 2, 32, 32)
    mean = F.avg_pool2d(clip.flatten(0, 1), 4).unflatten(0, (2, 3))
    assert torch.allclose(reduce(clip, 8), mean, atol=1e-6)


@pytest.mark.parametrize(("size", "shape"), [(16, (16, 16)), (24, (24, 20)), (20, (20, 20))])
def test_only_sides_that_are_longer_shrink(size: int, shape: tuple[int, int]) -> None:
    assert reduce(torch.rand(1, 1, 3, 30, 20), size).shape[-2:] == shape


@pytest.mark.parametrize("part", [None, "some"])
def test_constants_stay_themselves(part: str | None) -> None:
    clip = torch.full((1, 2, 2, 30, 42), 0.3)
    inside = None if part is None else torch.rand(1, 2, 1, 30, 42) > 0.7
    small = reduce(clip, 16, inside)
    assert torch.allclose(small, torch.tensor(0.3))
    inside = None if part is None else torch.rand(1, 2, 1, 16, 16) > 0.7
    assert torch.allclose(enlarge(small, (30, 42), inside), torch.tensor(0.3))


def test_only_pixels_inside_count() -> None:
    inside = torch.zeros(1, 1, 1, 32, 32, dtype=torch.bool)
    inside[..., :18] = True
    clip = torch.where(inside, 0.25, torch.rand(1, 1, 3, 32, 32))
    small = reduce(clip, 8, inside)
    assert torch.allclose(small[..., :5], torch.tensor(0.25))  # of the fifth column half is inside
    assert torch.equal(small[..., 5:], reduce(clip, 8)[..., 5:])
    large = enlarge(small, (32, 32), reduce(inside.float(), 8) > 0)
    assert torch.allclose(large[..., :20], torch.tensor(0.25))
    assert torch.isfinite(large).all()


def test_a_slope_comes_back_from_half_the_size() -> None:
    slope = torch.linspace(0, 1, 32).expand(1, 1, 1, 32, 32)
    back = enlarge(reduce(slope, 16), (32, 32))
    assert torch.allclose(back[..., 1:-1], slope[..., 1:-1], atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_where_channels_lie_in_memory_does_not_matter(channels: int) -> None:
    maps = torch.rand(2, channels, 32, 24)
    last = maps.contiguous(memory_format=torch.channels_last)
    for change, same in (
        (halve, F.avg_pool2d(maps, 2)),
        (double, F.interpolate(maps, scale_factor=2, mode="bilinear")),
    ):
        assert torch.allclose(change(last), same, atol=1e-6)
        assert torch.allclose(change(maps), same, atol=1e-6)


def test_a_box_holds_all_that_is_there_in_any_frame_and_a_margin() -> None:
    there = torch.zeros(1, 3, 1, 40, 60, dtype=torch.bool)
    there[0, 0, 0, 10, 20] = there[0, 2, 0, 14, 30] = True
    assert box_around(there, 0) == (slice(10, 15), slice(20, 31))
    assert box_around(there, 4) == (slice(6, 19), slice(16, 35))
    # Within the frame.
    assert box_around(there, 25) == (slice(0, 40), slice(0, 56))
    # On a grid, and a step at least.
    assert box_around(there, 0, step=8) == (slice(8, 16), slice(16, 31))
    there[0, 0, 0, 39, 59] = True
    corner = there[:, :1] & (torch.arange(40)[:, None] > 20)
    assert box_around(corner, 0, step=8) == (slice(32, 40), slice(48, 60))
    assert box_around(torch.zeros(1, 2, 1, 5, 7, dtype=torch.bool), 3, step=8) == (slice(0, 5), slice(0, 7))
