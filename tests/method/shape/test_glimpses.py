"""Where next to nothing is seen of an object, frames that show it say where it is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from scenes.hidden_clips import Scene, iou, scene
from voin.method.motion import DIS
from voin.method.shape.network import ShapeConfig, ShapeNetwork
from voin.method.shape.stage import NetworkShape


class Nothing(ShapeNetwork):
    """A network that completes nothing."""

    def __init__(self) -> None:
        super().__init__(ShapeConfig(channels=(8, 12, 16), depth=2, patches=((1, 1), (2, 2)), prior=4, classes=3))

    def forward(self, frames: Tensor, visible: Tensor, category: Tensor, evidence: Tensor | None = None) -> Tensor:
        """Return what no pixel exceeds."""
        return torch.full_like(visible, -20.0)


@pytest.fixture(scope="module")
def passing() -> Scene:
    """A bar that is wider than the object passes it."""
    return scene(t=14, size=(64, 96), start=(36.0, 20.0), speed=(0.4, 0.0), bar=(-44, 0), bar_speed=9.0)


def complete(clip: Scene, allowed: Tensor | None = None, wanted: range | None = None) -> Tensor:
    flows = DIS(finest=1)(clip.frames)
    everywhere = torch.ones_like(clip.visible) if allowed is None else allowed
    return (NetworkShape(Nothing())(clip.frames, clip.visible, everywhere, *flows, wanted=wanted) > 0.5).float()


def test_an_object_that_is_hidden_wholly_is_still_there(passing: Scene) -> None:
    hidden = (passing.visible.flatten(2).sum(dim=2) == 0)[0]
    assert hidden.sum() >= 2
    whole = complete(passing)
    assert iou(whole[:, hidden], passing.amodal[:, hidden]) > 0.7


def test_where_much_is_seen_the_network_is_believed(passing: Scene) -> None:
    whole, area = complete(passing), passing.visible.flatten(2).sum(dim=2)[0]
    much = area > 0.5 * area.max()
    assert 4 < much.sum() < len(much)
    assert torch.equal(whole[:, much], passing.visible[:, much])


def test_nothing_is_hidden_where_nothing_can_be(passing: Scene) -> None:
    allowed = torch.ones_like(passing.visible)
    allowed[..., 40:48] = 0
    whole = complete(passing, allowed)
    assert torch.equal(whole[..., 40:48], passing.visible[..., 40:48])
    assert not torch.equal(whole, passing.visible)


def test_frames_that_are_not_wanted_stay_as_they_are(passing: Scene) -> None:
    whole = complete(passing, wanted=range(0, 3))
    assert torch.equal(whole, passing.visible)
