"""Flow completion without weights: one robust motion for the object, plus its smooth deviations.

The visible part's flow is trusted most in the middle of the visible region, since estimators blur motion across the
occluder's rim. A ridge-regularised affine motion is fitted robustly to it, to the outline of the amodal mask (and,
where little is visible, to the neighbouring frames' flow); what the visible flow deviates from it is interpolated
smoothly inside the amodal mask and fades with distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from voin.core.diffuse import diffuse
from voin.core.resample import halve
from voin.core.types import Flows, Frames, Masks
from voin.core.warp import cycle_error, length, warp
from voin.method.affine import draw_motion, fit_motion, rim_trust
from voin.method.flow.outlines import Outlines, trace_outlines
from voin.method.gaps import close_gaps

# For windows of 256 pixels; what is in pixels scales with the window.
RIM = 12.0  # visible flow closer than this to the visible region's edge is trusted less (pixels)
CYCLE = 0.9  # forward-backward error at which trust has dropped to 1/e (pixels)
OUTLINE_DEVIATION = 4.0  # weight of a point of the outline for deviations, against a trusted pixel of the visible flow
SMOOTH = 4.0  # weight of smoothness against the visible flow
FADE = 0.01  # pull of the deviations towards zero, per pixel

Maps = Float[Tensor, "n c h w"]


@dataclass(frozen=True)
class SmoothFlow:
    """Complete flow inside the amodal mask by smooth interpolation of the visible object's flow: a `Flow`.

    Args:
        rim: how far the occluder's motion bleeds into the visible flow, pixels of a window of 256.
    """

    rim: float = RIM

    def __call__(
        self,
        frames: Frames,
        forward: Flows,
        backward: Flows,
        visible: Masks,
        amodal: Masks,
        given: Bool[Tensor, " b"] | None = None,
    ) -> tuple[Flows, Flows]:
        """Complete both flows, as every `Flow` does; frames are looked at where the object is hidden for a while."""
        if not forward.shape[1]:
            return forward, backward
        b, size = visible.shape[0], visible.shape[-1]
        seen, whole = (rearrange(x, "b t 1 h w -> (b t) 1 h w") for x in (visible, amodal))
        trust = rim_trust(seen, self.rim * size / 256)
        hidden = ((whole > 0.5) & (seen <= 0.5)).flatten(1).any(dim=1)
        trust, whole, hidden = (rearrange(x, "(b t) ... -> b t ...", b=b) for x in (trust, whole > 0.5, hidden))
        # Pairs of frames in which all of the object is seen need no completion.
        touched = rearrange(hidden[:, 1:] | hidden[:, :-1], "b t -> (b t)")
        flows = [rearrange(x, "b t c h w -> (b t) c h w") for x in (forward, backward)]
        weights = [
            _weigh(flows[0], flows[1], trust[:, :-1], visible[:, 1:]),
            _weigh(flows[1], flows[0], trust[:, 1:], visible[:, :-1]),
        ]
        first, second = (rearrange(x, "b t 1 h w -> (b t) 1 h w") for x in (whole[:, :-1], whole[:, 1:]))
        outlines: list[Outlines | None] = [None, None]
        if given is not None and given.any():
            known = given.to(first.device).repeat_interleave(forward.shape[1])
            outlines = [
                trace_outlines(first[:, 0], second[:, 0], known),
                trace_outlines(second[:, 0], first[:, 0], known),
            ]
        motions = [
            fit_motion(flow, weight, b, outlines=outline)
            for flow, weight, outline in zip(flows, weights, outlines, strict=True)
        ]
        clips = zip(frames, visible, rearrange(motions[0], "(b t) ... -> b t ...", b=b), strict=True)
        lack = torch.cat([close_gaps(*clip) for clip in clips])
        motions[0][:, 0] += lack
        motions[1][:, 0] -= lack
        completed = []
        for flow, weight, motion, outline, inside in zip(
            flows, weights, motions, outlines, (first, second), strict=True
        ):
            part = None if outline is None else outline.select(touched)
            result = flow.clone()
            result[touched] = complete_flow(flow[touched], weight[touched], inside[touched], motion[touched], part)
            completed.append(rearrange(result, "(b t) c h w -> b t c h w", b=b))
        return completed[0], completed[1]


def _weigh(flow: Maps, back: Maps, trust: Masks, end: Masks) -> Float[Tensor, "n 1 h w"]:
    """Rate flow: high well inside the visible part, where it leads back, and where it arrives at visible pixels."""
    trust, end = (rearrange(x, "b t 1 h w -> (b t) 1 h w") for x in (trust, end))
    # Looked up at half size: a quarter of the cost.
    flow, back = halve(flow) / 2, halve(back) / 2
    limit = CYCLE * end.shape[-1] / 512
    consistency = torch.exp(-((cycle_error(flow, back) / limit) ** 2)) * warp(halve(end), flow)
    return trust * F.interpolate(consistency, size=end.shape[-2:])


def complete_flow(
    flow: Float[Tensor, "n 2 h w"],
    weight: Float[Tensor, "n 1 h w"],
    inside: Bool[Tensor, "n 1 h w"],
    motion: Float[Tensor, "n 3 2"],
    outlines: Outlines | None = None,
) -> Float[Tensor, "n 2 h w"]:
    """Complete one direction's flow inside the amodal mask: the fitted motion plus smooth deviations."""
    drawn = draw_motion(motion, flow)
    error = length(flow - drawn)
    spread = (weight * error).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(min=1e-6)
    # What deviates much is more often the occluder's motion bleeding in than the object's own.
    weight = weight / (1 + (error / spread.clamp(min=0.2)) ** 2)
    deviation = flow - drawn
    if outlines is not None:
        lack, known = outlines.deviations(motion)
        edge = OUTLINE_DEVIATION * known
        total = weight + edge
        deviation, weight = (weight * deviation + edge * lack) / total.clamp(min=1e-6), total
    fade = FADE * (256 / flow.shape[-1]) ** 2
    deviation = diffuse(deviation, weight, inside, SMOOTH, fade, finest=2)
    return torch.where(inside, drawn + deviation, flow)
