from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from scenes.occluded_objects import donors
from voin.data.occluders.shapes import (
    SHAPE_NUMBERS,
    Kind,
    Material,
    ShapeConfig,
    Shapes,
    draw_shapes,
    shapes_of_objects,
    usable,
)

CONFIG = ShapeConfig(size=64)
CPU = torch.device("cpu")


def numbers(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, SHAPE_NUMBERS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(kind: Kind, count: int = 24, material: Material | None = None, config: ShapeConfig = CONFIG) -> Shapes:
    kinds: list[Kind] = [kind] * count
    return draw_shapes(kinds, material, numbers(count), config, CPU)


def pieces(mask: Tensor) -> int:
    """Count the connected pieces of a mask (s, s)."""
    label = torch.where(mask, torch.arange(mask.numel()).reshape(mask.shape) + 1, 0)
    while True:
        wider = torch.nn.functional.max_pool2d(label[None].double(), 3, 1, 1)[0].long()
        wider = torch.where(mask, wider, 0)
        if torch.equal(wider, label):
            return len(label.unique()) - 1
        label = wider


@pytest.mark.parametrize("kind", ["strokes", "blob"])
def test_shapes_stay_inside_their_square(kind: Kind) -> None:
    alpha = drawn(kind).pictures[:, 0, 3]
    assert alpha.min() == 0
    assert alpha.max() == 1
    border = torch.cat([alpha[:, 0], alpha[:, -1], alpha[:, :, 0], alpha[:, :, -1]])
    assert border.max() < 0.5


@pytest.mark.parametrize("kind", ["strokes", "blob"])
def test_shapes_are_no_slivers_and_differ(kind: Kind) -> None:
    inside = drawn(kind).pictures[:, 0, 3] > 0.5
    area = inside.float().mean(dim=(1, 2))
    assert area.min() > 0.05
    assert area.std() > 0.02
    # What is left after a rim of three pixels is taken off: slivers leave nothing.
    core = -torch.nn.functional.max_pool2d(-inside.float()[:, None], 7, 1, 3)[:, 0]
    assert core.flatten(1).amax(dim=1).min() == 1


def test_a_blob_is_one_piece() -> None:
    for alpha in drawn("blob", 12).pictures[:, 0, 3]:
        assert pieces(alpha > 0.5) == 1


def test_boxes_are_those_of_the_pictures() -> None:
    shapes = drawn("strokes", 8)
    size = CONFIG.size
    for i, inside in enumerate(shapes.pictures[:, 0, 3] > 0.5):
        rows, columns = inside.any(dim=1).nonzero()[:, 0], inside.any(dim=0).nonzero()[:, 0]
        low = torch.stack([columns[0], rows[0]]) * 2 / size - 1
        high = (torch.stack([columns[-1], rows[-1]]) + 1) * 2 / size - 1
        torch.testing.assert_close(shapes.centre[i].float(), (low + high) / 2, atol=2e-3, rtol=0)
        torch.testing.assert_close(shapes.half[i].float(), (high - low) / 2, atol=2e-3, rtol=0)


@pytest.mark.parametrize(("noise", "flat"), [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_no_texture_is_one_colour(noise: float, flat: float) -> None:
    config = replace(CONFIG, noise=noise, flat=flat)
    for picture in drawn("blob", 8, donors(8), config).pictures[:, 0]:
        colours = picture[:3, picture[3] == 1]
        assert colours.std(dim=1).max() > 0.005
        assert colours.min() >= 0
        assert colours.max() <= 1


def test_textures_can_be_the_materials_pixels() -> None:
    material = Material(torch.full((2, 4, 3, 16, 16), 0.7), torch.ones(2, 4, 1, 16, 16))
    shapes = drawn("blob", 2, material, replace(CONFIG, noise=0.0, flat=0.0))
    inside = shapes.pictures[:, 0, 3] == 1
    torch.testing.assert_close(shapes.pictures[:, 0, 0][inside], torch.full((int(inside.sum()),), 0.7))


def test_objects_keep_their_pixels_and_their_motion() -> None:
    material = donors(2, t=8)
    shapes = shapes_of_objects(material, 8, numbers(2))
    torch.testing.assert_close(shapes.pictures[:, :, :3], material.frames)
    assert torch.equal(shapes.pictures[:, :, 3:], material.masks)


def test_longer_clips_play_the_donor_to_and_fro() -> None:
    material = donors(1, t=4)
    pictures = shapes_of_objects(material, 9, numbers(1)).pictures[0, :, 3]
    order = [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert torch.equal(pictures, material.masks[0, order, 0])


def test_a_donor_does_not_vanish_where_its_mask_is_empty() -> None:
    material = donors(1, t=8)
    material.masks[0, 3] = 0
    material.masks[0, 4, :, 10:] = 0
    pictures = shapes_of_objects(material, 8, numbers(1)).pictures[0, :, 3]
    assert torch.equal(pictures[3], pictures[2])
    assert torch.equal(pictures[4], pictures[5])


def test_half_of_the_donors_are_mirrored() -> None:
    mirrored = shapes_of_objects(donors(100, t=1, size=16), 1, numbers(100)).mirrored
    assert 0.3 < mirrored.float().mean() < 0.7


def test_donors_without_an_object_are_not_usable() -> None:
    material = donors(3)
    material.masks[1] = 0
    assert usable(material, 3).tolist() == [True, False, True]
    assert usable(None, 2).tolist() == [False, False]


def test_material_must_fit_together() -> None:
    # The first where types are checked, as they are here; the second for users.
    with pytest.raises((TypeError, ValueError), match=r"masks|cut both with the same windows"):
        Material(torch.zeros(1, 2, 3, 8, 8), torch.zeros(1, 2, 1, 9, 9))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"size": 8}, "at least 16"), ({"thickness": (0.3, 0.1)}, "least <= most"), ({"noise": 0.9}, "add up to at most")],
)
def test_bad_settings_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **change)  # pyright: ignore[reportArgumentType]
