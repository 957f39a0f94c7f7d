"""From the working grid back to native pixels: a box for each frame, and nothing outside the hidden region touched.

Tracked pixels are fetched from their source frames: one sample each, at native resolution, all directions merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from voin.core.morphology import grow
from voin.core.types import Flows, Frame, Mask, Masks, to_kind, to_unit
from voin.core.warp import sample_list, sample_points
from voin.method.propagation.tracks import Tracks
from voin.method.window import CompletedBox, ObjectClip, SoftMask, box_of, cut

_EDGE = 8  # pixels of the working grid: four of those in which the shape network draws outlines


def native_masks(
    clip: ObjectClip, amodal: Masks, hidden: Masks, frame: int
) -> tuple[Bool[np.ndarray, "y x"], Bool[np.ndarray, "y x"]]:
    """Return a frame's `amodal` and `occluded` masks in its native window.

    A mask the user gave is taken as it is. A completed one is drawn at native size around the hidden region only, so
    that the visible object's outline, which the working grid knows only roughly, does not count as hidden. The clip's
    seam counts as hidden, though it is visible.
    """
    visible = clip.visible[frame]
    if clip.amodal is not None:
        occluded = clip.amodal[frame] & ~visible
    elif not (hidden[0, frame] > 0.5).any():
        return visible, np.zeros_like(visible)
    else:
        near = grow(hidden[0, frame] > 0.5, 2).to(amodal)
        maps = torch.stack([near, amodal[0, frame].maximum(hidden[0, frame])], dim=1)
        drawn = F.interpolate(maps, size=visible.shape, mode="bilinear", align_corners=False)[0].cpu().numpy()
        hidden_here = (drawn > 0.5).all(axis=0) & ~visible
        inside = cut(np.ones(clip.size, bool), clip.windows, frame)
        occluded = hidden_here & inside
        if not inside.all():
            depth = max(round(_EDGE * float(clip.windows.scale[frame])), 1)
            occluded = _without_rims(occluded, hidden_here & ~inside, inside, depth)
    if clip.occluder is not None:
        occluded = occluded & clip.occluder[frame]
    whole = visible | occluded
    if clip.seam and occluded.any():
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * clip.seam + 1, 2 * clip.seam + 1))
        occluded = (cv2.dilate(occluded.view(np.uint8), disc) > 0) & whole
    return whole, occluded


def _without_rims(
    occluded: Bool[np.ndarray, "y x"], outside: Bool[np.ndarray, "y x"], inside: Bool[np.ndarray, "y x"], depth: int
) -> Bool[np.ndarray, "y x"]:
    """Drop the pieces of the hidden part that are the rim of what is hidden outside of the picture.

    Not in the paper: where an object leaves the picture in clear view nothing hides the rest but the picture's end, and
    the shape network knows only to some pixels where that is.
    """
    if not outside.any():
        return occluded
    square = np.ones((3, 3), np.uint8)
    reached = cv2.dilate(outside.view(np.uint8), square) > 0
    deep = cv2.erode(inside.view(np.uint8), np.ones((2 * depth + 1, 2 * depth + 1), np.uint8)) > 0
    _, pieces = cv2.connectedComponents(occluded.view(np.uint8), connectivity=8)
    rims = set(pieces[occluded & reached].tolist()) - set(pieces[occluded & deep].tolist())
    return occluded & ~np.isin(pieces, list(rims))


def soft_mask(clip: ObjectClip, sure: Masks, frame: int) -> SoftMask:
    """Return how sure each native pixel of a frame's window is the object's: 255 where it is visible."""
    visible, (h, w) = clip.visible[frame], clip.size
    height, side = int(clip.windows.height[frame]), int(clip.windows.side[frame])
    values = F.interpolate(sure[0, frame, None].float(), size=visible.shape, mode="bilinear", align_corners=False)
    pixels = np.rint(values[0, 0].cpu().numpy() * 255).astype(np.uint8)
    if clip.amodal is not None:
        pixels = clip.amodal[frame] * np.uint8(255)
    if clip.occluder is not None:
        pixels = pixels * clip.occluder[frame]
    pixels = np.where(visible, np.uint8(255), pixels)
    left, top = int(clip.windows.left[frame]), int(clip.windows.top[frame])
    x, y = min(max(left, 0), w), min(max(top, 0), h)
    return SoftMask(x, y, pixels[y - top : max(min(h - top, height), 0), x - left : max(min(w - left, side), 0)])


def make_box(
    clip: ObjectClip,
    frame: int,
    amodal: Mask,
    occluded: Mask,
    tracks: Sequence[Tracks] = (),
    working: Sequence[Float[Tensor, "_ y x"]] = (),
) -> CompletedBox:
    """Complete one frame: fetched pixels with their correction, invented pixels where nothing was found.

    Where nothing is occluded, neither `tracks` in all directions are needed nor what the frame has on the working grid:
    the propagated picture, the filled one, confidence and the amodal mask. Without tracks all colours are those of that
    grid, and what was found is what it has confidence in.
    """
    x0, y0, x1, y1 = box_of(amodal)
    box = np.s_[y0:y1, x0:x1]
    colours = clip.frames[frame][box].copy()
    missing = np.zeros((y1 - y0, x1 - x0), bool)
    confidence = np.where(clip.visible[frame][box], 255, 0).astype(np.uint8)
    rows, columns = np.nonzero(occluded)
    if len(rows):
        fetched, found = fetch(clip, tracks, frame, rows, columns)
        scale = clip.windows.scale[frame]
        x, y = (columns + 0.5) / scale - 0.5, (rows + 0.5) / scale - 0.5
        # The part of the grid that is needed.
        left, top = max(int(x.min()) - 1, 0), max(int(y.min()) - 1, 0)
        part = np.s_[:, top : int(y.max()) + 3, left : int(x.max()) + 3]
        maps = correction_maps(*(layer[part] for layer in working))
        # OpenCV takes pictures of up to four channels.
        threes = [np.ascontiguousarray(maps[i : i + 3].permute(1, 2, 0).numpy()) for i in (0, 3, 6)]
        values = np.concatenate([sample_list(three, x - left, y - top) for three in threes], axis=1)
        change, found_share, invented, share, trust = np.split(values, [3, 4, 7, 8], axis=1)
        mended = fetched + change / np.maximum(found_share, 1e-6)
        result = np.where(found[:, None], mended, invented / np.maximum(share, 1e-6))
        if not tracks:
            found = trust[:, 0] > 0.5
        place = (rows - y0, columns - x0)
        colours[place] = to_kind(result, colours.dtype, clip.peak)
        missing[place] = ~found
        sure = np.clip(np.rint(trust[:, 0] / np.maximum(found_share[:, 0], 1e-6) * 255), 1, 255)
        confidence[place] = np.where(found, sure, 0)
    left, top = int(clip.windows.left[frame]), int(clip.windows.top[frame])
    return CompletedBox(left + x0, top + y0, amodal[box], occluded[box], missing, colours, confidence)


def correction_maps(picture: Tensor, filled: Tensor, confidence: Tensor, amodal: Tensor) -> Float[Tensor, "9 h w"]:
    """Lay out what native pixels need from the working grid, each map weighted so that it can be interpolated.

    Channels: what the fill changed of the propagated picture (3) and where it has one (1); the filled picture (3) and
    where it is the object (1); confidence (1).
    """
    found = (confidence > 0).to(filled)
    inside = (amodal > 0.5).to(filled)
    return torch.cat([(filled - picture) * found, found, filled * inside, inside, confidence]).cpu()


def add_flow(box: CompletedBox, clip: ObjectClip, frame: int, forward: Flows, backward: Flows) -> CompletedBox:
    """Add the completed flow, turned into native pixels, to a box."""
    h, w = box.amodal.shape
    scale, left, top = clip.windows.scale, clip.windows.left, clip.windows.top
    row, column = np.mgrid[0:h, 0:w].reshape(2, -1)
    native_x, native_y = column + box.left, row + box.top
    x = torch.from_numpy((native_x + 0.5 - left[frame]) / scale[frame] - 0.5).float()
    y = torch.from_numpy((native_y + 0.5 - top[frame]) / scale[frame] - 0.5).float()

    def native(flow: Flows, link: int, other: int) -> np.ndarray | None:
        if not 0 <= link < flow.shape[1]:
            return None
        shift = sample_points(flow[0].cpu(), torch.full((len(x),), link), x, y)
        to_x = left[other] + (x + shift[:, 0] + 0.5).numpy() * scale[other] - 0.5
        to_y = top[other] + (y + shift[:, 1] + 0.5).numpy() * scale[other] - 0.5
        return np.stack([to_x - native_x, to_y - native_y], axis=-1).reshape(h, w, 2).astype(np.float32)

    return replace(box, forward=native(forward, frame, frame + 1), backward=native(backward, frame - 1, frame - 1))


def fetch(
    clip: ObjectClip, tracks: Sequence[Tracks], frame: int, rows: Int[np.ndarray, " n"], columns: Int[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "n 3"], Bool[np.ndarray, " n"]]:
    """Fetch native pixels of one frame along their tracks and merge the directions by confidence.

    Args:
        clip: the object's native pixels.
        tracks: in all directions; their maps hold the wanted frames only, `frame` among them.
        frame: in whose window the pixels lie.
        rows: of the pixels.
        columns: likewise.

    Returns:
        Colours in [0, 1], 0 where nothing was found, and which were found.
    """
    scale = clip.windows.scale
    x, y = (columns + 0.5) / scale[frame] - 0.5, (rows + 0.5) / scale[frame] - 0.5
    total = np.zeros((len(rows), 3), np.float32)
    weight = np.zeros(len(rows), np.float32)
    for direction in tracks:
        source, dx, dy, confidence = _look_up(direction, frame, x, y)
        for other in np.unique(source[source >= 0]):
            at = np.nonzero(source == other)[0]
            native_x = (x[at] + dx[at] + 0.5) * scale[other] - 0.5
            native_y = (y[at] + dy[at] + 0.5) * scale[other] - 0.5
            # Squared, so that of two directions the clearly better one decides and nothing is blurred without need.
            share = confidence[at] ** 2 + 1e-9
            total[at] += share[:, None] * sample_picture(clip.frames[other], native_x, native_y, clip.peak)
            weight[at] += share
    return total / np.maximum(weight, 1e-12)[:, None], weight > 0


def _look_up(tracks: Tracks, frame: int, x: np.ndarray, y: np.ndarray):
    """Read the track maps between working pixels: the nearest one's source, and a mean over those that share it."""
    i = frame - tracks.first
    origin, (shift, trust) = tracks.source[i].numpy(), (drawn.numpy() for drawn in tracks.maps(i))
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


def sample_picture(
    frame: Frame, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], peak: float = 1.0
) -> Float[np.ndarray, "n 3"]:
    """Sample single points of a picture bicubically; result in [0, peak]; outside, the border repeats."""
    return to_unit(sample_list(frame, x, y, cv2.INTER_CUBIC)).clip(0, peak)
