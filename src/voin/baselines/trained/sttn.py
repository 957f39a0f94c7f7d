"""STTN: learning joint spatial-temporal transformations (Zeng, Fu, Chao, ECCV 2020).

Frames are encoded one by one; eight blocks let patches of all frames look at each other, each head at a size of its
own, and patches that are mostly hole are not looked at; a decoder makes colours of what was found.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from voin.baselines.trained.network import NetworkPainting, check_sides, signed
from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.core.types import Frames, Masks
from voin.method.frames import over_frames
from voin.method.shape.attention import PatchAttention, Sizes

_SLOPE = 0.2
_FACTOR = 4  # pixels of a cell
# At inference: every fifth frame is a centre, with all frames as near to it and every tenth of the others beside them.
_NEAR, _APART = 5, 10


@dataclass(frozen=True)
class SttnConfig(Checked):
    """The numbers of STTN."""

    channels: tuple[int, ...] = setting(
        (32, 32, 64, 96), "Of the encoder's four layers; the last are those of the blocks.", least=1
    )
    blocks: int = setting(4, "Blocks of attention and convolutions.", least=1)
    patches: Sizes = setting(
        ((32, 32), (16, 16), (8, 8), (4, 4)), "(h, w) of each head's patches, in cells of 4 pixels.", least=1
    )
    hide: bool = setting(True, "Do not look at patches of which more than half is hole.")

    def check(self) -> None:
        """Refuse layers and heads that do not fit."""
        if len(self.channels) != 4 or self.channels[-1] % max(len(self.patches), 1):
            raise ValueRefusal(
                f"sttn.channels is {self.channels} for {len(self.patches)} heads",
                "it must be four numbers, the last a multiple of the heads",
                f"for instance {SttnConfig.channels}",
            )


SMALL = SttnConfig()
# As published, but for the patches: those are of frames of 432x240; these, as our shape network's, divide crops of
# 320x180 and frames of 384x216, and the first is all of either.
PAPER = SttnConfig((64, 64, 128, 256), 8, ((54, 96), (9, 16), (9, 8), (3, 8)))


class Block(nn.Module):
    """Attention among all frames, then convolutions in each; both are added to what comes in. No norms."""

    def __init__(self, channels: int, patches: Sizes) -> None:
        super().__init__()
        self.attention = PatchAttention(channels, patches)
        self.feed = nn.Sequential(
            *(nn.Conv2d(channels, channels, 3, padding=2, dilation=2), nn.LeakyReLU(_SLOPE)),
            *(nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(_SLOPE)),
        )

    def forward(
        self, x: Float[Tensor, "b t c h w"], hole: Float[Tensor, "b t 1 h w"] | None
    ) -> Float[Tensor, "b t c h w"]:
        """Return features of the same size."""
        x = x + F.leaky_relu(self.attention(x, hole), _SLOPE)
        return x + over_frames(self.feed, x)


class Sttn(nn.Module):
    """The generator: encoder, blocks, decoder."""

    def __init__(self, config: SttnConfig = SMALL) -> None:
        super().__init__()
        self.config = config
        # Paper 4.2: the visible mask is a further channel.
        layers = []
        for (inputs, outputs), stride in zip(pairwise((4, *config.channels)), (2, 1, 2, 1), strict=True):
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(_SLOPE)]
        self.encoder = nn.Sequential(*layers)
        first, _, middle, last = config.channels
        self.blocks = nn.ModuleList(Block(last, config.patches) for _ in range(config.blocks))
        self.decoder = nn.Sequential(
            *(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(last, middle, 3, padding=1)),
            *(nn.LeakyReLU(_SLOPE), nn.Conv2d(middle, first, 3, padding=1), nn.LeakyReLU(_SLOPE)),
            *(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(first, first, 3, padding=1)),
            *(nn.LeakyReLU(_SLOPE), nn.Conv2d(first, 3, 3, padding=1)),
        )
        # STTN draws all weights alike, of spread 0.02: with 256 channels signals keep their size. Narrower layers need
        # more for that, or nothing would come through eight blocks without a norm.
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                inputs = layer.weight[0].numel()
                nn.init.normal_(layer.weight, std=max(0.02, 1 / math.sqrt(inputs)))
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, frames: Frames, visible: Masks, hole: Masks) -> Frames:
        """Make colours, as a `ColourNetwork` does; frames in any order, sides multiples of 4."""
        check_sides(frames, _FACTOR)
        x = over_frames(self.encoder, torch.cat([signed(frames, hole), visible], dim=2))
        cells = over_frames(lambda masks: F.avg_pool2d(masks, _FACTOR), hole) if self.config.hide else None
        for block in self.blocks:
            x = block(x, cells)
        return (over_frames(self.decoder, x).float().tanh() + 1) / 2


class SttnPainting(NetworkPainting):
    """STTN over a clip of any length: groups around every fifth frame, with distant frames for reference."""

    kinds = ("sttn",)

    def generate(self, frames: Frames, visible: Masks, hole: Masks, touched: Bool[Tensor, " t"]) -> Frames:  # noqa: D102
        made, done = frames.clone(), torch.zeros_like(touched)
        for near, others in groups(len(touched)):
            if not touched[near].any():
                continue
            index = torch.tensor([*near, *others])
            found = self.network(frames[:, index], visible[:, index], hole[:, index])[:, : len(near)].to(made)
            # A frame of two groups is the mean of both, as published.
            for i, colours in zip(near, found.unbind(1), strict=True):
                made[:, i] = (made[:, i] + colours) / 2 if done[i] else colours
                done[i] = True
        return made


def groups(count: int) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the frames around each centre, and every tenth of those that are not among them."""
    for centre in range(0, count, _NEAR):
        near = [*range(max(centre - _NEAR, 0), min(centre + _NEAR + 1, count))]
        yield near, [i for i in range(0, count, _APART) if i not in near]
