"""Flow-guided propagation (paper 3.3): fetch hidden pixels of the object from frames in which they are seen.

Each hidden pixel is followed along the completed flow, forward and backward in time, while it stays inside the object and
the forward-backward check holds, until it arrives at a pixel that is visible. The links are composed into one displacement and
the source frame is sampled once, at native resolution (`native.py`), since resampling link by link blurs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from voin.clip import Flows, Masks
from voin.warp import sample_points


@dataclass(frozen=True)
class PropagationConfig:
    """When a track is followed and believed.

    Args:
        cycle: largest forward-backward error of a link, in pixels of a 320-pixel-wide picture (paper 3.3: 5 pixels).
        reach_frames: how many frames away a source may lie.
        patience_frames: temporal distance over which trust drops to 1/e.
        guard: sources keep this distance from the occluder's rim, where its colours bleed in (working pixels).
    """

    cycle: float = 5.0
    reach_frames: int = 40
    patience_frames: float = 12.0
    guard: int = 2


@dataclass(frozen=True)
class Tracks:
    """Where hidden pixels are seen, in one direction of time: maps on the working grid of the frame that needs them.

    Attributes:
        found: (t, h, w); the pixel has a source.
        source: (t, h, w); its frame.
        displacement: (t, 2, h, w); working pixels (dx, dy), from here to the source frame's window.
        confidence: (t, h, w) in [0, 1]; 0 where not found.
    """

    found: Bool[Tensor, "t h w"]
    source: Int[Tensor, "t h w"]
    displacement: Float[Tensor, "t 2 h w"]
    confidence: Float[Tensor, "t h w"]


def track(
    forward: Flows,
    backward: Flows,
    wanted: Bool[Tensor, "t h w"],
    sources: Bool[Tensor, "t h w"],
    amodal: Bool[Tensor, "t h w"],
    config: PropagationConfig = PropagationConfig(),
) -> tuple[Tracks, Tracks]:
    """Follow every `wanted` pixel to the nearest frame on each side in which `sources` holds it.

    Args:
        forward: (1, t-1, 2, h, w) completed flow.
        backward: (1, t-1, 2, h, w) completed flow.
        wanted: (t, h, w); pixels to look for.
        sources: (t, h, w); pixels that may be taken.
        amodal: (t, h, w); tracks end where they leave it.
        config: see there.

    Returns:
        Tracks ahead in time, and tracks back in time.
    """
    ahead = _follow(forward[0], backward[0], wanted, sources, amodal, config, step=1)
    back = _follow(forward[0], backward[0], wanted, sources, amodal, config, step=-1)
    return ahead, back


def _follow(forward, backward, wanted, sources, amodal, config: PropagationConfig, step: int) -> Tracks:
    t, h, w = wanted.shape
    # Flow that leaves frame i in the direction of time, and the flow that leads back to it.
    there, back = (forward, backward) if step == 1 else (backward, forward)
    limit = config.cycle * w / 320
    start, row, column = wanted.nonzero(as_tuple=True)
    found = torch.zeros_like(wanted)
    source = torch.zeros_like(wanted, dtype=torch.int32)
    displacement = forward.new_zeros(t, 2, h, w)
    confidence = forward.new_zeros(t, h, w)
    at = start.clone()
    x, y = column.to(forward), row.to(forward)
    doubt = torch.zeros_like(x)
    for length in range(1, config.reach_frames + 1):
        link = at if step == 1 else at - 1  # index of the pair of frames that is crossed
        alive = (link >= 0) & (link < t - 1)
        start, row, column, at, x, y, doubt, link = (
            each[alive] for each in (start, row, column, at, x, y, doubt, link)
        )
        if len(start) == 0:
            break
        flow = sample_points(there, link, x, y)
        next_x, next_y = x + flow[:, 0], y + flow[:, 1]
        returned = sample_points(back, link, next_x, next_y)
        error = (flow + returned).norm(dim=1)
        at = at + step
        column_there, row_there = next_x.round().long(), next_y.round().long()
        inside = (column_there >= 0) & (column_there < w) & (row_there >= 0) & (row_there < h)
        place = (at, row_there.clamp(0, h - 1), column_there.clamp(0, w - 1))
        alive = inside & amodal[place] & (error < limit)
        arrived = alive & sources[place]
        doubt = doubt + (error / limit) ** 2
        one = (start[arrived], row[arrived], column[arrived])
        found[one] = True
        source[one] = at[arrived].int()
        displacement[one[0], 0, one[1], one[2]] = next_x[arrived] - column[arrived]
        displacement[one[0], 1, one[1], one[2]] = next_y[arrived] - row[arrived]
        confidence[one] = torch.exp(-length / config.patience_frames - doubt[arrived])
        on = alive & ~arrived
        start, row, column, at, x, y, doubt = (
            each[on] for each in (start, row, column, at, next_x, next_y, doubt)
        )
    return Tracks(found, source, displacement, confidence)
