"""The background of a job: where its windows lie, what is seen of it in them, and what fills it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Int

from voin.baselines.trained.models import load_baseline
from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.types import Frames, Label, Masks
from voin.jobs.check import Inputs
from voin.jobs.options import CompleteOptions
from voin.method.background import Background, look_behind
from voin.method.fill.colours import part_hidden
from voin.method.motion import load_motion
from voin.method.pipeline import Inpainter
from voin.method.stages import Shown
from voin.method.window import WindowConfig, Windows, cut
from voin.weights.hub import find_model, networks_of

BACKGROUND = 0  # its number among the windows of a shot; objects are 1 to 255
_Window = Bool[np.ndarray, "side side"]
_RIM_SHARE = 0.004  # of the frame's longer side: masks end a little within what they show


class SttnFill:
    """What no frame shows of the background, by STTN: a `Fill`."""

    def __init__(self, model: str, device: torch.device) -> None:
        if "sttn" not in networks_of(find_model(model)):
            raise FileRefusal(
                f"{model} has no sttn network",
                "what fills the background is STTN's",
                "train it with: voin train sttn, or leave --background-model out",
            )
        made = load_baseline("sttn", (model,), device=device.type)
        self.painting, self.sha256 = made.painting, made.networks["sttn"]

    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        amodal: Masks,
        confidence: Masks,
        category: str | None = None,
        around: Shown | None = None,
    ) -> Frames:
        """Fill what is missing; what was found in other frames stays."""
        del category, around
        _, missing = part_hidden(visible, amodal, confidence)
        assert self.painting is not None
        return self.painting(frames, visible, missing.to(frames), range(frames.shape[1])).frames


def check_asked(options: CompleteOptions) -> None:
    """Refuse a background without what is before it, and a model for none."""
    if options.background and options.occluder is None:
        raise ValueRefusal(
            "the background is asked for, and nothing says what is in front",
            "its masks must be given",
            "mark it with: voin mask --what occluder, and give --occluder PATH",
        )
    if options.background_model is not None and not options.background:
        raise ValueRefusal(
            "a model for the background is given without --background", "it fills that alone", "add --background"
        )


def load_background(inpainter: Any, model: str | None) -> Background:
    """Make what fills the background, with the motion and on the device of a method; `model` holds an STTN."""
    device = getattr(inpainter, "device", torch.device("cpu"))
    motion = getattr(inpainter, "motion", None) or load_motion("dis", None, device, enlarge=2)
    size = inpainter.config.window.size if isinstance(inpainter, Inpainter) else WindowConfig().size
    return Background(motion, None if model is None else SttnFill(model, device), size, device)


def boxes_behind(inputs: Inputs) -> Int[np.ndarray, "t 4"]:
    """Return the boxes of what is in front, in all frames of the video, as wide as its place is filled."""
    assert inputs.occluder is not None
    boxes = inputs.occluder.boxes  # (ids, t, 4)
    there = boxes.any(axis=2, keepdims=True)
    (h, w), rim = inputs.info.size, _rim(inputs.info.size)
    low = np.where(there, boxes[..., :2], max(h, w)).min(axis=0) - rim
    high = np.where(there, boxes[..., 2:], 0).max(axis=0) + rim
    whole = np.concatenate([low.clip(0), np.minimum(high, (w, h))], axis=1)
    return np.where(there.any(axis=0), whole, 0)


def cut_behind(
    front: Bool[np.ndarray, "h w"], label: Label, ids: tuple[int, ...], windows: Windows, at: int
) -> tuple[_Window, _Window, _Window]:
    """Return `visible`, `amodal` and `occluder` of the background in its window."""
    side = 2 * _rim(front.shape) + 1
    grown = cv2.dilate(front.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    masks = (grown, np.isin(label, ids), np.ones(front.shape, bool))
    visible, amodal, occluder = look_behind(*(cut(mask, windows, at) for mask in masks))
    return visible, amodal, occluder


def _rim(size: tuple[int, ...]) -> int:
    return max(round(_RIM_SHARE * max(size)), 1)
