"""The words of the library: what a clip is made of, in which axes, units and directions.

Every signature uses these names. Axes are `b` clips, `t` frames, `c` channels, `h w` rows and columns.

| word | meaning |
|---|---|
| `visible` | the object's visible part (the paper's modal mask M) |
| `amodal` | the whole object (the paper's M-hat) |
| `occluded` | `amodal` without `visible` (M-hat_occ): what must be shown |
| `missing` | the part of `occluded` that no other frame saw: what must be invented |
| `occluder` | the thing in front, where it is known |
| `forward`, `backward` | flow from frame i to i+1, and from i+1 to i; pixels (dx, dy), x right, y down |
| `window` | the square around the object, moving with it, in which the stages work |

Colours and masks are floats in [0, 1] inside the library and uint8 (masks: bool) at its edges. Colours with more than
8 bits are uint16 or float32 there.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped, UInt8
from torch import Tensor

from voin.core.errors import ValueRefusal

# Clips inside the library.
Frames = Float[Tensor, "b t 3 h w"]
Masks = Float[Tensor, "b t 1 h w"]
# One flow per pair of neighbours: entry i lies between frames i and i+1.
Flows = Float[Tensor, "b pairs 2 h w"]

# Single pictures at the edges: decoded frames and masks, as files hold them.
Picture = UInt8[np.ndarray, "h w 3"]
Label = UInt8[np.ndarray, "h w"]  # object ids, 0 is no object
Mask = Bool[np.ndarray, "h w"]
# A frame as the pipeline takes it: uint8 in 0..255, uint16 in 0..65535, or float32 in [0, 1].
Frame = Shaped[np.ndarray, "h w 3"]


def to_unit(colours: np.ndarray) -> np.ndarray:
    """Turn uint8 and uint16 colours into float32 in [0, 1]; float32 passes unchanged."""
    most = largest(colours.dtype)
    return colours.astype(np.float32) / most if most > 1 else colours


def to_kind(colours: np.ndarray, dtype: np.dtype, peak: float = 1.0) -> np.ndarray:
    """Turn float colours into `dtype`: uint8 or uint16 (rounded, clipped), or floats, clipped to [0, `peak`]."""
    most = largest(dtype)
    if most > 1:
        return (colours.clip(0, 1) * most + 0.5).astype(dtype)
    return colours.clip(0, peak).astype(dtype)


def largest(dtype: np.dtype) -> int:
    """Return the value of white in colours of `dtype`: 255, 65535, or 1 for floats."""
    return int(np.iinfo(dtype).max) if dtype.kind == "u" else 1


def check_clip(frames: Tensor, visible: Tensor, name: str = "visible") -> None:
    """Refuse (ValueError) tensors that are not a clip and its mask, which is called `name`."""
    _check_tensor("frames", frames, channels=3)
    _check_tensor(name, visible, channels=1)
    if frames.shape[:2] != visible.shape[:2] or frames.shape[-2:] != visible.shape[-2:]:
        raise ValueRefusal(
            f"{name} has shape {tuple(visible.shape)} for frames of shape {tuple(frames.shape)}",
            "b, t, h and w must be the same",
            "give one mask a frame, of the frame's size",
        )


def _check_tensor(name: str, tensor: Tensor, channels: int) -> None:
    if not isinstance(tensor, Tensor):
        raise ValueRefusal(f"{name} is a {type(tensor).__name__}", "it must be a torch tensor", "use torch.from_numpy")
    if tensor.ndim != 5 or tensor.shape[2] != channels:
        raise ValueRefusal(
            f"{name} has shape {tuple(tensor.shape)}",
            f"it must be (b, t, {channels}, h, w)",
            "add the missing axes with tensor[None] or put them in order with einops.rearrange",
        )
    if 0 in tensor.shape:
        raise ValueRefusal(f"{name} has shape {tuple(tensor.shape)}", "no axis may be empty", "give at least one frame")
    if not tensor.is_floating_point():
        raise ValueRefusal(f"{name} has dtype {tensor.dtype}", "it must be float in [0, 1]", "use tensor.float() / 255")
    if not torch.isfinite(tensor).all():
        what = f"{name} has values that are NaN or infinite"
        raise ValueRefusal(what, "all must be finite", "look at where it comes from")
    low, high = tensor.min().item(), tensor.max().item()
    if low < 0 or high > 1:
        what = f"{name} lies in [{low:.3g}, {high:.3g}]"
        raise ValueRefusal(what, "it must lie in [0, 1]", "divide 8-bit values by 255")
