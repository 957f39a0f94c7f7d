"""PCNet-C: content completed without any annotation of whole objects (Zhan et al., CVPR 2020).

A U-Net of partial convolutions: each looks at known pixels alone, and what it reaches is known to the next. It learns
from what another object's mask has cut out of the visible object.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import gcd

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from voin.baselines.trained.network import signed
from voin.baselines.trained.rounds import ImagePainting
from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.core.types import Frames, Masks
from voin.method.frames import over_frames

Maps = Float[Tensor, "n c h w"]
_GROUPS = 8  # of the norms


@dataclass(frozen=True)
class PcnetCConfig(Checked):
    """The numbers of PCNet-C."""

    channels: tuple[int, ...] = setting((16, 32, 64, 128, 128), "Of the levels; each halves the size.", least=1)
    kernels: tuple[int, ...] = setting((7, 5, 3, 3, 3), "Sides of the encoder's kernels, odd.", least=1)

    def check(self) -> None:
        """Refuse levels and kernels that do not fit each other."""
        if len(self.kernels) != len(self.channels) or any(side % 2 == 0 for side in self.kernels):
            raise ValueRefusal(
                f"kernels is {self.kernels} for {len(self.channels)} levels",
                "it must hold one odd number a level",
                "use 3 where none is chosen",
            )


SMALL = PcnetCConfig()
PAPER = PcnetCConfig((64, 128, 256, 512, 512, 512, 512), (7, 5, 5, 3, 3, 3, 3))


class PartialConvolution(nn.Module):
    """A convolution over known pixels alone, made up for by how many these are (Liu et al., ECCV 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.padding = stride, kernel // 2
        self.weight = nn.Parameter(nn.init.kaiming_normal_(torch.empty(outputs, inputs, kernel, kernel), a=0.2))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(
        self, x: Maps, known: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, "n d y x"], Float[Tensor, "n 1 y x"]]:
        """Convolve, and say where something is known now; `known` is of each channel."""
        # The share of the window that is known, over all channels.
        kernel = known.new_full((1, 1, *self.weight.shape[2:]), 1 / self.weight[0, 0].numel())
        with torch.no_grad():
            share = F.conv2d(known.mean(dim=1, keepdim=True), kernel, stride=self.stride, padding=self.padding)
            reached = (share > 1e-6).to(share)
        made = F.conv2d(x * known, self.weight, stride=self.stride, padding=self.padding) / share.clamp(min=1e-6)
        return (made + self.bias[:, None, None]) * reached, reached


class PcnetC(nn.Module):
    """Encoder and decoder with skips, of colours and of the object's mask."""

    def __init__(self, config: PcnetCConfig = SMALL) -> None:
        super().__init__()
        self.config = config
        widths = (4, *config.channels)
        self.down = nn.ModuleList(
            PartialConvolution(a, b, side, 2) for (a, b), side in zip(pairwise(widths), config.kernels, strict=True)
        )
        # Not as published: norms are over groups of channels, so that clips of a batch do not mix. The first has none.
        self.down_norms = nn.ModuleList([nn.Identity(), *(_norm(c) for c in config.channels[1:])])
        pairs = [(widths[i + 1] + widths[i], widths[i] if i else 3) for i in reversed(range(len(config.channels)))]
        self.up = nn.ModuleList(PartialConvolution(a, b, 3) for a, b in pairs)
        self.up_norms = nn.ModuleList(_norm(b) for _, b in pairs[:-1])
        nn.init.normal_(self.up[-1].weight, std=0.01)  # pyright: ignore[reportArgumentType] - at first it makes grey

    def forward(self, frames: Frames, visible: Masks, hole: Masks) -> Frames:
        """Make colours, as a `ColourNetwork` does, each frame by itself; of any size, without bounds."""
        return (over_frames(self._picture, torch.cat([signed(frames, hole), visible, 1 - hole], dim=2)) + 1) / 2

    def _picture(self, x: Float[Tensor, "n 5 h w"]) -> Float[Tensor, "n 3 h w"]:
        grids: list[tuple[Tensor, Tensor]] = [(x[:, :4], x[:, 4:].expand(-1, 4, -1, -1))]
        for layer, norm in zip(self.down, self.down_norms, strict=True):
            made, reached = layer(*grids[-1])
            grids.append((F.relu(norm(made)), reached.expand_as(made)))
        x, known = grids.pop()
        for i, layer in enumerate(self.up):
            skip, there = grids.pop()
            size = skip.shape[-2:]
            x, known = (F.interpolate(maps, size=size, mode="nearest") for maps in (x, known))
            x, reached = layer(torch.cat([x, skip], dim=1), torch.cat([known, there], dim=1))
            known = reached.expand_as(x)
            if i < len(self.up_norms):
                x = F.leaky_relu(self.up_norms[i](x), 0.2)
        return x.float()


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(gcd(_GROUPS, channels), channels)


class PcnetCPainting(ImagePainting):
    """PCNet-C in the pipeline: each frame that is needed, alone."""

    kinds = ("pcnet-c",)
