"""Search for the path, the size and the distance at which an occluder hides as much of an object as it should.

Rates are estimated at points of the object, not on pixels, so that hundreds of variants cost as much as one picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from voin.data.occluders.paths import Paths, Track
from voin.data.occluders.shapes import Shapes

# Sizes that are tried for an occluder, over the size that was drawn.
_FACTORS = (1.0, 1.3, 0.75, 1.7, 2.3)
_DISLIKE = (0.0, 0.01, 0.01, 0.1, 0.3)  # against unmet wishes, which count 1; another try counts 0.02
_LARGE = 2.5  # occluders more than so many times the object's size are disliked: they fill the frame with a blur
_DISTANCES = 7  # distance factors tried at each size, from the path's least to its most
_SEARCHED_FRAMES = 32  # at most so many frames are looked at in the first search
_BISECTIONS = 9


@dataclass(frozen=True)
class Wishes:
    """What a batch of clips is to get; float64, CPU.

    Attributes:
        rates: the mean rate.
        free: least share of frames in which nothing is hidden; 0: not asked for.
        hidden: least share of frames in which all is hidden; 0: not asked for.
    """

    rates: Float[Tensor, " b"]
    free: Float[Tensor, " b"]
    hidden: Float[Tensor, " b"]

    def at(self, clips: Int[Tensor, " n"] | slice) -> Wishes:
        """Return those of some clips."""
        return Wishes(self.rates[clips], self.free[clips], self.hidden[clips])


@dataclass(frozen=True)
class Choice:
    """Which try the search found, with which size and distance factor, on the device.

    `missed` says whether the rate is further off than the tolerance; on the CPU.
    """

    k: Int[Tensor, " b"]
    size: Float[Tensor, "b 1"]
    distance: Float[Tensor, "b 1"]
    missed: Bool[Tensor, " b"]


class Motion:
    """Where pixels of the clip lie in the shapes, along each of the tries; on the device, float32."""

    def __init__(self, track: Track, paths: Paths, shapes: Shapes, objects: bool, device: torch.device) -> None:
        def ready(tensor: Tensor) -> Tensor:
            return tensor.to(device, torch.float32)

        mean = shapes.half.prod(dim=-1, keepdim=True).sqrt()
        # Objects stay upright; what turns needs its longer side's room in both directions.
        room = shapes.half if objects else shapes.half.amax(dim=-1, keepdim=True).expand(-1, 2)
        side = torch.where(shapes.mirrored, -1.0, 1.0).double()
        self.side = ready(torch.stack([side, torch.ones_like(side)], dim=-1))  # (b, 2)
        self.room, self.mean, self.middle = ready(room / mean), ready(mean), ready(shapes.centre)
        self.object_half, self.shown = ready(track.half), track.there.to(device)
        self.base, self.away, self.leave = ready(paths.base), ready(paths.away), ready(paths.leave)
        self.half, self.turned = ready(paths.half), ready(paths.turned)
        self.bend, self.waves, self.phases = ready(paths.bend), ready(paths.waves), ready(paths.phases)
        self.most, self.least = paths.most, paths.least
        # How large each try's occluder is over the object, (b, k); float64, CPU.
        self.relative = (paths.half / track.half.prod(dim=-1).sqrt()[:, None]).median(dim=-1).values
        self.pictures = shapes.pictures

    def locate(self, at: Tensor, k: Tensor, size: Tensor, distance: Tensor, part: slice) -> Float[Tensor, "b t c n 2"]:
        """Return the place in the shape, in [-1, 1], of pixels `at`, (b or 1, t or 1, n, 2) x y, in the frames `part`.

        `k` (b,) says which try it is, `size` and `distance` (b, c) are the factors of each of c variants.
        """
        clip = torch.arange(len(k), device=k.device)
        half = self.half[clip, k, part, None] * size[:, None]  # (b, t, c)
        room = self.object_half[:, part, None] + half[..., None] * self.room[:, None, None]
        way = self.away[clip, k, part, None] * distance[:, None, :, None] + self.leave[clip, k, part, None]
        centre = self.base[clip, k, part, None] + room * way  # (b, t, c, 2)
        offset = (at[:, :, None] - centre[:, :, :, None]) / half[..., None, None]
        # Sums of two products written out: matrix products may round differently in another batch.
        v = [
            offset[..., 0] * self.turned[clip, k, part, i, 0, None, None]
            + offset[..., 1] * self.turned[clip, k, part, i, 1, None, None]
            for i in range(2)
        ]
        waves, phases = self.waves[clip, k], self.phases[clip, k][:, part]
        bend, mean = self.bend[clip, k, None, None, None], self.mean[:, :, None, None]
        bent = []
        for i in range(2):
            angle = waves[:, i, 0, None, None, None] * v[0] + waves[:, i, 1, None, None, None] * v[1]
            moved = v[i] + bend * torch.sin(angle + phases[:, :, i, None, None])
            scale = mean * self.side[:, i, None, None, None]
            bent.append(self.middle[:, i, None, None, None] + scale * moved)
        return torch.stack(bent, dim=-1)

    def look_up(self, pictures: Tensor, places: Float[Tensor, "b t c n 2"]) -> Float[Tensor, "b t channels c n"]:
        """Look pictures (b, 1 or t, channels, s, s) up at places; outside they are 0."""
        b, t, c, n, _ = places.shape
        if pictures.shape[1] == 1:
            found = F.grid_sample(pictures[:, 0], places.reshape(b, t * c, n, 2), align_corners=False)
            return found.unflatten(2, (t, c)).transpose(1, 2)
        found = F.grid_sample(pictures.flatten(0, 1), places.flatten(0, 1), align_corners=False)
        return found.unflatten(0, (b, t))

    def covered(self, points: Tensor, k: Tensor, size: Tensor, distance: Tensor, part: slice) -> Float[Tensor, "b t c"]:
        """Return the share of `points` (b, t, n, 2) that the occluder covers."""
        places = self.locate(points[:, part], k, size, distance, part)
        pictures = self.pictures[:, :, 3:]
        alpha = self.look_up(pictures if pictures.shape[1] == 1 else pictures[:, part], places)[:, :, 0]
        # A mean of zeros and ones over a power of two: exact in whatever order it is summed.
        return (alpha > 0.5).float().mean(dim=-1)


def points_of(object_: Bool[Tensor, "b t h w"], count: int) -> Float[Tensor, "b t points 2"]:
    """Return `count` pixels (x, y) spread evenly over the object in each frame; anything where there is none."""
    b, t, _, w = object_.shape
    rank = object_.flatten(2).cumsum(dim=2, dtype=torch.int32)
    step = torch.arange(count, device=object_.device, dtype=torch.float64)
    # Moved off the regular by the golden ratio, or they would fall into columns.
    step = (step + (0.6180339887 * step) % 1) / count
    wanted = (rank[..., -1:] * step).to(torch.int32) + 1
    place = torch.searchsorted(rank.flatten(0, 1), wanted.flatten(0, 1)).reshape(b, t, count)
    return torch.stack([place % w, place // w], dim=-1).float()


def search(motion: Motion, points: Float[Tensor, "b t n 2"], wishes: Wishes, tolerance: float) -> Choice:
    """Choose the try, the size and the distance that come nearest to what is wished.

    The rate comes first, then free and hidden frames, then the order of the tries and the size that was drawn.
    """
    device, (b, t) = points.device, points.shape[:2]
    tries, sizes = motion.most.shape[1], torch.tensor(_FACTORS).double()
    distances = motion.least[..., None] + (motion.most - motion.least)[..., None] * torch.linspace(0, 1, _DISTANCES)
    coarse = slice(0, None, -(-t // _SEARCHED_FRAMES))
    shown = motion.shown[:, coarse, None]
    found = []
    for k in range(tries):
        size = sizes.float().repeat_interleave(_DISTANCES).expand(b, -1).to(device)
        distance = distances[:, k].float().repeat(1, len(sizes)).to(device)
        rates = motion.covered(points, torch.full((b,), k, device=device), size, distance, coarse)
        counts = [shown, rates.mul(shown), (rates == 0) & shown, (rates == 1) & shown]
        found.append(torch.stack([count.double().sum(dim=1).expand(b, size.shape[1]) for count in counts]))
    # (4, b, tries, sizes, distances); all sums are exact
    whole, rate, free, hidden = torch.stack(found, dim=2).cpu().unflatten(-1, (len(sizes), _DISTANCES))
    whole = whole.clamp(min=1)
    rate, free, hidden = rate / whole, free / whole, hidden / whole
    off = rate - wishes.rates[:, None, None, None]
    left, right = off[..., :-1], off[..., 1:]
    miss = torch.where(left * right <= 0, 0.0, torch.minimum(left.abs(), right.abs()))
    unmet = _unmet(free, wishes.free) + _unmet(hidden, wishes.hidden)
    order = 0.02 * torch.arange(tries).double()[:, None, None] + torch.tensor(_DISLIKE).double()[:, None]
    order = order + (motion.relative[..., None] * sizes - _LARGE).clamp(min=0)[..., None]
    cost = 100 * (miss - tolerance / 3).clamp(min=0) + torch.maximum(unmet[..., :-1], unmet[..., 1:]) + order
    best = cost.flatten(1).argmin(dim=1)
    best, low_index = best // (_DISTANCES - 1), best % (_DISTANCES - 1)
    k, size_index = best // len(sizes), best % len(sizes)
    clip = torch.arange(b)
    low, high = distances[clip, k, low_index], distances[clip, k, low_index + 1]
    size, k = sizes[size_index].float()[:, None].to(device), k.to(device)
    aims, present = wishes.rates[:, None], motion.shown.cpu().double()[..., None]

    def off_at(distance: Tensor) -> Tensor:
        rates = motion.covered(points, k, size, distance.float()[:, None].to(device), slice(None)).cpu().double()
        return ((rates * present).sum(dim=1) / present.sum(dim=1).clamp(min=1) - aims)[:, 0]

    off_low, off_high = off_at(low), off_at(high)
    nearest = torch.where(off_low.abs() <= off_high.abs(), low, high)
    least = torch.minimum(off_low.abs(), off_high.abs())
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        off_middle = off_at(middle)
        nearest = torch.where(off_middle.abs() < least, middle, nearest)
        least = torch.minimum(least, off_middle.abs())
        same = off_middle.sign() == off_low.sign()
        low, off_low = torch.where(same, middle, low), torch.where(same, off_middle, off_low)
        high = torch.where(same, high, middle)
    return Choice(k, size, nearest.float()[:, None].to(device), least > tolerance)


def _unmet(share: Tensor, wanted: Tensor) -> Tensor:
    """Return 1 where fewer frames than wanted are so."""
    wanted = wanted[:, None, None, None]
    return ((share < wanted) | ((wanted > 0) & (share == 0))).double()
