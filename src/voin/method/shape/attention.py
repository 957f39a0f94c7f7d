"""Attention over patches of all frames at once (paper 3.1, eq. 1 and 2, after STTN).

The channels are shared out among heads; each head cuts its share into patches of its own size, all frames together,
and each patch looks at all others. Small patches carry detail, large ones the object's whole outline.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Features = Float[Tensor, "b t c h w"]
Sizes = tuple[tuple[int, int], ...]


class PatchAttention(nn.Module):
    """Multi-head attention in which each head attends at its own patch size, (h, w) in cells of the features."""

    def __init__(self, channels: int, patches: Sizes) -> None:
        super().__init__()
        self.patches = patches
        self.query_key_value = nn.Conv2d(channels, 3 * channels, 1)
        with torch.no_grad():
            # Not in the paper: keys start out as the queries, so that patches first look at their like and at their own
            # place in other frames; from a random start, matching across time is learned late.
            weight = self.query_key_value.weight
            weight[channels : 2 * channels] = weight[:channels]
        # Paper eq. 1: "fc are convolutional layers merging the outputs from the k heads".
        self.merge = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Features, hidden: Float[Tensor, "b t 1 h w"] | None = None) -> Features:
        """Attend; any number of frames, any size. The order of the frames plays no part.

        Patches of which more than half is `hidden` are not looked at.
        """
        b = len(x)
        three = self.query_key_value(x.flatten(0, 1)).unflatten(0, (b, -1)).chunk(3, dim=2)
        query, key, value = (x.chunk(len(self.patches), dim=2) for x in three)
        heads = zip(query, key, value, self.patches, strict=True)
        attended = torch.cat([attend(*head, hidden) for head in heads], dim=2)
        return self.merge(attended.flatten(0, 1)).unflatten(0, (b, -1))


class TransformerLayer(nn.Module):
    """One layer: attention among all frames, then convolutions in each; without patches no frame sees another."""

    def __init__(self, channels: int, patches: Sizes) -> None:
        super().__init__()
        self.attention = None
        if patches:
            # Not in STTN: norms, because eight layers without them are slow to start.
            self.norm = nn.GroupNorm(1, channels)
            self.attention = PatchAttention(channels, patches)
        self.feed = nn.Sequential(
            *(nn.GroupNorm(1, channels), nn.Conv2d(channels, channels, 3, padding=2, dilation=2), nn.GELU()),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Features) -> Features:
        """Return features of the same size."""
        b = len(x)
        if self.attention is not None:
            x = x + self.attention(self.norm(x.flatten(0, 1)).unflatten(0, (b, -1)))
        return x + self.feed(x.flatten(0, 1)).unflatten(0, (b, -1))


def attend(
    query: Features,
    key: Features,
    value: Features,
    patch: tuple[int, int],
    hidden: Float[Tensor, "b t 1 h w"] | None = None,
) -> Features:
    """Let the patches of all frames look at each other (eq. 2); zeros fill the last ones up.

    Patches whose mean of `hidden` is above 0.5 are not looked at, unless all are.
    """
    c, h, w = query.shape[2:]
    y, x = patch
    # Not in the paper: patches larger than the features shrink to them, because coarse grids differ in size.
    y, x = min(y, h), min(x, w)
    pad = (0, -w % x, 0, -h % y)

    # No einops: what it works out from sizes cannot be traced for other runtimes.
    def cut(features: Features) -> Float[Tensor, "b patches numbers"]:
        cells = F.pad(features, pad).unflatten(4, (-1, x)).unflatten(3, (-1, y))  # b t c h y w x
        return cells.permute(0, 1, 3, 5, 2, 4, 6).flatten(4).flatten(1, 3)

    q, k, v = cut(query), cut(key), cut(value)
    # Paper eq. 2 as printed divides by the root of d_k after the softmax; the scaled dot product is meant.
    shown = None
    if hidden is not None:
        shown = cut(hidden).mean(dim=2) <= 0.5
        shown = (shown | ~shown.any(dim=1, keepdim=True))[:, None, None]
    out = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None], shown)[:, 0]
    cells = out.unflatten(2, (c, y, x)).unflatten(1, (-1, (h + pad[3]) // y, (w + pad[1]) // x))  # b t h w c y x
    return cells.permute(0, 1, 4, 2, 5, 3, 6).flatten(5).flatten(3, 4)[..., :h, :w]
