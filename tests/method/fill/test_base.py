"""The paper's base network (Table 4, BI and OG), and the hard hand-over."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from scenes.disc_behind_bar import TINY as OURS
from scenes.disc_behind_bar import clip, lively
from voin.baselines.trained.lgtsm import Lgtsm, LgtsmConfig
from voin.method.fill.colours import part_hidden
from voin.method.fill.generator import BaseGenerator, Generator, GeneratorConfig, make_generator
from voin.method.fill.lgtsm import LearnedShift
from voin.method.fill.stage import NetworkFill

OG = GeneratorConfig(
    channels=(4, 8, 16), dilations=(2,), shifts=(1,), share=0.5, smooth_start=False, weigh=False, hard=True, base=True
)
BI = replace(OG, gating=False)


def base(config: GeneratorConfig = OG) -> BaseGenerator:
    made = make_generator(config)
    assert isinstance(made, BaseGenerator)
    return made.eval()


def test_bi_is_lgtsm() -> None:
    frames, visible, amodal, confidence = clip()
    ours, theirs = base(BI), Lgtsm(LgtsmConfig(channels=4, dilations=(2,))).eval()
    ours.load_state_dict(theirs.state_dict())
    colours, _ = ours(frames, visible, amodal, 0 * confidence)
    assert torch.equal(colours, theirs(frames, visible, amodal - visible))


def test_og_tells_the_gates_of_occlusions_and_bi_does_not() -> None:
    frames, visible, amodal, confidence = clip()
    hidden, _ = part_hidden(visible, amodal, confidence)
    # With all of it found, only gates can tell what is occluded.
    less = torch.where(hidden & (torch.rand_like(amodal) < 0.5), 0.0, amodal)
    for config, told in ((OG, True), (BI, False)):
        generator = base(config)
        one, two = (generator(frames, visible, mask, torch.ones_like(confidence))[0] for mask in (amodal, less))
        assert torch.equal(one, two) != told
    extra = set(base(OG).state_dict()) - set(base(BI).state_dict())
    assert extra
    assert all(name.endswith("guide.weight") for name in extra)


def test_missing_pixels_are_not_looked_at_and_propagated_ones_are() -> None:
    frames, *masks = clip()
    generator = base()
    hidden, missing = part_hidden(*masks)
    before = generator(frames, *masks)[0]
    assert torch.equal(before, generator(torch.where(missing, 1 - frames, frames), *masks)[0])
    assert not torch.equal(before, generator(torch.where(hidden & ~missing, 1 - frames, frames), *masks)[0])


def test_shifts_reach_as_far_as_they_are_told() -> None:
    x = torch.rand(1, 7, 8, 2, 2)
    shift = LearnedShift(8, reach=2, share=0.5)
    moved = shift(x)
    # They start out as shifts by one frame, whatever they could reach.
    assert torch.equal(moved[:, :-1, :2], x[:, 1:, :2])
    assert torch.equal(moved[:, 1:, 2:4], x[:, :-1, 2:4])
    torch.nn.init.ones_(shift.kernels)
    assert torch.allclose(shift(x)[:, 3, :4], x[:, 1:6, :4].sum(dim=1))


@pytest.mark.parametrize("name", ["smooth_start", "weigh", "classes"])
def test_what_the_base_does_not_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"base is true with {name}; the base has"):
        replace(OG, **{name: 1 if name == "classes" else True})
    with pytest.raises(ValueError, match="base is true with other channels"):
        replace(OG, channels=(4, 8))


@pytest.mark.parametrize("config", [OG, replace(OURS, weigh=False, hard=True)])
def test_a_hard_hand_over_keeps_what_was_found_and_makes_the_rest(config: GeneratorConfig) -> None:
    frames, visible, amodal, confidence = clip()
    hidden, missing = part_hidden(visible, amodal, confidence)
    generator = lively(config) if not config.base else base(config)
    made, weight = generator(frames, visible, amodal, confidence)
    assert torch.equal(weight > 0.5, ~missing)
    assert set(weight.unique().tolist()) == {0.0, 1.0}
    # How far tracks are believed plays no part, and all of that goes through the stage.
    assert torch.equal(made, generator(frames, visible, amodal, confidence / 2)[0])
    filled = NetworkFill(generator)(frames, visible, amodal, confidence)
    assert torch.equal(torch.where(missing, 0, filled), torch.where(missing, 0, frames))
    assert (filled != frames)[missing.expand_as(frames)].float().mean() > 0.9
    assert (hidden & ~missing).any()


def test_other_generators_are_as_they_were() -> None:
    assert isinstance(make_generator(), Generator)
    assert make_generator().config.propagation == "rated"
