"""Evidence of which of two things lies in front, out of flow that is estimated anyway; for the shape network.

An outline that moves with the object is its own, and what lies beyond it is background; an outline that moves with the
other thing is that thing's, and the object goes on beneath it. Not in the paper, because there whatever touches an
object hides it.
"""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from voin.core.morphology import grow
from voin.core.resample import halve
from voin.core.types import Flows, Frames, Masks
from voin.core.warp import length, warp
from voin.method.affine import align, chain_motions, draw_motion, fit_motion, flow_consistency, rim_trust
from voin.method.cores import side_by_side

PATIENCE_FRAMES = 12.0  # distance in time over which what a frame tells loses weight to 1/e
COLOUR = 0.08  # difference at which two pixels are no longer the same point

CHANNELS = (
    *("ahead x", "ahead y", "back x", "back y"),  # motion against the object's, to the next frame and to the one before
    *("returns ahead", "returns back"),  # 1 where flow leads there and back; 0 where something is covered, or was
    *("into ahead", "into back"),  # how much of the object is seen where flow leads
    *("seen before", "seen after", "ever seen"),  # the visible masks of other frames, carried along with the object
    "same object",  # "seen", where the colour is that of this frame
    *("stood here", "same scene"),  # at the same point of the scene: the object in another frame; the same colour
)
# What becomes of each in a mirror.
MIRRORED = tuple(-1.0 if name.endswith(" x") else 1.0 for name in CHANNELS)

Evidence = Float[Tensor, "b t e y x"]
Clip = Float[Tensor, "t c y x"]
Pairs = Float[Tensor, "pairs c y x"]
Chain = Float[Tensor, "t 3 3"]


@torch.no_grad()
def gather_evidence(
    frames: Frames, visible: Masks, forward: Flows, backward: Flows, among: Bool[Tensor, " t"] | None = None
) -> Evidence:
    """Gather the evidence of square clips, at half of their size.

    Args:
        frames: (b, t, 3, h, w) in [0, 1].
        visible: (b, t, 1, h, w) in [0, 1].
        forward: (b, t-1, 2, h, w), pixels, as estimated; fine detail is not needed.
        backward: likewise.
        among: the frames whose evidence is asked for; None: all.

    Returns:
        (b, t, len(CHANNELS), h / 2, w / 2) in [-1, 1]; of a single frame there is none, which is 0.
    """
    clips, t = visible.shape[:2]
    frames, visible = halve(frames.flatten(0, 1)), halve(visible.flatten(0, 1))
    if t < 2:
        return visible.expand(-1, len(CHANNELS), -1, -1).unflatten(0, (clips, t)) * 0
    forward, backward = ((halve(flow.flatten(0, 1)) / 2).contiguous() for flow in (forward, backward))
    returns = flow_consistency(forward, backward)
    outside = (~grow(visible[:, 0] >= 0.5, 2))[:, None].to(visible)
    object_motion, scene_motion = (
        _fit(forward, backward, region.unflatten(0, (clips, t)), returns)
        for region in (rim_trust(visible, visible.shape[-1] / 32), outside)
    )
    followed = _follow(visible.unflatten(0, (clips, t)), forward, backward, object_motion, returns)
    stack = torch.cat([visible, outside, F.avg_pool2d(frames, 3, 1, 1)], dim=1).unflatten(0, (clips, t))
    carried = []
    links = [motion.unflatten(0, (clips, t - 1)) for motion in (*object_motion, *scene_motion)]
    for clip, ahead, back, scene_ahead, scene_back in zip(stack, *links, strict=True):
        object_chain = chain_motions(ahead, back, clip.shape[-1])
        scene_chain = chain_motions(scene_ahead, scene_back, clip.shape[-1])
        meetings = partial(_meet_object, clip, object_chain, among), partial(_meet_scene, clip, scene_chain, among)
        carried.append(torch.cat(side_by_side(meetings), dim=1))
    return torch.cat([followed, torch.stack(carried)], dim=2)


