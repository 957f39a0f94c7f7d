from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from voin.method.shape.attention import PatchAttention, TransformerLayer, attend


def plain(query: Tensor, key: Tensor, value: Tensor, patch: tuple[int, int]) -> Tensor:
    """Eq. 2, patch by patch, for (b, t, c, h, w) that the patches divide."""
    y, x = patch
    b, t, _, h, w = query.shape
    places = [(i, j, k) for i in range(t) for j in range(0, h, y) for k in range(0, w, x)]
    out = torch.zeros_like(value)
    for n in range(b):
        for i, j, k in places:
            here = query[n, i, :, j : j + y, k : k + x]
            scores = [
                (here * key[n, p, :, q : q + y, r : r + x]).sum().item() / math.sqrt(here.numel()) for p, q, r in places
            ]
            weights = [math.exp(score - max(scores)) for score in scores]
            for weight, (p, q, r) in zip(weights, places, strict=True):
                seen = value[n, p, :, q : q + y, r : r + x]
                out[n, i, :, j : j + y, k : k + x] += weight / sum(weights) * seen
    return out


@pytest.mark.parametrize("patch", [(1, 1), (2, 2), (2, 3), (4, 6)])
def test_attention_is_a_plain_softmax_over_the_patches_of_all_frames(patch: tuple[int, int]) -> None:
    query, key, value = torch.randn(3, 2, 3, 2, 4, 6, dtype=torch.float64)
    assert torch.allclose(attend(query, key, value, patch), plain(query, key, value, patch))


def test_patches_that_do_not_divide_the_features_see_zeros_beyond_them() -> None:
    three = torch.randn(3, 1, 2, 2, 3, 5, dtype=torch.float64)
    padded = torch.zeros(3, 1, 2, 2, 4, 6, dtype=torch.float64)
    padded[..., :3, :5] = three
    expected = plain(padded[0], padded[1], padded[2], (2, 3))[..., :3, :5]
    assert torch.allclose(attend(three[0], three[1], three[2], (2, 3)), expected)


def test_patches_larger_than_the_features_are_the_whole_frame() -> None:
    three = torch.randn(3, 1, 3, 2, 4, 6)
    assert torch.equal(attend(three[0], three[1], three[2], (9, 9)), attend(three[0], three[1], three[2], (4, 6)))


def test_each_head_has_its_own_channels_and_patch_size() -> None:
    attention = PatchAttention(4, ((1, 1), (2, 2))).double()
    x = torch.randn(1, 2, 4, 4, 4, dtype=torch.float64)
    three = attention.query_key_value(x[0]).view(2, 3, 4, 4, 4)[None]
    heads = [
        plain(three[:, :, 0, part], three[:, :, 1, part], three[:, :, 2, part], patch)
        for part, patch in ((slice(0, 2), (1, 1)), (slice(2, 4), (2, 2)))
    ]
    assert torch.allclose(attention(x)[0], attention.merge(torch.cat(heads, dim=2)[0]))


def test_attention_is_differentiable() -> None:
    three = torch.randn(3, 1, 2, 1, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: attend(x[0], x[1], x[2], (2, 2)), three)


def test_a_layer_without_patches_keeps_frames_apart() -> None:
    alone, together = TransformerLayer(4, ()), TransformerLayer(4, ((2, 2),))
    x = torch.randn(1, 2, 4, 6, 6)
    other = x.clone()
    other[:, 1] = 0
    assert torch.equal(alone(x)[:, 0], alone(other)[:, 0])
    assert not torch.allclose(together(x)[:, 0], together(other)[:, 0])
