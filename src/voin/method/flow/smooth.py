"""Flow completion without weights: one robust motion for the object, plus its smooth deviations.

An affine motion is fitted to the visible part's flow, which is trusted most in the middle, since estimators blur motion
across the occluder's rim. What flow deviates from it is spread smoothly inside the amodal mask, and fades.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from voin.core.diffuse import diffuse
from voin.core.resample import halve
from voin.core.types import Flows, Frames, Masks
from voin.core.warp import cycle_error, length, warp
from voin.method.affine import Motions, draw_motion, fit_motion, rim_trust
from voin.method.cores import side_by_side
from voin.method.flow.outlines import Outlines, trace_outlines
from voin.method.frames import over_frames
from voin.method.gaps import close_gaps
from voin.method.stages import Given

# For windows of 256 pixels; what is in pixels scales with the window.
RIM = 12.0  # visible flow closer than this to the visible region's edge is trusted less (pixels)
CYCLE = 0.9  # forward-backward error at which trust has dropped to 1/e (pixels)
OUTLINE_DEVIATION = 4.0  # weight of a point of the outline for deviations, against a trusted pixel of the visible flow
SMOOTH = 4.0  # weight of smoothness against the visible flow
FADE = 0.01  # pull of the deviations towards zero, per pixel
_BATCH = 8  # pairs of frames

Maps = Float[Tensor, "n c h w"]
Trust = Float[Tensor, "n 1 h w"]


@dataclass(frozen=True)
class SmoothFlow:
    """Complete flow inside the amodal mask by smooth interpolation of the visible object's flow: a `Flow`."""

    rim: float = RIM  # how far the occluder's motion bleeds into the visible flow, pixels of a window of 256

    def __call__(
        self,
        frames: Frames,
        forward: Flows,
        backward: Flows,
        visible: Masks,
        amodal: Masks,
        given: Given = None,
        wanted: range | None = None,
    ) -> tuple[Flows, Flows]:
        """Complete both flows, as every `Flow` does; frames are looked at where the object is hidden for a while."""
        if not forward.shape[1]:
            return forward, backward
        b, pairs = forward.shape[:2]
        whole = amodal > 0.5
        trust = over_frames(lambda x: rim_trust(x, self.rim * visible.shape[-1] / 256), visible)
        hidden = (whole & (visible <= 0.5)).flatten(2).any(dim=2)
        # Pairs of frames in which all of the object is seen need no completion.
        touched = select_wanted(hidden[:, 1:] | hidden[:, :-1], wanted).flatten()
        if not touched.any():
            return forward, backward
        # Of each direction: the flow and the flow back, and the frames in which it begins and ends.
        first, second = slice(None, -1), slice(1, None)
        both = ((forward, backward, first, second), (backward, forward, second, first))

        def fit(flow: Flows, back: Flows, begin: slice, end: slice) -> tuple[Any, Motions]:
            flow, back, rim, seen, inside, onto = (
                x.flatten(0, 1) for x in (flow, back, trust[:, begin], visible[:, end], whole[:, begin], whole[:, end])
            )
            outline = None
            if given is not None and given.any():
                outline = trace_outlines(inside[:, 0], onto[:, 0], given.to(inside.device).repeat_interleave(pairs))
            weight = _weigh(flow, back, rim, seen)
            motion = fit_motion(flow, weight, b, outlines=outline and outline.compare)
            return (flow, weight, inside, outline), motion

        fitted = side_by_side([partial(fit, *direction) for direction in both])
        del trust  # as large as all masks
        motions = [motion for _, motion in fitted]
        clips = zip(frames, visible, motions[0].unflatten(0, (b, pairs)), strict=True)
        lack = torch.cat([close_gaps(*clip) for clip in clips])
        motions[0][:, 0] += lack
        motions[1][:, 0] -= lack

        def complete(flow: Maps, weight: Trust, inside: Any, outline: Outlines | None, motion: Motions) -> Flows:
            result = flow.clone()
            # Some pairs at a time: less memory.
            for part in touched.nonzero()[:, 0].split(_BATCH):
                some = outline and outline.select(part)
                result[part] = complete_flow(flow[part], weight[part], inside[part], motion[part], some)
            return result.unflatten(0, (b, pairs))

        forward, backward = side_by_side([partial(complete, *given, motion) for given, motion in fitted])
        return forward, backward


def select_wanted(touched: Bool[Tensor, "b pairs"], wanted: range | None) -> Bool[Tensor, "b pairs"]:
    """Return which pairs are both touched and wanted."""
    if wanted is None:
        return touched
    chosen = torch.zeros_like(touched)
    chosen[:, wanted.start : wanted.stop] = True
    return touched & chosen


def _weigh(flow: Maps, back: Maps, trust: Trust, end: Trust) -> Trust:
    """Rate flow: high well inside the visible part, where it leads back, and where it arrives at visible pixels."""
    limit = CYCLE * end.shape[-1] / 512

    def rate(flow: Maps, back: Maps, trust: Trust, end: Trust) -> Trust:
        # Looked up at half size: a quarter of the cost.
        flow, back = halve(flow) / 2, halve(back) / 2
        consistency = torch.exp(-((cycle_error(flow, back) / limit) ** 2)) * warp(halve(end), flow)
        return trust * F.interpolate(consistency, size=end.shape[-2:])

    return torch.cat([rate(*part) for part in zip(*(x.split(_BATCH) for x in (flow, back, trust, end)), strict=True)])


def complete_flow(
    flow: Maps, weight: Trust, inside: Bool[Tensor, "n 1 h w"], motion: Motions, outlines: Outlines | None = None
) -> Maps:
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
