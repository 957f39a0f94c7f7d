from __future__ import annotations

import time
from collections.abc import Callable, Generator
from itertools import count, islice, pairwise

import pytest
import torch
from torch import Tensor

from voin.core.system import ComputeClock
from voin.method.shape.evidence import CHANNELS
from voin.training.batches import echo, make_beside, mirror

Inputs = dict[str, Tensor]


def build(factor: float, fails_at: int = -1) -> Callable[[int], Inputs]:
    def make(number: int) -> Inputs:
        if number == fails_at:
            raise ValueError(f"no batch {number}")
        generator = torch.Generator().manual_seed(number)
        return {
            "frames": factor * torch.rand(1, 2, 3, 4, 4, generator=generator),
            "amodal": (torch.rand(1, 2, 1, 4, 4, generator=generator) > 0.5).float(),
            "number": torch.tensor([number]),
        }

    return make


def equal(one: Inputs, other: Inputs) -> bool:
    return one.keys() == other.keys() and all(torch.equal(x, other[name]) for name, x in one.items())


def test_processes_make_the_same_batches_in_the_same_order() -> None:
    here = list(map(build(2.0), range(3, 8)))
    assert [x["number"].item() for x in here] == [3, 4, 5, 6, 7]
    beside = make_beside(build, (2.0,), 3, workers=2)
    try:
        for x, y in zip(here, beside, strict=False):
            assert equal(x, y)
            assert all(a.dtype == b.dtype for a, b in zip(x.values(), y.values(), strict=True))
    finally:
        beside.close()  # pyright: ignore[reportAttributeAccessIssue]


def busy(seconds: float) -> Callable[[int], Inputs]:
    def make(number: int) -> Inputs:
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass
        return {"number": torch.tensor([number])}

    return make


def test_what_batches_cost_the_processes_that_make_them_is_counted() -> None:
    clock = ComputeClock(torch.device("cpu"))
    beside = make_beside(busy, (0.1,), 0, 2, clock.beside)
    try:
        for _ in range(4):
            next(beside)
        assert all(clock.beside[k] >= 0.2 for k in (0, 1))
        assert clock.take() >= 0.4
        assert clock.take() < 0.1
    finally:
        beside.close()  # pyright: ignore[reportAttributeAccessIssue]


def test_what_fails_in_a_process_is_told() -> None:
    beside = make_beside(build, (1.0, 1), 0, workers=1)
    next(beside)
    with pytest.raises(RuntimeError, match=r"(?s)makes batches failed.*no batch 1"):
        next(beside)


def numbers(first: int) -> Generator[Inputs, None, None]:
    return ({"number": torch.tensor(number), "x": torch.arange(4.0).view(1, 1, 1, 1, 4)} for number in count(first))


def test_each_batch_is_echoed_so_often_with_others_in_between() -> None:
    seen = [int(x["number"]) for x in islice(echo(numbers, 0, 4), 400)]
    middle = range(12, 80)
    assert all(seen.count(number) == 4 for number in middle)
    assert all(a != b for a, b in pairwise(seen[40:]))
    plain = [int(x["number"]) for x in islice(echo(numbers, 0, 1), 20)]
    assert plain == list(range(20))


@pytest.mark.parametrize("step", [0, 1, 7, 30, 31])
def test_what_a_step_is_given_depends_on_the_step_alone(step: int) -> None:
    whole = list(islice(echo(numbers, 0, 3), 50))
    later = list(islice(echo(numbers, step, 3), 10))
    assert all(equal(x, y) for x, y in zip(whole[step : step + 10], later, strict=True))


def test_every_other_echo_is_the_mirror_image() -> None:
    turned = [x["x"].flatten()[0].item() == 3 for x in islice(echo(numbers, 0, 2), 6)]
    assert turned == [False, True, False, True, False, True]


def test_a_mirror_image_turns_flow_around() -> None:
    flow = torch.rand(2, 3, 2, 4, 5)
    x = {"flow": flow, "frames": torch.rand(2, 3, 3, 4, 5), "category": torch.tensor([1, 2])}
    y = mirror(x)
    assert torch.equal(y["category"], x["category"])
    assert torch.equal(y["frames"], x["frames"].flip(-1))
    assert torch.equal(y["flow"][:, :, 0], -flow[:, :, 0].flip(-1))
    assert torch.equal(y["flow"][:, :, 1], flow[:, :, 1].flip(-1))
    assert equal(mirror(y), x)


def test_a_mirror_image_turns_evidence_of_motion_around() -> None:
    evidence = torch.rand(2, 3, len(CHANNELS), 4, 5)
    turned = mirror({"evidence": evidence})["evidence"]
    for i, name in enumerate(CHANNELS):
        sign = -1 if name in ("ahead x", "back x") else 1
        assert torch.equal(turned[:, :, i], sign * evidence[:, :, i].flip(-1))
