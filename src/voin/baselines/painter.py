"""Methods that paint the hidden pixels of one clip after the other, from the object's own visible pixels alone."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from voin.baselines.hull import hulls
from voin.baselines.method import make_completion
from voin.core.errors import ValueRefusal
from voin.core.types import Frames, Masks, check_clip, to_kind
from voin.method.pipeline import Completion

Stack = Bool[np.ndarray, "t h w"]

Pictures = UInt8[np.ndarray, "t h w 3"]


class Painter(ABC):
    """A method that paints the hidden pixels of one clip after the other; its shape is given, or the convex hull."""

    content = True

    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        *,
        amodal: Masks | None = None,
        occluder: Masks | None = None,
        category: str | None = None,
    ) -> Completion:
        """Fill the hidden part as the class says; `occluder` and `category` are not used.

        Raises:
            ValueError: a tensor has a wrong shape, dtype or range, or a clip no visible pixel.
        """
        del occluder, category
        check_clip(frames, visible)
        if amodal is not None:
            check_clip(frames, amodal, "amodal")
        seen = visible > 0.5
        whole = hulls(seen) if amodal is None else (amodal > 0.5) | seen
        filled, trust = frames.clone(), torch.zeros_like(visible)
        for b in range(len(frames)):
            # One by one: as floats they take much memory.
            pictures = np.stack(
                [to_kind(x.float().permute(1, 2, 0).cpu().numpy(), np.dtype(np.uint8)) for x in frames[b]]
            )
            known, hidden = seen[b, :, 0].cpu().numpy(), (whole & ~seen)[b, :, 0].cpu().numpy()
            if not known.any():
                raise ValueRefusal(
                    "visible has no pixel in a clip", "a fill needs some of the object's own", "leave such a clip out"
                )
            painted, confidence = self._paint(pictures, known, hidden)
            colours = torch.from_numpy(painted).permute(0, 3, 1, 2).to(frames).div_(255)
            filled[b] = torch.where((whole & ~seen)[b], colours, frames[b])
            trust[b, :, 0] = torch.from_numpy(confidence).to(trust)
        return make_completion(frames, seen, whole, filled, trust)

    @abstractmethod
    def _paint(self, pictures: Pictures, known: Stack, hidden: Stack) -> tuple[Pictures, np.ndarray]:
        """Return pictures with `hidden` painted, and how sure that is, (t, h, w) in [0, 1]: 0 is invented."""
        ...
