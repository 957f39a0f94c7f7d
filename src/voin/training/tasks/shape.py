"""Shape completion in training (paper 3.1, eq. 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from voin.method.motion import DIS
from voin.method.shape.evidence import gather_evidence
from voin.training import losses
from voin.training.batch.config import Batch
from voin.training.config import TrainConfig
from voin.training.tasks.base import Inputs, Task, Terms, compute_terms, take


class ShapeTask(Task):
    """Shape completion (eq. 6)."""

    kinds = ("shape",)

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:  # noqa: D102
        return {**take(batch, "frames", "visible", "amodal", "category"), **find_evidence(self.config, batch)}

    def predict(self, x: Inputs) -> Inputs:  # noqa: D102
        return {"logits": complete_shape(self.networks["shape"], x)}

    def terms(self, y: Inputs, x: Inputs) -> Terms:  # noqa: D102
        return shape_terms(self.config, y["logits"].float(), x["amodal"], x["visible"])


def find_evidence(config: TrainConfig, batch: Batch) -> Inputs:
    """Gather evidence of what lies in front, where the shape network asks for it.

    Flow is estimated in the composited frames: a simulation of it would lack what DIS makes of outlines and of things
    that come from behind others, which is the very evidence.
    """
    if not config.shape.evidence:
        return {}
    # Windows of the pipeline are twice as large, and its coarse estimator stops at a scale more: the same grid.
    motion = DIS(finest=1 if config.sampler.size < 256 else 2)
    return {"evidence": gather_evidence(batch.frames, batch.visible, *motion(batch.frames))}


def complete_shape(network: Callable[..., Tensor], x: Inputs) -> Tensor:
    """Return the logits of the amodal mask."""
    return network(x["frames"], x["visible"], x["category"], x.get("evidence"))


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
