"""Flow completion in training (paper 3.2, eq. 7, 8)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from voin.training import losses
from voin.training.batch.config import Batch
from voin.training.config import TrainConfig
from voin.training.flow_targets import both_ways, find_true_motion
from voin.training.tasks.base import Inputs, Task, Terms, compute_terms


def known_masks(seeds: Sequence[int]) -> Tensor:
    """Draw whose masks count as known; the others pass for completed ones, whose outlines tell nothing of motion."""
    return torch.tensor([seed % 2 == 0 for seed in seeds])


class FlowTask(Task):
    """Flow completion (eq. 7, 8)."""

    kinds = ("flow",)

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:  # noqa: D102
        found = self.find_motion(batch.frames, batch.visible, batch.amodal, known_masks(seeds))
        return {**vars(found), **find_truth(self, batch), "truth": both_ways(batch.truth)}

    def predict(self, x: Inputs) -> Inputs:  # noqa: D102
        network = self.networks["flow"]
        return {"flow": network(x["frames"], x["initial"], x["prior"], x["visible"], x["amodal"])}

    def terms(self, y: Inputs, x: Inputs) -> Terms:  # noqa: D102
        return flow_terms(self.config, y["flow"].float(), x["true_flow"], x["trusted"], x["truth"], x["amodal"])


def find_truth(task: Task, batch: Batch) -> Inputs:
    """Find the flow that completed flow is compared with, both ways, and where in the object it is trusted."""
    found = find_true_motion(
        batch.truth, batch.amodal, batch.forward, batch.backward, batch.flow_known, task.estimators.truth
    )
    return dict(zip(("true_flow", "trusted"), found, strict=True))


def flow_terms(config: TrainConfig, flow: Tensor, true_flow: Tensor, trusted: Tensor, truth: Tensor, amodal: Tensor):
    """Compare completed flow; where the true one is not trusted, nothing but colours and smoothness counts."""
    true_flow = torch.where(trusted > 0.5, true_flow, flow.detach())
    start = amodal[:, :-1]
    return compute_terms(
        config.loss,
        {
            "flow_l1": lambda: losses.flow_l1(flow, true_flow, start),
            "laplacian_pyramid": lambda: losses.laplacian_pyramid(flow, true_flow),
            "flow_gradient": lambda: losses.flow_gradient(flow, true_flow, start),
            "flow_smoothness": lambda: losses.flow_smoothness(flow, start),
            "flow_warp": lambda: losses.flow_warp(flow, truth, amodal),
        },
    )
