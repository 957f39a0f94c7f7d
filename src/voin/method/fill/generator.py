"""Appearance: invent the hidden pixels that no frame shows (paper 3.3.1, eq. 3-5; Figures 3 and 4; Table 4).

An encoder-decoder of occlusion-aware gated temporal-shift convolutions with a dilated middle. What is missing begins as
the object's own colours, spread smoothly; the network adds to them what it knows of this object and of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor, nn

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.core.resample import halve
from voin.core.types import Frames, Masks
from voin.method.fill.colours import part_hidden, spread_colours, with_gradient_of
from voin.method.fill.layers import GatedShift
from voin.method.fill.lgtsm import EncoderDecoder
from voin.method.fill.references import Cells, References, choose_frames
from voin.method.frames import Layers, over_frames
from voin.method.stages import Propagation

Categories = Int[Tensor, " b"]


@dataclass(frozen=True)
class GeneratorConfig(Checked):
    """The numbers of the generator."""

    channels: tuple[int, ...] = setting(
        (12, 24, 64, 160), "Channels of the grids from fine to coarse, at least two; each halves the size.", least=1
    )
    dilations: tuple[int, ...] = setting(
        (1, 2, 4, 8, 2, 1), "Dilations of the layers on the coarsest grid, at least one, in its pixels.", least=1
    )
    shifts: tuple[int, ...] = setting((1, 2, 4), "How far channels move in time, both ways.", unit="frames", least=1)
    share: float = setting(
        0.4, "Part of the channels that moves; a grid of too few channels for its groups moves none.", least=0, most=1
    )
    slope: float = setting(0.2, "Slope of the activation below zero; 0 is ReLU.", least=0, most=1)
    gating: bool = setting(
        True, "Tell the gates what is occluded and what is the object; plain gating if not (Table 4, BI)."
    )
    smooth_start: bool = setting(
        True, "Start hidden pixels from the object's own colours, smoothly spread; from nothing if not."
    )
    # None, because the network learns by heart the classes of which it sees few videos.
    classes: int = setting(0, "Categories that the network can be told, besides 0 for an object.", least=0)
    weigh: bool = setting(
        True, "Judge by their looks how far propagated pixels count; if not, by the confidence of their tracks."
    )
    # They are sharp where generated ones are smooth: the more they count, the more the result looks like the object,
    # and the farther it may be from the truth in the mean.
    keep: float = setting(0.3, "Least weight of propagated pixels, where they are weighed.", least=0, most=1)
    references: int = setting(
        0, "Frames of the clip, near or far, in which hidden pixels look for their place on the object.", least=0
    )
    hard: bool = setting(
        False, "Take propagated pixels as they are: known or missing, nothing between (yellow and blue in Figure 3)."
    )
    propagation: Propagation = setting(
        "rated",
        "What it is given of other frames: tracks, rated and blended; the nearest valid pixel, plain as in the paper; "
        "or none (Tables 1 and 4, without flow).",
    )
    base: bool = setting(
        False,
        "The encoder-decoder of LGTSM, as the paper has it (Table 4; without gating it is BI): three grids, no skips, "
        "learned shifts as far as the longest of `shifts`, spectral norm.",
    )
    gain: float = setting(2.0, "Of `base`: what its normed layers are multiplied by; 1 as published.", above=0)

    def check(self) -> None:
        """Refuse a generator without a coarse grid, or without a layer on it, and what the base does not have."""
        more = [name for name in ("smooth_start", "weigh", "classes", "references") if getattr(self, name)]
        if self.base and (len(self.channels) != 3 or more or not self.shifts):
            raise ValueRefusal(
                f"generator.base is true with {', '.join(more) or 'other channels or shifts than it has'}",
                "the base has channels of three grids, shifts, and no smooth_start, weigh, classes or references",
                "set smooth_start=false, weigh=false, classes=0 and for instance channels=16,32,64",
            )
        for name, least in (("channels", 2), ("dilations", 1)):
            if len(getattr(self, name)) < least:
                raise ValueRefusal(
                    f"generator.{name} is {getattr(self, name)}",
                    f"it must be at least {least} whole numbers from 1 on",
                    f"for instance {getattr(GeneratorConfig, name)}",
                )

    @property
    def factor(self) -> int:
        """What height and width must be divisible by."""
        return 2 ** (len(self.channels) - 1)


SMALL = GeneratorConfig()
# The generator of LGTSM, from which the paper adapts its own (4.1), with gates told of occlusions, a reach of two
# frames (eq. 4, n > 1) and ReLU (eq. 5).
PAPER = GeneratorConfig(
    channels=(64, 128, 256),
    dilations=(2, 4, 8, 16),
    shifts=(1, 2),
    share=0.5,
    slope=0.0,
    smooth_start=False,
    weigh=False,
    hard=True,
    propagation="plain",
    base=True,
    gain=1.0,
)


class Generator(nn.Module):
    """Encoder-decoder in which every convolution but the last is a `GatedShift`."""

    runtime: Layers | None = None  # what computes in torch's place

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
        self.references = References(*channels[:-3:-1]) if config.references else None
        self.balance = nn.Conv2d(channels[0], 1, 3, padding=1) if config.weigh else None
        if self.balance is not None:
            # At first tracks are believed as they say.
            for weight in self.balance.parameters():
                nn.init.zeros_(weight)

    def _layer(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> GatedShift:
        c = self.config
        moved = {"shifts": c.shifts, "share": c.share, "slope": c.slope, "gating": c.gating}
        return GatedShift(inputs, outputs, **moved, stride=stride, dilation=dilation)

    def remember(self, frames: Frames, visible: Masks) -> list[Cells] | None:
        """Keep what a clip of any length shows of its object, for `forward`; None without references."""
        if self.references is None:
            return None
        chosen = choose_frames(visible, self.config.references)
        frames, visible = (
            torch.stack([clip[index] for clip, index in zip(x, chosen, strict=True)]) for x in (frames, visible)
        )
        # Each frame by itself: what follows another here may have been shown long after it.
        pictures, seen = (x.flatten(0, 1)[:, None] for x in (frames, visible))
        masks, nothing = self._halved(torch.cat([torch.zeros_like(seen), seen], dim=2)), torch.zeros_like(seen)
        shown = [2 * pictures - 1, seen, nothing, nothing, 1 - nothing]
        if self.config.smooth_start:
            shown.append(2 * pictures - 1)
        inputs = over_frames(_channels_last, torch.cat(shown, dim=2))
        *_, fine, coarse = self._encode(self.stem(inputs, masks[0]), masks)
        shape = (len(frames), -1)
        return self.references.remember(*(x[:, 0].unflatten(0, shape) for x in (coarse, fine, masks[-1][:, :, 1:])))

    def forward(
        self,
        frames: Frames,
        visible: Masks,
        amodal: Masks,
        confidence: Masks,
        category: Categories | None = None,
        references: list[Cells] | None = None,
    ) -> tuple[Frames, Masks]:
        """Generate colours for every pixel, and how far `frames` count against them: 0 where missing, 1 where sure.

        Frames have propagated pixels in place; those are missing whose confidence is 0, and are not looked at. Category
        0 is "an object". Without `references` they are taken from these frames.

        Raises:
            ValueError: height or width is not divisible by `config.factor`.
        """
        self._check(frames, category)
        b = len(frames)
        confidence = harden(confidence) if self.config.hard else confidence
        hidden, missing = part_hidden(visible, amodal, confidence)
        known = torch.where(missing, 0.5, frames)  # grey is zero to the network

        occluded = to_gates(hidden, visible, amodal)
        masks = self._halved(torch.cat([occluded, amodal], dim=2))  # paper eq. 3: occluded and amodal
        trust = torch.where(hidden, confidence, 1.0)
        seen = [2 * known - 1, visible, occluded, missing.to(known), trust]
        start = None
        if self.config.smooth_start:
            # Not in the paper: a smooth start, because with few training clips what classical filling reaches is a long
            # way; so an untrained network fills as `InpaintFill` does, but for the rim.
            start = torch.where(hidden, spread_colours(known, hidden, amodal, confidence).to(frames), frames)
            seen.append(2 * start - 1)
        inputs = over_frames(_channels_last, torch.cat(seen, dim=2))
        del seen

        index = torch.zeros(b, dtype=torch.long, device=frames.device) if category is None else category
        told = () if self.category is None else (index,)
        if self.runtime is not None:
            colours, change = self.runtime(inputs, *told, *masks)
        else:
            references = self.remember(known, visible) if references is None else references
            features = self.stem(inputs, masks[0])
            del inputs, known  # they are large
            grids = self._encode(features, masks)
            del features
            colours, change = self._decode(grids, index, masks, references)
        colours = colours.float()
        if start is not None:
            colours = colours + torch.logit(start.float(), eps=0.01)
        return torch.sigmoid(colours).to(frames.dtype), self._weigh(change, trust, missing)

    def compute(self, inputs: Tensor, *given: Tensor, references: list[Cells] | None = None) -> tuple[Frames, Masks]:
        """Convolve: what to add to the logits of the colours that it starts from, and to those of the trust.

        `given` are the category, of a network with categories, and the masks of eq. 3, finest first.
        """
        index, masks = (given[0], given[1:]) if self.category is not None else (None, given)
        return self._decode(self._encode(self.stem(inputs, masks[0]), masks), index, masks, references)

    def _decode(
        self, skips: list[Tensor], index: Tensor | None, masks: Sequence[Tensor], references: list[Cells] | None
    ) -> tuple[Frames, Masks]:
        """Convolve from the coarse grid back to the fine one; the features of all grids are used up."""
        features = skips.pop()
        if self.category is not None:
            # Not in the paper: the category, because where nothing of the kind was seen it tells what to expect.
            features = features + self.category(index)[:, None, :, None, None].to(features)
        for i, middle in enumerate(self.middle):
            if self.references is not None and references is not None and i == len(self.middle) // 2:
                told, detail = self.references(features, masks[-1][:, :, :1], references)
                features, skips[-1] = features + told, skips[-1] + detail
            features = middle(features, masks[-1])
        for up, decode in zip(self.up, self.decode, strict=True):
            features = up(features, masks[len(skips)])
            # Nearest neighbours and then a convolution: each pixel is made of equally many, so no checkerboard.
            features = over_frames(lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), features)
            # In place where nobody asks how it came: a copy is as large as the pictures.
            features = features + skips.pop() if features.requires_grad else features.add_(skips.pop())
            features = decode(features, masks[len(skips)])
        change = features[:, :, :1] * 0 if self.balance is None else over_frames(self.balance, features)
        return over_frames(self.colours, features), change

    def _halved(self, masks: Tensor) -> list[Tensor]:
        """Bring masks to each grid, as shares of its cells."""
        grids = [masks]
        for _ in self.down:
            grids.append(over_frames(halve, grids[-1]))
        return [over_frames(_channels_last, x) for x in grids]

    def _encode(self, features: Tensor, masks: Sequence[Tensor]) -> list[Tensor]:
        """Return the features of each grid, from the finest, which are given, to the coarsest."""
        grids = [features]
        for i, down in enumerate(self.down):
            features = down(grids[-1], masks[i])
            grids.append(self.encode[i](features, masks[i + 1]) if i < len(self.encode) else features)
        return grids

    def _weigh(self, change: Masks, trust: Masks, missing: Bool[Tensor, "b t 1 h w"]) -> Masks:
        """Weigh the frames against what was generated."""
        if self.balance is None:
            return trust
        # Not in the paper, which takes propagated pixels as they are: a track may hold and lead astray all the same,
        # and then what it brought does not go with what is around it.
        change = change.float()
        # Where it is judged anew, trust is at least a little away from 0 and 1.
        weight = torch.sigmoid(torch.logit(trust.float(), eps=0.02) + change).to(trust)
        weight = self.config.keep + (1 - self.config.keep) * weight
        return torch.where(missing, 0.0, torch.where(trust < 1, weight, trust))

    def _check(self, frames: Frames, category: Tensor | None) -> None:
        check_sides(frames, self.config.factor)
        if self.category and category is not None and not ((category >= 0) & (category <= self.config.classes)).all():
            raise ValueRefusal(
                f"category is {category.tolist()}",
                f"it must lie in 0..{self.config.classes}, where 0 is 'an object'",
                "give 0 for what the network was not trained for",
            )


class BaseGenerator(EncoderDecoder):
    """The paper's base: LGTSM, told of occlusions where the config says so (Table 4: BI, and OG)."""

    def __init__(self, config: GeneratorConfig) -> None:
        fine, middle, coarse = config.channels
        super().__init__(
            5,
            (fine, middle, coarse),
            config.dilations,
            reach=max(config.shifts),
            share=config.share,
            slope=config.slope,
            gain=config.gain,
            guided=config.gating,
        )
        self.config = config

    def forward(
        self,
        frames: Frames,
        visible: Masks,
        amodal: Masks,
        confidence: Masks,
        category: Categories | None = None,
        references: None = None,
    ) -> tuple[Frames, Masks]:
        """Generate colours, without bounds, and how far `frames` count against them, as `Generator` does."""
        check_sides(frames, self.config.factor)
        confidence = harden(confidence) if self.config.hard else confidence
        hidden, missing = part_hidden(visible, amodal, confidence)
        hole = missing.to(frames)
        # As LGTSM: colours with the hole blanked, the hole, and what guides.
        inputs = torch.cat([(2 * frames - 1) * (1 - hole), hole, visible], dim=2)
        colours = self.decode_colours(inputs, torch.cat([to_gates(hidden, visible, amodal), amodal], dim=2))
        return ((colours + 1) / 2).to(frames.dtype), torch.where(hidden, confidence, 1.0)


def make_generator(config: GeneratorConfig = SMALL) -> Generator | BaseGenerator:
    """Make the generator that a config describes."""
    return BaseGenerator(config) if config.base else Generator(config)


def to_gates(hidden: Bool[Tensor, "b t 1 h w"], visible: Masks, amodal: Masks) -> Masks:
    """Return what is occluded as gates are told it; where the mask is another network's, it has that one's gradient."""
    occluded = hidden.to(amodal)
    return with_gradient_of(occluded, amodal * (visible <= 0.5)) if amodal.requires_grad else occluded


def harden(confidence: Masks) -> Masks:
    """Believe all that was found in full."""
    return (confidence > 0).to(confidence)


def check_sides(frames: Frames, factor: int) -> None:
    """Refuse frames whose sides are no multiples of `factor`.

    Raises:
        ValueError: they are not.
    """
    for name, size in zip(("height", "width"), frames.shape[-2:], strict=True):
        if size % factor:
            raise ValueRefusal(
                f"frames have a {name} of {size} pixels",
                f"it must be a multiple of {factor} for this generator",
                "pad the frames, or use NetworkFill, which does",
            )


def _channels_last(maps: Tensor) -> Tensor:
    return maps.contiguous(memory_format=torch.channels_last)
