from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from sets.packs import cutouts_of, pack_of, sprites_of
from voin.data.categories import CATEGORIES
from voin.data.occluders.occlude import OccluderConfig
from voin.data.occluders.shapes import ShapeConfig
from voin.training.augment import AugmentConfig, DamageConfig
from voin.training.batch.camera import CameraConfig
from voin.training.batch.choose import category_index
from voin.training.batch.config import Batch, SamplerConfig
from voin.training.batch.filmed import FilmedConfig
from voin.training.sampler import Sampler

PLAIN = AugmentConfig(light=0.0, contrast=0.0, saturation=0.0, tint=0.0)
STILL = replace(PLAIN, scale=(1.0, 1.0), turn=0.0, shift=0.0, bend=0.0, mirrored=0.0)
CONFIG = SamplerConfig(
    batch=4, frames=5, size=32, augment=PLAIN, occluder=OccluderConfig(tries=2, points=32, shape=ShapeConfig(size=32))
)
NAMES = ("a", "b", "b", "c", "d")
CATEGORY_NAMES = ("dog", "cat", None, "zebra", "airplane")


def sampler(config: SamplerConfig = CONFIG, seed: int = 3, **about) -> Sampler:
    return Sampler(pack_of(NAMES, CATEGORY_NAMES, **about), config, "cpu", seed, cutouts_of(3))


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, each.name), getattr(other, each.name)) for each in fields(Batch))


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    config = replace(CONFIG, damage=DamageConfig(clips=0.5))
    one, other = sampler(config), sampler(config)
    for step in range(3):
        one.batch(step)
    torch.manual_seed(9)
    assert same(one.batch(7), other.batch(7))
    assert not same(one.batch(7), one.batch(8))
    assert not same(one.batch(7), sampler(config, seed=4).batch(7))


def test_processes_that_share_a_batch_make_its_parts() -> None:
    one = sampler()
    whole, parts = one.batch(2), [one.batch(2, rank, 2) for rank in range(2)]
    for each in fields(Batch):
        joined = torch.cat([getattr(part, each.name) for part in parts])
        torch.testing.assert_close(getattr(whole, each.name), joined, rtol=0, atol=0)


@pytest.mark.parametrize(("rank", "ranks"), [(0, 3), (2, 2), (-1, 2)])
def test_a_batch_that_cannot_be_shared_is_refused(rank: int, ranks: int) -> None:
    with pytest.raises(ValueError, match="must be a multiple"):
        sampler().batch(0, rank, ranks)


def test_visible_is_the_object_without_the_occluder_and_the_input_is_the_truth_outside_it() -> None:
    one = sampler()
    for step in range(2):
        batch = one.batch(step)
        assert torch.equal(batch.visible, batch.amodal * (1 - batch.occluder))
        behind = (batch.occluder > 0).expand_as(batch.frames)
        assert torch.equal(batch.frames[~behind], batch.truth[~behind])
        assert not torch.equal(batch.frames[behind], batch.truth[behind])
        assert torch.equal(batch.present, batch.amodal.flatten(2).sum(dim=2) > 0)
        for each in (batch.frames, batch.truth):
            assert each.min() >= 0
            assert each.max() <= 1


@pytest.mark.parametrize("config", [replace(CONFIG, cutouts=0.0, pasted=0.0), replace(CONFIG, cutouts=1.0, pasted=0.0)])
@pytest.mark.parametrize("size", [32, 64])
def test_objects_stay_under_their_masks(config: SamplerConfig, size: int) -> None:
    one = sampler(config, size=size)
    for step in range(2):
        batch = one.batch(step)
        inside = batch.amodal > 0
        near = torch.nn.functional.max_pool2d(batch.amodal.flatten(0, 1), 3, 1, 1).view_as(inside) > 0
        core = torch.nn.functional.max_pool2d(1 - batch.amodal.flatten(0, 1), 3, 1, 1).view_as(inside) == 0
        red = batch.truth[:, :, :1]
        assert core.any()
        assert red[core].min() > 0.5
        if config.cutouts == 0:  # else the background has a bright object of its own
            assert red[~near].max() < 0.5


