"""Flow completion (paper 3.2, eq. 7, 8; Table 3): the object's motion where it is hidden.

A U-Net with skips looks at two neighbouring frames, their flow and the masks, and adds a residue to flow that has been
completed smoothly. On its coarse levels pairs of frames exchange what they know with the pairs before and after them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.core.system import trim_heap
from voin.core.types import Flows, Frames, Masks
from voin.core.warp import warp
from voin.method.frames import Layers, over_frames, shift_frames, shift_part

Maps = Float[Tensor, "n c h w"]

# Flow that counts as 1 inside the network, as a share of the picture's width. So one motion looks alike at every
# resolution; everywhere else flow is in pixels.
MOTION_UNIT = 0.02
_PAIRS = 8  # that layers work on at a time on a processor: little memory, and they stay in its cache
# What a hole is grown by, as a share of the picture's width: 8 pixels of 320, the sharp outline is gone then.
_GROWN = 0.025


@dataclass(frozen=True)
class FlowConfig(Checked):
    """The flow network."""

    retired: ClassVar[Mapping[str, Any]] = {"motion_unit": MOTION_UNIT}

    guidance: bool = setting(True, 'Show the network the amodal mask (Table 3, "A"); it tells what is hidden.')
    residual: bool = setting(True, 'Predict what is lacking; the flow itself if not (Table 3, "BF").')
    start: Literal["smooth", "raw"] = setting(
        "smooth", "What the residue is added to: flow completed smoothly, or raw as estimated (the paper's own form)."
    )
    pasted: Literal["object", "hole"] = setting(
        "object", 'Where completed flow is put: in the object, or in its hidden part, grown (Table 3, without "A").'
    )
    channels: tuple[int, ...] = setting(
        (32, 64, 128, 192), "Channels of the levels, finest first; each next one has half the size.", least=1
    )
    gaps: tuple[int, ...] = setting(
        (0, 1, 1, 2), "For each level, how many pairs away it looks, before and after; 0 for not at all.", least=0
    )
    cell: int = setting(2, "Pixels, in each direction, that one point of the finest level stands for.", least=1)

    def check(self) -> None:
        """Refuse levels and gaps that do not fit each other."""
        if not self.channels:
            raise ValueRefusal(f"channels is {self.channels}", "it must hold at least one number", "use 32,64,128")
        if len(self.gaps) != len(self.channels):
            raise ValueRefusal(
                f"gaps is {self.gaps} for {len(self.channels)} levels of channels",
                "it must hold one number of at least 0 a level",
                "use 0 where pairs stay by themselves",
            )

    @property
    def step(self) -> int:
        """Pixels in a point of the coarsest level; pictures are widened to multiples of it."""
        return self.cell * 2 ** (len(self.channels) - 1)

    @property
    def reach_pairs(self) -> int:
        """How many pairs away a pair can still count."""
        return 2 * sum(self.gaps[:-1]) + self.gaps[-1]


SMALL = FlowConfig()
# The U-Net [49] at full size, on two frames alone, from the corrupted flow on.
PAPER = FlowConfig(channels=(64, 128, 256, 512), gaps=(0, 0, 0, 0), cell=1, start="raw")


class FlowNetwork(nn.Module):
    """Complete the forward flow of clips; of clips in reverse order, the backward flow."""

    runtime: Layers | None = None  # what computes in torch's place

    def __init__(self, config: FlowConfig = SMALL) -> None:
        super().__init__()
        self.config = config
        channels, cell = config.channels, config.cell
        fine, coarse = channels[:-1], channels[1:]
        # Colours and masks of both frames, and both flows.
        inputs = 2 * (3 + 1 + config.guidance) + 2 * 2
        self.stem = nn.Conv2d(inputs * cell**2, channels[0], 3, padding=1)
        self.encoder = nn.ModuleList(_Level(c, gap) for c, gap in zip(channels, config.gaps, strict=True))
        self.down = nn.ModuleList(nn.Conv2d(f, c, 3, stride=2, padding=1) for f, c in zip(fine, coarse, strict=True))
        self.up = nn.ModuleList(nn.Conv2d(c, f, 1) for f, c in zip(fine, coarse, strict=True))
        self.merge = nn.ModuleList(nn.Conv2d(2 * f, f, 3, padding=1) for f in fine)
        self.decoder = nn.ModuleList(_Level(c, gap) for c, gap in zip(fine, config.gaps[:-1], strict=True))
        self.head = nn.Conv2d(channels[0], 2, 3, padding=1)
        # Untrained, the residue is 0: training starts from the smooth completion.
        for weight in self.head.parameters():
            nn.init.zeros_(weight)

    def forward(
        self, frames: Frames, initial: Flows, prior: Flows, visible: Masks, amodal: Masks, width: int | None = None
    ) -> Flows:
        """Complete flow inside its `region`, the amodal mask by default; outside it comes back as it was.

        The residue is added to the `prior`, completed by `SmoothFlow`; where the config says that it starts from raw
        flow, `initial` takes its place. Where the object is hidden, frames are not looked at, and `initial` only where
        it is what is started from. The frames are cut out of pictures of `width` pixels, or are all of them.

        Raises:
            ValueError: sizes do not fit each other, or are too small.
        """
        self._check(frames, {"initial": initial, "prior": prior, "visible": visible, "amodal": amodal})
        (h, w), pairs, width = initial.shape[-2:], initial.shape[1], width or frames.shape[-1]
        unit = MOTION_UNIT * width
        prior = prior if self.config.start == "smooth" else initial
        parts, count = [], _at_a_time(initial) or pairs
        for first in range(0, pairs, count):
            here, ends = slice(first, first + count), slice(first, first + count + 1)
            flows = initial[:, here], prior[:, here]
            parts.append(self._seen(frames[:, ends], *flows, visible[:, ends], amodal[:, ends], unit))
        features = torch.cat(parts, dim=1)
        del parts  # as large again
        trim_heap()  # and what they were made of is twice that
        if self.runtime:
            residue = self.runtime(features)
        else:
            residue = self._predict(features.flatten(0, 1), len(frames), initial.dtype)
        residue = residue[..., :h, :w] * unit
        # Paper 3.2: O = O-bar + phi(x), residual learning.
        # Not in the paper: O-bar is the smooth completion, because it is a better start than the occluder's motion; the
        # paper's own is `start="raw"`.
        completed = prior + residue if self.config.residual else residue
        return torch.lerp(initial, completed, self.region(visible[:, :-1], amodal[:, :-1], width))

    def region(self, visible: Masks, amodal: Masks, width: int) -> Masks:
        """Return where completed flow is put that begins in these frames; elsewhere flow stays as it was.

        The frames are of pictures of `width` pixels.
        """
        if self.config.pasted == "object":
            return amodal
        hole = amodal * (1 - visible)
        radius = max(round(_GROWN * width), 1)
        return over_frames(lambda x: F.max_pool2d(x, 2 * radius + 1, stride=1, padding=radius), hole)

    def _seen(
        self, frames: Frames, initial: Flows, prior: Flows, visible: Masks, amodal: Masks, unit: float
    ) -> Float[Tensor, "b pairs c y x"]:
        """Bring some pairs to the finest level: what the first layer makes of them is smaller than they are."""
        inputs = self._inputs(frames, initial, prior, visible, amodal, unit)
        if any(pad := (0, -inputs.shape[-1] % self.config.step, 0, -inputs.shape[-2] % self.config.step)):
            inputs = F.pad(inputs, pad, mode="replicate")
        return (inputs if self.runtime else self._begin(inputs)).unflatten(0, (len(frames), -1))

    def _inputs(self, frames: Frames, initial: Flows, prior: Flows, visible: Masks, amodal: Masks, unit: float) -> Maps:
        """Put together what the network sees, (b pairs) c h w; flows in motion units."""
        seen, lead = torch.ones_like(amodal), initial
        if self.config.guidance:
            # Not in the paper: the hidden part is blanked out, because there is only the occluder.
            seen, lead = 1 - amodal * (1 - visible), prior
        else:
            # The prior was completed inside the amodal mask and would show its outline.
            prior = prior * visible[:, :-1]
        shown = torch.cat([frames * seen, visible, *([amodal] if self.config.guidance else [])], dim=2)
        now, then, start, lead, prior = (
            rearrange(x, "b t c h w -> (b t) c h w")
            for x in (shown[:, :-1], shown[:, 1:], initial * seen[:, :-1], lead, prior)
        )
        # Not in the paper: the next frame is brought here along the prior, because then what the prior lacks is a
        # shift of few pixels, which convolutions can measure.
        return torch.cat([now, warp(then, lead), start / unit, prior / unit], dim=1)

    def compute(self, inputs: Float[Tensor, "b t c h w"]) -> Flows:
        """Predict the residue of pairs, in motion units, by the U-Net; h and w are multiples of the config's `step`."""
        return self._predict(self._begin(inputs.flatten(0, 1)), int(inputs.shape[0]), inputs.dtype)

    def _begin(self, inputs: Maps) -> Float[Tensor, "n c2 y x"]:
        """Bring what is seen of pairs to the finest level."""
        cells = F.pixel_unshuffle(inputs, self.config.cell)
        return self.stem(cells.contiguous(memory_format=torch.channels_last))

    def _predict(self, x: Float[Tensor, "n c y x"], clips: int, dtype: torch.dtype) -> Flows:
        """Predict the residue of the pairs of so many clips from what lies on the finest level, which is used up."""
        skips, last = [], len(self.down)
        for encode, down in zip(self.encoder, self.down, strict=False):
            skips.append(encode(x, clips))
            x = _in_parts(nn.Sequential(nn.SiLU(), down), skips[-1])
        x = self.encoder[last](x, clips)
        for i in reversed(range(last)):
            fine = skips.pop()
            x = self.decoder[i](_in_parts(partial(self._merge, i), fine, x, into=fine), clips)
        residue = _in_parts(nn.Sequential(nn.SiLU(), self.head), x).to(dtype)
        # Motion is smooth inside the object, and its sharp contour comes from the mask: half the size will do.
        if self.config.cell > 1:
            residue = F.interpolate(residue, scale_factor=self.config.cell, mode="bilinear")
        return residue.unflatten(0, (clips, -1))

    def _merge(self, level: int, fine: Maps, coarse: Float[Tensor, "n c2 y x"]) -> Maps:
        """Bring what the next coarser level found to a level, and merge it with what is there."""
        found = F.interpolate(self.up[level](F.silu(coarse)), scale_factor=2, mode="bilinear")
        return self.merge[level](F.silu(torch.cat([fine, found], dim=1)))

    def _check(self, frames: Tensor, given: dict[str, Tensor]) -> None:
        b, t, _, h, w = frames.shape
        if t < 2 or min(h, w) < self.config.step:
            raise ValueRefusal(
                f"frames has {t} of {w}x{h}",
                f"there must be at least 2 of at least {self.config.step}x{self.config.step}",
                "give more frames, or a larger window",
            )
        for name, x in given.items():
            shape = (b, t - 1, 2, h, w) if name in ("initial", "prior") else (b, t, 1, h, w)
            if x.shape != shape:
                raise ValueRefusal(
                    f"{name} has shape {tuple(x.shape)} for frames of shape {tuple(frames.shape)}",
                    f"it must be {shape}",
                    "give one flow a pair of neighbours and one mask a frame, all of the frames' size",
                )


