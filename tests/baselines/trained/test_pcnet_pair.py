"""PCNet-M and PCNet-C."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fakes.tiny_baselines import holes
from fakes.tiny_training import TINY
from sets.packs import pack_of
from voin.baselines.trained.pcnet_c import PAPER as C_PAPER
from voin.baselines.trained.pcnet_c import PartialConvolution, PcnetC, PcnetCConfig
from voin.baselines.trained.pcnet_m import PAPER as M_PAPER
from voin.baselines.trained.pcnet_m import PcnetM, PcnetMConfig, PcnetMShape
from voin.training.sampler import Sampler
from voin.training.tasks import TASKS
from voin.training.tasks.base import Inputs, Task
from voin.training.tasks.self_supervised import draw_erasers

UNKNOWN = torch.zeros(1, dtype=torch.long)


def made(stage: str) -> tuple[Task, Inputs]:
    torch.manual_seed(0)
    task = TASKS[stage](TINY)  # pyright: ignore[reportArgumentType]
    config = replace(TINY.sampler, pasted=0.0)
    return task, task.prepare(Sampler(pack_of(("a", "b", "c")), config, "cpu", 0).batch(0), (1, 2))


def test_each_frame_is_completed_by_itself_and_the_eraser_is_told() -> None:
    _, visible, hole = holes()
    network = PcnetM(PcnetMConfig(channels=2)).eval()
    logits = network(visible, hole, UNKNOWN)
    other = hole.clone()
    other[:, 1] = 0
    change = (network(visible, other, UNKNOWN) - logits).abs().flatten(2).amax(dim=2)[0]
    assert change[1] > 0
    assert not change[[0, 2, 3, 4]].any()


def test_the_occluder_is_the_eraser_and_without_one_all_that_is_not_the_object() -> None:
    frames, visible, hole = holes()
    told = []

    class Listening(PcnetM):
        def forward(self, visible, eraser, category):
            told.append(eraser)
            return super().forward(visible, eraser, category)

    shape = PcnetMShape(Listening(PcnetMConfig(channels=2)), None, False)
    flow = torch.zeros(1, 4, 2, 32, 48)
    whole = shape(frames, visible, hole, flow, flow, None)
    assert (whole >= visible).all()
    assert not whole[(hole + visible) == 0].any()
    shape(frames, visible, torch.ones_like(visible), flow, flow, None)
    assert torch.equal(told[0], hole)
    assert torch.equal(told[1], 1 - visible)


def test_a_partial_convolution_of_a_constant_is_that_constant_wherever_something_is_known() -> None:
    layer = PartialConvolution(1, 1, 3)
    torch.nn.init.constant_(layer.weight, 1 / 9)
    known = torch.zeros(1, 1, 8, 8)
    known[..., :3] = 1
    made, reached = layer(torch.where(known > 0, 0.7, 9.0), known)
    assert torch.allclose(made[..., :4], torch.tensor(0.7))
    assert (reached[..., :4] == 1).all()
    assert not reached[..., 4:].any()
    assert not made[..., 4:].any()


def test_nothing_inside_the_hole_is_looked_at_and_the_hole_is_filled() -> None:
    frames, visible, hole = holes()
    network = PcnetC(PcnetCConfig((4, 8, 8), (3, 3, 3)))
    first = network(frames, visible, hole)
    second = network(torch.where(hole > 0, 1 - frames, frames), visible, hole)
    assert first.shape == frames.shape
    assert torch.equal(first, second)
    assert first[(hole > 0).expand_as(first)].std() > 0


def test_kernels_must_fit_the_levels() -> None:
    with pytest.raises(ValueError, match="must hold one odd number a level"):
        PcnetCConfig((4, 8), (3, 4))


def test_the_mask_network_is_as_large_as_published() -> None:
    assert sum(weight.numel() for weight in PcnetM(M_PAPER).parameters()) == pytest.approx(3.35e6, rel=0.02)
    assert len(C_PAPER.channels) == 7


def test_erasers_cut_a_part_of_the_visible_object_and_are_objects_themselves() -> None:
    batch = Sampler(pack_of(("a", "b", "c")), TINY.sampler, "cpu", 0).batch(0)
    eraser = draw_erasers(batch.visible, (1, 2))
    assert torch.equal(eraser, draw_erasers(batch.visible, (1, 2)))
    assert not torch.equal(eraser, draw_erasers(batch.visible, (3, 4)))
    share = ((eraser * batch.visible).sum((2, 3, 4)) / batch.visible.sum((2, 3, 4)))[eraser.flatten(2).any(dim=2)]
    assert len(share) > 2
    assert (share > 0).all()
    assert (share <= 0.9).all()


def test_masks_are_learned_of_visible_parts_alone() -> None:
    task, x = made("pcnet-m")
    cut = x["visible"] - x["left"]
    assert cut.any()
    assert not (cut * (1 - x["eraser"])).any()
    # Where the object is the nearer one, the other is cut.
    whole = ~cut.flatten(2).any(dim=2)
    assert not (x["eraser"] * x["visible"])[whole].any()
    terms, _ = task(x)
    others, _ = task({**x, "amodal": 1 - x["amodal"]})
    assert terms["partial"] == others["partial"]
    perfect = task.terms({"logits": 40 * x["visible"] - 20}, x)
    assert perfect["partial"] < 1e-3


def test_colours_are_learned_of_visible_parts_alone() -> None:
    task, x = made("pcnet-c")
    assert (x["cut"] <= x["visible"]).all()
    assert x["cut"].any()
    terms, y = task(x)
    others, _ = task({**x, "truth": 1 - x["truth"], "hole": 1 - x["hole"]})
    assert all(torch.equal(terms[name], others[name]) for name in terms)
    outside = (x["cut"] == 0).expand_as(y["shown"])
    assert torch.equal(y["shown"][outside], x["frames"][outside])
    assert not np.isclose(terms["hole"].item(), 0)
    critics = task.critics()
    assert critics is not None
    assert set(critics.judge(y["shown"], x)) == {"patch"}  # pyright: ignore
    assert set(critics(y["shown"].detach(), x)) == {"patch_real_fake"}
