from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fakes.tiny_training import TINY
from sets.packs import cutouts_of, pack_of
from voin.method.motion import DIS
from voin.method.shape.evidence import gather_evidence
from voin.training.config import PRESETS
from voin.training.sampler import Sampler
from voin.training.simulated_propagation import SimulatedPropagationConfig
from voin.training.tasks import TASKS
from voin.training.tasks.base import Inputs, Task
from voin.training.tasks.critics import Critics
from voin.training.tasks.fill import fill
from voin.training.tasks.joint import TERMS

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
    ways = 2 if stage in ("flow", "dfvi") else 1  # both directions lie on the first axis
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
    known = getattr(task, "WEIGHTS", {name for names in TERMS.values() for name in names})
    assert terms.keys() <= set(known)
    assert terms.keys() <= task.weights().keys()


def test_joint_training_weighs_the_stages() -> None:
    config = replace(TINY, loss=replace(TINY.loss, flow=0.5, fill=2.0))
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


def test_outside_the_object_flow_stays_as_given_so_that_eq_7_counts_the_object_alone_and_double() -> None:
    task, x = made("flow")
    with torch.no_grad():
        for weight in task.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
        y = task.predict(x)
        start = x["amodal"][:, :-1]
        outside = (start == 0).expand_as(y["flow"])
        assert torch.equal(y["flow"][outside], x["initial"][outside])
        inside = ((y["flow"] - x["true_flow"]) * x["trusted"] * start).abs().mean()
        assert inside > 0
        assert task.terms(y, x)["flow_l1"].item() == pytest.approx(2 * inside.item(), rel=1e-4)


def test_flow_that_is_not_trusted_is_not_learned() -> None:
    task, x = made("flow")
    x["trusted"] = torch.zeros_like(x["trusted"])
    terms = task.terms({"flow": torch.randn_like(x["true_flow"])}, x)
    assert terms["flow_l1"].item() == 0
    assert terms["flow_warp"].item() > 0


def test_the_generator_changes_hidden_pixels_as_far_as_it_weighs_them() -> None:
    _, x = made("fill")
    weight = torch.where((x["amodal"] > 0) & (x["visible"] == 0), 0.25, 1.0)
    y = fill(lambda *_: (torch.full_like(x["frames"], 9.0), weight), x)
    hidden = (y["hidden"] > 0).expand_as(x["frames"])
    assert torch.equal(y["completed"][~hidden], x["frames"][~hidden])
    assert torch.allclose(y["completed"][hidden], 0.25 * x["frames"][hidden] + 0.75 * 9)
    # Critics see the truth elsewhere.
    assert torch.equal(y["shown"][~hidden], x["truth"][~hidden])
    assert torch.equal(y["shown"][hidden], y["completed"][hidden])


def test_the_term_of_the_weight_has_a_gradient_in_the_weight_alone() -> None:
    task, x = made("fill")
    generator = task.networks["generator"]
    with torch.no_grad():
        generator.balance.weight.normal_(std=0.1)  # pyright: ignore
    y = task.predict(x)
    term = task.terms(y, x)["blend"]
    gradients = torch.autograd.grad(term, [y["weight"], y["made"]], retain_graph=True, allow_unused=True)
    assert gradients[0] is not None
    assert gradients[0].any()
    assert gradients[1] is None
    # It counts where colours were propagated, and where they are weighed at all.
    assert not gradients[0][(x["confidence"] == 0) | (x["amodal"] == 0)].any()
    term.backward()
    assert generator.balance.weight.grad.any()  # pyright: ignore
    assert generator.colours.weight.grad is None  # pyright: ignore
    unweighed = replace(TINY, generator=replace(TINY.generator, weigh=False))
    other = TASKS["fill"](unweighed)
    assert "blend" not in other.terms(other.predict(x), x)
    assert not PRESETS["paper"].generator.weigh


def test_propagation_is_simulated_or_carried_out() -> None:
    simulated, carried = (
        TASKS["fill"](replace(TINY, simulated_propagation=SimulatedPropagationConfig(share=share)))
        for share in (1.0, 0.0)
    )
    batch = Sampler(pack_of(("a", "b", "c")), TINY.sampler, "cpu", 0, cutouts_of(3)).batch(0)
    x, y = (task.prepare(batch, SEEDS) for task in (simulated, carried))
    hidden = (batch.amodal > 0) & (batch.visible == 0)
    for each in (x, y):
        outside = (~hidden).expand_as(batch.frames)
        assert torch.equal(each["frames"][outside], batch.frames[outside])
        assert (each["confidence"][~hidden] == 0).all()
    assert not torch.equal(x["confidence"], y["confidence"])
    assert (y["confidence"] > 0).any()


