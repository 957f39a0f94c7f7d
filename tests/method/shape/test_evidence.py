from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from scenes.hidden_clips import Scene, scene
from voin.method.motion import DIS
from voin.method.shape import stage as stage_module
from voin.method.shape.evidence import CHANNELS, MIRRORED, gather_evidence
from voin.method.shape.network import ShapeConfig, ShapeNetwork
from voin.method.shape.stage import GroupConfig, NetworkShape

TINY = ShapeConfig(channels=(8, 12, 16), depth=2, patches=((1, 1), (2, 2)), prior=4, classes=3)
SEEING = replace(TINY, evidence=True)


def evidence_of(frames: Tensor, visible: Tensor) -> dict[str, Tensor]:
    """Give each channel (t, y, x) of a clip."""
    found = gather_evidence(frames, visible, *DIS(finest=1)(frames))
    return dict(zip(CHANNELS, found[0].unbind(dim=1), strict=True))


def small(mask: Tensor) -> Tensor:
    return F.avg_pool2d(mask[0], 2)[:, 0]


def behind(clip: Scene) -> tuple[Tensor, Tensor]:
    """The same clip, but the bar passes behind the object."""
    return torch.where(clip.amodal > 0.5, clip.clean, clip.frames), clip.amodal


@pytest.fixture(scope="module")
def crossed() -> Scene:
    """A moving object; a bar passes it the other way."""
    return scene(
        t=10, size=(128, 128), start=(28.0, 34.0), speed=(1.5, 0.0), side=60, bar=(84, 100), bar_speed=-6.0, seed=3
    )


@pytest.fixture(scope="module")
def before(crossed: Scene) -> dict[str, Tensor]:
    return evidence_of(crossed.frames, crossed.visible)


@pytest.fixture(scope="module")
def after(crossed: Scene) -> dict[str, Tensor]:
    return evidence_of(*behind(crossed))


def test_what_is_hidden_was_seen_at_its_place_of_the_object(crossed: Scene, before: dict[str, Tensor]) -> None:
    hidden = small(crossed.hidden) > 0.9
    beyond = small(F.max_pool2d(crossed.amodal[0], 9, 1, 4)[None]) == 0
    assert before["ever seen"][hidden].mean() > 0.9
    assert before["ever seen"][beyond].mean() < 0.02


def test_beside_an_object_that_something_passes_behind_nothing_of_it_was_ever_seen(
    crossed: Scene, after: dict[str, Tensor]
) -> None:
    beyond = small(F.max_pool2d(crossed.amodal[0], 9, 1, 4)[None]) == 0
    assert after["ever seen"][beyond & (small(crossed.bar) > 0.9)].mean() < 0.02
    inside = small(-F.max_pool2d(-crossed.amodal[0], 9, 1, 4)[None]) == 1
    assert after["seen before"][1:][inside[1:]].mean() > 0.95
    assert after["seen after"][:-1][inside[:-1]].mean() > 0.95


def test_what_moves_with_the_object_has_no_motion_of_its_own(crossed: Scene, after: dict[str, Tensor]) -> None:
    inside = small(-F.max_pool2d(-crossed.amodal[0], 17, 1, 8)[None]) == 1
    passing = (small(crossed.bar) > 0.9) & (small(crossed.amodal) == 0)
    for way, sign in (("ahead x", -1), ("back x", 1)):
        assert after[way][inside].abs().mean() < 0.15
        assert (sign * after[way])[passing].mean() > 0.5


def test_what_is_about_to_be_covered_does_not_return(crossed: Scene, before: dict[str, Tensor]) -> None:
    visible = small(crossed.visible) > 0.9
    # The object moves to the right by 1.5 pixels a frame, the bar to the left by 6.
    covered = torch.stack(
        [now & (later < 0.1) for now, later in zip(visible, small(crossed.visible)[1:], strict=False)]
    )
    returns = before["returns ahead"][:-1]
    assert returns[covered].mean() < 0.6 * returns[visible[:-1] & ~covered].mean()
    assert (before["returns ahead"][-1] == 1).all()
    assert (before["returns back"][0] == 1).all()


def test_where_the_object_stood_the_scene_looks_the_same_but_for_what_passes(
    crossed: Scene, before: dict[str, Tensor]
) -> None:
    plain = scene(t=10, size=(128, 128), start=(10.0, 34.0), speed=(6.0, 0.0), side=40, bar=None)
    found = evidence_of(plain.frames, plain.visible)
    left = small(plain.amodal)[0] > 0.9
    left &= small(plain.amodal)[-1] == 0
    assert found["stood here"][-1][left].mean() > 0.7
    assert found["same scene"][-1][left].mean() > 0.7
    assert before["same scene"][small(crossed.bar) > 0.9].mean() < 0.4


