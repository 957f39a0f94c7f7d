from __future__ import annotations

from dataclasses import asdict, replace
from itertools import pairwise

import pytest
import torch
from einops import rearrange
from torch import Tensor

from voin.fill_classical import FillConfig, InpaintFill
from voin.generator import PAPER, SMALL, FillGroups, Generator, GeneratorConfig, NetworkFill, part_hidden
from voin.pipeline import Fill

TINY = GeneratorConfig(channels=(6, 8, 12, 16), dilations=(1, 2), classes=3)
Clip = tuple[Tensor, Tensor, Tensor, Tensor]


def clip(t: int = 6, size: tuple[int, int] = (32, 48), b: int = 1) -> Clip:
    """A disc behind a bar, half of what is hidden propagated: frames, visible, amodal, confidence."""
    h, w = size
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    amodal = ((x - w / 2) ** 2 + (y - h / 2) ** 2 < (0.4 * h) ** 2).float().expand(b, t, 1, h, w)
    bar = torch.stack([(x + i % 8 >= w // 2 - 2) & (x + i % 8 < w // 2 + 6) for i in range(t)]).float()
    visible = amodal * (1 - bar[:, None])
    confidence = 0.7 * (y < h / 2) * (amodal - visible)
    return torch.rand(b, t, 3, h, w), visible, amodal.clone(), confidence


def paint(generator: Generator, *given: Tensor) -> Tensor:
    return generator(*given)[0]


def lively(config: GeneratorConfig = TINY) -> Generator:
    """An untrained network whose last layer is not nearly silent."""
    generator = Generator(config).eval()
    torch.nn.init.normal_(generator.colours.weight, std=0.3)
    return generator


@pytest.mark.parametrize("size", [(32, 48), (48, 32)])
@pytest.mark.parametrize("t", [1, 2, 7])
def test_colours_come_out_for_every_pixel(t: int, size: tuple[int, int]) -> None:
    frames, *masks = clip(t, size, b=2)
    colours = paint(lively(), frames, *masks)
    assert colours.shape == frames.shape
    assert colours.min() >= 0
    assert colours.max() <= 1


@pytest.mark.parametrize(("size", "name"), [((36, 48), "height of 36"), ((32, 44), "width of 44")])
def test_sizes_that_do_not_halve_are_refused(size: tuple[int, int], name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} pixels; it must be a multiple of 8 .*; pad the frames"):
        Generator(TINY)(*clip(2, size))


def test_missing_pixels_are_not_looked_at() -> None:
    for smooth_start in (True, False):
        frames, *masks = clip(b=2)
        generator = lively(replace(TINY, smooth_start=smooth_start))
        _, missing = part_hidden(*masks)
        other = torch.where(missing, torch.rand_like(frames), frames)
        assert not torch.equal(frames, other)
        assert torch.equal(paint(generator, frames, *masks), paint(generator, other, *masks))


def test_pixels_that_are_known_are_looked_at() -> None:
    frames, visible, amodal, confidence = clip()
    generator = lively()
    hidden, missing = part_hidden(visible, amodal, confidence)
    for known in (visible > 0, hidden & ~missing, amodal == 0):
        other = torch.where(known, 1 - frames, frames)
        change = (
            paint(generator, other, visible, amodal, confidence) - paint(generator, frames, visible, amodal, confidence)
        ).abs()
        assert (change * missing).max() > 1e-4


def test_confidence_counts_only_where_something_is_hidden() -> None:
    frames, visible, amodal, confidence = clip()
    generator = lively()
    hidden, _ = part_hidden(visible, amodal, confidence)
    elsewhere = torch.where(hidden, confidence, torch.rand_like(confidence))
    assert torch.equal(
        paint(generator, frames, visible, amodal, confidence), paint(generator, frames, visible, amodal, elsewhere)
    )
    half = paint(generator, frames, visible, amodal, confidence / 2)
    assert not torch.equal(paint(generator, frames, visible, amodal, confidence), half)


def test_information_flows_far_across_time() -> None:
    # A still start, so that only the network itself carries anything over.
    generator = lively(replace(TINY, smooth_start=False))
    frames, *masks = clip(t=17)
    other = frames.clone()
    other[:, 8] = 1 - other[:, 8]
    moved = (paint(generator, other, *masks) - paint(generator, frames, *masks)).abs().flatten(2).amax(dim=2)[0]
    assert (moved > 0).all()
    alone = lively(replace(TINY, smooth_start=False, shifts=()))
    moved = (paint(alone, other, *masks) - paint(alone, frames, *masks)).abs().flatten(2).amax(dim=2)[0]
    assert (moved > 0).nonzero()[:, 0].tolist() == [8]


def test_clips_of_a_batch_do_not_mix() -> None:
    frames, *masks = clip(b=2)
    generator = lively()
    both = paint(generator, frames, *masks)
    for i in range(2):
        alone = paint(generator, frames[i : i + 1], *(x[i : i + 1] for x in masks))
        assert torch.allclose(both[i : i + 1], alone, atol=1e-5)


@pytest.mark.parametrize("config", [TINY, replace(TINY, gating=False, smooth_start=False, slope=0.0, classes=0)])
def test_gradients_reach_every_weight(config: GeneratorConfig) -> None:
    frames, *masks = clip(b=2)
    category = torch.tensor([0, 2])
    generator = lively(config).train()
    made, weight = generator(frames, *masks, category)
    ((made - torch.rand_like(frames)).square().sum() + weight.square().sum()).backward()
    for name, weight in generator.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_gating_tells_the_gates_of_the_masks() -> None:
    told, plain = Generator(TINY), Generator(replace(TINY, gating=False))
    extra = {name for name, _ in told.named_parameters()} - {name for name, _ in plain.named_parameters()}
    assert extra
    assert all(name.endswith("guide.weight") for name in extra)


def test_a_category_is_told_and_one_that_does_not_exist_refused() -> None:
    frames, *masks = clip()
    generator = lively()
    unknown, second = (paint(generator, frames, *masks, torch.tensor([i])) for i in (0, 2))
    assert torch.equal(unknown, paint(generator, frames, *masks))
    assert torch.equal(unknown, second)  # untrained, all are "an object"
    assert generator.category is not None
    torch.nn.init.normal_(generator.category.weight)
    assert not torch.equal(
        paint(generator, frames, *masks, torch.tensor([0])), paint(generator, frames, *masks, torch.tensor([2]))
    )
    with pytest.raises(ValueError, match=r"category is \[4\]; it must lie in 0\.\.3"):
        paint(generator, frames, *masks, torch.tensor([4]))


def test_upsampling_leaves_no_checkerboard() -> None:
    generator = lively(replace(TINY, smooth_start=False, channels=(6, 8), dilations=(1,)))
    size = (48, 48)
    # All is alike everywhere, so the result may differ only by how far away the picture's edge is.
    zeros = torch.zeros(1, 1, 1, *size)
    colours = paint(generator, torch.full((1, 1, 3, *size), 0.3), zeros, zeros, zeros)
    middle = colours[..., 16:32, 16:32]
    assert torch.allclose(middle, middle[..., :1, :1].expand_as(middle), atol=1e-5)


def test_half_precision_gives_nearly_the_same() -> None:
    frames, *masks = clip()
    generator = lively()
    whole = paint(generator, frames, *masks)
    with torch.autocast("cpu", torch.bfloat16):
        half = paint(generator, frames, *masks)
    assert half.dtype == frames.dtype
    assert (whole - half).abs().mean() < 0.02


def test_at_first_tracks_are_believed_as_they_say() -> None:
    given = clip(b=2)
    for weigh in (True, False):
        _, weight = Generator(replace(TINY, weigh=weigh, keep=0.0))(*given)
        hidden, _ = part_hidden(*given[1:])
        assert torch.allclose(weight, torch.where(hidden, given[3], 1.0), atol=1e-6)


def test_what_was_found_counts_at_least_as_much_as_is_kept() -> None:
    given = clip(b=2)
    generator = Generator(replace(TINY, keep=0.5))
    assert generator.balance is not None
    torch.nn.init.normal_(generator.balance.weight, std=5.0)
    hidden, missing = part_hidden(*given[1:])
    _, weight = generator(*given)
    assert (weight[hidden & ~missing] >= 0.5).all()
    assert (weight[hidden & ~missing] < 0.51).any()
    assert (weight[missing] == 0).all()


def test_how_far_tracks_are_believed_depends_on_what_they_brought() -> None:
    frames, visible, amodal, confidence = clip()
    generator = lively()
    assert generator.balance is not None
    torch.nn.init.normal_(generator.balance.weight)
    hidden, missing = part_hidden(visible, amodal, confidence)
    found = hidden & ~missing
    weights = [
        generator(each, visible, amodal, confidence)[1] for each in (frames, torch.where(found, 1 - frames, frames))
    ]
    for weight in weights:
        assert (weight[missing] == 0).all()
        assert (weight[~hidden] == 1).all()
        assert ((weight[found] > 0) & (weight[found] < 1)).all()
    assert (weights[0] - weights[1])[found].abs().max() > 0.01
    all_believed = generator(frames, visible, amodal, torch.ones_like(confidence))[1]
    assert (all_believed == 1).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": (16,)}, "channels is .* at least 2 whole numbers"),
        ({"dilations": (1, 0)}, "dilations is"),
        ({"shifts": (0, 1)}, "shifts is"),
        ({"share": 1.5}, r"share is 1.5; it must lie in \[0, 1\]"),
        ({"slope": -1.0}, "slope is"),
        ({"classes": -1}, "classes is -1; it must be 0 or more"),
    ],
)
def test_a_config_is_checked(change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **change)


def test_the_presets_have_the_size_they_should() -> None:
    counts = [sum(x.numel() for x in Generator(config).parameters()) / 1e6 for config in (SMALL, PAPER)]
    assert 3 < counts[0] < 4
    assert 10 < counts[1] < 15
    assert (SMALL.factor, PAPER.factor) == (8, 4)  # 320x180 are multiples of 4


# NetworkFill


def test_it_is_a_fill_of_the_pipeline() -> None:
    fill = NetworkFill(Generator(TINY), ("dog", "cat", "cow"))
    assert isinstance(fill, Fill)
    assert asdict(fill.config) == asdict(TINY)


@pytest.mark.parametrize("size", [(32, 48), (37, 43), (9, 50)])
@pytest.mark.parametrize("half", [False, True])
def test_only_hidden_pixels_change(size: tuple[int, int], half: bool) -> None:
    frames, visible, amodal, confidence = clip(size=size, b=2)
    kept = frames.clone()
    filled = NetworkFill(lively(), half=half)(frames, visible, amodal, confidence)
    hidden = part_hidden(visible, amodal, confidence)[0].expand_as(frames)
    assert filled.shape == frames.shape
    assert torch.equal(filled[~hidden], frames[~hidden])
    assert torch.equal(frames, kept)
    assert (filled[hidden] != frames[hidden]).float().mean() > 0.9
    assert filled[hidden].min() >= 0
    assert filled[hidden].max() <= 1


@pytest.mark.parametrize("size", [48, 64])
def test_at_its_own_size_the_stage_gives_the_same_bits(size: int) -> None:
    given, generator = clip(), lively()
    assert torch.equal(NetworkFill(generator, size=size)(*given), NetworkFill(generator)(*given))


@pytest.mark.parametrize("half", [False, True])
def test_a_smaller_look_changes_hidden_pixels_alone_and_sees_no_missing_ones(half: bool) -> None:
    frames, visible, amodal, confidence = clip(size=(64, 64), b=2)
    fill = NetworkFill(lively(), size=32, half=half)
    filled = fill(frames, visible, amodal, confidence)
    hidden, missing = part_hidden(visible, amodal, confidence)
    assert torch.equal(filled[~hidden.expand_as(frames)], frames[~hidden.expand_as(frames)])
    other = torch.where(missing, torch.rand_like(frames), frames)
    again = fill(other, visible, amodal, confidence)
    assert torch.allclose(again[hidden.expand_as(frames)], filled[hidden.expand_as(frames)], atol=1e-6)


def test_one_colour_stays_that_colour_at_a_smaller_look() -> None:
    _, visible, amodal, confidence = clip(size=(64, 64))
    frames = torch.where(amodal > 0.5, 0.3, 0.9).expand(1, 6, 3, 64, 64).clone()
    generator = Generator(TINY)
    torch.nn.init.zeros_(generator.colours.weight)
    filled = NetworkFill(generator, size=32)(frames, visible, amodal, confidence)
    inside = (amodal > 0.5).expand_as(frames)
    assert torch.allclose(filled[inside], torch.tensor(0.3), atol=0.03)


def test_what_lies_far_from_the_object_is_not_looked_at() -> None:
    given = [torch.nn.functional.pad(x, (0, 48)) for x in clip()]
    fill = NetworkFill(lively())
    filled = fill(given[0], given[1], given[2], given[3])
    far = given[0].clone()
    far[..., -30:] = torch.rand_like(far[..., -30:])
    again = fill(far, given[1], given[2], given[3])
    assert torch.equal(again[..., :-30], filled[..., :-30])
    assert torch.equal(again[..., -30:], far[..., -30:])


def test_nothing_hidden_or_all_believed_changes_nothing() -> None:
    frames, visible, amodal, confidence = clip()
    fill = NetworkFill(lively())
    assert torch.equal(fill(frames, amodal, amodal, confidence), frames)
    assert torch.equal(fill(frames, visible, amodal, torch.ones_like(amodal)), frames)


def test_what_is_missing_is_what_the_network_made_and_the_rest_is_mixed() -> None:
    frames, visible, amodal, confidence = clip()
    generator = lively()
    made, weight = generator(frames, visible, amodal, confidence)
    filled = NetworkFill(generator)(frames, visible, amodal, confidence)
    hidden, missing = part_hidden(visible, amodal, confidence)
    assert torch.allclose(filled[missing.expand_as(frames)], made[missing.expand_as(frames)], atol=1e-6)
    mixed = (weight * frames + (1 - weight) * made)[hidden.expand_as(frames)]
    assert torch.allclose(filled[hidden.expand_as(frames)], mixed, atol=1e-6)


def test_an_untrained_network_fills_as_the_classical_part_does() -> None:
    _, visible, amodal, confidence = clip(size=(64, 64))
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing="ij")
    frames = (0.2 + 0.6 * torch.stack([x, y, (x + y) / 2])).expand(1, 6, 3, 64, 64).clone()
    generator = Generator(replace(TINY, keep=0.0))
    torch.nn.init.zeros_(generator.colours.weight)
    ours = NetworkFill(generator)(frames, visible, amodal, confidence)
    classical = InpaintFill(FillConfig(rim=0.0))(frames, visible, amodal, confidence)
    assert torch.allclose(ours, classical, atol=1e-3)


