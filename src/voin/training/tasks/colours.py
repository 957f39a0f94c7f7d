"""Networks of baselines that make the colours of the hidden part: one task for all, with losses of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from voin.training import losses
from voin.training.batch.config import Batch
from voin.training.discriminators import TemporalPatchConfig, TemporalPatchDiscriminator
from voin.training.tasks.base import Inputs, Terms, take
from voin.training.tasks.baseline import BaselineTask


class PatchCritic(nn.Module):
    """T-PatchGAN alone, as STTN and LGTSM have it; `guided` by the hole, it sees where something was made."""

    def __init__(self, config: TemporalPatchConfig) -> None:
        super().__init__()
        self.patch = TemporalPatchDiscriminator(config)

    def forward(self, shown: Tensor, x: Inputs) -> Terms:
        """Return the terms by which the discriminator learns."""
        real, made = (self.patch(clips, x["hole"]).float() for clips in (x["truth"], shown))
        return {"patch_real_fake": losses.hinge_discriminator(real, made) / 2}

    def judge(self, shown: Tensor, x: Inputs) -> Terms:
        """Return the terms by which the network learns."""
        return {"patch": losses.hinge_generator(self.patch(shown, x["hole"]).float())}


class ColourTask(BaselineTask):
    """A `ColourNetwork` learns to make what is hidden."""

    GUIDED = False  # the critic sees where something was made

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:  # noqa: D102
        clips = take(batch, "frames", "truth", "visible", "amodal")
        hole = batch.amodal * (batch.visible <= 0.5)
        # The occluder is looked at as it will be; outside the object nothing says what is behind it.
        known = (1 - hole) * (1 - batch.occluder)
        return {**clips, "hole": hole, "known": known, "confidence": torch.zeros_like(hole)}

    def predict(self, x: Inputs) -> Inputs:  # noqa: D102
        made = self.networks[self.kind](x["frames"], x["visible"], x["hole"]).float()
        return {"made": made, **compose(made, x)}

    def terms(self, y: Inputs, x: Inputs) -> Terms:  # noqa: D102
        return {"hole": colour_error(y["made"], x, "hole"), "known": colour_error(y["made"], x, "known")}

    def critics(self) -> nn.Module | None:  # noqa: D102
        if not self.WEIGHTS.get("patch"):
            return None
        return PatchCritic(replace(self.config.patch_discriminator, guided=self.GUIDED))

    def weights(self) -> dict[str, float]:
        """Return what each term counts for; those of features as far as `loss.perceptual` says."""
        share = self.config.loss.perceptual
        return {name: w * (share if name in ("features", "style") else 1) for name, w in self.WEIGHTS.items()}

    def compare_features(self, shown: Tensor, truth: Tensor) -> Terms:
        """Compare how pictures look to a network that is no part of voin, where that counts."""
        perceptual = self.estimators.perceptual
        if not self.config.loss.perceptual or perceptual is None:
            return {}
        flat = (rearrange(clips, "b t c h w -> (b t) c h w") for clips in (shown, truth))
        pairs = [*zip(*(perceptual.features(pictures) for pictures in flat), strict=True)]
        features = torch.stack([F.l1_loss(one, other) for one, other in pairs]).mean()
        return {"features": features, "style": torch.stack([F.l1_loss(gram(a), gram(b)) for a, b in pairs]).mean()}


def compose(made: Tensor, x: Inputs) -> Inputs:
    """Put what was made into the hole, of the frames that were given and, for critics, of the true ones."""
    inside = x["hole"] > 0.5
    return {"completed": torch.where(inside, made, x["frames"]), "shown": torch.where(inside, made, x["truth"])}


def colour_error(made: Tensor, x: Inputs, region: str) -> Tensor:
    """Compare colours in a region of `x`; in [-1, 1], as these papers have them."""
    return losses.reconstruction(2 * made, 2 * x["truth"], x[region])


class SttnTask(ColourTask):
    """STTN: colours in the hole and outside it, and T-PatchGAN."""

    kinds = ("sttn",)
    WEIGHTS: ClassVar = {"hole": 1.0, "known": 1.0, "patch": 0.01}


class LgtsmTask(ColourTask):
    """LGTSM: colours everywhere, how features and their correlations look, and T-PatchGAN.

    The terms of features need a network that is no part of voin, and so count as far as `loss.perceptual` says: 1 is as
    published. Not as published: the features are AlexNet's, which LPIPS has, and not VGG's.
    """

    kinds = ("lgtsm",)
    WEIGHTS: ClassVar = {"whole": 1.0, "features": 1.0, "style": 10.0, "patch": 0.5}

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:  # noqa: D102
        x = super().prepare(batch, seeds)
        return {**x, "whole": torch.maximum(x["hole"], x["known"])}

    def terms(self, y: Inputs, x: Inputs) -> Terms:  # noqa: D102
        return {"whole": colour_error(y["made"], x, "whole"), **self.compare_features(y["shown"], x["truth"])}


def gram(features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c c"]:
    """Correlate the channels of features over all places (style)."""
    flat = features.flatten(2)
    return flat @ flat.mT / flat[0].numel()


class DeepfillTask(ColourTask):
    """The image network: colours of both stages, and a critic that sees the hole; all frames are pictures alone."""

    kinds = ("deepfill",)
    WEIGHTS: ClassVar = {"hole": 1.0, "known": 1.0, "coarse_hole": 1.0, "coarse_known": 1.0, "patch": 1.0}
    GUIDED = True

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:  # noqa: D102
        return {n: rearrange(x, "b t c h w -> (b t) 1 c h w") for n, x in super().prepare(batch, seeds).items()}

    def predict(self, x: Inputs) -> Inputs:  # noqa: D102
        coarse, made = self.networks[self.kind].both(x["frames"], x["visible"], x["hole"])  # pyright: ignore
        return {"coarse": coarse, "made": made, **compose(made, x)}

    def terms(self, y: Inputs, x: Inputs) -> Terms:  # noqa: D102
        coarse = {f"coarse_{name}": colour_error(y["coarse"], x, name) for name in ("hole", "known")}
        return {**super().terms(y, x), **coarse}
