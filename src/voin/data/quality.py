"""Which objects of a source can serve as whole objects: long enough, large enough, not cut off, not already hidden.

A mask marks what is seen. Where that is cut off by the border, changes by jumps because something passes before the
object, or falls to pieces because something narrow stands before it, it is not the whole object, and what would be
called true of it would be wrong. What is hidden steadily, such as the legs of a rhino in grass, is not found out by
the mask alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool

from voin.data.options import FilterConfig

REASONS = ("empty", "too short", "too small", "at the border too long", "shape jumps", "in pieces")


@dataclass(frozen=True)
class ClipFacts:
    """What the filter goes by; see `FilterConfig`.

    Attributes:
        frames: number of frames that show the object.
        area: its median share of the frame in these.
        border: share of these in which the border cuts it off.
        jumps: share of frames in which its area jumps.
        pieces: share of the frames that show it in which it is in pieces.
    """

    frames: int
    area: float
    border: float
    jumps: float
    pieces: float


def reason_to_skip(
    masks: Bool[np.ndarray, "t h w"],
    config: FilterConfig = FilterConfig(),
    stride_frames: int = 1,
) -> str | None:
    """Say why a clip is not used, one of `REASONS`; None if it is.

    Args:
        masks: of the object in each frame; a frame may have none.
        config: see there.
        stride_frames: frames of the video from a mask to the next: 5 where every fifth has one.
    """
    facts = measure(masks, config, stride_frames)
    if facts.frames == 0:
        return "empty"
    if facts.frames < config.least_frames:
        return "too short"
    if facts.area < config.least_area:
        return "too small"
    if facts.border > config.most_border:
        return "at the border too long"
    if facts.jumps > config.most_jumps:
        return "shape jumps"
    if facts.pieces > config.most_pieces:
        return "in pieces"
    return None


def measure(masks: Bool[np.ndarray, "t h w"], config: FilterConfig, stride_frames: int = 1) -> ClipFacts:
    """Measure what the filter goes by."""
    h, w = masks.shape[1:]
    areas = masks.sum(axis=(1, 2)).astype(float)
    there = areas > 0
    if not there.any():
        return ClipFacts(0, 0.0, 0.0, 0.0, 0.0)
    # A frame without the object counts as one pixel of it, so that going and coming back are jumps.
    size = np.log(np.maximum(areas, 1))
    off = np.abs(size[1:-1] - (size[:-2] + size[2:]) / 2)
    seen = masks[there].astype(np.uint8)
    cut_off = [_border_share(mask) > config.border for mask in seen]
    in_pieces = [_largest_piece(mask) < config.piece for mask in seen]
    return ClipFacts(
        frames=int(there.sum()),
        area=float(np.median(areas[there])) / (h * w),
        border=float(np.mean(cut_off)),
        jumps=float((off > config.jump * stride_frames).mean()) if len(off) else 0.0,
        pieces=float(np.mean(in_pieces)),
    )


def _largest_piece(mask: np.ndarray) -> float:
    """Give the largest connected piece's share of the object's area."""
    _, _, pieces, _ = cv2.connectedComponentsWithStats(mask)
    areas = pieces[1:, cv2.CC_STAT_AREA]
    return float(areas.max() / areas.sum())


def _border_share(mask: np.ndarray) -> float:
    """Give the object's pixels on the border over the width and height of its box."""
    _, _, across, down = cv2.boundingRect(mask)
    touched = int(mask[0].sum()) + int(mask[-1].sum()) + int(mask[:, 0].sum()) + int(mask[:, -1].sum())
    return touched / (across + down)
