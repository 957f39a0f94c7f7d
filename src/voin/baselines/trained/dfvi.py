"""DFVI: deep flow-guided video inpainting (Xu, Li, Zhou, Loy, CVPR 2019).

Flow is completed first, by three networks in a row, coarse to fine, each of which looks at the flow of several frames;
colours follow it from frame to frame, and an image network fills what no frame shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from voin.baselines.trained.rounds import Clip, FlowPainting, Link, Region, ends_of_stretches, fill_smoothly
from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.core.resample import enlarge, reduce
from voin.core.types import Flows, Masks
from voin.method.frames import over_frames
from voin.method.propagation.plain import plain_propagate

Maps = Float[Tensor, "n c h w"]
_FACTOR = 8
_UNIT = 64  # flow is in units of the width over this


@dataclass(frozen=True)
class DfviConfig(Checked):
    """The numbers of flow completion."""

    stem: int = setting(24, "Channels of the first layer.", least=1)
    channels: tuple[int, ...] = setting((48, 96, 128, 128), "Of the four stages of each encoder.", least=1)
    blocks: tuple[int, ...] = setting((2, 2, 1, 1), "Residual blocks of each stage.", least=1)
    bottleneck: bool = setting(False, "Blocks of 1x1, 3x3 and 1x1 with a quarter of the channels, as in ResNet-50.")
    head: tuple[int, int] = setting((96, 48), "Channels of the decoder.", least=1)
    frames: int = setting(5, "Frames whose flow is looked at; odd.", least=1)
    scales: tuple[float, ...] = setting((0.5, 0.5, 1.0), "Sizes at which flow is completed, one after the other.")
    shared: bool = setting(True, "All but the first are one network.")

    def check(self) -> None:
        """Refuse stages that do not fit, an even number of frames, and scales that are none."""
        if len(self.channels) != 4 or len(self.blocks) != 4 or self.frames % 2 == 0:
            raise ValueRefusal(
                f"dfvi has channels {self.channels}, blocks {self.blocks} and frames {self.frames}",
                "the first two must be four numbers, and frames odd",
                "leave them out",
            )
        if len(self.scales) < 2 or not all(0 < scale <= 1 for scale in self.scales):
            raise ValueRefusal(f"dfvi.scales is {self.scales}", "at least two in 0..1 are needed", "use 0.5,0.5,1")


SMALL = DfviConfig()
# Three ResNet-50s.
PAPER = DfviConfig(
    64, (256, 512, 1024, 2048), (3, 4, 6, 3), True, (256, 128), 11, scales=(0.5, 2 / 3, 1.0), shared=False
)


class Residual(nn.Module):
    """A residual block; it begins as the identity, or as a 1x1 convolution where channels or size change.

    Not as published: there are no norms to freeze, because there is no pretrained network here whose norms they would
    be, and norms that learn from the data would hide how fast things move.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dilation: int, bottleneck: bool) -> None:
        super().__init__()
        inner = outputs // 4 if bottleneck else outputs
        first = nn.Conv2d(inputs, inner, 1) if bottleneck else nn.Conv2d(inputs, inner, 3, stride, dilation, dilation)
        middle = (nn.Conv2d(inner, inner, 3, stride, dilation, dilation), nn.ReLU()) if bottleneck else ()
        last = nn.Conv2d(inner, outputs, 1) if bottleneck else nn.Conv2d(inner, outputs, 3, 1, dilation, dilation)
        nn.init.zeros_(last.weight)
        self.branch = nn.Sequential(first, nn.ReLU(), *middle, last)
        changes = stride > 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if changes else nn.Identity()

    def forward(self, x: Maps) -> Float[Tensor, "n d y x"]:
        """Add the branch."""
        return F.relu(self.shortcut(x) + self.branch(x))


