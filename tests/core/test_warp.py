from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from voin.core.warp import compose, cycle_error, pixel_grid, sample_points, warp


def constant(dx: float, dy: float, h: int = 9, w: int = 12) -> Tensor:
    return torch.tensor([dx, dy], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, h, w).contiguous()


@pytest.mark.parametrize("size", [(9, 12), (1, 7), (7, 1)])
def test_flow_zero_is_the_identity(size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size)
    torch.testing.assert_close(warp(image, torch.zeros(2, 2, *size)), image, atol=1e-5, rtol=0)


def test_a_whole_pixel_shift_moves_pixels_and_fills_with_zero() -> None:
    image = torch.rand(1, 3, 9, 12) + 0.5
    result = warp(image, constant(2, -1))
    torch.testing.assert_close(result[..., 1:, :-2], image[..., :-1, 2:], atol=1e-5, rtol=0)
    assert result[..., 0, :].abs().max() < 1e-5
    assert result[..., -2:].abs().max() < 1e-5


def test_half_a_pixel_gives_the_mean_of_two() -> None:
    image = torch.rand(1, 1, 9, 12)
    result = warp(image, constant(0.5, 0))
    torch.testing.assert_close(result[..., :-1], (image[..., 1:] + image[..., :-1]) / 2, atol=1e-5, rtol=0)


def test_the_pixel_grid_holds_x_before_y() -> None:
    grid = pixel_grid(torch.zeros(1, 3, 4, 5))
    assert grid[:, 2, 3].tolist() == [3, 2]


def test_composed_shifts_add_up() -> None:
    result = compose(constant(1, 2), constant(0.5, -1))
    # Where the first flow stays in the picture, the second is known.
    torch.testing.assert_close(result[..., :-2, :-1], constant(1.5, 1)[..., :-2, :-1], atol=1e-5, rtol=0)


def test_looking_up_twice_is_looking_up_along_the_composed_flow() -> None:
    image = pixel_grid(torch.zeros(1, 1, 9, 12))[None] + 1  # linear, so that bilinear sampling is exact
    first, second = torch.rand(1, 2, 9, 12) - 0.5, torch.rand(1, 2, 9, 12) - 0.5
    twice, once = warp(warp(image, second), first), warp(image, compose(first, second))
    torch.testing.assert_close(twice[..., 2:-2, 2:-2], once[..., 2:-2, 2:-2], atol=1e-4, rtol=0)


def test_there_and_back_has_no_cycle_error_inside_and_an_infinite_one_outside() -> None:
    error = cycle_error(constant(2, 1), constant(-2, -1))
    assert error[..., :-1, :-2].abs().max() < 1e-5
    assert torch.isinf(error[..., -1, :]).all()
    assert torch.isinf(error[..., -2:]).all()


def test_the_cycle_error_is_the_distance_from_the_start() -> None:
    error = cycle_error(constant(2, 1), constant(1, 3))
    torch.testing.assert_close(error[..., :-1, :-2], torch.full((1, 1, 8, 10), 5.0), atol=1e-4, rtol=0)


def test_sampled_points_equal_a_plain_loop() -> None:
    generator = np.random.default_rng(0)
    volume = generator.random((3, 2, 6, 7)).astype(np.float32)
    frame = generator.integers(0, 3, 40)
    x, y = (generator.uniform(-2, 9, 40).astype(np.float32) for _ in range(2))
    expected = np.zeros((40, 2))
    for i in range(40):
        column, row = min(max(float(x[i]), 0), 6), min(max(float(y[i]), 0), 5)
        for r in range(6):
            for c in range(7):
                share = max(1 - abs(row - r), 0) * max(1 - abs(column - c), 0)
                expected[i] += share * volume[frame[i], :, r, c]
    result = sample_points(*(torch.from_numpy(each) for each in (volume, frame, x, y)))
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-5)


def test_sampled_points_agree_with_warp_inside() -> None:
    image, flow = torch.rand(1, 3, 9, 12), constant(1.3, -0.6)
    at = (pixel_grid(flow) + flow[0])[:, 2:7, 2:9].reshape(2, -1)
    points = sample_points(image, torch.zeros(35, dtype=torch.long), at[0], at[1])
    torch.testing.assert_close(points.T.reshape(3, 5, 7), warp(image, flow)[0, :, 2:7, 2:9], atol=1e-5, rtol=0)


def test_gradients_of_warp_are_right_for_image_and_flow() -> None:
    image = torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    # Away from whole pixels, where a bilinear look-up has no derivative.
    flow = (0.3 + 0.1 * torch.rand(1, 2, 5, 6, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(warp, (image, flow))


def test_a_rotation_there_and_back_ends_where_it_began() -> None:
    grid = pixel_grid(torch.zeros(1, 1, 21, 21)) - 10
    turned = []
    for angle in (0.1, -0.1):
        c, s = math.cos(angle), math.sin(angle)
        turned.append((torch.stack([c * grid[0] - s * grid[1], s * grid[0] + c * grid[1]]) - grid)[None])
    assert cycle_error(turned[0], turned[1])[..., 5:-5, 5:-5].max() < 1e-3
