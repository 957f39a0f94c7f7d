from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from scenes.hidden_clips import inpainter, scene
from voin.method.flow.network import MOTION_UNIT, PAPER, SMALL, FlowConfig, FlowNetwork
from voin.method.flow.smooth import SmoothFlow
from voin.method.flow.stage import NetworkFlow
from voin.method.motion import DIS
from voin.method.pipeline import Flow
from voin.training.losses import flow_l1

B, T, H, W = 2, 5, 20, 28
TINY = FlowConfig(channels=(8, 12, 16), gaps=(0, 1, 1))
Clip = dict[str, Tensor]


def clip(t: int = T, h: int = H, w: int = W) -> Clip:
    """Random frames and flows; an object in the middle, hidden in its left half."""
    amodal = torch.zeros(B, t, 1, h, w)
    amodal[..., 4 : h - 4, 4 : w - 4] = 1
    visible = amodal.clone()
    visible[..., : w // 2] = 0
    initial, prior = torch.randn(2, B, t - 1, 2, h, w)
    frames = torch.rand(B, t, 3, h, w)
    return {"frames": frames, "initial": initial, "prior": prior, "visible": visible, "amodal": amodal}


def network(config: FlowConfig = TINY) -> FlowNetwork:
    """A network whose residue is not 0, as if trained."""
    made = FlowNetwork(config).eval()
    torch.nn.init.normal_(made.head.weight, std=0.3)
    return made


@pytest.mark.parametrize(("t", "h", "w"), [(2, 16, 16), (3, 45, 80), (6, 33, 17)])
@pytest.mark.parametrize("cell", [1, 2, 3])
def test_any_size_comes_back_as_it_was(t: int, h: int, w: int, cell: int) -> None:
    given = clip(t, h, w)
    completed = network(dataclasses.replace(TINY, cell=cell))(**given)
    assert completed.shape == (B, t - 1, 2, h, w)
    assert torch.isfinite(completed).all()


@pytest.mark.parametrize(("t", "h", "w"), [(1, H, W), (T, 7, W), (T, H, 7)])
def test_clips_that_are_too_small_are_refused(t: int, h: int, w: int) -> None:
    frames, flow, mask = torch.rand(1, t, 3, h, w), torch.zeros(1, t - 1, 2, h, w), torch.ones(1, t, 1, h, w)
    with pytest.raises(ValueError, match="at least 2 of at least 8x8"):
        FlowNetwork(TINY)(frames, flow, flow, mask, mask)


@pytest.mark.parametrize("name", ["initial", "prior", "visible", "amodal"])
@pytest.mark.parametrize("axis", [0, 1, 2, 3, 4])
def test_sizes_that_do_not_fit_are_refused_in_each_axis(name: str, axis: int) -> None:
    given = clip()
    given[name] = torch.cat([given[name], given[name].narrow(axis, 0, 1)], dim=axis)
    # Here a wrong size may be seen by the types first; in use there are none, and the network itself looks.
    with pytest.raises(Exception, match=name):
        FlowNetwork(TINY)(**given)
    with pytest.raises(ValueError, match=f"{name} has shape .* it must be .*; give one flow a pair"):
        FlowNetwork(TINY)._check(given.pop("frames"), given)


def test_an_untrained_network_gives_the_prior_inside_and_the_initial_flow_outside() -> None:
    given = clip()
    inside = given["amodal"][:, :-1] > 0
    assert torch.equal(FlowNetwork(TINY)(**given), torch.where(inside, given["prior"], given["initial"]))


def test_outside_the_amodal_mask_flow_comes_back_as_it_was() -> None:
    given = clip()
    outside = (given["amodal"][:, :-1] == 0).expand_as(given["initial"])
    completed = network()(**given)
    assert torch.equal(completed[outside], given["initial"][outside])
    assert not torch.equal(completed[~outside], given["prior"][~outside])


def test_what_hides_the_object_is_not_looked_at() -> None:
    given, made = clip(), network()
    before = made(**given)
    hidden = given["amodal"] * (1 - given["visible"])
    given["frames"] = torch.where(hidden > 0, torch.rand_like(given["frames"]), given["frames"])
    given["initial"] = torch.where(hidden[:, :-1] > 0, 9.0, given["initial"])
    assert torch.equal(made(**given), before)


@pytest.mark.parametrize("name", ["frames", "initial", "prior", "visible", "amodal"])
def test_everything_else_is_looked_at(name: str) -> None:
    given, made = clip(), network()
    before, at = made(**given), H // 2
    place = given[name][:, 1, :, at, W - 6]  # visible
    place += 1 if name in ("initial", "prior") else 1 - 2 * place
    after = made(**given)
    assert (after - before)[:, 1, :, at - 3 : at + 3, W - 10 : W - 7].abs().max() > 1e-6


def test_pairs_know_of_others_as_far_as_the_gaps_reach() -> None:
    made = network(dataclasses.replace(TINY, gaps=(0, 1, 2)))
    assert made.config.reach_pairs == 4
    given = clip(t=14)
    before = made(**given)
    given["prior"][:, 6, :, H // 2, W // 2] += 5
    changed = (made(**given) - before).abs().amax(dim=(0, 2, 3, 4)) > 0
    assert changed.nonzero()[:, 0].tolist() == list(range(2, 11))


def test_without_gaps_each_pair_is_by_itself() -> None:
    made, given = network(dataclasses.replace(TINY, gaps=(0, 0, 0))), clip()
    alone = {name: x[:, 2:3] if name in ("initial", "prior") else x[:, 2:4] for name, x in given.items()}
    assert made.config.reach_pairs == 0
    assert torch.allclose(made(**given)[:, 2:3], made(**alone), atol=1e-5)


def test_clips_of_a_batch_are_by_themselves() -> None:
    made, given = network(), clip()
    alone = made(**{name: x[1:] for name, x in given.items()})
    assert torch.allclose(made(**given)[1:], alone, atol=1e-5)


def test_a_long_clip_has_the_same_bits_with_gradients_as_without() -> None:
    given, made = clip(t=40), network()
    with torch.no_grad():
        plain = made(**given)
    assert torch.equal(made(**given), plain)


def test_layers_that_work_on_some_pairs_at_a_time_do_what_they_do_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    given, made, found = clip(t=12), network(), {}
    for pairs in (3, 100):
        monkeypatch.setattr("voin.method.flow.network._PAIRS", pairs)
        made.zero_grad()
        result = made(**given)
        result.square().mean().backward()
        found[pairs] = [result.detach(), *(x.grad for x in made.parameters())]
    for some, all_of_them in zip(found[3], found[100], strict=True):
        assert torch.allclose(some, all_of_them, rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_parameter() -> None:
    made, given = network(), clip()
    flow_l1(made(**given), torch.randn_like(given["initial"]), given["amodal"][:, :-1]).backward()
    without = [name for name, each in made.named_parameters() if each.grad is None or not each.grad.any()]
    assert without == []


def test_twice_the_picture_with_twice_the_motion_is_twice_the_motion_inside() -> None:
    # Flows are normalised by the width: what the network sees of them does not depend on the resolution.
    made = network()
    given = clip()
    larger = {name: x.repeat_interleave(2, -1).repeat_interleave(2, -2) for name, x in given.items()}
    larger = {name: 2 * x if name in ("initial", "prior") else x for name, x in larger.items()}
    seen = []
    for each in (given, larger):
        unit = MOTION_UNIT * each["frames"].shape[-1]
        seen.append(made._inputs(**each, unit=unit)[:, -4:])
    assert torch.allclose(seen[1][..., ::2, ::2], seen[0])


# Ablations


def test_direct_regression_does_not_start_from_the_prior() -> None:
    given, direct = clip(), FlowNetwork(dataclasses.replace(TINY, residual=False))
    inside = (given["amodal"][:, :-1] > 0).expand_as(given["initial"])
    assert (direct(**given)[inside] == 0).all()


def test_from_raw_flow_the_residue_is_added_to_what_was_estimated() -> None:
    given, raw = clip(), FlowNetwork(dataclasses.replace(TINY, start="raw"))
    assert torch.equal(raw(**given), given["initial"])
    made = network(raw.config)
    other = {**given, "prior": torch.randn_like(given["prior"])}
    assert torch.equal(made(**given), made(**other))
    # All the network is told of motion is what the occluder left of it.
    hidden = (given["amodal"] * (1 - given["visible"]))[:, :-1] > 0
    other = {**given, "initial": torch.where(hidden, given["initial"] + 3, given["initial"])}
    assert not torch.equal(made(**given), made(**other))


def test_pasted_in_the_hole_flow_is_kept_where_the_object_is_seen() -> None:
    given, made = clip(h=32, w=48), network(dataclasses.replace(TINY, pasted="hole", guidance=False, residual=False))
    completed = made(**given, width=80)  # grown by two pixels
    hole = (given["amodal"] * (1 - given["visible"]))[:, :-1]
    grown = torch.nn.functional.max_pool2d(hole.flatten(0, 1), 5, stride=1, padding=2).view_as(hole) > 0
    beyond = ~grown.expand_as(completed)
    assert torch.equal(completed[beyond], given["initial"][beyond])
    # It does not end at the object's outline, which such a method does not know.
    outside = (grown & (given["amodal"][:, :-1] == 0)).expand_as(completed)
    assert (completed[outside] != given["initial"][outside]).all()


def test_without_guidance_the_network_is_not_told_the_amodal_mask() -> None:
    made, given = network(dataclasses.replace(TINY, guidance=False)), clip()
    assert made.stem.in_channels == network().stem.in_channels - 2 * TINY.cell**2
    other = {**given, "amodal": torch.ones_like(given["amodal"])}
    # The prior is completed inside the amodal mask: it must not tell either.
    other["prior"] = torch.where(given["visible"][:, :-1] > 0, given["prior"], 7.0)
    one, two = (made._inputs(**each, unit=1.0) for each in (given, other))
    assert torch.equal(one, two)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": ()}, "channels"),
        ({"channels": (8, 0, 8)}, "channels"),
        ({"gaps": (0, 1)}, "one number of at least 0 a level"),
        ({"gaps": (0, 1, -1)}, r"gaps is \(0, 1, -1\); it must be finite, at least 0; leave it out"),
        ({"cell": 0}, "cell"),
    ],
)
def test_a_config_that_cannot_be_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)


