"""The convex hull of the visible mask in each frame."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Bool

from voin.baselines.shape_only import ShapeOnly


class HullShape(ShapeOnly):
    """Takes each frame's convex hull of the visible mask for the whole object; fills nothing."""

    name = "hull"

    def _whole(self, visible: torch.Tensor) -> torch.Tensor:
        return hulls(visible)


def hull(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Fill the convex hull of all pixels that are set; it holds `mask`."""
    points = cv2.findNonZero(mask.astype(np.uint8))
    if points is None:
        return mask.copy()
    filled = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(points), 1)
    return (filled > 0) | mask


def hulls(visible: torch.Tensor) -> torch.Tensor:
    """Hull each frame of (b, t, 1, h, w) bool."""
    filled = np.stack([hull(mask) for mask in visible.flatten(0, 2).cpu().numpy()])
    return torch.from_numpy(filled).to(visible.device).view(visible.shape)
