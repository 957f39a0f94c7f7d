from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from voin.core.resample import double, halve


@pytest.mark.parametrize("size", [(8, 12), (7, 12), (8, 11), (1, 1), (2, 3)])
def test_halving_takes_the_mean_of_cells_also_at_odd_edges(size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size)
    expected = torch.empty(2, 3, -(-size[0] // 2), -(-size[1] // 2))
    for row in range(expected.shape[2]):
        for column in range(expected.shape[3]):
            cell = x[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            expected[:, :, row, column] = cell.mean(dim=(2, 3))
    torch.testing.assert_close(halve(x), expected)


@pytest.mark.parametrize("size", [(8, 12), (7, 5), (1, 1)])
def test_doubling_is_torchs_bilinear_interpolation(size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size)
    torch.testing.assert_close(double(x), F.interpolate(x, scale_factor=2, mode="bilinear"))


def test_doubling_nothing_gives_nothing() -> None:
    assert double(torch.rand(0, 3, 4, 4)).shape == (0, 3, 8, 8)


def test_doubling_and_halving_leaves_a_linear_map_as_it_is() -> None:
    x = torch.arange(16.0).expand(1, 1, 16, 16).contiguous()
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    torch.testing.assert_close(halve(double(x))[inner], x[inner])
