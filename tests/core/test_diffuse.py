from __future__ import annotations

import pytest
import torch

from voin.core.diffuse import diffuse

SIZES = [(40, 40), (33, 57), (12, 70)]


@pytest.mark.parametrize("finest", [1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_a_constant_stays_constant(size: tuple[int, int], finest: int) -> None:
    weight = (torch.rand(1, 1, *size) > 0.8).float()
    inside = torch.ones(1, 1, *size, dtype=torch.bool)
    result = diffuse(torch.full((1, 2, *size), 0.7), weight, inside, smooth=1.0, fade=0.0, finest=finest)
    torch.testing.assert_close(result, torch.full((1, 2, *size), 0.7), atol=0.02, rtol=0)


@pytest.mark.parametrize("finest", [1, 2])
def test_a_constant_stays_constant_up_to_the_rim_of_its_region(finest: int) -> None:
    y, x = torch.meshgrid(torch.arange(48), torch.arange(48), indexing="ij")
    inside = ((x - 22.5) ** 2 + (y - 24) ** 2 < 17**2)[None, None]
    weight = (inside & (x < 20)).float()
    result = diffuse(torch.full((1, 1, 48, 48), 0.7), weight, inside, smooth=1.0, fade=0.0, finest=finest)
    assert (result - 0.7)[inside].abs().max() < 0.05


@pytest.mark.parametrize("finest", [1, 2])
def test_nothing_crosses_the_edge_of_inside(finest: int) -> None:
    inside = torch.ones(1, 1, 64, 64, dtype=torch.bool)
    inside[..., 20:44] = False  # a wall, wide enough for the coarsest grid to know it
    values = torch.ones(1, 1, 64, 64)
    values[..., 44:] = 5.0
    weight = torch.zeros(1, 1, 64, 64)
    weight[..., :4] = weight[..., -4:] = 1.0
    result = diffuse(values, weight, inside, smooth=1.0, fade=0.0, finest=finest)
    assert result[..., :20].max() < 1.1
    assert result[..., 44:].min() > 4.5
    assert result[..., 20:44].abs().max() == 0


def test_what_lies_outside_has_no_say_whatever_its_weight() -> None:
    inside = torch.zeros(1, 1, 40, 40, dtype=torch.bool)
    inside[..., 8:32, 8:32] = True
    weight = torch.rand(1, 1, 40, 40)
    values = torch.rand(1, 2, 40, 40)
    other = torch.where(inside, values, torch.full_like(values, 1e3))
    one, two = (diffuse(each, weight, inside, smooth=1.0, fade=0.01) for each in (values, other))
    assert torch.equal(one, two)


def test_between_two_sides_lies_a_straight_ramp() -> None:
    values = torch.linspace(0, 1, 48).expand(1, 1, 48, 48).contiguous()
    weight = torch.zeros(1, 1, 48, 48)
    weight[..., :2] = weight[..., -2:] = 10.0
    known = torch.where(weight > 0, values, torch.zeros_like(values))
    result = diffuse(known, weight, torch.ones_like(weight) > 0, smooth=1.0, fade=0.0, sweeps=24)
    assert (result - values).abs().max() < 0.05


def test_values_of_high_weight_are_kept() -> None:
    values = torch.rand(1, 3, 24, 30)
    weight = torch.full((1, 1, 24, 30), 1e4)
    result = diffuse(values, weight, torch.ones_like(weight) > 0, smooth=1.0, fade=0.0)
    torch.testing.assert_close(result, values, atol=1e-3, rtol=0)


def test_fading_pulls_to_zero_where_nothing_is_known() -> None:
    values, weight = torch.ones(1, 1, 96, 96), torch.zeros(1, 1, 96, 96)
    weight[..., :4] = 1.0
    result = diffuse(values, weight, torch.ones_like(weight) > 0, smooth=1.0, fade=0.02)
    assert result[..., 0].min() > 0.7
    assert result[..., -1].abs().max() < 0.1


def test_pictures_of_a_batch_do_not_mix() -> None:
    values, weight = torch.rand(2, 2, 20, 20), torch.rand(2, 1, 20, 20)
    inside = torch.rand(2, 1, 20, 20) > 0.2
    both = diffuse(values, weight, inside, smooth=1.0, fade=0.01)
    for i in range(2):
        alone = diffuse(values[i : i + 1], weight[i : i + 1], inside[i : i + 1], smooth=1.0, fade=0.01)
        torch.testing.assert_close(both[i : i + 1], alone)


def test_a_map_is_spread_as_if_it_were_alone() -> None:
    values, weight = torch.rand(20, 2, 80, 96), (torch.rand(20, 1, 80, 96) > 0.7).float()
    inside = torch.zeros(20, 1, 80, 96, dtype=torch.bool)
    for i, each in enumerate(inside):
        each[:, 10 + i : 50 + i, 30 - i : 70] = True  # each elsewhere, so that their common box is larger
    together = diffuse(values, weight, inside, smooth=1.0, fade=0.01, finest=2)
    for i in (0, 7, 19):
        one = slice(i, i + 1)
        alone = diffuse(values[one], weight[one], inside[one], smooth=1.0, fade=0.01, finest=2)
        torch.testing.assert_close(together[one], alone)


def test_nothing_inside_gives_nothing() -> None:
    inside = torch.zeros(2, 1, 40, 40, dtype=torch.bool)
    assert not diffuse(torch.rand(2, 3, 40, 40), torch.rand(2, 1, 40, 40), inside, smooth=1.0, fade=0.0).any()
