"""How occluders move: along which path, how they scale, turn and deform while they do.

A path is relative to the object's smoothed track, in *clearances*: at distance 1 along an axis, the occluder's box just
touches the object's. All of it is computed on the CPU in float64, so that every device gets the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.data.occluders.shapes import between

PathKind = Literal["crossing", "following", "resting", "oscillating"]
PATH_KINDS: tuple[PathKind, ...] = ("crossing", "following", "resting", "oscillating")
PATH_NUMBERS = 40  # uniform numbers a path is made of
FINEST = 4096  # positions are whole parts of a pixel of this size, so that no device rounds them in its own way


@dataclass(frozen=True)
class PathConfig(Checked):
    """How occluders move; distances are in clearances."""

    shares: tuple[float, float, float, float] = setting(
        (0.4, 0.2, 0.2, 0.2), "How often each of crossing, following, resting, oscillating is drawn.", least=0
    )
    speed: float = setting(0.12, "Fastest steady motion relative to the object.", unit="clearances a frame", above=0)
    # Before it is slowed or hastened to meet the rate; likewise the size.
    crossing_speed: tuple[float, float] = setting((0.02, 0.08), "Slowest and fastest crossing.", above=0)
    period: tuple[float, float] = setting(
        (24.0, 80.0), "Least and most of one oscillation, turn to and fro, or deformation.", unit="frames", above=0
    )
    size: tuple[float, float] = setting((0.6, 1.5), "Smallest and largest occluder over the object.", above=0)
    turn: float = setting(0.2, "Most rotation of an object to either side; others start at any angle.", unit="radians")
    spin: float = setting(0.015, "Fastest steady rotation of strokes and blobs.", unit="radians a frame")
    stretch: float = setting(0.1, "Most stretching of the occluder over time, share of its size.")
    # Objects get half of it, because they move by themselves.
    bend: float = setting(0.1, "Most smooth displacement inside the occluder, over its half size.")
    smooth_frames: float = setting(4.0, "Standard deviation of the smoothing of the object's track.", above=0)
    ramp_frames: tuple[float, float] = setting((9.0, 24.0), "Least and most that coming or going takes.", above=0)

    def check(self) -> None:  # noqa: D102
        if len(self.shares) != len(PATH_KINDS) or not sum(self.shares):
            raise ValueRefusal(
                f"shares are {self.shares}", remedy=f"give one share >= 0 for each of {', '.join(PATH_KINDS)}"
            )
        for name in ("crossing_speed", "period", "size", "ramp_frames"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueRefusal(f"{name} is {(low, high)}", "it must be least <= most", "put them in order")


@dataclass(frozen=True)
class Track:
    """Centre and half size (x, y) of the object's box, smoothed, and whether it is there; pixels, float64, CPU.

    Where there is no object the last (at first: the next) is held; a clip without any has a third of the frame.
    """

    centre: Float[Tensor, "b t 2"]
    half: Float[Tensor, "b t 2"]
    there: Bool[Tensor, "b t"]


def find_track(amodal: Bool[Tensor, "b t h w"], config: PathConfig) -> Track:
    """Find the object's smoothed track."""
    h, w = amodal.shape[-2:]
    # As bytes, whose maximum is found much quicker than whether any is true.
    columns, rows = (amodal.view(torch.uint8).amax(dim=axis).cpu() for axis in (2, 3))
    present = columns.amax(dim=-1) > 0
    low = torch.stack([columns.argmax(dim=-1), rows.argmax(dim=-1)], dim=-1).double()
    high = torch.stack([w - columns.flip(-1).argmax(dim=-1), h - rows.flip(-1).argmax(dim=-1)], dim=-1).double()
    boxes = torch.cat([(low + high - 1) / 2, (high - low) / 2], dim=-1)  # (b, t, 4)
    times = torch.arange(amodal.shape[1])
    last = torch.where(present, times, -1).cummax(dim=1).values
    first = present.to(torch.int8).argmax(dim=1, keepdim=True)
    held = torch.where(last < 0, first, last)[..., None].expand(-1, -1, 4)
    boxes = boxes.gather(1, held)
    boxes = torch.where(present.any(dim=1)[:, None, None], boxes, torch.tensor([w / 2, h / 2, w / 6, h / 6]).double())
    weight = torch.exp(-0.5 * ((times[:, None] - times) / config.smooth_frames) ** 2).double()
    weight = weight / weight.sum(dim=1, keepdim=True)
    smooth = (weight[..., None] * boxes[:, None]).sum(dim=2)
    return Track(_rounded(smooth[..., :2]), _rounded(smooth[..., 2:]).clamp(min=2), present)


