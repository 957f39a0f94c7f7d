"""Fill without weights: what no frame has seen is painted in from the object's own pixels.

Next to known pixels their texture is carried on a little way (cv2.inpaint, Telea 2004); further in, colours spread
smoothly from everything known of the object and settle at its mean colour.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, UInt8

from voin.core.types import Frames, Masks
from voin.method.fill.colours import mix, part_hidden, spread_smoothly, weigh_known
from voin.method.stages import Shown

RADIUS = 3  # neighbourhood, in working pixels, that cv2.inpaint makes a pixel from


@dataclass(frozen=True)
class InpaintFill:
    """Fill what is missing, and fade propagated pixels that are not believed into smooth colour: a `Fill`."""

    # Distance from known pixels, in working pixels, at which inpainting gives way to smooth colour; 0 leaves it out.
    rim: float = 3.0

    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        amodal: Masks,
        confidence: Masks,
        category: str | None = None,
        around: Shown | None = None,
    ) -> Frames:
        """Fill the hidden part, as every `Fill` does; neither the category nor other frames are needed."""
        hidden, missing = part_hidden(visible, amodal, confidence)
        picture, hidden, missing, inside, trust = (
            x.flatten(0, 1) for x in (frames, hidden, missing, amodal > 0.5, confidence)
        )
        weight = weigh_known(hidden, inside, trust)
        mean = (picture * weight).sum((0, 2, 3)) / weight.sum().clamp(min=1e-6)
        filled, touched = picture.clone(), hidden.flatten(1).any(dim=1)
        picture, weight, inside, hidden, missing, trust = (
            x[touched] for x in (picture, weight, inside, hidden, missing, trust)
        )
        smooth = spread_smoothly(picture, weight, inside, mean.view(1, 3, 1, 1))
        if self.rim > 0:
            smooth = torch.where(missing, self._rim(picture, smooth, missing, inside), smooth)
        filled[touched] = torch.where(hidden, mix(picture, smooth, trust), picture).clamp(0, 1)
        return filled.unflatten(0, frames.shape[:2])

    def _rim(self, picture: torch.Tensor, smooth: torch.Tensor, missing: torch.Tensor, inside: torch.Tensor):
        """Carry texture into the rim of what is missing."""
        result = smooth.clone()
        colours = (rearrange(picture, "n c h w -> n h w c") * 255).round().clamp(0, 255).byte().cpu().numpy()
        for i, (hole, whole) in enumerate(zip(missing[:, 0].cpu().numpy(), inside[:, 0].cpu().numpy(), strict=True)):
            known = whole & ~hole
            if not hole.any() or not known.any():
                continue
            distance = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 3)
            near = hole & (distance <= 3 * self.rim)
            if not near.any():
                continue
            painted = torch.from_numpy(inpaint_inside(colours[i], near, known, RADIUS)).to(smooth)
            share = torch.from_numpy(np.exp(-distance / self.rim) * near).to(smooth)
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
