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


def test_an_object_that_is_small_from_afar_is_no_glimpse() -> None:
    """What drives up is in clear view all the while."""
    t, size = 12, 96
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    masks, pictures = [], []
    for i in range(t):
        radius = 6 * 1.18**i
        shade = 0.5 + 0.25 * torch.sin(14 * (x - 48) / radius) * torch.cos(9 * (y - 48) / radius)
        inside = (x - 48) ** 2 + (y - 48) ** 2 < radius**2
        masks.append(inside.float())
        pictures.append(torch.where(inside, shade, 0.2 + 0.1 * torch.sin(x / 3.0) * torch.cos(y / 4.0)))
    visible = torch.stack(masks)[None, :, None]
    frames = torch.stack(pictures)[None, :, None].expand(-1, -1, 3, -1, -1).contiguous()
    assert visible[0, 0].sum() < 0.1 * visible[0, -1].sum()
    whole = NetworkShape(Nothing())(frames, visible, torch.ones_like(visible), *DIS(finest=1)(frames))
    assert torch.equal(whole > 0.5, visible > 0.5)
