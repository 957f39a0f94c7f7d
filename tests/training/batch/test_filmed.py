from __future__ import annotations

import torch

from voin.training.batch.filmed import FILMED_NUMBERS, FilmedConfig, blur_clips, look_filmed

ALL = FilmedConfig(clips=1.0)
ONLY = dict.fromkeys(("light", "rim", "shutter", "shadow"), 0.0)


def scene(b: int = 2, t: int = 4, size: int = 48):
    """A grey film with an object at its left, and a red bar before it that moves right by six pixels a frame."""
    generator = torch.Generator().manual_seed(1)
    truth = 0.4 + 0.2 * torch.rand(b, t, 3, size, size, generator=generator)
    amodal, occluder = torch.zeros(b, t, 1, size, size), torch.zeros(b, t, 1, size, size)
    amodal[..., 10:38, 4:30] = 1
    for i in range(t):
        occluder[:, i, :, :, 12 + 6 * i : 20 + 6 * i] = 1
    red = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    return torch.where(occluder > 0, red, truth), truth, amodal, occluder


def drawn(value: float = 0.99, b: int = 2) -> torch.Tensor:
    return torch.full((b, FILMED_NUMBERS), value, dtype=torch.float64).index_fill(1, torch.tensor([0]), 0.0)


def test_clips_that_are_not_drawn_keep_their_bits() -> None:
    frames, truth, amodal, occluder = scene()
    numbers = drawn()
    numbers[1, 0] = 0.9
    seen, visible, covering = look_filmed(frames, truth, amodal, occluder, numbers, FilmedConfig(clips=0.5))
    assert torch.equal(seen[1], frames[1])
    assert torch.equal(visible[1], (amodal * (1 - occluder))[1])
    assert torch.equal(covering[1], occluder[1])
    assert not torch.equal(seen[0], frames[0])


def test_what_is_visible_is_the_truth_but_for_rim_and_shadow() -> None:
    frames, truth, amodal, occluder = scene()
    seen, visible, covering = look_filmed(frames, truth, amodal, occluder, drawn(), FilmedConfig(clips=1.0, shadow=0.0))
    assert torch.equal(visible, amodal * (1 - covering))
    assert set(covering.unique().tolist()) == {0.0, 1.0}
    far = torch.nn.functional.max_pool2d(occluder.flatten(0, 1), 15, 1, 7).view_as(occluder) == 0
    torch.testing.assert_close(seen * far, truth * far, rtol=0, atol=1e-5)
    # It is still there, about as wide as before.
    assert 0.7 < covering.sum() / occluder.sum() < 1.1


def test_light_comes_nearer_to_that_of_the_film() -> None:
    frames, truth, amodal, occluder = scene()
    config = FilmedConfig(clips=1.0, **{**ONLY, "light": 1.0})
    seen, _, covering = look_filmed(frames, truth, amodal, occluder, drawn(), config)

    def off(clips: torch.Tensor) -> float:
        inside = (covering > 0).expand_as(clips)
        return float((clips[inside].view(-1) - 0.5).abs().mean())

    assert off(seen) < off(frames) / 2
    assert torch.equal(covering, occluder)


def test_a_moving_occluder_is_smeared_along_its_way_and_a_still_one_is_not() -> None:
    config = FilmedConfig(clips=1.0, **{**ONLY, "shutter": 1.0})
    frames, truth, amodal, occluder = scene()
    seen, _, _ = look_filmed(frames, truth, amodal, occluder, drawn(), config)
    row = (seen - truth)[0, 1, 0, 20].abs()
    assert (row > 0.02).sum() > occluder[0, 1, 0, 20].sum() + 2
    still = occluder[:, :1].expand_as(occluder).clone()
    frames = torch.where(still > 0, torch.tensor([1.0, 0.0, 0.0])[:, None, None], truth)
    seen, _, covering = look_filmed(frames, truth, amodal, still, drawn(), config)
    torch.testing.assert_close(seen, frames, rtol=0, atol=1e-5)
    assert torch.equal(covering, still)


def test_a_shadow_darkens_and_hides_nothing() -> None:
    config = FilmedConfig(clips=1.0, **{**ONLY, "shadow": 0.5})
    frames, truth, amodal, occluder = scene()
    seen, visible, covering = look_filmed(frames, truth, amodal, occluder, drawn(0.75), config)
    assert torch.equal(covering, occluder)
    assert torch.equal(visible, amodal * (1 - occluder))
    assert (seen <= frames + 1e-5).all()
    assert (frames - seen).amax() > 0.05


def test_each_clip_has_its_own_blur() -> None:
    maps = torch.zeros(3, 2, 1, 33, 33)
    maps[..., 16, 16] = 1
    blurred = blur_clips(maps, torch.tensor([0.0, 1.0, 2.0]))
    torch.testing.assert_close(blurred.sum((2, 3, 4)), torch.ones(3, 2))
    torch.testing.assert_close(blurred[0], maps[0])
    columns = torch.arange(33) - 16
    spread = (blurred[:, 0, 0].sum(dim=1) * columns**2).sum(dim=1).sqrt()
    torch.testing.assert_close(spread, torch.tensor([0.0, 1.0, 2.0]), rtol=0.03, atol=0.01)
