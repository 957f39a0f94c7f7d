from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
import torch

from voin.method.cores import side_by_side


@pytest.fixture(params=[1, 2, 5])
def cores(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_come_in_order_and_threads_are_as_before(cores: int) -> None:
    assert side_by_side([partial(pow, 2, i) for i in range(6)]) == [1, 2, 4, 8, 16, 32]
    assert torch.get_num_threads() == cores


def test_cores_are_shared_out(cores: int) -> None:
    shares = side_by_side([torch.get_num_threads] * 2)
    assert shares == ([1, 1] if cores == 2 else [cores, cores] if cores == 1 else [2, 2])


def test_tasks_make_gradients_only_where_their_caller_does(cores: int) -> None:
    weight = torch.ones(3, requires_grad=True)
    (tracked, _) = side_by_side([lambda: weight * 2, lambda: weight * 2])
    assert tracked.requires_grad
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            inference = torch.is_inference_mode_enabled()
            for made in side_by_side([lambda: weight * 2, lambda: weight * 2]):
                assert not made.requires_grad
                assert made.is_inference() is inference


def test_an_error_surfaces(cores: int) -> None:
    with pytest.raises(ZeroDivisionError):
        side_by_side([lambda: 1 / 0, lambda: 1.0])
    assert torch.get_num_threads() == cores
