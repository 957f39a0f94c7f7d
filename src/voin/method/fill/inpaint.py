"""Fill without weights: what no frame has seen is painted in from the object's own pixels.

Next to known pixels their texture is carried on a little way (cv2.inpaint, Telea 2004); further in, colours spread
smoothly from everything known of the object and settle at its mean colour. Propagated pixels keep as much of their
detail as is believed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, UInt8

from voin.core.diffuse import diffuse
from voin.core.morphology import grow
from voin.core.types import Frames, Masks


@dataclass(frozen=True)
class FillConfig:
    """How missing pixels are painted, in working pixels.

    Args:
        radius: neighbourhood that cv2.inpaint makes a pixel from.
        rim: distance from known pixels at which inpainting gives way to smooth colour; 0 leaves inpainting out.
        smooth: weight of smoothness against known colours.
        fade: pull towards the object's mean colour, per pixel.
    """

    radius: int = 3
    rim: float = 3.0
    smooth: float = 1.0
    fade: float = 0.001


class InpaintFill:
    """Fill what is missing, and fade propagated pixels that are not believed into smooth colour."""

    def __init__(self, config: FillConfig = FillConfig()) -> None:
        self.config = config

    def __call__(
        self, frames: Frames, visible: Masks, amodal: Masks, confidence: Masks, category: str | None = None
    ) -> Frames:
        """Give the frames with the object's hidden part filled; all other pixels come back as they are.

        Args:
            frames: (b, t, 3, h, w), propagated pixels already in place.
            visible: (b, t, 1, h, w) in [0, 1].
            amodal: (b, t, 1, h, w) in [0, 1].
            confidence: (b, t, 1, h, w) in [0, 1]; inside `amodal`, 0 is missing, and what is between was propagated.
            category: not needed here; the trained stage is told.
        """
        del category
        b = frames.shape[0]
        picture, seen, whole, trust = (
            rearrange(x, "b t c h w -> (b t) c h w") for x in (frames, visible, amodal, confidence)
        )
        inside, hidden = whole > 0.5, (whole > 0.5) & (seen <= 0.5)
        # Visible pixels at the rim of the hidden region hold some of the occluder's colour.
        clear = inside & ~hidden & ~grow(hidden[:, 0], 1)[:, None]
        weight = torch.where(hidden, trust, clear.to(trust))
        mean = (picture * weight).sum((0, 2, 3)) / weight.sum().clamp(min=1e-6)
        mean = mean.view(1, 3, 1, 1)
        filled, touched = picture.clone(), hidden.flatten(1).any(dim=1)
        picture, weight, inside, hidden, trust = (x[touched] for x in (picture, weight, inside, hidden, trust))
        smooth = diffuse(picture - mean, weight, inside, self.config.smooth, self.config.fade) + mean
        missing = hidden & (trust <= 0)
        if self.config.rim > 0:
            smooth = torch.where(missing, self._rim(picture, smooth, missing, inside), smooth)
        filled[touched] = torch.where(hidden, trust * picture + (1 - trust) * smooth, picture).clamp(0, 1)
        return rearrange(filled, "(b t) c h w -> b t c h w", b=b)

    def _rim(self, picture: torch.Tensor, smooth: torch.Tensor, missing: torch.Tensor, inside: torch.Tensor):
        """Carry texture into the rim of what is missing."""
        result = smooth.clone()
        colours = (rearrange(picture, "n c h w -> n h w c") * 255).round().clamp(0, 255).byte().cpu().numpy()
        for i, (hole, whole) in enumerate(zip(missing[:, 0].cpu().numpy(), inside[:, 0].cpu().numpy(), strict=True)):
            if not hole.any() or not (whole & ~hole).any():
                continue
            distance = cv2.distanceTransform((~(whole & ~hole)).astype(np.uint8), cv2.DIST_L2, 3)
            near = hole & (distance <= 3 * self.config.rim)
            if not near.any():
                continue
            painted = torch.from_numpy(inpaint_inside(colours[i], near, whole & ~hole, self.config.radius)).to(smooth)
            share = torch.from_numpy(np.exp(-distance / self.config.rim) * near).to(smooth)
            result[i] = smooth[i] + share * (rearrange(painted, "h w c -> c h w") / 255 - smooth[i])
        return result


def inpaint_inside(
    picture: UInt8[np.ndarray, "h w 3"], hole: Bool[np.ndarray, "h w"], known: Bool[np.ndarray, "h w"], radius: int
) -> UInt8[np.ndarray, "h w 3"]:
    """Inpaint `hole` from `known` pixels only.

    Paper 3.3: hidden regions get no background colours. So what is neither hole nor known but lies near the hole is
    inpainted along with it, and is not for use.
    """
    near = cv2.dilate(hole.astype(np.uint8), np.ones((8 * radius + 3, 8 * radius + 3), np.uint8)) > 0
    return cv2.inpaint(np.ascontiguousarray(picture), (near & ~known).astype(np.uint8), radius, cv2.INPAINT_TELEA)
