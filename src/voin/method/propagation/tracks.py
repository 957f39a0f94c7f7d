"""Flow-guided propagation (paper 3.3): fetch hidden pixels of the object from frames in which they are seen.

The links of a track are composed into one displacement and the source frame is sampled once, at native resolution
(`paste.py`), since resampling link by link blurs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from voin.core.types import Flows
from voin.core.warp import sample_points
from voin.method.cores import side_by_side

# Paper 3.3: 5. The largest forward-backward error of a link, in pixels of a 320-pixel-wide picture.
MAX_CYCLE_ERROR = 5.0
# Not in the paper: what a link's error takes of the confidence, because a track of many bad links leads astray. In such
# pixels; at this error confidence falls to 1/e, and errors of links add up squared.
CYCLE_SIGMA = 3.0
MAX_DISTANCE_FRAMES = 32  # a source lies no farther away


@dataclass(frozen=True)
class Tracks:
    """Where hidden pixels are seen: maps on the working grids of the frames that need them, on the CPU."""

    first: int  # frame of the clip that entry 0 belongs to
    source: Int[Tensor, "n h w"]  # the frame that shows the pixel, -1 where none does
    displacement: Float[Tensor, "n 2 h w"]  # working pixels (dx, dy), from here to the source frame's window
    confidence: Float[Tensor, "n h w"]  # in [0, 1], from the links' errors; 0 where there is no source

    @cached_property
    def found(self) -> tuple[Tensor, Tensor, Tensor]:
        """Entry, row and column of every pixel that has a source."""
        entry, row, column = (self.source >= 0).nonzero(as_tuple=True)
        return entry, row, column


def track(
    forward: Flows,
    backward: Flows,
    wanted: Bool[Tensor, "n h w"],
    first: int,
    sources: Bool[Tensor, "t h w"],
    amodal: Bool[Tensor, "t h w"],
    max_distance_frames: int = MAX_DISTANCE_FRAMES,
) -> tuple[Tracks, Tracks]:
    """Follow every `wanted` pixel to the nearest frame on each side in which `sources` holds it: ahead, and back.

    Args:
        forward: completed, of one clip.
        backward: likewise.
        wanted: pixels to look for.
        first: frame of the clip that entry 0 of `wanted` belongs to.
        sources: pixels that may be taken.
        amodal: tracks end where they leave it.
        max_distance_frames: how many frames away a source may lie.
    """
    given = (wanted, first, sources, amodal, max_distance_frames)
    ways = ((forward[0], backward[0], 1), (backward[0], forward[0], -1))
    ahead, back = side_by_side([partial(_follow, away, back, *given, step=step) for away, back, step in ways])
    return ahead, back


def _follow(away, back, wanted, first: int, sources, amodal, max_distance_frames: int, step: int) -> Tracks:
    """Follow one direction of time: the flow `away` leaves each frame that way, `back` leads back to it."""
    n, h, w = wanted.shape
    limit, unit = MAX_CYCLE_ERROR * w / 320, CYCLE_SIGMA * w / 320
    source = torch.full((n, h, w), -1, dtype=torch.int16, device=away.device)
    displacement, confidence = away.new_zeros(n, 2, h, w), away.new_zeros(n, h, w)
    away, back = (flow.contiguous(memory_format=torch.channels_last) for flow in (away, back))
    # At each place of each frame: 0 where tracks end, 1 where they go on, more where they arrive.
    ground = (amodal.to(torch.uint8) * (1 + sources.to(torch.uint8))).flatten()
    entry, row, column = wanted.nonzero(as_tuple=True)  # in the order of frames, which all below keep
    track, at = torch.arange(len(entry), device=away.device), entry + first
    x, y = column.to(away), row.to(away)
    squared_error = torch.zeros_like(x)
    for _ in range(max_distance_frames):
        link = at if step == 1 else at - 1  # the pair of frames that is crossed
        alive = (link >= 0) & (link < len(away))
        if not alive.all():
            track, at, x, y, squared_error, link = _select(alive, track, at, x, y, squared_error, link)
        if len(track) == 0:
            break
        flow = sample_points(away, link, x, y)
        x, y, at = x + flow[:, 0], y + flow[:, 1], at + step
        # Paper 3.3: the forward-backward check, link by link.
        error = torch.hypot(*(flow + sample_points(back, link, x, y)).unbind(dim=1))
        squared_error = squared_error + (error / unit) ** 2
        near_x, near_y = x.round().long(), y.round().long()
        inside = (near_x >= 0) & (near_x < w) & (near_y >= 0) & (near_y < h)
        place = (at * h + near_y.clamp_(0, h - 1)) * w + near_x.clamp_(0, w - 1)
        met = ground[place] * (inside & (error < limit))
        found, end_x, end_y, there, errors = _select(met > 1, track, x, y, at, squared_error)
        found = (entry[found], row[found], column[found])
        source[found] = there.to(source.dtype)
        displacement[found[0], 0, found[1], found[2]] = end_x - found[2]
        displacement[found[0], 1, found[1], found[2]] = end_y - found[1]
        confidence[found] = torch.exp(-errors)
        track, at, x, y, squared_error = _select(met == 1, track, at, x, y, squared_error)
    return Tracks(first, source.cpu(), displacement.cpu(), confidence.cpu())


def _select(chosen: Bool[Tensor, " n"], *lists: Tensor) -> list[Tensor]:
    places = chosen.nonzero()[:, 0]
    return [values[places] for values in lists]
