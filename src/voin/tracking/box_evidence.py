"""What a box around an object tells about each pixel in it: place, colour, a way to the outside, and motion.

Each clue is weak. Their weights were fitted (logistic regression) on boxes of the DAVIS training clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int

from voin.core.types import Mask, Picture
from voin.method.affine import draw_motion, fit_motion
from voin.method.motion import dis_estimator
from voin.tracking.appearance import describe, distances
from voin.tracking.prompts import Box
from voin.tracking.smooth import lab

_SIDE = 128  # working pixels of the box's longer side
_MOST_SCALE = 2.0
_MARGIN = 0.4  # what is looked at around the box, over its longer side
_RING_PIXELS = 2400
_FLOW_SIDE = 512  # pixels of the longer side of frames between which motion is estimated
_BINS = (16, 24, 24)
_PLACE = 1.5  # how much a pixel beside the box must be near to count
# Weights of the clues, in the order of `_clues`.
_STILL = (-1.94, 1.99, 0.68, -0.04, -2.66, -0.19, 0.92, 0.27, 2.79, 1.23, 2.89)
_MOVING = (-3.81, 1.84, 0.69, -0.06, -2.19, -0.29, 0.95, 0.30, 2.42, 1.12, 3.15, 0.11, 2.15)


@dataclass(frozen=True)
class BoxView:
    """The surroundings of a box at working size; `u` and `v` say where in the box a pixel is, 0 to 1 across it."""

    picture: Picture
    inside: Mask
    u: Float[np.ndarray, "h w"]
    v: Float[np.ndarray, "h w"]
    crop: tuple[int, int, int, int]  # x0, y0, x1, y1 in the frame


def view_box(frame: Picture, box: Box) -> BoxView:
    """Cut a box with its surroundings out of a frame, at working size."""
    (h, w), (x, y, box_w, box_h) = frame.shape[:2], box
    margin = max(int(_MARGIN * max(box_w, box_h)), 12)
    x0, y0, x1, y1 = max(x - margin, 0), max(y - margin, 0), min(x + box_w + margin, w), min(y + box_h + margin, h)
    scale = min(_SIDE / max(box_w, box_h), _MOST_SCALE)
    rows, columns = max(round((y1 - y0) * scale), 16), max(round((x1 - x0) * scale), 16)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = cv2.resize(frame[y0:y1, x0:x1], (columns, rows), interpolation=method)
    across = ((np.arange(columns) + 0.5) / columns * (x1 - x0) + x0 - x) / box_w
    down = ((np.arange(rows) + 0.5) / rows * (y1 - y0) + y0 - y) / box_h
    u, v = (grid.astype(np.float32) for grid in np.meshgrid(across, down))
    return BoxView(picture, (u > 0) & (u < 1) & (v > 0) & (v < 1), u, v, (x0, y0, x1, y1))


def box_evidence(
    frame: Picture, box: Box, view: BoxView, near: Sequence[Picture] = ()
) -> Float[np.ndarray, "rows columns"]:
    """Return the log odds of each pixel of a view being the object, which fits tightly into the box.

    `near` are frames shortly before or after, for motion; it may be empty.
    """
    clues = _clues(view)
    if near:
        motion = np.mean([_motion(frame, other, box, view) for other in near], axis=0)
        motion = motion - (np.median(motion[~view.inside]) if not view.inside.all() else 0)
        clues += [motion, np.minimum(motion, 1)]
    weights = _MOVING if near else _STILL
    return np.sum([weight * clue for weight, clue in zip(weights, clues, strict=True)], axis=0).astype(np.float32)


def _clues(view: BoxView) -> list[np.ndarray]:
    u, v = (np.clip(2 * place - 1, -1, 1) for place in (view.u, view.v))
    out = _way_out(view)
    place = [np.ones_like(u), u**2, v**2, v, u**2 * v**2, v**3, u**2 * v]
    return [*place, _colour_odds(view), _from_outside(view), out, np.minimum(out, 0.5)]


def _colour_odds(view: BoxView) -> Float[np.ndarray, "h w"]:
    """Return how much more frequent a pixel's colour is in the box than around it, as log odds."""
    blurred = cv2.GaussianBlur(view.picture, (0, 0), 1.0)
    scaled = cv2.cvtColor(blurred, cv2.COLOR_RGB2LAB).astype(np.float32) * (np.array(_BINS, np.float32) / 256)
    light, green, blue = np.moveaxis(scaled.astype(np.int64), -1, 0)
    bins = (light * _BINS[1] + green) * _BINS[2] + blue
    within, around = (_frequency(bins[mask])[bins] for mask in (view.inside, ~view.inside))
    return np.log((within + 1e-5) / (around + 1e-5))


