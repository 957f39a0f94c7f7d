"""Methods that complete the shape alone; the frames come back unchanged."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

from voin.baselines.method import make_completion
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
        """Return the whole mask that the class names; `amodal`, `occluder` and `category` are not used."""
        del amodal, occluder, category
        check_clip(frames, visible)
        seen = visible > 0.5
        return make_completion(frames, seen, self._whole(seen), frames.clone(), torch.zeros_like(visible))

    @abstractmethod
    def _whole(self, visible: torch.Tensor) -> torch.Tensor:
        """Return whole masks for visible ones, both (b, t, 1, h, w) bool."""
        ...
