from __future__ import annotations

from dataclasses import asdict, replace
from itertools import pairwise

import pytest
import torch
from einops import rearrange

from scenes.disc_behind_bar import TINY, clip, lively
from voin.method.fill.colours import part_hidden
from voin.method.fill.generator import Generator
from voin.method.fill.inpaint import InpaintFill
from voin.method.fill.stage import FillGroups, NetworkFill
from voin.method.pipeline import Fill


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
    classical = InpaintFill(rim=0.0)(frames, visible, amodal, confidence)
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
