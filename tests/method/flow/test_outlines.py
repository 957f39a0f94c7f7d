from __future__ import annotations

import pytest
import torch
from torch import Tensor

from voin.method.affine import MotionFitConfig, draw_motion, fit_motion
from voin.method.flow.outlines import POINTS, Outlines, trace_outlines

SIZE = 96
LOOSE = MotionFitConfig(affine_ridge=0.0, still_points=1e-3, neighbours=0.0, outline=1.0)


def shape(matrix: list[list[float]] | None = None, shift: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    """An L whose points p, counted from the middle, were moved to `p + matrix p + shift`; (h, w) bool."""
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    places = torch.stack([x, y]).float() - (SIZE - 1) / 2 - torch.tensor(shift).view(2, 1, 1)
    step = torch.eye(2) + torch.tensor(matrix or [[0.0, 0.0], [0.0, 0.0]])
    x, y = torch.einsum("ij,jhw->ihw", torch.linalg.inv(step), places)
    tall, flat = (x > -20) & (x < -4) & (y.abs() < 24), (x > -20) & (x < 22) & (y > 10) & (y < 24)
    return tall | flat


def fit(first: Tensor, second: Tensor) -> Tensor:
    """Fit a motion to the outlines alone; the flow it draws, (2, h, w)."""
    blank = torch.zeros(1, 2, SIZE, SIZE)
    outlines = trace_outlines(first[None], second[None])
    return draw_motion(fit_motion(blank, torch.zeros(1, 1, SIZE, SIZE), 1, LOOSE, outlines.compare), blank)[0]


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.0, -2.0), (-5.0, 4.0)])
def test_outlines_tell_a_shift(shift: tuple[float, float]) -> None:
    found = fit(shape(), shape(shift=shift))[:, shape()]
    assert (found - torch.tensor(shift)[:, None]).norm(dim=0).max() < 0.5


def test_outlines_tell_a_turn_that_grows() -> None:
    matrix = [[0.05, -0.04], [0.04, 0.05]]
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    truth = torch.einsum("ij,jhw->ihw", torch.tensor(matrix), torch.stack([x, y]).float() - (SIZE - 1) / 2)
    assert (fit(shape(), shape(matrix)) - truth)[:, shape()].norm(dim=0).max() < 0.6


def test_an_outline_that_stays_lacks_nothing() -> None:
    outlines = trace_outlines(shape()[None], shape()[None])
    lack, known = outlines.deviations(torch.zeros(1, 3, 2))
    assert 0 < known.sum() <= POINTS
    assert known[0, 0][~shape()].sum() == 0
    assert not lack.any()


def test_what_lacks_points_across_the_outline_to_where_it_went() -> None:
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    # A bar whose right end grows by 4 pixels; its other sides stay. Half a pixel is left to the masks' grid.
    first, second = ((x >= 20) & (x < end) & (y >= 40) & (y < 56) for end in (60, 64))
    lack, known = trace_outlines(first[None], second[None]).deviations(torch.zeros(1, 3, 2))
    end = known[0, 0] & (x == 59) & (y > 46) & (y < 50)
    assert end.any()
    assert (lack[0][:, end] - torch.tensor([[3.5], [0.0]])).abs().max() < 0.3
    left = known[0, 0] & (x < 50)
    assert lack[0][:, left].norm(dim=0).max() < 0.6


def test_points_far_from_the_second_outline_know_nothing() -> None:
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    first, second = (((x - at) ** 2 + (y - at) ** 2) < 100 for at in (20, 70))
    outlines = trace_outlines(first[None], second[None])
    assert not outlines.deviations(torch.zeros(1, 3, 2))[1].any()
    assert outlines.compare(torch.zeros(1, 3, 2))[2].item() == 0


@pytest.mark.parametrize("which", ["first", "second", "both"])
@pytest.mark.parametrize("value", [False, True])
def test_masks_without_an_outline_say_nothing(which: str, value: bool) -> None:
    none = torch.full((1, SIZE, SIZE), value)
    masks = [none if which in (name, "both") else shape()[None] for name in ("first", "second")]
    outlines = trace_outlines(*masks)
    gram, moment, weight = outlines.compare(torch.zeros(1, 3, 2))
    assert weight.item() == 0
    assert not gram.any()
    assert not moment.any()
    assert not outlines.deviations(torch.zeros(1, 3, 2))[1].any()


def test_the_border_of_the_window_is_no_outline() -> None:
    cut = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    cut[:, 30:60, :40] = True
    points, weight = (x[0] for x in (trace_outlines(cut, cut).points, trace_outlines(cut, cut).weight))
    assert points[weight > 0][:, 0].min() >= 2


def test_the_evidence_is_that_of_a_plain_loop() -> None:
    outlines = trace_outlines(torch.stack([shape(), shape()]), torch.stack([shape(shift=(2.0, 1.0)), shape()]))
    motion = torch.tensor([[[0.5, -0.3], [0.2, 0.1], [0.0, 0.4]], [[0.0, 0.0], [0.1, 0.0], [0.0, 0.1]]])
    gram, moment, weight = outlines.compare(motion)
    for n in range(2):
        rows = _rows(outlines, motion, n)
        spread = max(sum(w * abs(off) for w, off, _, _ in rows) / sum(w for w, *_ in rows), 0.3)
        expected, right, total = torch.zeros(6, 6), torch.zeros(6), 0.0
        for point, off, row, target in rows:
            w = point / (1 + (off / spread) ** 2)
            expected, right, total = expected + w * torch.outer(row, row), right + w * target * row, total + w
        assert torch.allclose(gram[n], expected, rtol=1e-3, atol=1e-2)
        assert torch.allclose(moment[n, :, 0], right, rtol=1e-3, atol=1e-2)
        assert weight[n].item() == pytest.approx(total, rel=1e-4)


def _rows(outlines: Outlines, motion: Tensor, n: int) -> list[tuple[float, float, Tensor, float]]:
    """Weight, distance, row and target of each point."""
    rows = []
    for (x, y), point in zip(outlines.points[n].tolist(), outlines.weight[n].tolist(), strict=True):
        if not point:
            continue
        basis = torch.tensor([1.0, 2 * x / (SIZE - 1) - 1, 2 * y / (SIZE - 1) - 1])
        moved = basis @ motion[n]
        column, row = x + moved[0].item(), y + moved[1].item()
        left, top = int(column), int(row)
        value = torch.zeros(3)
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = (1 - abs(column - left - i)) * (1 - abs(row - top - j))
            value += share * outlines.distance[n, :, top + j, left + i]
        off = value[0].item() + 0.5
        normal = value[1:] / value[1:].norm()
        rows.append((point, off, torch.cat([normal[0] * basis, normal[1] * basis]), (normal @ moved).item() - off))
    return rows