def test_a_generator_that_is_to_do_without_flow_is_trained_without() -> None:
    task, _ = made("fill")
    task.config = replace(task.config, generator=replace(task.config.generator, propagation="none"))
    batch = Sampler(pack_of(("a", "b", "c")), TINY.sampler, "cpu", 0).batch(0)
    x = task.prepare(batch, SEEDS)
    assert torch.equal(x["frames"], batch.frames)
    assert not x["confidence"].any()


def test_plain_propagation_in_training_is_known_or_missing() -> None:
    task, _ = made("fill")
    simulated = SimulatedPropagationConfig(share=0.0)
    generator = replace(task.config.generator, propagation="plain")
    task.config = replace(task.config, generator=generator, simulated_propagation=simulated)
    x = task.prepare(Sampler(pack_of(("a", "b", "c")), TINY.sampler, "cpu", 0).batch(0), SEEDS)
    assert set(x["confidence"].unique().tolist()) == {0.0, 1.0}
    assert not (x["confidence"] * (1 - x["amodal"])).any()


def test_the_perceptual_term_asks_for_its_network() -> None:
    config = replace(TINY, loss=replace(TINY.loss, perceptual=1.0))
    task = TASKS["fill"](config)
    batch = Sampler(pack_of(("a", "b", "c")), config.sampler, "cpu", 0, cutouts_of(3)).batch(0)
    with pytest.raises(ValueError, match="there is no LPIPS; give it to the task"):
        task(task.prepare(batch, SEEDS))


def test_joint_inputs_come_from_the_networks_before() -> None:
    task, x = made("joint")
    with torch.no_grad():
        task.networks["shape"].fusion[-1].bias.fill_(50.0)  # pyright: ignore
        y = task.predict(x)
    assert (y["found"] == 1).all()
    hidden = (x["visible"] == 0).expand_as(x["frames"])
    assert not torch.equal(y["completed"][hidden], x["frames"][hidden])


def test_critics_learn_from_real_and_made_clips_and_judge_made_ones() -> None:
    task, x = made("fill")
    config = replace(TINY, sampler=replace(TINY.sampler, size=32))
    critics = Critics(config)
    y = task.predict(x)
    against, judged = critics(y["shown"].detach(), x), critics.judge(y["shown"], x)
    assert set(against) == {"patch_real_fake", "category_real_fake"}
    assert set(judged) == {"patch", "category"}
    total(task, judged).backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in task.parameters())


def test_critics_that_count_nothing_do_not_exist() -> None:
    critics = Critics(replace(TINY, loss=replace(TINY.loss, patch=0.0, category=0.0)))
    assert not list(critics.parameters())


@pytest.mark.parametrize("stage", ["fill", "joint"])
def test_the_class_critic_is_told_what_the_networks_are_not(stage: str) -> None:
    config = replace(TINY, sampler=replace(TINY.sampler, unknown=1.0, cutouts=0.0))
    task = TASKS[stage](config)  # pyright: ignore[reportArgumentType]
    clips = pack_of(("a", "b", "c"), ("dog", "cat", "dog"))
    x = task.prepare(Sampler(clips, config.sampler, "cpu", 0).batch(0), SEEDS)
    assert not x["category"].any()
    assert (x["label"] > 0).all()
    critics, other = Critics(config), {**x, "label": torch.zeros_like(x["label"])}
    judged = critics.judge(x["truth"], x)["category"], critics.judge(x["truth"], other)["category"]
    assert judged[0] > 0
    assert judged[1] == 0


@pytest.mark.parametrize("stage", ["shape", "joint"])
def test_evidence_is_gathered_as_the_pipeline_does_and_only_where_it_is_asked_for(stage: str) -> None:
    sampler = Sampler(pack_of(("a", "b", "c")), TINY.sampler, "cpu", 0)
    batch = sampler.batch(0)
    assert "evidence" not in TASKS[stage](TINY).prepare(batch, SEEDS)  # pyright: ignore[reportArgumentType]
    task = TASKS[stage](replace(TINY, shape=replace(TINY.shape, evidence=True)))  # pyright: ignore[reportArgumentType]
    x = task.prepare(batch, SEEDS)
    assert torch.equal(x["evidence"], gather_evidence(batch.frames, batch.visible, *DIS(finest=1)(batch.frames)))
    before = task.predict(x)["logits"]
    with torch.no_grad():
        task.networks["shape"].evidence[-1].weight.normal_()  # pyright: ignore
    assert not torch.equal(task.predict(x)["logits"], before)
