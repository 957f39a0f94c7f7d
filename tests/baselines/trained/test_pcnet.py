from __future__ import annotations

import pytest
import torch

from fakes.tiny_baselines import holes
from voin.baselines.trained.pcnet import PAPER, SMALL, Pcnet, PcnetConfig, PcnetShape

TINY = PcnetConfig(channels=2)
UNKNOWN = torch.zeros(1, dtype=torch.long)


def test_each_frame_is_completed_by_itself() -> None:
    frames, visible, _ = holes()
    network = Pcnet(TINY)
    logits = network(frames, visible, UNKNOWN)
    assert logits.shape == visible.shape
    other = frames.clone()
    other[:, 1] = 1 - other[:, 1]
    change = (network(other, visible, UNKNOWN) - logits).abs().flatten(2).amax(dim=2)[0]
    assert change[1] > 0
    assert not change[[0, 2, 3, 4]].any()


def test_the_category_is_told_and_the_frame_is_a_switch() -> None:
    frames, visible, _ = holes()
    network = Pcnet(TINY)
    assert not torch.equal(network(frames, visible, UNKNOWN), network(frames, visible, UNKNOWN + 3))
    blind = Pcnet(PcnetConfig(channels=2, colours=False))
    assert torch.equal(blind(frames, visible, UNKNOWN), blind(1 - frames, visible, UNKNOWN))


@pytest.mark.parametrize(("size", "name"), [((40, 48), "height of 40"), ((32, 40), "width of 40")])
def test_sizes_that_do_not_halve_four_times_are_refused(size: tuple[int, int], name: str) -> None:
    frames, visible, _ = holes(size=size)
    with pytest.raises(ValueError, match=rf"{name} pixels; it must be a multiple of 16; pad or crop"):
        Pcnet(TINY)(frames, visible, UNKNOWN)


def test_the_stage_keeps_what_is_visible_and_goes_where_it_is_allowed() -> None:
    frames, visible, hole = holes()
    network = Pcnet(TINY)
    torch.nn.init.constant_(network.classes.bias[1:], 50.0)  # pyright: ignore
    shape = PcnetShape(network.eval(), 32, False, ("cat",))
    flow = torch.zeros(1, 4, 2, 32, 48)
    whole = shape(frames, visible, torch.ones_like(visible), flow, flow, "dog")
    assert (whole > 0.5).all()
    allowed = shape(frames, visible, hole, flow, flow, None)
    assert torch.equal((allowed > 0.5).float(), torch.maximum(visible, hole))
    torch.nn.init.constant_(network.classes.bias[1:], -50.0)  # pyright: ignore
    assert torch.equal((shape(frames, visible, hole, flow, flow, "cat") > 0.5).float(), visible)


def test_sizes_are_as_published_but_for_the_frame() -> None:
    assert sum(weight.numel() for weight in Pcnet(PAPER).parameters()) == pytest.approx(3.35e6, rel=0.02)
    assert sum(weight.numel() for weight in Pcnet(SMALL).parameters()) == pytest.approx(0.84e6, rel=0.02)
