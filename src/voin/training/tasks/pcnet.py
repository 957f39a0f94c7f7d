"""The image-based network of shapes, PCNet's U-Net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from voin.training import losses
from voin.training.batch.config import Batch
from voin.training.tasks.base import Inputs, Terms, take
from voin.training.tasks.baseline import BaselineTask


class PcnetTask(BaselineTask):
    """PCNet's U-Net learns whole masks: cross entropy, all pixels alike."""

    kinds = ("pcnet",)
    WEIGHTS: ClassVar = {"bce_amodal": 1.0}

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:  # noqa: D102
        del seeds
        return take(batch, "frames", "visible", "amodal", "category")

    def predict(self, x: Inputs) -> Inputs:  # noqa: D102
        return {"logits": self.networks["pcnet"](x["frames"], x["visible"], x["category"]).float()}

    def terms(self, y: Inputs, x: Inputs) -> Terms:  # noqa: D102
        return {"bce_amodal": losses.bce_amodal(y["logits"], x["amodal"])}
