"""Simulate what propagation gives, so that the generator can be trained by itself, fast and on the device.

    seen at that place of the window in another frame, and not lost on the way  ->  propagated, with a confidence
    all else that is hidden  ->  missing

Windows follow the object, so that a pixel of it stays roughly where it is in the window. Propagated colours are a
little beside their place and a little off in tone, the more so the less they are believed. Not in the paper, where
all is trained jointly: that needs motion to be estimated for every batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from voin.core.config import Checked, setting
from voin.core.morphology import grow
from voin.core.types import Frames, Masks
from voin.core.warp import warp

_KNOTS = 6  # side of the grid on which random fields are drawn
_GUARD = 2  # pixels that sources keep from the occluder


@dataclass(frozen=True)
class SimulatedPropagationConfig(Checked):
    """How well propagation does."""

    share: float = setting(
        1.0,
        "Share of clips in which propagation is simulated; in the others it is carried out, along flow that is "
        "completed smoothly, which takes longer.",
        least=0,
        most=1,
    )
    none: float = setting(0.15, "Share of clips in which nothing is found.", least=0, most=1)
    long: float = setting(
        0.5, "Share of clips taken for parts of long ones, which show all of the object elsewhere.", least=0, most=1
    )
    lost: float = setting(0.6, "Most share of what could be found that is lost.", least=0, most=1)
    offset: float = setting(
        2.5, "Most way beside the place, for windows of 128 pixels, where confidence is e^-1.", unit="pixels", least=0
    )
    tone: float = setting(0.06, "Largest error of brightness and colour at that confidence.", least=0, most=1)


@torch.no_grad()
def simulate_propagation(
    frames: Frames,
    truth: Frames,
    visible: Masks,
    amodal: Masks,
    config: SimulatedPropagationConfig,
    seeds: Sequence[int],
) -> tuple[Frames, Masks]:
    """Return the frames with what was found in place, and its confidence in [0, 1], 0 where nothing was.

    `truth` is without the occluder; masks are 0 or 1, and there is a seed a clip, of all that is drawn.
    """
    b, w = len(frames), frames.shape[-1]
    random = [torch.Generator().manual_seed(seed) for seed in seeds]
    clips = torch.stack([torch.rand(4, generator=generator) for generator in random]).to(frames)
    hidden = (amodal > 0.5) & (visible <= 0.5)
    long = (clips[:, 3] < config.long)[:, None, None, None, None]
    found = hidden & (long | _seen_elsewhere(visible > 0.5, hidden))
    found &= _field(random, frames, 1, steady=0.5) > _threshold(clips[:, 0] * config.lost)
    found &= (clips[:, 1] >= config.none)[:, None, None, None, None]

    # How wrong it is, 0 to about 1.5; in some clips everywhere less.
    error = (0.2 + clips[:, 2])[:, None, None, None, None] * (0.7 + 0.5 * _field(random, frames, 1)).clamp(min=0)
    offset = config.offset * w / 128 * error * _field(random, frames, 2)
    moved = warp(rearrange(truth, "b t c h w -> (b t) c h w"), rearrange(offset, "b t c h w -> (b t) c h w"))
    tone = config.tone * error * (_field(random, frames, 1) + 0.5 * _field(random, frames, 3))
    colours = (rearrange(moved, "(b t) c h w -> b t c h w", b=b) + tone).clamp(0, 1)
    return torch.where(found, colours, frames), torch.where(found, torch.exp(-(error**2)), 0.0)


def _seen_elsewhere(visible: Bool[Tensor, "b t 1 h w"], hidden: Bool[Tensor, "b t 1 h w"]) -> Bool[Tensor, "b t 1 h w"]:
    """Return which places of the window show the object in any frame."""
    clear = visible & ~grow(hidden.flatten(0, 2), _GUARD).view_as(hidden)
    return clear.any(dim=1, keepdim=True).expand_as(visible)


def _field(
    random: list[torch.Generator], like: Tensor, channels: int, steady: float = 0.0
) -> Float[Tensor, "b t c h w"]:
    """Draw smooth fields of mean 0 and deviation about 1; a share `steady` of them is alike in all frames of a clip."""
    b, t, _, h, w = like.shape
    size = (t + 1, channels, _KNOTS, _KNOTS)
    knots = torch.stack([torch.randn(size, generator=generator) for generator in random]).to(like)
    knots = steady**0.5 * knots[:, :1] + (1 - steady) ** 0.5 * knots[:, 1:]
    fields = F.interpolate(knots.flatten(0, 1), size=(h, w), mode="bicubic", align_corners=True)
    return fields.unflatten(0, (b, t)) * 1.3  # between the knots it is flatter


def _threshold(shares: Float[Tensor, " b"]) -> Float[Tensor, "b 1 1 1 1"]:
    """Return the value that a share of a normal field lies below."""
    return torch.special.ndtri(shares.clamp(1e-4, 1 - 1e-4))[:, None, None, None, None]