def test_the_presets_have_their_sizes() -> None:
    with torch.device("meta"):
        small, paper = (sum(p.numel() for p in FlowNetwork(each).parameters()) for each in (SMALL, PAPER))
    assert 2.2e6 < small < 2.7e6
    assert 1e7 < paper < 1.2e7
    assert PAPER.reach_pairs == 0
    assert 192 % SMALL.step == 0


def test_it_works_in_bfloat16_and_channels_last() -> None:
    given, made = clip(), network()
    exact = made(**given)
    made = made.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        close = made(**given)
    assert close.dtype == torch.float32
    assert (close - exact).abs().max() < 0.05


# In the pipeline


def test_it_is_a_flow_of_the_pipeline() -> None:
    stage = NetworkFlow(FlowNetwork(TINY))
    assert isinstance(stage, Flow)
    seen = scene()
    done = inpainter(flow=stage)(seen.frames, seen.visible, amodal=seen.amodal)
    smooth = inpainter()(seen.frames, seen.visible, amodal=seen.amodal)
    # Untrained it is the smooth completion.
    assert torch.allclose(done.frames, smooth.frames, atol=1e-3)


def estimated(t: int = 10) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """A clip, unoccluded in its first frames, with the flow of DIS."""
    seen = scene(t=t, start=(0.0, 20.0))
    return seen.frames, *DIS()(seen.frames), seen.visible, seen.amodal


