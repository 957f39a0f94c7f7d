"""Methods of a user's own, in a module, so that other processes can load them."""

from __future__ import annotations

import torch

from voin.baselines.telea import Telea
from voin.core.types import Frames, Masks
from voin.method.pipeline import Completion


class Perfect:
    """Knows the answer: what it is to give is put in from outside."""

    def __init__(self, frames: torch.Tensor, amodal: torch.Tensor) -> None:
        self.frames, self.amodal = frames, amodal

    def __call__(self, frames: Frames, visible: Masks, *, amodal=None, occluder=None, category=None) -> Completion:
        occluded = self.amodal * (1 - visible)
        nothing = torch.zeros_like(visible)
        return Completion(self.frames, self.amodal, occluded, nothing, self.amodal)


def notes(frames: Frames, visible: Masks, *, amodal=None, occluder=None, category=None) -> Completion:
    """A plain function, which writes down what it is given."""
    GIVEN.append((amodal is not None, occluder is not None, category, int(visible.sum())))
    return Telea()(frames, visible, amodal=amodal)


GIVEN: list[tuple[bool, bool, str | None, int]] = []


class Raises:
    """Fails on clips of a category."""

    def __init__(self, category: str | None) -> None:
        self.category = category

    def settings(self) -> dict[str, str | None]:
        return {"category": self.category}

    def __call__(self, frames: Frames, visible: Masks, *, amodal=None, occluder=None, category=None) -> Completion:
        if category == self.category:
            raise RuntimeError("it broke; on purpose")
        return Telea()(frames, visible, amodal=amodal)


def spoils(frames: Frames, visible: Masks, *, amodal=None, occluder=None, category=None) -> Completion:
    """Writes into what it is given."""
    done = Telea()(frames, visible, amodal=amodal)
    frames.zero_()
    visible.zero_()
    return done


def crops(frames: Frames, visible: Masks, *, amodal=None, occluder=None, category=None):
    """Gives another size than it was given."""
    return Telea()(frames[..., :-2], visible[..., :-2])


def misreads(frames: Frames, visible: Masks, *, amodal=None, occluder=None, category=None):
    """Gives no completion."""
    return frames
