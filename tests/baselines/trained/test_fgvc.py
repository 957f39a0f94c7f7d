from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fakes.tiny_baselines import holes
from scenes.sliding_square import psnr, slide
from voin.baselines.trained.edges import PAPER, SMALL, EdgeDiscriminator, EdgeGenerator, EdgesConfig, picture_flow
from voin.baselines.trained.fgvc import FgvcPainting, fill_between_edges, flow_hole
from voin.method.propagation.plain import plain_propagate
from voin.training.tasks.edges import EdgeCritic

TINY = EdgesConfig(channels=(4, 4, 4), blocks=1)


def painting() -> FgvcPainting:
    made = object.__new__(FgvcPainting)  # without networks
    made.found = {"edges": SimpleNamespace()}  # pyright: ignore
    return made


def test_edges_are_continued_frame_by_frame_and_the_hole_is_not_looked_at() -> None:
    _, visible, hole = holes(b=2)
    network = EdgeGenerator(TINY).eval()
    grey, edges = torch.rand_like(hole), (torch.rand_like(hole) > 0.8).float()
    logits = network(grey, edges, visible, hole)
    assert logits.shape == hole.shape
    inside = hole > 0.5
    assert torch.equal(
        logits, network(torch.where(inside, 1 - grey, grey), torch.where(inside, 1 - edges, edges), visible, hole)
    )
    assert not torch.equal(logits, network(grey, edges, 0 * visible, hole))
    other = grey.clone()
    other[:, 1] = 1 - other[:, 1]
    change = (network(other, edges, visible, hole) - logits).abs().flatten(2).amax(dim=2) > 0
    assert change[:, 1].all()
    assert not change[:, [0, 2, 3, 4]].any()


def test_sizes_that_cells_do_not_divide_are_refused() -> None:
    maps = torch.zeros(1, 1, 1, 32, 46)
    with pytest.raises(ValueError, match=r"width of 46 pixels; it must be a multiple of 4; pad or crop"):
        EdgeGenerator(TINY)(maps, maps, maps, maps)


def test_edges_are_those_of_the_magnitude() -> None:
    flow = torch.zeros(1, 1, 2, 32, 48)
    flow[..., 0, :, 24:] = 3.0
    flow[..., 0, 4:8, 4:8] = 100.0
    hole = torch.zeros(1, 1, 1, 32, 48)
    hole[..., 4:8, 4:8] = 1
    grey, edges = picture_flow(flow, hole)
    assert grey[..., 24:].min() == 1  # over the largest outside the hole
    assert grey[..., 10:, :24].max() == 0
    assert edges[..., 15:, 20:28].sum(dim=-1).min() >= 1
    assert not edges[..., 15:, 32:].any()
    assert not picture_flow(torch.zeros_like(flow), hole)[1].any()


def test_the_flows_hole_is_grown_closed_and_filled() -> None:
    hole = torch.zeros(1, 2, 1, 96, 320)
    hole[0, 0, 0, 30:60, 100:130] = 1
    hole[0, 0, 0, 40:50, 110:120] = 0
    found = flow_hole(hole)
    assert (found >= hole).all()
    assert found[0, 0, 0, 40:50, 110:120].all()
    assert found[0, 0, 0, 24:66, 94:136].all()
    assert found[0, 0].sum() == 42 * 42  # six pixels of 320 to each side
    assert not found[0, 1].any()


def test_flow_is_even_on_both_sides_of_an_edge() -> None:
    flow = np.zeros((20, 30, 2))
    flow[:, 15:] = (4.0, -2.0)
    hole = np.zeros((20, 30), bool)
    hole[5:15, 8:22] = True
    edges = np.zeros_like(hole)
    edges[:, 15] = True
    damaged = np.where(hole[..., None], 50.0, flow)
    found = fill_between_edges(damaged, hole, edges)
    assert np.abs(found[:, :14] - flow[:, :14]).max() < 0.05
    assert np.abs(found[:, 17:] - flow[:, 17:]).max() < 0.05
    smooth = fill_between_edges(damaged, hole, np.zeros_like(hole))
    assert np.abs(smooth[10, 12] - flow[10, 12]).max() > 0.5  # without the edge they flow together
    assert np.array_equal(found[~hole], flow[~hole])