def test_pairs_without_anything_hidden_come_back_untouched() -> None:
    frames, forward, backward, visible, amodal = estimated()
    hidden = (amodal > visible).flatten(2).any(dim=2)[0]
    clear = ~(hidden[1:] | hidden[:-1])
    assert clear.any()
    assert not clear.all()
    done = NetworkFlow(network())(frames, forward, backward, visible, amodal)
    for each, initial in zip(done, (forward, backward), strict=True):
        assert torch.equal(each[:, clear], initial[:, clear])
        assert (each != initial)[:, ~clear].flatten(2).any(dim=2).all()
    untouched = NetworkFlow(network())(frames, forward, backward, amodal, amodal)
    assert torch.equal(untouched[0], forward)


@pytest.mark.parametrize("group_pairs", [1, 2, 3])
def test_the_groups_do_not_show_in_the_result(group_pairs: int) -> None:
    given, made = estimated(16), network()
    whole = NetworkFlow(made, group_pairs=100)(*given)
    parts = NetworkFlow(made, group_pairs=group_pairs)(*given)
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_backward_is_the_forward_of_the_reversed_clip() -> None:
    frames, forward, backward, visible, amodal = estimated()
    stage = NetworkFlow(network(), prior=Given())
    done = stage(frames, forward, backward, visible, amodal)
    turned = stage(frames.flip(1), backward.flip(1), forward.flip(1), visible.flip(1), amodal.flip(1))
    assert torch.allclose(done[1], turned[0].flip(1), atol=1e-5)
    assert torch.allclose(done[0], turned[1].flip(1), atol=1e-5)


