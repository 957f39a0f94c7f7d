from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from voin.method.fill.inpaint import InpaintFill, inpaint_inside

T, SIZE = 4, 64
SKIN, GRASS, BAR = torch.tensor([0.8, 0.5, 0.3]), torch.tensor([0.1, 0.6, 0.2]), torch.tensor([0.1, 0.1, 0.9])


def clip() -> tuple[Tensor, Tensor, Tensor]:
    """A disc of one colour on grass, a blue bar in front of it: frames, visible and amodal masks."""
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    disc, bar = (x - 32.0) ** 2 + (y - 32.0) ** 2 < 22**2, (x >= 26) & (x < 40)
    picture = torch.where(disc[..., None], SKIN, GRASS)
    picture = torch.where(bar[..., None], BAR, picture)
    frames = picture.permute(2, 0, 1).repeat(1, T, 1, 1, 1)
    visible, amodal = ((disc & ~bar).float(), disc.float())
    return frames, visible.repeat(1, T, 1, 1, 1), amodal.repeat(1, T, 1, 1, 1)


@pytest.mark.parametrize("rim", [0.0, 3.0])
def test_an_object_of_one_colour_stays_of_that_colour(rim: float) -> None:
    frames, visible, amodal = clip()
    filled = InpaintFill(rim=rim)(frames, visible, amodal, torch.zeros_like(visible))
    hidden = (amodal - visible)[:, :, 0] > 0
    error = (filled.permute(0, 1, 3, 4, 2)[hidden] - SKIN).abs().max()
    # No colour of the grass or the bar enters; a byte is lost where it was inpainted.
    assert error < 2 / 255


def test_only_hidden_pixels_change() -> None:
    frames, visible, amodal = clip()
    kept = frames.clone()
    filled = InpaintFill()(frames, visible, amodal, torch.zeros_like(visible))
    same = ((amodal - visible) == 0).expand_as(frames)
    assert torch.equal(filled[same], frames[same])
    assert torch.equal(frames, kept)
    assert not torch.equal(filled, frames)


def test_nothing_hidden_changes_nothing() -> None:
    frames, _, amodal = clip()
    assert torch.equal(InpaintFill()(frames, amodal, amodal, amodal), frames)


def test_propagated_pixels_stay_as_far_as_they_are_believed() -> None:
    frames, visible, amodal = clip()
    hidden = amodal - visible
    found = torch.tensor([0.6, 0.6, 0.1]).view(3, 1, 1)
    frames = torch.where(hidden > 0, found, frames)
    sure = InpaintFill()(frames, visible, amodal, amodal)
    assert torch.allclose(sure, frames, atol=1e-6)
    little = InpaintFill()(frames, visible, amodal, visible + 0.02 * hidden)
    half = InpaintFill()(frames, visible, amodal, visible + 0.5 * hidden)
    apart = [((x - found.view(3, 1, 1)).abs() * hidden).sum() for x in (sure, half, little)]
    assert apart[0] < apart[1] < apart[2]


def test_a_clip_filled_at_once_takes_its_mean_from_every_frame() -> None:
    frames, visible, amodal = clip()
    visible[:, 2] = 0  # nothing seen in this frame: it gets the colour of the others
    filled = InpaintFill()(frames, visible, amodal, torch.zeros_like(visible))
    inside = amodal[:, 2, 0] > 0
    assert (filled[:, 2].permute(0, 2, 3, 1)[inside] - SKIN).abs().max() < 0.02


def test_a_shaded_object_is_filled_between_its_sides() -> None:
    frames, visible, amodal = clip()
    ramp = torch.linspace(0.2, 0.8, SIZE).expand_as(frames)
    shaded = torch.where(visible > 0, ramp, frames)
    filled = InpaintFill()(shaded, visible, amodal, torch.zeros_like(visible))
    hidden = (amodal - visible).expand_as(frames) > 0
    assert (filled[hidden] - ramp[hidden]).abs().max() < 0.12


def test_colours_stay_in_range_and_finite() -> None:
    frames, visible, amodal = clip()
    noise = torch.rand_like(frames).round()
    for seen in (visible, torch.zeros_like(visible)):
        filled = InpaintFill()(noise, seen, amodal, torch.zeros_like(visible))
        assert torch.isfinite(filled).all()
        assert filled.min() >= 0
        assert filled.max() <= 1


def test_the_category_is_taken_and_makes_no_difference() -> None:
    frames, visible, amodal = clip()
    nothing = torch.zeros_like(visible)
    assert torch.equal(
        InpaintFill()(frames, visible, amodal, nothing, "dog"), InpaintFill()(frames, visible, amodal, nothing, None)
    )


def test_inpainting_looks_at_known_pixels_alone() -> None:
    _, visible, amodal = (x[0, 0] for x in clip())
    known, hole = visible[0].numpy() > 0, (amodal - visible)[0].numpy() > 0
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    other = np.where(known[..., None], picture, 255 - picture)
    one, two = (inpaint_inside(x, hole, known, 3)[hole] for x in (picture, other))
    assert np.array_equal(one, two)
