from __future__ import annotations

import pytest
import torch
from torch import Tensor

from scenes.hidden_clips import scene
from voin.method.affine import MotionFitConfig, draw_motion, fit_motion, rim_trust
from voin.method.flow.smooth import SmoothFlow

T, SIZE = 5, 64


GIVEN = torch.tensor([True])
STILL = [[0.0, 0.0], [0.0, 0.0]]
TURN = [[0.01, -0.03], [0.03, 0.01]]
Shift = tuple[float, float]


def masks(shift: Shift = (0.0, 0.0), matrix: list[list[float]] = STILL) -> tuple[Tensor, Tensor]:
    """A disc that moves by `affine(shift, matrix)`, crossed by a bar in frames 1 to 3: its visible part and all."""
    y, x = torch.meshgrid(torch.arange(SIZE) - 31.5, torch.arange(SIZE) - 31.5, indexing="ij")
    step, places = torch.eye(2) + torch.tensor(matrix), torch.stack([x, y])
    middle, size = torch.zeros(2), 1.0
    for _ in range(T // 2):  # it lies in the middle in the middle of the clip
        middle = torch.linalg.solve(step, middle - torch.tensor(shift))
        size /= torch.linalg.det(step).item() ** 0.5
    discs = []
    for _ in range(T):
        discs.append((places - middle.view(2, 1, 1)).norm(dim=0) < 20 * size)
        middle, size = step @ middle + torch.tensor(shift), size * torch.linalg.det(step).item() ** 0.5
    amodal = torch.stack(discs)[None, :, None].float()
    bar = ((x >= -4) & (x < 8)).float()
    visible = amodal.clone()
    visible[:, 1:4] *= 1 - bar
    return visible, amodal


def affine(shift: tuple[float, float], matrix: list[list[float]], count: int = T - 1) -> Tensor:
    """The flow that moves a point p, counted from the picture's middle, by `shift + matrix p`."""
    y, x = torch.meshgrid(torch.arange(SIZE) - 31.5, torch.arange(SIZE) - 31.5, indexing="ij")
    turned = torch.einsum("ij,jhw->ihw", torch.tensor(matrix), torch.stack([x, y]))
    return (turned + torch.tensor(shift).view(2, 1, 1)).repeat(1, count, 1, 1, 1)


def opposite(shift: tuple[float, float], matrix: list[list[float]]) -> Tensor:
    inverse = torch.linalg.inv(torch.eye(2) + torch.tensor(matrix))
    back = -inverse @ torch.tensor(shift)
    return affine((back[0].item(), back[1].item()), (inverse - torch.eye(2)).tolist())


def complete(forward: Tensor, backward: Tensor, *motion: object) -> tuple[Tensor, Tensor]:
    visible, amodal = masks(*motion)  # type: ignore[arg-type]
    return SmoothFlow()(torch.zeros(1, T, 3, SIZE, SIZE), forward, backward, visible, amodal, GIVEN)


def corrupt(flow: Tensor, other: float, spill: int, first: int, *motion: object) -> Tensor:
    """Give the hidden part, and `spill` pixels of the visible part beside it, the flow of the occluder."""
    visible, amodal = masks(*motion)  # type: ignore[arg-type]
    hidden = (amodal - visible)[0]
    near = torch.nn.functional.max_pool2d(hidden, 2 * spill + 1, 1, spill)[first : first + T - 1]
    bad = torch.tensor([other, 0.0]).view(1, 1, 2, 1, 1).expand_as(flow)
    return torch.where(near[None] > 0, bad, flow)


def worst(completed: Tensor, truth: Tensor, first: int, *motion: object) -> float:
    """Largest error in the hidden part."""
    visible, amodal = masks(*motion)  # type: ignore[arg-type]
    hidden = (amodal - visible)[:, first : first + T - 1]
    assert hidden.any()
    return ((completed - truth).norm(dim=2, keepdim=True) * hidden).max().item()


@pytest.mark.parametrize("spill", [0, 1, 2, 3])
@pytest.mark.parametrize("occluder", [6.0, -4.0, 0.0])
def test_a_shift_is_completed_though_the_flow_near_the_occluder_is_wrong(spill: int, occluder: float) -> None:
    shift = (2.0, -1.0)
    truth, back = affine(shift, STILL), opposite(shift, STILL)
    seen, behind = corrupt(truth, occluder, spill, 0, shift), corrupt(back, -occluder, spill, 1, shift)
    forward, backward = complete(seen, behind, shift)
    assert worst(forward, truth, 0, shift) < 0.3
    assert worst(backward, back, 1, shift) < 0.3


def test_a_turning_and_growing_object_is_completed() -> None:
    shift = (1.5, 0.5)
    truth, back = affine(shift, TURN), opposite(shift, TURN)
    seen, behind = corrupt(truth, 5.0, 1, 0, shift, TURN), corrupt(back, -5.0, 1, 1, shift, TURN)
    forward, backward = complete(seen, behind, shift, TURN)
    assert worst(forward, truth, 0, shift, TURN) < 0.4
    assert worst(backward, back, 1, shift, TURN) < 0.4


def test_the_outline_tells_the_motion_of_an_object_that_is_not_seen() -> None:
    shift = (2.0, -1.0)
    visible, amodal = masks(shift)
    noise = torch.randn(1, T - 1, 2, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    clip, nothing = torch.zeros(1, T, 3, SIZE, SIZE), torch.zeros_like(visible)
    forward, backward = SmoothFlow()(clip, noise, noise, nothing, amodal, GIVEN)
    truth, back = affine(shift, STILL), opposite(shift, STILL)
    assert ((forward - truth).norm(dim=2, keepdim=True) * amodal[:, :-1]).max() < 0.4
    assert ((backward - back).norm(dim=2, keepdim=True) * amodal[:, 1:]).max() < 0.4
    # Flow alone, which says nothing here, leaves it where it was; so does the outline of a mask that is not known.
    alone, _ = SmoothFlow()(clip, noise, noise, nothing, amodal)
    assert ((alone - truth).norm(dim=2, keepdim=True) * amodal[:, :-1]).max() > 1.5


def test_an_object_at_rest_stays_at_rest() -> None:
    still = affine((0.0, 0.0), STILL)
    forward, backward = complete(corrupt(still, 7.0, 1, 0), corrupt(still, -7.0, 1, 1))
    assert worst(forward, still, 0) < 0.3
    assert worst(backward, still, 1) < 0.3


def test_flow_outside_the_amodal_mask_comes_back_untouched() -> None:
    forward, backward = torch.randn(2, 1, T - 1, 2, SIZE, SIZE)
    _, amodal = masks()
    for given, completed, part in zip(
        (forward, backward), complete(forward, backward), (amodal[:, :-1], amodal[:, 1:]), strict=True
    ):
        outside = (part == 0).expand_as(given)
        assert torch.equal(completed[outside], given[outside])
        assert completed.shape == given.shape


def test_pairs_of_frames_without_hidden_pixels_come_back_untouched() -> None:
    forward, backward = torch.randn(2, 1, T - 1, 2, SIZE, SIZE)
    visible, amodal = masks()
    visible[:, 2:] = amodal[:, 2:]  # hidden in frame 1 alone: pairs 0 and 1 are touched
    there, back = SmoothFlow()(torch.zeros(1, T, 3, SIZE, SIZE), forward, backward, visible, amodal)
    assert torch.equal(there[:, 2:], forward[:, 2:])
    assert torch.equal(back[:, 2:], backward[:, 2:])
    assert not torch.equal(there[:, :2], forward[:, :2])
    whole = SmoothFlow()(torch.zeros(1, T, 3, SIZE, SIZE), forward, backward, amodal, amodal)
    assert torch.equal(whole[0], forward)
    assert torch.equal(whole[1], backward)


def test_the_input_is_not_written_to() -> None:
    forward, backward = torch.randn(2, 1, T - 1, 2, SIZE, SIZE)
    kept = forward.clone(), backward.clone()
    complete(forward, backward)
    assert torch.equal(forward, kept[0])
    assert torch.equal(backward, kept[1])


def test_time_reversal_swaps_the_two_directions() -> None:
    shift = (2.0, -1.0)
    one, other = corrupt(affine(shift, TURN), 5.0, 1, 0), corrupt(opposite(shift, TURN), -5.0, 1, 1)
    forward, backward = complete(one, other)
    # These masks, which stand still, are the same forward and backward in time.
    back, there = complete(other.flip(1), one.flip(1))
    assert torch.allclose(there.flip(1), forward, atol=1e-3)
    assert torch.allclose(back.flip(1), backward, atol=1e-3)


def test_a_frame_in_which_nothing_is_seen_takes_its_neighbours_motion() -> None:
    shift = (2.0, -1.0)
    truth, back = affine(shift, STILL), opposite(shift, STILL)
    visible, amodal = masks(shift)
    visible[:, 2] = 0
    wrong = truth.clone()
    wrong[:, 2] = 0
    forward, _ = SmoothFlow()(torch.zeros(1, T, 3, SIZE, SIZE), wrong, back, visible, amodal)
    assert ((forward - truth).norm(dim=2, keepdim=True) * amodal[:, :-1])[:, 2].max() < 0.3


def test_a_clip_without_a_visible_pixel_gives_finite_flow() -> None:
    flow = torch.randn(1, T - 1, 2, SIZE, SIZE)
    _, amodal = masks()
    for each in SmoothFlow()(torch.zeros(1, T, 3, SIZE, SIZE), flow, flow, torch.zeros_like(amodal), amodal):
        assert torch.isfinite(each).all()


def test_the_fitted_motion_is_the_motion() -> None:
    truth = affine((1.5, 0.5), TURN)[0]
    weight = torch.ones(T - 1, 1, SIZE, SIZE)
    fitted = fit_motion(truth, weight, 1, MotionFitConfig(affine_ridge=0.0))
    assert torch.allclose(draw_motion(fitted, truth), truth, atol=1e-3)


def test_the_fit_ignores_a_minority() -> None:
    truth = affine((2.0, 0.0), STILL)[0]
    seen = truth.clone()
    seen[..., 24:36, 20:44] = 9.0
    fitted = draw_motion(fit_motion(seen, torch.ones(T - 1, 1, SIZE, SIZE), 1, MotionFitConfig()), truth)
    assert (fitted - truth).abs().mean() < 0.3


def test_trust_grows_from_the_edge() -> None:
    visible, _ = masks()
    trust = rim_trust(visible[0], 6.0)
    assert (trust[visible[0] == 0] == 0).all()
    assert trust[0, 0, 32, 32] == 1
    assert trust[0, 0, 32, 13] < trust[0, 0, 32, 15] < trust[0, 0, 32, 17]
    assert trust.max() <= 1


def test_motion_across_a_gap_leads_from_the_last_sight_of_the_object_to_the_next() -> None:
    # It stands still in its window, is hidden wholly for three frames, and comes back elsewhere.
    before, after = (scene(t=1, start=start, bar=None) for start in ((20.0, 20.0), (31.0, 15.0)))
    frames = torch.cat([before.frames] * 2 + [torch.zeros_like(before.frames)] * 3 + [after.frames] * 2, dim=1)
    visible = torch.cat([before.visible] * 2 + [torch.zeros_like(before.visible)] * 3 + [after.visible] * 2, dim=1)
    still = torch.zeros(1, 6, 2, 64, 80)
    forward, backward = SmoothFlow()(frames, still, still, visible, torch.ones_like(visible))
    gone = forward[0, 1:5, :, 30, 30].sum(dim=0)
    back = backward[0, 1:5, :, 30, 30].sum(dim=0)
    assert gone.tolist() == pytest.approx([11.0, -5.0], abs=0.6)
    assert back.tolist() == pytest.approx([-11.0, 5.0], abs=0.6)
