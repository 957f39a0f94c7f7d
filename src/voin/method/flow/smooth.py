"""Flow completion without weights: one robust motion for the object, plus its smooth deviations.

The visible part's flow is trusted most in the middle of the visible region, since estimators blur motion across the
occluder's rim. A ridge-regularised affine motion is fitted robustly to it, to the outline of the amodal mask (and,
where little is visible, to the neighbouring frames' flow); what the visible flow deviates from it is interpolated
smoothly inside the amodal mask and fades with distance.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from voin.core.diffuse import diffuse
from voin.core.resample import halve
from voin.core.types import Flows, Frames, Masks
from voin.core.warp import cycle_error, length, warp
from voin.method.affine import MotionFitConfig, draw_motion, fit_motion, rim_trust
from voin.method.flow.outlines import Outlines, trace_outlines
from voin.method.gaps import close_gaps


@dataclass(frozen=True)
class SmoothFlowConfig:
    """Numbers of the smooth completion, for windows of 256 pixels (they scale with the window).

    Args:
        rim: visible flow closer than this to the visible region's edge is trusted less (pixels).
        cycle: forward-backward error at which trust has dropped to 1/e (pixels).
        fit: how the object's affine motion is fitted.
        outline_deviation: weight of a point of the outline for deviations, against a trusted pixel of the visible flow.
        smooth: weight of smoothness against the visible flow.
        fade: pull of the deviations towards zero, per pixel.
    """

    rim: float = 12.0
    cycle: float = 0.9
    fit: MotionFitConfig = field(default_factory=MotionFitConfig)
    outline_deviation: float = 4.0
    smooth: float = 4.0
    fade: float = 0.01


class SmoothFlow:
    """Complete flow inside the amodal mask by smooth interpolation of the visible object's flow."""

    def __init__(self, config: SmoothFlowConfig = SmoothFlowConfig()) -> None:
        self.config = config

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

        Args:
            frames: (b, t, 3, h, w); looked at where the object is hidden wholly for a while.
            forward: (b, t-1, 2, h, w) as estimated.
            backward: (b, t-1, 2, h, w) as estimated.
            visible: (b, t, 1, h, w) in [0, 1].
            amodal: (b, t, 1, h, w) in [0, 1].
            given: (b,) whose masks are known, not completed: their outlines tell of motion, too. None: nobody's.
        """
        if not forward.shape[1]:
            return forward, backward
        b, size = visible.shape[0], visible.shape[-1]
        seen, whole = (rearrange(x, "b t 1 h w -> (b t) 1 h w") for x in (visible, amodal))
        trust = rim_trust(seen, self.config.rim * size / 256)
        hidden = ((whole > 0.5) & (seen <= 0.5)).flatten(1).any(dim=1)
        trust, whole, hidden = (rearrange(x, "(b t) ... -> b t ...", b=b) for x in (trust, whole > 0.5, hidden))
        # Pairs of frames in which all of the object is seen need no completion.
        touched = rearrange(hidden[:, 1:] | hidden[:, :-1], "b t -> (b t)")
        flows = [rearrange(x, "b t c h w -> (b t) c h w") for x in (forward, backward)]
        weights = [
            self._weight(flows[0], flows[1], trust[:, :-1], visible[:, 1:]),
            self._weight(flows[1], flows[0], trust[:, 1:], visible[:, :-1]),
        ]
        first, second = (rearrange(x, "b t 1 h w -> (b t) h w") for x in (whole[:, :-1], whole[:, 1:]))
        outlines: list[Outlines | None] = [None, None]
        if given is not None and given.any():
            known = given.to(first.device).repeat_interleave(forward.shape[1])
            outlines = [trace_outlines(first, second, known), trace_outlines(second, first, known)]
        motions = [
            fit_motion(flow, weight, b, self.config.fit, outline)
            for flow, weight, outline in zip(flows, weights, outlines, strict=True)
        ]
        clips = zip(frames, visible, rearrange(motions[0], "(b t) ... -> b t ...", b=b), strict=True)
        lack = torch.cat([close_gaps(*clip) for clip in clips])
        motions[0][:, 0] += lack
        motions[1][:, 0] -= lack
        completed = []
        for flow, weight, motion, outline, mask in zip(
            flows, weights, motions, outlines, (whole[:, :-1], whole[:, 1:]), strict=True
        ):
            inside = rearrange(mask, "b t 1 h w -> (b t) 1 h w")[touched]
            result = flow.clone()
            part = None if outline is None else outline.select(touched)
            result[touched] = complete_flow(flow[touched], weight[touched], inside, motion[touched], self.config, part)
            completed.append(rearrange(result, "(b t) c h w -> b t c h w", b=b))
        return completed[0], completed[1]

    def _weight(
        self, there: Float[Tensor, "n 2 h w"], back: Float[Tensor, "n 2 h w"], trust: Masks, end: Masks
    ) -> Float[Tensor, "n 1 h w"]:
        """Rate flow: high well inside the visible part, where it leads back, and where it arrives at visible pixels."""
        trust, end = (rearrange(x, "b t 1 h w -> (b t) 1 h w") for x in (trust, end))
        # Looked up at half size: a quarter of the cost.
        there, back = halve(there) / 2, halve(back) / 2
        limit = self.config.cycle * end.shape[-1] / 512
        calm = torch.exp(-((cycle_error(there, back) / limit) ** 2)) * warp(halve(end), there)
        return trust * F.interpolate(calm, size=end.shape[-2:])


def complete_flow(
    flow: Float[Tensor, "n 2 h w"],
    weight: Float[Tensor, "n 1 h w"],
    inside: Bool[Tensor, "n 1 h w"],
    motion: Float[Tensor, "n 3 2"],
    config: SmoothFlowConfig,
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
        edge = config.outline_deviation * known
        total = weight + edge
        deviation, weight = (weight * deviation + edge * lack) / total.clamp(min=1e-6), total
    fade = config.fade * (256 / flow.shape[-1]) ** 2
    deviation = diffuse(deviation, weight, inside, config.smooth, fade, finest=2)
    return torch.where(inside, drawn + deviation, flow)
