"""Carry maps between distant frames along chains of affine motions: the object's own, or the background's.

A chain of flows gets lost at the first occlusion; a chain of motions that were fitted to a whole region does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from voin.core.config import Checked, setting
from voin.core.morphology import grow
from voin.core.warp import cycle_error

Flow = Float[Tensor, "s 2 h w"]
Region = Float[Tensor, "t 1 h w"]
Chain = Float[Tensor, "t 3 3"]

Motions = Float[Tensor, "n 3 2"]  # what 1, x and y, from -1 to 1 across the picture, contribute to (dx, dy) in pixels
# What else a better motion near one should do: matrix, right-hand side and evidence of the fit's normal equations.
Evidence = Callable[[Motions], tuple[Float[Tensor, "n 6 6"], Float[Tensor, "n 6 1"], Float[Tensor, "n 1 1"]]]

# Frames ahead and back that are compared with each frame: the farther away, the fewer.
OFFSETS = (1, 2, 3, 4, 6, 8, 11, 15, 20, 26, 32)


def flow_consistency(forward: Flow, backward: Flow) -> tuple[Float[Tensor, "s 1 h w"], Float[Tensor, "s 1 h w"]]:
    """Rate how far each flow, forward and backward, leads back to where it came from: 1 where it does, down to 0."""
    unit = 2 * forward.shape[-1] / 256
    errors = [cycle_error(*pair) / unit for pair in ((forward, backward), (backward, forward))]
    return torch.exp(-(errors[0] ** 2)), torch.exp(-(errors[1] ** 2))


def fit_motions(
    forward: Flow, backward: Flow, trust: Region, consistency: tuple[Tensor, Tensor]
) -> tuple[Motions, Motions]:
    """Fit one affine motion to each flow where `trust` is high and the flow is consistent."""
    return fit_motion(forward, trust[:-1] * consistency[0], 1), fit_motion(backward, trust[1:] * consistency[1], 1)


def chain_motions(ahead: Motions, back: Motions, width: int) -> Chain:
    """Chain motions: maps from the first frame to each, in coordinates from -1 to 1 across a square window."""

    def matrices(motions: Motions) -> Float[Tensor, "n 3 3"]:
        shift = motions.transpose(1, 2)[:, :, [1, 2, 0]] * 2 / (width - 1)  # columns x, y, 1
        matrix = torch.eye(3).to(shift).repeat(len(shift), 1, 1)
        matrix[:, :2] += shift
        return matrix

    links = (matrices(ahead) + torch.linalg.inv(matrices(back))) / 2
    chain = [torch.eye(3).to(links)]
    for link in links:
        chain.append(link @ chain[-1])
    return torch.stack(chain)


def chain_scene(forward: Flow, backward: Flow, visible: Region, consistency: tuple[Tensor, Tensor]) -> Chain:
    """Chain the background's motion: it is fitted to all that is not the visible part of the object."""
    outside = (~grow(visible[:, 0] >= 0.5, 2))[:, None].to(visible)
    return chain_motions(*fit_motions(forward, backward, outside, consistency), visible.shape[-1])


def pair_frames(
    count: int, device: torch.device, among: Bool[Tensor, " t"] | None = None
) -> Iterator[tuple[int, Int[Tensor, " n"], Int[Tensor, " n"]]]:
    """Yield each offset in time, ahead and back, with the frames that have a partner at it, and their partners.

    With `among`, of these frames alone.
    """
    for offset in [sign * distance for distance in OFFSETS if distance < count for sign in (1, -1)]:
        frames = torch.arange(max(-offset, 0), min(count - offset, count), device=device)
        if among is not None:
            frames = frames[among[frames]]
        if len(frames):
            yield offset, frames, frames + offset


def align(
    maps: Float[Tensor, "t c h w"], chain: Chain, among: Bool[Tensor, " t"] | None = None
) -> Iterator[tuple[int, Int[Tensor, " n"], Int[Tensor, " n"], Float[Tensor, "n c h w"]]]:
    """Yield what `pair_frames` does, and the partners' maps laid upon the frames, 0 where they come from outside."""
    back = torch.linalg.inv(chain)
    for offset, frames, partners in pair_frames(len(maps), maps.device, among):
        matrix = (chain[partners] @ back[frames])[:, :2]
        grid = F.affine_grid(matrix, [len(frames), *maps.shape[1:]], align_corners=True)
        yield offset, frames, partners, F.grid_sample(maps[partners], grid, align_corners=True)