def test_an_object_that_no_frame_shows_is_filled_too() -> None:
    frames, visible, amodal, _ = clip()
    filled = NetworkFill(lively())(frames, torch.zeros_like(visible), amodal, torch.zeros_like(visible))
    assert torch.isfinite(filled).all()


def test_the_category_is_told_by_name() -> None:
    generator = lively()
    assert generator.category is not None
    torch.nn.init.normal_(generator.category.weight)
    names = ("dog", "cat")
    given = clip()
    unknown, dog, cat, cow = (NetworkFill(generator, names)(*given, word) for word in (None, "dog", "cat", "cow"))
    assert torch.equal(unknown, cow)
    assert not torch.equal(unknown, dog)
    assert not torch.equal(dog, cat)
    with pytest.raises(ValueError, match="there are 4 categories for a generator of 3 classes"):
        NetworkFill(generator, ("a", "b", "c", "d"))


def test_long_clips_are_cut_and_joined_without_a_step() -> None:
    given = clip(t=40)
    generator = lively()
    whole, cut, hard = (
        NetworkFill(generator, groups=FillGroups(*each, neighbours=0))(*given) for each in ((40, 0), (16, 6), (16, 0))
    )
    errors = [rearrange((x - whole).abs(), "1 t c h w -> t (c h w)").mean(dim=1) for x in (cut, hard)]
    assert errors[0].mean() < errors[1].mean()
    assert errors[0].max() < errors[1].max()


