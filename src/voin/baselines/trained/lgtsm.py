"""LGTSM: learnable gated temporal shift module for deep video inpainting (Chang, Liu, Lee, Hsu, BMVC 2019).

One encoder-decoder without skips, whose every layer is a gated convolution over features that were shifted in time by
kernels it learns. The paper's own generator is adapted from it, and BI of its Table 4 is this network.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from voin.baselines.trained.network import NetworkPainting, check_sides, signed
from voin.core.config import Checked, setting
from voin.core.types import Frames, Masks
from voin.method.frames import cut_groups, over_frames

Features = Float[Tensor, "b t c h w"]

_SLOPE = 0.2
_FACTOR = 4
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


class LearnedShift(nn.Module):
    """Two groups of a quarter of the channels each are filtered in time, each by one learned kernel of 3 taps.

    The kernels start out as shifts: the first group comes from the frame after, the second from the frame before.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.size = channels // 4
        self.kernels = nn.Parameter(torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))

    def forward(self, x: Features) -> Features:
        """Return features of the same size; what would come from outside the clip is 0."""
        moving, still = x.split([2 * self.size, x.shape[2] - 2 * self.size], dim=2)
        taps = self.kernels.to(x.dtype).repeat_interleave(self.size, dim=0).view(-1, 3, 1, 1)
        padded = F.pad(moving, (0, 0, 0, 0, 0, 0, 1, 1))
        t = x.shape[1]
        moved = sum(padded[:, i : i + t] * taps[:, i] for i in range(3))
        return torch.cat([moved, still], dim=2)  # pyright: ignore[reportArgumentType, reportCallIssue]


class GatedLayer(nn.Module):
    """sigmoid(gate(x)) * LReLU(content(shift(x))): the gate sees each frame as it is."""

    def __init__(
        self, config: LgtsmConfig, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.shift = LearnedShift(inputs)
        padding = (kernel - 1) * dilation // 2
        layers = [nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation) for _ in range(2)]
        self.content, self.gate = (spectral_norm(layer) for layer in layers) if config.normed else layers
        self.gain = config.gain if config.normed else 1.0

    def forward(self, x: Features) -> Float[Tensor, "b t d y x"]:
        """Convolve over space and, by shifts, over time."""
        content = F.leaky_relu(over_frames(self.content, self.shift(x)) * self.gain, _SLOPE)
        return torch.sigmoid(over_frames(self.gate, x)) * content


class Lgtsm(nn.Module):
    """The generator."""

    def __init__(self, config: LgtsmConfig = SMALL) -> None:
        super().__init__()
        self.config = config
        fine, middle, coarse = (config.channels * n for n in (1, 2, 4))

        def layer(inputs: int, outputs: int, **more: int) -> GatedLayer:
            return GatedLayer(config, inputs, outputs, **more)

        self.encoder = nn.Sequential(
            layer(5, fine, kernel=5),
            layer(fine, middle, kernel=4, stride=2),
            layer(middle, middle),
            layer(middle, coarse, kernel=4, stride=2),
            layer(coarse, coarse),
            layer(coarse, coarse),
        )
        self.middle = nn.Sequential(*(layer(coarse, coarse, dilation=d) for d in (*config.dilations, 1, 1)))
        self.up = nn.ModuleList([layer(coarse, middle), layer(middle, fine)])
        self.decode = nn.ModuleList([layer(middle, middle), layer(fine, fine // 2)])
        self.colours = nn.Conv2d(fine // 2, 3, 3, padding=1)

    def forward(self, frames: Frames, visible: Masks, hole: Masks) -> Frames:
        """Make colours, as a `ColourNetwork` does; without bounds. Sides are multiples of 4."""
        check_sides(frames, _FACTOR)
        # Paper 4.2: the visible mask goes into the channel that LGTSM keeps for guidance.
        x = self.middle(self.encoder(torch.cat([signed(frames, hole), hole, visible], dim=2)))
        for up, decode in zip(self.up, self.decode, strict=True):
            x = decode(up(over_frames(lambda maps: F.interpolate(maps, scale_factor=2.0), x)))
        return (over_frames(self.colours, x).float() + 1) / 2


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
