"""What DFVI and FGVC share: colours follow completed flow, an image network fills some of what is left.

It ends when nothing is left.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from voin.baselines.trained.inpainter import Painted
from voin.baselines.trained.network import NetworkPainting
from voin.core.diffuse import diffuse
from voin.core.morphology import grow
from voin.core.types import Flows, Frames, Masks
from voin.method.stages import Motion

if TYPE_CHECKING:
    from voin.baselines.trained.models import Trained

Clip = Float[Tensor, "t 3 h w"]
Region = Bool[Tensor, "t 1 h w"]
Link = Float[Tensor, "t-1 2 h w"]

# Not as published: after so many rounds the image network fills all that is left, for time's sake.
_ROUNDS = 12
_AT_ONCE = 8  # pictures that the image network is given


class ImagePainting(NetworkPainting):
    """The image network by itself: each frame that is needed, alone."""

    kinds = ("deepfill",)

    def generate(self, frames: Frames, visible: Masks, hole: Masks, touched: Bool[Tensor, " t"]) -> Frames:  # noqa: D102
        made = frames.clone()
        for index in touched.nonzero()[:, 0].split(_AT_ONCE):
            made[:, index] = self.network(frames[:, index], visible[:, index], hole[:, index]).to(made)
        return made


class FlowPainting(ABC):
    """A `Painting` that completes flow, propagates along it, and has an image network for the rest.

    Args:
        found: its networks, by kind.
        motion: estimates flow, of the frames as they are.
    """

    kinds: tuple[str, ...]
    has_flow = True

    def __init__(self, found: dict[str, Trained], motion: Motion) -> None:
        self.found, self.motion = found, motion
        image = found["deepfill"]
        self.image = ImagePainting(image.network, image.size, image.half)

    def __call__(self, frames: Frames, visible: Masks, hole: Masks, wanted: range) -> Painted:
        """Fill the hole, as `Painting` does; all frames, since they give to each other."""
        del wanted
        if frames.shape[1] > 1:
            forward, backward = self.complete(*self.motion(frames), visible, hole)
        else:
            forward = backward = frames[:, :0, :2]  # a single frame has none
        region = hole[0] > 0.5
        inside = region | (visible[0] > 0.5)
        filled, missing = self.propagate(frames[0], region, forward[0], backward[0], inside)
        confidence = (region & ~missing).to(hole)[None]
        filled = self._finish(filled, visible, missing, forward[0], backward[0], inside)
        return Painted(filled[None], confidence, forward, backward)

    def _finish(
        self, filled: Clip, visible: Masks, missing: Region, forward: Link, backward: Link, inside: Region
    ) -> Clip:
        for number in range(_ROUNDS):
            open_frames = missing.flatten(1).any(dim=1)
            if not open_frames.any():
                break
            keys = self.choose(missing) if number < _ROUNDS - 1 else open_frames.nonzero()[:, 0].tolist()
            part = filled[None, keys], visible[:, keys], missing[None, keys].to(visible)
            filled[keys] = self.image(*part, range(len(keys))).frames[0]
            missing[keys] = False
            filled, missing = self.propagate(filled, missing, forward, backward, inside)
        return filled

    @abstractmethod
    def complete(self, forward: Flows, backward: Flows, visible: Masks, hole: Masks) -> tuple[Flows, Flows]:
        """Complete flow inside the hole."""
        ...

    @abstractmethod
    def propagate(
        self, frames: Clip, missing: Region, forward: Link, backward: Link, inside: Region | None = None
    ) -> tuple[Clip, Region]:
        """Fill what is missing out of other frames, as far as possible; return what is still missing, too.

        Colours may fit those beside them `inside` alone, in the object; everywhere if None.
        """
        ...

    @abstractmethod
    def choose(self, missing: Region) -> list[int]:
        """Choose the frames that the image network fills next."""
        ...

    def settings(self) -> dict[str, Any]:
        """Return what the result depends on."""
        sizes = {kind: part.size for kind, part in self.found.items()}
        motion = {"kind": type(self.motion).__name__, **{k: v for k, v in vars(self.motion).items() if type(v) is int}}
        return {"sizes": sizes, "half": self.image.half, "motion": motion}


def ends_of_stretches(missing: Region) -> list[int]:
    """Return the first and the last frame of each run of frames of which something is missing."""
    opened = enumerate(missing.flatten(1).any(dim=1).tolist())
    runs = [[i for i, _ in run] for needed, run in groupby(opened, lambda pair: pair[1]) if needed]
    return sorted({i for run in runs for i in (run[0], run[-1])})


def fill_smoothly(
    flow: Float[Tensor, "b pairs 2 h w"], hole: Float[Tensor, "b pairs 1 h w"]
) -> Float[Tensor, "b pairs 2 h w"]:
    """Fill flow by Laplace interpolation, from all around the hole: the background, too."""
    flat, region = (rearrange(x, "b t c h w -> (b t) c h w") for x in (flow, hole > 0.5))
    domain = grow(region[:, 0], 1)[:, None]
    # The rim of what is known counts so much that it stays as it is.
    smooth = diffuse(flat, 1000.0 * (domain & ~region), domain, smooth=1.0, fade=0.0)
    return rearrange(torch.where(region, smooth, flat), "(b t) c h w -> b t c h w", b=len(flow))