def _rounded(values: Tensor) -> Tensor:
    return (values * FINEST).round() / FINEST


@dataclass(frozen=True)
class Paths:
    """Drawn paths: `k` tries for each clip; float64, CPU.

    The occluder's middle lies, at size factor f and distance factor d, `least` to `most`, at

        base + clearance(f) * (d * away + leave),  clearance(f) = track.half + f * half

    and a pixel at x looks the shape up at

        v = turned (x - middle) / (f * half),  v + bend * sin(waves v + phases)   (in half sizes of the shape)

    Attributes:
        kinds: index into PATH_KINDS.
        base: pixels, the object's centre or, for what does not follow it wholly, between it and a resting place.
        away: clearances; 0 while the object is to be hidden wholly.
        leave: clearances; what takes the occluder off the object for the free frames.
        most: what `speed` allows.
        half: half size of the occluder in pixels, at f = 1.
        turned: rotation and stretching.
        waves: radians a half size; one row for each of dx and dy.
        phases: radians.
    """

    kinds: Tensor
    base: Float[Tensor, "b k t 2"]
    away: Float[Tensor, "b k t 2"]
    leave: Float[Tensor, "b k t 2"]
    most: Float[Tensor, "b k"]
    least: Float[Tensor, "b k"]
    half: Float[Tensor, "b k t"]
    turned: Float[Tensor, "b k t 2 2"]
    bend: Float[Tensor, "b k"]
    waves: Float[Tensor, "b k 2 2"]
    phases: Float[Tensor, "b k t 2"]


