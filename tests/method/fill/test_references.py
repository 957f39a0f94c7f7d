from __future__ import annotations

from dataclasses import replace

import torch

from scenes.disc_behind_bar import TINY, clip, lively
from voin.method.fill.colours import part_hidden
from voin.method.fill.generator import Generator
from voin.method.fill.references import References, choose_frames
from voin.method.fill.stage import FillGroups, NetworkFill
from voin.method.stages import Shown

SEEING = replace(TINY, references=3, smooth_start=False, shifts=())


def asking(config=SEEING) -> Generator:
    """A network whose references are not silent."""
    torch.manual_seed(1)
    generator = lively(config)
    for layer in (generator.references.coarse, generator.references.fine):  # pyright: ignore[reportOptionalMemberAccess]
        torch.nn.init.normal_(layer.weight, std=0.3)
    return generator


def test_the_frame_that_shows_most_is_chosen_in_each_part_of_the_clip() -> None:
    visible = torch.zeros(1, 9, 1, 8, 8)
    for frame, rows in enumerate((1, 5, 2, 0, 0, 3, 4, 4, 1)):
        visible[:, frame, :, :rows] = 1
    assert choose_frames(visible, 3).tolist() == [[1, 5, 6]]
    assert choose_frames(visible[:, :2], 4).tolist() == [[0, 1]]


def test_before_training_they_add_nothing() -> None:
    given = clip()
    torch.manual_seed(3)
    plain = lively(replace(SEEING, references=0))
    torch.manual_seed(3)
    generator = lively(SEEING)
    generator.load_state_dict({**generator.state_dict(), **plain.state_dict()})
    assert torch.equal(generator(*given)[0], plain(*given)[0])


def test_a_hidden_cell_is_told_what_its_likeness_holds_and_others_nothing() -> None:
    references = References(4, 1, heads=1)
    for layer in (references.ask, references.key):
        torch.nn.init.eye_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    with torch.no_grad():
        references.coarse.weight.copy_(torch.eye(8)[:4])
        references.fine.weight.copy_(torch.eye(8)[4:])
    # Four cells, each of its own kind; the object covers the first three.
    coarse = 60 * torch.eye(4).view(1, 1, 4, 2, 2)
    fine = torch.arange(16.0).view(1, 1, 1, 4, 4)
    visible = torch.tensor([1.0, 1.0, 0.8, 0.5]).view(1, 1, 1, 2, 2)
    cells = references.remember(coarse, fine, visible)
    assert [len(part) for part in cells[0]] == [3, 3]
    hidden = torch.tensor([0.0, 0.2, 0.0, 1.0]).view(1, 1, 1, 2, 2)
    told, detail = references(coarse, hidden, cells)
    torch.testing.assert_close(told[..., 0, 1], coarse[..., 0, 1])
    torch.testing.assert_close(detail[..., :2, 2:], fine[..., :2, 2:])
    assert told[..., 0, :1].abs().sum() == told[..., 1, 0].abs().sum() == 0
    # The last is like none of them: an equal part of each, and of nothing.
    torch.testing.assert_close(told[0, 0, :, 1, 1], torch.tensor([15.0, 15.0, 15.0, 0.0]))


def test_only_the_object_s_visible_pixels_are_looked_at() -> None:
    frames, visible, amodal, confidence = clip(t=4, size=(64, 64))
    generator = asking()
    # Far from the object, out of the reach of any convolution.
    cells = generator.remember(frames, visible)
    assert cells is not None
    nothing = generator.remember(frames, torch.zeros_like(visible))
    assert nothing is not None
    assert len(cells[0][0]) > 0
    assert len(nothing[0][0]) == 0
    told = generator(frames, visible, amodal, confidence, references=nothing)[0]
    assert torch.isfinite(told).all()
    assert not torch.equal(told, generator(frames, visible, amodal, confidence, references=cells)[0])


def test_what_was_seen_long_ago_reaches_a_frame_without_shifts() -> None:
    frames, visible, amodal, confidence = clip(t=6)
    generator = asking()
    first = choose_frames(visible, 3)[0, 0]
    other = frames.clone()
    other[:, first] = 1 - other[:, first]
    hidden, _ = part_hidden(visible, amodal, confidence)
    change = (
        generator(other, visible, amodal, confidence)[0] - generator(frames, visible, amodal, confidence)[0]
    ).abs()
    moved = (change * hidden).flatten(2).amax(dim=2)[0]
    assert (moved > 1e-6).all()


def test_the_stage_looks_at_frames_around_those_that_it_fills() -> None:
    frames, visible, amodal, confidence = clip(t=8)
    fill = NetworkFill(asking(), groups=FillGroups(4, 1, 1))
    pictures, seen, whole, trust = (x[:, 4:] for x in (frames, visible, amodal, confidence))
    filled = []
    for early in (frames, torch.cat([1 - frames[:, :4], frames[:, 4:]], dim=1)):
        around = Shown(early, visible)
        filled.append(fill(pictures, seen, whole, trust, around=around))
    assert not torch.equal(*filled)
    hidden = part_hidden(seen, whole, trust)[0].expand_as(filled[0])
    assert torch.equal(filled[0][~hidden], pictures[~hidden])


def test_gradients_reach_every_layer_once_an_answer_counts() -> None:
    generator = asking().train()
    generator(*clip(b=2))[0].square().sum().backward()
    assert generator.references is not None
    for name, weight in generator.references.named_parameters():
        assert weight.grad is not None
        assert name == "key.bias" or weight.grad.abs().max() > 0, name
