from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from scenes.sliding_square import slide
from voin.training import losses

B, T, H, W = 2, 3, 6, 5
CLASSES = 4


def masks(fill: float | None = None, t: int = T) -> Tensor:
    """Random masks of 0 and 1, or all of one value."""
    return torch.rand(B, t, 1, H, W).round() if fill is None else torch.full((B, t, 1, H, W), fill)


def flows(*vector: float) -> Tensor:
    """The same flow everywhere."""
    return torch.tensor(vector).view(1, 1, 2, 1, 1).expand(B, T, 2, H, W).clone()


def sure(mask: Tensor) -> Tensor:
    """The logits of a mask that is all but certain."""
    return 40 * (2 * mask - 1)


def by_clip(error: Tensor, region: Tensor) -> float:
    """The mean over each clip's region, averaged over clips."""
    means = [each[there.expand_as(each) > 0].mean() for each, there in zip(error, region, strict=True)]
    return torch.stack(means).mean().item()


# Shape


def test_cross_entropy_of_an_undecided_mask_is_that_of_a_coin() -> None:
    assert losses.bce_amodal(torch.zeros(B, T, 1, H, W), masks()).item() == pytest.approx(math.log(2))
    assert losses.bce_occluded(torch.zeros(B, T, 1, H, W), masks(), masks(0.0)).item() == pytest.approx(math.log(2))


def test_cross_entropy_is_the_textbook_formula() -> None:
    logits, amodal = torch.randn(B, T, 1, H, W), masks()
    p = logits.sigmoid()
    expected = -(amodal * p.log() + (1 - amodal) * (1 - p).log())
    assert losses.bce_amodal(logits, amodal).item() == pytest.approx(expected.mean().item(), rel=1e-5)
    visible = amodal * masks()
    part = by_clip(expected, 1 - visible)
    assert losses.bce_occluded(logits, amodal, visible).item() == pytest.approx(part, rel=1e-5)


@pytest.mark.parametrize("term", [losses.bce_occluded, losses.dice_occluded])
def test_visible_pixels_do_not_count_for_the_hidden_part(term: Callable) -> None:
    logits, amodal = torch.randn(B, T, 1, H, W), masks()
    visible = amodal * masks()
    assert term(logits, amodal, visible) == term(logits + 9 * visible, amodal, visible)


def test_the_true_mask_has_no_loss() -> None:
    amodal = masks()
    visible = amodal * masks()
    assert losses.bce_amodal(sure(amodal), amodal).item() == pytest.approx(0, abs=1e-6)
    assert losses.bce_occluded(sure(amodal), amodal, visible).item() == pytest.approx(0, abs=1e-6)
    assert losses.dice_occluded(sure(amodal), amodal, visible).item() == pytest.approx(0, abs=1e-6)


def test_dice_is_the_formula_clip_by_clip() -> None:
    # Clip 0: 10 hidden pixels, of which 5 are found, and 3 others. Clip 1: nothing hidden, nothing found.
    amodal, found = torch.zeros(2, 1, 1, 4, 10), torch.zeros(2, 1, 1, 4, 10)
    amodal[0, 0, 0, 0] = 1
    found[0, 0, 0, 0, :5] = found[0, 0, 0, 2, :3] = 1
    loss = losses.dice_occluded(sure(found), amodal, torch.zeros_like(amodal))
    assert loss.item() == pytest.approx((1 - (2 * 5 + 1) / (8 + 10 + 1)) / 2, abs=1e-6)


def test_dice_of_all_wrong_is_nearly_one() -> None:
    amodal = torch.zeros(1, 1, 1, 40, 50)
    amodal[..., :20, :] = 1
    loss = losses.dice_occluded(sure(1 - amodal), amodal, torch.zeros_like(amodal))
    assert loss.item() == pytest.approx(1, abs=1e-3)


# Flow


def test_flow_inside_the_object_counts_double() -> None:
    truth, completed = flows(1.0, 2.0), flows(1.5, 2.0)
    assert losses.flow_l1(completed, truth, masks(0.0)).item() == pytest.approx(0.25)
    assert losses.flow_l1(completed, truth, masks(1.0)).item() == pytest.approx(0.5)


