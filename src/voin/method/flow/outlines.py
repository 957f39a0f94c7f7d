"""What the outline of the whole object says about its motion: as the outline moved, so did the object, hidden or not.

Each point of the first outline gives one equation: moved along, it lies as far from the second outline as it lay from
its own, and may slide along it. What is left over says how limbs deviate from the motion of the whole. Not in the
paper, whose network sees the amodal masks and may learn this.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from voin.core.warp import sample_points
from voin.method.affine import Motions

POINTS = 160  # of an outline, at most
_INSIDE = -0.5  # where a pixel lies that is the mask's last: half a pixel from the outline
_GRID = 0.5  # pixels; so much the masks' own grid leaves open
_LEAST_SPREAD = 0.3  # pixels; nearer than that, all points count alike
_FARTHEST = 1 / 8  # of the window's width: what is farther from the second outline has no counterpart


@dataclass(frozen=True)
class Outlines:
    """Outlines of n masks, and how far each pixel lies from those that they move onto."""

    points: Float[Tensor, "n k 2"]  # pixels (x, y) along the inner edge of the first masks
    weight: Float[Tensor, "n k"]  # pixels of the edge that a point stands for; 0 for none
    distance: Float[Tensor, "n 3 h w"]  # pixels to the second masks' outline, negative inside, and its slope along x, y

    def select(self, which: Int[Tensor, " some"]) -> Outlines:
        """Take some of the n."""
        return Outlines(self.points[which], self.weight[which], self.distance[which])

    def compare(self, motion: Motions) -> tuple[Float[Tensor, "n 6 6"], Float[Tensor, "n 6 1"], Float[Tensor, "n 1 1"]]:
        """Return what the outlines say of a better motion near `motion`, by Gauss and Newton, as `Evidence`.

        Points that stay far off count little (Cauchy weights): limbs move by themselves.
        """
        basis, moved, off, normal = self._look(motion)
        weight = self.weight * (off.abs() < _FARTHEST * self.distance.shape[-1])
        spread = (weight * off.abs()).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1e-6)
        weight = weight / (1 + (off / spread.clamp(min=_LEAST_SPREAD)) ** 2)
        rows = (normal[..., None] * basis[:, :, None]).flatten(2)  # (n, k, 6)
        target = (normal * moved).sum(dim=2) - off
        weighted = (rows * weight[..., None]).transpose(1, 2)  # (n, 6, k)
        return weighted @ rows, weighted @ target[..., None], weight.sum(1)[:, None, None]

    def deviations(self, motion: Motions) -> tuple[Float[Tensor, "n 2 h w"], Bool[Tensor, "n 1 h w"]]:
        """Return what lacks at the outline after `motion`, pixels (dx, dy) across it, and where that is known."""
        *_, off, normal = self._look(motion)
        near = (self.weight > 0) & (off.abs() < _FARTHEST / 2 * self.distance.shape[-1])
        frame, point = near.nonzero(as_tuple=True)
        column, row = self.points[frame, point].long().unbind(dim=1)
        lack = torch.zeros_like(self.distance[:, :2])
        known = torch.zeros_like(self.distance[:, :1], dtype=torch.bool)
        off = off - off.clamp(-_GRID, _GRID)
        lack[frame, :, row, column] = (-off[..., None] * normal)[frame, point]
        known[frame, 0, row, column] = True
        return lack, known

    def _look(self, motion: Motions) -> tuple[Tensor, Tensor, Float[Tensor, "n k"], Float[Tensor, "n k 2"]]:
        """Move the points: their basis, way, how far they come to lie outside the second outline, and which way is out.

        The basis is 1, x and y, from -1 to 1 across the picture.
        """
        h, w = self.distance.shape[-2:]
        n, k = self.weight.shape
        limit = self.points.new_tensor([max(w - 1, 1), max(h - 1, 1)])
        basis = torch.cat([torch.ones_like(self.points[..., :1]), 2 * self.points / limit - 1], dim=-1)
        moved = basis @ motion  # (n, k, 2), pixels
        x, y = (self.points + moved).reshape(-1, 2).unbind(dim=1)
        frame = torch.arange(n, device=x.device).repeat_interleave(k)
        off, *slope = sample_points(self.distance, frame, x, y).view(n, k, 3).unbind(dim=2)
        return basis, moved, off - _INSIDE, F.normalize(torch.stack(slope, dim=2), dim=2)


def trace_outlines(
    masks: Bool[Tensor, "n h w"], onto: Bool[Tensor, "n h w"], known: Bool[Tensor, " n"] | None = None
) -> Outlines:
    """Trace the outlines of `masks`, to be compared with those of `onto`; the window's border is no outline.

    `known` says which of them are trusted; the others have no points. None: all.
    """
    trusted = [True] * len(masks) if known is None else known.tolist()
    first, second = (x.cpu().numpy().astype(np.uint8) for x in (masks, onto))
    # Nothing to trace is an empty mask.
    traced = [_trace(mask * trust) for mask, trust in zip(first, trusted, strict=True)]
    fields = np.stack([_distance(mask * trust) for mask, trust in zip(second, trusted, strict=True)])
    distance = torch.from_numpy(fields)[:, None]
    across = F.pad((distance[..., 2:] - distance[..., :-2]) / 2, (1, 1))
    down = F.pad((distance[..., 2:, :] - distance[..., :-2, :]) / 2, (0, 0, 1, 1))
    points, weight = (torch.from_numpy(np.stack(part)).to(masks.device) for part in zip(*traced, strict=True))
    return Outlines(points, weight, torch.cat([distance, across, down], dim=1).to(masks.device))


def _trace(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points, weight = np.zeros((POINTS, 2), np.float32), np.zeros(POINTS, np.float32)
    edge = mask - cv2.erode(mask, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=1)
    edge[:2], edge[-2:], edge[:, :2], edge[:, -2:] = 0, 0, 0, 0
    row, column = np.nonzero(edge)
    count = min(len(row), POINTS)
    if count:
        chosen = np.linspace(0, len(row) - 1, count).astype(int)
        points[:count] = np.stack([column[chosen], row[chosen]], axis=1)
        weight[:count] = len(row) / count
    return points, weight


def _distance(mask: np.ndarray) -> np.ndarray:
    """Measure the distance to a mask's outline, negative inside; without one it is far everywhere."""
    if mask.all() or not mask.any():
        return np.full(mask.shape, float(max(mask.shape)), np.float32)
    inside, outside = (cv2.distanceTransform(side, cv2.DIST_L2, 5) for side in (mask, 1 - mask))
    return np.where(mask > 0, 0.5 - inside, outside - 0.5).astype(np.float32)