def _frequency(bins: Int[np.ndarray, " n"]) -> Float[np.ndarray, " colours"]:
    counts = np.bincount(bins, minlength=int(np.prod(_BINS))).reshape(_BINS).astype(float)
    for axis in range(3):
        counts = 0.5 * counts + 0.25 * (np.roll(counts, 1, axis) + np.roll(counts, -1, axis))
    return counts.ravel() / max(counts.sum(), 1e-9)


def _from_outside(view: BoxView) -> Float[np.ndarray, "h w"]:
    """Return how far a pixel is from those around the box, in colour and place, as a logarithm."""
    ring = np.flatnonzero(~view.inside)
    if len(ring) == 0:
        return np.zeros_like(view.u)
    h, w = view.u.shape
    features = describe(view.picture, (0.0, 0.0), float(_SIDE), 0.0, aside=False)[..., :3]
    flat = np.concatenate([features, np.stack([view.u, view.v], axis=-1) * _PLACE], axis=-1).reshape(h * w, -1)
    some = np.random.default_rng(0).permutation(ring)[:_RING_PIXELS]
    return np.log(distances(flat.astype(np.float32), flat[some].astype(np.float32)) + 0.05).reshape(h, w)


def _way_out(view: BoxView) -> Float[np.ndarray, "h w"]:
    """Measure the cheapest way from each pixel out of the box, where edges cost; 1 is a long one."""
    colours = lab(cv2.GaussianBlur(view.picture, (0, 0), 1.0)) / np.array([0.6, 1.3, 1.3], np.float32)
    slopes = [cv2.Sobel(colours, cv2.CV_32F, *axes, scale=0.125) for axes in ((1, 0), (0, 1))]
    cost = np.sqrt(sum((slope**2).sum(axis=-1) for slope in slopes)) + 0.15
    way = np.where(view.inside, np.float32(1e3), np.float32(0))
    if view.inside.all():
        way[0] = 0
    for axis, order in ((0, 1), (0, -1), (1, 1), (1, -1)) * 3:
        _sweep(np.moveaxis(way, axis, 0)[::order], np.moveaxis(cost, axis, 0)[::order])
    return way / max(float(np.percentile(way[view.inside], 90)), 1e-3)


def _sweep(way: Float[np.ndarray, "n m"], cost: Float[np.ndarray, "n m"]) -> None:
    """Let ways go on from each line to the next one, straight or slanting."""
    for line in range(1, len(way)):
        before, price = way[line - 1], cost[line]
        best = before.copy()
        best[1:] = np.minimum(best[1:], before[:-1] + 0.4 * price[1:])
        best[:-1] = np.minimum(best[:-1], before[1:] + 0.4 * price[:-1])
        np.minimum(way[line], best + price, out=way[line])


def _motion(frame: Picture, other: Picture, box: Box, view: BoxView) -> Float[np.ndarray, "rows columns"]:
    """Return how differently from the surroundings each pixel moves, as a logarithm; 0 is not at all."""
    scale = min(1.0, _FLOW_SIDE / max(frame.shape[:2]))
    size = (max(round(frame.shape[1] * scale), 16), max(round(frame.shape[0] * scale), 16))
    first, second = (
        cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        for picture in (frame, other)
    )
    flow = dis_estimator()(first, second)
    x, y, w, h = (side * scale for side in box)
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    around = ~((columns > x - 2) & (columns < x + w + 2) & (rows > y - 2) & (rows < y + h + 2))
    beside = around & (columns > x - w) & (columns < x + 2 * w) & (rows > y - h) & (rows < y + 2 * h)
    use = beside if beside.sum() > 200 else around
    if not use.any():
        return np.zeros_like(view.u)
    tensor = torch.from_numpy(np.ascontiguousarray(flow.transpose(2, 0, 1)))[None]
    ground = fit_motion(tensor, torch.from_numpy(use[None, None].astype(np.float32)), 1)
    error = (tensor - draw_motion(ground, tensor))[0].norm(dim=0).numpy()
    spread = max(float(np.median(error[use])) * 1.5, 0.15) + 0.35
    x0, y0, x1, y1 = (round(edge * scale) for edge in view.crop)
    part = np.log1p(error[y0 : max(y1, y0 + 2), x0 : max(x1, x0 + 2)] / spread)
    return cv2.resize(part.astype(np.float32), (view.u.shape[1], view.u.shape[0]))
