from __future__ import annotations

import math

import pytest
import torch

from fakes.tiny_training import TINY
from sets.packs import pack_of
from voin.core.metrics import iou
from voin.training.tasks import TASKS
from voin.training.tasks.base import Inputs, Task
from voin.training.validate import BEST, Validator, fixed, score


def made(stage: str) -> tuple[Validator, Task]:
    task = TASKS[stage](TINY)  # pyright: ignore[reportArgumentType]
    return Validator(stage, task, TINY, pack_of(("a", "b", "c")), torch.device("cpu")), task  # pyright: ignore


@pytest.mark.parametrize("stage", TASKS)
def test_every_stage_has_its_score_and_a_picture(stage: str) -> None:
    validator, task = made(stage)
    with torch.no_grad():
        scores, sheet = validator(task.predict)
    assert math.isfinite(scores[BEST[stage][0]])  # pyright: ignore[reportArgumentType]
    assert sheet.ndim == 3
    assert sheet.std() > 5


def test_the_set_is_the_same_each_time() -> None:
    one, other = made("fill")[0], made("fill")[0]
    for a, b in zip(one._inputs, other._inputs, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_nothing_is_invented_in_the_fixed_set() -> None:
    config = fixed(TINY.sampler)
    assert (config.pasted, config.cutouts, config.reversed, config.unknown, config.damage.clips) == (0,) * 5


def test_joint_validation_scores_every_stage() -> None:
    validator, task = made("joint")
    with torch.no_grad():
        scores, _ = validator(task.predict)
    assert {"IoU amodal", "area added", "flow error", "flow error, prior", "PSNR hidden"} <= scores.keys()
    assert math.isfinite(scores["flow error"])
    x = validator._inputs[0]
    y = {**task.predict(x), "flow": torch.cat([x["true_flow"][:, way] for way in (0, 1)])}
    assert {row["flow error"] for row in score("joint", x, y) if not math.isnan(row["flow error"])} == {0.0}


def test_area_that_is_wrongly_added_is_scored_against_the_object() -> None:
    validator, _ = made("shape")
    x = validator._inputs[0]
    for row in score("shape", x, {"logits": torch.ones_like(x["amodal"])}):
        assert row["area added"] > 0.5
    for row in score("shape", x, {"logits": -torch.ones_like(x["amodal"])}):
        assert row["area added"] == pytest.approx(0, abs=0.2)  # what damaged masks add
    for row in score("shape", x, {"logits": 2 * x["amodal"] - 1}):
        assert row["area added"] == 0


def test_perfect_answers_have_perfect_scores() -> None:
    validator, _ = made("shape")
    for x in validator._inputs:
        for row in score("shape", x, {"logits": 2 * x["amodal"] - 1}):
            assert row["IoU amodal"] == 1
            assert row["IoU occluded"] == 1 or math.isnan(row["IoU occluded"])
    validator, _ = made("flow")
    for x in validator._inputs:
        for row in score("flow", x, {"flow": x["true_flow"]}):
            assert row["flow error"] == 0 or math.isnan(row["flow error"])
    validator, _ = made("fill")
    for x in validator._inputs:
        for row in score("fill", x, {"completed": x["truth"]}):
            assert row["PSNR hidden"] == 100 or math.isnan(row["PSNR hidden"])


def test_shape_scores_are_those_of_the_benchmark() -> None:
    validator, _ = made("shape")
    x: Inputs = validator._inputs[0]
    logits = torch.randn(x["amodal"].shape, generator=torch.Generator().manual_seed(0))
    row = score("shape", x, {"logits": logits})[0]
    found = ((logits[0, :, 0] > 0) | (x["visible"][0, :, 0] > 0.5)).numpy()
    truth = (x["amodal"][0, :, 0] > 0.5).numpy()
    assert row["IoU amodal"] == pytest.approx(sum(iou(a, b) for a, b in zip(found, truth, strict=True)) / len(truth))


def test_a_lower_flow_error_is_better_and_a_higher_iou() -> None:
    flow, shape = made("flow")[0], made("shape")[0]
    assert flow.better(1.0, 2.0)
    assert not flow.better(2.0, 1.0)
    assert shape.better(2.0, 1.0)
    assert shape.better(0.1, None)
