"""Shape completion without weights: frames vote on where the object is.

The object's visible masks are carried from frame to frame by its own (robust, affine) motion; a pixel that was
visible as object in other frames is object here too, unless it is surely background: it moves as the background does,
and at another time the object was seen in front of that very point of the background.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from voin.core.morphology import grow, shrink
from voin.core.resample import halve
from voin.core.types import Flows, Frames, Masks
from voin.method.affine import OFFSETS, align, chain_motions, chain_scene, fit_motions, flow_consistency, rim_trust
from voin.method.gaps import close_gaps


@dataclass(frozen=True)
class VotedShapeConfig:
    """How frames vote; pixels are those of a 256-pixel window.

    Args:
        offsets: frames ahead and back that vote.
        patience_frames: distance in time over which a vote's weight drops to 1/e.
        quorum: weighted share of the votes that makes a pixel object.
        rounds: how often frames vote again, knowing where the others think the object is hidden.
        colour: difference in colour at which two pixels are no longer the same point of the background.
        returns: share of the frames in which a point of the background must show the same colour.
        thickness: hidden parts thinner than this share of the object's diameter count as deformation, not occlusion.
        deficit: share of the object's usual area that must lack before anything is completed.
    """

    offsets: tuple[int, ...] = OFFSETS
    patience_frames: float = 12.0
    quorum: float = 0.3
    rounds: int = 1
    colour: float = 0.08
    returns: float = 0.4
    thickness: float = 0.06
    deficit: float = 0.04


class VotedShape:
    """Complete the mask by temporal voting in the stabilised window."""

    def __init__(self, config: VotedShapeConfig = VotedShapeConfig()) -> None:
        self.config = config

    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        allowed: Masks,
        forward: Flows,
        backward: Flows,
        category: str | None = None,
    ) -> Masks:
        """Give the amodal mask (b, t, 1, h, w), 0 or 1: `visible` and what was voted to be hidden, inside `allowed`.

        Args:
            frames: (b, t, 3, h, w).
            visible: (b, t, 1, h, w) in [0, 1].
            allowed: (b, t, 1, h, w) in [0, 1]; where the object can be hidden.
            forward: (b, t-1, 2, h, w) as estimated.
            backward: (b, t-1, 2, h, w) as estimated.
            category: not needed here.
        """
        del category
        clips = zip(frames, visible, allowed, forward, backward, strict=True)
        return torch.stack([self._clip(*clip) for clip in clips])

    def _clip(
        self,
        frames: Float[Tensor, "t 3 h w"],
        visible: Float[Tensor, "t 1 h w"],
        allowed: Float[Tensor, "t 1 h w"],
        forward: Float[Tensor, "s 2 h w"],
        backward: Float[Tensor, "s 2 h w"],
    ) -> Float[Tensor, "t 1 h w"]:
        seen = visible > 0.5
        if len(visible) < 2:
            return seen.to(visible)
        # Voting works at a quarter of the size, its motions are fitted at half: it needs no more.
        forward, backward, half, picture = (halve(x) for x in (forward / 2, backward / 2, visible, frames))
        scale = half.shape[-1] / 256
        calm = flow_consistency(forward, backward)
        trust = rim_trust(half, 8 * scale)
        there, back = fit_motions(forward, backward, trust, calm)
        lack = close_gaps(picture, half, there)
        there[:, 0] += lack
        back[:, 0] -= lack
        object_chain = chain_motions(there, back, half.shape[-1])
        scene_chain = chain_scene(forward, backward, half, calm)
        small = halve(half)
        votes = self._vote(small, torch.zeros_like(small), object_chain)
        for _ in range(self.config.rounds):
            # Where the object is thought to be hidden, a frame abstains instead of voting against it.
            votes = self._vote(small, (votes > self.config.quorum).to(small) * (1 - small), object_chain)
        background = self._background(halve(picture), small, votes, scene_chain)
        voted = votes * (1 - F.avg_pool2d(background.to(votes), 3, 1, 1))
        voted = F.interpolate(voted, scale_factor=4, mode="bilinear")
        hidden = (voted > self.config.quorum) & ~seen & (allowed > 0.5)
        return (seen | self._settle(hidden, seen)).to(visible)

    def _vote(
        self, small: Float[Tensor, "t 1 h w"], hidden: Float[Tensor, "t 1 h w"], chain: Float[Tensor, "t 3 3"]
    ) -> Float[Tensor, "t 1 h w"]:
        """Weighted share of the frames around each that saw the object at each pixel; hidden pixels abstain."""
        area = small.mean(dim=(1, 2, 3))
        # A frame votes as strongly as it saw much of the object.
        strength = area / area.max().clamp(min=1e-6)
        total, weights = torch.zeros_like(small), torch.zeros_like(small)
        for offset, here, there, carried in align(torch.cat([small, 1 - hidden], dim=1), chain, self.config.offsets):
            weight = torch.exp(torch.tensor(-abs(offset) / self.config.patience_frames))
            weight = (weight * strength[there]).view(-1, 1, 1, 1)
            total[here] += weight * carried[:, :1]
            weights[here] += weight * carried[:, 1:]
        return total / weights.clamp(min=1e-6)

    def _background(
        self,
        frames: Float[Tensor, "t 3 h w"],
        small: Float[Tensor, "t 1 h w"],
        votes: Float[Tensor, "t 1 h w"],
        chain: Float[Tensor, "t 3 3"],
    ) -> Bool[Tensor, "t 1 h w"]:
        """Where the background is surely seen.

        The pixel's colour returns at the same point of the background at other times, so it is no passing occluder;
        and at some time the object stood in front of that point, so it is no occluder at rest.
        """
        smooth = F.avg_pool2d(frames, 3, 1, 1)
        core = -F.max_pool2d(-small, 3, 1, 1)
        # Where the object may be hidden, what is seen is the occluder and tells nothing about the background.
        outside = (~grow(small.maximum(votes)[:, 0] >= 0.5 * self.config.quorum, 1))[:, None].to(small)
        covered, same, compared = (torch.zeros_like(small) for _ in range(3))
        for _, here, _, carried in align(torch.cat([core, outside, smooth], dim=1), chain, self.config.offsets):
            covered[here] = covered[here].maximum(carried[:, :1])
            comparable = (carried[:, 1:2] > 0.99).to(small)
            difference = (carried[:, 2:] - smooth[here]).abs().amax(dim=1, keepdim=True)
            compared[here] += comparable
            same[here] += comparable * torch.exp(-((difference / self.config.colour) ** 2))
        return (covered > 0.5) & (same > self.config.returns * compared) & (compared >= 2)

    def _settle(self, hidden: Bool[Tensor, "t 1 h w"], seen: Bool[Tensor, "t 1 h w"]) -> Bool[Tensor, "t 1 h w"]:
        """Drop hidden parts that are thin or, in sum, small: an object that deforms is not hidden."""
        # Votes at a quarter of the size blur the outline by up to three pixels.
        area = (hidden | seen).flatten(1).sum(dim=1)
        diameter = area.float().median().sqrt()
        radius = max(round(float(self.config.thickness * diameter / 2)), 3)
        # Opening by reconstruction: what is thick somewhere keeps its outline nearby.
        opened = (grow(shrink(hidden[:, 0], radius), 2 * radius) & hidden[:, 0])[:, None]
        enough = opened.flatten(1).sum(dim=1) > self.config.deficit * area
        return opened & enough.view(-1, 1, 1, 1)
