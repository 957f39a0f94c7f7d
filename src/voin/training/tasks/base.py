"""What all tasks have: networks, inputs made of a batch, and terms that say how far off the networks are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from voin.core.lpips import LPIPS
from voin.method.flow.smooth import SmoothFlow
from voin.method.load import NETWORKS
from voin.method.motion import DIS, Motion
from voin.training.batch.config import Batch
from voin.training.config import TrainConfig
from voin.training.flow_targets import HiddenMotion, find_hidden_motion

Inputs = dict[str, Tensor]  # what a network and its losses need; first axis clips
Terms = dict[str, Tensor]  # name of a loss to its value


@dataclass(frozen=True)
class Estimators:
    """What training needs besides its networks.

    Attributes:
        motion: finds motion in the frames with the occluder.
        truth: finds motion in the frames without.
        paint: paint the hidden part over for `motion`.
        perceptual: how unlike pictures look; needed where `loss.perceptual` counts.
    """

    motion: Motion
    truth: Motion
    paint: bool = True
    perceptual: LPIPS | None = None


# DIS down to single pixels: windows in training are small.
ESTIMATORS = Estimators(DIS(), DIS(finest=0))


class Task(nn.Module, ABC):
    """Networks in training; `networks` are those that are saved, each under the name of its kind."""

    kinds: ClassVar[tuple[str, ...]] = ()  # of its networks, whose configs have the same names in `TrainConfig`
    networks: nn.ModuleDict

    def __init__(self, config: TrainConfig, estimators: Estimators = ESTIMATORS) -> None:
        super().__init__()
        self.config, self.estimators = config, estimators
        self.networks = nn.ModuleDict({kind: self.build(kind) for kind in self.kinds})

    def build(self, kind: str) -> nn.Module:
        """Make a network of a kind."""
        return NETWORKS[kind][1](getattr(self.config, kind))

    @abstractmethod
    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:
        """Make what the networks are given, and what they are compared with."""

    @abstractmethod
    def predict(self, x: Inputs) -> Inputs:
        """Run the networks."""

    @abstractmethod
    def terms(self, y: Inputs, x: Inputs) -> Terms:
        """Compare what `predict` gave."""

    def find_motion(self, frames: Tensor, visible: Tensor, amodal: Tensor, given: Tensor | None = None) -> HiddenMotion:
        """Do what the pipeline does before flow is completed."""
        motion, paint = self.estimators.motion, self.estimators.paint
        return find_hidden_motion(frames, visible, amodal, motion, SmoothFlow(), paint, given)

    def weights(self) -> dict[str, float]:
        """Return what each term counts for."""
        return vars(self.config.loss)

    def critics(self) -> nn.Module | None:
        """Make what judges the networks, as `Critics` does, on what `predict` calls "shown"; None for nothing."""
        return None

    def forward(self, x: Inputs) -> tuple[Terms, Inputs]:
        """Return the terms, and what the networks gave."""
        y = self.predict(x)
        return self.terms(y, x), y


def take(batch: Batch, *names: str) -> Inputs:
    """Take some tensors out of a batch."""
    return {name: getattr(batch, name) for name in names}


def compute_terms(weights: object, terms: Mapping[str, Callable[[], Tensor]]) -> Terms:
    """Compute the terms that count for something in `weights`, a `LossConfig`."""
    return {name: term() for name, term in terms.items() if getattr(weights, name)}
