"""Shape completion without weights: frames vote on where the object is.

The object's visible masks are carried from frame to frame by its own (robust, affine) motion; a pixel that was
visible as object in other frames is object here too, unless it is surely background: it moves as the background does,
and at another time the object was seen in front of that very point of the background.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from voin.core.morphology import grow, shrink
from voin.core.resample import halve
from voin.core.types import Flows, Frames, Masks
from voin.method.affine import align, chain_motions, chain_scene, fit_motions, flow_consistency, rim_trust
from voin.method.gaps import close_gaps

PATIENCE_FRAMES = 12.0  # distance in time over which a vote's weight drops to 1/e
QUORUM = 0.3  # weighted share of the votes that makes a pixel object
COLOUR = 0.08  # difference at which two pixels are no longer the same point of the background
RETURNS = 0.4  # share of the frames in which a point of the background must show the same colour
THICKNESS = 0.06  # of the object's diameter: hidden parts that are thinner count as deformation, not occlusion
DEFICIT = 0.04  # of the object's usual area: less must not lack for anything to be completed

Clip = Float[Tensor, "t c h w"]
Mask = Float[Tensor, "t 1 h w"]
Chain = Float[Tensor, "t 3 3"]


class VotedShape:
    """Complete the mask by temporal voting in the stabilised window: a `Shape` whose mask is 0 or 1."""

    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        allowed: Masks,
        forward: Flows,
        backward: Flows,
        category: str | None = None,
        wanted: range | None = None,
    ) -> Masks:
        """Complete the mask of all frames, as every `Shape` does; the category is not needed."""
        del category, wanted
        clips = zip(frames, visible, allowed, forward, backward, strict=True)
        return torch.stack([_complete(*clip) for clip in clips])


def _complete(frames: Clip, visible: Mask, allowed: Mask, forward: Tensor, backward: Tensor) -> Mask:
    seen = visible > 0.5
    if len(visible) < 2:
        return seen.to(visible)
    # Voting works at a quarter of the size, its motions are fitted at half: it needs no more.
    forward, backward = ((halve(flow) / 2).contiguous() for flow in (forward, backward))
    half, picture = halve(visible), halve(frames)
    consistency = flow_consistency(forward, backward)
    trust = rim_trust(half, 8 * half.shape[-1] / 256)
    ahead, back = fit_motions(forward, backward, trust, consistency)
    lack = close_gaps(picture, half, ahead)
    ahead[:, 0] += lack
    back[:, 0] -= lack
    object_chain = chain_motions(ahead, back, half.shape[-1])
    scene_chain = chain_scene(forward, backward, half, consistency)
    small = halve(half)
    votes = _vote(small, torch.zeros_like(small), object_chain)
    # Where the object is thought to be hidden, a frame abstains instead of voting against it.
    votes = _vote(small, (votes > QUORUM).to(small) * (1 - small), object_chain)
    background = _find_background(halve(picture), small, votes, scene_chain)
    voted = votes * (1 - F.avg_pool2d(background.to(votes), 3, 1, 1))
    voted = F.interpolate(voted, scale_factor=4, mode="bilinear")
    hidden = (voted > QUORUM) & ~seen & (allowed > 0.5)
    return (seen | _settle(hidden, seen)).to(visible)


def _vote(small: Mask, hidden: Mask, chain: Chain) -> Mask:
    """Return the weighted share of the frames around each that saw the object at each pixel; hidden pixels abstain."""
    area = small.mean(dim=(1, 2, 3))
    # A frame votes as strongly as it saw much of the object.
    strength = area / area.max().clamp(min=1e-6)
    total, weights = torch.zeros_like(small), torch.zeros_like(small)
    for offset, frames, voters, carried in align(torch.cat([small, 1 - hidden], dim=1), chain):
        weight = torch.exp(torch.tensor(-abs(offset) / PATIENCE_FRAMES))
        weight = (weight * strength[voters]).view(-1, 1, 1, 1)
        total[frames] += weight * carried[:, :1]
        weights[frames] += weight * carried[:, 1:]
    return total / weights.clamp(min=1e-6)


def _find_background(picture: Clip, small: Mask, votes: Mask, chain: Chain) -> Bool[Tensor, "t 1 h w"]:
    """Find where the background is surely seen.

    The pixel's colour returns at the same point of the background at other times, so it is no passing occluder;
    and at some time the object stood in front of that point, so it is no occluder at rest.
    """
    smooth = F.avg_pool2d(picture, 3, 1, 1)
    core = -F.max_pool2d(-small, 3, 1, 1)
    # Where the object may be hidden, what is seen is the occluder and tells nothing about the background.
    outside = (~grow(small.maximum(votes)[:, 0] >= 0.5 * QUORUM, 1))[:, None].to(small)
    covered, same, compared = (torch.zeros_like(small) for _ in range(3))
    for _, frames, _, carried in align(torch.cat([core, outside, smooth], dim=1), chain):
        covered[frames] = covered[frames].maximum(carried[:, :1])
        comparable = (carried[:, 1:2] > 0.99).to(small)
        difference = (carried[:, 2:] - smooth[frames]).abs().amax(dim=1, keepdim=True)
        compared[frames] += comparable
        same[frames] += comparable * torch.exp(-((difference / COLOUR) ** 2))
    return (covered > 0.5) & (same > RETURNS * compared) & (compared >= 2)


def _settle(hidden: Bool[Tensor, "t 1 h w"], seen: Bool[Tensor, "t 1 h w"]) -> Bool[Tensor, "t 1 h w"]:
    """Drop hidden parts that are thin or, in sum, small: an object that deforms is not hidden."""
    area = (hidden | seen).flatten(1).sum(dim=1)
    diameter = area.float().median().sqrt()
    # Votes at a quarter of the size blur the outline by up to three pixels.
    radius = max(round(float(THICKNESS * diameter / 2)), 3)
    # Opening by reconstruction: what is thick somewhere keeps its outline nearby.
    opened = (grow(shrink(hidden[:, 0], radius), 2 * radius) & hidden[:, 0])[:, None]
    enough = opened.flatten(1).sum(dim=1) > DEFICIT * area
    return opened & enough.view(-1, 1, 1, 1)
