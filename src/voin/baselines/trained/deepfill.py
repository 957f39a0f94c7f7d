"""The image network of DFVI and FGVC: free-form inpainting with gated convolutions and contextual attention (Yu et al.,
CVPR 2018; the gated form of ICCV 2019, which is the steadier one).

Each frame by itself, in two stages: a coarse one, whose result goes into the hole, and a fine one of two branches: one
dilated, one that borrows patches of features from what is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from voin.baselines.trained.network import check_sides, signed
from voin.core.config import Checked, setting
from voin.core.types import Frames, Masks

Maps = Float[Tensor, "n c h w"]

_FACTOR = 8
_DILATIONS = (2, 4, 8, 16)
_SHARPNESS = 10.0  # of the attention's softmax


@dataclass(frozen=True)
class DeepfillConfig(Checked):
    """The numbers of the image network."""

    channels: int = setting(16, "Of the finest grid; the next two have twice and four times as many.", least=2)


SMALL = DeepfillConfig()
PAPER = DeepfillConfig(channels=48)


class Gated(nn.Module):
    """A gated convolution: ELU(a) * sigmoid(b), both of one convolution; `enlarge` doubles the size before."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1, enlarge: bool = False
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, 2 * outputs, kernel, stride, (kernel - 1) * dilation // 2, dilation)
        self.enlarge = enlarge

    def forward(self, x: Maps) -> Float[Tensor, "n d y x"]:
        """Convolve."""
        if self.enlarge:
            x = F.interpolate(x, scale_factor=2.0)
        content, gate = self.convolution(x).chunk(2, dim=1)
        return F.elu(content) * torch.sigmoid(gate)


def _encoder(c: int, first: int, second: int) -> list[nn.Module]:
    """Go down to a quarter of the size; `first` and `second` are the channels of the layers that halve it.

    What comes in are colours, ones, the hole and, as the paper adds it, the visible mask.
    """
    return [
        *(Gated(6, c, 5), Gated(c, first, stride=2), Gated(first, 2 * c)),
        *(Gated(2 * c, second, stride=2), Gated(second, 4 * c), Gated(4 * c, 4 * c)),
    ]


def _dilated(c: int) -> list[nn.Module]:
    return [Gated(4 * c, 4 * c, dilation=d) for d in _DILATIONS]


def _decoder(inputs: int, c: int) -> list[nn.Module]:
    """Come up again to colours, without bounds."""
    return [
        *(Gated(inputs, 4 * c), Gated(4 * c, 4 * c), Gated(4 * c, 2 * c, enlarge=True), Gated(2 * c, 2 * c)),
        *(Gated(2 * c, c, enlarge=True), Gated(c, max(c // 2, 1)), nn.Conv2d(max(c // 2, 1), 3, 3, padding=1)),
    ]


class Deepfill(nn.Module):
    """Both stages."""

    def __init__(self, config: DeepfillConfig = SMALL) -> None:
        super().__init__()
        self.config = config
        c = config.channels
        self.coarse = nn.Sequential(*_encoder(c, 2 * c, 4 * c), *_dilated(c), *_decoder(4 * c, c))
        self.dilated = nn.Sequential(*_encoder(c, c, 2 * c), *_dilated(c))
        self.before = nn.Sequential(*_encoder(c, c, 2 * c))
        self.after = nn.Sequential(Gated(4 * c, 4 * c), Gated(4 * c, 4 * c))
        self.fine = nn.Sequential(*_decoder(8 * c, c))

    def both(self, frames: Frames, visible: Masks, hole: Masks) -> tuple[Frames, Frames]:
        """Make the colours of the coarse and of the fine stage, both of which learn; without bounds."""
        check_sides(frames, _FACTOR)
        b = len(frames)
        shown, masks, region = (
            rearrange(x, "b t c h w -> (b t) c h w")
            for x in (signed(frames, hole), torch.cat([torch.ones_like(hole), hole, visible], dim=2), hole)
        )
        # Clipped where it is looked at, not where it is compared: what lies beyond must find its way back.
        coarse = self.coarse(torch.cat([shown, masks], dim=1)).float()
        pasted = torch.cat([torch.where(region > 0.5, coarse.clamp(-1, 1), shown), masks], dim=1)
        borrowed = contextual_attention(self.before(pasted), F.max_pool2d(region, 4) > 0.5)
        features = torch.cat([self.dilated(pasted), self.after(borrowed)], dim=1)
        fine = self.fine(features).float()
        first, second = (rearrange((x + 1) / 2, "(b t) c h w -> b t c h w", b=b) for x in (coarse, fine))
        return first, second

    def forward(self, frames: Frames, visible: Masks, hole: Masks) -> Frames:
        """Make colours, as a `ColourNetwork` does, each frame by itself; sides are multiples of 8."""
        return self.both(frames, visible, hole)[1]


def contextual_attention(features: Maps, hole: Bool[Tensor, "n 1 h w"]) -> Maps:
    """Make features of those of known patches: each place borrows from those that look like it.

    Patches of 3x3 on the halved grid are compared by cosine; patches that touch the hole are not looked at, unless all
    do; matches of neighbours count for each other; what is borrowed are the 4x4 patches of the full grid.

    Args:
        features: (n, c, h, w), h and w even.
        hole: (n, 1, h, w).
    """
    h, w = features.shape[-2:]
    halved = features[..., ::2, ::2].float()
    patches = F.normalize(F.unfold(halved, 3, padding=1), dim=1)  # (n, 9c, places)
    scores = torch.einsum("n d q, n d k -> n q k", patches, patches)
    scores = _fuse(scores, h // 2, w // 2)
    touched = F.unfold(F.max_pool2d(hole.float(), 2), 3, padding=1).amax(dim=1) > 0  # (n, places)
    known = ~touched | touched.all(dim=1, keepdim=True)
    weight = (_SHARPNESS * scores).masked_fill(~known[:, None], -torch.inf).softmax(dim=2)
    whole = F.unfold(features.float(), 4, stride=2, padding=1)
    borrowed = torch.einsum("n q k, n d k -> n d q", weight, whole)
    # Each place lies in four patches, fewer at the border.
    total = F.fold(borrowed, (h, w), 4, stride=2, padding=1)
    return (total / F.fold(torch.ones_like(borrowed), (h, w), 4, stride=2, padding=1)).to(features)


def _fuse(scores: Float[Tensor, "n places places"], h: int, w: int) -> Float[Tensor, "n places places"]:
    """Add the scores of neighbours: where a place matches another, those beside both match, too. By row and column."""
    diagonal = torch.eye(3).to(scores).view(1, 1, 3, 3)
    for _ in range(2):
        summed = F.conv2d(scores[:, None], diagonal, padding=1)[:, 0]
        scores = rearrange(summed, "n (h w) (y x) -> n (w h) (x y)", h=h, y=h)
        h, w = w, h
    return scores
