"""The discriminators in training (paper 3.3.2, eq. 9 and 10)."""

from __future__ import annotations

from torch import Tensor, nn

from voin.training import losses
from voin.training.config import TrainConfig
from voin.training.discriminators import ClassDiscriminator, TemporalPatchDiscriminator
from voin.training.tasks.base import Inputs, Terms


class Critics(nn.Module):
    """The discriminators (paper 3.3.2), those that count."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.patch = TemporalPatchDiscriminator(config.patch_discriminator) if config.loss.patch else None
        self.category = ClassDiscriminator(config.class_discriminator) if config.loss.category else None

    def forward(self, completed: Tensor, x: Inputs) -> Terms:
        """Return the terms by which the discriminators learn (eq. 9)."""
        terms = {}
        truth, amodal = x["truth"], x["amodal"]
        if self.patch is not None:
            terms["patch_real_fake"] = losses.hinge_discriminator(
                self.patch(truth, amodal).float(), self.patch(completed, amodal).float()
            )
        if self.category is not None:
            terms["category_real_fake"] = losses.class_discriminator(
                self.category(truth, amodal).float(), self.category(completed, amodal).float(), x["label"]
            )
        return terms

    def judge(self, completed: Tensor, x: Inputs) -> Terms:
        """Return the terms by which the generator learns (eq. 10)."""
        terms = {}
        if self.patch is not None:
            terms["patch"] = losses.hinge_generator(self.patch(completed, x["amodal"]).float())
        if self.category is not None:
            terms["category"] = losses.class_generator(self.category(completed, x["amodal"]).float(), x["label"])
        return terms


def make_critics(config: TrainConfig) -> Critics | None:
    """Make the discriminators, if one counts."""
    return Critics(config) if config.loss.patch or config.loss.category else None
