"""Flow completion (paper 3.2, eq. 7, 8; Table 3): the object's motion where it is hidden.

A U-Net with skips looks at two neighbouring frames, their flow and the masks, and adds a residue to flow that has been
completed smoothly. On its coarse levels pairs of frames exchange what they know with the pairs before and after them,
since what is hidden now was seen a few frames ago.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from voin.core.errors import ValueRefusal
from voin.core.resample import box_around, enlarge, reduce
from voin.core.types import Flows, Frames, Masks
from voin.core.warp import warp
from voin.method.flow.smooth import SmoothFlow

Maps = Float[Tensor, "n c h w"]


@dataclass(frozen=True)
class FlowConfig:
    """The flow network.

    Args:
        guidance: show the network the amodal mask (Table 3, "A"); without, it cannot know what is hidden.
        residual: predict what is lacking; without, the flow itself (Table 3, "BF").
        channels: of the levels, finest first; each next one has half the size.
        gaps: for each level, how far away the pairs are that it exchanges with, before and after; 0 for none.
        cell: pixels, in each direction, that one point of the finest level stands for.
        motion_unit: flow that counts as 1 inside the network, as a share of the picture's width. So one motion looks
            alike at every resolution; everywhere else flow is in pixels.
    """

    guidance: bool = True
    residual: bool = True
    channels: tuple[int, ...] = (32, 64, 128, 192)
    gaps: tuple[int, ...] = (0, 1, 1, 2)
    cell: int = 2
    motion_unit: float = 0.02

    def __post_init__(self) -> None:
        if not self.channels or min(self.channels) < 1:
            raise ValueRefusal(f"channels is {self.channels}", "it must hold numbers of at least 1", "use 32,64,128")
        if len(self.gaps) != len(self.channels) or min(self.gaps) < 0:
            raise ValueRefusal(
                f"gaps is {self.gaps} for {len(self.channels)} levels of channels",
                "it must hold one number of at least 0 a level",
                "use 0 where pairs stay by themselves",
            )
        if self.cell < 1:
            raise ValueRefusal(
                f"cell is {self.cell}", "it must be at least 1", "use 1 for the full size, 2 for half of it"
            )
        if not 0 < self.motion_unit <= 1:
            raise ValueRefusal(f"motion_unit is {self.motion_unit}", "it must lie above 0 and up to 1", "use 0.02")

    @property
    def step(self) -> int:
        """Pixels in a point of the coarsest level; pictures are widened to multiples of it."""
        return self.cell * 2 ** (len(self.channels) - 1)

    @property
    def reach_pairs(self) -> int:
        """How many pairs away a pair can still count: beyond, nothing changes the result."""
        return 2 * sum(self.gaps[:-1]) + self.gaps[-1]


# Pixels around the object that the stage looks at, too.
_MARGIN = 12
SMALL = FlowConfig()
# The U-Net [49] at full size, on two frames alone.
PAPER = FlowConfig(channels=(64, 128, 256, 512), gaps=(0, 0, 0, 0), cell=1)


class FlowNetwork(nn.Module):
    """Complete the forward flow of clips; of clips in reverse order, the backward flow."""

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
        for each in self.head.parameters():
            nn.init.zeros_(each)

    def forward(
        self,
        frames: Frames,
        initial: Flows,
        prior: Flows,
        visible: Masks,
        amodal: Masks,
        width: int | None = None,
    ) -> Flows:
        """Complete flow inside the amodal mask; outside it comes back as it was.

        Args:
            frames: (b, t, 3, h, w) in [0, 1]; what the hidden part shows is not looked at.
            initial: (b, t-1, 2, h, w), pixels, as estimated; where the object is hidden it is not looked at.
            prior: (b, t-1, 2, h, w), pixels, completed by `SmoothFlow`: what the residue is added to. With `initial`
                in its place this is the paper's own form.
            visible: (b, t, 1, h, w) in [0, 1].
            amodal: (b, t, 1, h, w) in [0, 1].
            width: of the picture that the frames are cut out of, pixels; None: they are all of it.

        Returns:
            (b, t-1, 2, h, w), pixels.

        Raises:
            ValueError: sizes do not fit each other, or are too small.
        """
        self._check(frames, initial, prior, visible, amodal)
        pairs = initial.shape[1]
        unit = self.config.motion_unit * (width or frames.shape[-1])
        features = self._inputs(frames, initial, prior, visible, amodal, unit)
        residue = rearrange(self._unet(features, pairs), "(b t) c h w -> b t c h w", t=pairs) * unit
        # Paper 3.2: O = O-bar + phi(x), residual learning.
        # Not in the paper: O-bar is the smooth completion, because it is a better start than the occluder's motion.
        completed = prior + residue if self.config.residual else residue
        return torch.lerp(initial, completed, amodal[:, :-1])

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

    def _unet(self, inputs: Maps, pairs: int) -> Float[Tensor, "n 2 h w"]:
        """Predict the residue, in motion units, (b pairs) 2 h w."""
        h, w = inputs.shape[-2:]
        x = F.pad(inputs, (0, -w % self.config.step, 0, -h % self.config.step), mode="replicate")
        x = F.pixel_unshuffle(x, self.config.cell).contiguous(memory_format=torch.channels_last)
        x = self.stem(x)
        skips = []
        for encode, down in zip(self.encoder, self.down, strict=False):
            skips.append(encode(x, pairs))
            x = down(F.silu(skips[-1]))
        x = self.encoder[-1](x, pairs)
        for i in reversed(range(len(skips))):
            x = F.interpolate(self.up[i](F.silu(x)), scale_factor=2, mode="bilinear")
            x = self.decoder[i](self.merge[i](F.silu(torch.cat([skips[i], x], dim=1))), pairs)
        residue = self.head(F.silu(x)).to(inputs.dtype)
        # Motion is smooth inside the object, and its sharp contour comes from the mask: half the size will do.
        if self.config.cell > 1:
            residue = F.interpolate(residue, scale_factor=self.config.cell, mode="bilinear")
        return residue[..., :h, :w]

    def _check(self, frames: Tensor, initial: Tensor, prior: Tensor, visible: Tensor, amodal: Tensor) -> None:
        b, t, _, h, w = frames.shape
        if t < 2 or min(h, w) < self.config.step:
            raise ValueRefusal(
                f"frames has {t} of {w}x{h}",
                f"there must be at least 2 of at least {self.config.step}x{self.config.step}",
                "give more frames, or a larger window",
            )
        given = {"initial": initial, "prior": prior, "visible": visible, "amodal": amodal}
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

    def forward(self, x: Maps, pairs: int) -> Maps:
        x = x + self.second(F.silu(self.first(F.silu(x))))
        if self.gap:
            # Not in the paper: two frames alone gain nothing over smooth completion; other pairs have seen more.
            y = F.silu(x)
            x = x + self.exchange(torch.cat([_later(y, pairs, -self.gap), y, _later(y, pairs, self.gap)], dim=1))
        return x


def _later(x: Maps, pairs: int, gap: int) -> Maps:
    """Take each pair's features from `gap` pairs later (earlier below 0); beyond the clip's ends they are 0."""
    clips = rearrange(x, "(b t) c h w -> b t c h w", t=pairs)
    near = min(abs(gap), pairs)
    if gap > 0:
        moved = F.pad(clips[:, near:], (0, 0, 0, 0, 0, 0, 0, near))
    else:
        moved = F.pad(clips[:, : pairs - near], (0, 0, 0, 0, 0, 0, near, 0))
    return rearrange(moved, "b t c h w -> (b t) c h w")


class NetworkFlow:
    """Complete flow by a network, as the pipeline's `Flow` does.

    Args:
        network: trained; it stays on its device.
        prior: completes flow smoothly, which the network starts from.
        group_pairs: so many pairs are worked on at a time, besides those around them that still count: this bounds
            the memory. It does not change the result.
        size: pixels of the square that the network looks at, where frames are larger; None: frames as they are.
        half: compute in bfloat16; fast where the processor has it.
        least: what the network adds to the prior is shortened by so much, pixels of a window of 256: where the prior
            is right, the network adds no more than noise.
    """

    sha256 = ""  # of the file that the weights came from, its first digits

    def __init__(
        self,
        network: FlowNetwork,
        prior: SmoothFlow | None = None,
        group_pairs: int = 24,
        size: int | None = None,
        half: bool = False,
        least: float = 0.0,
    ) -> None:
        if group_pairs < 1:
            raise ValueRefusal(
                f"group_pairs is {group_pairs}", "it must be at least 1", "use 24, or fewer to save memory"
            )
        self.network, self.prior, self.group_pairs = network.eval(), prior or SmoothFlow(), group_pairs
        self.config, self.size, self.half, self.least = network.config, size, half, least

    @torch.no_grad()
    def __call__(
        self,
        frames: Frames,
        forward: Flows,
        backward: Flows,
        visible: Masks,
        amodal: Masks,
        given: Bool[Tensor, " b"] | None = None,
    ) -> tuple[Flows, Flows]:
        """Complete `forward` and `backward` inside `amodal`; outside they come back as they are.

        Pairs of frames in which all of the object is seen come back untouched.

        Args:
            frames: (b, t, 3, h, w) in [0, 1].
            forward: (b, t-1, 2, h, w) as estimated.
            backward: (b, t-1, 2, h, w) as estimated.
            visible: (b, t, 1, h, w) in [0, 1].
            amodal: (b, t, 1, h, w) in [0, 1].
            given: (b,) whose amodal masks are known, not completed; see `SmoothFlow`.
        """
        if not forward.shape[1]:
            return forward, backward
        whole = amodal > 0.5
        hidden = (whole & (visible <= 0.5)).flatten(2).any(dim=2)
        touched = hidden[:, 1:] | hidden[:, :-1]  # (b, t-1)
        if not touched.any():
            return forward, backward
        # The network takes masks of 0 and 1, as in training.
        seen, whole = (visible > 0.5).to(frames), whole.to(frames)
        there, back = self.prior(frames, forward, backward, visible, amodal, given)
        # The same net for both: backwards in time, backward flow leads forward.
        turned = [x.flip(1) for x in (frames, backward, back, seen, whole, touched)]
        forward = self._complete(frames, forward, there, seen, whole, touched)
        return forward, self._complete(*turned).flip(1)

    def _complete(
        self, frames: Frames, initial: Flows, prior: Flows, visible: Masks, amodal: Masks, touched: Tensor
    ) -> Flows:
        """Complete one direction, group by group."""
        result, reach, pairs = initial.clone(), self.config.reach_pairs, initial.shape[1]
        device = self.network.head.weight.device
        for i in range(len(frames)):
            # One for the whole clip, so that the groups do not show in the result.
            box = box_around(reduce(amodal[i : i + 1], self.size) > 0.5, _MARGIN, self.config.step)
            for group in _groups(touched[i].nonzero()[:, 0].tolist(), self.group_pairs):
                start, stop = max(group.start - reach, 0), min(group.stop + reach, pairs)
                part, ends = slice(start, stop), slice(start, stop + 1)
                given = (frames[i, ends], initial[i, part], prior[i, part], visible[i, ends], amodal[i, ends])
                completed = self._look(*(x[None].to(device) for x in given), box=box)
                completed = self._hold_back(completed, given[2].to(device))
                here = touched[i, group.start : group.stop].nonzero()[:, 0]
                result[i, group.start + here] = completed[0, group.start - start + here.to(device)].to(result)
        return result

    def _hold_back(self, completed: Flows, prior: Float[Tensor, "t 2 h w"]) -> Flows:
        """Shorten what the network adds."""
        if self.least == 0:
            return completed
        added = completed - prior
        length = added.norm(dim=2, keepdim=True).clamp(min=1e-6)
        return prior + added * (1 - self.least * prior.shape[-1] / 256 / length).clamp(min=0)

    def _look(
        self, frames: Frames, initial: Flows, prior: Flows, visible: Masks, amodal: Masks, box: tuple[slice, slice]
    ) -> Flows:
        """Run the network at `size`; what it adds to the prior is enlarged, so that the prior's detail stays."""
        h, w = frames.shape[-2:]
        small = reduce(frames, self.size)
        if small.shape == frames.shape:
            return self._network(frames, initial, prior, visible, amodal, box)
        unit = frames.new_tensor([small.shape[-1] / w, small.shape[-2] / h]).view(2, 1, 1)
        start, lead = (reduce(x, self.size) * unit for x in (initial, prior))
        seen, whole = ((reduce(x, self.size) > 0.5).to(x) for x in (visible, amodal))
        residue = (self._network(small, start, lead, seen, whole, box) - lead) / unit
        # From within the object alone, since the network adds nothing outside.
        residue = enlarge(residue, (h, w), whole[:, :-1] > 0.5)
        return torch.where(amodal[:, :-1] > 0.5, prior + residue, initial)

    def _network(
        self, frames: Frames, initial: Flows, prior: Flows, visible: Masks, amodal: Masks, box: tuple[slice, slice]
    ) -> Flows:
        """Run the network around the object: what lies farther from it tells nothing of it, and takes time."""
        rows, columns = box
        part = (x[..., rows, columns] for x in (frames, initial, prior, visible, amodal))
        completed = initial.clone()
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=self.half):
            completed[..., rows, columns] = self.network(*part, width=frames.shape[-1])
        return completed


def _groups(pairs: list[int], size: int) -> list[range]:
    """Part ascending numbers into stretches of at most `size`, none of which begins or ends with a gap."""
    groups: list[range] = []
    for pair in pairs:
        if groups and pair < groups[-1].start + size:
            groups[-1] = range(groups[-1].start, pair + 1)
        else:
            groups.append(range(pair, pair + 1))
    return groups
