"""What is behind the occluder: the rest of its place, once the object is completed (paper 4, Figure 11).

The background is completed as an object is. It is all that is neither object nor occluder, its whole mask is all of the
frame; so flow is completed behind both, colours come from pixels that are neither, and what no frame shows is filled by
a `Fill` that is not the generator: that one has learned objects.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool

from voin.core.types import Mask
from voin.method.fill.inpaint import InpaintFill
from voin.method.flow.smooth import SmoothFlow
from voin.method.motion import DIS
from voin.method.pipeline import Inpainter, PipelineConfig
from voin.method.shape.voting import VotedShape
from voin.method.stages import Fill, Motion
from voin.method.window import CompletedBox, ObjectClip, WindowConfig, box_of


class Background:
    """Fills the place of what is in front.

    Args:
        motion: finds the motion that colours follow.
        fill: fills what no frame shows; None spreads the colours around it smoothly.
        size: of the working picture.
        device: where to compute.
    """

    def __init__(
        self, motion: Motion, fill: Fill | None = None, size: int = 256, device: torch.device | str = "cpu"
    ) -> None:
        config = PipelineConfig(window=WindowConfig(size), paint=isinstance(motion, DIS), outlines=False)
        stages = (VotedShape(), SmoothFlow(), fill or InpaintFill(), motion, DIS(finest=2))
        self.inpainter = Inpainter(*stages, config=config, device=device, name="background")

    def fill_boxes(self, clip: ObjectClip, wanted: range, clock: dict[str, float] | None = None) -> list[CompletedBox]:
        """Fill the occluder's place in the `wanted` frames of a clip with the masks of `look_behind`.

        Boxes hold what is in front: it is `amodal` and `occluded` alike.
        """
        assert clip.occluder is not None
        # What is found is handed on to where there is something in front again.
        if clip.place is None and not any(clip.occluder[i].any() for i in wanted):
            nothing = np.zeros((0, 0), bool)
            colours = np.zeros((0, 0, 3), clip.frames[0].dtype)
            return [CompletedBox(0, 0, nothing, nothing, nothing, colours, nothing.astype(np.uint8)) for _ in wanted]
        config = self.inpainter.config  # windows are cut for a working picture of their size
        self.inpainter.config = replace(config, window=replace(config.window, size=clip.windows.size))
        return [_cut_down(box) for box in self.inpainter.complete_object(clip, wanted, clock=clock)]


def look_behind(
    front: Mask, objects: Mask, inside: Mask
) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Return `visible`, `amodal` and `occluder` of the background in one window.

    Args:
        front: what is in front.
        objects: the visible part of all objects that are completed; where both are, it is the object.
        inside: where the window lies in the frame.
    """
    return inside & ~front & ~objects, inside, inside & front & ~objects


def _cut_down(box: CompletedBox) -> CompletedBox:
    """Cut a box of the whole window down to what is in front."""
    x0, y0, x1, y1 = box_of(box.occluded)
    part = np.s_[y0:y1, x0:x1]
    front, missing = box.occluded[part], box.missing[part]
    return CompletedBox(box.left + x0, box.top + y0, front, front, missing, box.colours[part], box.confidence[part])
