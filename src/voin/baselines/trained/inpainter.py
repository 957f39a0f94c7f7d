"""Baselines in the place of our method: the same window, the same shape and the same paste, and their own pixels.

Every baseline sees what ours sees, on the same grid, and is told the visible mask besides (paper 4.2). Only the hidden
part of the object is replaced; unlike ours, a baseline may take colours from everywhere outside it, background and
occluder too, for that is what it was made for.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from voin.core.types import Flows, Frames, Masks
from voin.core.warp import sample_points
from voin.method.paste import add_flow, make_box, native_masks, soft_mask
from voin.method.pipeline import Completion, Inpainter, PipelineConfig, hidden_part, timed, widen
from voin.method.stages import Motion, Shape
from voin.method.window import CompletedBox, ObjectClip


@dataclass(frozen=True)
class Painted:
    """What a baseline made of a clip.

    Attributes:
        frames: (1, t, 3, h, w), the hole filled.
        confidence: (1, t, 1, h, w) in [0, 1]; above 0 where colours came from another frame.
        forward: (1, t-1, 2, h, w), completed; None where the baseline has no flow.
        backward: likewise.
    """

    frames: Frames
    confidence: Masks
    forward: Flows | None = None
    backward: Flows | None = None


@runtime_checkable
class Painting(Protocol):
    """A baseline on the working grid."""

    has_flow: bool

    def __call__(self, frames: Frames, visible: Masks, hole: Masks, wanted: range) -> Painted:
        """Fill the hole of the wanted frames at least.

        Args:
            frames: (1, t, 3, h, w); nothing inside the hole may be looked at.
            visible: (1, t, 1, h, w), 0 or 1.
            hole: (1, t, 1, h, w), 0 or 1: the object's hidden part.
            wanted: frames to fill; the others help.
        """
        ...

    def settings(self) -> dict[str, Any]:
        """Return what the result depends on."""
        ...


class BaselineInpainter(Inpainter):
    """A baseline with the signature of our method.

    Args:
        painting: the baseline, or None for one that completes shapes alone.
        shape: completes masks that are not given; the same one for all baselines.
        coarse_motion: what `shape` is told of motion.
        config: of the window.
        device: where networks compute.
        name: in tables and in run.json.
        model: where its networks come from.
        networks: its networks: kind to the sum of its file.
    """

    shares = False  # each part of a shot is looked at anew

    def __init__(
        self,
        painting: Painting | None,
        shape: Shape,
        coarse_motion: Motion,
        config: PipelineConfig,
        device: torch.device,
        name: str,
        model: str,
        networks: dict[str, str],
    ) -> None:
        self.painting, self.shape, self.coarse_motion = painting, shape, coarse_motion
        self.config, self.device, self.name, self.model, self.networks = config, device, name, model, networks

    @property
    def content(self) -> bool:
        """Whether it gives pixels."""
        return self.painting is not None

    @torch.inference_mode()
    def complete_object(
        self,
        clip: ObjectClip,
        wanted: range,
        *,
        category: str | None = None,
        with_flow: bool = False,
        with_shape: bool = False,
        clock: dict[str, float] | None = None,
    ) -> list[CompletedBox]:
        """Complete one object in the `wanted` frames of a clip, as `Inpainter` does."""
        clock = {} if clock is None else clock
        frames, visible = self._to_grid(clip.frames), self._to_grid(clip.visible)
        if clip.amodal is None:
            with timed(clock, "shape"):
                allowed = torch.ones_like(visible) if clip.occluder is None else self._to_grid(clip.occluder)
                amodal = self.shape(frames, visible, allowed, *self.coarse_motion(frames), category)
        else:
            amodal = self._to_grid([a | v for a, v in zip(clip.amodal, clip.visible, strict=True)])
        amodal, hole = hidden_part(visible, amodal, clip.amodal is None)
        if clip.seam:
            hole = widen(amodal, hole, clip.seam / float(clip.windows.scale.mean()))
        masks = {i: native_masks(clip, amodal, hole, i) for i in wanted}
        sure = self._sure(amodal, clip.occluder is not None) if with_shape else None
        soft = {i: soft_mask(clip, sure, i) if sure is not None else None for i in wanted}
        if not any(occluded.any() for _, occluded in masks.values()):
            return [replace(make_box(clip, i, *masks[i]), soft=soft[i]) for i in wanted]
        if self.painting is None:
            painted = Painted(frames, torch.zeros_like(hole))
        else:
            with timed(clock, "fill"):
                painted = self.painting(frames, amodal - hole, hole, wanted)
        # No tracks: what is propagated was propagated on the working grid, and is drawn from it as what is invented is.
        layers = [x[0].cpu() for x in (painted.frames, painted.frames, torch.zeros_like(hole), amodal)]
        boxes = [make_box(clip, i, *masks[i], (), [x[i] for x in layers]) for i in wanted]
        boxes = [
            replace(_trust(box, clip, i, painted.confidence), soft=soft[i])
            for i, box in zip(wanted, boxes, strict=True)
        ]
        if with_flow and painted.forward is not None and painted.backward is not None:
            flows = painted.forward, painted.backward
            boxes = [add_flow(box, clip, i, *flows) for box, i in zip(boxes, wanted, strict=True)]
        return boxes

    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        *,
        amodal: Masks | None = None,
        occluder: Masks | None = None,
        category: str | None = None,
    ) -> Completion:
        """Complete the object in clips of tensors, as `Inpainter` does; a baseline without flow gives none."""
        done = super().__call__(frames, visible, amodal=amodal, occluder=occluder, category=category)
        has_flow = self.painting is not None and self.painting.has_flow
        return done if has_flow else replace(done, forward=None, backward=None)

    def settings(self) -> dict[str, Any]:
        """Return what the result depends on, as JSON can hold it."""
        return {
            "method": self.name,
            "model": self.model,
            "device": str(self.device),
            "pipeline": asdict(self.config),
            "networks": self.networks,
            "shape": {"kind": type(self.shape).__name__, "sha256": getattr(self.shape, "sha256", None)},
            **({} if self.painting is None else self.painting.settings()),
        }


def _trust(box: CompletedBox, clip: ObjectClip, frame: int, confidence: Masks) -> CompletedBox:
    """Say which hidden pixels of a box came from another frame."""
    row, column = np.nonzero(box.occluded)
    scale, left, top = (values[frame] for values in (clip.windows.scale, clip.windows.left, clip.windows.top))
    x = torch.from_numpy((column + box.left + 0.5 - left) / scale - 0.5).float()
    y = torch.from_numpy((row + box.top + 0.5 - top) / scale - 0.5).float()
    found = sample_points(confidence[0].cpu(), torch.full((len(x),), frame), x, y)[:, 0].numpy()
    missing, sure = box.missing.copy(), box.confidence.copy()
    missing[row, column] = found <= 0.5
    sure[row, column] = np.where(found <= 0.5, 0, np.rint(found * 255)).astype(np.uint8)
    return replace(box, missing=missing, confidence=sure)
