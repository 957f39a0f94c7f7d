"""Fit propagated pixels into their frame: how far to believe them, and a correction that leaves no seam.

Not in the paper: exposure differs between frames, and flow inside a large hidden region may be wrong. Both are measured
on a band of visible pixels around the hidden region, predicted from the sources of the hidden pixels beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from voin.core.diffuse import diffuse
from voin.core.warp import sample_points
from voin.method.cores import side_by_side
from voin.method.propagation.tracks import MAX_DISTANCE_FRAMES, Tracks

# In working pixels of a 256-pixel window.
BAND = 6  # width of the band of visible pixels that is predicted
DETAIL = 4.0  # standard deviation that parts detail (compared for trust) from shade (corrected at the seam)
SHADE_LIMIT = 0.1  # largest correction of shade
_BATCH = 8  # frames that are looked at, or whose shade is corrected, at a time
# Where nothing can be measured, trust drops to 1/e over so many frames; against what is measured that expectation
# weighs as much as so many pixels.
PATIENCE_FRAMES, PRIOR_PIXELS = 6.0, 1000.0


@dataclass(frozen=True)
class Band:
    """Visible pixels beside found ones, with what their neighbours' sources say they should look like."""

    frame: Int[Tensor, " n"]  # entry of the tracks
    row: Int[Tensor, " n"]
    column: Int[Tensor, " n"]
    length: Int[Tensor, " n"]  # frames between the pixel and its source
    shade: Float[Tensor, "n 3"]  # smooth part of the colour: real minus predicted
    real: Float[Tensor, "n 3"]  # detail that is there
    predicted: Float[Tensor, "n 3"]  # detail that the source shows


def split_detail(
    frames: Float[Tensor, "t 3 h w"], seen: Bool[Tensor, "t h w"], width: float
) -> tuple[Float[Tensor, "t 3 h w"], Float[Tensor, "t 3 h w"]]:
    """Part pictures into shade (blurred over seen pixels only, so that nothing else bleeds in) and detail."""
    t, c, h, w = frames.shape
    shades, details = np.zeros((2, t, h, w, c), np.float32)
    for shade, detail, picture, mask in zip(shades, details, frames.numpy(), seen.numpy(), strict=True):
        # Seen pixels, and their neighbours, between which is sampled: elsewhere nobody looks.
        x, y, box_w, box_h = cv2.boundingRect(mask.view(np.uint8))
        box = np.s_[max(y - 1, 0) : y + box_h + 1, max(x - 1, 0) : x + box_w + 1]
        if not box_w:
            continue
        # Four channels: the picture and what is seen of it.
        both = np.empty((*mask[box].shape, 4), np.float32)
        both[..., :3], both[..., 3] = picture[:, *box].transpose(1, 2, 0), 1
        shown = both * mask[box][..., None]
        blurred = cv2.GaussianBlur(shown, (0, 0), width, borderType=cv2.BORDER_CONSTANT)
        shade[box] = blurred[..., :3] / np.maximum(blurred[..., 3:], 1e-4)
        detail[box] = (both[..., :3] - shade[box]) * mask[box][..., None]
    return torch.from_numpy(shades).permute(0, 3, 1, 2), torch.from_numpy(details).permute(0, 3, 1, 2)


def compare_bands(
    frames: Float[Tensor, "t 3 h w"], seen: Bool[Tensor, "t h w"], found: Sequence[Tracks], width: int, detail: float
) -> list[Band | None]:
    """Predict the band of seen pixels around each frame's found pixels, for each of `found`; None where there is none.

    `width` is the band's, and `detail` the standard deviation that `split_detail` takes.
    """
    places = side_by_side([partial(_find_band, seen, tracks, width) for tracks in found])
    there = [place for place in places if place is not None]
    if not there:
        return [None] * len(places)
    needed = torch.cat([numbers for place in there for numbers in (place.at, place.source)]).unique()

    def look(some: Int[Tensor, " n"]) -> None:
        number = torch.full((len(frames),), -1)
        number[some] = torch.arange(len(some))
        # Shade before detail, as lists of colours.
        volumes = split_detail(frames[some], seen[some], detail)
        for place in there:
            here = (number[place.at] >= 0).nonzero()[:, 0]
            at = (number[place.at[here]], slice(None), place.row[here], place.column[here])
            led = (number[place.source] >= 0).nonzero()[:, 0]
            source = (number[place.source[led]], place.x[led], place.y[led])
            for volume, real, predicted in zip(volumes, place.real, place.predicted, strict=True):
                real[here], predicted[led] = volume[at], sample_points(volume, *source)

    # Some frames at a time: shade and detail of all are twice as large as they are.
    side_by_side([partial(look, some) for some in needed.split(_BATCH)])
    return [None if place is None else place.band() for place in places]


@dataclass(frozen=True)
class _Place:
    """Where a band lies, and where its sources do; its colours, shade before detail, are filled in."""

    frame: Int[Tensor, " n"]  # entry of the tracks
    at: Int[Tensor, " n"]  # the same, as a frame of the clip
    row: Int[Tensor, " n"]
    column: Int[Tensor, " n"]
    source: Int[Tensor, " n"]
    x: Float[Tensor, " n"]
    y: Float[Tensor, " n"]
    real: Float[Tensor, "2 n 3"]
    predicted: Float[Tensor, "2 n 3"]

    def band(self) -> Band:
        """Return the band once its colours are known."""
        length, shade = (self.source - self.at).abs(), self.real[0] - self.predicted[0]
        return Band(self.frame, self.row, self.column, length, shade, self.real[1], self.predicted[1])


