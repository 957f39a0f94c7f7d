"""ComfyUI's batches as the frames of a video: one frame at a time, without a copy of all of them.

An IMAGE is float32 (b, h, w, c) in [0, 1], a MASK float32 (b, h, w); b is time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from voin.core.errors import ValueRefusal
from voin.core.types import to_kind
from voin.io.shots import CutDetector

from .hooks import Run


class Batch(Sequence[np.ndarray]):
    """What is made of each entry of a batch, when it is asked for."""

    def __init__(self, tensor: Tensor, make: Callable[[np.ndarray], np.ndarray]) -> None:
        self._tensor, self._make = tensor, make

    def __len__(self) -> int:
        return len(self._tensor)

    def __getitem__(self, number: int) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._make(self._tensor[number].float().cpu().numpy())


def colours_of(images: Tensor) -> Batch:
    """Return frames, float32 (h, w, 3)."""
    return Batch(images, lambda image: np.ascontiguousarray(image[..., :3]))


def pictures_of(images: Tensor) -> Batch:
    """Return frames, uint8 (h, w, 3)."""
    return Batch(images, lambda image: to_kind(image[..., :3], np.dtype(np.uint8)))


def masks_of(masks: Tensor) -> Batch:
    """Return masks, bool (h, w)."""
    return Batch(masks, lambda mask: mask > 0.5)


def check_images(images: Tensor) -> None:
    """Refuse (ValueError) what is no batch of colour pictures."""
    if images.ndim != 4 or images.shape[-1] not in (3, 4) or not len(images):
        shape = tuple(images.shape)
        raise ValueRefusal(f"images has shape {shape}", "it must be (frames, height, width, 3 or 4)", "load a video")


def fitting(masks: Tensor, images: Tensor, name: str, *, one: bool = False) -> Tensor:
    """Return masks as (b, h, w), one for each image; where `one` is enough, it stands for all of them.

    Raises:
        ValueError: they are fewer or more, or of another size.
    """
    masks = masks[None] if masks.ndim == 2 else masks
    b, h, w = images.shape[:3]
    if masks.ndim != 3 or masks.shape[1:] != (h, w):
        size = "x".join(str(side) for side in reversed(masks.shape[1:]))
        raise ValueRefusal(f"{name} are {size} and the images {w}x{h}", "both must have one size", "scale the masks")
    if one and len(masks) == 1:
        return masks.expand(b, h, w)
    if len(masks) != b:
        raise ValueRefusal(
            f"{name} has {len(masks)} masks for {b} images",
            "there must be one for each image, in their order",
            "make them with `Track mask`, or load all of them",
        )
    return masks


def empty(*shape: int) -> Tensor:
    """Return zeros that take memory only where something is written: most of a mask is empty."""
    return torch.from_numpy(np.zeros(shape, np.float32))


def find_cuts(images: Tensor, run: Run) -> tuple[int, ...]:
    """Find the frames that begin a new shot."""
    detector, found = CutDetector(), []
    for number, picture in enumerate(pictures_of(images)):
        if detector.is_cut(picture):
            found.append(number)
        run.advance()
    return tuple(found)