def _fit(forward: Pairs, backward: Pairs, region: Masks, returns: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Fit the motion of a region, ahead and back."""
    starts = region[:, :-1].flatten(0, 1), region[:, 1:].flatten(0, 1)
    ahead, back = (
        fit_motion(flow, start * trust, len(region))
        for flow, start, trust in zip((forward, backward), starts, returns, strict=True)
    )
    return ahead, back


def _follow(
    visible: Masks, forward: Pairs, backward: Pairs, motion: tuple[Tensor, Tensor], returns: tuple[Tensor, Tensor]
) -> Evidence:
    """Return what flow tells of each frame and its neighbours: the first eight channels."""
    clips, t = visible.shape[:2]
    unit = visible.shape[-1] / 128
    relative = [flow - draw_motion(fit, flow) for flow, fit in zip((forward, backward), motion, strict=True)]
    into = warp(visible[:, 1:].flatten(0, 1), forward), warp(visible[:, :-1].flatten(0, 1), backward)
    pairs = [*(flow / (length(flow) + unit) for flow in relative), *returns, *into]
    ahead, back, *told = (maps.unflatten(0, (clips, t - 1)) for maps in pairs)
    still = torch.ones_like(visible[:, :1])
    # Where there is no neighbour, motion goes on as on the other side, and nothing changes.
    sides = [
        *((ahead, -back[:, -1:]), (-ahead[:, :1], back)),
        *((told[0], still), (still, told[1])),
        *((told[2], visible[:, -1:]), (visible[:, :1], told[3])),
    ]
    return torch.cat([torch.cat(side, dim=1) for side in sides], dim=2)


def _meet_object(clip: Clip, chain: Chain, among: Bool[Tensor, " t"] | None) -> Float[Tensor, "t e y x"]:
    """Lay other frames upon each, along the object's motion: four channels; frames count as they show the object."""
    visible, _, smooth = clip.split([1, 1, 3], dim=1)
    area = visible.mean(dim=(1, 2, 3))
    strength = area / area.max().clamp(min=1e-6)
    seen, inside = (visible.new_zeros(2, *visible.shape) for _ in range(2))
    ever, same = torch.zeros_like(visible), torch.zeros_like(visible)
    maps = torch.cat([visible, torch.ones_like(visible), smooth], dim=1)
    for offset, frames, partners, carried in align(maps, chain, among):
        weight = strength[partners].view(-1, 1, 1, 1) * math.exp(-abs(offset) / PATIENCE_FRAMES)
        there = carried[:, :1]
        seen[int(offset > 0), frames] += weight * there
        inside[int(offset > 0), frames] += weight * carried[:, 1:2]
        ever[frames] = ever[frames].maximum(there)
        same[frames] += weight * there * _alike(carried[:, 2:], smooth[frames])
    shares = seen / inside.clamp(min=1e-6)
    return torch.cat([*shares, ever, same / inside.sum(dim=0).clamp(min=1e-6)], dim=1)


def _meet_scene(clip: Clip, chain: Chain, among: Bool[Tensor, " t"] | None) -> Float[Tensor, "t e y x"]:
    """Lay other frames upon each, along the scene's motion: two channels."""
    visible, outside, smooth = clip.split([1, 1, 3], dim=1)
    stood, same, compared = (torch.zeros_like(visible) for _ in range(3))
    core = -F.max_pool2d(-visible, 3, 1, 1)
    maps = torch.cat([core, outside, smooth], dim=1)
    for _, frames, _, carried in align(maps, chain, among):
        stood[frames] = stood[frames].maximum(carried[:, :1])
        compared[frames] += carried[:, 1:2]
        same[frames] += carried[:, 1:2] * _alike(carried[:, 2:], smooth[frames])
    return torch.cat([stood, same / compared.clamp(min=1e-6)], dim=1)


def _alike(one: Clip, other: Clip) -> Float[Tensor, "t 1 y x"]:
    return torch.exp(-(((one - other).abs().amax(dim=1, keepdim=True) / COLOUR) ** 2))
