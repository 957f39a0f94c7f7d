"""The time axis of clips: work on single frames, moves between frames, and groups of frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

# The layers of a network as a function of tensors, (b, t, ...), as torch or another runtime computes them.
Layers = Callable[..., Any]


def over_frames(function: Callable[[Tensor], Tensor], clip: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t d y x"]:
    """Apply a function of single pictures, (n, c, h, w), to each frame."""
    return function(clip.flatten(0, 1)).unflatten(0, (clip.shape[0], -1))


def shift_frames(volume: Float[Tensor, "b t x y z"], frames: int) -> Float[Tensor, "b t x y z"]:
    """Move all by `frames` to later frames, below 0 to earlier ones; the ends are filled with 0."""
    distance = max(min(frames, volume.shape[1]), -volume.shape[1])
    return F.pad(volume, (0, 0, 0, 0, 0, 0, distance, -distance))


def shift_part(volume: Float[Tensor, "b t x y z"], frames: int, part: range) -> Float[Tensor, "b n x y z"]:
    """Return `part` of the frames that `shift_frames` gives, without the others."""
    first, stop = part.start - frames, part.stop - frames
    there = volume[:, max(first, 0) : max(stop, 0)]
    before = min(max(-first, 0), len(part))
    return F.pad(there, (0, 0, 0, 0, 0, 0, before, len(part) - before - there.shape[1]))


def cut_groups(run: range, length: int, overlap: int) -> list[range]:
    """Cut consecutive frames into overlapping groups of equal length; the last one ends with the run."""
    last = max(run.stop - length, run.start)
    starts = [*range(run.start, last, length - overlap), last]
    return [range(start, min(start + length, run.stop)) for start in starts]
