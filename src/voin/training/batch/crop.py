"""Crops of whole frames: paper 4.1, "randomly crop them to 320 x 180 with random horizontal flip".

Pixels are taken as they are: nothing is resampled.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from voin.core.errors import ValueRefusal
from voin.data.packs.pack import Pack, cut_windows
from voin.method.window import WindowConfig

CROP_NUMBERS = 3
Numbers = Float[Tensor, "b numbers"]  # uniform in [0, 1), float64, on the CPU


def crop(
    frames: UInt8[Tensor, "b t h w 3"],
    masks: UInt8[Tensor, "b t h w"],
    numbers: Numbers,
    shape: tuple[int, int],
    mirrored: float,
) -> tuple[Float[Tensor, "b t 3 y x"], Float[Tensor, "b t 1 y x"]]:
    """Cut one part of a `shape` (h, w) out of each clip, the same of all its frames, and mirror a share of the clips.

    Not in the paper: the part holds the middle of the object, because without any of it nothing is to be learned.
    Colours and masks, 0 to 255, come back in [0, 1].
    """
    cut = []
    for picture, mask, number in zip(frames, masks, numbers[:, :CROP_NUMBERS].tolist(), strict=True):
        seen = mask.amax(dim=0) > 0
        spans = [
            _draw_span(line, size, draw)
            for line, size, draw in zip((seen.any(dim=1), seen.any(dim=0)), shape, number[:2], strict=True)
        ]
        both = torch.cat([picture[:, spans[0], spans[1]], mask[:, spans[0], spans[1], None]], dim=-1)
        cut.append(both.flip(2) if number[2] < mirrored else both)
    clips = torch.stack(cut).permute(0, 1, 4, 2, 3).float() / 255
    return clips[:, :, :3], clips[:, :, 3:]


def _draw_span(line: Tensor, size: int, number: float) -> slice:
    """Draw where a part of `size` begins so that it holds the middle of what is marked."""
    places = line.nonzero()[:, 0].tolist() or [0, len(line) - 1]
    middle, last = (places[0] + places[-1]) // 2, len(line) - size
    least, most = max(middle - size + 1, 0), min(middle, last)
    start = least + int(number * (most - least + 1))
    return slice(start, start + size)


def cut_object(
    frames: UInt8[Tensor, "t h w 3"], masks: UInt8[Tensor, "t h w"], size: int
) -> tuple[UInt8[np.ndarray, "t s s 3"], UInt8[np.ndarray, "t s s"]]:
    """Cut the windows around an object out of whole frames, for it to become an occluder; masks are 0 to 255."""
    pictures, marks = frames.cpu().numpy(), masks.cpu().numpy()
    cut, shares = cut_windows(pictures, marks > 127, WindowConfig(size))
    return cut, np.uint8(255) * (shares > 0.5)


def check_crops(pack: Pack, shape: tuple[int, int], cropped: bool) -> None:
    """Refuse whole frames of which no crops are made, and crops larger than what they are to be cut out of."""
    h, w = pack.shape
    if pack.rows is not None and not cropped:
        raise ValueRefusal(
            f"{pack.path} holds whole frames", "they must be cropped", "use --preset paper, or a pack of windows"
        )
    if cropped and (h < shape[0] or w < shape[1]):
        raise ValueRefusal(
            f"{pack.path} holds pictures of {w}x{h}",
            f"crops of {shape[1]}x{shape[0]} must fit into them",
            "make it with `voin data pack --whole-frames --size 384`",
        )
