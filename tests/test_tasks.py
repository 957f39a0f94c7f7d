from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from packs import cutouts_of, pack_of
from tiny_training import TINY
from voin.sampler import Sampler
from voin.tasks import TASKS, TERMS, Critics, Inputs, Task, fill

SEEDS = (1, 2)


def made(stage: str, step: int = 0) -> tuple[Task, Inputs]:
    torch.manual_seed(0)
    task = TASKS[stage](TINY)  # pyright: ignore[reportArgumentType]
    sampler = Sampler(pack_of(("a", "b", "c")), TINY.sampler, "cpu", 0, cutouts_of(3))
    return task, task.prepare(sampler.batch(step), SEEDS)


def total(task: Task, terms: dict[str, Tensor]) -> Tensor:
    return torch.stack([task.weights()[name] * value for name, value in terms.items()]).sum()


@pytest.mark.parametrize("stage", TASKS)
def test_every_weight_is_learned_by_some_term(stage: str) -> None:
    task, x = made(stage)
    # A fresh flow network adds nothing, and so passes nothing on.
    with torch.no_grad():
        for weight in task.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    terms, _ = task(x)
    total(task, terms).backward()
    idle = [name for name, weight in task.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not idle


@pytest.mark.parametrize("stage", TASKS)
def test_terms_of_a_batch_are_the_mean_over_its_clips(stage: str) -> None:
    task, x = made(stage)
    whole, _ = task(x)
    ways = 2 if stage == "flow" else 1  # both directions lie on the first axis
    clips = len(x["visible"]) // ways
    parts = [
        task({name: torch.cat([value[i + way * clips][None] for way in range(ways)]) for name, value in x.items()})[0]
        for i in range(clips)
    ]
    for name, value in whole.items():
        assert value.item() == pytest.approx(sum(part[name].item() for part in parts) / clips, rel=1e-3, abs=1e-6), name


@pytest.mark.parametrize("stage", TASKS)
def test_every_term_has_a_weight(stage: str) -> None:
    task, x = made(stage)
    terms, _ = task(x)
    known = {name for names in TERMS.values() for name in names}
    assert terms.keys() <= known
    assert terms.keys() <= task.weights().keys()


def test_joint_training_weighs_the_stages() -> None:
    config = replace(TINY, loss=replace(TINY.loss, flow=0.5, inpaint=2.0))
    weights = TASKS["joint"](config).weights()
    assert weights["dice_occluded"] == config.loss.dice_occluded
    assert weights["flow_l1"] == 0.5 * config.loss.flow_l1
    assert weights["patch"] == 2.0 * config.loss.patch


def test_a_perfect_shape_network_has_no_loss() -> None:
    task, x = made("shape")
    terms = task.terms({"logits": 40 * x["amodal"] - 20}, x)
    assert max(value.item() for value in terms.values()) < 1e-3


def test_perfect_flow_costs_little() -> None:
    task, x = made("flow")
    terms = task.terms({"flow": x["true_flow"]}, x)
    assert terms["flow_l1"].item() == terms["laplacian_pyramid"].item() == terms["flow_gradient"].item() == 0


def test_flow_that_is_not_trusted_is_not_learned() -> None:
    task, x = made("flow")
    x["trusted"] = torch.zeros_like(x["trusted"])
    terms = task.terms({"flow": torch.randn_like(x["true_flow"])}, x)
    assert terms["flow_l1"].item() == 0
    assert terms["flow_warp"].item() > 0


def test_only_what_is_hidden_and_not_fully_believed_comes_from_the_generator() -> None:
    _, x = made("inpaint")
    y = fill(lambda *_: torch.full_like(x["frames"], 9.0), x)
    hidden = (x["amodal"] > 0) & (x["visible"] == 0)
    kept = (~hidden | (x["confidence"] == 1)).expand_as(x["frames"])
    assert torch.equal(y["completed"][kept], x["frames"][kept])
    missing = (hidden & (x["confidence"] == 0)).expand_as(x["frames"])
    assert (y["completed"][missing] == 9).all()


def test_joint_inputs_come_from_the_networks_before() -> None:
    task, x = made("joint")
    with torch.no_grad():
        task.networks["shape"].fusion[-1].bias.fill_(50.0)  # pyright: ignore
        y = task.predict(x)
    assert (y["found"] == 1).all()
    hidden = (x["visible"] == 0).expand_as(x["frames"])
    assert not torch.equal(y["completed"][hidden], x["frames"][hidden])


def test_critics_learn_from_real_and_made_clips_and_judge_made_ones() -> None:
    task, x = made("inpaint")
    config = replace(TINY, sampler=replace(TINY.sampler, size=32))
    critics = Critics(config)
    y = task.predict(x)
    against, judged = critics(y["completed"].detach(), x), critics.judge(y["completed"], x)
    assert set(against) == {"patch_real_fake", "category_real_fake"}
    assert set(judged) == {"patch", "category"}
    total(task, judged).backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in task.parameters())


def test_critics_that_count_nothing_do_not_exist() -> None:
    critics = Critics(replace(TINY, loss=replace(TINY.loss, patch=0.0, category=0.0)))
    assert not list(critics.parameters())