def rim_trust(visible: Float[Tensor, "n 1 h w"], rim: float) -> Float[Tensor, "n 1 h w"]:
    """Rate visible pixels by their distance to the visible region's edge: 0 outside, 1 from `rim` pixels on."""
    inside = (visible[:, 0] > 0.5).to(torch.uint8).cpu().numpy()
    distance = np.stack([cv2.distanceTransform(mask, cv2.DIST_L2, 3) for mask in inside])
    return (torch.from_numpy(distance[:, None]).to(visible) / rim).clamp(max=1) ** 2


@dataclass(frozen=True)
class MotionFitConfig(Checked):
    """How one affine motion is fitted to an object's flow."""

    affine_ridge: float = setting(0.05, "Share of the evidence that holds the affine part to a plain shift.", least=0)
    neighbours: float = setting(0.3, "Weight of the neighbouring frames' evidence.", least=0)
    outline: float = setting(0.3, "Weight of a pixel of the amodal outline against one of the visible flow.", least=0)
    still_points: float = setting(0.3, "Weight of standing still in the window.", unit="pixels of the fit", least=0)


def fit_motion(
    flow: Float[Tensor, "n 2 h w"],
    weight: Float[Tensor, "n 1 h w"],
    clips: int,
    config: MotionFitConfig = MotionFitConfig(),
    outlines: Evidence | None = None,
) -> Motions:
    """Fit an affine motion to each flow robustly (Cauchy weights, reweighted least squares).

    The flows are those of all pairs of so many `clips`, in their order; outlines of the object are to fall on each
    other, too.
    """
    step = max(flow.shape[-1] // 64, 1)
    points = rearrange(_basis(flow)[::step, ::step], "h w k -> (h w) k")
    products = (points[:, :, None] * points[:, None]).flatten(1)
    target = flow[..., ::step, ::step].flatten(2)  # n c (h w)
    base = weight[:, 0, ::step, ::step].flatten(1)
    robust = base
    coefficients = flow.new_zeros(flow.shape[0], 3, 2)
    both = torch.eye(2).to(flow)
    for i in range(6 if outlines is None else 8):
        gram = (robust @ products).unflatten(1, (3, 3))
        gram = torch.einsum("ij,nkm->nikjm", both, gram).reshape(-1, 6, 6)
        moment = ((target * robust[:, None]) @ points).flatten(1)[..., None]  # n (c k) 1
        count = gram[:, :1, :1]
        # The visible flow alone says first where about to look for the outline.
        if outlines is not None and i >= 2:
            more = [config.outline * evidence for evidence in outlines(coefficients)]
            # A point of an outline holds one of the two directions.
            gram, moment, count = gram + more[0], moment + more[1], count + more[2] / 2
        gram, moment, count = (_share(evidence, clips, config.neighbours) for evidence in (gram, moment, count))
        # The affine part is held to a plain shift in proportion to the evidence.
        ridge = torch.diag(flow.new_tensor([0.0, config.affine_ridge, config.affine_ridge] * 2)) * count.clamp(min=1e-6)
        # Without any evidence the object stays where it is in its window, which already follows it.
        ridge = ridge + config.still_points * torch.eye(6).to(flow)
        coefficients = rearrange(torch.linalg.solve(gram + ridge, moment), "n (c k) 1 -> n k c", c=2)
        error = torch.hypot(*(target - coefficients.transpose(1, 2) @ points.T).unbind(dim=1))
        spread = (base * error).sum(1, keepdim=True) / base.sum(1, keepdim=True).clamp(min=1e-6)
        robust = base / (1 + (error / spread.clamp(min=0.1)) ** 2)
    return coefficients


def draw_motion(coefficients: Motions, like: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 2 h w"]:
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
