from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from voin.core.warp import cycle_error, warp
from voin.training.moving_cutouts import MOVE_NUMBERS, Distractors, MoveConfig, Moved, move_cutouts

COUNT, SIZE = 6, 96
CONFIG = MoveConfig()
STILL = MoveConfig(
    shift=0.0, turn=0.0, grow=0.0, tilt=0.0, sway=0.0, stretch=0.0, scale=(0.7, 0.7), pan=0.0, background_turn=0.0
)


def numbers(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, MOVE_NUMBERS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def waves(b: int, size: int, length: float) -> Tensor:
    y, x = torch.meshgrid(*[torch.linspace(0, length, size)] * 2, indexing="ij")
    turns = torch.arange(b * 3).view(b, 3, 1, 1)
    return 0.5 + 0.5 * torch.sin(x + turns) * torch.cos(y - 2 * turns)


def moved(config: MoveConfig = CONFIG, b: int = 4, seed: int = 0, **more) -> Moved:
    size = 80
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, size)] * 2, indexing="ij")
    mask = ((x / 0.6) ** 2 + (y / 0.8) ** 2 < 1).float().expand(b, 1, -1, -1)
    return move_cutouts(waves(b, size, 12), mask, waves(b, 64, 9), COUNT, SIZE, numbers(b, seed), config, **more)


def crowd(b: int, seed: int = 3) -> Distractors:
    mask = torch.zeros(b, 1, 80, 80)
    mask[:, :, 10:70, 20:60] = 1
    ways = 0.3 * torch.linspace(-1, 1, COUNT, dtype=torch.float64)[None, :, None] * torch.tensor([1.0, 0.2])
    return Distractors(1 - waves(b, 80, 9), mask, numbers(b, seed), ways.expand(b, -1, -1))


def inner(masks: Tensor, by: int) -> Tensor:
    return torch.nn.functional.max_pool2d(1 - masks, 2 * by + 1, 1, by) == 0


def psnr(one: Tensor, other: Tensor) -> float:
    return -10 * ((one - other) ** 2).mean().log10().item()


@pytest.mark.parametrize("seed", range(2))
def test_flow_brings_the_next_frame_onto_this_one(seed: int) -> None:
    clip = moved(seed=seed)
    for flow, start, end in (
        (clip.forward, slice(0, -1), slice(1, None)),
        (clip.backward, slice(1, None), slice(0, -1)),
    ):
        brought = warp(clip.frames[:, end].flatten(0, 1), flow.flatten(0, 1))
        # The mask of the next frame, brought back, leaves out what leaves the window.
        there = warp(inner(clip.amodal[:, end].flatten(0, 1), 2).float(), flow.flatten(0, 1)) > 0.99
        inside = (inner(clip.amodal[:, start].flatten(0, 1), 2) & there).expand_as(brought)
        assert inside.float().mean() > 0.1
        assert psnr(brought[inside], clip.frames[:, start].flatten(0, 1)[inside]) > 38
        away = (warp(inner(1 - clip.amodal[:, end].flatten(0, 1), 2).float(), flow.flatten(0, 1)) > 0.99) & inner(
            1 - clip.amodal[:, start].flatten(0, 1), 2
        )
        away = away.expand_as(brought)
        assert psnr(brought[away], clip.frames[:, start].flatten(0, 1)[away]) > 34


def test_flow_there_and_back_ends_where_it_began() -> None:
    clip = moved()
    error = cycle_error(clip.forward.flatten(0, 1), clip.backward.flatten(0, 1))
    inside = inner(clip.amodal[:, :-1].flatten(0, 1), 2)
    there = warp(inner(clip.amodal[:, 1:].flatten(0, 1), 2).float(), clip.forward.flatten(0, 1)) > 0.99
    assert error[inside & there].max() < 0.05
    assert clip.forward.norm(dim=2).mean() > 0.5


def test_without_motion_nothing_moves() -> None:
    clip = moved(STILL)
    assert clip.forward.abs().max() < 1e-3
    assert (clip.frames - clip.frames[:, :1]).abs().max() < 1e-3
    # An ellipse of half axes 0.6 and 0.8, at 0.7 of the window.
    assert abs(clip.amodal.mean().item() - torch.pi * 0.6 * 0.8 * 0.7**2 / 4) < 0.01


