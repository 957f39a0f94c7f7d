"""What trained and classical filling share: what is hidden or missing, colours spread smoothly, and the mixing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from voin.core.diffuse import diffuse
from voin.core.types import Frames, Masks

Maps = Float[Tensor, "n c h w"]
Weight = Float[Tensor, "n 1 h w"]
Region = Bool[Tensor, "n 1 h w"]


def part_hidden(
    visible: Masks, amodal: Masks, confidence: Masks
) -> tuple[Bool[Tensor, "b t 1 h w"], Bool[Tensor, "b t 1 h w"]]:
    """Find the hidden pixels of the object, and which of these are missing: nothing was propagated to them."""
    hidden = (amodal > 0.5) & (visible <= 0.5)
    return hidden, hidden & (confidence <= 0)


def mix(frames: Tensor, made: Tensor, weight: Tensor) -> Tensor:
    """Mix propagated colours with those made: `weight` 1 leaves `frames`, 0 takes `made`."""
    return weight * frames + (1 - weight) * made


def weigh_known(hidden: Region, inside: Region, confidence: Weight) -> Weight:
    """Weigh pixels by what they say of the object's colours: visible ones in full, hidden ones as far as believed."""
    # Visible pixels at the rim of the hidden region hold some of the occluder's colour.
    rim = F.max_pool2d(hidden.float(), 3, stride=1, padding=1) > 0
    return torch.where(hidden, confidence, (inside & ~rim).to(confidence))


def spread_smoothly(pictures: Maps, weight: Weight, inside: Region, mean: Tensor) -> Maps:
    """Spread colours from where `weight` is high over `inside`; far from all they settle at `mean`."""
    return diffuse(pictures - mean, weight, inside, smooth=1.0, fade=0.001) + mean


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
        b, t = known.shape[:2]
        known, amodal, hidden, confidence = (
            rearrange(x, "b t c h w -> (b t) c h w") for x in (known.float(), amodal, hidden, confidence.float())
        )
        inside = amodal > 0.5
        weight = weigh_known(hidden, inside, confidence)
        clips = [rearrange(x, "(b t) c h w -> b t c h w", b=b) for x in (known * weight, weight)]
        # Where nothing at all is known, the mean is grey.
        mean = (clips[0].sum((1, 3, 4)) + 0.5e-3) / (clips[1].sum((1, 3, 4)) + 1e-3)  # (b, 3)
        mean = mean.repeat_interleave(t, dim=0)[..., None, None]
        smooth = spread_smoothly(known, weight, inside, mean).clamp(0, 1)
        return rearrange(smooth, "(b t) c h w -> b t c h w", b=b)