class _Level(nn.Module):
    """One level of the U-Net: a residual block, then an exchange over time."""

    def __init__(self, channels: int, gap: int) -> None:
        super().__init__()
        self.gap = gap
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        if gap:
            self.exchange = nn.Conv2d(3 * channels, channels, 1)

    def forward(self, x: Maps, clips: int) -> Maps:
        """Return what the level makes of the pairs of so many clips; without gradients it takes the place of `x`."""
        x = _in_parts(lambda some: some + self.second(F.silu(self.first(F.silu(some)))), x, into=x)
        return _put_together(self._exchange(x, clips), len(x), into=x) if self.gap else x

    def _exchange(self, x: Maps, clips: int) -> Iterator[Maps]:
        """Tell pairs what pairs before and after them know, some of a clip at a time."""
        # Not in the paper: two frames alone gain nothing over smooth completion; other pairs have seen more.
        # Channels last: what is moved in time is put together without a change of layout.
        still, moves = F.silu(x).permute(0, 2, 3, 1).unflatten(0, (clips, -1)), (self.gap, 0, -self.gap)
        if (count := _at_a_time(x)) is None:
            near = torch.cat([shift_frames(still, move) for move in moves], dim=-1).flatten(0, 1)
            yield x + self.exchange(near.permute(0, 3, 1, 2))
            return
        pairs = still.shape[1]
        for clip, known in zip(still.split(1), x.split(pairs), strict=True):
            for first in range(0, pairs, count):
                part = range(first, min(first + count, pairs))
                near = torch.cat([shift_part(clip, move, part)[0] for move in moves], dim=-1)
                yield known[part.start : part.stop] + self.exchange(near.permute(0, 3, 1, 2))