def test_the_true_flow_has_no_loss() -> None:
    truth = torch.randn(B, T, 2, H, W)
    assert losses.flow_l1(truth, truth, masks()) == 0
    assert losses.laplacian_pyramid(truth, truth) == 0
    assert losses.flow_gradient(truth, truth, masks()) == 0


@pytest.mark.parametrize(("h", "w"), [(32, 48), (45, 17)])
def test_the_bands_of_a_pyramid_add_up(h: int, w: int) -> None:
    x = torch.randn(2, 2, h, w)
    *bands, rest = losses.laplacian_bands(x, levels=4)
    for band in reversed(bands):
        rest = band + losses.enlarge(rest, band.shape[-2:])
    assert torch.allclose(rest, x, atol=1e-5)


def test_only_the_rest_of_the_pyramid_sees_a_constant_error() -> None:
    assert losses.laplacian_pyramid(flows(3.0, 1.0), flows(1.0, 1.0), levels=3).item() == pytest.approx(1.0, rel=1e-5)


def test_a_pyramid_of_one_level_is_the_mean_error() -> None:
    one, other = torch.randn(2, B, T, 2, H, W)
    expected = (one - other).abs().mean().item()
    assert losses.laplacian_pyramid(one, other, levels=1).item() == pytest.approx(expected, rel=1e-5)


def test_the_same_error_costs_the_more_the_coarser_it_is() -> None:
    # White noise lives in the finest band; the same amount of smooth error is seen by the coarse ones too.
    fine, coarse = torch.randn(1, 1, 2, 64, 64), torch.randn(1, 1, 2, 4, 4).repeat_interleave(16, -1)
    coarse = coarse.repeat_interleave(16, -2)
    zero = torch.zeros_like(fine)
    fine, coarse = fine / fine.abs().mean(), coarse / coarse.abs().mean()
    assert losses.laplacian_pyramid(coarse, zero) > losses.laplacian_pyramid(fine, zero)


def test_smoothness_of_a_slope_is_its_slope() -> None:
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    completed = torch.stack([0.5 * x, 2.0 * y]).float().expand(B, T, 2, H, W)
    # Columns: dx changes by 0.5, dy not at all; rows: dy changes by 2. Each is a mean over both channels.
    assert losses.flow_smoothness(completed, masks(1.0)).item() == pytest.approx(0.25 + 1.0)
    assert losses.flow_gradient(completed, completed + 7, masks(1.0)).item() == pytest.approx(0, abs=1e-6)


def test_a_jump_at_the_contour_is_free_and_one_inside_is_not() -> None:
    amodal = masks(0.0)
    amodal[..., :2] = 1
    jump = flows(0.0, 0.0)
    jump[..., 2:] = 5
    assert losses.flow_smoothness(jump, amodal) == 0
    assert losses.flow_smoothness(jump, masks(1.0)) > 0


def test_no_object_is_no_loss() -> None:
    flow = torch.randn(B, T, 2, H, W)
    assert losses.flow_smoothness(flow, masks(0.0)) == 0
    assert losses.flow_warp(flow, torch.rand(B, T + 1, 3, H, W), masks(0.0, T + 1)) == 0
    assert losses.reconstruction(torch.rand(B, T, 3, H, W), torch.rand(B, T, 3, H, W), masks(0.0)) == 0


def test_a_whole_pixel_shift_is_consistent() -> None:
    # An object of 3x3 pixels moves by (1, 2) a frame.
    frames, amodal = torch.rand(B, T + 1, 3, H + 6, W), torch.zeros(B, T + 1, 1, H + 6, W)
    skin = torch.rand(B, 3, 3, 3)
    for i in range(T + 1):
        left, top = min(i, W - 3), 2 * i
        frames[:, i, :, top : top + 3, left : left + 3] = skin
        amodal[:, i, :, top : top + 3, left : left + 3] = 1
    frames, amodal = frames[:, :3], amodal[:, :3]
    truth = torch.tensor([1.0, 2.0]).view(1, 1, 2, 1, 1).expand(B, 2, 2, H + 6, W)
    assert losses.flow_warp(truth, frames, amodal).item() == pytest.approx(0, abs=1e-5)
    assert losses.flow_warp(truth * 0, frames, amodal).item() > 0.05


