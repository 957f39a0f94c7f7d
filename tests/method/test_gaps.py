from __future__ import annotations

import numpy as np
import pytest
import torch

from scenes.hidden_clips import texture
from voin.method import gaps
from voin.method.gaps import close_gaps, find_again, find_gaps

SIZE = 96


def masks(areas: list[int]) -> torch.Tensor:
    """Squares whose sides are the given numbers."""
    clip = torch.zeros(len(areas), 1, SIZE, SIZE)
    for mask, side in zip(clip, areas, strict=True):
        mask[:, :side, :side] = 1
    return clip


def picture(shift: tuple[float, float], seed: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A textured disc, moved from the middle by (dx, dy), before a ground of its own in each picture."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    u, v = x - 48 - shift[0], y - 48 - shift[1]
    waves = np.random.default_rng(seed).uniform(-0.5, 0.5, (3, 8, 3)).astype(np.float32)
    skin = np.stack(
        [sum(np.sin(a * u + b * v + 6 * c) for a, b, c in channel) for channel in waves], axis=-1
    )  # so that sub-pixel shifts are exact
    inside = u**2 + v**2 < 18**2
    ground = texture((SIZE, SIZE), int(abs(shift[0]) * 10) + 7, (0.3, 0.5, 0.3))
    colours = np.where(inside[..., None], 0.5 + 0.06 * skin, ground).astype(np.float32)
    return torch.from_numpy(colours).permute(2, 0, 1), torch.from_numpy(inside[None].astype(np.float32))


def pair(shift: tuple[float, float], seed: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    frames, visible = zip(picture((0, 0)), picture(shift, seed), strict=True)
    return torch.stack(frames), torch.stack(visible)


def test_a_gap_runs_from_the_last_clear_frame_to_the_first_one_after() -> None:
    assert find_gaps(masks([20, 20, 14, 2, 0, 0, 10, 19, 20])) == [(1, 7)]
    assert find_gaps(masks([20, 0, 20, 20, 0, 0, 20])) == [(0, 2), (3, 6)]


@pytest.mark.parametrize("areas", [[20] * 5, [20, 20, 12, 20, 20], [0, 0, 20, 20], [20, 20, 0, 0], [0, 0, 0], [20]])
def test_without_a_frame_that_hides_all_between_two_clear_ones_there_is_no_gap(areas: list[int]) -> None:
    assert find_gaps(masks(areas)) == []


@pytest.mark.parametrize("shift", [(7.0, -4.0), (-3.4, 2.3), (0.0, 0.0), (11.5, 9.25)])
def test_the_object_is_found_again_to_a_third_of_a_pixel(shift: tuple[float, float]) -> None:
    found = find_again(*pair(shift), torch.zeros(2))
    assert found is not None
    assert (found - torch.tensor(shift)).abs().max() < 0.34


def test_the_search_begins_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps, "SEARCH", 0.06)
    shift = (21.0, -14.0)
    assert find_again(*pair(shift), torch.zeros(2)) is None
    found = find_again(*pair(shift), torch.tensor([19.0, -11.0]))
    assert found is not None
    assert (found - torch.tensor(shift)).abs().max() < 0.34


def test_another_object_is_not_taken_for_it() -> None:
    assert find_again(*pair((5.0, 3.0), seed=8), torch.zeros(2)) is None


@pytest.mark.parametrize("near", [(-70.0, 0.0), (80.0, 80.0), (1e5, 0.0), (float("nan"), 0.0), (0.0, float("inf"))])
def test_a_search_outside_the_window_finds_nothing_and_costs_nothing(near: tuple[float, float]) -> None:
    assert find_again(*pair((5.0, 3.0)), torch.tensor(near)) is None


@pytest.mark.parametrize(("wild", "seed"), [(5.0, 3), (30.0, 3), (1e5, 3), (30.0, 8), (1e5, 8)])
def test_wild_motion_in_a_gap_is_brought_back(wild: float, seed: int) -> None:
    # With another seed the object looks different afterwards; then its mask's centre is all there is to go by.
    (frames, visible), gone = pair((9.0, -5.0), seed), torch.zeros(1, 1, SIZE, SIZE)
    frames, visible = (torch.cat([each[:1], gone.expand_as(each[:1]), each[1:]]) for each in (frames, visible))
    motion = torch.zeros(2, 3, 2)
    motion[:, 0, 0] = wild
    moved = motion[:, 0].sum(dim=0) + close_gaps(frames, visible, motion).sum(dim=0)
    assert moved.tolist() == pytest.approx([9.0, -5.0], abs=0.4)


def test_motion_and_what_it_lacks_lead_from_one_sight_to_the_next() -> None:
    shift = (9.0, -5.0)
    frames, visible = pair(shift)
    hidden = torch.zeros_like(frames[:1]), torch.zeros_like(visible[:1])
    t = 6  # two clear frames at both ends, the gap between
    frames = torch.cat([frames[:1], frames[:1], hidden[0], hidden[0], frames[1:], frames[1:]])
    visible = torch.cat([visible[:1], visible[:1], hidden[1], hidden[1], visible[1:], visible[1:]])
    motion = torch.zeros(t - 1, 3, 2)
    motion[1:4, 0] = torch.tensor([1.0, 1.0])  # what was guessed for the gap
    lack = close_gaps(frames, visible, motion)
    assert lack[0].abs().max() == 0
    assert lack[4].abs().max() == 0
    assert (motion[1:4, 0].sum(dim=0) + lack.sum(dim=0) - torch.tensor(shift)).abs().max() < 0.34
    # No link of the gap knows more than another.
    torch.testing.assert_close(lack[1], lack[3])


def test_a_turning_guess_is_followed_from_the_object_not_from_the_middle() -> None:
    frames, visible = pair((9.0, -5.0))
    away = torch.roll(frames, 20, dims=-1), torch.roll(visible, 20, dims=-1)
    gap = torch.zeros(1, 3, SIZE, SIZE), torch.zeros(1, 1, SIZE, SIZE)
    clip = [torch.cat([each[:1], none, each[1:]]) for each, none in zip(away, gap, strict=True)]
    motion = torch.zeros(2, 3, 2)
    motion[:, 1, 1] = 10.0  # dy grows with x: 20 pixels right of the middle that is 4.2 pixels a link
    lack = close_gaps(clip[0], clip[1], motion)
    assert lack.sum(dim=0).tolist() == pytest.approx([9.0, -5.0 - 2 * 10 * 20 / 47.5], abs=0.9)


def test_where_nothing_is_hidden_nothing_is_added() -> None:
    frames, visible = pair((2.0, 0.0))
    assert torch.equal(close_gaps(frames, visible, torch.zeros(1, 3, 2)), torch.zeros(1, 2))
