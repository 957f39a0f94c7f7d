"""From the working grid back to native pixels: each frame's patch, and nothing outside the hidden region touched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from voin.clip import Flows, Frames, Mask, Masks, to_kind
from voin.fetch import fetch, sample_maps
from voin.masks import grow
from voin.object_clip import ObjectClip, Patch
from voin.propagation import Tracks
from voin.warp import sample_points
from voin.window import box_of


def native_masks(
    clip: ObjectClip, amodal: Masks, hidden: Masks, frame: int
) -> tuple[Bool[np.ndarray, "s s"], Bool[np.ndarray, "s s"]]:
    """Give a frame's `amodal` and `occluded` masks in its native window.

    A mask the user gave is taken as it is. A completed one is drawn at native size around the hidden region only, so
    that the visible object's outline, which the working grid knows only roughly, does not count as hidden.
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
        occluded = (drawn[0] > 0.5) & (drawn[1] > 0.5) & ~visible
        occluded &= _inside_frame(clip, frame)
    if clip.occluder is not None:
        occluded = occluded & clip.occluder[frame]
    return visible | occluded, occluded


def _inside_frame(clip: ObjectClip, frame: int) -> Mask:
    side = int(clip.windows.side[frame])
    y = np.arange(side) + int(clip.windows.top[frame])
    x = np.arange(side) + int(clip.windows.left[frame])
    return ((y >= 0) & (y < clip.size[0]))[:, None] & ((x >= 0) & (x < clip.size[1]))[None]


def make_patch(
    clip: ObjectClip,
    frame: int,
    amodal: Mask,
    occluded: Mask,
    tracks: Sequence[Tracks] = (),
    maps: Float[Tensor, "9 size size"] | None = None,
) -> Patch:
    """Make one frame's patch: fetched pixels with their correction, invented pixels where nothing was found.

    Args:
        clip: the object's native pixels.
        frame: of the clip.
        amodal: (side, side).
        occluded: (side, side).
        tracks: in all directions; not needed where nothing is occluded.
        maps: `correction_maps` of the frame; likewise.
    """
    x0, y0, x1, y1 = box_of(amodal)
    box = np.s_[y0:y1, x0:x1]
    colours = clip.frames[frame][box].copy()
    missing = np.zeros((y1 - y0, x1 - x0), bool)
    confidence = np.where(clip.visible[frame][box], 255, 0).astype(np.uint8)
    rows, columns = np.nonzero(occluded)
    if len(rows):
        assert maps is not None
        fetched = fetch(clip, tracks, frame, rows, columns)
        scale = clip.windows.scale[frame]
        x, y = (columns + 0.5) / scale - 0.5, (rows + 0.5) / scale - 0.5
        values = sample_maps(maps.numpy(), x, y)
        change, found_share, invented, share, trust = np.split(values, [3, 4, 7, 8], axis=1)
        mended = fetched.colours + change / np.maximum(found_share, 1e-6)
        result = np.where(fetched.found[:, None], mended, invented / np.maximum(share, 1e-6))
        colours[rows - y0, columns - x0] = to_kind(result, colours.dtype)
        missing[rows - y0, columns - x0] = ~fetched.found
        sure = np.clip(np.rint(trust[:, 0] / np.maximum(found_share[:, 0], 1e-6) * 255), 1, 255)
        confidence[rows - y0, columns - x0] = np.where(fetched.found, sure, 0)
    left, top = int(clip.windows.left[frame]), int(clip.windows.top[frame])
    return Patch(left + x0, top + y0, amodal[box], occluded[box], missing, colours, confidence)


def correction_maps(picture: Frames, filled: Frames, confidence: Masks, amodal: Masks) -> Float[Tensor, "n 9 h w"]:
    """Lay out what native pixels need from the working grid, each map weighted so that it can be interpolated.

    Channels: what the fill changed of the propagated picture (3) and where it has one (1); the filled picture (3) and
    where it is the object (1); confidence (1).
    """
    found = (confidence > 0).to(filled)
    inside = (amodal > 0.5).to(filled)
    maps = torch.cat([(filled - picture) * found, found, filled * inside, inside, confidence], dim=2)
    return maps[0].cpu()


def add_flow(patch: Patch, clip: ObjectClip, frame: int, forward: Flows, backward: Flows) -> Patch:
    """Add the completed flow, turned into native pixels, to a patch."""
    h, w = patch.amodal.shape
    scale = clip.windows.scale
    left, top = clip.windows.left, clip.windows.top
    row, column = np.mgrid[0:h, 0:w].reshape(2, -1)
    native_x, native_y = column + patch.left, row + patch.top
    x = torch.from_numpy((native_x + 0.5 - left[frame]) / scale[frame] - 0.5).float()
    y = torch.from_numpy((native_y + 0.5 - top[frame]) / scale[frame] - 0.5).float()

    def native(flow: Flows, link: int, other: int) -> np.ndarray | None:
        if not 0 <= link < flow.shape[1]:
            return None
        shift = sample_points(flow[0].cpu(), torch.full((len(x),), link), x, y)
        to_x = left[other] + (x + shift[:, 0] + 0.5).numpy() * scale[other] - 0.5
        to_y = top[other] + (y + shift[:, 1] + 0.5).numpy() * scale[other] - 0.5
        return np.stack([to_x - native_x, to_y - native_y], axis=-1).reshape(h, w, 2).astype(np.float32)

    there, back = native(forward, frame, frame + 1), native(backward, frame - 1, frame - 1)
    return Patch(**{**patch.__dict__, "forward": there, "backward": back})
