from __future__ import annotations

import pytest
import torch
from torch import Tensor

from scenes.sliding_square import psnr, slide
from voin.method.propagation.plain import both_ways, plain_propagate, propagate_one_way
from voin.method.propagation.propagate import propagate_clips


def moving(t: int = 6, speed: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """A picture that moves by whole pixels: frames, forward and backward flow."""
    wide = torch.rand(3, 12, 20 + speed * t)
    frames = torch.stack([wide[..., speed * (t - i) : speed * (t - i) + 20] for i in range(t)])
    forward = torch.zeros(t - 1, 2, 12, 20)
    forward[:, 0] = speed
    return frames, forward, -forward


def test_holes_are_filled_with_what_moved_there() -> None:
    frames, forward, backward = moving()
    hole = torch.zeros(6, 1, 12, 20, dtype=torch.bool)
    hole[2:4, :, 3:9, 8:12] = True
    filled, source = plain_propagate(frames, hole, forward, backward)
    assert torch.allclose(filled, frames, atol=1e-5)
    assert (source >= 0).all()
    assert set(source[2][hole[2, 0]].tolist()) == {1}
    # Of two frames as near the earlier counts, where it shows the place.
    assert source[3, 5, 8:12].tolist() == [2, 2, 4, 4]


def test_one_frame_hands_on_to_the_next_what_it_was_given() -> None:
    frames, forward, backward = moving(t=5)
    hole = torch.zeros(5, 1, 12, 20, dtype=torch.bool)
    hole[:4, :, 4:8, 4:8] = True
    filled, source, worst = propagate_one_way(frames, hole, forward, backward)
    assert torch.allclose(filled, frames, atol=1e-5)
    assert worst.max() < 1e-3
    # Two pixels to the right each frame: after two frames it has left the hole, four pixels wide.
    assert source[0, 5, 4].item() == 2
    assert source[0, 5, 7].item() == 1
    assert source[3, 5, 4].item() == 4


def test_the_hole_is_not_looked_at_and_stays_open_where_nothing_arrives() -> None:
    frames, forward, backward = moving()
    hole = torch.zeros(6, 1, 12, 20, dtype=torch.bool)
    hole[:, :, 4:6] = True  # a band that flow never leaves
    other = torch.where(hole, 1 - frames, frames)
    filled, source = plain_propagate(other, hole, forward, backward)
    assert (source[:, 4:6] == -1).all()
    assert not filled[:, :, 4:6].any()
    assert torch.equal(filled[:, :, :4], frames[:, :, :4])


@pytest.mark.parametrize(("error", "arrives"), [(0.2, True), (0.4, False)])
def test_links_that_do_not_lead_back_are_not_followed(error: float, arrives: bool) -> None:
    frames, forward, backward = moving()
    hole = torch.zeros(6, 1, 12, 20, dtype=torch.bool)
    hole[2, :, 4:8, 8:12] = True
    backward = backward + torch.tensor([0.0, error]).view(1, 2, 1, 1)
    _, source = plain_propagate(frames, hole, forward, backward)  # 5 pixels of 320 are 0.31 of 20
    assert (source[2, 4:8, 8:12] >= 0).all() == arrives


def test_only_what_is_allowed_is_a_source() -> None:
    frames, forward, backward = moving()
    hole = torch.zeros(6, 1, 12, 20, dtype=torch.bool)
    hole[2, :, 4:8, 8:12] = True
    allowed = torch.zeros_like(hole)
    allowed[3] = True
    _, source = plain_propagate(frames, hole, forward, backward, allowed=allowed)
    assert set(source[2, 4:8, 8:12].flatten().tolist()) == {3}
    _, source = plain_propagate(frames, hole, forward, backward, allowed=torch.zeros_like(hole))
    assert (source[2, 4:8, 8:12] == -1).all()


def test_time_turned_round_gives_the_same_turned_round() -> None:
    frames, forward, backward = moving()
    hole = torch.rand(6, 1, 12, 20) > 0.6
    (ahead, after, _), (behind, before, _) = both_ways(frames, hole, forward, backward)
    (one, first, _), (other, second, _) = both_ways(frames.flip(0), hole.flip(0), backward.flip(0), forward.flip(0))
    assert torch.equal(one.flip(0), behind)
    assert torch.equal(other.flip(0), ahead)
    assert torch.equal(torch.where(first >= 0, 5 - first, -1).flip(0), before)
    assert torch.equal(torch.where(second >= 0, 5 - second, -1).flip(0), after)


def test_a_square_that_slides_behind_a_bar_is_restored() -> None:
    sliding = slide(t=17)
    frames = torch.stack([torch.from_numpy(frame).permute(2, 0, 1) for frame in sliding.frames]).float()
    visible, amodal = sliding.stack(sliding.visible)[:, None], sliding.stack(sliding.amodal)[:, None]
    forward, backward = (flow[0].float() for flow in sliding.flows())
    filled, source = plain_propagate(frames, amodal & ~visible, forward, backward, allowed=amodal)
    found = (amodal & ~visible)[8, 0] & (source[8] >= 0)
    assert found.sum() > 0.9 * (amodal & ~visible)[8].sum()
    inside = found.numpy()
    assert psnr(filled[8].permute(1, 2, 0).numpy()[inside], sliding.true[8][inside]) > 30


def test_what_is_brought_plainly_changes_with_the_flow() -> None:
    frames, forward, backward = moving()
    amodal = torch.ones(1, 6, 1, 12, 20)
    visible = amodal.clone()
    visible[:, 2, :, 4:8, 8:12] = 0
    flows = [flow[None].clone().requires_grad_() for flow in (forward + 0.3, backward - 0.3)]
    picture, confidence = propagate_clips(frames[None], visible, amodal, *flows, form="plain")
    assert confidence.sum() == 16
    (picture - frames).abs().sum().backward()
    assert any(flow.grad is not None and flow.grad.any() for flow in flows)
    # Without gradients the values are the same.
    still, _ = propagate_clips(frames[None], visible, amodal, *(flow.detach() for flow in flows), form="plain")
    assert torch.equal(still, picture)
    none, trust = propagate_clips(frames[None], visible, amodal, *(flow.detach() for flow in flows), form="none")
    assert torch.equal(none, frames[None])
    assert not trust.any()
