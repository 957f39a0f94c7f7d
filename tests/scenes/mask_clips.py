"""Synthetic clips for the tests of tracking: a textured object slides past a bar, with its visible masks."""

from __future__ import annotations

import cv2
import numpy as np


def texture(seed: int, size: tuple[int, int], low: int, high: int, tint: tuple[float, float, float]) -> np.ndarray:
    """Give a smooth random texture in shades of a colour, uint8 (h, w, 3)."""
    noise = np.random.default_rng(seed).integers(low, high, (size[0] // 4 + 1, size[1] // 4 + 1), dtype=np.uint8)
    smooth = cv2.resize(noise, (size[1], size[0]), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return (smooth[..., None] * np.array(tint)).clip(0, 255).astype(np.uint8)


def passing(
    count: int = 24, size: tuple[int, int] = (96, 160), bar: tuple[int, int] | None = (76, 100), side: int = 36
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Give frames and visible masks: a reddish square slides to the right over green ground, behind a blue bar."""
    h, w = size
    ground = texture(1, (h, w), 90, 200, (0.5, 1.0, 0.5))
    thing = texture(2, (side, side), 100, 255, (1.0, 0.55, 0.4))
    front = texture(3, (h, w), 90, 180, (0.4, 0.5, 1.3))
    frames, masks = [], []
    for number in range(count):
        frame, mask = ground.copy(), np.zeros((h, w), bool)
        left, top = 12 + round(4.2 * number), 30
        right = min(left + side, w)
        frame[top : top + side, left:right] = thing[:, : right - left]
        mask[top : top + side, left:right] = True
        if bar is not None:
            frame[:, bar[0] : bar[1]] = front[:, bar[0] : bar[1]]
            mask[:, bar[0] : bar[1]] = False
        frames.append(frame)
        masks.append(mask)
    return frames, masks


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Give the overlap of two masks; 1 where both are empty."""
    either = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / either if either else 1.0


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Give the box x, y, w, h of a mask."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    return x, y, w, h