def draw_paths(
    numbers: Float[Tensor, "b k numbers"],
    track: Track,
    free: Float[Tensor, " b"],
    hidden: Float[Tensor, " b"],
    objects: bool,
    config: PathConfig,
) -> Paths:
    """Draw paths from uniform numbers in [0, 1), PATH_NUMBERS for each of k tries.

    The last path of each clip follows the object, since that meets every rate; the last two tries ask neither for free
    nor for hidden frames, because the rate comes first. Occluders that are `objects` stay upright.

    Args:
        numbers: the paths are made of.
        track: the object's.
        free: share of the frames in which the occluder is to be away; 0 for none.
        hidden: share of the frames in which it is to stand right before the object; 0 for none.
        objects: whether the occluders are objects.
        config: how occluders move.
    """
    u = [numbers[..., i].contiguous() for i in range(PATH_NUMBERS)]
    count = track.centre.shape[1]
    times = torch.arange(count).double()
    bounds = torch.tensor(config.shares).double().cumsum(0) / sum(config.shares)
    kinds = (u[0][..., None] >= bounds).sum(dim=-1).clamp(max=len(PATH_KINDS) - 1)
    kinds[:, -1] = PATH_KINDS.index("following")
    asked = (torch.arange(numbers.shape[1]) < max(numbers.shape[1] - 2, 1)).double()
    free, hidden = free[:, None] * asked, hidden[:, None] * asked  # (b, k)

    away = _away(u, kinds, times, config)
    slowest = (away.diff(dim=2).norm(dim=-1).amax(dim=-1) if count > 1 else torch.zeros_like(u[0])).clamp(min=1e-4)
    most = torch.minimum(config.speed / slowest, torch.tensor(1.6).double())
    crossing, following, resting, oscillating = (kinds == i for i in range(len(PATH_KINDS)))
    # What must come right before the object may not be far from it.
    farthest = torch.where(hidden > 0, 2.0, 4.0).double()
    most = torch.where(crossing, torch.minimum(config.speed / slowest, farthest), most)
    least = torch.where(crossing | oscillating, 0.3 * most.clamp(max=1), torch.zeros_like(most))

    gone, leave_direction = _gone(u, times, free, away, config)
    cover = _cover(u, times, hidden, gone, away, config)
    # What rests stays where the object passes at one time; with part of the camera's motion, which pans along.
    loose = torch.where(resting, 0.5 + 0.5 * u[12], torch.where(following, 0 * u[12], 0.4 * u[12]))
    loose = loose[..., None] * (1 - cover)
    place = track.centre.gather(1, (u[13] * count).long()[..., None].expand(-1, -1, 2))  # (b, k, 2)
    base = track.centre[:, None] + loose[..., None] * (place[:, :, None] - track.centre[:, None])

    extent = track.half.prod(dim=-1).sqrt()[:, None]  # of the object, (b, 1, t)
    middle = extent.median(dim=-1, keepdim=True).values
    size = torch.exp(between(u[14], *torch.tensor(config.size).double().log().tolist()))
    # An occluder before an object that must be hidden wholly is a large one.
    size = torch.where(hidden > 0, 1.5 * size.clamp(min=1), size)
    sway = 0.06 * torch.sin(_turns(u[18], u[19], times, config))
    half = size[..., None] * middle * (extent / middle) ** (0.4 + 0.6 * u[15])[..., None] * (1 + sway)
    return Paths(
        kinds=kinds,
        base=_rounded(base),
        away=_rounded(away * (1 - cover)[..., None]),
        leave=_rounded(gone[..., None] * leave_direction),
        most=_rounded(most),
        least=_rounded(least),
        half=_rounded(half).clamp(min=3),
        turned=_rounded(_turned(u, times, objects, config)),
        bend=_rounded(config.bend * (0.3 + 0.7 * u[30]) * (0.5 if objects else 1.0)),
        waves=_rounded(torch.stack([between(u[i], -2.4, 2.4) for i in range(26, 30)], -1).unflatten(-1, (2, 2))),
        phases=_rounded(torch.stack([_turns(u[22], u[24], times, config), _turns(u[23], u[25], times, config)], -1)),
    )


def _turns(phase: Tensor, period: Tensor, times: Tensor, config: PathConfig) -> Tensor:
    """Return an angle that grows steadily with time, (b, k, t)."""
    length = between(period, *config.period)
    return 2 * pi * (phase[..., None] + times / length[..., None])


