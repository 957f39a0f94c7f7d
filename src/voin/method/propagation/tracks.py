"""Flow-guided propagation (paper 3.3): fetch hidden pixels of the object from frames in which they are seen.

Each hidden pixel is followed along the completed flow, forward and backward in time, while it stays inside the object
and the forward-backward check holds, until it arrives at a pixel that is visible. The links are composed into one
displacement and the source frame is sampled once, at native resolution (`fetch.py`), since resampling link by link
blurs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from voin.core.types import Flows
from voin.core.warp import sample_points


@dataclass(frozen=True)
class PropagationConfig:
    """When a track is followed and believed.

    Args:
        max_cycle_error: largest forward-backward error of a link, in pixels of a 320-pixel-wide picture (paper 3.3: 5).
        cycle_sigma: error of a link by which confidence falls to 1/e, in such pixels; errors of links add up squared.
        max_distance_frames: how many frames away a source may lie.
        source_margin: sources keep this distance from the occluder's rim, where its colours bleed in (working pixels).
    """

    max_cycle_error: float = 5.0
    cycle_sigma: float = 3.0
    max_distance_frames: int = 32
    source_margin: int = 2


@dataclass(frozen=True)
class Tracks:
    """Where hidden pixels are seen, in one direction of time: maps on the working grids of the frames that need them.

    Attributes:
        first: frame of the clip that entry 0 belongs to.
        source: (n, h, w); the frame that shows the pixel, -1 where none does.
        displacement: (n, 2, h, w); working pixels (dx, dy), from here to the source frame's window.
        confidence: (n, h, w) in [0, 1], from the forward-backward errors of the links; 0 where there is no source.
    """

    first: int
    source: Int[Tensor, "n h w"]
    displacement: Float[Tensor, "n 2 h w"]
    confidence: Float[Tensor, "n h w"]


def track(
    forward: Flows,
    backward: Flows,
    wanted: Bool[Tensor, "n h w"],
    first: int,
    sources: Bool[Tensor, "t h w"],
    amodal: Bool[Tensor, "t h w"],
    config: PropagationConfig = PropagationConfig(),
) -> tuple[Tracks, Tracks]:
    """Follow every `wanted` pixel to the nearest frame on each side in which `sources` holds it.

    Args:
        forward: (1, t-1, 2, h, w) completed flow.
        backward: (1, t-1, 2, h, w) completed flow.
        wanted: (n, h, w); pixels to look for, in frames `first` to `first + n - 1`.
        first: see there.
        sources: (t, h, w); pixels that may be taken.
        amodal: (t, h, w); tracks end where they leave it.
        config: see there.

    Returns:
        Tracks ahead in time, and tracks back in time, on the CPU.
    """
    return (
        _follow(forward[0], backward[0], wanted, first, sources, amodal, config, step=1),
        _follow(backward[0], forward[0], wanted, first, sources, amodal, config, step=-1),
    )


def _follow(there, back, wanted, first: int, sources, amodal, config: PropagationConfig, step: int) -> Tracks:
    """Follow one direction of time: `there` leaves each frame that way, `back` leads back to it."""
    n, h, w = wanted.shape
    limit, unit = config.max_cycle_error * w / 320, config.cycle_sigma * w / 320
    source = torch.full_like(wanted, -1, dtype=torch.int16)
    displacement = there.new_zeros(n, 2, h, w)
    confidence = there.new_zeros(n, h, w)
    start, row, column = wanted.nonzero(as_tuple=True)
    at = start + first
    x, y = column.to(there), row.to(there)
    squared_error = torch.zeros_like(x)
    for _ in range(config.max_distance_frames):
        link = at if step == 1 else at - 1  # the pair of frames that is crossed
        alive = (link >= 0) & (link < len(there))
        start, row, column, at, x, y, squared_error, link = (
            each[alive] for each in (start, row, column, at, x, y, squared_error, link)
        )
        if len(start) == 0:
            break
        flow = sample_points(there, link, x, y)
        x, y, at = x + flow[:, 0], y + flow[:, 1], at + step
        # Paper 3.3: the forward-backward check, link by link.
        error = torch.hypot(*(flow + sample_points(back, link, x, y)).unbind(dim=1))
        squared_error = squared_error + (error / unit) ** 2
        near_x, near_y = x.round().long(), y.round().long()
        inside = (near_x >= 0) & (near_x < w) & (near_y >= 0) & (near_y < h)
        place = (at, near_y.clamp(0, h - 1), near_x.clamp(0, w - 1))
        alive = inside & amodal[place] & (error < limit)
        arrived = alive & sources[place]
        here = (start[arrived], row[arrived], column[arrived])
        source[here] = at[arrived].to(source.dtype)
        displacement[here[0], 0, here[1], here[2]] = x[arrived] - column[arrived]
        displacement[here[0], 1, here[1], here[2]] = y[arrived] - row[arrived]
        confidence[here] = torch.exp(-squared_error[arrived])
        on = alive & ~arrived
        start, row, column, at, x, y, squared_error = (
            each[on] for each in (start, row, column, at, x, y, squared_error)
        )
    return Tracks(first, source.cpu(), displacement.cpu(), confidence.cpu())
