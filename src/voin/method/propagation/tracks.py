"""Flow-guided propagation (paper 3.3): fetch hidden pixels of the object from frames in which they are seen.

The links of a track are composed into one displacement and the source frame is sampled once, at native resolution
(`paste.py`), since resampling link by link blurs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from voin.core.types import Flows
from voin.core.warp import sample_points

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
    return _follow(forward[0], backward[0], *given, step=1), _follow(backward[0], forward[0], *given, step=-1)


def _follow(away, back, wanted, first: int, sources, amodal, max_distance_frames: int, step: int) -> Tracks:
    """Follow one direction of time: the flow `away` leaves each frame that way, `back` leads back to it."""
    n, h, w = wanted.shape
    limit, unit = MAX_CYCLE_ERROR * w / 320, CYCLE_SIGMA * w / 320
    source = torch.full_like(wanted, -1, dtype=torch.int16)
    displacement = away.new_zeros(n, 2, h, w)
    confidence = away.new_zeros(n, h, w)
    start, row, column = wanted.nonzero(as_tuple=True)
    at = start + first
    x, y = column.to(away), row.to(away)
    squared_error = torch.zeros_like(x)
    for _ in range(max_distance_frames):
        link = at if step == 1 else at - 1  # the pair of frames that is crossed
        alive = (link >= 0) & (link < len(away))
        start, row, column, at, x, y, squared_error, link = (
            values[alive] for values in (start, row, column, at, x, y, squared_error, link)
        )
        if len(start) == 0:
            break
        flow = sample_points(away, link, x, y)
        x, y, at = x + flow[:, 0], y + flow[:, 1], at + step
        # Paper 3.3: the forward-backward check, link by link.
        error = torch.hypot(*(flow + sample_points(back, link, x, y)).unbind(dim=1))
        squared_error = squared_error + (error / unit) ** 2
        near_x, near_y = x.round().long(), y.round().long()
        inside = (near_x >= 0) & (near_x < w) & (near_y >= 0) & (near_y < h)
        place = (at, near_y.clamp(0, h - 1), near_x.clamp(0, w - 1))
        alive = inside & amodal[place] & (error < limit)
        arrived = alive & sources[place]
        found = (start[arrived], row[arrived], column[arrived])
        source[found] = at[arrived].to(source.dtype)
        displacement[found[0], 0, found[1], found[2]] = x[arrived] - column[arrived]
        displacement[found[0], 1, found[1], found[2]] = y[arrived] - row[arrived]
        confidence[found] = torch.exp(-squared_error[arrived])
        on = alive & ~arrived
        start, row, column, at, x, y, squared_error = (
            values[on] for values in (start, row, column, at, x, y, squared_error)
        )
    return Tracks(first, source.cpu(), displacement.cpu(), confidence.cpu())
