from __future__ import annotations

import numpy as np
import torch

from voin.method.paste import fetch, sample_picture
from voin.method.propagation.tracks import Tracks
from voin.method.window import ObjectClip, Windows


def clip_of(colours: list[float], side: int = 64, size: int = 32) -> ObjectClip:
    t = len(colours)
    frames = [np.full((side, side, 3), each, np.float32) for each in colours]
    masks = [np.ones((side, side), bool)] * t
    return ObjectClip(Windows(np.zeros(t), np.zeros(t), np.full(t, float(side)), size), (side, side), frames, masks)


def tracks_to(source: int, confidence: float, dx: float = 0.0, size: int = 32) -> Tracks:
    found = size * size if source >= 0 else 0
    shift, trust = torch.tensor([[dx, 0.0]]).repeat(found, 1), torch.full((found,), confidence)
    return Tracks(1, torch.full((1, size, size), source, dtype=torch.int16), shift, trust)


ROWS, COLUMNS = np.array([20, 30, 31]), np.array([10, 40, 21])


def test_a_pixel_takes_the_colour_of_its_source() -> None:
    colours, found = fetch(clip_of([0.2, 0.9, 0.6]), [tracks_to(2, 1.0)], 1, ROWS, COLUMNS)
    assert found.all()
    np.testing.assert_allclose(colours, 0.6, atol=1e-6)


def test_pixels_without_a_source_are_not_found() -> None:
    colours, found = fetch(clip_of([0.2, 0.9]), [tracks_to(-1, 0.0)], 1, ROWS, COLUMNS)
    assert not found.any()
    assert not colours.any()


def test_of_two_directions_the_surer_one_counts_more() -> None:
    clip = clip_of([0.0, 0.5, 1.0])
    even, _ = fetch(clip, [tracks_to(0, 0.8), tracks_to(2, 0.8)], 1, ROWS, COLUMNS)
    odd, _ = fetch(clip, [tracks_to(0, 0.2), tracks_to(2, 0.8)], 1, ROWS, COLUMNS)
    np.testing.assert_allclose(even, 0.5, atol=1e-5)
    np.testing.assert_allclose(odd, 16 / 17, atol=1e-5)


def test_a_working_displacement_is_scaled_to_native_pixels() -> None:
    clip = clip_of([0.0, 0.0])
    clip.frames[0][:] = (np.arange(64, dtype=np.float32) / 100)[None, :, None]
    colours, _ = fetch(clip, [tracks_to(0, 1.0, dx=3.0)], 1, ROWS, COLUMNS)  # two native pixels in a working one
    np.testing.assert_allclose(colours[:, 0], (COLUMNS + 6) / 100, atol=1e-4)


def test_whole_pixels_are_sampled_exactly_and_the_border_repeats() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    values = sample_picture(picture, np.array([4.0, 29.0, 40.0]), np.array([7.0, 19.0, 7.0]))
    np.testing.assert_allclose(values, picture[[7, 19, 7], [4, 29, 29]] / np.float32(255), atol=1e-6)
