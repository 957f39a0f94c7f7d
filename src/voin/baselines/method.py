"""What can be compared: the signature that all methods share, and what they are made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from voin.core.types import Frames, Masks
from voin.method.pipeline import Completion


@runtime_checkable
class Method(Protocol):
    """What can be evaluated; `voin.method.pipeline.Inpainter` is one.

    Three more attributes are looked at where they exist: `content` (False: it completes the shape alone, so no pixels
    are scored), and `settings()` or else `version` (what the result depends on, as JSON can hold it: when it changes,
    the method is evaluated anew).
    """

    name: str

    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        *,
        amodal: Masks | None = None,
        occluder: Masks | None = None,
        category: str | None = None,
    ) -> Completion:
        """Complete the object, as `voin.method.pipeline.Inpainter` does."""
        ...


@dataclass(frozen=True)
class Resources:
    """What methods are made from; each takes what it needs.

    Args:
        model: of `voin` and its variants, as `voin.load` takes it.
        baseline_models: of the trained baselines, as `voin.baselines.trained.models.load_baseline` takes them.
        preset: of these.
        flow: of all methods that estimate motion.
        raft_weights: RAFT's weights as a file; torchvision downloads them otherwise.
        device: where networks compute.
        certainty: of shape networks, as `voin.load` takes it.
    """

    model: str | Path | None = None
    baseline_models: tuple[str | Path, ...] = ()
    preset: str = "small"
    flow: str = "dis"
    raft_weights: Path | None = None
    device: str = "auto"
    certainty: float | None = None


def make_completion(
    frames: torch.Tensor, visible: torch.Tensor, amodal: torch.Tensor, filled: torch.Tensor, trust: torch.Tensor
) -> Completion:
    """Make a completion out of bool masks, and frames that are filled with a confidence `trust`; 0 is invented."""
    occluded = amodal & ~visible
    return Completion(
        frames=filled,
        amodal=amodal.to(frames),
        occluded=occluded.to(frames),
        missing=(occluded & (trust <= 0)).to(frames),
        confidence=torch.where(occluded, trust, visible.to(trust)),
    )