def test_evidence_of_a_mirrored_clip_is_mirrored(crossed: Scene) -> None:
    flows = DIS(finest=1)(crossed.frames)
    found = gather_evidence(crossed.frames, crossed.visible, *flows)
    turn = torch.tensor([-1.0, 1.0]).view(2, 1, 1)
    turned = gather_evidence(
        *(x.flip(-1) for x in (crossed.frames, crossed.visible)), *(f.flip(-1) * turn for f in flows)
    )
    difference = (turned - found.flip(-1) * torch.tensor(MIRRORED).view(-1, 1, 1)).abs()
    assert difference[:, :, :4].max() < 1e-4
    # At the picture's edge rounding decides whether flow leaves it, and so whether it returns.
    assert (difference > 0.02).float().mean() < 5e-3


def test_time_reversed_exchanges_both_sides(crossed: Scene) -> None:
    forward, backward = DIS(finest=1)(crossed.frames)
    found = gather_evidence(crossed.frames, crossed.visible, forward, backward)
    reverse = gather_evidence(crossed.frames.flip(1), crossed.visible.flip(1), backward.flip(1), forward.flip(1)).flip(
        1
    )
    exchanged = [*(2, 3, 0, 1), *(5, 4), *(7, 6), *(9, 8), *range(10, len(CHANNELS))]
    assert torch.allclose(reverse, found[:, :, exchanged], atol=2e-3)


def test_clips_of_a_batch_know_nothing_of_each_other(crossed: Scene) -> None:
    flows = DIS(finest=1)(crossed.frames)
    alone = gather_evidence(crossed.frames, crossed.visible, *flows)
    pair = [torch.cat([x.flip(-2), x]) for x in (crossed.frames, crossed.visible, *flows)]
    assert torch.allclose(gather_evidence(*pair)[1:], alone, atol=1e-4)


def test_a_single_frame_and_an_empty_mask_have_evidence_that_is_finite(crossed: Scene) -> None:
    one = gather_evidence(crossed.frames[:, :1], crossed.visible[:, :1], *(torch.zeros(1, 0, 2, 128, 128),) * 2)
    assert one.shape == (1, 1, len(CHANNELS), 64, 64)
    assert not one.any()
    none = gather_evidence(crossed.frames, crossed.visible * 0, *DIS(finest=1)(crossed.frames))
    assert none.isfinite().all()
    assert none.abs().max() <= 1 + 1e-5


def test_without_the_switch_there_is_no_evidence_and_nothing_new_in_the_weights(crossed: Scene) -> None:
    network = ShapeNetwork(TINY)
    assert not any("evidence" in name for name in network.state_dict())
    given = (crossed.frames, crossed.visible, crossed.bar)  # a known occluder: no look for background at rest
    still, moving = (torch.full((1, 9, 2, 128, 128), value) for value in (0.0, 3.0))
    masks = [NetworkShape(network)(*given, flow, -flow) for flow in (still, moving)]
    assert torch.equal(*masks)


def test_a_network_that_has_seen_no_evidence_is_the_same_with_the_switch_on(crossed: Scene) -> None:
    old, new = ShapeNetwork(TINY), ShapeNetwork(SEEING)
    missing = new.load_state_dict(old.state_dict(), strict=False).missing_keys
    assert missing
    assert all(name.startswith("evidence.") for name in missing)
    category = torch.zeros(1, dtype=torch.long)
    shown = torch.rand(1, 10, len(CHANNELS), 64, 64)
    logits = old(crossed.frames, crossed.visible, category)
    assert torch.equal(new(crossed.frames, crossed.visible, category, shown), logits)
    new(crossed.frames, crossed.visible, category, shown).sum().backward()
    assert new.evidence[-1].weight.grad.abs().max() > 0  # pyright: ignore


def test_the_stage_shows_each_group_the_evidence_of_its_frames(crossed: Scene) -> None:
    network = ShapeNetwork(SEEING).eval()
    with torch.no_grad():
        network.evidence[-1].weight.normal_()  # pyright: ignore
    flows = DIS(finest=1)(crossed.frames)
    allowed = crossed.bar
    stage = NetworkShape(network, config=GroupConfig(length=10, references=0))
    shown = gather_evidence(crossed.frames, crossed.visible, *flows)
    category = torch.zeros(1, dtype=torch.long)
    logits = network(crossed.frames, crossed.visible, category, shown)
    found = stage(crossed.frames, crossed.visible, allowed, *flows)
    expected = torch.where(allowed > 0.5, torch.maximum(logits.sigmoid(), crossed.visible), crossed.visible)
    assert torch.allclose(found, expected, atol=1e-5)


def test_flow_shrinks_with_the_picture_that_the_network_looks_at(
    crossed: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    monkeypatch.setattr(stage_module, "gather_evidence", lambda *x: given.extend(x) or gather_evidence(*x))
    flow = torch.full((1, 9, 2, 128, 128), 4.0)
    NetworkShape(ShapeNetwork(SEEING), size=64)(crossed.frames, crossed.visible, crossed.bar, flow, -flow)
    frames, _, forward, backward, _ = given
    assert frames.shape[-2:] == forward.shape[-2:] == (64, 64)
    assert (forward == 2).all()
    assert (backward == -2).all()
