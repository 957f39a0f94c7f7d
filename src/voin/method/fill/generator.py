"""Appearance: invent the hidden pixels that no frame shows (paper 3.3.1, eq. 3-5; Figures 3 and 4; Table 4).

An encoder-decoder of occlusion-aware gated temporal-shift convolutions with a dilated middle. What is missing begins as
the object's own colours, spread smoothly; the network adds to them what it knows of this object and of others.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from voin.core.diffuse import diffuse
from voin.core.errors import ValueRefusal
from voin.core.resample import halve
from voin.core.types import Frames, Masks
from voin.method.fill.layers import GatedShift


@dataclass(frozen=True)
class GeneratorConfig:
    """The numbers of the generator.

    Args:
        channels: of the grids from fine to coarse; each has half the size of the one before.
        dilations: of the layers on the coarsest grid, in its pixels.
        shifts: how far channels move in time, frames, both ways.
        share: part of the channels that moves, in [0, 1]; a grid of too few channels for its groups shifts none.
        slope: of the activation below zero; 0 is ReLU.
        gating: tell the gates what is occluded and what is the object; False is plain gating (Table 4, BI).
        smooth_start: hidden pixels start from the object's own colours, smoothly spread; False starts from nothing.
        classes: categories that the network can be told, besides 0 for "an object"; with 0 it is told none, which is
            better where each is seen in few videos: then it learns these by heart.
        weigh: judge by their looks how far propagated pixels count against generated ones; False takes the confidence
            of their tracks as it is.
        keep: weight that propagated pixels have at least, where they are weighed. They are sharp where generated ones
            are smooth: the more they count, the more the result looks like the object, and the farther it may be from
            the truth in the mean.
    """

    channels: tuple[int, ...] = (12, 24, 64, 160)
    dilations: tuple[int, ...] = (1, 2, 4, 8, 2, 1)
    shifts: tuple[int, ...] = (1, 2, 4)
    share: float = 0.4
    slope: float = 0.2
    gating: bool = True
    smooth_start: bool = True
    classes: int = 0
    weigh: bool = True
    keep: float = 0.3

    def __post_init__(self) -> None:
        for name, least in (("channels", 2), ("dilations", 1), ("shifts", 0)):
            values = getattr(self, name)
            if len(values) < least or any(value < 1 for value in values):
                raise ValueRefusal(
                    f"generator.{name} is {values}",
                    f"it must be at least {least} whole numbers from 1 on",
                    f"for instance {getattr(GeneratorConfig, name)}",
                )
        for name in ("share", "slope", "keep"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueRefusal(
                    f"generator.{name} is {getattr(self, name)}",
                    "it must lie in [0, 1]",
                    f"for instance {getattr(GeneratorConfig, name)}",
                )
        if self.classes < 0:
            raise ValueRefusal(
                f"generator.classes is {self.classes}", "it must be 0 or more", "with 0 the network is told no category"
            )

    @property
    def factor(self) -> int:
        """What height and width must be divisible by."""
        return 2 ** (len(self.channels) - 1)


# Tracks' confidence is taken for at least so far from 0 and 1 where it is judged anew.
_LEAST_DOUBT = 0.02
SMALL = GeneratorConfig()
# As the generator of LGTSM (Chang et al., BMVC 2019), from which the paper adapts its own: a grid of a quarter of the
# frame's size in the middle, dilations up to 16, ReLU.
PAPER = GeneratorConfig(
    channels=(64, 128, 256),
    dilations=(1, 1, 2, 4, 8, 16, 1, 1),
    shifts=(1, 2),
    share=0.5,
    slope=0.0,
    smooth_start=False,
    classes=0,
    weigh=False,
)


class Generator(nn.Module):
    """Encoder-decoder in which every convolution but the last is a `GatedShift`."""

    def __init__(self, config: GeneratorConfig = SMALL) -> None:
        super().__init__()
        self.config = config
        channels, levels = config.channels, range(1, len(config.channels))
        # Colours; what is visible, occluded, missing, and how far it is believed; the colours it starts from.
        self.stem = self._layer(3 + 4 + 3 * config.smooth_start, channels[0])
        self.down = nn.ModuleList(self._layer(channels[i - 1], channels[i], stride=2) for i in levels)
        self.encode = nn.ModuleList(self._layer(channels[i], channels[i]) for i in levels[:-1])
        self.category = nn.Embedding(config.classes + 1, channels[-1]) if config.classes else None
        self.middle = nn.ModuleList(self._layer(channels[-1], channels[-1], dilation=d) for d in config.dilations)
        self.up = nn.ModuleList(self._layer(channels[i], channels[i - 1]) for i in reversed(levels))
        self.decode = nn.ModuleList(self._layer(channels[i - 1], channels[i - 1]) for i in reversed(levels))
        self.colours = nn.Conv2d(channels[0], 3, 3, padding=1)
        # At first no category differs from "an object", and little is added to the colours it starts from.
        if self.category is not None:
            nn.init.zeros_(self.category.weight)
        nn.init.normal_(self.colours.weight, std=0.01)
        nn.init.zeros_(self.colours.bias)  # pyright: ignore[reportArgumentType]
        self.balance = nn.Conv2d(channels[0], 1, 3, padding=1) if config.weigh else None
        if self.balance is not None:
            # At first tracks are believed as they say.
            for each in self.balance.parameters():
                nn.init.zeros_(each)

    def _layer(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> GatedShift:
        c = self.config
        return GatedShift(
            inputs,
            outputs,
            shifts=c.shifts,
            share=c.share,
            slope=c.slope,
            gating=c.gating,
            stride=stride,
            dilation=dilation,
        )

    def forward(
        self,
        frames: Frames,
        visible: Masks,
        amodal: Masks,
        confidence: Masks,
        category: Int[Tensor, " b"] | None = None,
    ) -> tuple[Frames, Masks]:
        """Give colours for every pixel, and how far `frames` count against them.

        Args:
            frames: (b, t, 3, h, w) in [0, 1], propagated pixels in place; colours of missing pixels are not looked at.
            visible: (b, t, 1, h, w) in [0, 1]; above 0.5 the object is visible.
            amodal: (b, t, 1, h, w) in [0, 1]; above 0.5 is the object.
            confidence: (b, t, 1, h, w) in [0, 1]; counts inside `amodal`, outside `visible`, where 0 is missing.
            category: (b,) in 0..classes, 0 is "an object"; None is 0; not looked at where `config.classes` is 0.

        Returns:
            Colours (b, t, 3, h, w) in [0, 1], and the weight of `frames` (b, t, 1, h, w) in [0, 1]: 0 where missing, 1
            where nothing is hidden or `confidence` is 1.

        Raises:
            ValueError: height or width is not divisible by `config.factor`.
        """
        self._check(frames, category)
        b = len(frames)
        hidden, missing = part_hidden(visible, amodal, confidence)
        known = torch.where(missing, 0.5, frames)  # grey is zero to the network

        masks = [torch.cat([hidden.to(known), amodal], dim=2)]  # paper eq. 3: occluded and amodal
        for _ in self.down:
            masks.append(over_frames(halve, masks[-1]))
        trust = torch.where(hidden, confidence, 1.0)
        seen = [2 * known - 1, visible, hidden.to(known), missing.to(known), trust]
        start = None
        if self.config.smooth_start:
            # Not in the paper: a smooth start, because with few training clips what classical filling reaches is a long
            # way; so an untrained network fills as voin.method.fill.inpaint does, but for the rim.
            start = torch.where(hidden, spread_colours(known, hidden, amodal, confidence).to(frames), frames)
            seen.append(2 * start - 1)
        inputs = torch.cat(seen, dim=2)
        inputs = over_frames(lambda x: x.contiguous(memory_format=torch.channels_last), inputs)

        skips = [self.stem(inputs, masks[0])]
        for i, down in enumerate(self.down):
            features = down(skips[-1], masks[i])
            skips.append(self.encode[i](features, masks[i + 1]) if i < len(self.encode) else features)
        features = skips.pop()
        if self.category is not None:
            # Not in the paper: the category, because where nothing of the kind was seen it tells what to expect.
            index = torch.zeros(b, dtype=torch.long, device=frames.device) if category is None else category
            features = features + self.category(index)[:, None, :, None, None].to(features)
        for middle in self.middle:
            features = middle(features, masks[-1])
        for up, decode in zip(self.up, self.decode, strict=True):
            features, skip = up(features, masks[len(skips)]), skips.pop()
            # Nearest neighbours and then a convolution: each pixel is made of equally many, so no checkerboard.
            features = over_frames(lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), features) + skip
            features = decode(features, masks[len(skips)])
        colours = over_frames(self.colours, features).float()
        if start is not None:
            colours = colours + torch.logit(start.float(), eps=0.01)
        return torch.sigmoid(colours).to(frames.dtype), self._weigh(features, trust, missing)

    def _weigh(self, features: Tensor, trust: Masks, missing: Bool[Tensor, "b t 1 h w"]) -> Masks:
        """Say how far the frames count."""
        if self.balance is None:
            return trust
        # Not in the paper, which takes propagated pixels as they are: a track may hold and lead astray all the same,
        # and then what it brought does not go with what is around it.
        change = over_frames(self.balance, features).float()
        weight = torch.sigmoid(torch.logit(trust.float(), eps=_LEAST_DOUBT) + change).to(trust)
        weight = self.config.keep + (1 - self.config.keep) * weight
        return torch.where(missing, 0.0, torch.where(trust < 1, weight, trust))

    def _check(self, frames: Frames, category: Tensor | None) -> None:
        factor = self.config.factor
        for name, size in zip(("height", "width"), frames.shape[-2:], strict=True):
            if size % factor:
                raise ValueRefusal(
                    f"frames have a {name} of {size} pixels",
                    f"it must be a multiple of {factor} for this generator",
                    "pad the frames, or use NetworkFill, which does",
                )
        if self.category is None or category is None:
            return
        if not 0 <= int(category.min()) <= int(category.max()) <= self.config.classes:
            raise ValueRefusal(
                f"category is {category.tolist()}",
                f"it must lie in 0..{self.config.classes}, where 0 is 'an object'",
                "give 0 for what the network was not trained for",
            )


def part_hidden(
    visible: Masks, amodal: Masks, confidence: Masks
) -> tuple[Bool[Tensor, "b t 1 h w"], Bool[Tensor, "b t 1 h w"]]:
    """Say which pixels of the object are hidden, and which of these are missing: nothing was propagated to them."""
    hidden = (amodal > 0.5) & (visible <= 0.5)
    return hidden, hidden & (confidence <= 0)


@torch.no_grad()
def spread_colours(known: Frames, hidden: Bool[Tensor, "b t 1 h w"], amodal: Masks, confidence: Masks) -> Frames:
    """Spread the object's colours smoothly over its hidden part, as far as they are believed; no gradient flows.

    Args:
        known: (b, t, 3, h, w) in [0, 1]; missing pixels do not count.
        hidden: (b, t, 1, h, w), the hidden part of the object.
        amodal: (b, t, 1, h, w) in [0, 1]; above 0.5 is the object.
        confidence: (b, t, 1, h, w) in [0, 1], how far hidden pixels are believed.

    Returns:
        (b, t, 3, h, w) in [0, 1]; outside the object its mean colour over the clip.
    """
    with torch.autocast(known.device.type, enabled=False):
        inside = amodal > 0.5
        # Visible pixels at the rim of the hidden region hold some of the occluder's colour.
        rim = over_frames(lambda x: F.max_pool2d(x, 3, stride=1, padding=1), hidden.float()) > 0
        weight = torch.where(hidden, confidence.float(), (inside & ~rim).float())
        known = known.float()
        total = weight.sum((1, 3, 4), keepdim=True)
        # Where nothing at all is known, the mean is grey.
        mean = ((known * weight).sum((1, 3, 4), keepdim=True) + 0.5e-3) / (total + 1e-3)
        pictures = [rearrange(x, "b t c h w -> (b t) c h w") for x in (known - mean, weight, inside)]
        smooth = diffuse(pictures[0], pictures[1], pictures[2], smooth=1.0, fade=0.001)
        return (rearrange(smooth, "(b t) c h w -> b t c h w", b=len(known)) + mean).clamp(0, 1)


def over_frames(function, clip: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t c2 h2 w2"]:
    """Apply a function of single pictures, (n, c, h, w), to each frame."""
    return rearrange(function(rearrange(clip, "b t c h w -> (b t) c h w")), "(b t) c h w -> b t c h w", b=len(clip))