def test_pasted_objects_stand_before_another_video() -> None:
    one = sampler(replace(CONFIG, cutouts=0.0, pasted=1.0, augment=STILL))
    for step in range(2):
        batch = one.batch(step)
        for i, choice in enumerate(one.choose(step)):
            assert choice.background is not None
            inside = batch.amodal[i] > 0
            for index, where in ((choice.target.index, inside), (choice.background.index, ~inside)):
                green = int(255 * index / len(NAMES)) / 255
                assert (batch.truth[i, :, 1:2][where] - green).abs().max() < 0.01


def test_donors_and_backgrounds_are_of_other_videos() -> None:
    one = sampler(replace(CONFIG, pasted=0.5))
    donors = set()
    for step in range(30):
        for choice in one.choose(step):
            assert choice.donor is not None
            used = [part for part in (choice.target, choice.background, choice.donor) if part is not None]
            videos = [NAMES[part.index] for part in used if part.source == "films"]
            assert len(set(videos)) == len(videos)
            donors.add(choice.donor.index)
    assert donors == set(range(len(NAMES)))


def test_a_pack_of_one_video_has_occluders_without_donors() -> None:
    one = Sampler(pack_of(("a", "a")), CONFIG)
    assert all(choice.donor is None for choice in one.choose(0))
    assert one.batch(0).occluder.any()


def test_every_clip_comes_once_before_any_comes_again() -> None:
    one = sampler(replace(CONFIG, cutouts=0.0))
    drawn = [choice.target.index for step in range(5) for choice in one.choose(step)]
    for turn in range(4):
        assert sorted(drawn[5 * turn : 5 * turn + 5]) == list(range(5))


def test_objects_that_are_hidden_in_part_are_no_targets() -> None:
    one = sampler(replace(CONFIG, partial=("b", "d")))
    choices = [choice for step in range(20) for choice in one.choose(step)]
    assert {NAMES[choice.target.index] for choice in choices if choice.target.source == "films"} == {"a", "c"}
    assert "b" in {NAMES[choice.donor.index] for choice in choices if choice.donor is not None}


def test_categories_are_those_of_the_clips_or_dropped() -> None:
    known = sampler(replace(CONFIG, cutouts=0.0, unknown=0.0))
    for step in range(2):
        for index, choice in zip(known.batch(step).category.tolist(), known.choose(step), strict=True):
            name = CATEGORY_NAMES[choice.target.index]
            assert index == (0 if name is None else CATEGORIES.index(name) + 1)
    assert not sampler(replace(CONFIG, unknown=1.0)).batch(0).category.any()
    assert sampler(replace(CONFIG, cutouts=1.0, pasted=0.0, unknown=0.0)).batch(0).category[0] == category_index("cat")
    assert (category_index("airplane"), category_index("zebra"), category_index(None)) == (1, len(CATEGORIES), 0)


def test_the_label_is_told_where_the_category_is_not() -> None:
    told, untold = (sampler(replace(CONFIG, unknown=unknown)) for unknown in (0.0, 1.0))
    for step in range(2):
        batch = untold.batch(step)
        assert not batch.category.any()
        assert torch.equal(batch.label, told.batch(step).category)
        assert torch.equal(batch.label, told.batch(step).label)


def test_frames_follow_the_stride_in_both_directions() -> None:
    one = sampler(replace(CONFIG, cutouts=0.0, pasted=0.0, augment=STILL))
    for step in range(2):
        batch = one.batch(step)
        # Blue is 4 times the number of the frame.
        frames = (batch.truth[:, :, 2].mean(dim=(-1, -2)) * 255 / 4).round().long()
        assert torch.equal(frames.diff(dim=1), batch.strides[:, None].expand(-1, CONFIG.frames - 1))
    assert {choice.stride for step in range(12) for choice in one.choose(step)} == {-3, -2, -1, 1, 2, 3}


def test_a_short_video_is_played_to_and_fro() -> None:
    one = sampler(replace(CONFIG, cutouts=0.0, reversed=0.0), count=3)
    for choice in one.choose(0):
        assert choice.target.frames.diff().abs().tolist() == [1, 1, 1, 1]
        assert choice.target.frames.max() <= 2


def test_clips_are_chosen_where_the_object_is() -> None:
    one = sampler(replace(CONFIG, cutouts=0.0, augment=STILL), empty=7)
    for step in range(2):
        assert (one.batch(step).present.sum(dim=1) >= 4).all()