def test_the_warp_loss_is_least_at_the_true_motion() -> None:
    clip = slide(t=3)
    frames = torch.from_numpy(np.stack(clip.true)).permute(0, 3, 1, 2)[None]
    amodal = clip.stack(clip.amodal)[None, :, None].float()
    truth, _ = clip.flows()
    at = {off: losses.flow_warp(truth + off, frames, amodal).item() for off in (-1.0, -0.5, 0.0, 0.5, 1.0)}
    assert min(at, key=lambda off: at[off]) == 0.0
    assert at[0.0] < 0.2 * at[1.0]


# Inpainting


def test_reconstruction_is_the_mean_error_of_its_region() -> None:
    generated, truth, region = torch.rand(B, T, 3, H, W), torch.rand(B, T, 3, H, W), masks()
    error = (generated - truth).abs()
    expected = by_clip(error, region)
    assert losses.reconstruction(generated, truth, region).item() == pytest.approx(expected, rel=1e-5)
    outside = by_clip(error, 1 - region)
    assert losses.reconstruction(generated, truth, 1 - region).item() == pytest.approx(outside, rel=1e-5)
    assert losses.reconstruction(truth, truth, region) == 0


def test_hinge_has_nothing_to_teach_beyond_its_margins() -> None:
    assert losses.hinge_discriminator(torch.tensor([1.0, 3.0]), torch.tensor([[-1.0], [-2.0]])) == 0
    loss = losses.hinge_discriminator(torch.tensor([0.5, 2.0]), torch.tensor([0.0, -3.0]))
    assert loss.item() == pytest.approx(0.25 + 0.5)
    assert losses.hinge_generator(torch.tensor([[1.0, -4.0]])).item() == pytest.approx(1.5)


def test_the_class_loss_is_cross_entropy_with_the_last_class_for_fakes() -> None:
    real, fake = torch.randn(2, B, CLASSES + 1)
    category = torch.tensor([2, 1])
    expected = F.cross_entropy(real, category) + F.cross_entropy(fake, torch.tensor([CLASSES, CLASSES]))
    assert losses.class_discriminator(real, fake, category) == expected
    by_hand = -(real.softmax(1)[[0, 1], category].log() + fake.softmax(1)[:, CLASSES].log()).mean()
    assert losses.class_discriminator(real, fake, category).item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert losses.class_generator(fake, category) == F.cross_entropy(fake, category)


def test_clips_of_unknown_class_are_told_to_be_none_and_are_real_or_made_all_the_same() -> None:
    real, fake = torch.randn(2, B, CLASSES + 1)
    real.requires_grad_()
    unknown = torch.tensor([2, 0])
    loss = losses.class_discriminator(real, fake, unknown)
    made = torch.full((B,), CLASSES)
    assert torch.allclose(loss, F.cross_entropy(real[:1], unknown[:1]) / B + F.cross_entropy(fake, made))
    loss.backward()
    assert real.grad is not None
    assert not real.grad[1].any()
    assert torch.allclose(losses.class_generator(fake, unknown), F.cross_entropy(fake[:1], unknown[:1]) / B)


def test_the_generator_is_pushed_to_the_true_class_and_away_from_fake() -> None:
    fake = torch.zeros(B, CLASSES + 1, requires_grad=True)
    losses.class_generator(fake, torch.tensor([1, 1])).backward()
    assert fake.grad is not None
    assert (fake.grad[:, 1] < 0).all()
    assert (fake.grad[:, CLASSES] > 0).all()


# All


