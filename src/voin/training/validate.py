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
from voin.core.metrics import added_share, iou, masked_psnr, ssim_inside
from voin.data.packs.pack import Pack
from voin.training.augment import AugmentConfig, DamageConfig
from voin.training.batch.camera import CameraConfig
from voin.training.batch.config import SamplerConfig
from voin.training.batch.filmed import FilmedConfig
from voin.training.config import TrainConfig
from voin.training.options import Stage
from voin.training.sampler import Sampler
from voin.training.tasks.base import Inputs, Task

# Baselines are scored, and shown, as the stage of ours whose work they do.
LIKE: dict[Stage, Stage] = {
    **dict.fromkeys(("sttn", "lgtsm", "deepfill", "pcnet-c"), "fill"),
    "dfvi": "flow",
    **dict.fromkeys(("pcnet", "pcnet-m"), "shape"),
}
# Which score says which weights are best, and whether more of it is better.
BEST: dict[Stage, tuple[str, bool]] = {
    "shape": ("IoU amodal", True),
    "flow": ("flow error", False),
    "fill": ("PSNR hidden", True),
    "joint": ("PSNR hidden", True),
    "edges": ("edges F", True),
}
BEST |= {stage: BEST[like] for stage, like in LIKE.items()}
_SEED = 20211011  # of the fixed set
_BATCH = 4
Scores = dict[str, float]


