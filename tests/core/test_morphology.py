from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from voin.core.morphology import grow, pool, shrink


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_grown_masks_hold_every_pixel_within_the_radius(radius: int) -> None:
    mask = torch.rand(3, 15, 20) > 0.95
    expected = F.max_pool2d(mask[:, None].float(), 2 * radius + 1, 1, radius)[:, 0] > 0
    assert torch.equal(grow(mask, radius), expected)


def test_shrinking_is_growing_of_the_rest() -> None:
    mask = torch.rand(3, 15, 20) > 0.1
    assert torch.equal(shrink(mask, 1), ~grow(~mask, 1))


def test_the_edge_of_the_picture_does_not_narrow_masks() -> None:
    mask = torch.ones(1, 8, 9, dtype=torch.bool)
    assert torch.equal(shrink(mask, 3), mask)


@pytest.mark.parametrize("operation", [grow, shrink])
def test_radius_zero_changes_nothing(operation) -> None:
    mask = torch.rand(2, 5, 6) > 0.5
    assert torch.equal(operation(mask, 0), mask)


@pytest.mark.parametrize("operation", [grow, shrink])
def test_no_masks_stay_no_masks(operation) -> None:
    assert operation(torch.zeros(0, 5, 6, dtype=torch.bool), 2).shape == (0, 5, 6)


def test_each_frame_is_on_its_own() -> None:
    mask = torch.zeros(3, 9, 9, dtype=torch.bool)
    mask[1, 4, 4] = True
    assert grow(mask, 2).flatten(1).sum(dim=1).tolist() == [0, 25, 0]


@pytest.mark.parametrize("radius", [0, 1, 3])
def test_any_device_gives_what_the_cpu_gives(radius: int) -> None:
    mask = torch.rand(3, 15, 20) > 0.7
    assert torch.equal(pool(mask, radius), grow(mask, radius))
    assert torch.equal(~pool(~mask, radius), shrink(mask, radius))
