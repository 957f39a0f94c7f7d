"""Layers of LGTSM (Chang, Liu, Lee, Hsu, BMVC 2019), from whose generator the paper adapts its own (4.1).

Every layer is a gated convolution over features that were shifted in time by kernels it learns, and there are no skips.
The baseline of that name is made of them, and so is `BaseGenerator`, which tells the gates of occlusions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from voin.core.resample import halve
from voin.method.frames import over_frames

Features = Float[Tensor, "b t c h w"]
Pair = Float[Tensor, "b t 2 h w"]


class LearnedShift(nn.Module):
    """Two groups of channels are filtered in time, each by one learned kernel that reaches so many frames both ways.

    The kernels start out as shifts: the first group comes from the frame after, the second from the frame before.
    Together they are a `share` of all channels.
    """

    def __init__(self, channels: int, reach: int = 1, share: float = 0.5) -> None:
        super().__init__()
        self.size, self.reach = int(channels * share / 2), reach
        kernels = torch.zeros(2, 2 * reach + 1)
        kernels[0, reach + 1] = kernels[1, reach - 1] = 1
        self.kernels = nn.Parameter(kernels)

    def forward(self, x: Features) -> Features:
        """Return features of the same size; what would come from outside the clip is 0."""
        moving, still = x.split([2 * self.size, x.shape[2] - 2 * self.size], dim=2)
        taps = self.kernels.to(x.dtype).repeat_interleave(self.size, dim=0).view(2 * self.size, -1, 1, 1)
        padded = F.pad(moving, (0, 0, 0, 0, 0, 0, self.reach, self.reach))
        t = x.shape[1]
        moved = sum(padded[:, i : i + t] * taps[:, i] for i in range(taps.shape[1]))
        return torch.cat([moved, still], dim=2)  # pyright: ignore[reportArgumentType, reportCallIssue]


class GatedLayer(nn.Module):
    """sigmoid(gate(x)) * LReLU(content(shift(x))): the gate sees each frame as it is.

    Args:
        inputs: channels.
        outputs: channels.
        kernel: side of the convolutions.
        stride: 2 halves height and width.
        dilation: of the convolutions.
        reach: of the shifts, in frames.
        share: of the channels that are shifted.
        slope: of the activation below zero.
        gain: what both are multiplied by where there is a norm; None for layers without spectral norm.
        guided: the gate is told masks, too (eq. 3 of the paper).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
        *,
        reach: int = 1,
        share: float = 0.5,
        slope: float = 0.2,
        gain: float | None = None,
        guided: bool = False,
    ) -> None:
        super().__init__()
        self.stride, self.slope = stride, slope
        self.shift = LearnedShift(inputs, reach, share)
        place = (kernel, stride, (kernel - 1) * dilation // 2, dilation)
        layers = [nn.Conv2d(inputs, outputs, *place) for _ in range(2)]
        self.content, self.gate = layers if gain is None else (spectral_norm(layer) for layer in layers)
        self.gain = 1.0 if gain is None else gain
        self.guide = nn.Conv2d(2, outputs, *place, bias=False) if guided else None

    def forward(self, x: Features, masks: Pair | None = None) -> Float[Tensor, "b t d y x"]:
        """Convolve over space and, by shifts, over time; the masks, for a guided gate, are occluded and amodal."""
        content = F.leaky_relu(over_frames(self.content, self.shift(x)) * self.gain, self.slope)
        gate = over_frames(self.gate, x)
        if self.guide is not None:
            assert masks is not None
            gate = gate + over_frames(self.guide, masks)
        return torch.sigmoid(gate) * content


class EncoderDecoder(nn.Module):
    """LGTSM's encoder-decoder on three grids; see `GatedLayer` for what `layers` are like."""

    factor = 4  # what height and width must be divisible by

    def __init__(
        self,
        inputs: int,
        channels: tuple[int, int, int],
        dilations: tuple[int, ...],
        *,
        reach: int = 1,
        share: float = 0.5,
        slope: float = 0.2,
        gain: float | None = None,
        guided: bool = False,
    ) -> None:
        super().__init__()
        fine, middle, coarse = channels

        def layer(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> GatedLayer:
            more = {"reach": reach, "share": share, "slope": slope, "gain": gain, "guided": guided}
            return GatedLayer(inputs, outputs, kernel, stride, dilation, **more)

        self.encoder = nn.Sequential(
            layer(inputs, fine, kernel=5),
            layer(fine, middle, kernel=4, stride=2),
            layer(middle, middle),
            layer(middle, coarse, kernel=4, stride=2),
            layer(coarse, coarse),
            layer(coarse, coarse),
        )
        self.middle = nn.Sequential(*(layer(coarse, coarse, dilation=d) for d in (*dilations, 1, 1)))
        self.up = nn.ModuleList([layer(coarse, middle), layer(middle, fine)])
        self.decode = nn.ModuleList([layer(middle, middle), layer(fine, fine // 2)])
        self.colours = nn.Conv2d(fine // 2, 3, 3, padding=1)
        self.guided = guided

    def decode_colours(self, x: Features, masks: Pair | None = None) -> Float[Tensor, "b t 3 h w"]:
        """Return colours without bounds, 0 for grey; the masks are at full size."""
        grids: list[Pair | None] = [None] * 3
        if self.guided:
            assert masks is not None
            half = over_frames(halve, masks)
            grids = [masks, half, over_frames(halve, half)]
        level = 0
        for layer in (*self.encoder, *self.middle):
            x = layer(x, grids[level])
            level += layer.stride == 2  # pyright: ignore[reportAttributeAccessIssue]
        for up, decode in zip(self.up, self.decode, strict=True):
            level -= 1
            x = up(over_frames(lambda maps: F.interpolate(maps, scale_factor=2.0), x), grids[level])
            x = decode(x, grids[level])
        return over_frames(self.colours, x).float()
