from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from voin.method.flow.paint_over import paint_over
from voin.method.flow.smooth import SmoothFlow
from voin.method.motion import DIS
from voin.training.flow_targets import KeptMotion, both_ways, find_hidden_motion, find_true_motion


def sliding(b: int = 2, t: int = 4, size: int = 64) -> Tensor:
    """Noise that moves two pixels to the right and one down a frame."""
    noise = torch.rand(b, 3, size // 4 + 8, size // 4 + 8, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(noise, scale_factor=4, mode="bicubic").clamp(0, 1)
    return torch.stack([large[..., 14 - i : 14 - i + size, 16 - 2 * i : 16 - 2 * i + size] for i in range(t)], dim=1)


def test_painting_changes_the_hidden_part_alone() -> None:
    frames = sliding()[:, 0]
    amodal, visible = torch.zeros(2, 1, 64, 64), torch.zeros(2, 1, 64, 64)
    amodal[..., 16:48, 16:48] = 1
    visible[..., 16:48, 16:30] = 1
    painted = paint_over(frames, visible, amodal)
    hidden = ((amodal > 0) & (visible == 0)).expand_as(frames)
    assert torch.equal(painted[~hidden], frames[~hidden])
    assert not torch.allclose(painted[hidden], frames[hidden])


def test_painted_colours_are_the_objects_own() -> None:
    frames = torch.zeros(1, 3, 64, 64)
    frames[..., 32:] = 1.0  # the occluder
    amodal, visible = torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)
    amodal[..., 16:48, 16:48] = 1
    visible[..., 16:48, 16:32] = 1
    assert paint_over(frames, visible, amodal)[..., 16:48, 32:48].max() < 0.05


def test_the_second_half_is_the_first_one_backward() -> None:
    frames = sliding()
    ones = torch.ones(2, 4, 1, 64, 64)
    found = find_hidden_motion(frames, ones, ones, DIS(), SmoothFlow())
    assert torch.equal(found.frames[2:], frames.flip(1))
    turned = find_hidden_motion(frames.flip(1), ones, ones, DIS(), SmoothFlow())
    torch.testing.assert_close(found.initial[2:], turned.initial[:2], rtol=0, atol=1e-5)
    assert found.initial[:2, :, 0, 20:40, 20:40].mean().item() > 1.5
    assert found.initial[2:, :, 0, 20:40, 20:40].mean().item() < -1.5


def test_true_motion_is_taken_where_it_is_known_and_estimated_elsewhere() -> None:
    frames = sliding()
    amodal = torch.zeros(2, 4, 1, 64, 64)
    amodal[..., 16:40, 16:40] = 1
    forward = torch.full((2, 3, 2, 64, 64), 7.0)
    known = torch.tensor([True, False])
    flow, trusted = find_true_motion(frames, amodal, forward, -forward, known, DIS(finest=0))
    assert (flow[0] == 7).all()
    assert (flow[2] == -7).all()
    middle = flow[1, :, :, 20:36, 20:36].mean((0, 2, 3))
    torch.testing.assert_close(middle, torch.tensor([2.0, 1.0]), rtol=0, atol=0.3)
    assert torch.equal(trusted[0], amodal[0, :-1])
    assert trusted[1].sum() > 0.8 * amodal[1, :-1].sum()
    assert (trusted <= both_ways(amodal)[:, :-1]).all()


def test_flow_that_does_not_lead_back_is_not_trusted() -> None:
    frames = torch.rand(1, 3, 3, 64, 64, generator=torch.Generator().manual_seed(3))  # nothing goes on in it
    ones = torch.ones(1, 3, 1, 64, 64)
    zero = torch.zeros(1, 2, 2, 64, 64)
    _, trusted = find_true_motion(frames, ones, zero, zero, torch.tensor([False]), DIS(finest=0))
    assert trusted.mean() < 0.9


class Counted:
    """A stand-in for RAFT; counts the clips that it was given."""

    def __init__(self, value: float) -> None:
        self.value, self.clips = value, 0

    def __call__(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        self.clips += len(frames)
        flow = self.value * frames[:, 1:, :2]
        return flow, -flow


def test_kept_flow_is_estimated_once_a_clip(tmp_path: Path) -> None:
    frames = torch.rand(3, 4, 3, 16, 16)
    motion = Counted(2.0)
    kept = KeptMotion(motion, tmp_path, "two")
    first = kept(frames[:2])
    again = kept(frames)
    assert motion.clips == 3
    for flow, repeated, sign in zip(first, again, (1, -1), strict=True):
        assert torch.equal(flow, repeated[:2])
        assert torch.allclose(repeated, sign * 2 * frames[:, 1:, :2], atol=2e-3)
    assert len(list(tmp_path.iterdir())) == 3


def test_kept_flow_of_another_estimator_or_a_broken_file_is_not_taken(tmp_path: Path) -> None:
    frames = torch.rand(1, 3, 3, 16, 16)
    KeptMotion(Counted(2.0), tmp_path, "two")(frames)
    other = Counted(3.0)
    assert torch.allclose(KeptMotion(other, tmp_path, "three")(frames)[0], 3 * frames[:, 1:, :2], atol=3e-3)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    KeptMotion(other, tmp_path, "three")(frames)
    assert other.clips == 2
