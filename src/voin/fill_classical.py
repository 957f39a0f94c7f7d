"""Fill without weights: what no frame has seen is inpainted from the object's own pixels, per frame (cv2.inpaint)."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from einops import rearrange

from voin.clip import Frames, Masks


class InpaintFill:
    """Fill `missing` by Telea's fast marching (2004), fed by the object alone.

    Args:
        radius: neighbourhood each pixel is made from, working pixels.
    """

    def __init__(self, radius: int = 4) -> None:
        self.radius = radius

    def __call__(
        self, frames: Frames, visible: Masks, amodal: Masks, missing: Masks, category: str | None = None
    ) -> Frames:
        """Fill `missing`; all other pixels come back as they are.

        Args:
            frames: (b, t, 3, h, w), propagated pixels already in place.
            visible: (b, t, 1, h, w); not needed here.
            amodal: (b, t, 1, h, w); the only region that colours are taken from.
            missing: (b, t, 1, h, w).
            category: not needed here.
        """
        del visible, category
        b = frames.shape[0]
        pictures = (rearrange(frames, "b t c h w -> (b t) h w c") * 255).round().byte().cpu().numpy()
        holes = rearrange(missing > 0.5, "b t 1 h w -> (b t) h w").cpu().numpy()
        known = rearrange((amodal > 0.5) & (missing <= 0.5), "b t 1 h w -> (b t) h w").cpu().numpy()
        result = frames.clone()
        flat = rearrange(result, "b t c h w -> (b t) c h w")
        for i, (picture, hole, object_) in enumerate(zip(pictures, holes, known, strict=True)):
            if hole.any():
                filled = inpaint_inside(picture, hole, object_, self.radius)
                flat[i][:, torch.from_numpy(hole)] = torch.from_numpy(filled[hole].T / 255).to(flat)
        return rearrange(flat, "(b t) c h w -> b t c h w", b=b)


def inpaint_inside(picture: np.ndarray, hole: np.ndarray, known: np.ndarray, radius: int) -> np.ndarray:
    """Inpaint `hole` from `known` pixels only.

    The paper (3.3) fills hidden regions with no background colours; so what is neither hole nor known but lies near the
    hole is inpainted along with it, and thrown away by the caller.
    """
    if not known.any():
        # Nothing of the object is known in this frame: its surroundings are better than nothing.
        return cv2.inpaint(picture, hole.astype(np.uint8), radius, cv2.INPAINT_TELEA)
    near = cv2.dilate(hole.astype(np.uint8), np.ones((2 * radius + 3, 2 * radius + 3), np.uint8)) > 0
    mask = near & ~known
    return cv2.inpaint(np.ascontiguousarray(picture), mask.astype(np.uint8), radius, cv2.INPAINT_TELEA)
