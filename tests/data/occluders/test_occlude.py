from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from scenes.occluded_objects import batch_of, donors, moving_object
from voin.data.occluders.occlude import Material, OccluderConfig, Occlusion, occlude

CONFIG = OccluderConfig()
COUNT = 48


@pytest.fixture(scope="module")
def clips() -> tuple[Tensor, Tensor]:
    return batch_of(range(COUNT))


@pytest.fixture(scope="module")
def occluded(clips: tuple[Tensor, Tensor]) -> Occlusion:
    return occlude(*clips, donors(COUNT), CONFIG, seed=range(COUNT))


def same(one: Occlusion, other: Occlusion) -> bool:
    for each in fields(Occlusion):
        a, b = getattr(one, each.name), getattr(other, each.name)
        if isinstance(a, Tensor) and a.numpy().tobytes() != b.numpy().tobytes():
            return False
        if not isinstance(a, Tensor) and a != b:
            return False
    return True


def first(clips: tuple[Tensor, Tensor], count: int) -> tuple[Tensor, Tensor]:
    return clips[0][:count], clips[1][:count]


def mean_rates(occlusion: Occlusion) -> np.ndarray:
    return occlusion.rates.nanmean(dim=1).numpy()


def test_visible_is_the_object_without_the_occluder(clips: tuple[Tensor, Tensor], occluded: Occlusion) -> None:
    assert set(occluded.occluder.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(occluded.visible, clips[1] * (1 - occluded.occluder))


def test_the_input_is_the_truth_outside_the_occluder_and_its_pixels_inside(
    clips: tuple[Tensor, Tensor], occluded: Occlusion
) -> None:
    behind = (occluded.occluder > 0).expand_as(occluded.frames)
    assert torch.equal(occluded.frames[~behind], clips[0][~behind])
    assert torch.equal(occluded.frames[behind], occluded.pixels[behind])
    assert not occluded.pixels[~behind].any()
    # So the source comes back exactly.
    assert torch.equal(torch.where(behind, clips[0], occluded.frames), clips[0])


def test_rates_are_what_counting_gives(clips: tuple[Tensor, Tensor], occluded: Occlusion) -> None:
    whole = clips[1].numpy() > 0
    hidden = whole & (occluded.occluder.numpy() > 0)
    counted = hidden.sum(axis=(2, 3, 4)) / whole.sum(axis=(2, 3, 4))
    np.testing.assert_allclose(occluded.rates.numpy(), counted, atol=1e-6)


def test_nearly_all_clips_meet_their_rate(occluded: Occlusion) -> None:
    off = np.abs(mean_rates(occluded) - occluded.aims.numpy())
    assert (off <= CONFIG.tolerance).mean() >= 0.95
    assert off.mean() < 0.01


def test_rates_are_spread_evenly(occluded: Occlusion) -> None:
    more = occlude(*batch_of(range(100), 6), donors(100), CONFIG, seed=7)
    counts, _ = np.histogram(np.concatenate([mean_rates(more), mean_rates(occluded)]), 6, (0.1, 0.7))
    expected = (100 + COUNT) / 6
    # The chi-square statistic with 5 degrees of freedom passes 20.5 once in a thousand times.
    assert ((counts - expected) ** 2 / expected).sum() < 20.5


def test_all_kinds_occur(occluded: Occlusion) -> None:
    shares = {kind: occluded.kinds.count(kind) / COUNT for kind in ("object", "strokes", "blob")}
    assert 0.3 < shares["object"] < 0.7
    assert min(shares.values()) > 0.1


@pytest.mark.parametrize(("name", "rate"), [("free", 0), ("hidden", 1)])
def test_clips_have_free_and_hidden_frames_where_asked(name: str, rate: int) -> None:
    frames, amodal = batch_of(range(16), 24)
    config = replace(CONFIG, **{"free_clips": 0.0, "hidden_clips": 0.0})
    wishes = {f"{name}_clips": 1.0, f"{name}_frames": 0.1}
    shares = []
    for each in (config, replace(config, **wishes)):
        rates = occlude(frames, amodal, donors(16), each, seed=3).rates
        shares.append(((rates == rate).float().mean(dim=1) >= 0.1).float().mean().item())
    assert shares[1] > shares[0] + 0.25
    assert shares[1] > {"free": 0.85, "hidden": 0.3}[name]


def test_the_same_seed_gives_the_same_bytes(clips: tuple[Tensor, Tensor]) -> None:
    part = first(clips, 6)
    one, other = (occlude(*part, donors(6), CONFIG, seed=5) for _ in range(2))
    assert same(one, other)
    assert not same(one, occlude(*part, donors(6), CONFIG, seed=6))


def test_the_number_of_threads_is_not_seen(clips: tuple[Tensor, Tensor]) -> None:
    part = first(clips, 6)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(occlude(*part, donors(6), CONFIG, seed=5))
    finally:
        torch.set_num_threads(before)
    assert same(*results)


def test_a_clip_does_not_depend_on_its_neighbours(clips: tuple[Tensor, Tensor], occluded: Occlusion) -> None:
    material = donors(COUNT)
    for i in range(0, COUNT, 5):
        own = Material(material.frames[i : i + 1], material.masks[i : i + 1])
        alone = occlude(clips[0][i : i + 1], clips[1][i : i + 1], own, CONFIG, seed=[i])
        for each in fields(Occlusion):
            a, b = getattr(alone, each.name), getattr(occluded, each.name)[i : i + 1]
            assert (a.numpy().tobytes() == b.numpy().tobytes()) if isinstance(a, Tensor) else a == b, each.name


def test_global_generators_are_neither_used_nor_moved(clips: tuple[Tensor, Tensor]) -> None:
    part = first(clips, 2)
    before = torch.get_rng_state()
    one = occlude(*part, None, CONFIG, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert same(one, occlude(*part, None, CONFIG, seed=1))


def test_occluders_move_smoothly() -> None:
    frames, amodal = batch_of(range(16), 40)
    occluder = occlude(frames, amodal, donors(16), CONFIG, seed=2).occluder[:, :, 0]
    h, w = occluder.shape[-2:]
    area = occluder.sum(dim=(2, 3))
    inside = (occluder[..., 0].sum(-1) + occluder[..., -1].sum(-1) + occluder[..., 0, :].sum(-1)) == 0
    inside &= (occluder[..., -1, :].sum(-1) == 0) & (area > 30)
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    centre = torch.stack([(occluder * x).sum(dim=(2, 3)), (occluder * y).sum(dim=(2, 3))], -1) / area[..., None]
    steps = centre.diff(dim=1).norm(dim=-1)
    jerks = centre.diff(n=2, dim=1).norm(dim=-1)
    assert inside.float().mean() > 0.1  # or nothing was looked at
    # The occluder's size is that of the object, about 25 pixels.
    assert steps[inside[:, 1:] & inside[:, :-1]].max() < 8
    assert jerks[inside[:, 2:] & inside[:, 1:-1] & inside[:, :-2]].max() < 3
    # It neither pops up nor vanishes: neighbouring frames share much of it, wherever it is large.
    changed = (occluder[:, 1:] != occluder[:, :-1]).sum(dim=(2, 3))
    larger = torch.maximum(area[:, 1:], area[:, :-1])
    assert (changed / larger.clamp(min=1))[larger > 400].max() < 0.8


def test_no_background_of_the_donor_is_seen(clips: tuple[Tensor, Tensor]) -> None:
    found = occlude(*clips, donors(COUNT), replace(CONFIG, objects=1.0), seed=range(COUNT))
    objects = torch.tensor([kind == "object" for kind in found.kinds])
    assert objects.float().mean() > 0.5
    colours = found.pixels.amin(dim=2, keepdim=True)[objects][found.occluder[objects] > 0]
    assert colours.min() > 0.24  # donors are 0.25 to 1 before a background of 0


def test_frames_without_the_object_have_no_rate() -> None:
    frames, amodal = moving_object(1)
    amodal[:, 3:6] = 0
    rates = occlude(frames, amodal, seed=0).rates[0]
    assert rates[3:6].isnan().all()
    assert not rates[:3].isnan().any()
    assert not rates[6:].isnan().any()


def test_a_clip_without_any_object_still_gets_an_occluder() -> None:
    frames, amodal = moving_object(1)
    found = occlude(frames, amodal * 0, seed=0)
    assert found.rates.isnan().all()
    assert found.occluder.any()


@pytest.mark.parametrize("t", [1, 2])
def test_the_shortest_clips_work(t: int) -> None:
    frames, amodal = moving_object(1, t)
    found = occlude(frames, amodal, donors(1), seed=[4])
    assert abs(found.rates.mean().item() - found.aims.item()) < 0.05


def test_a_batch_may_mix_donors_that_are_there_and_such_as_are_not(clips: tuple[Tensor, Tensor]) -> None:
    material = donors(6)
    material.masks[::2] = 0
    found = occlude(*first(clips, 6), material, replace(CONFIG, objects=1.0), seed=0)
    assert "object" not in found.kinds[::2]
    assert "object" in found.kinds[1::2]


@pytest.mark.gpu
def test_a_gpu_gives_the_same_occluders(clips: tuple[Tensor, Tensor], occluded: Occlusion) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    material = donors(COUNT)
    there = Material(material.frames.cuda(), material.masks.cuda())
    found = occlude(clips[0].cuda(), clips[1].cuda(), there, CONFIG, seed=range(COUNT))
    assert found.kinds == occluded.kinds
    differ = (found.occluder.cpu() != occluded.occluder).float().mean(dim=(1, 2, 3, 4))
    # Another rounding may choose another try now and then.
    assert (differ < 0.002).float().mean() > 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rates": (0.5, 0.2)}, "least <= most"),
        ({"free_clips": 1.2}, "at least 0 and at most 1"),
        ({"tries": 0}, "at least 1 and at most 16"),
        ({"tries": 99}, "at most 16"),
        ({"points": 100}, "power of two"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **change)  # pyright: ignore[reportArgumentType]


def test_bad_clips_are_refused(clips: tuple[Tensor, Tensor]) -> None:
    frames, amodal = clips[0][:2], clips[1][:2]
    with pytest.raises(ValueError, match="give one for each clip"):
        occlude(frames, amodal, donors(3), seed=0)
    with pytest.raises(ValueError, match="give one for each clip"):
        occlude(frames, amodal, seed=[1])
    with pytest.raises(ValueError, match="8-bit values by 255"):
        occlude(frames * 255, amodal, seed=0)
    with pytest.raises(ValueError, match="NaN"):
        occlude(frames / 0 * 0, amodal, seed=0)
    with pytest.raises(ValueError, match="amodal has values that are NaN"):
        occlude(frames, amodal * torch.nan, seed=0)
