"""FGVC: flow-edge guided video completion (Gao, Saraf, Huang, Kopf, ECCV 2020).

Edges of flow are continued into the hole by a network; flow is smooth on both sides of them. Not colours but their
differences between neighbours follow flow, from earlier and from later frames, and are put together without seams; an
image network fills what no frame shows.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from voin.baselines.trained.edges import picture_flow
from voin.baselines.trained.poisson import solve_poisson
from voin.baselines.trained.rounds import Clip, FlowPainting, Link, Region
from voin.core.morphology import grow
from voin.core.resample import enlarge, reduce
from voin.core.types import Flows, Masks
from voin.method.propagation.plain import both_ways

# Pixels of frames 854 wide: how far the flow's hole is grown, and the square that it is closed by.
_GROWN, _CLOSED, _WIDTH = 15, 21, 854
_THRESHOLD = 0.5  # above it the network says edge
_ACROSS = 1e-3  # weight of a difference of flow across an edge; 0 would leave what edges enclose without any value
_TEMPERATURE = 0.1  # pixels of cycle error by which a candidate loses a factor e
# Weight of propagated colours beside that of their differences: what no difference joins to a known pixel needs one.
_HOLD = 1e-3
_RIM = 1  # pixels around what is hidden


class FgvcPainting(FlowPainting):
    """Flow completed along edges, differences of colours propagated, the image network on the frame that lacks most."""

    kinds = ("edges", "deepfill")

    def complete(self, forward: Flows, backward: Flows, visible: Masks, hole: Masks) -> tuple[Flows, Flows]:  # noqa: D102
        first, second = (
            self._complete(flow, mask, flow_hole(start))
            for flow, mask, start in ((forward, visible[:, :-1], hole[:, :-1]), (backward, visible[:, 1:], hole[:, 1:]))
        )
        return first, second

    def _complete(self, flow: Flows, visible: Masks, hole: Masks) -> Flows:
        if not hole.any():
            return flow
        edges = self._find_edges(flow, visible, hole)
        pictures = flow[0].permute(0, 2, 3, 1).double().cpu().numpy()
        masks = (x[0, :, 0].cpu().numpy() > 0.5 for x in (hole, edges))
        solved = [fill_between_edges(*parts) for parts in zip(pictures, *masks, strict=True)]
        return torch.from_numpy(np.stack(solved)).permute(0, 3, 1, 2)[None].to(flow)

    def _find_edges(self, flow: Flows, visible: Masks, hole: Masks) -> Masks:
        """Return the edges in the hole, by the network at its size."""
        part = self.found["edges"]
        seen, region = ((reduce(mask, part.size) > 0.5).to(hole) for mask in (visible, hole))
        grey, edges = picture_flow(reduce(flow, part.size, hole <= 0.5), region)
        with torch.autocast(hole.device.type, torch.bfloat16, enabled=part.half):
            found = part.network(grey, edges, seen, region).float().sigmoid()
        return (enlarge(found, (hole.shape[-2], hole.shape[-1])) > _THRESHOLD).to(hole)

    def propagate(  # noqa: D102
        self, frames: Clip, missing: Region, forward: Link, backward: Link, inside: Region | None = None
    ) -> tuple[Clip, Region]:
        hole = missing
        # Not as published: the rim of what is known is solved anew, too, since there the occluder's colour comes in.
        missing = grow(hole[:, 0], _RIM)[:, None] & hole.flatten(1).any(dim=1).view(-1, 1, 1, 1)
        right, down = (torch.roll(frames, -1, dims=dim) - frames for dim in (3, 2))
        values = torch.cat([frames, right, down], dim=1)
        # A difference is known where both of its pixels are.
        unknown = missing | torch.roll(missing, -1, dims=3) | torch.roll(missing, -1, dims=2)
        total, fused = torch.zeros_like(values[:, :1]), torch.zeros_like(values)
        for candidate, source, worst in both_ways(values, unknown, forward, backward):
            weight = (source[:, None] >= 0) * (torch.exp(-worst / _TEMPERATURE) + 1e-9)
            total, fused = total + weight, fused + weight * candidate
        found = missing & (total > 0)
        fused = torch.where(unknown, fused / total.clamp(min=1e-12), values)
        joined = (total > 0) | ~unknown
        # What hides the object goes on beside it: beyond the object nothing holds the colours.
        lacking = missing & ~found if inside is None else (missing & ~found) | ~inside
        blended = [
            _blend(*parts) if parts[2].any() else parts[0]
            for parts in zip(frames, fused, found & ~lacking, joined, lacking, strict=True)
        ]
        return torch.where(hole & found, torch.stack(blended), frames), hole & ~found

    def choose(self, missing: Region) -> list[int]:  # noqa: D102
        return [int(missing.flatten(1).sum(dim=1).argmax())]


def flow_hole(hole: Masks) -> Masks:
    """Grow, close and fill holes, as far as FGVC does at its size."""
    from scipy.ndimage import binary_fill_holes  # 25 MB, which every run would take

    share = hole.shape[-1] / _WIDTH
    grown, closed = (2 * round(_GROWN * share) + 1, 2 * (round(_CLOSED * share) // 2) + 1)
    masks = []
    for mask in (hole > 0.5).byte().flatten(0, 2).cpu().numpy():
        mask = cv2.dilate(mask, np.ones((grown, grown), np.uint8))
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((closed, closed), np.uint8))
        masks.append(binary_fill_holes(mask))
    return torch.from_numpy(np.array(masks)).to(hole).view(hole.shape)


def fill_between_edges(
    flow: Float[np.ndarray, "h w 2"], hole: Bool[np.ndarray, "h w"], edges: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 2"]:
    """Fill flow so that it changes nowhere but across edges: the least differences, those at edges all but left out."""
    if hole.all() or not hole.any():
        return flow
    even = np.zeros_like(flow)
    start = np.where(hole[..., None], flow[~hole].mean(axis=0), flow)
    right, down = (np.where(edges | np.roll(edges, -1, axis), _ACROSS, 1.0) for axis in (1, 0))
    return solve_poisson(start, hole, even, even, right, down, hold=1e-9)


def _blend(
    frame: Float[Tensor, "3 h w"],
    fused: Float[Tensor, "9 h w"],
    found: Bool[Tensor, "1 h w"],
    joined: Bool[Tensor, "1 h w"],
    absent: Bool[Tensor, "1 h w"],
) -> Float[Tensor, "3 h w"]:
    """Put differences together to colours where some were found: a seamless picture."""
    colours, right, down = (x.permute(1, 2, 0).double().cpu().numpy() for x in fused.split(3))
    inside, lacking = found[0].cpu().numpy(), absent[0].cpu().numpy()
    start = np.where(inside[..., None], colours, rearrange(frame, "c h w -> h w c").double().cpu().numpy())
    # No difference leads to a pixel that nothing is known of.
    known = joined[0].cpu().numpy() & ~lacking
    weights = [(known & ~np.roll(lacking, -1, axis)).astype(np.float64) for axis in (1, 0)]
    solved = solve_poisson(start, inside, right, down, *weights, hold=_HOLD)
    return torch.from_numpy(solved.clip(0, 1)).permute(2, 0, 1).to(frame)
