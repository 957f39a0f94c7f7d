"""Networks of baselines that complete flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from voin.baselines.trained.dfvi import hole_errors
from voin.baselines.trained.rounds import fill_smoothly
from voin.training.batch.config import Batch
from voin.training.flow_targets import both_ways
from voin.training.tasks.base import Inputs, Terms
from voin.training.tasks.baseline import BaselineTask
from voin.training.tasks.flow import find_truth


class DfviTask(BaselineTask):
    """The row of networks of DFVI, together: flow in the hole, and over again in its harder half.

    As in `FlowTask` both directions lie on the first axis, the second one in reverse order.
    """

    kinds = ("dfvi",)
    WEIGHTS: ClassVar = {"coarse": 1.0, "coarse_hard": 2.0, "refined": 1.0, "refined_hard": 1.0}

    @torch.no_grad()
    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:  # noqa: D102
        del seeds
        # Estimated of the frames as they are; what is found in the hole is not looked at.
        forward, backward = self.estimators.motion(batch.frames)
        initial = torch.cat([forward, backward.flip(1)])
        frames, visible, amodal = (both_ways(x) for x in (batch.frames, batch.visible, batch.amodal))
        hole = amodal * (visible <= 0.5)
        prior = fill_smoothly(initial, hole[:, :-1])
        clips = {"frames": frames, "visible": visible, "amodal": amodal, "hole": hole}
        return {**clips, "initial": initial, "prior": prior, **find_truth(self, batch)}

    def predict(self, x: Inputs) -> Inputs:  # noqa: D102
        forward, backward = x["prior"].chunk(2)
        b = len(forward)
        found = self.networks["dfvi"](forward, backward.flip(1), x["visible"][:b], x["hole"][:b])
        stages = [torch.cat([first, second.flip(1)]) for first, second in found]
        return {**{f"stage{i}": flow for i, flow in enumerate(stages)}, "flow": stages[-1]}

    def terms(self, y: Inputs, x: Inputs) -> Terms:  # noqa: D102
        region = x["hole"][:, :-1] * x["trusted"]
        stages = [hole_errors(y[name], x["true_flow"], region) for name in y if name.startswith("stage")]
        coarse, *refined = (torch.stack(errors) for errors in stages)
        later = torch.stack(refined).mean(dim=0)
        return dict(zip(self.WEIGHTS, (*coarse, *later), strict=True))