def test_what_rests_moves_as_the_ground_does() -> None:
    pans = replace(CONFIG, grow=0.0, background_turn=0.0, pan=0.2)
    clip, other = moved(replace(pans, resting=1.0)), moved(pans)
    assert (clip.forward - clip.forward[..., :1, :1]).abs().max() < 1e-3
    assert clip.forward.norm(dim=2).amax(dim=(1, 2, 3)).min() > 0.3
    # The middle of a clip is the same, whether the object moves or not.
    torch.testing.assert_close(clip.frames[:, COUNT // 2], other.frames[:, COUNT // 2], rtol=0, atol=1e-3)
    assert (clip.amodal != other.amodal).any()


def test_some_rest_and_others_move() -> None:
    some, all_move = moved(replace(CONFIG, resting=0.5), b=16), moved(b=16)
    same = (some.amodal == all_move.amodal).flatten(1).all(dim=1)
    assert 0.2 < same.float().mean() < 0.8


def test_clips_do_not_depend_on_their_neighbours() -> None:
    one, other = moved(b=4), moved(b=3)
    torch.testing.assert_close(one.frames[:3], other.frames, rtol=0, atol=0)
    torch.testing.assert_close(one.forward[:3], other.forward, rtol=0, atol=0)


def test_nothing_of_the_photo_around_the_object_is_shown() -> None:
    size = 40
    mask = torch.zeros(2, 1, size, size)
    mask[..., 10:30, 10:30] = 1
    around = (1 - mask) * torch.tensor([1.0, 0, 0]).view(3, 1, 1)
    clip = move_cutouts(around, mask, torch.zeros(2, 3, 32, 32), COUNT, SIZE, numbers(2))
    assert clip.frames.max() < 1e-3
    assert set(clip.amodal.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"scale": (0.9, 0.5)}, "least"),
        ({"grow": 0.8}, "grow is .* at least 0 and at most 0.5"),
        ({"tilt": 0.5}, "tilt is .* at most 0.2"),
        ({"pan": -1.0}, "pan is .* at least 0"),
    ],
)
def test_bad_motions_are_refused(change: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        replace(MoveConfig(), **change)


def test_flow_of_a_distractor_is_its_own_and_the_objects_stays() -> None:
    plain, crowded = moved(), moved(distractors=crowd(4))
    assert torch.equal(plain.amodal, crowded.amodal)
    inside = plain.amodal[:, :-1] > 0
    assert torch.equal(plain.forward[inside.expand_as(plain.forward)], crowded.forward[inside.expand_as(plain.forward)])
    passing = (plain.forward != crowded.forward).any(dim=2, keepdim=True).float()
    assert passing.flatten(1).mean(dim=1).min() > 0.02
    assert not (passing.bool() & inside).any()
    # Where the distractor's inside is seen in both frames, its flow brings the next one onto this one.
    brought = warp(crowded.frames[:, 1:].flatten(0, 1), crowded.forward.flatten(0, 1)).view_as(crowded.frames[:, 1:])
    seen = inner(passing.flatten(0, 1), 3).view_as(passing)
    ahead = warp((plain.amodal[:, 1:] < 0.5).float().flatten(0, 1), crowded.forward.flatten(0, 1)).view_as(seen) > 0.99
    core = (seen & ahead).expand_as(brought)
    assert core.any()
    assert psnr(brought[core], crowded.frames[:, :-1][core]) > 30


def test_drift_moves_object_and_background_alike() -> None:
    way = torch.zeros(4, COUNT, 2, dtype=torch.float64)
    way[:, 2:] = torch.tensor([12, -6]) / SIZE
    still, drifted = moved(), moved(drift=way)
    assert torch.equal(still.frames[:, :2], drifted.frames[:, :2])
    torch.testing.assert_close(still.frames[:, 2:, :, 6:, :-12], drifted.frames[:, 2:, :, :-6, 12:], rtol=0, atol=2e-3)
    change = (drifted.forward - still.forward)[:, 1]
    torch.testing.assert_close(change.mean(dim=(0, 2, 3)), torch.tensor([12.0, -6.0]), rtol=0, atol=1e-2)