class Given(SmoothFlow):
    """Take flow as completed as it is."""

    def __call__(
        self,
        frames: Tensor,
        forward: Tensor,
        backward: Tensor,
        visible: Tensor,
        amodal: Tensor,
        given: Tensor | None = None,
        wanted: range | None = None,
    ) -> tuple[Tensor, Tensor]:
        return forward, backward


class Constant(FlowNetwork):
    """Add (1, -2) pixels to the prior inside the object."""

    def forward(
        self, frames: Tensor, initial: Tensor, prior: Tensor, visible: Tensor, amodal: Tensor, width: int | None = None
    ) -> Tensor:
        completed = prior + torch.tensor([1.0, -2.0]).view(2, 1, 1)
        return torch.where(amodal[:, :-1] > 0.5, completed, initial)


@pytest.mark.parametrize("size", [80, 200])
def test_at_its_own_size_the_stage_gives_the_same_bits(size: int) -> None:
    given, made = estimated(), network()
    for one, other in zip(NetworkFlow(made, size=size)(*given), NetworkFlow(made)(*given), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("size", [40, 32])
def test_what_a_smaller_look_adds_comes_back_in_pixels_of_the_full_size(size: int) -> None:
    frames, forward, backward, visible, amodal = estimated()
    done = NetworkFlow(Constant(TINY), size=size)(frames, forward, backward, visible, amodal)
    smooth = SmoothFlow()(frames, forward, backward, visible, amodal)
    unit = torch.tensor([80 / size, -2 * 64 / min(64, size)]).view(2, 1, 1)
    hidden = (amodal > visible).flatten(2).any(dim=2)
    touched = (hidden[:, 1:] | hidden[:, :-1])[..., None, None, None]
    for each, prior, whole in zip(done, smooth, (amodal[:, :-1], amodal[:, 1:]), strict=True):
        expected = torch.where((whole > 0.5) & touched, prior + unit, prior)
        assert torch.allclose(each, expected, atol=1e-4)


@pytest.mark.parametrize("half", [False, True])
def test_outside_the_object_a_smaller_look_changes_nothing(half: bool) -> None:
    frames, forward, backward, visible, amodal = estimated()
    done = NetworkFlow(network(), size=40, half=half)(frames, forward, backward, visible, amodal)
    for each, initial, whole in zip(done, (forward, backward), (amodal[:, :-1], amodal[:, 1:]), strict=True):
        outside = (whole <= 0.5).expand_as(each)
        assert torch.equal(each[outside], initial[outside])
        assert not torch.equal(each, initial)


def test_a_cutting_of_a_picture_is_told_the_width_of_the_whole() -> None:
    made, given = network(), clip(h=32, w=40)
    # Nothing beyond the object counts but for the few cells that convolutions reach over.
    whole, part = made(**given), made(**{name: x[..., 16:] for name, x in given.items()}, width=40)
    apart = made(**{name: x[..., 16:] for name, x in given.items()})
    inside = (given["amodal"][:, :-1] > 0.5).expand_as(whole)[..., 28:]
    near = [(each[..., 12:] - whole[..., 28:])[inside].abs().mean() for each in (part, apart)]
    assert near[0] < 0.5 * near[1]


def test_what_lies_far_from_the_object_is_not_looked_at() -> None:
    frames, forward, backward, visible, amodal = (torch.nn.functional.pad(x, (0, 48)) for x in estimated())
    stage = NetworkFlow(network())
    done = stage(frames, forward, backward, visible, amodal)
    other_rim = frames.clone()
    other_rim[..., -24:] = torch.rand_like(other_rim[..., -24:])
    for one, other in zip(done, stage(other_rim, forward, backward, visible, amodal), strict=True):
        assert torch.equal(one, other)


def test_what_the_network_adds_is_shortened() -> None:
    given = estimated()
    smooth = SmoothFlow()(*given)
    plain, short = (NetworkFlow(Constant(TINY), least=least)(*given) for least in (0.0, 0.8))
    added = (5**0.5 - 0.8 * given[0].shape[-1] / 256) / 5**0.5
    for one, other, prior in zip(plain, short, smooth, strict=True):
        assert torch.allclose(other - prior, added * (one - prior), atol=1e-4)
    for one, prior, whole in zip(
        NetworkFlow(Constant(TINY), least=100.0)(*given), smooth, (given[4][:, :-1], given[4][:, 1:]), strict=True
    ):
        inside = (whole > 0.5).expand_as(one)
        assert torch.allclose(one[inside], prior[inside], atol=1e-4)


def test_half_precision_gives_nearly_the_same() -> None:
    given, made = estimated(), network()
    for one, other in zip(NetworkFlow(made, half=True)(*given), NetworkFlow(made)(*given), strict=True):
        assert torch.allclose(one, other, atol=0.3)


def test_a_single_frame_has_no_flow() -> None:
    frames, forward, backward, visible, amodal = estimated()
    done = NetworkFlow(network())(frames[:, :1], forward[:, :0], backward[:, :0], visible[:, :1], amodal[:, :1])
    assert done[0].shape[1] == 0


def test_no_group_is_refused() -> None:
    with pytest.raises(ValueError, match="group_pairs is 0"):
        NetworkFlow(FlowNetwork(TINY), group_pairs=0)


@pytest.mark.slow
def test_a_tiny_one_overfits_a_clip() -> None:
    given, made = turning(), FlowNetwork(TINY)
    truth = given.pop("truth")
    hidden = ((given["amodal"] - given["visible"])[:, :-1] > 0).expand_as(truth)
    before = (given["prior"] - truth)[hidden].abs().mean()
    optimizer = torch.optim.AdamW(made.parameters(), lr=3e-3)
    for _ in range(300):
        loss = flow_l1(made(**given), truth, given["amodal"][:, :-1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = (made(**given) - truth)[hidden].abs().mean()
    assert after < 0.1 * before


def turning(t: int = 8, size: int = 32) -> Clip:
    """An object whose parts move differently, by sines over place and time; its prior is one plain shift."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    phase = torch.arange(t - 1).view(-1, 1, 1) / 2
    truth = torch.stack([2 * torch.sin(x / 6 + phase), 2 * torch.cos(y / 5 - phase)], dim=1)[None]
    amodal = ((x - 16.0) ** 2 + (y - 16.0) ** 2 < 13**2).float().expand(1, t, 1, size, size)
    bar = torch.stack([((x >= 4 + 2 * i) & (x < 12 + 2 * i)).float() for i in range(t)])[None, :, None]
    visible = amodal * (1 - bar)
    prior = torch.where(visible[:, :-1] > 0, truth, 0.0)
    return {
        "frames": torch.rand(1, t, 3, size, size),
        "initial": torch.where(bar[:, :-1] > 0, 2.0, truth),
        "prior": prior,
        "visible": visible,
        "amodal": amodal,
        "truth": truth,
    }


@pytest.mark.parametrize("size", [None, 32])
def test_the_papers_own_form_goes_through_the_stage(size: int | None) -> None:
    given = {name: x[:1] for name, x in clip(h=48, w=64).items()}
    hidden = (given["amodal"] * (1 - given["visible"]))[:, :-1] > 0

    class Unasked(SmoothFlow):
        def __call__(self, *_: Tensor | range | None) -> tuple[Tensor, Tensor]:
            raise AssertionError("nothing is to be completed smoothly")

    flows = given["frames"], given["initial"], given["initial"]
    for pasted in ("object", "hole"):
        made = network(dataclasses.replace(TINY, start="raw", pasted=pasted))
        stage = NetworkFlow(made, Unasked(), size=size)
        for completed in stage(*flows, given["visible"], given["amodal"]):
            changed = completed != given["initial"]
            assert changed[hidden.expand_as(changed)].all()
            seen = (given["visible"][:, :-1] > 0).expand_as(changed)
            # Eight pixels from the hole, which is grown by two.
            assert changed[..., 40:][seen.expand_as(changed)[..., 40:]].any() == (pasted == "object")
