from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from voin.training.augment import (
    COLOUR_NUMBERS,
    DAMAGE_NUMBERS,
    PLACE_NUMBERS,
    AugmentConfig,
    DamageConfig,
    damage,
    draw_places,
    jitter,
    look_up,
    sway,
)

CPU = torch.device("cpu")
STILL = AugmentConfig(scale=(1.0, 1.0), turn=0.0, shift=0.0, bend=0.0, mirrored=0.0)


def numbers(count: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def window(size: int = 32, t: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    frames = torch.randint(256, (2, t, size, size, 3), generator=generator, dtype=torch.uint8)
    masks = torch.zeros(2, t, size, size, dtype=torch.uint8)
    masks[:, :, 8:24, 4:20] = 255
    return frames, masks


def test_without_change_the_window_comes_out_as_it_is() -> None:
    frames, masks = window()
    places = draw_places(numbers(2, PLACE_NUMBERS), 3, (32, 32), STILL, CPU)
    seen, found = look_up(frames, masks, places)
    torch.testing.assert_close(seen, frames.permute(0, 1, 4, 2, 3) / 255, rtol=0, atol=1e-4)
    assert torch.equal(found[:, :, 0], masks / 255)


def test_a_mirrored_clip_is_the_clip_mirrored() -> None:
    frames, masks = window()
    places = draw_places(numbers(2, PLACE_NUMBERS), 3, (32, 32), replace(STILL, mirrored=1.0), CPU)
    seen, found = look_up(frames, masks, places)
    torch.testing.assert_close(seen, (frames.permute(0, 1, 4, 2, 3) / 255).flip(-1), rtol=0, atol=1e-4)
    assert torch.equal(found[:, :, 0], masks.flip(-1) / 255)


def test_places_drift_smoothly_and_stay_near_the_window() -> None:
    config = AugmentConfig()
    places = draw_places(numbers(40, PLACE_NUMBERS), 9, (24, 24), config, CPU)
    speed, change = places.diff(dim=1), places.diff(dim=1).diff(dim=1)
    assert speed.abs().max() > 0.01
    assert change.abs().max() < 0.05
    assert places.abs().max() < config.scale[1] * 1.2 + 2 * config.shift + 2 * config.bend + 0.05
    # Neighbours keep their order: nothing folds.
    assert (places[..., :, 1:, :] - places[..., :, :-1, :]).norm(dim=-1).min() > 0.02


def test_what_is_outside_the_window_is_no_object() -> None:
    frames, masks = window()
    masks[:] = 255
    places = draw_places(numbers(2, PLACE_NUMBERS), 3, (32, 32), replace(STILL, scale=(2.0, 2.0)), CPU)
    _, found = look_up(frames, masks, places)
    assert found.mean() == 0.25


def test_jitter_keeps_colours_in_range_and_changes_a_clip_alike() -> None:
    frames = torch.rand(6, 1, 3, 8, 8, generator=torch.Generator().manual_seed(2)).expand(-1, 4, -1, -1, -1)
    changed = jitter(frames.contiguous(), numbers(6, COLOUR_NUMBERS), AugmentConfig())
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert (changed - changed[:, :1]).abs().max() == 0
    assert (changed - frames).abs().mean() > 0.02
    none = AugmentConfig(light=0.0, contrast=0.0, saturation=0.0, tint=0.0)
    torch.testing.assert_close(jitter(frames.contiguous(), numbers(6, COLOUR_NUMBERS), none), frames)


def test_sways_are_smooth_and_within_one() -> None:
    curves = sway(numbers(50, 1)[:, 0], numbers(50, 1, seed=1)[:, 0], 30)
    assert curves.abs().max() <= 1
    assert curves.diff(dim=1).abs().max() < 0.2


def square(b: int = 64, t: int = 2) -> Tensor:
    masks = torch.zeros(b, t, 1, 32, 32)
    masks[..., 10:22, 8:24] = 1
    return masks


def boxes(masks: Tensor) -> set[tuple[int, ...]]:
    found = set()
    for mask in masks[:, 0, 0]:
        at = mask.nonzero()
        found.add((*at.amin(dim=0).tolist(), *at.amax(dim=0).tolist()))
    return found


def test_masks_grow_and_shrink_by_whole_pixels() -> None:
    config = DamageConfig(clips=1.0, grown=2, shift=0, pieces=0.0)
    changed = damage(square(), numbers(64, DAMAGE_NUMBERS), config)
    assert boxes(changed) == {(10 - k, 8 - k, 21 + k, 23 + k) for k in range(-2, 3)}


def test_masks_are_shifted_by_whole_pixels() -> None:
    config = DamageConfig(clips=1.0, grown=0, shift=1, pieces=0.0)
    changed = damage(square(200), numbers(200, DAMAGE_NUMBERS), config)
    assert boxes(changed) == {(10 + y, 8 + x, 21 + y, 23 + x) for y in range(-1, 2) for x in range(-1, 2)}
    # What comes in from outside is empty.
    assert damage(torch.ones(200, 1, 1, 8, 8), numbers(200, DAMAGE_NUMBERS), config).mean() < 1


def test_pieces_are_lost_and_never_all() -> None:
    config = DamageConfig(clips=1.0, grown=0, shift=0, pieces=1.0)
    changed = damage(square(), numbers(64, DAMAGE_NUMBERS), config)
    assert (changed <= square()).all()
    left = changed.flatten(2).sum(dim=2) / square().flatten(2).sum(dim=2)
    assert left.min() > 0
    assert 0.2 < (left < 1).float().mean() < 0.7


def test_undamaged_clips_stay_as_they_are() -> None:
    assert torch.equal(damage(square(), numbers(64, DAMAGE_NUMBERS), DamageConfig()), square())
    some = damage(square(), numbers(64, DAMAGE_NUMBERS), DamageConfig(clips=0.5))
    untouched = numbers(64, DAMAGE_NUMBERS)[:, 0] >= 0.5
    assert torch.equal(some[untouched], square()[untouched])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"scale": (0.0, 1.0)}, "scale is .* above 0"),
        ({"scale": (1.0, 0.5)}, "least <= most"),
        ({"turn": -1.0}, "turn is .* at least 0"),
        ({"mirrored": 2.0}, "mirrored is .* at least 0 and at most 1"),
        ({"bend": 0.2}, "bend is .* at most 0.05"),
    ],
)
def test_bad_augmentations_are_refused(change: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        AugmentConfig(**change)


@pytest.mark.parametrize(
    ("change", "text"), [({"clips": -1.0}, "clips is .* at least 0"), ({"grown": 9}, "grown is .* at most 8")]
)
def test_bad_damages_are_refused(change: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        DamageConfig(**change)
