from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from scenes.sliding_square import Sliding, slide
from voin.core.warp import sample_points
from voin.method.propagation.gradients import colour_gradients, follow_again
from voin.method.propagation.propagate import propagate_clips
from voin.method.propagation.tracks import Tracks, track

SLIDING = slide(t=7, size=(40, 64), side=20.0, speed=(3.7, 0.3), bar=(24, 32), start=(10.0, 10.0))


def clip_of(sliding: Sliding) -> tuple[Tensor, Tensor, Tensor]:
    """Give frames, visible and amodal masks with an axis of clips."""
    frames = torch.from_numpy(np.stack(sliding.frames)).float().permute(0, 3, 1, 2)[None]
    visible, amodal = (sliding.stack(masks)[None, :, None].float() for masks in (sliding.visible, sliding.amodal))
    return frames, visible, amodal


def tracked(forward: Tensor, backward: Tensor) -> tuple[Tracks, Tracks]:
    _, visible, amodal = clip_of(SLIDING)
    seen, whole = visible[0, :, 0] > 0.5, amodal[0, :, 0] > 0.5
    return track(forward, backward, whole & ~seen, 0, seen, whole)


def wavy() -> tuple[Tensor, Tensor]:
    """Give the true flow with waves on it, so that links differ from place to place."""
    forward, backward = SLIDING.flows()
    wave = 0.4 * torch.sin(torch.arange(64.0) / 5) * torch.arange(1, 7.0).view(-1, 1, 1, 1) / 6
    return forward + wave, backward - wave


def test_followed_again_tracks_lead_where_they_led() -> None:
    forward, backward = wavy()
    for one in tracked(forward, backward):
        entry, row, column = one.found
        assert (one.source[one.found] - entry).abs().max() > 1
        x, y = follow_again(one, forward[0], backward[0])
        led = one.shift
        assert torch.allclose(torch.stack([x - column, y - row], dim=1), led, atol=1e-5)


def test_the_gradient_is_the_change_of_the_colours_that_come_along_the_flow() -> None:
    frames, _, _ = clip_of(SLIDING)
    frames = frames.double()
    forward, backward = (flow.double() for flow in SLIDING.flows())
    ahead, _ = tracked(forward, backward)
    none = Tracks(0, torch.full_like(ahead.source, -1), ahead.shift[:0], ahead.trust[:0])
    shift = torch.zeros(2, dtype=torch.double, requires_grad=True)
    moved = forward[0] + shift.view(1, 2, 1, 1)
    zeros = colour_gradients((ahead, none, none), frames[0], moved, backward[0])
    assert not zeros.any()
    zeros.sum().backward()

    def total(dx: float) -> float:
        entry, row, column = ahead.found
        links = (ahead.source[ahead.found].long() - entry).double()
        x, y = column + 3.7 * links + dx * links, row + 0.3 * links
        return sample_points(frames[0], ahead.source[ahead.found].long(), x, y).sum().item()

    assert shift.grad is not None
    assert shift.grad[0].item() == pytest.approx((total(1e-6) - total(-1e-6)) / 2e-6, rel=1e-4)


def test_propagation_for_training_gives_the_same_with_and_without_gradients() -> None:
    given, flows = clip_of(SLIDING), wavy()
    plain, trust = propagate_clips(*given, *flows)
    with_gradient = [flow.clone().requires_grad_() for flow in flows]
    forward, backward = with_gradient
    pictures, confidence = propagate_clips(*given, forward, backward)
    assert torch.equal(pictures, plain)
    assert torch.equal(confidence, trust)
    assert not plain.requires_grad
    assert not confidence.requires_grad
    pictures.square().sum().backward()
    found = (trust > 0).any()
    assert found
    assert all(flow.grad is not None and flow.grad.any() for flow in with_gradient)
