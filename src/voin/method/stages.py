"""The stages of the pipeline by signature, each once: trained networks and classical parts can stand in for each other.

Names, axes, units and directions are those of `voin.core.types`: frames and masks lie in [0, 1], flow is in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Bool
from torch import Tensor

from voin.core.types import Flows, Frames, Masks


@runtime_checkable
class Motion(Protocol):
    """A flow estimator."""

    def __call__(self, frames: Frames) -> tuple[Flows, Flows]:
        """Estimate `forward` and `backward` flow, each (b, t-1, 2, h, w), of frames (b, t, 3, h, w)."""
        ...


@runtime_checkable
class Shape(Protocol):
    """Shape completion (paper 3.1)."""

    def __call__(
        self, frames: Frames, visible: Masks, allowed: Masks, forward: Flows, backward: Flows, category: str | None
    ) -> Masks:
        """Return the amodal mask: at least `visible`, and beyond it only where `allowed` is 1.

        Args:
            frames: (b, t, 3, h, w).
            visible: (b, t, 1, h, w).
            allowed: (b, t, 1, h, w); where the object can be hidden.
            forward: (b, t-1, 2, h, w), as estimated.
            backward: likewise.
            category: of the object; None, or one that the stage was not taught, is taken for "an object".
        """
        ...


@runtime_checkable
class Flow(Protocol):
    """Flow completion (paper 3.2)."""

    def __call__(
        self,
        frames: Frames,
        forward: Flows,
        backward: Flows,
        visible: Masks,
        amodal: Masks,
        given: Bool[Tensor, " b"] | None = None,
    ) -> tuple[Flows, Flows]:
        """Complete `forward` and `backward` inside `amodal`; outside they come back as they are.

        Args:
            frames: (b, t, 3, h, w).
            forward: (b, t-1, 2, h, w), as estimated.
            backward: likewise.
            visible: (b, t, 1, h, w).
            amodal: (b, t, 1, h, w).
            given: whose amodal masks are known, not completed: their outlines tell of motion, too. None: nobody's.
        """
        ...


@runtime_checkable
class Fill(Protocol):
    """Filling of what is missing (paper 3.3.1)."""

    def __call__(
        self, frames: Frames, visible: Masks, amodal: Masks, confidence: Masks, category: str | None
    ) -> Frames:
        """Return the frames with the object's hidden part filled; all other pixels come back as they are.

        Args:
            frames: (b, t, 3, h, w), propagated pixels already in place.
            visible: (b, t, 1, h, w).
            amodal: (b, t, 1, h, w).
            confidence: (b, t, 1, h, w); a hidden pixel of 0 is missing and must be invented, one of 1 stays as it was
                propagated, and what lies between is mixed as the stage thinks best.
            category: of the object, where it is known.
        """
        ...


@dataclass(frozen=True)
class ClipView:
    """One object's clip on the working grid: what walks down the pipeline.

    Attributes:
        frames: (1, t, 3, h, w).
        visible: (1, t, 1, h, w).
        amodal: (1, t, 1, h, w), 0 or 1.
        hidden: (1, t, 1, h, w), 0 or 1; the part of `amodal` that is looked for.
        forward: (1, t-1, 2, h, w); estimated, then completed.
        backward: likewise.
    """

    frames: Frames
    visible: Masks
    amodal: Masks
    hidden: Masks
    forward: Flows
    backward: Flows
