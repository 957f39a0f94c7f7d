"""Crops of whole frames (paper 4.1), and batches made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fakes.tiny_training import OCCLUDER
from sets.packs import pack_of
from voin.data.packs.pack import Pack, lay_out
from voin.training.augment import AugmentConfig
from voin.training.batch.config import SamplerConfig
from voin.training.batch.crop import crop
from voin.training.sampler import Sampler

SHAPE = (36, 64)
CONFIG = SamplerConfig(
    batch=6,
    frames=3,
    size=48,
    height=32,
    crop=True,
    strides=(1, 1),
    pasted=0.0,
    cutouts=0.0,
    augment=AugmentConfig(light=0.0, contrast=0.0, saturation=0.0, tint=0.0),
    occluder=OCCLUDER,
)


def frames_of(videos: int = 3, count: int = 5) -> Pack:
    """A pack of whole frames in which each pixel says where it is; a square in each."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    clips, parts = [], []
    for number in range(videos):
        frames = np.stack([np.broadcast_to(3 * y, (count, *SHAPE)), np.broadcast_to(3 * x, (count, *SHAPE))], axis=-1)
        moment = np.broadcast_to(np.arange(count)[:, None, None, None], (count, *SHAPE, 1))
        masks = np.stack([(abs(y - 18) < 8) & (abs(x - 20 - i - 8 * number) < 8) for i in range(count)])
        parts += [np.concatenate([frames, moment], axis=-1).astype(np.uint8).ravel(), masks.astype(np.uint8).ravel()]
        clips.append((f"c{number}", f"v{number}", "dog", count))
    area = 4 * count * SHAPE[0] * SHAPE[1]
    places = [replace(clip, start=number * area) for number, clip in enumerate(lay_out(clips, *SHAPE))]
    given = {"size": SHAPE[1], "rows": SHAPE[0], "split": "train", "enlarge": 1.0, "source": ""}
    return Pack(path=Path("frames.pack"), data=np.concatenate(parts), clips=tuple(places), **given)


def test_crops_are_pixels_of_the_frames_and_hold_the_middle_of_the_object() -> None:
    places = set()
    for step in range(6):
        batch = Sampler(frames_of(), CONFIG, "cpu", 1).batch(step)
        assert batch.truth.shape == (6, 3, 3, 32, 48)
        for clip, masks in zip((255 * batch.truth).round().long(), batch.amodal, strict=True):
            rows, columns = clip[0, 0, :, 0] // 3, clip[0, 1, 0] // 3
            mirrored = bool(columns[0] > columns[-1])
            # As they are: whole pixels, one after the other, the same part in all frames.
            assert rows.diff().eq(1).all()
            assert (columns.flip(0) if mirrored else columns).diff().eq(1).all()
            assert (clip[:, 0] == 3 * rows[:, None]).all()
            assert (clip[:, 1] == 3 * columns).all()
            assert masks.flatten(1).any(dim=1).all()
            places.add((int(rows[0]), int(columns.min()), mirrored))
    # Anywhere, and half of them flipped.
    assert len({row for row, _, _ in places}) > 3
    assert len({column for _, column, _ in places}) > 8
    assert {mirrored for *_, mirrored in places} == {False, True}


def test_an_object_at_the_edge_is_in_every_crop() -> None:
    frames, masks = torch.zeros(1, 2, *SHAPE, 3, dtype=torch.uint8), torch.zeros(1, 2, *SHAPE, dtype=torch.uint8)
    masks[..., 30:36, 60:64] = 255
    for draw in (0.0, 0.5, 0.999):
        numbers = torch.full((1, 3), draw, dtype=torch.float64)
        assert crop(frames, masks, numbers, (20, 32), 0.5)[1].any()


def test_other_objects_become_occluders() -> None:
    config = replace(CONFIG, occluder=replace(OCCLUDER, objects=1.0))
    batch = Sampler(frames_of(), config, "cpu", 0).batch(0)
    assert batch.occluder.any()
    inside = batch.occluder.expand_as(batch.frames) > 0
    assert (batch.frames != batch.truth)[inside].any()
    assert torch.equal(batch.frames[~inside], batch.truth[~inside])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 34}, "height is 34 and crop true; it must be a multiple of 4"),
        ({"crop": False}, "height is 32 and crop false"),
        ({"pasted": 0.2}, "crop is true and pasted is 0.2; crops are parts of films as they are; set pasted=0"),
        ({"cutouts": 0.3}, "cutouts is 0.3"),
        ({"leaving": 0.3}, "leaving is 0.3"),
    ],
)
def test_what_crops_cannot_be_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **change)


def test_packs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"frames.pack holds pictures of 64x36; crops of 72x36 must fit into them"):
        Sampler(frames_of(), replace(CONFIG, size=72, height=36))
    with pytest.raises(ValueError, match=r"frames.pack holds whole frames; they must be cropped"):
        Sampler(frames_of(), SamplerConfig(size=32, occluder=OCCLUDER))
    # Crops of squares are squares.
    squares = replace(CONFIG, size=24 + 8, height=None)
    assert Sampler(pack_of(("a", "b", "c"), size=40), squares).batch(0).frames.shape[-2:] == (32, 32)
