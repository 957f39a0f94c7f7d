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
    """Where hidden pixels are seen, on the working grids of the frames that need them, on the CPU.

    Few pixels have a source, so that what else is known of these is kept as lists, in the order of `found`.
    """

    first: int  # frame of the clip that entry 0 belongs to
    source: Int[Tensor, "n h w"]  # the frame that shows the pixel, -1 where none does
    shift: Float[Tensor, "k 2"]  # working pixels (dx, dy), from here to the source frame's window
    trust: Float[Tensor, " k"]  # in [0, 1], from the links' errors

    @cached_property
    def found(self) -> tuple[Tensor, Tensor, Tensor]:
        """Entry, row and column of every pixel that has a source."""
        entry, row, column = (self.source >= 0).nonzero(as_tuple=True)
        return entry, row, column

    @cached_property
    def ends(self) -> list[int]:
        """Return how many pixels are found up to each entry, with it."""
        return self.found[0].bincount(minlength=len(self.source)).cumsum(dim=0).tolist()

    def part(self, entry: int) -> slice:
        """Return where in the lists the pixels of an entry are."""
        return slice(self.ends[entry - 1] if entry else 0, self.ends[entry])

    def maps(self, entry: int) -> tuple[Float[Tensor, "2 h w"], Float[Tensor, "h w"]]:
        """Draw the shifts and the trust of an entry; 0 where there is no source."""
        part, size = self.part(entry), self.source.shape[1:]
        place = (self.found[1][part], self.found[2][part])
        shift, trust = self.shift.new_zeros(*size, 2), self.trust.new_zeros(size)
        shift[place], trust[place] = self.shift[part], self.trust[part]
        return shift.permute(2, 0, 1), trust

    @property
    def confidence(self) -> Float[Tensor, "n h w"]:
        """Draw the trust of all entries."""
        result = self.trust.new_zeros(self.source.shape)
        result[self.found] = self.trust
        return result


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
    away, back = (flow.contiguous(memory_format=torch.channels_last) for flow in (away, back))
    # At each place of each frame: 0 where tracks end, 1 where they go on, more where they arrive.
    ground = (amodal.to(torch.uint8) * (1 + sources.to(torch.uint8))).flatten()
    entry, row, column = wanted.nonzero(as_tuple=True)  # in the order of frames, which all below keep
    track, at = torch.arange(len(entry), device=away.device), entry + first
    x, y = column.to(away), row.to(away)
    squared_error = torch.zeros_like(x)
    arrived = torch.full((len(entry),), -1, dtype=torch.int16, device=away.device)
    shift, trust = away.new_zeros(len(entry), 2), away.new_zeros(len(entry))
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
        arrived[found] = there.to(arrived.dtype)
        shift[found] = torch.stack([end_x - column[found], end_y - row[found]], dim=1)
        trust[found] = torch.exp(-errors)
        track, at, x, y, squared_error = _select(met == 1, track, at, x, y, squared_error)
    source = torch.full((n, h, w), -1, dtype=torch.int16, device=away.device)
    source[entry, row, column] = arrived
    shift, trust = _select(arrived >= 0, shift, trust)
    return Tracks(first, source.cpu(), shift.cpu(), trust.cpu())


def _select(chosen: Bool[Tensor, " n"], *lists: Tensor) -> list[Tensor]:
    places = chosen.nonzero()[:, 0]
    return [values[places] for values in lists]
