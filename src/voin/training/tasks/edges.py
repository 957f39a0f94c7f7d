"""The edge network of FGVC, and the critic that it learns by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from voin.baselines.trained.edges import EdgeDiscriminator, picture_flow
from voin.baselines.trained.fgvc import flow_hole
from voin.training.batch.config import Batch
from voin.training.tasks.base import Inputs, Terms, take
from voin.training.tasks.baseline import BaselineTask
from voin.training.tasks.flow import find_truth


class EdgesTask(BaselineTask):
    """Edges of the true flow's magnitude are continued into the hole; frames are pictures alone.

    Not as published: cross entropy counts, too, since the critic takes part later, as all critics here do. Its rate is
    that of the network, not a tenth of it.
    """

    kinds = ("edges",)
    WEIGHTS: ClassVar = {"cross_entropy": 1.0, "edge_critic": 1.0, "edge_features": 10.0}

    @torch.no_grad()
    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:  # noqa: D102
        del seeds
        flow, _ = find_truth(self, batch)["true_flow"].chunk(2)
        clips = {name: x[:, :-1] for name, x in take(batch, "frames", "visible", "amodal").items()}
        hole = flow_hole(clips["amodal"] * (clips["visible"] <= 0.5))
        grey, edges = picture_flow(flow, hole)
        x = {**clips, "hole": hole, "grey": grey, "edges": edges}
        return {name: rearrange(value, "b t c h w -> (b t) 1 c h w") for name, value in x.items()}

    def predict(self, x: Inputs) -> Inputs:  # noqa: D102
        logits = self.networks["edges"](x["grey"], x["edges"], x["visible"], x["hole"]).float()
        return {"logits": logits, "shown": torch.where(x["hole"] > 0.5, logits.sigmoid(), x["edges"])}

    def terms(self, y: Inputs, x: Inputs) -> Terms:  # noqa: D102
        error = F.binary_cross_entropy_with_logits(y["logits"], x["edges"], reduction="none")
        inside, area = ((part * x["hole"]).flatten(1).sum(dim=1) for part in (error, torch.ones_like(error)))
        return {"cross_entropy": (inside / area.clamp(min=1)).mean()}

    def critics(self) -> nn.Module | None:  # noqa: D102
        # As published where the generator is: 64, 128, 256 and 512.
        a = self.config.baselines.edges.channels[0]
        return EdgeCritic((a, 2 * a, 4 * a, 8 * a))


class EdgeCritic(nn.Module):
    """A patch discriminator of edges on the magnitude that they belong to; in pairs of real and made."""

    def __init__(self, channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.discriminator = EdgeDiscriminator(channels)

    def forward(self, shown: Tensor, x: Inputs) -> Terms:
        """Return the term by which the discriminator learns."""
        real, made = (self.discriminator(x["grey"], edges)[-1].float() for edges in (x["edges"], shown))
        return {"edge_real_fake": (_cross(real, 1.0) + _cross(made, 0.0)) / 2}

    def judge(self, shown: Tensor, x: Inputs) -> Terms:
        """Return the terms by which the network learns: what it is taken for, and what the layers see."""
        real, made = (self.discriminator(x["grey"], edges) for edges in (x["edges"], shown))
        apart = [F.l1_loss(one.float(), other.float().detach()) for one, other in zip(made, real, strict=True)]
        return {"edge_critic": _cross(made[-1].float(), 1.0), "edge_features": torch.stack(apart).mean()}


def _cross(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
