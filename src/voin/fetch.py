"""Fetch tracked pixels from their source frames: one sample each, at native resolution, all directions merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from voin.clip import Frame, to_unit
from voin.object_clip import ObjectClip
from voin.propagation import Tracks

# OpenCV maps pictures, not lists, and none wider than 32767.
_WIDTH = 4096


@dataclass(frozen=True)
class Fetched:
    """Colours of one frame's wanted native pixels, in the order they were asked for.

    Attributes:
        colours: (n, 3) in [0, 1]; 0 where not found.
        found: (n,).
    """

    colours: Float[np.ndarray, "n 3"]
    found: Bool[np.ndarray, " n"]


def fetch(
    clip: ObjectClip, tracks: Sequence[Tracks], frame: int, rows: Int[np.ndarray, " n"], columns: Int[np.ndarray, " n"]
) -> Fetched:
    """Fetch native pixels of one frame along their tracks and merge the directions by confidence.

    Args:
        clip: the object's native pixels.
        tracks: of the clip, ahead and back in time and from afar; their maps hold the wanted frames only, `frame`
            among them.
        frame: the frame whose pixels are wanted.
        rows: (n,) rows in the frame's window, native.
        columns: (n,) columns in the frame's window, native.
    """
    scale = clip.windows.scale
    x, y = (columns + 0.5) / scale[frame] - 0.5, (rows + 0.5) / scale[frame] - 0.5
    total = np.zeros((len(rows), 3), np.float32)
    weight = np.zeros(len(rows), np.float32)
    for each in tracks:
        source, dx, dy, confidence = _look_up(each, frame, x, y)
        for other in np.unique(source[source >= 0]):
            at = np.nonzero(source == other)[0]
            native_x = (x[at] + dx[at] + 0.5) * scale[other] - 0.5
            native_y = (y[at] + dy[at] + 0.5) * scale[other] - 0.5
            # Squared, so that of two directions the clearly better one decides and nothing is blurred without need.
            share = confidence[at] ** 2 + 1e-9
            total[at] += share[:, None] * sample_picture(clip.frames[other], native_x, native_y)
            weight[at] += share
    return Fetched(total / np.maximum(weight, 1e-12)[:, None], weight > 0)


def _look_up(tracks: Tracks, frame: int, x: np.ndarray, y: np.ndarray):
    """Read the track maps between working pixels: the nearest one's source, and a mean over those that share it."""
    i = frame - tracks.first
    origin, shift, trust = tracks.source[i].numpy(), tracks.displacement[i].numpy(), tracks.confidence[i].numpy()
    h, w = origin.shape
    near_x = np.clip(np.rint(x), 0, w - 1).astype(int)
    near_y = np.clip(np.rint(y), 0, h - 1).astype(int)
    source = origin[near_y, near_x]
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    dx, dy, total = (np.zeros(len(x), np.float32) for _ in range(3))
    for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
        share = np.maximum(1 - np.abs(x - column), 0) * np.maximum(1 - np.abs(y - row), 0)
        column, row = np.clip(column, 0, w - 1), np.clip(row, 0, h - 1)
        # Displacements of different sources have nothing to do with each other.
        share = share * (origin[row, column] == source)
        dx += share * shift[0, row, column]
        dy += share * shift[1, row, column]
        total += share
    total = np.maximum(total, 1e-9)
    return source, dx / total, dy / total, np.where(source >= 0, trust[near_y, near_x], 0)


def sample_picture(frame: Frame, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
    """Sample single points of a picture bicubically; result in [0, 1]; outside, the border repeats."""
    return to_unit(_remap(frame, x, y, cv2.INTER_CUBIC)).clip(0, 1)


def sample_maps(
    maps: Float[np.ndarray, "9 h w"], x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n 9"]:
    """Sample single points of nine maps bilinearly; outside, the border repeats."""
    # OpenCV takes pictures of up to four channels.
    threes = [np.ascontiguousarray(maps[i : i + 3].transpose(1, 2, 0)) for i in (0, 3, 6)]
    return np.concatenate([_remap(each, x, y, cv2.INTER_LINEAR) for each in threes], axis=1)


def _remap(picture: np.ndarray, x: np.ndarray, y: np.ndarray, method: int) -> np.ndarray:
    fill = -len(x) % _WIDTH
    map_x, map_y = (np.pad(each.astype(np.float32), (0, fill)).reshape(-1, _WIDTH) for each in (x, y))
    return cv2.remap(picture, map_x, map_y, method, borderMode=cv2.BORDER_REPLICATE).reshape(-1, 3)[: len(x)]
