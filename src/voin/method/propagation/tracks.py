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
_LEAST_KEPT = 0.3  # share of the tracks around a point that are not lost, from which one is taken over


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


def _follow(away, back, wanted, first: int, sources, amodal, most: int, step: int) -> Tracks:
    """Follow one direction of time: the flow `away` leaves each frame that way, `back` leads back to it.

    Each frame is looked at once, the farthest first: a pixel that the next frame does not show takes over a track from
    where it lies there.
    """
    n, h, w = wanted.shape
    limit, unit = MAX_CYCLE_ERROR * w / 320, CYCLE_SIGMA * w / 320
    tracks = Tracks(first, torch.full((n, h, w), -1).short(), torch.zeros(n, 2, h, w), torch.zeros(n, h, w))
    needed = amodal & ~sources
    needed[first : first + n] |= wanted
    start, stop = min(first + n - 1 + most, len(away)), max(first - most, 0)
    # Of the frame that was looked at last: sources, ways to them, and squared errors.
    found, ways, errors = torch.full((h, w), -1, device=away.device), away.new_zeros(2, h, w), away.new_zeros(h, w)
    for i in reversed(range(first, start)) if step == 1 else range(stop + 1, first + n):
        link, other = (i, i + 1) if step == 1 else (i - 1, i - 1)
        row, column = needed[i].nonzero(as_tuple=True)
        way = away[link][:, row, column]  # (2, k)
        x, y = column + way[0], row + way[1]
        # Paper 3.3: the forward-backward check, link by link.
        error = torch.hypot(*(way + sample_points(back, torch.full_like(row, link), x, y).T))
        place, inside = _pixels(x, y, found)
        alive = inside & amodal[other][place] & (error < limit)
        arrived = alive & sources[other][place]
        error = (error / unit) ** 2
        source = torch.where(arrived, other, -1)
        # Those that go on take, of the tracks of the four pixels around, the one that soonest leads them to a source,
        # unless most of these tracks are lost.
        on = (alive & ~arrived).nonzero()[:, 0]
        left, top = x[on].floor(), y[on].floor()
        corner_x, corner_y = torch.stack([left, left + 1, left, left + 1]), torch.stack([top, top, top + 1, top + 1])
        share = (1 - (x[on] - corner_x).abs()) * (1 - (y[on] - corner_y).abs())  # (4, points)
        corner, _ = _pixels(corner_x, corner_y, found)
        sought, led = found[corner], ways[:, *corner]
        end, inside = _pixels(x[on] + led[0], y[on] + led[1], found)
        frames = torch.where(sought >= 0, (sought - i).abs(), most + 1)
        kept = (share * (sought >= 0)).sum(dim=0) > _LEAST_KEPT
        good = inside & kept & (frames <= most) & sources[sought.clamp(min=0), *end]
        best = torch.where(good, frames, most + 1).argmin(dim=0)[None]
        source[on] = torch.where(good.any(dim=0), sought.gather(0, best)[0], -1)
        # Ways to different sources have nothing to do with each other.
        share = share * (sought == source[on])
        way[:, on] += (share * led).sum(dim=1) / share.sum(dim=0).clamp(min=1e-9)
        error[on] += errors[corner].gather(0, best)[0]
        found, ways, errors = torch.full_like(found, -1), torch.zeros_like(ways), torch.zeros_like(errors)
        found[row, column], ways[:, row, column], errors[row, column] = source, way, error
        if first <= i < first + n:
            kept = (wanted[i - first] & (found >= 0)).cpu()
            tracks.source[i - first] = torch.where(kept, found.cpu(), -1)
            tracks.displacement[i - first] = ways.cpu() * kept
            tracks.confidence[i - first] = torch.exp(-errors.cpu()) * kept
    return tracks


def _pixels(x: Tensor, y: Tensor, grid: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Return the row and column of the pixel nearest to each point, and which points lie inside the grid."""
    row, column = y.round().long(), x.round().long()
    inside = (row >= 0) & (row < grid.shape[0]) & (column >= 0) & (column < grid.shape[1])
    return (row.clamp(0, grid.shape[0] - 1), column.clamp(0, grid.shape[1] - 1)), inside
