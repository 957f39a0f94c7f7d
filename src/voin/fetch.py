"""Fetch tracked pixels from their source frames: one sample each, at native resolution, both directions merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from voin.clip import Frame, to_unit
from voin.propagation import Tracks
from voin.window import Windows


@dataclass(frozen=True)
class Fetched:
    """Colours of one frame's wanted native pixels, in the order they were asked for.

    Attributes:
        colours: (n, 3) in [0, 1]; 0 where not found.
        found: (n,).
        confidence: (n,) in [0, 1].
    """

    colours: Float[np.ndarray, "n 3"]
    found: Bool[np.ndarray, " n"]
    confidence: Float[np.ndarray, " n"]


def fetch(
    frames: Sequence[Frame],
    windows: Windows,
    tracks: Sequence[Tracks],
    frame: int,
    rows: Int[np.ndarray, " n"],
    columns: Int[np.ndarray, " n"],
) -> Fetched:
    """Fetch native pixels of one frame along their tracks and merge the directions by confidence.

    Args:
        frames: all frames of the clip, uint8 or float32 in [0, 1].
        windows: where the working grid of each frame lies.
        tracks: of the clip, one for each direction of time.
        frame: the frame whose pixels are wanted.
        rows: (n,) native rows.
        columns: (n,) native columns.
    """
    x, y = windows.to_working(np.full(len(rows), frame), columns, rows)
    total = np.zeros((len(rows), 3), np.float32)
    weight = np.zeros(len(rows), np.float32)
    best = np.zeros(len(rows), np.float32)
    for each in tracks:
        source, dx, dy, confidence = _look_up(each, frame, x, y)
        for other in np.unique(source[source >= 0]):
            at = np.nonzero(source == other)[0]
            native_x, native_y = windows.to_native(np.full(len(at), other), x[at] + dx[at], y[at] + dy[at])
            # Squared, so that of two directions the clearly better one decides and nothing is blurred without need.
            share = confidence[at] ** 2 + 1e-9
            total[at] += share[:, None] * sample_picture(frames[other], native_x, native_y)
            weight[at] += share
            best[at] = np.maximum(best[at], confidence[at])
    found = weight > 0
    return Fetched(total / np.maximum(weight, 1e-12)[:, None], found, best)


def _look_up(tracks: Tracks, frame: int, x: np.ndarray, y: np.ndarray):
    """Read the track maps between working pixels: the nearest one's source; its neighbours' share of the same source."""
    found = tracks.found[frame].cpu().numpy()
    origin = tracks.source[frame].cpu().numpy()
    shift = tracks.displacement[frame].cpu().numpy()
    trust = tracks.confidence[frame].cpu().numpy()
    h, w = found.shape
    near_x = np.clip(np.rint(x), 0, w - 1).astype(int)
    near_y = np.clip(np.rint(y), 0, h - 1).astype(int)
    source = np.where(found[near_y, near_x], origin[near_y, near_x], -1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    dx, dy, sum_ = (np.zeros(len(x), np.float32) for _ in range(3))
    for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
        share = np.maximum(1 - np.abs(x - column), 0) * np.maximum(1 - np.abs(y - row), 0)
        column, row = np.clip(column, 0, w - 1), np.clip(row, 0, h - 1)
        # Displacements of different sources have nothing to do with each other.
        share = share * (found[row, column] & (origin[row, column] == source))
        dx += share * shift[0, row, column]
        dy += share * shift[1, row, column]
        sum_ += share
    sum_ = np.maximum(sum_, 1e-9)
    return source, dx / sum_, dy / sum_, np.where(source >= 0, trust[near_y, near_x], 0)


def sample_picture(frame: Frame, x: np.ndarray, y: np.ndarray) -> Float[np.ndarray, "n 3"]:
    """Sample single points of a picture bicubically; result in [0, 1]; outside, the border repeats."""
    n = len(x)
    width = 4096  # OpenCV maps pictures, not lists, and none wider than 32767
    fill = -n % width
    map_x = np.pad(x.astype(np.float32), (0, fill)).reshape(-1, width)
    map_y = np.pad(y.astype(np.float32), (0, fill)).reshape(-1, width)
    values = cv2.remap(frame, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return to_unit(values.reshape(-1, 3)[:n]).clip(0, 1)
