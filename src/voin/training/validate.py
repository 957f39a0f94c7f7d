"""Validation within a training run: the benchmark's own metrics on a fixed set of clips, and pictures to look at."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from voin.core.draw import contact_sheet, flow_colours, outline
from voin.core.metrics import iou, masked_psnr, ssim_inside
from voin.data.pack import Pack
from voin.training.augment import AugmentConfig, DamageConfig
from voin.training.config import Stage, TrainConfig
from voin.training.sampler import Sampler, SamplerConfig
from voin.training.tasks import Inputs, Task

# Which score says which weights are best, and whether more of it is better.
BEST: dict[Stage, tuple[str, bool]] = {
    "shape": ("IoU amodal", True),
    "flow": ("flow error", False),
    "inpaint": ("PSNR hidden", True),
    "joint": ("PSNR hidden", True),
}
_SEED = 20211011  # of the fixed set
_BATCH = 4
Scores = dict[str, float]


class Validator:
    """Scores a task's networks on clips that are made once and kept on the CPU.

    Args:
        stage: what is trained.
        task: any task of that stage: it makes the inputs.
        config: of the run.
        pack: clips, best of videos that are not trained on.
        device: where inputs are made.
    """

    def __init__(self, stage: Stage, task: Task, config: TrainConfig, pack: Pack, device: torch.device) -> None:
        self.stage: Stage = stage
        self.metric, self.rising = BEST[stage]
        count = max(config.validation_clips // _BATCH, 1)
        sampler = Sampler(pack, fixed(config.sampler), device, _SEED)
        self._inputs = [
            {name: x.cpu() for name, x in task.prepare(sampler.batch(i), range(i * _BATCH, (i + 1) * _BATCH)).items()}
            for i in range(count)
        ]

    def __call__(self, task: Task, run: Callable[[Inputs], Inputs]) -> tuple[Scores, np.ndarray]:
        """Give scores, averaged over clips, and a contact sheet.

        Args:
            task: its kind decides what is scored.
            run: `task.predict` on its device, in its precision.
        """
        rows: list[Scores] = []
        pictures: list[tuple[str, list[np.ndarray]]] = []
        for i, x in enumerate(self._inputs):
            y = {name: value.float().cpu() for name, value in run(x).items()}
            rows += score(self.stage, x, y)
            if i < 2:
                pictures += draw_rows(self.stage, x, y, 0, f"clip {i * _BATCH}")
        names = list(dict.fromkeys(name for row in rows for name in row))
        return {name: _mean(row.get(name, math.nan) for row in rows) for name in names}, contact_sheet(pictures)

    def better(self, score: float, than: float | None) -> bool:
        """Say whether a score of `metric` is better than another."""
        return than is None or (score > than if self.rising else score < than)


def fixed(config: SamplerConfig) -> SamplerConfig:
    """Give the settings of a fixed set: real clips as they are, with occluders; the category told."""
    plain = AugmentConfig((1.0, 1.0), *([0.0] * 9))
    return replace(
        config,
        batch=_BATCH,
        strides=(1, 1),
        reversed=0.0,
        pasted=0.0,
        cutouts=0.0,
        unknown=0.0,
        partial=(),
        augment=plain,
        damage=DamageConfig(),
    )


def score(stage: Stage, x: Inputs, y: Inputs) -> list[Scores]:
    """Score each clip: the metrics of its stage, and the same of what stands for doing without the network."""
    found: list[Scores] = []
    for i in range(len(x["visible"])):
        row: Scores = {}
        if stage in ("shape", "joint"):
            row |= _score_shape(y["logits"][i], x["amodal"][i], x["visible"][i])
        if stage == "flow":
            row |= _score_flow(y["flow"][i], {"prior": x["prior"][i], "raw": x["initial"][i]}, x, i)
        if stage in ("inpaint", "joint"):
            row |= _score_fill(x, y, i)
        found.append(row)
    return found


def _score_shape(logits: Tensor, amodal: Tensor, visible: Tensor) -> Scores:
    whole, seen = ((each[:, 0] > 0.5).numpy() for each in (amodal, visible))
    found = (logits[:, 0] > 0).numpy() | seen
    return {
        "IoU amodal": _mean(iou(a, b) for a, b in zip(found, whole, strict=True)),
        "IoU occluded": _mean(iou(a & ~s, b & ~s) for a, b, s in zip(found, whole, seen, strict=True)),
        "IoU amodal, visible mask": _mean(iou(s, b) for s, b in zip(seen, whole, strict=True)),
    }


def _score_flow(flow: Tensor, others: dict[str, Tensor], x: Inputs, i: int) -> Scores:
    """End-point error inside the hidden region, where the true flow is trusted (pixels)."""
    start = slice(None, -1)
    hidden = (x["amodal"][i, start] > 0.5) & (x["visible"][i, start] <= 0.5) & (x["trusted"][i] > 0.5)
    errors = {"flow error": flow, **{f"flow error, {name}": each for name, each in others.items()}}
    return {
        name: _mean(
            torch.hypot(*(each - truth).unbind(0))[there[0]].mean().item() if there.any() else math.nan
            for each, truth, there in zip(flows, x["true_flow"][i], hidden, strict=True)
        )
        for name, flows in errors.items()
    }


def _score_fill(x: Inputs, y: Inputs, i: int) -> Scores:
    hidden = ((x["amodal"][i] > 0.5) & (x["visible"][i] <= 0.5))[:, 0].numpy()
    truth, made, given = (_bytes(each[i]) for each in (x["truth"], y["completed"], x["frames"]))
    scores = {
        "PSNR hidden": _mean(masked_psnr(a, b, m) for a, b, m in zip(truth, made, hidden, strict=True)),
        "PSNR hidden, as given": _mean(masked_psnr(a, b, m) for a, b, m in zip(truth, given, hidden, strict=True)),
    }
    confidence = y.get("confidence", x.get("confidence"))
    assert confidence is not None
    missing = hidden & (confidence[i, :, 0] <= 0).numpy()
    scores["PSNR missing"] = _mean(masked_psnr(a, b, m) for a, b, m in zip(truth, made, missing, strict=True))
    with suppress(ImportError):  # scikit-image comes with voin[eval]; training goes on without
        scores["SSIM hidden"] = _mean(ssim_inside(a, b, m) for a, b, m in zip(truth, made, hidden, strict=True))
    return scores


def draw_rows(stage: Stage, x: Inputs, y: Inputs, i: int, label: str) -> list[tuple[str, list[np.ndarray]]]:
    """Draw what was given, what is true, and what came out."""
    frames, amodal = _bytes(x["frames"][i]), (x["amodal"][i, :, 0] > 0.5).numpy()
    given = [outline(a, m, width=1) for a, m in zip(frames, (x["visible"][i, :, 0] > 0.5).numpy(), strict=True)]
    rows = [(f"{label}, visible", given)]
    if stage in ("shape", "joint"):
        found = ((y["logits"][i, :, 0] > 0) | (x["visible"][i, :, 0] > 0.5)).numpy()
        rows.append(("true", [outline(a, m, width=1) for a, m in zip(frames, amodal, strict=True)]))
        rows.append(("found", [outline(a, m, width=1) for a, m in zip(frames, found, strict=True)]))
    if stage == "flow":
        start = x["amodal"][i, :-1]
        longest = float((x["true_flow"][i] * start).abs().max()) or 1.0
        named = {"true": x["true_flow"][i], "prior": x["prior"][i], "found": y["flow"][i]}
        for name, flow in named.items():
            shown = rearrange(flow * start, "t c h w -> t h w c").numpy()
            rows.append((name, [flow_colours(each, longest) for each in [*shown, shown[-1]]]))
    if stage in ("inpaint", "joint"):
        rows.append(("true", list(_bytes(x["truth"][i]))))
        rows.append(("completed", list(_bytes(y["completed"][i]))))
    return rows


def _bytes(clip: Tensor) -> np.ndarray:
    """Make frames (t, 3, h, w) uint8 (t, h, w, 3)."""
    return (clip.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