class Validator:
    """Scores a task's networks on clips that are made once, by any `task` of the stage, and kept on the CPU."""

    def __init__(self, stage: Stage, task: Task, config: TrainConfig, pack: Pack, device: torch.device) -> None:
        self.stage: Stage = LIKE.get(stage, stage)
        self.metric, self.rising = BEST[stage]
        count = max(config.validation_clips // _BATCH, 1)
        sampler = Sampler(pack, fixed(config.sampler), device, _SEED)
        self._inputs = [
            {name: x.cpu() for name, x in task.prepare(sampler.batch(i), range(i * _BATCH, (i + 1) * _BATCH)).items()}
            for i in range(count)
        ]

    def __call__(self, run: Callable[[Inputs], Inputs]) -> tuple[Scores, np.ndarray]:
        """Return scores, averaged over clips, and a contact sheet; `run` predicts on its device, in its precision."""
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
        """Return whether a score of `metric` is better than another."""
        return than is None or (score > than if self.rising else score < than)


def fixed(config: SamplerConfig) -> SamplerConfig:
    """Return the settings of a fixed set: real clips as they are, with occluders; the category told."""
    plain = AugmentConfig((1.0, 1.0), *([0.0] * 9))
    none = dict.fromkeys(("reversed", "pasted", "cutouts", "sprites", "unknown"), 0.0)
    faults = {"damage": DamageConfig(), "filmed": FilmedConfig(), "camera": CameraConfig()}
    return replace(config, batch=_BATCH, strides=(1, 1), partial=(), augment=plain, **faults, **none)


def score(stage: Stage, x: Inputs, y: Inputs) -> list[Scores]:
    """Score each clip: the metrics of its stage, and the same of what stands for doing without the network."""
    parts = _PARTS[stage]
    count = len(x["visible"])
    return [{name: value for part in parts for name, value in part(x, y, i).items()} for i in range(count)]


def _score_shape(x: Inputs, y: Inputs, i: int) -> Scores:
    whole, seen = ((x[name][i, :, 0] > 0.5).numpy() for name in ("amodal", "visible"))
    found = (y["logits"][i, :, 0] > 0).numpy() | seen
    return {
        "IoU amodal": _mean(iou(a, b) for a, b in zip(found, whole, strict=True)),
        "area added": _mean(added_share(a, b) for a, b in zip(found, whole, strict=True)),
        "IoU occluded": _mean(iou(a & ~s, b & ~s) for a, b, s in zip(found, whole, seen, strict=True)),
        "IoU amodal, visible mask": _mean(iou(s, b) for s, b in zip(seen, whole, strict=True)),
    }


def _score_flow(x: Inputs, y: Inputs, i: int) -> Scores:
    """Measure the end-point error inside the hidden region, where the true flow is trusted (pixels)."""
    truth, trusted = x["true_flow"][i], x["trusted"][i]
    if truth.ndim == 5:  # both ways of a clip side by side, as joint training has them: ahead
        truth, trusted = truth[0], trusted[0]
    hidden = (x["amodal"][i, :-1] > 0.5) & (x["visible"][i, :-1] <= 0.5) & (trusted > 0.5)
    named = {"flow error": "flow", "flow error, prior": "prior", "flow error, raw": "initial"}
    errors = {name: {**x, **y}[key][i] for name, key in named.items()}
    return {
        name: _mean(
            torch.hypot(*(found - true).unbind(0))[region[0]].mean().item() if region.any() else math.nan
            for found, true, region in zip(flows, truth, hidden, strict=True)
        )
        for name, flows in errors.items()
    }


def _score_edges(x: Inputs, y: Inputs, i: int) -> Scores:
    """Count how many edges in the hole are found, and how many of those found are true; F is their harmonic mean."""
    found, true, hole = (value[i] > 0.5 for value in (y["shown"], x["edges"], x["hole"]))
    both, made, there = ((mask & hole).sum().item() for mask in (found & true, found, true))
    return {
        "edges F": 2 * both / (made + there) if there else math.nan,
        "edges, precision": both / made if made else math.nan,
        "edges, recall": both / there if there else math.nan,
    }


def _score_fill(x: Inputs, y: Inputs, i: int) -> Scores:
    hidden = ((x["amodal"][i] > 0.5) & (x["visible"][i] <= 0.5))[:, 0].numpy()
    truth, made, given = (_bytes(clips[i]) for clips in (x["truth"], y["completed"], x["frames"]))
    missing = hidden & ({**x, **y}["confidence"][i, :, 0] <= 0).numpy()

    def mean(metric: Callable[..., float], frames: np.ndarray, region: np.ndarray) -> float:
        return _mean(metric(a, b, mask) for a, b, mask in zip(truth, frames, region, strict=True))

    scores = {
        "PSNR hidden": mean(masked_psnr, made, hidden),
        "PSNR hidden, as given": mean(masked_psnr, given, hidden),
        "PSNR missing": mean(masked_psnr, made, missing),
    }
    with suppress(ImportError):  # scikit-image comes with voin[eval]; training goes on without
        scores["SSIM hidden"] = mean(ssim_inside, made, hidden)
    return scores


# What a stage is scored by.
_PARTS: dict[Stage, tuple[Callable[[Inputs, Inputs, int], Scores], ...]] = {
    "shape": (_score_shape,),
    "flow": (_score_flow,),
    "fill": (_score_fill,),
    "joint": (_score_shape, _score_flow, _score_fill),
    "edges": (_score_edges,),
}


def draw_rows(stage: Stage, x: Inputs, y: Inputs, i: int, label: str) -> list[tuple[str, list[np.ndarray]]]:
    """Draw what was given, what is true, and what came out."""
    frames, visible = _bytes(x["frames"][i]), x["visible"][i, :, 0] > 0.5

    def outlined(masks: Tensor) -> list[np.ndarray]:
        return [outline(frame, mask, width=1) for frame, mask in zip(frames, masks.numpy(), strict=True)]

    rows = [(f"{label}, visible", outlined(visible))]
    if stage in ("shape", "joint"):
        rows.append(("true", outlined(x["amodal"][i, :, 0] > 0.5)))
        rows.append(("found", outlined((y["logits"][i, :, 0] > 0) | visible)))
    if stage == "flow":
        start = x["amodal"][i, :-1]
        longest = float((x["true_flow"][i] * start).abs().max()) or 1.0
        named = {"true": x["true_flow"][i], "prior": x["prior"][i], "found": y["flow"][i]}
        for name, flow in named.items():
            shown = rearrange(flow * start, "t c h w -> t h w c").numpy()
            rows.append((name, [flow_colours(flows, longest) for flows in [*shown, shown[-1]]]))
    if stage == "edges":
        rows.append(("true", outlined(x["edges"][i, :, 0] > 0.5)))
        rows.append(("found", outlined(y["shown"][i, :, 0] > 0.5)))
    if stage in ("fill", "joint"):
        rows.append(("true", list(_bytes(x["truth"][i]))))
        rows.append(("completed", list(_bytes(y["completed"][i]))))
    return rows


def _bytes(clip: Tensor) -> np.ndarray:
    """Turn frames (t, 3, h, w) into uint8 (t, h, w, 3)."""
    return (clip.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
