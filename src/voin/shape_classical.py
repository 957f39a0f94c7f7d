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

from voin.clip import Flows, Frames, Masks
from voin.flow_classical import SmoothFlowConfig, fit_motion, rim_trust
from voin.gaps import close_gaps
from voin.masks import grow, shrink
from voin.pyramid import halve
from voin.warp import cycle_error


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

    offsets: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 11, 15, 20, 26, 32)
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
        calm = [
            torch.exp(-((cycle_error(there, back) / (2 * scale)) ** 2))
            for there, back in ((forward, backward), (backward, forward))
        ]
        trust = rim_trust(half, 8 * scale)
        outside = (~grow(half[:, 0] >= 0.5, 2))[:, None].to(half)
        there, back = _motions(forward, backward, trust, calm)
        lack = close_gaps(picture, half, there)
        there[:, 0] += lack
        back[:, 0] -= lack
        object_chain = _chain(there, back, half.shape[-1])
        scene_chain = _chain(*_motions(forward, backward, outside, calm), half.shape[-1])
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
        for offset, here, there, carried in _carry(torch.cat([small, 1 - hidden], dim=1), chain, self.config.offsets):
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
        for _, here, _, carried in _carry(torch.cat([core, outside, smooth], dim=1), chain, self.config.offsets):
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


def _motions(
    forward: Float[Tensor, "n 2 h w"], backward: Float[Tensor, "n 2 h w"], trust: Tensor, calm: list[Tensor]
) -> tuple[Float[Tensor, "n 3 2"], Float[Tensor, "n 3 2"]]:
    """Fit affine motions to both flows where `trust` is high, one map a frame, and the flow leads back."""
    config = SmoothFlowConfig()
    return (
        fit_motion(forward, trust[:-1] * calm[0], 1, config),
        fit_motion(backward, trust[1:] * calm[1], 1, config),
    )


def _chain(there: Float[Tensor, "n 3 2"], back: Float[Tensor, "n 3 2"], width: int) -> Float[Tensor, "t 3 3"]:
    """Chain motions: maps from the first frame to each, in coordinates from -1 to 1."""
    links = (_matrices(there, width) + torch.linalg.inv(_matrices(back, width))) / 2
    chain = [torch.eye(3).to(links)]
    for link in links:
        chain.append(link @ chain[-1])
    return torch.stack(chain)


def _matrices(coefficients: Float[Tensor, "n 3 2"], width: int) -> Float[Tensor, "n 3 3"]:
    shift = coefficients.transpose(1, 2)[:, :, [1, 2, 0]] * 2 / (width - 1)  # columns x, y, 1
    matrix = torch.eye(3).to(shift).repeat(len(shift), 1, 1)
    matrix[:, :2] += shift
    return matrix


def _carry(small: Float[Tensor, "t c h w"], chain: Float[Tensor, "t 3 3"], offsets: tuple[int, ...]):
    """For each offset in time, carry the masks of other frames here: (offset, frames here, frames there, masks)."""
    t = len(small)
    back = torch.linalg.inv(chain)
    for offset in [sign * each for each in offsets if each < t for sign in (1, -1)]:
        here = torch.arange(max(-offset, 0), min(t - offset, t), device=small.device)
        there = here + offset
        grid = F.affine_grid((chain[there] @ back[here])[:, :2], [len(here), *small.shape[1:]], align_corners=True)
        yield offset, here, there, F.grid_sample(small[there], grid, align_corners=True)
