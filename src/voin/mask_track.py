"""The embedded tracker, without weights: an object's mask is carried from frame to frame by optical flow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from voin.clip import Mask, Picture
from voin.prompts import Prompt
from voin.segment import segment


class FlowTracker:
    """Follows an object by flow."""

    name = "grabcut"

    def follow(self, frames: Iterable[Picture], prompt: Prompt) -> Iterator[Mask]:
        """Follow the object through `frames`, as every `Tracker` does."""
        mask = before = None
        for frame in frames:
            grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
            if mask is None or before is None:
                mask = segment(frame, prompt)
            else:
                flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(grey, before, None)  # pyright: ignore
                y, x = np.mgrid[0 : grey.shape[0], 0 : grey.shape[1]].astype(np.float32)
                soft = cv2.remap(mask.astype(np.float32), x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR)
                mask = soft > 0.5
            before = grey
            yield mask