def test_flow_is_known_of_cutouts_alone() -> None:
    one = sampler(replace(CONFIG, cutouts=0.5))
    batches = [one.batch(step) for step in range(2)]
    known = torch.cat([batch.flow_known for batch in batches])
    moving = torch.cat(
        [batch.forward.flatten(1).any(dim=1) & batch.backward.flatten(1).any(dim=1) for batch in batches]
    )
    assert torch.equal(known, moving)
    assert 0 < known.sum() < len(known)
    assert torch.equal(known, torch.cat([batch.strides == 0 for batch in batches]))


def test_damage_changes_the_visible_masks_alone() -> None:
    plain, damaged = sampler().batch(5), sampler(replace(CONFIG, damage=DamageConfig(clips=1.0))).batch(5)
    assert not torch.equal(plain.visible, damaged.visible)
    assert same(plain, replace(damaged, visible=plain.visible))
    assert set(damaged.visible.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("cutouts", [0.0, 1.0])
def test_distractors_stand_behind_the_object_and_change_the_background_alone(cutouts: float) -> None:
    config = replace(CONFIG, cutouts=cutouts, pasted=0.0, batch=8)
    plain, crowded = sampler(config), sampler(replace(config, distractors=1.0))
    for step in range(2):
        one, other = plain.batch(step), crowded.batch(step)
        assert torch.equal(one.amodal, other.amodal)
        assert torch.equal(one.visible, other.visible)
        assert torch.equal(one.occluder, other.occluder)
        inside = (one.amodal > 0).expand_as(one.truth)
        # Photos have soft edges.
        core = (-torch.nn.functional.max_pool3d(-one.amodal[:, :, 0], (1, 3, 3), 1, (0, 1, 1)) > 0)[:, :, None]
        core = inside if cutouts == 0 else core.expand_as(inside)
        torch.testing.assert_close(one.truth[core], other.truth[core], rtol=0, atol=1e-6)
        added = ((one.truth != other.truth) & ~inside).any(dim=2)
        assert (added.flatten(1).float().mean(dim=1) > 0.01).sum() >= 6
        # Objects are bright red.
        assert other.truth[:, :, 0][added].median() > 0.5
        assert torch.equal(
            other.frames[other.occluder.expand_as(inside) == 0], other.truth[other.occluder.expand_as(inside) == 0]
        )


def test_distractors_pass() -> None:
    config = replace(CONFIG, cutouts=0.0, pasted=0.0, batch=8, augment=STILL)
    one, other = sampler(config).batch(0), sampler(replace(config, distractors=1.0)).batch(0)
    added = (one.truth != other.truth).any(dim=2)  # b t h w
    columns = torch.arange(32.0)
    seen = added.flatten(2).any(dim=2)
    middles = (added.sum(dim=2) * columns).sum(dim=2) / added.flatten(2).sum(dim=2).clamp(min=1)
    moved = [middles[i][seen[i]].diff().abs().max() for i in range(8) if seen[i].sum() > 1]
    assert max(moved) > 2


def test_distractors_are_of_other_videos_and_their_shares_are_kept() -> None:
    one = sampler(replace(CONFIG, distractors=0.5, clear=0.3))
    choices = [choice for step in range(60) for choice in one.choose(step)]
    for choice in choices:
        if choice.distractor is None:
            continue
        assert choice.distractor.source == choice.target.source
        assert choice.distractor.index != choice.target.index
        if choice.target.source == "films":
            behind = NAMES[(choice.background or choice.target).index]
            assert NAMES[choice.distractor.index] not in {NAMES[choice.target.index], behind}
    assert abs(sum(choice.distractor is not None for choice in choices) / len(choices) - 0.5) < 0.1
    assert abs(sum(choice.clear for choice in choices) / len(choices) - 0.3) < 0.1
    assert Sampler(pack_of(("a", "a")), replace(CONFIG, distractors=1.0)).batch(0).amodal.any()


def test_in_clear_clips_nothing_is_hidden() -> None:
    one, other = sampler(), sampler(replace(CONFIG, clear=0.5))
    for step in range(4):
        plain, batch = one.batch(step), other.batch(step)
        for i, choice in enumerate(other.choose(step)):
            if choice.clear:
                assert torch.equal(batch.frames[i], batch.truth[i])
                assert torch.equal(batch.visible[i], batch.amodal[i])
                assert not batch.occluder[i].any()
            else:
                assert torch.equal(batch.frames[i], plain.frames[i])
    assert not sampler(replace(CONFIG, clear=1.0)).batch(0).occluder.any()


@pytest.mark.parametrize("cutouts", [0.0, 1.0])
def test_the_whole_picture_drifts_smoothly_in_its_window(cutouts: float) -> None:
    config = replace(CONFIG, cutouts=cutouts, pasted=0.0, batch=8, augment=STILL, frames=9)
    one, other = sampler(config).batch(1), sampler(replace(config, drift=1.0)).batch(1)
    lines = torch.arange(32.0)
    middles = []
    for batch in (one, other):
        masks = batch.amodal[:, :, 0]
        area = masks.flatten(2).sum(dim=2)
        middles.append(
            torch.stack([(masks.sum(dim=2) * lines).sum(dim=2), (masks.sum(dim=3) * lines).sum(dim=2)], dim=-1)
            / area[..., None]
        )
        assert (area > 0).all()
    way = (middles[1] - middles[0]) / 32
    assert 0.05 < way.abs().max() < 0.2
    assert way.diff(dim=1).abs().max() < 0.1
    # No border comes in: the edges are as bright as the middle.
    for batch in (one, other):
        edge = torch.cat([batch.truth[..., 0, :], batch.truth[..., -1, :]]).amax(dim=(2, 3))
        assert (edge > 0.02).all()
    assert torch.equal(sampler(replace(config, drift=1.0, drifted=0.0)).batch(1).truth, one.truth)


def with_sprites(config: SamplerConfig) -> Sampler:
    return Sampler(pack_of(NAMES, CATEGORY_NAMES), config, "cpu", 3, cutouts_of(3), sprites_of(4))


def test_sprites_are_targets_before_films_with_soft_edges() -> None:
    one = with_sprites(replace(CONFIG, sprites=1.0, cutouts=0.0, pasted=0.0, augment=STILL, clear=1.0))
    targets = set()
    for step in range(3):
        batch = one.batch(step)
        for choice in one.choose(step):
            assert choice.target.source == "sprites"
            assert choice.background is not None
            assert choice.background.source == "films"
            targets.add(choice.target.index)
        assert not batch.flow_known.any()
        assert set(batch.amodal.unique().tolist()) == {0.0, 1.0}
        assert (batch.strides != 0).all()
        core = (-torch.nn.functional.max_pool2d(-batch.amodal.flatten(0, 1), 7, 1, 3) > 0).view_as(batch.amodal)
        assert core.any()
        # Pure cyan inside, and none of the white that lies around it.
        colours = batch.truth.movedim(2, -1)[core[:, :, 0]]
        torch.testing.assert_close(colours, torch.tensor([0.0, 1.0, 1.0]).expand_as(colours), rtol=0, atol=1e-3)
        around = (torch.nn.functional.max_pool2d(batch.amodal.flatten(0, 1), 7, 1, 3) == 0).view_as(batch.amodal)
        assert batch.truth.movedim(2, -1)[around[:, :, 0]].amin(dim=-1).max() < 0.9
        edges = batch.truth[:, :, 1:2][~core & ~around]
        assert ((edges > 0.3) & (edges < 0.9)).any()
    assert targets == set(range(4))


def test_sprites_are_occluders_and_distractors_as_often_as_targets() -> None:
    one = with_sprites(replace(CONFIG, sprites=0.4, cutouts=0.2, distractors=1.0))
    choices = [choice for step in range(60) for choice in one.choose(step)]
    sources = [choice.target.source for choice in choices]
    assert abs(sources.count("sprites") / len(choices) - 0.4) < 0.1
    assert abs(sources.count("cutouts") / len(choices) - 0.2) < 0.1
    for name, most in (("donor", 0), ("distractor", sources.count("cutouts"))):
        parts = [getattr(choice, name).source for choice in choices if getattr(choice, name) is not None]
        assert abs(parts.count("sprites") / (len(choices) - most) - 0.4) < 0.1
    behind = [choice.distractor for choice in choices if choice.target.source == "cutouts"]
    assert all(part is not None and part.source == "cutouts" for part in behind)
    assert one.batch(0).occluder.any()


def test_without_a_pack_of_sprites_films_stand_in() -> None:
    one, other = sampler(replace(CONFIG, cutouts=0.0)), sampler(replace(CONFIG, cutouts=0.0, sprites=0.5))
    assert same(one.batch(0), other.batch(0))


def test_objects_leave_the_picture_and_its_border_is_repeated_beyond() -> None:
    config = replace(CONFIG, batch=16, frames=9, clear=0.5)
    one, other = sampler(config).batch(0), sampler(replace(config, leaving=1.0)).batch(0)
    gone = (one.amodal > 0) & (other.amodal == 0)
    assert gone.flatten(1).any(dim=1).sum() > 8
    for name in ("amodal", "visible", "occluder"):
        assert (getattr(other, name) <= getattr(one, name)).all()
    assert torch.equal(other.visible, other.amodal * (1 - other.occluder))
    assert torch.equal(other.present, other.amodal.flatten(2).any(dim=2))
    assert other.visible.flatten(1).any(dim=1).all()
    assert (~other.present).any()
    assert gone.any(dim=(0, 1, 2)).float().mean() > 0.2  # whichever side it is
    changed = (one.truth != other.truth).any(dim=2)
    for i in range(16):
        for t in range(9):
            rows, columns = changed[i, t].any(dim=1), changed[i, t].any(dim=0)
            if not changed[i, t].any():
                continue
            # Beyond the edge all rows, or all columns, are one.
            part = other.truth[i, t][:, rows.nonzero()[0, 0] : rows.nonzero()[-1, 0] + 1]
            part = part[:, :, columns.nonzero()[0, 0] : columns.nonzero()[-1, 0] + 1]
            same_rows = (part == part[:, :1]).all()
            same_columns = (part == part[:, :, :1]).all()
            assert same_rows or same_columns


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"batch": 0}, "batch is 0.* at least 1"),
        ({"frames": 1}, "frames is 1.* at least 2"),
        ({"size": 50}, "multiple of 8"),
        ({"size": 24}, "size is 24.* at least 32"),
        ({"strides": (0, 2)}, "strides is .* at least 1"),
        ({"strides": (3, 2)}, "least <= most"),
        ({"unknown": 2.0}, "unknown is .* at least 0 and at most 1"),
        ({"distractors": -0.1}, "distractors is .* at least 0 and at most 1"),
        ({"clear": 1.1}, "clear is .* at least 0 and at most 1"),
        ({"leaving": -1.0}, "leaving is .* at least 0 and at most 1"),
        ({"sprites": 0.6, "cutouts": 0.6}, "together"),
        ({"drift": 2.0}, "drift is .* at least 0 and at most 1"),
        ({"pasted": 0.6, "cutouts": 0.6}, "together"),
    ],
)
def test_bad_configurations_are_refused(change: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        replace(CONFIG, **change)


@pytest.mark.parametrize("partial", [("x",), ("a", "b", "c", "d")])
def test_partial_must_name_some_of_the_videos(partial: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="it must name some of"):
        sampler(replace(CONFIG, partial=partial))


def test_a_pack_without_clips_is_refused() -> None:
    with pytest.raises(ValueError, match="has no clips"):
        Sampler(replace(pack_of(("a",)), clips=()))


@pytest.mark.gpu
def test_batches_are_made_on_a_gpu() -> None:
    one = Sampler(pack_of(NAMES), replace(CONFIG, damage=DamageConfig(clips=1.0)), "cuda", 3, cutouts_of(3))
    batch, other = one.batch(4), sampler(replace(CONFIG, damage=DamageConfig(clips=1.0))).batch(4)
    tensors: list[Tensor] = [getattr(batch, each.name) for each in fields(Batch)]
    assert all(each.device.type == "cuda" for each in tensors)
    assert (batch.truth.cpu() - other.truth).abs().mean() < 1e-3


def test_filmed_occluders_and_cameras_leave_a_batch_whole() -> None:
    config = replace(CONFIG, filmed=FilmedConfig(clips=1.0), camera=CameraConfig(clips=1.0))
    batch, plain = sampler(config).batch(1), sampler().batch(1)
    assert torch.equal(batch.visible, batch.amodal * (1 - batch.occluder))
    assert torch.equal(batch.amodal, plain.amodal)
    assert not torch.equal(batch.frames, plain.frames)
    for pictures in (batch.frames, batch.truth):
        assert pictures.min() >= 0
        assert pictures.max() <= 1
