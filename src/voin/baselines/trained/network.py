"""What the networks that make colours share: their signature, and the work at their own size around a clip."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from voin.baselines.trained.inpainter import Painted
from voin.core.errors import ValueRefusal
from voin.core.resample import enlarge, reduce
from voin.core.types import Frames, Masks


@runtime_checkable
class ColourNetwork(Protocol):
    """A network that makes the colours of a whole clip."""

    def __call__(self, frames: Frames, visible: Masks, hole: Masks) -> Frames:
        """Return colours (b, t, 3, h, w), in [0, 1] where the network bounds them.

        Args:
            frames: (b, t, 3, h, w) in [0, 1]; nothing inside the hole is looked at.
            visible: (b, t, 1, h, w), 0 or 1: the object's visible part, the channel that the paper adds to all.
            hole: (b, t, 1, h, w), 0 or 1: the object's hidden part.
        """
        ...


def check_sides(frames: Tensor, factor: int) -> None:
    """Refuse frames whose sides are no multiples of `factor`.

    Raises:
        ValueError: they are not.
    """
    for name, side in zip(("height", "width"), frames.shape[-2:], strict=True):
        if side % factor:
            raise ValueRefusal(
                f"frames have a {name} of {side} pixels", f"it must be a multiple of {factor}", "pad or crop the frames"
            )


def signed(frames: Tensor, hole: Tensor) -> Tensor:
    """Bring colours to [-1, 1], 0 inside the hole: how all these networks are shown frames."""
    return (2 * frames - 1) * (1 - hole)


def part_reduced(
    frames: Frames, visible: Masks, hole: Masks, size: int | None
) -> tuple[Float[Tensor, "b t 3 y x"], Float[Tensor, "b t 1 y x"], Float[Tensor, "b t 1 y x"]]:
    """Bring a clip to a network's size; what is in the hole does not come into pixels beside it."""
    seen = hole <= 0.5
    small = reduce(frames, size, seen), reduce(visible, size), reduce(hole, size)
    return small[0], (small[1] > 0.5).to(visible), (small[2] > 0.5).to(hole)


class NetworkPainting(ABC):
    """A `Painting` by one network that makes the colours of the hole: nothing is propagated.

    Args:
        network: what makes the colours.
        size: longest side of the pictures that it looks at; None takes any.
        half: compute in bfloat16.
    """

    kinds: tuple[str, ...]
    has_flow = False

    def __init__(self, network: ColourNetwork, size: int | None = None, half: bool = False) -> None:
        self.network, self.size, self.half = network, size, half

    def __call__(self, frames: Frames, visible: Masks, hole: Masks, wanted: range) -> Painted:
        """Fill the hole, as `Painting` does."""
        touched = (hole[0] > 0.5).flatten(1).any(dim=1)
        touched[: wanted.start] = touched[wanted.stop :] = False
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=self.half):
            made = self.generate(*part_reduced(frames, visible, hole, self.size), touched)
        colours = enlarge(made.float().clamp(0, 1), (frames.shape[-2], frames.shape[-1]))
        return Painted(torch.where(hole > 0.5, colours, frames), torch.zeros_like(hole))

    @abstractmethod
    def generate(self, frames: Frames, visible: Masks, hole: Masks, touched: Bool[Tensor, " t"]) -> Frames:
        """Run the network over a clip of one; colours count in the frames that are `touched`."""
        ...

    def settings(self) -> dict[str, Any]:
        """Return what the result depends on."""
        return {"size": self.size, "half": self.half}
