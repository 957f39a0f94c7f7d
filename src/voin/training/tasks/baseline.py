"""What the tasks of baselines have in common."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from voin.baselines.trained.models import NETWORKS
from voin.training.tasks.base import Task


class BaselineTask(Task):
    """One network of a baseline, with the losses of its paper."""

    WEIGHTS: ClassVar[dict[str, float]]  # what each term counts for

    @property
    def kind(self) -> str:
        """Of the network."""
        return self.kinds[0]

    def build(self, kind: str) -> nn.Module:  # noqa: D102
        network: Any = NETWORKS[kind][1](self.config.baselines.of(kind))
        # In this order of memory a step takes two thirds of the time on a CPU.
        return network.to(memory_format=torch.channels_last)

    def weights(self) -> dict[str, float]:  # noqa: D102
        return self.WEIGHTS
