"""Clips of a soft-cornered object that moves and changes its size, and donors that walk: made from a seed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from voin.data.occluders.shapes import Material


def moving_object(seed: int, t: int = 12, size: tuple[int, int] = (64, 96)) -> tuple[Tensor, Tensor]:
    """Make frames (1, t, 3, h, w) of noise and the mask (1, t, 1, h, w) of an object that crosses the middle."""
    generator = np.random.default_rng(seed)
    h, w = size
    y, x = np.mgrid[0:h, 0:w]
    middle = generator.uniform(0.4, 0.6, 2) * (w, h)
    speed = generator.uniform(-0.3, 0.3, 2) * (w / t, h / t)
    half = generator.uniform(0.14, 0.26, 2) * h
    masks = []
    for i in range(t):
        cx, cy = middle + speed * (i - t / 2)
        grown = 1 + 0.1 * np.sin(i / 3)
        masks.append(((x - cx) / half[0] / grown) ** 4 + ((y - cy) / half[1] / grown) ** 4 < 1)
    frames = generator.random((1, t, 3, h, w), np.float32)
    return torch.from_numpy(frames), torch.from_numpy(np.stack(masks)).float()[None, :, None]


def batch_of(seeds: range, t: int = 12) -> tuple[Tensor, Tensor]:
    """Stack clips to frames (b, t, 3, h, w) and masks (b, t, 1, h, w)."""
    frames, masks = zip(*(moving_object(seed, t) for seed in seeds), strict=True)
    return torch.cat(frames), torch.cat(masks)


def donors(count: int, t: int = 8, size: int = 48) -> Material:
    """Make donors: a body on two legs that swing, coloured by noise over 0.25; their surroundings are 0."""
    y, x = torch.meshgrid(torch.arange(size) / size, torch.arange(size) / size, indexing="ij")
    masks = []
    for i in range(t):
        swing = 0.12 * np.sin(2 * np.pi * i / t)
        body = ((x - 0.5) / 0.22) ** 2 + ((y - 0.4) / 0.28) ** 2 < 1
        legs = [(x - 0.5 - side * (0.1 + swing * (y - 0.5))).abs() < 0.05 for side in (-1, 1)]
        masks.append(body | ((legs[0] | legs[1]) & (y > 0.5) & (y < 0.9)))
    shapes = torch.stack(masks).float()[None, :, None].repeat(count, 1, 1, 1, 1)
    generator = torch.Generator().manual_seed(3)
    colours = 0.25 + 0.75 * torch.rand(count, t, 3, size, size, generator=generator)
    return Material(colours * shapes, shapes)