def terms() -> dict[str, tuple[Callable[[Tensor], Tensor], Tensor]]:
    """Each term as a function of what is trained, and a place at which it is smooth."""
    amodal, visible = masks().double(), masks().double()
    truth = torch.randn(B, T, 2, H, W, dtype=torch.float64)
    colours = torch.rand(B, T, 3, H, W, dtype=torch.float64)
    frames = torch.rand(B, T + 1, 3, H, W, dtype=torch.float64)
    logits, flow = torch.randn(B, T, 1, H, W).double(), torch.randn(B, T, 2, H, W).double()
    scores, category = torch.randn(B, CLASSES + 1).double(), torch.tensor([1, 3])
    # Lookups have kinks at whole pixels, and where to look is not trained: a single pair, inside the picture.
    near = 0.3 + 0.1 * torch.rand(B, 1, 2, H, W).double()
    pair = torch.stack([F.pad(torch.ones(B, 1, H - 2, W - 2), (1, 1, 1, 1)), torch.ones(B, 1, H, W)], dim=1).double()
    return {
        "bce_amodal": (lambda x: losses.bce_amodal(x, amodal), logits),
        "bce_occluded": (lambda x: losses.bce_occluded(x, amodal, visible), logits),
        "dice_occluded": (lambda x: losses.dice_occluded(x, amodal, visible), logits),
        "flow_l1": (lambda x: losses.flow_l1(x, truth, amodal), flow),
        "laplacian_pyramid": (lambda x: losses.laplacian_pyramid(x, truth, levels=2), flow),
        "flow_gradient": (lambda x: losses.flow_gradient(x, truth, amodal), flow),
        "flow_smoothness": (lambda x: losses.flow_smoothness(x, amodal), flow),
        "flow_warp": (lambda x: losses.flow_warp(x, frames[:, :2], pair), near),
        "reconstruction": (lambda x: losses.reconstruction(x, colours, amodal), torch.rand(B, T, 3, H, W).double()),
        "reconstruction_pasted": (
            lambda x: losses.reconstruction_pasted(x, colours.flip(0), 0.3 * amodal, colours, visible),
            torch.rand(B, T, 3, H, W).double(),
        ),
        "blend": (
            lambda x: losses.blend(x, colours.flip(0), colours.flip(1), colours, visible),
            0.1 + 0.8 * torch.rand(B, T, 1, H, W).double(),
        ),
        "hinge_discriminator": (lambda x: losses.hinge_discriminator(x, scores), torch.randn(7).double()),
        "hinge_generator": (losses.hinge_generator, torch.randn(7).double()),
        "class_discriminator": (lambda x: losses.class_discriminator(x, scores, category), scores + 0.5),
        "class_generator": (lambda x: losses.class_generator(x, category), scores),
    }


def test_the_weight_of_propagated_colours_is_best_where_the_mix_is_nearest_to_the_truth() -> None:
    found, made, whole = torch.rand(1, 1, 3, 4, 4), torch.rand(1, 1, 3, 4, 4), torch.ones(1, 1, 1, 4, 4)
    for best in (0.0, 0.3, 1.0):
        truth = best * found + (1 - best) * made
        weights = torch.linspace(0, 1, 11)
        values = [losses.blend(weight * whole, found, made, truth, whole).item() for weight in weights]
        assert weights[values.index(min(values))].item() == pytest.approx(best)
        assert min(values) == pytest.approx(0, abs=1e-3)
    # Where both are alike nothing is to be learned.
    assert losses.blend(0.5 * whole, found, found, 1 - found, whole).item() == 0


@pytest.mark.parametrize("name", sorted(terms()))
def test_gradients_are_right(name: str) -> None:
    term, at = terms()[name]
    assert torch.autograd.gradcheck(term, at.clone().requires_grad_(True), eps=1e-7, atol=1e-5)


def test_every_term_is_checked() -> None:
    public = {name for name, each in vars(losses).items() if getattr(each, "__module__", "") == losses.__name__}
    assert {name for name in public if not name.startswith("_")} - {"laplacian_bands", "enlarge"} == set(terms())


def test_a_clip_twice_has_the_loss_of_the_clip() -> None:
    amodal, visible, one, other = masks(), masks(), torch.randn(B, T, 2, H, W), torch.randn(B, T, 2, H, W)
    frames = torch.rand(B, T + 1, 3, H, W)
    for term, arguments in {
        losses.bce_amodal: (one[:, :, :1], amodal),
        losses.bce_occluded: (one[:, :, :1], amodal, visible),
        losses.dice_occluded: (one[:, :, :1], amodal, visible),
        losses.flow_l1: (one, other, amodal),
        losses.laplacian_pyramid: (one, other),
        losses.flow_gradient: (one, other, amodal),
        losses.flow_smoothness: (one, amodal),
        losses.flow_warp: (one, frames, masks(t=T + 1)),
        losses.reconstruction: (frames[:, 1:], frames[:, :-1], amodal),
    }.items():
        twice = term(*(torch.cat([each, each]) for each in arguments))
        assert twice.item() == pytest.approx(term(*arguments).item(), rel=1e-5), term.__name__
