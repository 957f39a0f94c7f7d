"""Animated PNG and WebP: read frame by frame as videos, and their alpha as masks."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scenes.video_clips import COUNT, SIZE, described, pictures
from voin.io.masks.source import open_masks
from voin.io.video import probe, read

NAMES = ["a.png", "a.apng", "a.webp"]


def animate(path: Path, frames: list[np.ndarray], duration: int = 40) -> Path:
    first, *rest = (Image.fromarray(frame) for frame in frames)
    kind = "WEBP" if path.suffix == ".webp" else "PNG"
    first.save(path, kind, save_all=True, append_images=rest, duration=duration, lossless=True, exact=True, disposal=1)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_an_animation_is_read_as_a_video_exactly(tmp_path: Path, name: str) -> None:
    info = probe(animate(tmp_path / name, pictures()))
    assert (info.kind, info.size, info.count, info.rate) == ("gif", SIZE, COUNT, 25)
    assert [time * info.time_base for time in info.times] == [Fraction(i, 25) for i in range(COUNT)]
    whole = list(read(info))
    assert all((found == frame).all() for found, frame in zip(whole, pictures(), strict=True))
    assert all((found == frame).all() for found, frame in zip(read(info, 4, 7), whole[4:7], strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_the_alpha_of_an_animation_is_the_mask(tmp_path: Path, name: str) -> None:
    masks = []
    for index in range(COUNT):
        mask = np.zeros(SIZE, np.uint8)
        mask[10:30, index : index + 20] = 255
        masks.append(mask)
    cut = [np.dstack([frame, mask]) for frame, mask in zip(pictures(), masks, strict=True)]
    source = open_masks(animate(tmp_path / name, cut), described())
    assert all((source.label(index) == mask // 255).all() for index, mask in enumerate(masks))


def test_white_on_black_in_an_animation_is_a_mask_too(tmp_path: Path) -> None:
    masks = [np.pad(np.full((20, 20), 255, np.uint8), ((10, 18), (i, 44 - i))) for i in range(COUNT)]
    source = open_masks(animate(tmp_path / "a.png", [np.dstack([mask] * 3) for mask in masks]), described())
    assert all((source.label(index) == mask // 255).all() for index, mask in enumerate(masks))


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_animation_is_refused_or_read(tmp_path: Path, name: str) -> None:
    path = animate(tmp_path / name, pictures())
    data = path.read_bytes()
    for share in (0.2, 0.5, 0.9):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(OSError, match=r"cannot be read|single picture|missing|ends"):
            list(read(probe(path)))