def test_colours_are_put_together_from_their_differences_without_a_seam() -> None:
    t, speed = 5, 2
    wide = torch.rand(3, 32, 48 + speed * t)
    frames = torch.stack([wide[..., speed * (t - i) : speed * (t - i) + 48] for i in range(t)])
    forward = torch.zeros(t - 1, 2, 32, 48)
    forward[:, 0] = speed
    missing = torch.zeros(t, 1, 32, 48, dtype=torch.bool)
    missing[2, :, 10:20, 20:26] = True
    other = torch.where(missing, 0.0, frames)
    filled, left = painting().propagate(other, missing, forward, -forward)
    assert not left.any()
    assert torch.allclose(filled, frames, atol=1e-3)
    # The other frames are all a little brighter: only the differences are taken from them.
    brighter = torch.where(torch.arange(t).view(-1, 1, 1, 1) == 2, 0.8 * other, 0.8 * other + 0.1)
    filled, _ = painting().propagate(brighter, missing, forward, -forward)
    assert torch.allclose(filled[2], 0.8 * frames[2], atol=5e-3)


@pytest.mark.parametrize("blurred", [False, True])
def test_the_occluder_does_not_come_in_where_it_goes_on_beside_the_object(blurred: bool) -> None:
    sliding = slide(t=9, size=(48, 72), side=24.0, speed=(3.0, 0.0), bar=(30, 38), start=(12.0, 12.0))
    frames, truth = (
        torch.from_numpy(np.stack(pictures)).float().permute(0, 3, 1, 2) for pictures in (sliding.frames, sliding.true)
    )
    visible, amodal = (sliding.stack(masks)[:, None] for masks in (sliding.visible, sliding.amodal))
    hole = amodal & ~visible
    if blurred:  # as windows are that are cut out at another size: the object's rim holds some of the occluder
        frames = F.avg_pool2d(F.pad(frames, (1, 1, 1, 1), mode="replicate"), 3, 1)
    forward = torch.tensor([3.0, 0.0]).view(1, 2, 1, 1) * amodal[:-1]
    backward = torch.tensor([-3.0, 0.0]).view(1, 2, 1, 1) * amodal[1:]
    filled, left = painting().propagate(frames, hole, forward, backward, amodal)
    plain, source = plain_propagate(frames, hole, forward, backward)
    found = (hole & ~left & (source[:, None] >= 0)).expand_as(frames)
    assert found.sum() > 0.9 * 3 * hole.sum()
    reached, copied = (psnr(colours[found].numpy(), truth[found].numpy()) for colours in (filled, plain))
    # Without blur, copying is exact.
    assert reached > (copied - 0.5 if blurred else 35)


def test_what_no_frame_shows_is_left_and_not_looked_at() -> None:
    frames = torch.rand(4, 3, 32, 48)
    still = torch.zeros(3, 2, 32, 48)
    missing = torch.zeros(4, 1, 32, 48, dtype=torch.bool)
    missing[:, :, 10:20, 20:26] = True
    missing[2, :, 10:15] = False
    found = [painting().propagate(torch.where(missing, x, frames), missing, still, still) for x in (0.0, 1.0)]
    (one, left), (other, _) = found
    assert left[:, :, 16:20, 20:26].all()
    assert not left[:, :, 10:13].any()
    gained = missing & ~left
    assert torch.equal(one[gained.expand_as(one)], other[gained.expand_as(one)])
    assert painting().choose(left) == [0]


def test_the_critic_learns_and_judges() -> None:
    x = {"grey": torch.rand(2, 1, 1, 32, 32), "edges": torch.ones(2, 1, 1, 32, 32)}
    critic = EdgeCritic((4, 4, 4, 4)).eval()
    assert set(critic(x["edges"], x)) == {"edge_real_fake"}
    judged = critic.judge(x["edges"], x)
    assert judged["edge_features"].item() == pytest.approx(0, abs=1e-6)
    assert critic.judge(1 - x["edges"], x)["edge_features"] > 0
    # A patch sees 70x70 pixels: three layers of stride 2 and two of 1, of 4x4 each.
    assert EdgeDiscriminator((4, 4, 4, 4))(x["grey"], x["edges"])[-1].shape[-2:] == (2, 2)


def test_sizes_are_as_published_but_for_the_visible_mask() -> None:
    assert sum(weight.numel() for weight in EdgeGenerator(PAPER).parameters()) == pytest.approx(10.8e6, rel=0.02)
    assert sum(weight.numel() for weight in EdgeGenerator(SMALL).parameters()) == pytest.approx(0.38e6, rel=0.02)
