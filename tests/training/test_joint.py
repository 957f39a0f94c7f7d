"""Joint training (paper 3.4, eq. 13): which term reaches which network, and how."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fakes.tiny_training import TINY
from sets.packs import pack_of
from voin.core.lpips import LPIPS
from voin.method.fill.colours import with_gradient_of
from voin.training.losses import reconstruction_pasted
from voin.training.sampler import Sampler
from voin.training.tasks.base import ESTIMATORS, Inputs
from voin.training.tasks.critics import Critics
from voin.training.tasks.joint import TERMS, JointTask, compare_paste

CONFIG = replace(
    TINY,
    sampler=replace(TINY.sampler, frames=6, strides=(1, 1), pasted=0.0),
    loss=replace(TINY.loss, bce_amodal=1.0, perceptual=1.0),
)
# Which terms reach which network with gradients: by its own terms, and by what comes out at the end.
# The table of docs/method/training.md.
REACHED = {
    name: {"shape", "flow", "generator"} if stage == "fill" else {stage}
    for stage, names in TERMS.items()
    for name in names
}


class Unlike(LPIPS):
    """Stands for LPIPS, whose weights are no part of voin."""

    def __init__(self) -> None:
        pass

    def compare_hidden(self, first: Tensor, second: Tensor, hidden: Tensor, side: int) -> Tensor:
        return ((first - second) * hidden).square().mean()


@pytest.fixture(scope="module")
def joint() -> tuple[JointTask, Inputs]:
    torch.manual_seed(0)
    task = JointTask(CONFIG, replace(ESTIMATORS, perceptual=Unlike()))
    with torch.no_grad():
        # A fresh flow network adds nothing, and so passes nothing on.
        for weight in task.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
        task.networks["shape"].fusion[-1].bias.fill_(0.5)  # pyright: ignore
    clips = pack_of(("a", "b", "c"), ("dog", "cat", "dog"))
    return task, task.prepare(Sampler(clips, CONFIG.sampler, "cpu", 0).batch(0), (1, 2))


def norms(task: JointTask, value: Tensor) -> dict[str, float]:
    """Measure how strongly a term pulls at each network."""
    found = {}
    for kind, network in task.networks.items():
        gradients = torch.autograd.grad(value, [*network.parameters()], retain_graph=True, allow_unused=True)
        found[kind] = math.sqrt(sum(float(g.square().sum()) for g in gradients if g is not None))
    return found


def test_every_term_reaches_the_networks_that_it_must_reach_and_no_other(joint: tuple[JointTask, Inputs]) -> None:
    task, x = joint
    terms, y = task(x)
    terms |= Critics(CONFIG).judge(y["shown"], x)
    measured = {name: norms(task, value) for name, value in terms.items()}
    table = "\n".join(
        f"{name:22}" + "".join(f"{kind} {norm:.1e}  " for kind, norm in row.items()) for name, row in measured.items()
    )
    assert measured.keys() == REACHED.keys(), table
    for name, row in measured.items():
        assert {kind for kind, norm in row.items() if norm > 0} == REACHED[name], table


def test_what_is_pasted_reaches_the_mask_where_painting_helps_or_harms() -> None:
    shape = (1, 1, 1, 4, 4)
    mask, truth = torch.zeros(shape, requires_grad=True), torch.full((1, 1, 3, 4, 4), 0.5)
    given, good, bad = torch.full_like(truth, 0.9), torch.full_like(truth, 0.45), torch.full_like(truth, 0.0)
    whole = torch.ones(shape)
    for painted, sign in ((good, -1), (bad, 1)):
        (gradient,) = torch.autograd.grad(reconstruction_pasted(painted, given, mask, truth, whole), mask)
        assert (gradient.sign() == sign).all()
    assert reconstruction_pasted(good, given, whole, truth, whole).item() == pytest.approx(0.05)
    assert reconstruction_pasted(good, given, 1 - whole, truth, whole).item() == pytest.approx(0.4)


def test_the_mask_alone_learns_from_paint_beside_the_object(joint: tuple[JointTask, Inputs]) -> None:
    task, x = joint
    x = {**x, "amodal": torch.zeros_like(x["amodal"]), "occluder": torch.zeros_like(x["occluder"])}
    y = task.predict(x)
    assert y["hidden"].any()
    found = norms(task, compare_paste(y, x))
    assert found["shape"] > 0
    assert found["flow"] == found["generator"] == 0


def test_a_mask_cut_at_one_half_has_the_gradient_of_its_probability() -> None:
    values, soft = torch.randn(5), torch.randn(5, requires_grad=True)
    result = with_gradient_of(values, soft.square())
    assert torch.equal(result, values)
    (gradient,) = torch.autograd.grad(result.sum(), soft)
    assert torch.equal(gradient, 2 * soft)


def test_values_are_those_of_the_pipeline(joint: tuple[JointTask, Inputs]) -> None:
    task, x = joint
    y = task.predict(x)
    assert set(y["hidden"].unique().tolist()) <= {0.0, 1.0}
    with torch.no_grad():
        plain = task.predict(x)
    assert all(torch.equal(y[name], plain[name]) for name in y if name not in ("made", "completed", "shown"))
    # Layers work on other numbers of frames at a time without gradients.
    assert torch.allclose(y["completed"], plain["completed"], atol=1e-4)
