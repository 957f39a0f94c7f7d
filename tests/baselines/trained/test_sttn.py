from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fakes.tiny_baselines import holes
from voin.baselines.trained.sttn import PAPER, SMALL, Sttn, SttnConfig, SttnPainting, groups
from voin.method.shape.attention import attend

TINY = SttnConfig(channels=(4, 6, 8, 12), blocks=2, patches=((8, 8), (4, 4), (2, 2)))


def test_colours_come_out_for_every_pixel() -> None:
    frames, visible, hole = holes(b=2)
    made = Sttn(TINY)(frames, visible, hole)
    assert made.shape == frames.shape
    assert made.min() >= 0
    assert made.max() <= 1


@pytest.mark.parametrize(("size", "name"), [((30, 48), "height of 30"), ((32, 46), "width of 46")])
def test_sizes_that_cells_do_not_divide_are_refused(size: tuple[int, int], name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} pixels; it must be a multiple of 4; pad or crop"):
        Sttn(TINY)(*holes(size=size))


def test_the_hole_is_not_looked_at_and_what_is_beside_it_is() -> None:
    frames, visible, hole = holes()
    network = Sttn(TINY)
    inside = torch.where(hole > 0, 1 - frames, frames)
    assert torch.equal(network(frames, visible, hole), network(inside, visible, hole))
    outside = torch.where(hole > 0, frames, 1 - frames)
    change = (network(frames, visible, hole) - network(outside, visible, hole)).abs()
    assert (change * hole).max() > 1e-4


def test_the_visible_mask_is_told() -> None:
    frames, visible, hole = holes()
    network = Sttn(TINY)
    assert not torch.equal(network(frames, visible, hole), network(frames, 0 * visible, hole))


def test_every_frame_sees_all_others_in_any_order() -> None:
    frames, visible, hole = holes(t=7)
    network = Sttn(TINY)
    other = frames.clone()
    other[:, 5] = 1 - other[:, 5]
    change = (network(other, visible, hole) - network(frames, visible, hole)).abs().flatten(2).amax(dim=2)[0]
    assert (change > 0).all()
    mixed = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    made = network(frames[:, mixed], visible[:, mixed], hole[:, mixed])
    assert torch.allclose(made, network(frames, visible, hole)[:, mixed], atol=1e-5)


def test_patches_that_are_mostly_hole_are_not_looked_at() -> None:
    query, key, value = torch.randn(3, 1, 2, 4, 8, 8).unbind(0)
    hole = torch.zeros(1, 2, 1, 8, 8)
    hole[:, 0, :, :4, :3] = 1  # three quarters of a patch of 4x4
    hole[:, 1, :, 4:, :2] = 1  # half of one
    other = value.clone()
    other[:, 0, :, :4, :4] += 9
    assert torch.equal(attend(query, key, value, (4, 4), hole), attend(query, key, other, (4, 4), hole))
    assert not torch.equal(attend(query, key, value, (4, 4)), attend(query, key, other, (4, 4)))
    other = value.clone()
    other[:, 1, :, 4:, :4] += 9
    assert not torch.equal(attend(query, key, value, (4, 4), hole), attend(query, key, other, (4, 4), hole))
    # Where all is hole there is nothing else to look at.
    everything = torch.ones_like(hole)
    assert torch.equal(attend(query, key, value, (4, 4), everything), attend(query, key, value, (4, 4)))


def test_hiding_is_a_switch() -> None:
    frames, visible, hole = holes()
    hole[:, 2] = 1
    network = Sttn(TINY)
    hiding = network(frames, visible, hole)
    network.config = replace(TINY, hide=False)
    assert not torch.equal(network(frames, visible, hole), hiding)


def test_groups_hold_every_frame_and_distant_ones_for_reference() -> None:
    found = list(groups(23))
    assert {i for near, _ in found for i in near} == set(range(23))
    assert found[0] == ([0, 1, 2, 3, 4, 5], [10, 20])
    assert found[2] == ([*range(5, 16)], [0, 20])


def test_a_frame_of_two_groups_is_the_mean_of_both_and_others_are_left_alone() -> None:
    frames, visible, hole = holes(t=9)

    def network(frames, visible, hole):
        return torch.full_like(frames, 0.25 if frames.shape[1] == 6 else 0.75)

    touched = torch.zeros(9, dtype=torch.bool)
    touched[3] = True
    painting = SttnPainting(network)  # pyright: ignore[reportArgumentType]
    made = painting.generate(frames, visible, hole, touched)
    assert (made[:, 3] == 0.5).all()  # of the groups around 0 and 5
    touched[:] = False
    assert torch.equal(painting.generate(frames, visible, hole, touched), frames)


def test_sizes_are_as_published_but_for_the_visible_mask() -> None:
    count = sum(weight.numel() for weight in Sttn(PAPER).parameters())
    assert count == pytest.approx(16.56e6, rel=0.01)
    assert sum(weight.numel() for weight in Sttn(SMALL).parameters()) == pytest.approx(1.28e6, rel=0.02)


def test_layers_and_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"for 3 heads; it must be four numbers, the last a multiple of the heads; "):
        SttnConfig(channels=(4, 4, 4, 4), patches=((1, 1),) * 3)
