from __future__ import annotations

import pytest
import torch
from torch import Tensor

from voin.method.propagation.matches import CONFIDENCE, LEAST_ALIKE, compare_masks, match_by_outline

SIDE = 96


def boxes(*places: tuple[int, int, int, int]) -> Tensor:
    """Masks of one rectangle each: left, top, width, height."""
    masks = torch.zeros(len(places), SIDE, SIDE, dtype=torch.bool)
    for mask, (left, top, w, h) in zip(masks, places, strict=True):
        mask[top : top + h, left : left + w] = True
    return masks


def triangles(count: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    mask = (x >= 20) & (y >= 20) & (x + y < 90)
    return mask.expand(count, -1, -1).clone()


def test_a_pixel_is_found_at_the_same_place_of_an_object_that_moved_and_grew() -> None:
    amodal = boxes((10, 20, 20, 16), (30, 30, 40, 32))
    lost = amodal[:1].clone()
    sources = amodal.clone()
    sources[0] = False
    found = match_by_outline(lost, 0, sources, amodal, 32)
    assert torch.equal(found.source[0] == 1, lost[0])
    # Pixel centres: the left column of the small box lies half a pixel in, and so does it in the box twice as large.
    for column, row in ((10, 20), (29, 35), (18, 26)):
        x, y = (torch.tensor([column, row]) + found.maps(0)[0][:, row, column]).tolist()
        assert x == pytest.approx(30 + (column - 10 + 0.5) * 2 - 0.5, abs=0.1)
        assert y == pytest.approx(30 + (row - 20 + 0.5) * 2 - 0.5, abs=0.1)
    assert (found.confidence[0][lost[0]] == CONFIDENCE).all()
    assert (found.confidence[0][~lost[0]] == 0).all()
    assert (found.maps(0)[0][:, ~lost[0]] == 0).all()


def test_an_object_of_another_outline_is_not_asked() -> None:
    amodal = torch.cat([boxes((20, 20, 40, 40)), triangles(1)])
    assert compare_masks(amodal, *centre_and_spread(amodal))[0, 1] < LEAST_ALIKE
    found = match_by_outline(amodal[:1], 0, amodal, amodal, 32)
    assert (found.source == -1).all()
    assert (match_by_outline(amodal[:1], 0, amodal, amodal, 32, 0.3).source >= 0).any()


def test_of_frames_alike_the_nearest_is_asked_first_and_the_next_for_the_rest() -> None:
    amodal = boxes(*[(10 + 4 * i, 20, 40, 40) for i in range(6)])
    sources = amodal.clone()
    sources[2] = False
    sources[3, :, 42:] = False  # its left half alone
    found = match_by_outline(amodal[2:3], 2, sources[:], amodal, 32)
    source = found.source[0]
    # Frame 1 is as near as frame 3, and shows all.
    assert set(source[amodal[2]].tolist()) <= {1, 3}
    sources[1] = False
    source = match_by_outline(amodal[2:3], 2, sources, amodal, 32).source[0]
    assert (source[30, 20:36] == 3).all()
    assert set(source[30, 40:57].tolist()) <= {0, 4}


def test_nothing_comes_from_beyond_the_reach_or_from_the_frame_itself() -> None:
    amodal = boxes(*[(20, 20, 40, 40)] * 6)
    sources = torch.zeros_like(amodal)
    sources[[0, 5]] = amodal[[0, 5]]
    assert (match_by_outline(amodal[:1], 0, sources, amodal, 4).source == -1).all()
    assert (match_by_outline(amodal[:1], 0, sources, amodal, 5).source[0][amodal[0]] == 5).all()


def test_pixels_that_no_frame_shows_and_tiny_objects_stay_without_a_source() -> None:
    amodal = boxes(*[(20, 20, 40, 40)] * 3)
    never = amodal[0].clone()
    never[:, :40] = False
    sources = amodal & ~never
    sources[0] = False
    found = match_by_outline(amodal[:1], 0, sources, amodal, 32)
    assert (found.source[0][never] == -1).all()
    assert (found.source[0][amodal[0] & ~never] > 0).all()
    tiny = boxes(*[(20, 20, 4, 4)] * 3)
    assert (match_by_outline(tiny[:1], 0, tiny, tiny, 32).source == -1).all()
    none = torch.zeros_like(amodal)
    assert (match_by_outline(none[:1], 0, none, none, 32).source == -1).all()


def test_masks_laid_upon_each_other_are_compared_like_sets() -> None:
    amodal = torch.cat([boxes((10, 20, 20, 16), (30, 30, 40, 32)), triangles(1)])
    alike = compare_masks(amodal, *centre_and_spread(amodal))
    assert torch.allclose(alike.diagonal(), torch.ones(3))
    assert torch.equal(alike, alike.T)
    assert alike[0, 1] > 0.95
    assert alike[0, 2] < 0.7


def centre_and_spread(masks: Tensor) -> tuple[Tensor, Tensor]:
    """By all pixels' places, one by one."""
    places = [mask.nonzero().flip(1).float() for mask in masks]
    return torch.stack([each.mean(0) for each in places]), torch.stack([each.std(0, correction=0) for each in places])