def _find_band(seen: Bool[Tensor, "t h w"], tracks: Tracks, width: int) -> _Place | None:
    """Find the band of seen pixels around each frame's found pixels; None where there is none."""
    parts = []
    for i in tracks.found[0].unique().tolist():
        # The box of the found pixels and the band around them: elsewhere there is nothing to do.
        mask = (tracks.source[i] >= 0).numpy()
        x, y, box_w, box_h = cv2.boundingRect(mask.view(np.uint8))
        top, left = max(y - width - 1, 0), max(x - width - 1, 0)
        box = np.s_[top : y + box_h + width + 1, left : x + box_w + width + 1]
        found = mask[box]
        distance, labels = cv2.distanceTransformWithLabels(
            (~found).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        label = np.asarray(labels, np.int32)
        band = (distance > 0) & (distance <= width) & seen[tracks.first + i].cpu().numpy()[box]
        row, column = np.nonzero(band)
        if len(row) == 0:
            continue
        nearest = np.empty(label.max() + 1, int)  # labels run from 1 over the found pixels, which have this order
        nearest[label[found]] = np.arange(tracks.part(i).start, tracks.part(i).stop)
        parts.append((np.full(len(row), i), row + top, column + left, nearest[label[row, column]]))
    if not parts:
        return None
    frame, row, column, chosen = (torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True))
    source, shift = tracks.source[tracks.found].long()[chosen], tracks.shift[chosen]
    x, y = column + shift[:, 0], row + shift[:, 1]
    h, w = seen.shape[-2:]
    inside = (x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1)
    good = inside & seen[source, y.round().long().clamp(0, h - 1), x.round().long().clamp(0, w - 1)]
    frame, row, column, source, x, y = (values[good] for values in (frame, row, column, source, x, y))
    return _Place(frame, frame + tracks.first, row, column, source, x, y, *torch.zeros(2, 2, len(frame), 3))


def calibrate(bands: Sequence[Band | None], max_distance_frames: int = MAX_DISTANCE_FRAMES) -> Float[Tensor, " n"]:
    """Measure how much of a propagated pixel's detail is right, by the number of frames it comes from, from 0 on.

    The share a that minimises |real - a predicted|^2 over the band: near 1 for a rigid object, near 0 where the flow
    is off. It never grows with distance in time.
    """
    distance = torch.arange(max_distance_frames + 1)
    agree, power = torch.zeros(len(distance)), torch.zeros(len(distance))
    for band in bands:
        if band is not None:
            agree.index_add_(0, band.length, (band.real * band.predicted).sum(dim=1))
            power.index_add_(0, band.length, (band.predicted**2).sum(dim=1))
    near = torch.exp(-(distance[:, None] - distance[None]).abs() / 2.0)
    # A pixel's detail has a power of about a hundredth (0.1 squared).
    prior = 0.01 * PRIOR_PIXELS
    expected = torch.exp(-distance / PATIENCE_FRAMES)
    share = (near @ agree + prior * expected) / (near @ power + prior)
    return torch.cummin(share.clamp(0, 1), dim=0).values


def correct_shade(band: Band | None, tracks: Tracks, limit: float) -> Float[Tensor, "k 3"]:
    """Spread the band's difference in shade smoothly over the found pixels: what to add to them to leave no seam."""
    entry, row, column = tracks.found
    if band is None or not len(band.frame):
        return torch.zeros(len(entry), 3)
    # A frame without a band is not corrected.
    result, (h, w) = torch.zeros(len(entry), 3), tracks.source.shape[1:]
    for some in band.frame.unique().split(_BATCH):  # their maps are large
        number = torch.full((len(tracks.source),), -1)
        number[some] = torch.arange(len(some))
        edge = (number[band.frame] >= 0).nonzero()[:, 0]
        at = (number[band.frame[edge]], slice(None), band.row[edge], band.column[edge])
        values, weight = torch.zeros(len(some), 3, h, w), torch.zeros(len(some), 1, h, w)
        values[at], weight[at] = band.shade[edge].clamp(-limit, limit), torch.ones(len(edge), 1)
        region = (tracks.source[some] >= 0)[:, None] | (weight > 0)
        spread = diffuse(values, weight, region, smooth=1.0, fade=1e-3, finest=2)
        inside = (number[entry] >= 0).nonzero()[:, 0]
        result[inside] = spread[number[entry[inside]], :, row[inside], column[inside]]
    return result


def rate(tracks: Tracks, share: Float[Tensor, " distances"]) -> Tracks:
    """Multiply the tracks' confidence by the measured share for their distance in time."""
    distance = (tracks.source[tracks.found].long() - tracks.found[0] - tracks.first).abs().clamp(max=len(share) - 1)
    # A found pixel keeps a little confidence: 0 means missing.
    return replace(tracks, trust=(tracks.trust * share[distance]).clamp(min=0.004))


def draw(tracks: Tracks, frames: Float[Tensor, "t 3 h w"]) -> Float[Tensor, "k 3"]:
    """Look up what the sources of found pixels show."""
    _, row, column = tracks.found
    source, result = tracks.source[tracks.found].long(), torch.zeros(len(row), 3)
    x, y = column + tracks.shift[:, 0], row + tracks.shift[:, 1]
    # Some frames at a time: laid out as points are looked up, all are as large as they are.
    for some in source.unique().split(_BATCH):
        number = torch.full((len(frames),), -1)
        number[some] = torch.arange(len(some))
        at = (number[source] >= 0).nonzero()[:, 0]
        shown = frames[some].contiguous(memory_format=torch.channels_last)
        result[at] = sample_points(shown, number[source[at]], x[at], y[at])
    return result
