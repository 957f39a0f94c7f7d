from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voin.data.categories import CATEGORIES
from voin.training.discriminators import (
    CLASS_PAPER,
    CLASS_SMALL,
    PATCH_PAPER,
    PATCH_SMALL,
    ClassConfig,
    ClassDiscriminator,
    SpatioTemporalAttention,
    TemporalPatchConfig,
    TemporalPatchDiscriminator,
)

PATCH = TemporalPatchConfig(channels=(4, 6, 8, 2))
CLASS = ClassConfig(channels=(4, 6, 8, 16, 8), classes=3)


def patches(guided: bool = True) -> TemporalPatchDiscriminator:
    return TemporalPatchDiscriminator(replace(PATCH, guided=guided))


def classes(guided: bool = True) -> ClassDiscriminator:
    return ClassDiscriminator(replace(CLASS, guided=guided))


def clip(b: int = 1, t: int = 4, size: tuple[int, int] = (64, 80)) -> tuple[Tensor, Tensor]:
    return torch.rand(b, t, 3, *size), (torch.rand(b, t, 1, *size) > 0.5).float()


@pytest.mark.parametrize("t", [1, 2, 5])
def test_each_patch_of_each_frame_gets_scores(t: int) -> None:
    assert TemporalPatchDiscriminator(PATCH)(*clip(2, t)).shape == (2, t, 2, 4, 5)


@pytest.mark.parametrize("t", [1, 2, 5])
def test_there_is_a_logit_for_each_class_and_one_for_what_was_made(t: int) -> None:
    logits = ClassDiscriminator(CLASS)(*clip(2, t))
    assert logits.shape == (2, CLASS.classes + 2)
    assert CLASS.fake == logits.shape[1] - 1
    assert CLASS_SMALL.classes == CLASS_PAPER.classes == len(CATEGORIES)


@pytest.mark.parametrize(("size", "words"), [((63, 80), "height of 63"), ((64, 60), "width of 60")])
def test_frames_that_are_too_small_are_refused(size: tuple[int, int], words: str) -> None:
    with pytest.raises(ValueError, match=rf"{words} pixels; it must be at least 64"):
        ClassDiscriminator(CLASS)(*clip(size=size))
    small = (12, 80) if "height" in words else (64, 12)
    with pytest.raises(ValueError, match=r"of 12 pixels; it must be at least 16"):
        TemporalPatchDiscriminator(PATCH)(*clip(size=small))


@pytest.mark.parametrize("make", [patches, classes])
def test_a_guided_one_sees_the_mask_and_needs_it(make: Callable[[bool], nn.Module]) -> None:
    frames, amodal = clip()
    guided, alone = make(True).eval(), make(False).eval()
    assert not torch.equal(guided(frames, amodal), guided(frames, 1 - amodal))
    assert torch.equal(alone(frames, amodal), alone(frames))
    with pytest.raises(ValueError, match=r"amodal is None; .* give the amodal mask, or set guided to False"):
        guided(frames)


def test_a_score_sees_its_patch_in_several_frames_only() -> None:
    frames, amodal = clip(t=12, size=(96, 96))
    network = TemporalPatchDiscriminator(replace(PATCH, channels=(4, 1))).eval()
    other = frames.clone()
    other[:, 6, :, :8, :8] = 1 - other[:, 6, :, :8, :8]
    moved = (network(other, amodal) != network(frames, amodal))[0, :, 0]
    assert moved.flatten(1).any(dim=1).nonzero()[:, 0].tolist() == [4, 5, 6, 7, 8]
    assert not moved[:, 12:, 12:].any()


@pytest.mark.parametrize("attention", [True, False])
def test_the_class_sees_all_frames(attention: bool) -> None:
    frames, amodal = clip(t=9)
    network = ClassDiscriminator(replace(CLASS, attention=attention)).eval()
    logits = network(frames, amodal)
    for i in range(9):
        other = frames.clone()
        other[:, i] = 1 - other[:, i]
        assert not torch.equal(network(other, amodal), logits)


@pytest.mark.parametrize("make", [patches, classes])
def test_clips_of_a_batch_do_not_mix(make: Callable[[], nn.Module]) -> None:
    frames, amodal = clip(b=3)
    network = make().eval()
    both = network(frames, amodal)
    for i in range(3):
        assert torch.allclose(both[i : i + 1], network(frames[i : i + 1], amodal[i : i + 1]), atol=1e-5)


@pytest.mark.parametrize("make", [patches, classes])
def test_gradients_reach_every_weight_and_the_frames(make: Callable[[], nn.Module]) -> None:
    frames, amodal = clip(b=2)
    network = make()
    frames.requires_grad_()
    result = network(frames, amodal)
    loss = result.square().mean() if result.ndim > 2 else F.cross_entropy(result, torch.tensor([1, CLASS.fake]))
    loss.backward()
    assert frames.grad is not None
    assert (frames.grad.abs().flatten(2).amax(dim=2) > 0).all()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_spectral_norm_holds_every_layer_of_the_patches() -> None:
    network = TemporalPatchDiscriminator(PATCH)
    with torch.no_grad():
        for layer in network.layers:
            layer.parametrizations.weight.original.mul_(100)  # pyright: ignore
    for _ in range(30):  # each step in training turns the estimate of the norm towards it
        network(*clip())
    network.eval()
    for layer in network.layers:
        norm = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2)  # pyright: ignore
        assert abs(norm.item() - 1) < 0.05


