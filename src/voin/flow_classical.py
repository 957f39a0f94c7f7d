"""Flow completion without weights: one robust motion for the object, plus its smooth deviations.

The visible part's flow is trusted most in the middle of the visible region, since estimators blur motion across the
occluder's rim. A ridge-regularised affine motion is fitted robustly to it, to the outline of the amodal mask (and,
where little is visible, to the neighbouring frames' flow); what the visible flow deviates from it is interpolated
smoothly inside the amodal mask and fades with distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from voin.clip import Flows, Frames, Masks
from voin.diffuse import diffuse
from voin.gaps import close_gaps
from voin.outline import Outlines, trace_outlines
from voin.pyramid import halve
from voin.warp import cycle_error, length, warp


@dataclass(frozen=True)
class SmoothFlowConfig:
    """Numbers of the smooth completion, for windows of 256 pixels (they scale with the window).

    Args:
        rim: visible flow closer than this to the visible region's edge is trusted less (pixels).
        cycle: forward-backward error at which trust has dropped to 1/e (pixels).
        affine_ridge: how strongly the affine part is held to zero against the translation (share of the evidence).
        neighbours: weight of the neighbouring frames' evidence for the object's motion.
        outline: weight of a pixel of the amodal mask's outline for the object's motion, against a point of the visible
            flow.
        outline_deviation: weight of a point of the outline for deviations, against a trusted pixel of the visible flow.
        still_points: weight, in pixels of the fit, of standing still in the window.
        smooth: weight of smoothness against the visible flow.
        fade: pull of the deviations towards zero, per pixel.
    """

    rim: float = 12.0
    cycle: float = 0.9
    affine_ridge: float = 0.05
    neighbours: float = 0.3
    outline: float = 0.3
    outline_deviation: float = 4.0
    still_points: float = 0.3
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
            fit_motion(flow, weight, b, self.config, outline)
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


def rim_trust(visible: Float[Tensor, "n 1 h w"], rim: float) -> Float[Tensor, "n 1 h w"]:
    """Rate visible pixels by their distance to the visible region's edge: 0 outside, 1 from `rim` pixels on."""
    inside = (visible[:, 0] > 0.5).to(torch.uint8).cpu().numpy()
    distance = np.stack([cv2.distanceTransform(mask, cv2.DIST_L2, 3) for mask in inside])
    return (torch.from_numpy(distance[:, None]).to(visible) / rim).clamp(max=1) ** 2


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


def fit_motion(
    flow: Float[Tensor, "n 2 h w"],
    weight: Float[Tensor, "n 1 h w"],
    clips: int,
    config: SmoothFlowConfig,
    outlines: Outlines | None = None,
) -> Float[Tensor, "n 3 2"]:
    """Fit an affine motion to each flow robustly (Cauchy weights, reweighted least squares).

    Args:
        flow: of pairs of frames, those of a clip in their order.
        weight: how far it is trusted.
        clips: how many clips these are.
        config: see there.
        outlines: of the object, where they are to fall on each other, too.

    Returns:
        (n, 3, 2): what 1, x and y contribute to (dx, dy), with x and y from -1 to 1 across the picture.
    """
    step = max(flow.shape[-1] // 64, 1)
    points = rearrange(_basis(flow)[::step, ::step], "h w k -> (h w) k")
    target = rearrange(flow[..., ::step, ::step], "n c h w -> n (h w) c")
    base = rearrange(weight[..., ::step, ::step], "n 1 h w -> n (h w) 1")
    robust = base
    coefficients = flow.new_zeros(flow.shape[0], 3, 2)
    both = torch.eye(2).to(flow)
    for i in range(6 if outlines is None else 8):
        weighted = points * robust  # (n, points, 3)
        gram = torch.einsum("ij,nkm->nikjm", both, weighted.transpose(1, 2) @ points).reshape(-1, 6, 6)
        moment = rearrange(weighted.transpose(1, 2) @ target, "n k c -> n (c k) 1")
        count = gram[:, :1, :1]
        # The visible flow alone says first where about to look for the outline.
        if outlines is not None and i >= 2:
            more = [config.outline * each for each in outlines.compare(coefficients)]
            # A point of an outline holds one of the two directions.
            gram, moment, count = gram + more[0], moment + more[1], count + more[2] / 2
        gram, moment, count = (_share(each, clips, config.neighbours) for each in (gram, moment, count))
        # The affine part is held to a plain shift in proportion to the evidence.
        ridge = torch.diag(flow.new_tensor([0.0, config.affine_ridge, config.affine_ridge] * 2)) * count.clamp(min=1e-6)
        # Without any evidence the object stays where it is in its window, which already follows it.
        ridge = ridge + config.still_points * torch.eye(6).to(flow)
        coefficients = rearrange(torch.linalg.solve(gram + ridge, moment), "n (c k) 1 -> n k c", c=2)
        error = (target - points @ coefficients).norm(dim=2, keepdim=True)
        spread = (base * error).sum(1, keepdim=True) / base.sum(1, keepdim=True).clamp(min=1e-6)
        robust = base / (1 + (error / spread.clamp(min=0.1)) ** 2)
    return coefficients


def draw_motion(coefficients: Float[Tensor, "n 3 2"], like: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 2 h w"]:
    """Draw fitted motions as flows on the grid of `like`."""
    return torch.einsum("hwk,nkc->nchw", _basis(like), coefficients)


def _basis(like: Float[Tensor, "n c h w"]) -> Float[Tensor, "h w 3"]:
    h, w = like.shape[-2:]
    y, x = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
    return torch.stack([torch.ones_like(x), x, y], dim=-1).to(like)


def _share(evidence: Float[Tensor, "n k m"], clips: int, amount: float) -> Float[Tensor, "n k m"]:
    """Add neighbouring frames' evidence, fading with time, so that frames without any take their neighbours' motion."""
    clip = rearrange(evidence, "(b t) k m -> b k m t", b=clips)
    t = clip.shape[-1]
    gap = (torch.arange(t)[:, None] - torch.arange(t)[None]).abs().to(evidence)
    kernel = amount * torch.exp(-gap) + 1e-4 * amount * torch.exp(-gap / 8)
    kernel.fill_diagonal_(1.0)
    return rearrange(clip @ kernel, "b k m t -> (b t) k m")
