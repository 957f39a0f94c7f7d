from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from jaxtyping import TypeCheckError
from torch import Tensor

from scenes.hidden_clips import iou, scene
from voin.method.frames import cut_groups
from voin.method.pipeline import Shape
from voin.method.shape.network import PAPER, SMALL, ShapeConfig, ShapeNetwork, position_code
from voin.method.shape.stage import GroupConfig, NetworkShape, choose_references

TINY = ShapeConfig(channels=(8, 12, 16), depth=2, patches=((1, 1), (2, 2)), prior=4, classes=3)


def clip(b: int = 1, t: int = 3, h: int = 32, w: int = 40) -> tuple[Tensor, Tensor, Tensor]:
    """Random frames, visible masks and categories."""
    return torch.rand(b, t, 3, h, w), (torch.rand(b, t, 1, h, w) > 0.5).float(), torch.ones(b, dtype=torch.long)


def flows(t: int, h: int = 32, w: int = 40, b: int = 1) -> Tensor:
    return torch.zeros(b, t - 1, 2, h, w)


@pytest.fixture
def network() -> ShapeNetwork:
    return ShapeNetwork(TINY).eval()


@pytest.mark.parametrize("size", [(1, 1, 8, 8), (2, 3, 32, 40), (1, 2, 56, 24)])
def test_logits_have_the_size_of_the_mask(network: ShapeNetwork, size: tuple[int, int, int, int]) -> None:
    frames, visible, category = clip(*size)
    assert network(frames, visible, category).shape == visible.shape


@pytest.mark.parametrize(("axis", "size"), [("h", (36, 40)), ("w", (32, 44))])
def test_sizes_that_the_levels_do_not_divide_are_refused(
    network: ShapeNetwork, axis: str, size: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match=f"frames have {axis} = .*; it must be a multiple of 8; pad or resize to"):
        network(*clip(1, 2, *size))
    frames, visible, _ = clip(1, 2, *size)
    with pytest.raises(ValueError, match=f"{axis} = .* multiple of 8"):
        NetworkShape(network)(frames, visible, visible, flows(2, *size), flows(2, *size))


@pytest.mark.parametrize("axis", range(5))
def test_a_mask_that_does_not_fit_the_frames_is_refused(network: ShapeNetwork, axis: int) -> None:
    frames, visible, category = clip(2, 3)
    with pytest.raises(TypeCheckError):
        network(frames, torch.cat([visible, visible], dim=axis), category)


def test_frames_without_colours_and_a_category_too_few_are_refused(network: ShapeNetwork) -> None:
    frames, visible, category = clip(2, 3)
    with pytest.raises(TypeCheckError):
        network(frames[:, :, :1], visible, category)
    with pytest.raises(TypeCheckError):
        network(frames, visible, category[:1])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"channels": ()}, "channels is"),
        ({"channels": (8, 0)}, "channels is"),
        ({"patches": ()}, "patches is"),
        ({"patches": ((2, 0),)}, "patches is"),
        ({"channels": (8, 17)}, "multiple of their number; use 18"),
        ({"depth": 0}, "depth is 0"),
        ({"frequencies": 0}, "frequencies is 0"),
        ({"prior": 0}, "prior is 0"),
        ({"classes": 0}, "classes is 0"),
    ],
)
def test_a_config_that_makes_no_network_is_refused(change: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        replace(TINY, **change)


def test_the_presets_are_as_large_as_designed() -> None:
    def count(config: ShapeConfig) -> int:
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in ShapeNetwork(config).parameters())

    assert count(SMALL) < 3e6
    assert PAPER.depth == 8
    assert 320 % PAPER.step == 180 % PAPER.step == 0
    assert 1.5e7 < count(PAPER) < 1.8e7  # STTN's generator has 16.6 M


def test_the_same_seed_makes_the_same_network() -> None:
    results = []
    for _ in range(2):
        torch.manual_seed(3)
        results.append(ShapeNetwork(TINY)(*clip()))
    assert torch.equal(*results)


def test_every_frame_knows_all_others(network: ShapeNetwork) -> None:
    frames, visible, category = clip(t=4)
    frames.requires_grad_()
    network(frames, visible, category)[:, 0].sum().backward()
    assert frames.grad is not None
    assert (frames.grad.abs().amax(dim=(0, 2, 3, 4)) > 0).all()