@pytest.mark.parametrize("groups", [FillGroups(), FillGroups(5, 2, 0), FillGroups(8, 3, 1), FillGroups(1, 0, 0)])
def test_groups_cover_the_hidden_frames_with_weights_that_sum_to_one(groups: FillGroups) -> None:
    generator = torch.Generator().manual_seed(0)
    for t in (1, 2, 9, 60):
        for rate in (0.0, 0.1, 0.6, 1.0):
            touched = (torch.rand(t, generator=generator) < rate).tolist()
            total, parts = torch.zeros(t), groups.cut(touched)
            for part, weights in parts:
                assert len(part) == len(weights) <= groups.frames
                total[part.start : part.stop] += torch.tensor(weights)
            near = [any(touched[max(i - groups.neighbours, 0) : i + groups.neighbours + 1]) for i in range(t)]
            assert torch.allclose(total, torch.tensor(near).float())
            for (before, _), (after, _) in pairwise(parts):
                assert after.start > before.start


def test_the_network_sees_only_hidden_frames_and_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, visible, amodal, confidence = clip(t=30)
    amodal[:, :12], amodal[:, 14:] = visible[:, :12], visible[:, 14:]
    fill, seen = NetworkFill(lively(), groups=FillGroups(24, 4, 3)), []
    original = fill.generator.forward

    def forward(*given):
        seen.append(given[0].shape[1])
        return original(*given)

    monkeypatch.setattr(fill.generator, "forward", forward)
    fill(frames, visible, amodal, confidence)
    assert seen == [8]


def test_groups_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap must be 0 or more and less than half a group"):
        FillGroups(8, 4, 0)


@pytest.mark.slow
def test_a_tiny_network_overfits_one_clip() -> None:
    _, visible, amodal, confidence = clip(t=6, size=(48, 48))
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    stripes = torch.stack(
        [0.5 + 0.4 * torch.sin((x + 2 * i) / 2.5 + k) * torch.cos(y / 3) for i in range(6) for k in range(3)]
    )
    truth = stripes.view(1, 6, 3, 48, 48)
    hidden, _ = part_hidden(visible, amodal, confidence)
    confidence = torch.zeros_like(confidence)
    frames = torch.where(hidden, 0.5, truth)
    generator = Generator(GeneratorConfig(channels=(12, 16, 24, 32), dilations=(1, 2, 4), classes=0))
    optimizer = torch.optim.Adam(generator.parameters(), lr=3e-3)
    errors = []
    for _ in range(200):
        made = paint(generator, frames, visible, amodal, confidence)
        error = ((made - truth) * hidden).abs().sum() / (3 * hidden.sum())
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.15 * errors[0], (errors[0], errors[-1])