def _direction(angle: Tensor) -> Tensor:
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def _step(x: Tensor) -> Tensor:
    """Go from 0 to 1 between x = 0 and 1, starting and ending at rest."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def _ramp(times: Tensor, config: PathConfig) -> float:
    return min(max(0.4 * len(times), config.ramp_frames[0]), config.ramp_frames[1])


def _away(u: list[Tensor], kinds: Tensor, times: Tensor, config: PathConfig) -> Float[Tensor, "b k t 2"]:
    """Return the way relative to the object, at distance factor 1."""
    # Mostly sideways, as most things move; a third at any angle.
    angle = torch.where(u[1] < 0.33, 2 * pi * u[2], between(u[2], -0.35, 0.35) + pi * (u[3] < 0.5))
    along, across = _direction(angle)[:, :, None], _direction(angle + pi / 2)[:, :, None]
    count = len(times)
    speed = between(u[4], *config.crossing_speed)[..., None]
    meeting = between(u[5], -0.1, 1.1)[..., None] * count
    aside = between(u[6], -0.5, 0.5)[..., None]
    # Not quite steady: nothing that walks or drives is.
    uneven = 0.15 * (torch.sin(_turns(u[7], u[8], times, config)) - torch.sin(_turns(u[7], u[8], 0 * times, config)))
    crossing = (speed * (times - meeting) + uneven)[..., None] * along + aside[..., None] * across
    wander = 0.12 * torch.sin(torch.stack([_turns(u[i], u[j], times, config) for i, j in ((9, 10), (11, 16))], dim=-1))
    beside = along.expand(-1, -1, count, -1)
    # An oscillation is never quicker than the shortest period: in short clips a part of it is seen.
    swing = torch.sin(_turns(u[7], 0.5 * u[8], times, config))[..., None]
    oscillating = swing * along + (aside * 0.8)[..., None] * across
    result = crossing
    for kind, way in ((1, beside + wander), (2, beside + 0.1 * wander), (3, oscillating)):  # as in PATH_KINDS
        result = torch.where(kinds[..., None, None] == kind, way, result)
    return result


def _gone(
    u: list[Tensor], times: Tensor, free: Tensor, away: Tensor, config: PathConfig
) -> tuple[Float[Tensor, "b k t"], Float[Tensor, "b k 1 2"]]:
    """Return when the occluder is away, 0 to 1 and more, and in which direction it leaves."""
    count, ramp = len(times), _ramp(times, config)
    length = (free * count * between(u[33], 1.1, 2.0))[..., None]
    # At the start (it comes), at the end (it goes), or half at each.
    where = (3 * u[31]).floor()[..., None]
    start = torch.where(where == 0, length, torch.where(where == 1, -ramp * torch.ones_like(length), length / 2))
    end = torch.where(where == 0, torch.zeros_like(length) - ramp, torch.where(where == 1, length, length / 2))
    before = 1 - _step((times - start) / ramp)
    after = 1 - _step((count - 1 - times - end) / ramp)
    gone = 1.7 * torch.maximum(before, after) * (free > 0)[..., None]
    # Away from the object, not through it.
    angle = torch.where(u[32] < 0.7, pi * (u[34] < 0.5) + 0.5 * (u[35] - 0.5), 2 * pi * u[35])
    direction = _direction(angle)[:, :, None]
    edge = torch.where(where == 0, away[:, :, 0], away[:, :, -1])
    side = torch.where((edge[:, :, None] * direction).sum(dim=-1, keepdim=True) < 0, -1.0, 1.0)
    return gone, direction * side


def _cover(
    u: list[Tensor], times: Tensor, hidden: Tensor, gone: Tensor, away: Tensor, config: PathConfig
) -> Float[Tensor, "b k t"]:
    """Return when the occluder stands right before the object, 0 to 1."""
    count, ramp = len(times), _ramp(times, config)
    length = (hidden * count * between(u[37], 1.2, 2.0)).clamp(min=1)[..., None]
    # Somewhere in the frames in which it is not away, and where the path comes near the object anyway.
    present = (gone <= 0.05).double() + 1e-9
    rank = present.cumsum(dim=-1) / present.sum(dim=-1, keepdim=True)
    off = (rank - between(u[36], 0.15, 0.85)[..., None]).abs() + away.norm(dim=-1) + 9 * gone
    middle = _rounded(off).argmin(dim=-1)[..., None].double()
    cover = 1 - _step(((times - middle).abs() - length / 2) / ramp)
    return cover * (hidden > 0)[..., None]


def _turned(u: list[Tensor], times: Tensor, objects: bool, config: PathConfig) -> Float[Tensor, "b k t 2 2"]:
    sway = torch.sin(_turns(u[17], u[19], times, config))
    if objects:
        angle = config.turn * (between(u[20], -0.5, 0.5)[..., None] + 0.5 * sway)
    else:
        spin = between(u[21], -config.spin, config.spin)[..., None] * times
        angle = 2 * pi * u[20][..., None] + spin + 0.5 * config.turn * sway
    wide = 1 + config.stretch * torch.sin(_turns(u[38], u[39], times, config))
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * wide, sin * wide, -sin / wide, cos / wide], dim=-1).unflatten(-1, (2, 2))
