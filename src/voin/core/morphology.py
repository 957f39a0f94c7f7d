"""Grow and shrink masks of a clip."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor


def grow(mask: Bool[Tensor, "t h w"], radius: int) -> Bool[Tensor, "t h w"]:
    """Widen masks by `radius` pixels, in squares."""
    return _filter(mask, radius, cv2.dilate) if mask.device.type == "cpu" else pool(mask, radius)


def shrink(mask: Bool[Tensor, "t h w"], radius: int) -> Bool[Tensor, "t h w"]:
    """Narrow masks by `radius` pixels, in squares; the picture's edge does not narrow them."""
    return _filter(mask, radius, cv2.erode) if mask.device.type == "cpu" else ~pool(~mask, radius)


def pool(mask: Bool[Tensor, "t h w"], radius: int) -> Bool[Tensor, "t h w"]:
    """Do what `grow` does on any device: masks on a GPU stay there."""
    if radius <= 0 or mask.numel() == 0:
        return mask
    return F.max_pool2d(mask[:, None].float(), 2 * radius + 1, stride=1, padding=radius)[:, 0] > 0


def _filter(mask: Tensor, radius: int, operation) -> Tensor:
    if radius <= 0 or mask.numel() == 0:
        return mask
    # OpenCV does this thirty times faster than a max pooling does on a CPU.
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    pictures = mask.to(torch.uint8).numpy()
    result = np.stack([operation(picture, kernel) for picture in pictures])
    return torch.from_numpy(result) > 0
