"""Which objects of a source can serve as whole objects: long enough, large enough, not cut off, not already hidden.

A mask marks what is seen: jumps tell of something that passes before the object, pieces of something narrow. What is
hidden steadily, such as the legs of a rhino in grass, is not found out by the mask alone.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool

from voin.data.options import FilterConfig

REASONS = ("empty", "too short", "too small", "at the border too long", "shape jumps", "in pieces")


def reason_to_skip(
    masks: Bool[np.ndarray, "t h w"], config: FilterConfig = FilterConfig(), stride_frames: int = 1
) -> str | None:
    """Return why a clip is not used, one of `REASONS`; None if it is.

    `stride_frames` counts frames of the video from a mask to the next: 5 where every fifth has one.
    """
    h, w = masks.shape[1:]
    areas = masks.sum(axis=(1, 2), dtype=float)
    shown = areas > 0
    if not shown.any():
        return "empty"
    if shown.sum() < config.least_frames:
        return "too short"
    if np.median(areas[shown]) / (h * w) < config.least_area:
        return "too small"
    seen = masks[shown].astype(np.uint8)
    if np.mean([_border_share(mask) > config.border for mask in seen]) > config.most_border:
        return "at the border too long"
    # A frame without the object counts as one pixel of it, so that going and coming back are jumps.
    size = np.log(np.maximum(areas, 1))
    off = np.abs(size[1:-1] - (size[:-2] + size[2:]) / 2)
    if len(off) and (off > config.jump * stride_frames).mean() > config.most_jumps:
        return "shape jumps"
    if np.mean([_largest_piece(mask) < config.piece for mask in seen]) > config.most_pieces:
        return "in pieces"
    return None


def _largest_piece(mask: np.ndarray) -> float:
    """Return the largest connected piece's share of the object's area."""
    _, _, pieces, _ = cv2.connectedComponentsWithStats(mask)
    areas = pieces[1:, cv2.CC_STAT_AREA]
    return float(areas.max() / areas.sum())


def _border_share(mask: np.ndarray) -> float:
    """Return the object's pixels on the border over the width and height of its box."""
    _, _, across, down = cv2.boundingRect(mask)
    touched = int(mask[0].sum()) + int(mask[-1].sum()) + int(mask[:, 0].sum()) + int(mask[:, -1].sum())
    return touched / (across + down)
