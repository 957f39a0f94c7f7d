from __future__ import annotations

import pytest
import torch
from torch import Tensor

from scenes.hidden_clips import Scene, scene
from voin.method.motion import DIS
from voin.method.shape.background import LEAST_FRAMES, find_static_background, remove_static_background

SIZE = (128, 128)
FRAMES = 14


def rest_of(clip: Scene, visible: Tensor, hidden: Tensor, frames: Tensor | None = None) -> Tensor:
    """What `remove_static_background` leaves of `hidden` (1, t, 1, h, w)."""
    frames = clip.frames if frames is None else frames
    forward, backward = DIS(finest=1)(frames)
    return remove_static_background(
        hidden[0, :, 0] > 0.5, find_static_background(frames[0], visible[0], forward[0], backward[0])
    )


@pytest.fixture(scope="module")
def parked() -> Scene:
    """An object at rest, crossed by a bar early on."""
    return scene(t=40, size=SIZE, start=(26.0, 26.0), speed=(0.0, 0.0), side=76, bar=(-6, 10), bar_speed=9.0)


def test_background_seen_through_an_object_at_rest_is_left_and_what_passes_is_not(parked: Scene) -> None:
    empty = scene(t=40, size=SIZE, start=(500.0, 26.0), side=76, bar=(-6, 10), bar_speed=9.0)
    hole = torch.zeros_like(parked.amodal)
    hole[..., 50:78, 50:78] = 1  # cut out of the object, whose centre is at (64, 64)
    frames, visible = torch.where(hole > 0, empty.frames, parked.frames), parked.visible * (1 - hole)
    passing = parked.amodal * parked.bar * (1 - hole)
    left = rest_of(parked, visible, (hole + passing).clamp(max=1), frames)[None, :, None].float()
    near_bar = torch.nn.functional.max_pool3d(parked.bar[:, :, 0], (1, 13, 13), 1, (0, 6, 6))[:, :, None]
    clear = hole * (1 - near_bar)
    assert clear.sum() > 20000
    assert (left * clear).sum() < 0.1 * clear.sum()
    assert (left * passing).sum() > 0.95 * passing.sum()


def test_an_occluder_at_rest_before_a_moving_object_is_not_background() -> None:
    clip = scene(t=FRAMES, size=SIZE, start=(6.0, 34.0), speed=(5.0, 0.0), side=48, bar=(54, 70))
    left = rest_of(clip, clip.visible, clip.hidden)
    assert left.sum() > 0.95 * clip.hidden.sum()


def test_what_moves_along_with_an_object_before_the_scene_is_not_background() -> None:
    clip = scene(t=FRAMES, size=SIZE, start=(6.0, 34.0), speed=(4.0, 0.0), side=60, bar=(20, 36), bar_speed=4.0)
    left = rest_of(clip, clip.visible, clip.hidden)
    assert left.sum() > 0.95 * clip.hidden.sum()


def test_short_clips_and_clips_without_anything_hidden_stay(parked: Scene) -> None:
    masks = (parked.clean, parked.visible, parked.amodal, parked.bar)
    short = Scene(parked.frames[:, :LEAST_FRAMES], *(x[:, :LEAST_FRAMES] for x in masks))
    assert torch.equal(rest_of(short, short.visible, short.hidden), short.hidden[0, :, 0] > 0.5)
    assert not rest_of(parked, parked.visible, torch.zeros_like(parked.visible)).any()


def test_rest_has_the_size_of_the_frames_and_is_the_same_backward_in_time(parked: Scene) -> None:
    forward, backward = DIS(finest=1)(parked.frames)
    frames, visible = parked.frames[0], parked.visible[0]
    found = find_static_background(frames, visible, forward[0], backward[0])
    assert found.shape == (40, *SIZE)
    assert found.any()
    turned = find_static_background(frames.flip(0), visible.flip(0), backward[0].flip(0), forward[0].flip(0))
    assert (turned.flip(0) != found).float().mean() < 0.01


def test_what_a_plain_wall_hides_of_a_walker_is_not_background() -> None:
    clip = scene(t=FRAMES, size=SIZE, start=(4.0, 30.0), speed=(4.0, 0.0), side=60, bar=None)
    wall = torch.zeros_like(clip.amodal)
    wall[..., 70:, :] = 1
    frames, visible = torch.where(wall > 0, torch.tensor(0.9), clip.frames), clip.visible * (1 - wall)
    hidden = clip.amodal * wall
    assert rest_of(clip, visible, hidden, frames).sum() > 0.95 * hidden.sum()
