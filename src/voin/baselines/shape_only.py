"""Methods that complete the shape alone; the frames come back unchanged."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

from voin.core.types import Frames, Masks, check_clip
from voin.method.pipeline import Completion


class ShapeOnly(ABC):
    """A method that completes the shape alone: the frames come back unchanged."""

    content = False

    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        *,
        amodal: Masks | None = None,
        occluder: Masks | None = None,
        category: str | None = None,
    ) -> Completion:
        """Give the whole mask that the class names; `amodal`, `occluder` and `category` are not used."""
        del amodal, occluder, category
        check_clip(frames, visible)
        seen = visible > 0.5
        return put_together(frames, seen, self._whole(seen), frames.clone(), torch.zeros_like(visible))

    @abstractmethod
    def _whole(self, seen: torch.Tensor) -> torch.Tensor:
        """Give whole masks for visible ones, both (b, t, 1, h, w) bool."""
        ...


def put_together(
    frames: torch.Tensor, seen: torch.Tensor, whole: torch.Tensor, filled: torch.Tensor, trust: torch.Tensor
) -> Completion:
    """Put a completion together out of bool masks and the confidence of hidden pixels."""
    occluded = whole & ~seen
    return Completion(
        frames=filled,
        amodal=whole.to(frames),
        occluded=occluded.to(frames),
        missing=(occluded & (trust <= 0)).to(frames),
        confidence=torch.where(occluded, trust, seen.to(trust)),
    )
