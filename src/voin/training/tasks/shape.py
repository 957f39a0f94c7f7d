"""Shape completion in training (paper 3.1, eq. 6)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from voin.method.shape.network import ShapeNetwork
from voin.training import losses
from voin.training.config import TrainConfig
from voin.training.sampler import Batch
from voin.training.tasks.base import ESTIMATORS, Estimators, Inputs, Task, Terms, compute_terms, take


class ShapeTask(Task):
    """Shape completion (eq. 6)."""

    def __init__(self, config: TrainConfig, estimators: Estimators = ESTIMATORS) -> None:
        super().__init__(config, estimators)
        self.networks = nn.ModuleDict({"shape": ShapeNetwork(config.shape)})

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:  # noqa: D102
        return take(batch, "frames", "visible", "amodal", "category")

    def predict(self, x: Inputs) -> Inputs:  # noqa: D102
        return {"logits": self.networks["shape"](x["frames"], x["visible"], x["category"])}

    def terms(self, y: Inputs, x: Inputs) -> Terms:  # noqa: D102
        return shape_terms(self.config, y["logits"].float(), x["amodal"], x["visible"])


def shape_terms(config: TrainConfig, logits: Tensor, amodal: Tensor, visible: Tensor) -> Terms:
    """Compare completed masks."""
    return compute_terms(
        config.loss,
        {
            "bce_amodal": lambda: losses.bce_amodal(logits, amodal),
            "bce_occluded": lambda: losses.bce_occluded(logits, amodal, visible),
            "dice_occluded": lambda: losses.dice_occluded(logits, amodal, visible),
        },
    )
