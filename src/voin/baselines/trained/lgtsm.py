"""LGTSM: learnable gated temporal shift module for deep video inpainting (Chang, Liu, Lee, Hsu, BMVC 2019).

One encoder-decoder without skips, whose every layer is a gated convolution over features that were shifted in time by
kernels it learns. The paper's own generator is adapted from it, and BI of its Table 4 is this network: so its layers
stand with the method (`voin.method.fill.lgtsm`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool
from torch import Tensor

from voin.baselines.trained.network import NetworkPainting, check_sides, signed
from voin.core.config import Checked, setting
from voin.core.types import Frames, Masks
from voin.method.fill.lgtsm import EncoderDecoder
from voin.method.frames import cut_groups

# At inference clips go through in groups of so many frames.
_GROUP, _OVERLAP = 32, 8


@dataclass(frozen=True)
class LgtsmConfig(Checked):
    """The numbers of LGTSM."""

    channels: int = setting(16, "Of the finest grid; the next two have twice and four times as many.", least=4)
    dilations: tuple[int, ...] = setting((2, 4, 8, 16), "Of the layers in the middle.", unit="cells", least=1)
    normed: bool = setting(True, "Spectral norm on all layers but the last.")
    # Not as published: bounded by the norm and halved by each gate, signals fade to nothing over sixteen layers, and
    # many thousand steps go by until they come through. Long runs can afford that, short ones cannot.
    gain: float = setting(
        2.0, "What each normed layer is multiplied by, so that signals come through; 1 as published.", above=0
    )


SMALL = LgtsmConfig()
PAPER = LgtsmConfig(channels=64, gain=1.0)


class Lgtsm(EncoderDecoder):
    """The generator."""

    def __init__(self, config: LgtsmConfig = SMALL) -> None:
        fine, middle, coarse = (config.channels * n for n in (1, 2, 4))
        gain = config.gain if config.normed else None
        super().__init__(5, (fine, middle, coarse), config.dilations, gain=gain)
        self.config = config

    def forward(self, frames: Frames, visible: Masks, hole: Masks) -> Frames:
        """Make colours, as a `ColourNetwork` does; without bounds. Sides are multiples of 4."""
        check_sides(frames, self.factor)
        # Paper 4.2: the visible mask goes into the channel that LGTSM keeps for guidance.
        return (self.decode_colours(torch.cat([signed(frames, hole), hole, visible], dim=2)) + 1) / 2


class LgtsmPainting(NetworkPainting):
    """LGTSM over a clip of any length: in groups of frames, of which neighbours share some; there both count half."""

    kinds = ("lgtsm",)

    def generate(self, frames: Frames, visible: Masks, hole: Masks, touched: Bool[Tensor, " t"]) -> Frames:  # noqa: D102
        made, count = torch.zeros_like(frames), frames.new_zeros(len(touched))
        for group in cut_groups(range(len(touched)), _GROUP, _OVERLAP):
            part = slice(group.start, group.stop)
            if touched[part].any():
                made[:, part] += self.network(frames[:, part], visible[:, part], hole[:, part])
                count[part] += 1
        return made / rearrange(count.clamp(min=1), "t -> t 1 1 1")
