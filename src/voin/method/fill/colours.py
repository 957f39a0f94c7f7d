"""What trained and classical filling share: what is hidden or missing, colours spread smoothly, and the mixing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from voin.core.diffuse import diffuse
from voin.core.types import Frames, Masks

Maps = Float[Tensor, "n c h w"]
Weight = Float[Tensor, "n 1 h w"]
Region = Bool[Tensor, "n 1 h w"]
Regions = Bool[Tensor, "b t 1 h w"]


def part_hidden(visible: Masks, amodal: Masks, confidence: Masks) -> tuple[Regions, Regions]:
    """Find the hidden pixels of the object, and which of these are missing: nothing was propagated to them."""
    hidden = (amodal > 0.5) & (visible <= 0.5)
    return hidden, hidden & (confidence <= 0)


def mix(frames: Tensor, made: Tensor, weight: Tensor) -> Tensor:
    """Mix propagated colours with those made: `weight` 1 leaves `frames`, 0 takes `made`."""
    return weight * frames + (1 - weight) * made


def with_gradient_of(values: Tensor, soft: Tensor) -> Tensor:
    """Return `values` unchanged, with the gradient of `soft` (a straight-through estimator)."""
    return values.detach() + (soft - soft.detach())


def weigh_known(hidden: Region, inside: Region, confidence: Weight) -> Weight:
    """Weigh pixels by what they say of the object's colours: visible ones in full, hidden ones as far as believed."""
    # Visible pixels at the rim of the hidden region hold some of the occluder's colour.
    rim = F.max_pool2d(hidden.float(), 3, stride=1, padding=1) > 0
    return torch.where(hidden, confidence, (inside & ~rim).to(confidence))


def spread_smoothly(pictures: Maps, weight: Weight, inside: Region, mean: Tensor) -> Maps:
    """Spread colours from where `weight` is high over `inside`; far from all they settle at `mean`."""
    # At half the size, unless that is little.
    finest = 2 if min(pictures.shape[-2:]) > 64 else 1
    return diffuse(pictures - mean, weight, inside, smooth=1.0, fade=0.001, finest=finest) + mean


@torch.no_grad()
def spread_colours(known: Frames, hidden: Regions, amodal: Masks, confidence: Masks) -> Frames:
    """Spread the object's colours smoothly over its hidden part, as far as they are believed; no gradient flows.

    Outside the object comes its mean colour over the clip.
    """
    with torch.autocast(known.device.type, enabled=False):
        clips = known.shape[:2]
        known, inside, hidden, confidence = (
            x.flatten(0, 1) for x in (known.float(), amodal > 0.5, hidden, confidence.float())
        )
        weight = weigh_known(hidden, inside, confidence)
        total, count = (x.unflatten(0, clips).sum((1, 3, 4)) for x in (known * weight, weight))
        # Where nothing at all is known, the mean is grey.
        mean = ((total + 0.5e-3) / (count + 1e-3)).repeat_interleave(clips[1], dim=0)[..., None, None]
        return spread_smoothly(known, weight, inside, mean).clamp(0, 1).unflatten(0, clips)
