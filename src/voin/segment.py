"""Cut an object out of one frame, from a box, clicks or a painted mask (GrabCut)."""

from __future__ import annotations

import cv2
import numpy as np

from voin.clip import Mask, Picture
from voin.prompts import Prompt

_ROUNDS = 5


def segment(frame: Picture, prompt: Prompt) -> Mask:
    """Cut the object that `prompt` marks out of `frame`.

    Args:
        frame: uint8 RGB, (h, w, 3).
        prompt: what is marked on it.

    Returns:
        (h, w); never empty.

    Raises:
        ValueError: the prompt does not lie in the frame.
    """
    h, w = frame.shape[:2]
    prompt.check((h, w))
    labels = np.full((h, w), cv2.GC_BGD, np.uint8)
    if prompt.mask is not None:
        labels[prompt.mask] = cv2.GC_FGD
    elif prompt.box is not None:
        x, y, box_w, box_h = prompt.box
        labels[y : y + box_h, x : x + box_w] = cv2.GC_PR_FGD
    for points, label in ((prompt.points, cv2.GC_FGD), (prompt.negative, cv2.GC_BGD)):
        for x, y in points:
            cv2.circle(labels, (x, y), max(2, min(h, w) // 100), int(label), -1)
    if prompt.mask is None:
        cv2.setRNGSeed(0)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(np.ascontiguousarray(frame), labels, None, *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