def test_clips_of_a_batch_know_nothing_of_each_other(network: ShapeNetwork) -> None:
    frames, visible, category = clip(2)
    alone = network(frames[:1], visible[:1], category[:1])
    assert torch.allclose(network(frames, visible, category)[:1], alone, atol=1e-5)


def test_the_order_of_the_frames_plays_no_part(network: ShapeNetwork) -> None:
    frames, visible, category = clip(t=4)
    order = [2, 0, 3, 1]
    mixed = network(frames[:, order], visible[:, order], category)
    assert torch.allclose(mixed, network(frames, visible, category)[:, order], atol=1e-5)


def test_single_images_know_nothing_of_each_other() -> None:
    network = ShapeNetwork(replace(TINY, temporal=False)).eval()
    frames, visible, category = clip(t=3)
    together = network(frames, visible, category)
    for i in range(3):
        alone = network(frames[:, i : i + 1], visible[:, i : i + 1], category)
        assert torch.allclose(together[:, i : i + 1], alone, atol=1e-5)
    assert not any("attention" in name for name, _ in network.named_parameters())


def test_the_class_is_told_only_with_semantics() -> None:
    frames, visible, category = clip()
    for semantics in (True, False):
        network = ShapeNetwork(replace(TINY, semantics=semantics))
        logits = [network(frames, visible, i * category) for i in range(4)]
        assert torch.equal(logits[0], logits[3]) != semantics
        assert any("embedding" in name for name, _ in network.named_parameters()) == semantics


def test_the_class_says_nothing_where_nothing_is_visible(network: ShapeNetwork) -> None:
    # Paper 3.1: the embedding is multiplied by the visible mask. The coarse copy has a bias, which is the same for all.
    frames, visible, category = clip()
    none = torch.zeros_like(visible)
    assert torch.equal(network(frames, none, category), network(frames, none, 2 * category))


def test_depth_is_the_number_of_layers() -> None:
    counts = [len({name.split(".")[1] for name in _names(replace(TINY, depth=depth))}) for depth in (1, 4)]
    assert counts == [1, 4]


def _names(config: ShapeConfig) -> list[str]:
    return [name for name, _ in ShapeNetwork(config).named_parameters() if name.startswith("layers.")]