# Attention


def test_attention_is_the_plain_softmax_over_places_times_that_over_frames() -> None:
    module = SpatioTemporalAttention(16)
    features = torch.randn(2, 16, 3, 4, 5)
    expected = torch.empty_like(features)
    for i in range(2):
        logits = module.spatial(features[i : i + 1])[0, 0]
        frames = module.temporal(features[i : i + 1].mean((3, 4)))[0, 0]
        share = torch.exp(frames) / torch.exp(frames).sum()
        for j in range(3):
            places = torch.exp(logits[j]) / torch.exp(logits[j]).sum()
            expected[i, :, j] = features[i, :, j] * (1 + places * 20 * share[j] * 3)
    assert torch.allclose(module(features), expected, atol=1e-5)


@pytest.mark.parametrize("branch", ["spatial", "temporal"])
def test_each_branch_weighs_its_own_axis(branch: str) -> None:
    module, features = SpatioTemporalAttention(16), torch.randn(1, 16, 3, 4, 5)
    weights = module.weights(features)
    assert weights.shape == (1, 1, 3, 4, 5)
    assert weights.mean().item() == pytest.approx(1, abs=1e-5)
    torch.nn.init.zeros_(getattr(module, branch)[-1].weight)
    weights = module.weights(features)
    # Without the one branch the weights are the same along its axis: all places, or the mean of all frames.
    flat = weights.flatten(3).std(dim=3) if branch == "spatial" else weights.mean((3, 4)).flatten()
    assert torch.allclose(flat, torch.zeros(1) if branch == "spatial" else torch.ones(1), atol=1e-5)


def test_attention_stands_where_it_is_said_and_can_be_left_out() -> None:
    frames, amodal = clip()
    for place, channels in ((4, 16), (2, 6)):
        network = ClassDiscriminator(replace(CLASS, attend_after=place)).eval()
        assert network.attention is not None
        assert network.attention.spatial[0].in_channels == channels
    with_it, without = ClassDiscriminator(CLASS).eval(), ClassDiscriminator(replace(CLASS, attention=False)).eval()
    extra = {name for name, _ in with_it.named_parameters()} - {name for name, _ in without.named_parameters()}
    assert extra
    assert all(name.startswith("attention.") for name in extra)
    without.load_state_dict({k: v for k, v in with_it.state_dict().items() if not k.startswith("attention.")})
    assert not torch.allclose(with_it(frames, amodal), without(frames, amodal))


def test_the_presets_are_the_papers_layers() -> None:
    assert len(PATCH_PAPER.channels) == 6
    for config in (CLASS_SMALL, CLASS_PAPER):
        network = ClassDiscriminator(replace(config, channels=(2,) * len(config.channels)))
        layers = [module for module in network.modules() if isinstance(module, nn.Conv3d) and module.kernel_size[1] > 1]
        assert [layer.kernel_size for layer in layers] == [(3, 5, 5)] * 6
        assert config.attention
        assert config.attend_after == 4
    assert PATCH_SMALL.least_side <= 64


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        (TemporalPatchConfig, {"channels": (8,)}, "patch_discriminator.channels is .* at least 2"),
        (ClassConfig, {"channels": (8, 0)}, r"channels is \(8, 0\); it must be finite, at least 1"),
        (ClassConfig, {"classes": -1}, "classes is -1; it must be finite, at least 0"),
        (ClassConfig, {"attend_after": 6}, r"attend_after is 6 for 6 layers; it must lie in 1\.\.5"),
    ],
)
def test_a_config_is_checked(kind: type, change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kind(**change)


def test_half_precision_works() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        for network in (TemporalPatchDiscriminator(PATCH), ClassDiscriminator(CLASS)):
            assert torch.isfinite(network(*clip())).all()


@pytest.mark.slow
@pytest.mark.parametrize("attention", [True, False])
def test_a_tiny_one_learns_the_classes_of_a_few_clips(attention: bool) -> None:
    frames, amodal = clip(b=4, t=3, size=(64, 64))
    labels = torch.tensor([0, 1, 3, CLASS.fake])
    network = ClassDiscriminator(replace(CLASS, attention=attention))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3, betas=(0.5, 0.9))
    loss = torch.tensor(0.0)
    for _ in range(300):
        loss = F.cross_entropy(network(frames, amodal), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


@pytest.mark.slow
def test_a_tiny_one_parts_a_real_clip_from_a_blurred_one() -> None:
    frames, amodal = clip(t=3, size=(64, 64))
    made = F.avg_pool3d(frames, (1, 5, 5), 1, (0, 2, 2))
    network = TemporalPatchDiscriminator(PATCH)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3, betas=(0.5, 0.9))
    loss = torch.tensor(0.0)
    for _ in range(200):
        loss = (1 - network(frames, amodal)).relu().mean() + (1 + network(made, amodal)).relu().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3