class FlowCompletion(nn.Module):
    """One of the networks in the row: an encoder to an eighth of the size, and a decoder of three layers."""

    def __init__(self, config: DfviConfig, inputs: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(inputs, config.stem, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        last = config.stem
        # The last two stages keep the size and look wider instead.
        stages = zip(config.channels, config.blocks, (1, 2, 1, 1), (1, 1, 2, 4), strict=True)
        for channels, blocks, stride, dilation in stages:
            for i in range(blocks):
                layers.append(Residual(last, channels, stride if i == 0 else 1, dilation, config.bottleneck))
                last = channels
        self.encoder = nn.Sequential(*layers)
        up = [nn.Upsample(scale_factor=2, mode="bilinear") for _ in range(3)]
        wide, narrow = config.head
        self.decoder = nn.Sequential(
            *(up[0], nn.Conv2d(last, wide, 5, padding=2), nn.ReLU()),
            *(up[1], nn.Conv2d(wide, narrow, 3, padding=1), nn.ReLU()),
            *(up[2], nn.Conv2d(narrow, outputs, 1)),
        )

    def forward(self, x: Maps) -> Float[Tensor, "n d h w"]:
        """Return flow of the middle frame, on the grid of `x`, whose sides are multiples of 8."""
        return self.decoder(self.encoder(x))


class Dfvi(nn.Module):
    """The row of networks: the first looks at one direction, the others at both."""

    def __init__(self, config: DfviConfig = SMALL) -> None:
        super().__init__()
        self.config = config
        k, later = config.frames, 1 if config.shared else len(config.scales) - 1
        # Flow, hole and, as the paper adds it, the visible mask of each frame.
        self.coarse = FlowCompletion(config, 4 * k, 2)
        self.refine = nn.ModuleList(FlowCompletion(config, 8 * k, 4) for _ in range(later))

    def forward(self, forward: Flows, backward: Flows, visible: Masks, hole: Masks) -> list[tuple[Flows, Flows]]:
        """Complete flow inside the hole; outside it comes back as it is.

        Args:
            forward: (b, t-1, 2, h, w), pixels, the hole filled smoothly.
            backward: likewise.
            visible: (b, t, 1, h, w), 0 or 1.
            hole: (b, t, 1, h, w), 0 or 1.

        Returns:
            Both directions as each network of the row leaves them; the last is the result.
        """
        unit = forward.shape[-1] / _UNIT
        masks = torch.cat([hole, visible], dim=2)
        start, end = masks[:, :-1], masks[:, 1:]  # of the frames in which forward and backward flow begins
        both = torch.cat([torch.cat([forward / unit, start], 2), torch.cat([backward / unit, end], 2).flip(1)])
        found = self._run(self.coarse, both, self.config.scales[0])
        results = [self._put(found[: len(hole)] * unit, found[len(hole) :].flip(1) * unit, forward, backward, hole)]
        t = hole.shape[1]
        ahead, behind = torch.arange(t).clamp(max=t - 2), (torch.arange(t) - 1).clamp(min=0)
        for i, scale in enumerate(self.config.scales[1:]):
            network = self.refine[0 if self.config.shared else i]
            first, second = (flow / unit for flow in results[-1])
            # Of each frame the flow that begins in it; the first and the last have one of a neighbour's.
            parts = (torch.cat([first, start], 2)[:, ahead], torch.cat([second, end], 2)[:, behind])
            found = self._run(network, torch.cat(parts, dim=2), scale) * unit
            results.append(self._put(found[:, :-1, :2], found[:, 1:, 2:], forward, backward, hole))
        return results

    def _run(self, network: Any, x: Float[Tensor, "b t c h w"], scale: float) -> Float[Tensor, "b t d h w"]:
        """Run one network of the row, at its scale, on the frames around each."""
        size = (x.shape[-2], x.shape[-1])
        small = [max(round(scale * side / _FACTOR), 1) * _FACTOR for side in size]
        x = over_frames(lambda maps: F.interpolate(maps, small, mode="bilinear"), x)
        t, k = x.shape[1], self.config.frames
        around = (torch.arange(t)[:, None] + torch.arange(k) - k // 2).clamp(0, t - 1)
        flow = network(rearrange(x[:, around], "b t k c h w -> (b t) (k c) h w")).float()
        return rearrange(F.interpolate(flow, size, mode="bilinear"), "(b t) c h w -> b t c h w", t=t)

    def _put(self, first: Flows, second: Flows, forward: Flows, backward: Flows, hole: Masks) -> tuple[Flows, Flows]:
        inside = hole > 0.5
        return torch.where(inside[:, :-1], first, forward), torch.where(inside[:, 1:], second, backward)


def hole_errors(
    flow: Flows, truth: Flows, region: Float[Tensor, "b pairs 1 h w"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Compare flow in a region (pixels): the mean over it, and that over its harder half; each clip counts alike."""
    error = (flow - truth).abs().mean(dim=2).flatten(1)
    inside = region.flatten(1) > 0.5
    middle = torch.where(inside, error.detach(), torch.nan).nanmedian(dim=1, keepdim=True).values
    hard = inside & (error >= middle)
    easy, harder = ((error * part).sum(dim=1) / part.sum(dim=1).clamp(min=1) for part in (inside, hard))
    return easy.mean(), harder.mean()


class DfviPainting(FlowPainting):
    """Completed flow, propagation from the nearest frame, and the image network at both ends of what is open."""

    kinds = ("dfvi", "deepfill")

    def complete(self, forward: Flows, backward: Flows, visible: Masks, hole: Masks) -> tuple[Flows, Flows]:  # noqa: D102
        part = self.found["dfvi"]
        starts = hole[:, :-1], hole[:, 1:]
        ahead, back = (fill_smoothly(flow, start) for flow, start in zip((forward, backward), starts, strict=True))
        full = (hole.shape[-2], hole.shape[-1])
        masks = [(reduce(mask, part.size) > 0.5).to(hole) for mask in (visible, hole)]
        ratio = masks[0].shape[-1] / full[1]
        with torch.autocast(hole.device.type, torch.bfloat16, enabled=part.half):
            found = part.network(reduce(ahead, part.size) * ratio, reduce(back, part.size) * ratio, *masks)[-1]
        first, second = (
            torch.where(start > 0.5, enlarge(small.float(), full) / ratio, flow)
            for small, flow, start in zip(found, (forward, backward), starts, strict=True)
        )
        return first, second

    def propagate(  # noqa: D102
        self, frames: Clip, missing: Region, forward: Link, backward: Link, inside: Region | None = None
    ) -> tuple[Clip, Region]:
        del inside  # nothing is fitted to what is beside it
        filled, source = plain_propagate(frames, missing, forward, backward)
        found: Bool[Tensor, "t 1 h w"] = missing & (source[:, None] >= 0)
        return torch.where(found, filled, frames), missing & ~found

    def choose(self, missing: Region) -> list[int]:  # noqa: D102
        return ends_of_stretches(missing)