@pytest.mark.parametrize("change", [{}, {"semantics": False}, {"temporal": False}])
def test_gradients_reach_every_parameter(change: dict) -> None:
    network = ShapeNetwork(replace(TINY, **change))
    frames, visible, _ = clip(4)
    network(frames, visible, torch.arange(4)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_places_have_codes_of_their_own() -> None:
    code = position_code(torch.zeros(1, 1, 6, 10), 3)
    assert code.shape == (1, 12, 6, 10)
    assert len(code.flatten(2)[0].T.unique(dim=0)) == 60


def test_half_precision_and_channels_last_give_nearly_the_same(network: ShapeNetwork) -> None:
    frames, visible, category = clip()
    exact = network(frames, visible, category)
    network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    assert torch.allclose(network(frames, visible, category), exact, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(frames, visible, category)
    assert (rough.float() - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize(
    ("count", "groups"),
    [
        (1, [range(0, 1)]),
        (8, [range(0, 8)]),
        (9, [range(0, 8), range(1, 9)]),
        (14, [range(0, 8), range(6, 14)]),
        (21, [range(0, 8), range(6, 14), range(12, 20), range(13, 21)]),
    ],
)
def test_groups_overlap_and_end_with_the_clip(count: int, groups: list[range]) -> None:
    assert cut_groups(range(count), 8, 2) == groups


@pytest.mark.parametrize("change", [{"length": 0}, {"overlap": 16}, {"overlap": -1}, {"references": -1}])
def test_groups_that_cannot_be_are_refused(change: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(change))} is .*; it must be .*; (use|leave it out)"):
        GroupConfig(**change)


def test_references_lie_outside_the_group_where_most_is_visible() -> None:
    visible = torch.zeros(2, 12, 1, 8, 8)
    visible[0, 1, ..., :2] = visible[0, 11, ..., :3] = visible[0, 5] = 1
    visible[1, 3, ..., :2] = visible[1, 9, ..., :3] = 1
    assert choose_references(visible, range(4, 8), 2).tolist() == [[1, 11], [3, 9]]
    assert choose_references(visible[:, :5], range(4), 3).tolist() == [[4], [4]]
    assert choose_references(visible, range(12), 2).shape == (2, 0)
    assert choose_references(visible, range(4), 0).shape == (2, 0)


@pytest.mark.parametrize("t", [1, 2, 8, 11])
def test_the_stage_keeps_what_is_visible_and_adds_only_where_it_may(network: ShapeNetwork, t: int) -> None:
    frames, visible, _ = clip(2, t)
    allowed = (torch.rand_like(visible) > 0.5).float()
    stage = NetworkShape(network, config=GroupConfig(length=4, overlap=2))
    assert isinstance(stage, Shape)
    whole = stage(frames, visible, allowed, flows(t, b=2), flows(t, b=2))
    assert whole.shape == visible.shape
    assert (whole >= visible).all()
    assert whole.max() <= 1
    assert torch.equal(whole * (1 - allowed), visible * (1 - allowed))
    assert (whole > visible).any()


def test_the_stage_averages_logits_where_groups_overlap(network: ShapeNetwork) -> None:
    frames, visible, _ = clip(t=5)
    category = torch.zeros(1, dtype=torch.long)
    none = torch.zeros_like(visible)
    stage = NetworkShape(network, config=GroupConfig(length=3, overlap=1, references=0))
    whole = stage(frames, none, torch.ones_like(none), flows(5), flows(5))
    first, second = (network(frames[:, part], none[:, part], category) for part in (slice(0, 3), slice(2, 5)))
    logits = torch.cat([first[:, :2], (first[:, 2:] + second[:, :1]) / 2, second[:, 1:]], dim=1)
    assert torch.allclose(whole, logits.sigmoid(), atol=1e-6)


def test_a_part_shares_groups_with_those_around_it(network: ShapeNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    look = network.forward

    def note(frames: Tensor, *given: Any) -> Tensor:
        seen.extend(int(x) for x in (100 * frames[0, :, 0, 0, 0]).round())
        return look(frames, *given)

    monkeypatch.setattr(network, "forward", note)
    frames, visible, _ = clip(1, 20, 32, 32)
    frames = torch.arange(20.0).view(1, 20, 1, 1, 1).expand_as(frames) / 100
    stage = NetworkShape(network, config=GroupConfig(length=4, overlap=2, references=0))
    stage(frames, visible, torch.ones_like(visible), flows(20, 32, 32), flows(20, 32, 32), None, range(8, 14))
    assert (min(seen), max(seen)) == (6, 15)
    assert all(seen.count(number) >= 2 for number in range(8, 14))


def test_references_inform_a_group_from_afar(network: ShapeNetwork) -> None:
    frames, visible, _ = clip(t=12)
    visible[:, 11] = 1
    other = frames.clone()
    other[:, 11] = 0
    for references in (0, 2):
        stage = NetworkShape(network, config=GroupConfig(length=4, overlap=2, references=references))
        here, there = (stage(x, visible, torch.ones_like(visible), flows(12), flows(12)) for x in (frames, other))
        assert torch.equal(here[:, :4], there[:, :4]) != bool(references)


def test_the_stage_knows_the_categories_it_was_taught(network: ShapeNetwork) -> None:
    frames, visible, category = clip()
    none = flows(3)
    stage = NetworkShape(network, ("bear", "cat"))
    found = {
        name: stage(frames, visible, torch.ones_like(visible), none, none, name)
        for name in ("bear", "cat", "goat", None)
    }
    assert torch.equal(found["goat"], found[None])
    assert not torch.equal(found["cat"], found[None])
    logits = network(frames, visible, 2 * category)
    assert torch.allclose(found["cat"], torch.maximum(logits.sigmoid(), visible), atol=1e-6)
    with pytest.raises(ValueError, match="4 categories for a network of 3 classes"):
        NetworkShape(network, ("a", "b", "c", "d"))


def test_behind_a_given_occluder_it_may_be_less_sure(network: ShapeNetwork) -> None:
    frames, visible, _ = clip()
    everywhere, front = torch.ones_like(visible), torch.zeros_like(visible)
    front[..., :16, :] = 1
    flow = flows(3), flows(3)
    strict, loose = (NetworkShape(network, certainty=certainty) for certainty in (0.6, 0.35))
    both = NetworkShape(network, certainty=0.6, behind=0.35)
    assert torch.equal(both(frames, visible, everywhere, *flow), strict(frames, visible, everywhere, *flow))
    whole = both(frames, visible, front, *flow)
    assert torch.equal(whole, loose(frames, visible, front, *flow))
    assert (whole > 0.5).sum() > (strict(frames, visible, front, *flow) > 0.5).sum()
    assert torch.allclose(both.probability(whole, given=True), loose.probability(whole))


def test_the_surer_it_must_be_the_less_it_adds(network: ShapeNetwork) -> None:
    frames, visible, _ = clip()
    given = (frames, visible, torch.ones_like(visible), flows(3), flows(3))
    plain = NetworkShape(network)(*given)
    masks = [NetworkShape(network, certainty=certainty)(*given) > 0.5 for certainty in (0.3, 0.5, 0.7)]
    assert (masks[0] >= masks[1]).all()
    assert (masks[1] >= masks[2]).all()
    assert masks[0].sum() > masks[2].sum()
    assert torch.equal(masks[2], (plain > 0.7) | (given[1] > 0.5))
    assert torch.equal(NetworkShape(network, certainty=0.5)(*given), plain)
    for certainty in (0.0, 1.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            NetworkShape(network, certainty=certainty)


@pytest.mark.parametrize("certainty", [0.3, 0.5, 0.8])
def test_how_sure_the_network_is_does_not_depend_on_how_sure_it_must_be(
    network: ShapeNetwork, certainty: float
) -> None:
    frames, visible, _ = clip()
    given = (frames, visible, torch.ones_like(visible), flows(3), flows(3))
    plain, stage = NetworkShape(network), NetworkShape(network, certainty=certainty)
    whole = stage(*given)
    sure = stage.probability(whole)
    assert torch.allclose(sure, plain.probability(plain(*given)), atol=1e-4)
    assert torch.equal(sure > certainty, whole > 0.5)
    ends = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1, 1)
    assert torch.allclose(stage.probability(ends).flatten(), torch.tensor([0.0, certainty, 1.0]))


@pytest.mark.parametrize("size", [40, 64])
def test_at_its_own_size_the_stage_gives_the_same_bits(network: ShapeNetwork, size: int) -> None:
    frames, visible, _ = clip()
    given = (frames, visible, torch.ones_like(visible), flows(3), flows(3))
    assert torch.equal(NetworkShape(network, size=size)(*given), NetworkShape(network)(*given))


@pytest.mark.parametrize("half", [False, True])
def test_a_smaller_look_completes_the_mask_at_full_size(network: ShapeNetwork, half: bool) -> None:
    frames, visible, category = clip(b=2, h=64, w=64)
    allowed = (torch.rand_like(visible) > 0.5).float()
    whole = NetworkShape(network, size=32, half=half)(
        frames, visible, allowed, flows(3, 64, 64, 2), flows(3, 64, 64, 2)
    )
    assert (whole >= visible).all()
    assert torch.equal(whole * (1 - allowed), visible * (1 - allowed))
    small = [F.avg_pool2d(x.flatten(0, 1), 2).unflatten(0, (2, 3)) for x in (frames, visible)]
    logits = network(*small, 0 * category)
    large = F.interpolate(logits.flatten(0, 1), scale_factor=2, mode="bilinear").sigmoid().unflatten(0, (2, 3))
    expected = torch.where(allowed > 0.5, torch.maximum(large, visible), visible)
    assert torch.allclose(whole, expected, atol=0.03 if half else 1e-5)


@pytest.mark.slow
def test_a_tiny_network_overfits_one_clip() -> None:
    truth = scene(t=6, size=(64, 80), side=30, speed=(4.0, 0.4))
    network = ShapeNetwork(replace(TINY, channels=(12, 24, 32)))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    category = torch.zeros(1, dtype=torch.long)
    for _ in range(150):
        loss = F.binary_cross_entropy_with_logits(network(truth.frames, truth.visible, category), truth.amodal)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    still = flows(6, 64, 80)
    whole = NetworkShape(network)(truth.frames, truth.visible, torch.ones_like(truth.visible), still, still)
    assert iou(whole * (1 - truth.visible), truth.hidden) > 0.9


def test_background_beside_an_object_at_rest_is_left_unless_the_occluder_is_given(network: ShapeNetwork) -> None:
    still = scene(t=9, size=(64, 64), start=(12.0, 12.0), speed=(0.0, 0.0), side=40, bar=None)
    none = flows(9, 64, 64)
    stage = NetworkShape(network, certainty=0.01)  # takes nearly all for the object
    allowed = torch.ones_like(still.visible)
    assert iou(stage(still.frames, still.visible, allowed, none, none), still.visible) > 0.9
    allowed[..., 0] = 0
    assert iou(stage(still.frames, still.visible, allowed, none, none), allowed) > 0.9
