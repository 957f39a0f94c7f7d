from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from voin.method.fill import layers
from voin.method.fill.layers import GatedShift, group_size, temporal_shift

SHIFTS, SHARE = (1, 2, 4), 0.5


def shifted_by_loops(features: Tensor, shifts: tuple[int, ...], share: float) -> Tensor:
    """What `temporal_shift` means, channel by channel and frame by frame."""
    b, t, c = features.shape[:3]
    size = int(c * share / (2 * len(shifts))) if shifts else 0
    sources = [0] * c
    for i, frames in enumerate(shifts):
        for k in range(size):
            sources[2 * i * size + k] = -frames
            sources[(2 * i + 1) * size + k] = frames
    result = torch.zeros_like(features)
    for clip in range(b):
        for i in range(t):
            for channel, move in enumerate(sources):
                if 0 <= i + move < t:
                    result[clip, i, channel] = features[clip, i + move, channel]
    return result


def layer(inputs: int = 24, outputs: int = 24, gating: bool = True, slope: float = 0.2, **more) -> GatedShift:
    return GatedShift(inputs, outputs, shifts=SHIFTS, share=SHARE, slope=slope, gating=gating, **more)


@pytest.mark.parametrize("t", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("channels", [3, 12, 25])
@pytest.mark.parametrize(("shifts", "share"), [((1,), 0.25), ((1, 2, 4), 0.5), ((3, 1), 1.0), ((), 0.5), ((2,), 0.0)])
def test_the_shift_is_what_plain_loops_give(t: int, channels: int, shifts: tuple[int, ...], share: float) -> None:
    features = torch.randn(2, t, channels, 3, 5)
    expected = shifted_by_loops(features, shifts, share)
    assert torch.equal(temporal_shift(features, shifts, share), expected)
    for part in (range(t), range(min(1, t - 1), t), range(t // 2, t // 2 + 1)):
        assert torch.equal(temporal_shift(features, shifts, share, part), expected[:, part.start : part.stop])


def test_the_shift_keeps_the_layout_of_channels_last() -> None:
    features = torch.randn(6, 24, 8, 8).contiguous(memory_format=torch.channels_last)
    shifted = temporal_shift(features.view(2, 3, 24, 8, 8), SHIFTS, SHARE)
    assert shifted.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_the_shift_reads_the_same_backwards_in_time_with_its_directions_exchanged() -> None:
    features = torch.randn(1, 7, 12, 2, 2)
    size = group_size(12, (2,), 1.0)
    swapped = torch.cat([features[:, :, size:], features[:, :, :size]], dim=2)
    there = temporal_shift(features, (2,), 1.0)
    back = temporal_shift(swapped.flip(1), (2,), 1.0).flip(1)
    assert torch.equal(there, torch.cat([back[:, :, size:], back[:, :, :size]], dim=2))


def test_the_gradient_of_the_shift_is_the_shift_back() -> None:
    features = torch.randn(1, 5, 6, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: temporal_shift(x, (1, 2), 0.9), features)


@pytest.mark.parametrize("gating", [True, False])
def test_a_layer_is_gate_times_features(gating: bool) -> None:
    # Paper 3.3.1, eq. 3-5, frame by frame.
    block = layer(24, 16, gating, slope=0.0)
    torch.nn.init.normal_(block.gate.bias)  # pyright: ignore[reportArgumentType]
    features, masks = torch.randn(2, 5, 24, 8, 10), torch.rand(2, 5, 2, 8, 10)
    moved = shifted_by_loops(features, SHIFTS, SHARE)
    result = block(features, masks)
    for clip in range(2):
        for i in range(5):
            gate = F.conv2d(features[clip, i][None], block.gate.weight, block.gate.bias, padding=1)
            if block.guide is not None:
                gate = gate + F.conv2d(masks[clip, i][None], block.guide.weight, padding=1)
            content = F.conv2d(moved[clip, i][None], block.content.weight, block.content.bias, padding=1)
            expected = content.relu() / (1 + torch.exp(-gate))
            assert torch.allclose(result[clip, i], expected[0], atol=1e-5)


def test_only_a_layer_that_keeps_its_shape_is_residual() -> None:
    features, masks = torch.randn(1, 3, 24, 8, 8), torch.rand(1, 3, 2, 8, 8)
    for block, residual in ((layer(), True), (layer(24, 12), False), (layer(stride=2), False)):
        torch.nn.init.zeros_(block.content.weight)
        result = block(features, masks)
        assert torch.equal(result, features if residual else torch.zeros_like(result))


def test_masks_open_and_close_the_gate_only_with_gating() -> None:
    features, masks = torch.randn(1, 3, 24, 8, 8), torch.zeros(1, 3, 2, 8, 8)
    for gating in (True, False):
        block = layer(gating=gating)
        changed = not torch.equal(block(features, masks), block(features, 1 - masks))
        assert changed == gating
        assert (block.guide is not None) == gating


@pytest.mark.parametrize(("stride", "dilation", "size"), [(1, 1, (8, 10)), (2, 1, (4, 5)), (1, 4, (8, 10))])
def test_sizes_are_kept_or_halved(stride: int, dilation: int, size: tuple[int, int]) -> None:
    block = layer(24, 7, stride=stride, dilation=dilation)
    assert block(torch.randn(2, 3, 24, 8, 10), torch.rand(2, 3, 2, 8, 10)).shape == (2, 3, 7, *size)


def test_clips_of_a_batch_do_not_mix() -> None:
    block = layer()
    features, masks = torch.randn(2, 6, 24, 8, 8), torch.rand(2, 6, 2, 8, 8)
    both = block(features, masks)
    for i in range(2):
        assert torch.allclose(both[i : i + 1], block(features[i : i + 1], masks[i : i + 1]), atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_some_frames_at_a_time_give_what_all_at_once_do(stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_PART", 2 * 3 * 24 * 8 * 8)
    block = layer(stride=stride)
    features, masks = torch.randn(2, 11, 24, 8, 8), torch.rand(2, 11, 2, 8, 8)
    with torch.no_grad():
        assert torch.allclose(block(features, masks), with_gradients(block, features, masks), atol=1e-5)


def with_gradients(block: GatedShift, features: Tensor, masks: Tensor) -> Tensor:
    """What a layer gives in training, where it works on all frames at once."""
    with torch.enable_grad():
        return block(features, masks).detach()


def test_a_layer_reaches_as_far_as_its_shifts() -> None:
    block = layer()
    features, masks = torch.randn(1, 11, 24, 8, 8), torch.rand(1, 11, 2, 8, 8)
    other = features.clone()
    other[:, 5] += 1
    changed = (block(features, masks) != block(other, masks))[0].flatten(1).any(dim=1).nonzero()[:, 0].tolist()
    assert changed == [1, 3, 4, 5, 6, 7, 9]


def test_gradients_reach_every_weight_and_the_input() -> None:
    block = layer()
    features = torch.randn(1, 6, 24, 8, 8, requires_grad=True)
    block(features, torch.rand(1, 6, 2, 8, 8)).square().sum().backward()
    assert features.grad is not None
    for name, weight in block.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name
