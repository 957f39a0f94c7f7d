"""Plain propagation, frame by frame along completed flow: what DFVI and FGVC do, and the paper as printed (3.3)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from voin.core.warp import cycle_error, warp
from voin.method.propagation.tracks import MAX_CYCLE_ERROR

Values = Float[Tensor, "t c h w"]
Times = Int[Tensor, "t h w"]
Errors = Float[Tensor, "t 1 h w"]


def propagate_one_way(
    values: Values,
    hole: Bool[Tensor, "t 1 h w"],
    away: Float[Tensor, "t-1 2 h w"],
    back: Float[Tensor, "t-1 2 h w"],
    limit: float = MAX_CYCLE_ERROR,
    allowed: Bool[Tensor, "t 1 h w"] | None = None,
) -> tuple[Values, Times, Errors]:
    """Fill holes out of the frame after, the last frame first; so what one frame was given goes on to the next.

    Args:
        values: of the frames; those in the hole are not looked at.
        hole: what is to be filled.
        away: flow from each frame to the one after, completed, pixels.
        back: flow from there, completed, pixels.
        limit: least cycle error at which a link is not followed, in pixels of a picture 320 wide.
        allowed: where alone values may come from; everywhere if None.

    Returns:
        The values, filled where possible; the frame that each pixel comes from, -1 where none does; and the largest
        cycle error on the way (pixels).
    """
    t, w = len(values), values.shape[-1]
    limit *= w / 320
    filled = torch.where(hole, 0.0, values)
    source = torch.where(hole[:, 0], -1, torch.arange(t, device=hole.device).view(-1, 1, 1))
    worst = torch.zeros_like(hole, dtype=values.dtype)
    for i in reversed(range(t - 1)):
        if not hole[i].any():
            continue
        known = source[i + 1 : i + 2, None] >= 0
        if allowed is not None:
            known &= allowed[i + 1 : i + 2]
        error = cycle_error(away[i : i + 1], back[i : i + 1])
        near = torch.where(known, torch.cat([filled[i + 1 : i + 2], worst[i + 1 : i + 2]], dim=1), 0.0)
        found = warp(torch.cat([near, known.to(near)], dim=1), away[i : i + 1])
        # A sample may lie between pixels of which not all are known: those that are make it up.
        share = found[:, -1:]
        arrives = hole[i] & (error < limit)[0] & (share > 0.5)[0]
        sample = found[:, :-1] / share.clamp(min=1e-6)
        filled[i] = torch.where(arrives, sample[0, :-1], filled[i])
        worst[i] = torch.where(arrives, torch.maximum(sample[0, -1:], error[0]), worst[i])
        source[i] = torch.where(arrives[0], _nearest(source[i + 1], away[i]), source[i])
    return filled, source, worst


def plain_propagate(
    values: Values,
    hole: Bool[Tensor, "t 1 h w"],
    forward: Float[Tensor, "t-1 2 h w"],
    backward: Float[Tensor, "t-1 2 h w"],
    limit: float = MAX_CYCLE_ERROR,
    allowed: Bool[Tensor, "t 1 h w"] | None = None,
) -> tuple[Values, Times]:
    """Fill holes from both sides of time, as `propagate_one_way` does; where both arrive, the nearer frame counts.

    Returns:
        The values, filled where possible and 0 elsewhere; the frame that each pixel comes from, -1 where none does.
    """
    (ahead, after, _), (behind, before, _) = both_ways(values, hole, forward, backward, limit, allowed)
    now = torch.arange(len(values), device=hole.device).view(-1, 1, 1)
    later = (after >= 0) & ((before < 0) | (after - now < now - before))
    return torch.where(later[:, None], ahead, behind), torch.where(later, after, before)


def both_ways(
    values: Values,
    hole: Bool[Tensor, "t 1 h w"],
    forward: Float[Tensor, "t-1 2 h w"],
    backward: Float[Tensor, "t-1 2 h w"],
    limit: float = MAX_CYCLE_ERROR,
    allowed: Bool[Tensor, "t 1 h w"] | None = None,
) -> tuple[tuple[Values, Times, Errors], tuple[Values, Times, Errors]]:
    """Do what `propagate_one_way` does from later frames, then from earlier ones."""
    ahead = propagate_one_way(values, hole, forward, backward, limit, allowed)
    turned = propagate_one_way(
        values.flip(0),
        hole.flip(0),
        backward.flip(0),
        forward.flip(0),
        limit,
        None if allowed is None else allowed.flip(0),
    )
    filled, source, worst = (x.flip(0) for x in turned)
    return ahead, (filled, torch.where(source >= 0, len(values) - 1 - source, -1), worst)


def _nearest(source: Int[Tensor, "h w"], flow: Float[Tensor, "2 h w"]) -> Int[Tensor, "h w"]:
    """Look up where flow leads; between pixels of several sources the first frame counts, the nearest in time."""
    h, w = source.shape
    y, x = torch.meshgrid(torch.arange(h, device=flow.device), torch.arange(w, device=flow.device), indexing="ij")
    best = torch.full_like(source, -1)
    for dy in (0, 1):
        for dx in (0, 1):
            column = ((x + flow[0]).floor().long() + dx).clamp(0, w - 1)
            row = ((y + flow[1]).floor().long() + dy).clamp(0, h - 1)
            found = source[row, column]
            best = torch.where((best < 0) | ((found >= 0) & (found < best)), found, best)
    return best
