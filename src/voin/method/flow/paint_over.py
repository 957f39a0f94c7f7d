"""Paint the hidden part over before motion is estimated, so that the occluder's motion stays out."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from voin.core.diffuse import diffuse
from voin.method.affine import rim_trust


def paint_over(
    frames: Float[Tensor, "n 3 h w"], visible: Float[Tensor, "n 1 h w"], amodal: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, "n 3 h w"]:
    """Paint the hidden part over with the object's own colours, spread smoothly."""
    seen = rim_trust(visible, 2 * frames.shape[-1] / 256)
    smooth = diffuse(frames, seen, amodal > 0.5, smooth=0.3, fade=0.0, finest=2)
    return torch.where((amodal > 0.5) & (visible <= 0.5), smooth, frames)
