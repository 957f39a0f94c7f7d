"""Matches by outline: where no track leads, a frame in which the whole object has the same outline.

Not in the paper: where two amodal masks, laid upon each other, are alike, the object is most often seen from the same
side. What it shows there is less exact than a track, and looks better than what is invented.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from voin.method.propagation.tracks import MAX_DISTANCE_FRAMES, Tracks

_SIDE = 48  # points, each way, at which masks are compared
_WIDE = 2.6  # standard deviations of the mask that these points reach from its centre
_LEAST_AREA = 30  # pixels; a smaller mask has no outline to speak of
_LEAST_SHARE = 0.02  # of the pixels looked for; a frame that shows less is passed over
LEAST_ALIKE = 0.7  # intersection over union of two masks, laid upon each other, from which a frame is taken
PATIENCE_FRAMES = 32.0  # a frame so much farther away must be alike by 0.1 more
CONFIDENCE = 0.05  # of all that is found so


def match_by_outline(
    lost: Bool[Tensor, "n h w"],
    first: int,
    sources: Bool[Tensor, "t h w"],
    amodal: Bool[Tensor, "t h w"],
    max_distance_frames: int = MAX_DISTANCE_FRAMES,
    least_alike: float = LEAST_ALIKE,
) -> Tracks:
    """Look for `lost` pixels at the same place of the object in frames in which it has the same outline.

    The frame most alike is asked first, then the next for what it does not show. Arguments are those of `track`.
    """
    n, h, w = lost.shape
    lost, sources, amodal = lost.cpu(), sources.cpu(), amodal.cpu()
    source = torch.full((n, h, w), -1, dtype=torch.int16)
    shifts = [torch.zeros(0, 2)]
    centre, spread = _moments(amodal)
    alike = compare_masks(amodal, centre, spread)
    time = torch.arange(len(amodal))
    for i in lost.flatten(1).any(dim=1).nonzero()[:, 0].tolist():
        here = i + first
        gap = (time - here).abs()
        fit = (alike[here] >= least_alike) & (gap > 0) & (gap <= max_distance_frames)
        if not fit.any():
            continue
        score = torch.where(fit, alike[here] - 0.1 * gap / PATIENCE_FRAMES, -torch.inf)
        others = score.argsort(descending=True)[: int(fit.sum())]
        row, column = lost[i].nonzero(as_tuple=True)
        place = torch.stack([column, row], dim=1)
        larger = (spread[others] / spread[here])[:, None]
        counterpart = centre[others, None] + (place - centre[here]) * larger  # (k, pixels, 2)
        x, y = counterpart.round().long().unbind(dim=2)
        inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
        shown = inside & sources[others[:, None], y.clamp(0, h - 1), x.clamp(0, w - 1)]
        shown &= shown.float().mean(dim=1, keepdim=True) >= _LEAST_SHARE
        pixel = shown.any(dim=0).nonzero()[:, 0]
        best = shown[:, pixel].int().argmax(dim=0)  # the first that shows it
        at = (row[pixel], column[pixel])
        source[i][at] = others[best].to(source.dtype)
        shifts.append(counterpart[best, pixel] - place[pixel])
    shift = torch.cat(shifts)
    return Tracks(first, source, shift, torch.full((len(shift),), CONFIDENCE))


def compare_masks(
    masks: Bool[Tensor, "t h w"], centre: Float[Tensor, "t 2"], spread: Float[Tensor, "t 2"]
) -> Float[Tensor, "t t"]:
    """Compare any two masks, laid upon each other by centre and spread: intersection over union; 0 for tiny ones."""
    t, h, w = masks.shape
    line = torch.linspace(-_WIDE, _WIDE, _SIDE)
    x, y = ((centre[:, i, None] + line * spread[:, i, None]).round().long() for i in (0, 1))
    inside = ((x >= 0) & (x < w))[:, None] & ((y >= 0) & (y < h))[:, :, None]
    frame = torch.arange(t)[:, None, None]
    drawn = masks[frame, y.clamp(0, h - 1)[:, :, None], x.clamp(0, w - 1)[:, None]] & inside
    drawn = drawn & (masks.flatten(1).sum(dim=1) >= _LEAST_AREA)[:, None, None]
    flat = drawn.flatten(1).float()
    both, size = flat @ flat.T, flat.sum(dim=1)
    return both / (size[:, None] + size[None] - both).clamp(min=1)


def _moments(masks: Bool[Tensor, "t h w"]) -> tuple[Float[Tensor, "t 2"], Float[Tensor, "t 2"]]:
    """Measure the centre (x, y) of masks and their standard deviations along x and y, at least half a pixel."""
    found = []
    for axis in (1, 2):  # sums over rows tell of x
        count = masks.sum(dim=axis).float()
        place, total = torch.arange(count.shape[1]).float(), count.sum(dim=1).clamp(min=1)
        mean = (count * place).sum(dim=1) / total
        variance = (count * (place - mean[:, None]) ** 2).sum(dim=1) / total
        found.append(torch.stack([mean, variance.sqrt().clamp(min=0.5)]))
    centre, spread = torch.stack(found, dim=2)
    return centre, spread
