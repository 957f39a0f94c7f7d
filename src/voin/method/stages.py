"""The stages of the pipeline by signature, each once: trained networks and classical parts can stand in for each other.

Names, axes, units and directions are those of `voin.core.types`: frames and masks lie in [0, 1], flow is in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Bool
from torch import Tensor

from voin.core.types import Flows, Frames, Masks

# What is found for an object in other frames: tracked, rated and blended; the nearest valid pixel as it is, which is
# the paper as printed (3.3); or nothing, as in the rows without flow of Tables 1 and 4.
Propagation = Literal["rated", "plain", "none"]
Given = Bool[Tensor, " b"] | None  # whose amodal masks are known, not completed; None: nobody's


@runtime_checkable
class Motion(Protocol):
    """A flow estimator."""

    def __call__(self, frames: Frames) -> tuple[Flows, Flows]:
        """Estimate `forward` and `backward` flow."""
        ...


@runtime_checkable
class Shape(Protocol):
    """Shape completion (paper 3.1)."""

    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        allowed: Masks,
        forward: Flows,
        backward: Flows,
        category: str | None,
        wanted: range | None = None,
    ) -> Masks:
        """Return the amodal mask: at least `visible`, and beyond it only where `allowed` is 1.

        Flows are as estimated. A category of None, or one that the stage was not taught, is taken for "an object".
        Only the `wanted` frames need be right, the others help; None: all.
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
        given: Given = None,
        wanted: range | None = None,
    ) -> tuple[Flows, Flows]:
        """Complete `forward` and `backward` inside `amodal`; outside they come back as they are.

        The outlines of given masks tell of motion, too. Only the `wanted` pairs need be right, the others help; None:
        all.
        """
        ...


@runtime_checkable
class Fill(Protocol):
    """Filling of what is missing (paper 3.3.1)."""

    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        amodal: Masks,
        confidence: Masks,
        category: str | None,
        around: Shown | None = None,
    ) -> Frames:
        """Return the frames with the object's hidden part filled; all other pixels come back as they are.

        `around` is the clip of which these frames are a part: it shows the object at other times, too.
        Propagated pixels are already in place. A hidden pixel whose `confidence` is 0 is missing and must be invented,
        one of 1 stays as it was propagated, and what lies between is mixed as the stage thinks best.
        """
        ...


@dataclass(frozen=True)
class Shown:
    """What a clip (b = 1) shows of one object, on the working grid."""

    frames: Frames
    visible: Masks


@dataclass(frozen=True)
class ClipView:
    """One object's clip (b = 1) on the working grid: what walks down the pipeline."""

    frames: Frames
    visible: Masks
    amodal: Masks  # 0 or 1
    hidden: Masks  # 0 or 1; the part of `amodal` that is looked for
    forward: Flows  # estimated, then completed
    backward: Flows  # likewise
