"""PCNet-M and -C: they learn from visible parts alone, out of which another object's mask is cut.

What they make of the clip as it is, which is what is validated, says `predict`; what they learn from, `forward`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor, nn

from voin.core.types import Masks
from voin.training.batch.choose import mix_seed
from voin.training.batch.config import Batch
from voin.training.tasks.base import Inputs, Terms, take
from voin.training.tasks.baseline import BaselineTask
from voin.training.tasks.colours import ColourTask, PatchCritic

_ERASED = 0.8  # share of frames in which the object is cut; in the others it is the nearer one
# Not as published: share of clips in which the occluder is not told, as the benchmark does not tell it.
_UNTOLD = 0.5
_OVERLAP = (0.4, 1.0)  # of the boxes of both objects, along each axis, as a share of the smaller side
_CUT = (0.001, 0.9)  # share of the object that is cut
_TRIES = 10
_INSIDE = 5.0  # weight of the pixels under the eraser

Mask = Bool[np.ndarray, "h w"]


def draw_erasers(visible: Masks, seeds: Sequence[int]) -> Masks:
    """Lay the visible part of another clip's object over each, frame by frame; nothing where it cannot be so laid.

    A clip alone is cut by its own mirror image.
    """
    masks = visible[:, :, 0].cpu().numpy() > 0.5
    erasers = np.zeros_like(masks)
    for i, seed in enumerate(seeds):
        random = np.random.default_rng(mix_seed(seed, "eraser"))
        other = masks[(i + 1) % len(masks)] if len(masks) > 1 else masks[i, :, :, ::-1]
        for j in range(masks.shape[1]):
            erasers[i, j] = _lay(masks[i, j], other[random.integers(len(other))], random)
    return torch.from_numpy(erasers)[:, :, None].to(visible)


def _lay(mask: Mask, other: Mask, random: np.random.Generator) -> Mask:
    """Move another mask so that its box overlaps that of a mask, and it cuts a part of it; empty if it does not."""
    none = np.zeros_like(mask)
    if not mask.any() or not other.any():
        return none
    area, places = mask.sum(), np.argwhere(other)
    (low, high), (least, most) = ((p.min(axis=0), p.max(axis=0) + 1) for p in (np.argwhere(mask), places))
    sizes = high - low, most - least
    for _ in range(_TRIES):
        overlap = random.uniform(*_OVERLAP, size=2) * np.minimum(*sizes)
        before = random.random(2) < 0.5
        # It comes in from before, or stands out behind.
        start = np.where(before, low + overlap - sizes[1], high - overlap)
        moved = places + np.rint(start - least).astype(int)
        moved = moved[((moved >= 0) & (moved < mask.shape)).all(axis=1)]
        laid = none.copy()
        laid[tuple(moved.T)] = True
        if _CUT[0] <= (laid & mask).sum() / area <= _CUT[1]:
            return laid
    return none


class PcnetMTask(BaselineTask):
    """PCNet-M: the cut part comes back; and where the other object is behind, the mask stays as it is."""

    kinds = ("pcnet-m",)
    WEIGHTS: ClassVar = {"partial": 1.0}

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:  # noqa: D102
        eraser = draw_erasers(batch.visible, seeds)
        random = torch.Generator().manual_seed(mix_seed(*seeds, "partial"))
        shares = torch.rand(*eraser.shape[:2], 1, 1, 1, generator=random).to(eraser)
        untold = torch.rand(len(seeds), 1, 1, 1, 1, generator=random).to(eraser) < _UNTOLD
        cut = torch.where(shares < _ERASED, eraser, 0.0)
        left = batch.visible * (1 - cut)
        # Where the object is the nearer one, it is the other that is cut.
        behind = torch.where(shares < _ERASED, eraser, eraser * (1 - batch.visible))
        told = torch.where(untold, 1 - left, behind)
        return {**take(batch, "frames", "visible", "amodal", "category"), "left": left, "eraser": behind, "told": told}

    def predict(self, x: Inputs) -> Inputs:  # noqa: D102
        # As the benchmark has it: what is in front is not told.
        return {"logits": self._run(x, x["visible"], 1 - x["visible"])}

    def forward(self, x: Inputs) -> tuple[Terms, Inputs]:  # noqa: D102
        y = {"logits": self._run(x, x["left"], x["told"])}
        return self.terms(y, x), y

    def terms(self, y: Inputs, x: Inputs) -> Terms:  # noqa: D102
        error = F.binary_cross_entropy_with_logits(y["logits"], x["visible"], reduction="none")
        return {"partial": (error * (1 + (_INSIDE - 1) * x["eraser"])).mean()}

    def _run(self, x: Inputs, visible: Tensor, eraser: Tensor) -> Tensor:
        return self.networks["pcnet-m"](visible, eraser, x["category"]).float()


class PcnetCTask(ColourTask):
    """PCNet-C: the colours of what was cut out of the visible part; frames are pictures alone.

    Not as published: the features are AlexNet's, and count as far as `loss.perceptual` says; the critic has hinges.
    """

    kinds = ("pcnet-c",)
    WEIGHTS: ClassVar = {"known": 1.0, "hole": 6.0, "features": 0.1, "style": 250.0, "variation": 0.1, "patch": 0.1}

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:  # noqa: D102
        return {**super().prepare(batch, seeds), "cut": draw_erasers(batch.visible, seeds) * batch.visible}

    def forward(self, x: Inputs) -> tuple[Terms, Inputs]:  # noqa: D102
        x = cut_out(x)
        y = self.predict(x)
        return self.terms(y, x), y

    def terms(self, y: Inputs, x: Inputs) -> Terms:  # noqa: D102
        terms = {**super().terms(y, x), "variation": variation(y["shown"], x["hole"])}
        return {**terms, **self.compare_features(y["shown"], x["truth"])}

    def critics(self) -> nn.Module | None:  # noqa: D102
        return CutCritic(replace(self.config.patch_discriminator, guided=True))


class CutCritic(PatchCritic):
    """A patch discriminator that sees whose part was cut out."""

    def forward(self, shown: Tensor, x: Inputs) -> Terms:  # noqa: D102
        return super().forward(shown, _of_object(x))

    def judge(self, shown: Tensor, x: Inputs) -> Terms:  # noqa: D102
        return super().judge(shown, _of_object(x))


def cut_out(x: Inputs) -> Inputs:
    """Return what is learned from: the clip as it is for the truth, and a hole in the visible part."""
    cut = x["cut"]
    return {**x, "truth": x["frames"], "visible": x["visible"] * (1 - cut), "hole": cut, "known": 1 - cut}


def _of_object(x: Inputs) -> Inputs:
    return {**x, "truth": x["frames"], "hole": x["visible"]}


def variation(frames: Tensor, hole: Tensor) -> Tensor:
    """Measure how much colours change from pixel to pixel in the hole and at its rim, in [-1, 1]."""
    near = F.max_pool2d(hole.flatten(0, 1), 3, stride=1, padding=1).unflatten(0, hole.shape[:2])
    total = near.new_zeros(())
    for axis in (-1, -2):
        n = near.shape[axis]
        inside = near.narrow(axis, 1, n - 1) * near.narrow(axis, 0, n - 1)
        changes = (2 * frames.diff(dim=axis).abs() * inside).flatten(1).sum(dim=1)
        total = total + (changes / (inside.flatten(1).sum(dim=1) * frames.shape[2]).clamp(min=1)).mean()
    return total
