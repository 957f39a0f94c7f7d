"""Shape completion (paper 3.1, eq. 1, 2, 6; Table 2): the whole object's mask from its visible part.

A convolutional encoder makes a coarse grid of every frame; transformer layers let the patches of all frames look at
each other, so that what is hidden here is found where it was seen; a frame-level decoder brings the grid back to size,
and fusion convolutions join it with what the object's class says of its shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from voin.core.errors import ValueRefusal
from voin.core.resample import enlarge, reduce
from voin.core.types import Flows, Frames, Masks
from voin.method.shape.attention import Sizes, TransformerLayer
from voin.method.shape.background import RestConfig, find_static_background, remove_static_background

Maps = Float[Tensor, "n c h w"]


@dataclass(frozen=True)
class ShapeConfig:
    """The shape network.

    Args:
        channels: of the encoder's levels, finest first; each level halves the size.
        depth: layers of the transformer.
        patches: (h, w) of each head's patches, in cells of the coarsest level; one head each.
        frequencies: octaves of the position code on the coarsest level.
        prior: channels of the class embedding.
        classes: how many the object's class may be; 0 stands for an unknown one, so that there are `classes` + 1.
        semantics: tell the network the class (Table 2, "S").
        temporal: let frames see each other; without, it is a U-Net on single images (Table 2, "Image-based").
    """

    channels: tuple[int, ...] = (24, 48, 96)
    depth: int = 4
    patches: Sizes = ((2, 2), (4, 4), (8, 8))
    frequencies: int = 4
    prior: int = 16
    classes: int = 65
    semantics: bool = True
    temporal: bool = True

    def __post_init__(self) -> None:
        if not self.channels or min(self.channels) < 1:
            raise ValueRefusal(f"channels is {self.channels}", "it must hold numbers of at least 1", "use 24,48,96")
        if not self.patches or min(side for patch in self.patches for side in patch) < 1:
            raise ValueRefusal(
                f"patches is {self.patches}", "it must hold sizes (h, w) of at least 1", "use [[2,2],[4,4]]"
            )
        if self.channels[-1] % len(self.patches):
            raise ValueRefusal(
                f"channels ends with {self.channels[-1]} for {len(self.patches)} heads",
                "it must be a multiple of their number",
                f"use {-(-self.channels[-1] // len(self.patches)) * len(self.patches)}",
            )
        for name in ("depth", "frequencies", "prior", "classes"):
            if getattr(self, name) < 1:
                raise ValueRefusal(f"{name} is {getattr(self, name)}", "it must be at least 1", f"use {name}=4")

    @property
    def step(self) -> int:
        """Pixels in a cell of the coarsest level; pictures must be multiples of it."""
        return 2 ** len(self.channels)


SMALL = ShapeConfig()
# The encoder, the depth and the heads of STTN, whose patches are fitted here to frames of 320x180 (80x45 cells).
PAPER = ShapeConfig(channels=(64, 256), depth=8, patches=((45, 80), (15, 20), (9, 10), (5, 5)), frequencies=6, prior=64)


class ShapeNetwork(nn.Module):
    """Give the logits of the amodal mask."""

    def __init__(self, config: ShapeConfig = SMALL) -> None:
        super().__init__()
        self.config = config
        widths = config.channels
        sources = (4, *widths[:-1])
        self.encoder = nn.ModuleList(_Down(source, width) for source, width in zip(sources, widths, strict=True))
        self.position = nn.Conv2d(4 * config.frequencies, widths[-1], 1)
        self.layers = nn.ModuleList(
            TransformerLayer(widths[-1], config.patches if config.temporal else ()) for _ in range(config.depth)
        )
        self.decoder = nn.ModuleList(_Up(widths[i], widths[i - 1]) for i in reversed(range(1, len(widths))))
        joined = widths[0]
        if config.semantics:
            self.embedding = nn.Embedding(config.classes + 1, config.prior)
            self.hint = nn.Conv2d(config.prior, widths[-1], 1)
            joined += config.prior
        self.fusion = nn.Sequential(
            *(nn.Conv2d(joined, widths[0], 3, padding=1), nn.GELU()),
            # Four logits a cell of half the size: one for each of its pixels.
            nn.Conv2d(widths[0], 4, 3, padding=1),
        )

    def forward(self, frames: Frames, visible: Masks, category: Int[Tensor, " b"]) -> Masks:
        """Complete the mask in all frames at once; the order of the frames plays no part.

        Args:
            frames: (b, t, 3, h, w) in [0, 1]; what hides the object is seen too, and may tell where it goes on.
            visible: (b, t, 1, h, w) in [0, 1].
            category: (b,), 1 to `classes`; 0 where it is unknown.

        Returns:
            Logits (b, t, 1, h, w); above 0 is object.

        Raises:
            ValueError: h or w is no multiple of the config's `step`.
        """
        _check_size(frames, self.config.step)
        b = len(frames)
        x = rearrange(torch.cat([2 * frames - 1, visible], dim=2), "b t c h w -> (b t) c h w")
        skips: list[Tensor] = []
        for level in self.encoder:
            x = level(x)
            skips.append(x)
        # Not in the paper: cells know where they are, because a hidden one has nothing else to find its like by.
        x = x + self.position(position_code(x, self.config.frequencies))
        prior = self._prior(visible, category)
        if prior is not None:
            # Not in the paper: it enters here too, because the fusion convolutions do not reach into large holes.
            x = x + self.hint(F.avg_pool2d(prior, self.config.step // 2))
        x = rearrange(x, "(b t) c h w -> b t c h w", b=b)
        for layer in self.layers:  # eq. 1, 2
            x = layer(x)
        x = rearrange(x, "b t c h w -> (b t) c h w")
        # Not in the paper: skips, because they keep the outline of the visible part sharp at little cost.
        for level, skip in zip(self.decoder, skips[-2::-1], strict=True):
            x = level(x, skip)
        if prior is not None:
            x = torch.cat([x, prior.to(x)], dim=1)
        logits = F.pixel_shuffle(self.fusion(x), 2)
        return rearrange(logits, "(b t) 1 h w -> b t 1 h w", b=b)

    def _prior(self, visible: Masks, category: Int[Tensor, " b"]) -> Float[Tensor, "n c y x"] | None:
        """Paper 3.1: the class embedding multiplied by the visible mask; at half the size, as all fusion is here."""
        if not self.config.semantics:
            return None
        half = F.avg_pool2d(rearrange(visible, "b t 1 h w -> (b t) 1 h w"), 2)
        classes = self.embedding(category).repeat_interleave(visible.shape[1], dim=0)  # (b t) c
        return classes[..., None, None] * half


class _Down(nn.Sequential):
    """Halve the size."""

    def __init__(self, source: int, width: int) -> None:
        super().__init__(
            *(nn.Conv2d(source, width, 3, stride=2, padding=1), nn.GELU()),
            *(nn.Conv2d(width, width, 3, padding=1), nn.GELU()),
        )


class _Up(nn.Module):
    """Double the size and add what the encoder had there."""

    def __init__(self, source: int, width: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(source, width, 1)
        self.mix = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Maps, skip: Float[Tensor, "n d y x"]) -> Float[Tensor, "n d y x"]:
        larger = F.interpolate(self.narrow(x), scale_factor=2, mode="bilinear")
        return F.gelu(self.mix(larger + skip))


def position_code(like: Maps, frequencies: int) -> Float[Tensor, "1 d h w"]:
    """Give each cell the sines and cosines of its place, from half a wave over the picture on, octave by octave.

    Args:
        like: its size, device and type are taken.
        frequencies: octaves; there are four channels for each.
    """
    h, w = like.shape[-2:]
    waves = torch.pi * 2.0 ** torch.arange(frequencies, device=like.device)
    y, x = (((torch.arange(n, device=like.device) + 0.5) / n)[None] * waves[:, None] for n in (h, w))  # (f, n)
    y, x = y[:, :, None].expand(-1, h, w), x[:, None, :].expand(-1, h, w)
    return torch.cat([y.sin(), y.cos(), x.sin(), x.cos()])[None].to(like)


def _check_size(frames: Tensor, step: int) -> None:
    for name, size in zip("hw", frames.shape[-2:], strict=True):
        if size % step:
            fit = -(-size // step) * step
            raise ValueRefusal(
                f"frames have {name} = {size}", f"it must be a multiple of {step}", f"pad or resize to {fit}"
            )


@dataclass(frozen=True)
class GroupConfig:
    """How long clips are cut into groups of frames that see each other.

    Longer groups than those of training do well: more frames have seen what is hidden.

    Args:
        length: frames of a group.
        overlap: frames that a group shares with the next; their logits are averaged.
        references: further frames from outside the group that it may look at.
    """

    length: int = 16
    overlap: int = 4
    references: int = 2

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueRefusal(f"length is {self.length}", "it must be at least 1", "use 16")
        if not 0 <= self.overlap < self.length:
            raise ValueRefusal(
                f"overlap is {self.overlap}", f"it must be from 0 to length - 1 = {self.length - 1}", "use 4"
            )
        if self.references < 0:
            raise ValueRefusal(f"references is {self.references}", "it must be at least 0", "use 2")


class NetworkShape:
    """The stage of the pipeline: runs the network over clips of any length.

    Args:
        network: in the state in which it is to be used (device, weights); it is put into evaluation mode.
        categories: what the network's classes are called, class 1 first; none if it is never to know the class.
        config: how clips are cut into groups.
        size: pixels of the square that the network looks at, where frames are larger; None: frames as they are.
        half: compute in bfloat16; fast where the processor has it.
        certainty: how sure of a pixel the network must be, above 0 and below 1.
        rest: what is taken for background beside an object at rest.
    """

    sha256 = ""  # of the file that the weights came from, its first digits

    def __init__(
        self,
        network: ShapeNetwork,
        categories: Sequence[str] = (),
        config: GroupConfig = GroupConfig(),
        size: int | None = None,
        half: bool = False,
        certainty: float = 0.5,
        rest: RestConfig = RestConfig(),  # noqa: B008 - frozen
    ) -> None:
        if not 0 < certainty < 1:
            raise ValueRefusal(
                f"certainty is {certainty}", "it must lie between 0 and 1", "use 0.5 if both errors are alike"
            )
        if len(categories) > network.config.classes:
            raise ValueRefusal(
                f"there are {len(categories)} categories for a network of {network.config.classes} classes",
                "they must be no more",
                "give those that it was trained with",
            )
        self.network, self.categories, self.config = network.eval(), tuple(categories), config
        self.size, self.half, self.certainty, self.rest = size, half, certainty, rest

    @torch.no_grad()
    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        allowed: Masks,
        forward: Flows,
        backward: Flows,
        category: str | None = None,
    ) -> Masks:
        """Give the amodal mask (b, t, 1, h, w) in [0, 1]: at least `visible`, and beyond it only where `allowed` is 1.

        Args:
            frames: (b, t, 3, h, w).
            visible: (b, t, 1, h, w) in [0, 1].
            allowed: (b, t, 1, h, w) in [0, 1]; where the object can be hidden.
            forward: (b, t-1, 2, h, w), pixels, as estimated: it tells background at rest.
            backward: likewise.
            category: of the object; None, or one that the network was not taught, is taken for "an object".

        Raises:
            ValueError: h or w, or `size` where it is smaller, is no multiple of the network's `step`.
        """
        logits = self._complete(reduce(frames, self.size), reduce(visible, self.size), category)
        # Not in the paper: only what is sure enough comes to lie above 0.5, because plain background that is taken for
        # the object is painted over, and there is more of it than of the hidden part.
        logits = logits - math.log(self.certainty / (1 - self.certainty))
        whole = enlarge(logits, (visible.shape[-2], visible.shape[-1])).sigmoid().to(visible)
        whole = torch.where(allowed > 0.5, torch.maximum(whole, visible), visible)
        # Where the occluder is known, nothing is taken for background.
        return self._leave_rest(whole, frames, visible, forward, backward) if (allowed > 0.5).all() else whole

    def _leave_rest(self, whole: Masks, frames: Frames, visible: Masks, forward: Flows, backward: Flows) -> Masks:
        """Take background at rest out of what was completed."""
        hidden = (whole > 0.5) & (visible <= 0.5)
        if not hidden.any():
            return whole
        rest = [
            find_static_background(*clip, self.rest) for clip in zip(frames, visible, forward, backward, strict=True)
        ]
        left = [remove_static_background(*masks, self.rest) for masks in zip(hidden[:, :, 0], rest, strict=True)]
        return torch.where(hidden & ~torch.stack(left)[:, :, None], visible, whole)

    def _complete(self, frames: Frames, visible: Masks, category: str | None) -> Masks:
        """Give the logits (b, t, 1, h, w), group by group; where groups overlap, their mean."""
        known = self.categories.index(category) + 1 if category in self.categories else 0
        index = torch.full((len(frames),), known, device=frames.device)
        total = torch.zeros_like(visible, dtype=torch.float32)
        count = torch.zeros(visible.shape[1], device=visible.device)
        clips = torch.arange(len(frames), device=frames.device)[:, None]
        for group in cut_groups(visible.shape[1], self.config):
            own = torch.arange(group.start, group.stop, device=frames.device).expand(len(frames), -1)
            at = torch.cat([own, choose_references(visible, group, self.config.references)], dim=1)
            with torch.autocast(frames.device.type, torch.bfloat16, enabled=self.half):
                logits = self.network(frames[clips, at], visible[clips, at], index)
            total[:, group.start : group.stop] += logits[:, : len(group)].float()
            count[group.start : group.stop] += 1
        return total / count[:, None, None, None]


def cut_groups(count: int, config: GroupConfig) -> list[range]:
    """Cut `count` frames into overlapping groups of equal length; the last one ends with the clip."""
    length = min(config.length, count)
    last = count - length
    starts = [*range(0, last, config.length - config.overlap), last]
    return [range(start, start + length) for start in starts]


def choose_references(visible: Masks, group: range, number: int) -> Int[Tensor, "b n"]:
    """Choose frames outside a group: from each of `number` stretches of the rest that in which most is visible.

    Not in the paper: STTN takes every tenth frame; here those that show most of the object say most about it.

    Returns:
        (b, n) frames; `number` of them, or as many as there are.
    """
    rest = [i for i in range(visible.shape[1]) if i not in group]
    number = min(number, len(rest))
    area = visible.sum(dim=(2, 3, 4))  # (b, t)
    edges = [len(rest) * i // max(number, 1) for i in range(number + 1)]
    chosen = [torch.zeros(len(visible), 0, dtype=torch.long, device=visible.device)]
    for start, stop in pairwise(edges):
        stretch = torch.tensor(rest[start:stop], device=visible.device)
        chosen.append(stretch[area[:, stretch].argmax(dim=1)][:, None])
    return torch.cat(chosen, dim=1)