def _at_a_time(x: Tensor) -> int | None:
    """Return how many pairs layers work on at a time, alike with gradients and without, as it rounds; None: all."""
    traced = torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    return None if traced or x.device.type != "cpu" else _PAIRS


def _in_parts(
    layer: Callable[..., Tensor], *maps: Float[Tensor, "n _ _ _"], into: Maps | None = None
) -> Float[Tensor, "n _ _ _"]:
    """Apply a layer to some pairs at a time; see `_put_together`."""
    if (count := _at_a_time(maps[0])) is None:
        return layer(*maps)
    parts = zip(*(x.split(count) for x in maps), strict=True)
    return _put_together((layer(*part) for part in parts), len(maps[0]), into)


def _put_together(parts: Iterator[Tensor], count: int, into: Maps | None = None) -> Float[Tensor, "n _ _ _"]:
    """Put together what was made of the parts of `count` pairs; without gradients `into` maps that are used up."""
    if torch.is_grad_enabled():
        made = [*parts]
        return made[0] if len(made) == 1 else torch.cat(made)
    first = 0
    for part in parts:
        if len(part) == count:
            return part
        into = torch.empty_like(part[:1].expand(count, -1, -1, -1)) if into is None else into
        into[first : first + len(part)] = part
        first += len(part)
    assert into is not None
    return into
