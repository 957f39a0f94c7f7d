from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from scenes.disc_behind_bar import TINY, clip, lively
from voin.method.fill.colours import part_hidden
from voin.method.fill.generator import PAPER, SMALL, Generator, GeneratorConfig, make_generator


def paint(generator: Generator, *given: Tensor) -> Tensor:
    return generator(*given)[0]


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
        ({"share": 1.5}, r"share is 1.5; it must be finite, at least 0 and at most 1; leave it out"),
        ({"slope": -1.0}, "slope is"),
        ({"classes": -1}, "classes is -1; it must be finite, at least 0; leave it out"),
    ],
)
def test_a_config_is_checked(change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **change)


def test_the_presets_have_the_size_they_should() -> None:
    counts = [sum(x.numel() for x in make_generator(config).parameters()) / 1e6 for config in (SMALL, PAPER)]
    assert 3 < counts[0] < 4
    assert 12 < counts[1] < 15
    assert (SMALL.factor, PAPER.factor) == (8, 4)  # 320x180 are multiples of 4


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
