"""A disc behind a moving bar, and a small generator: what tests of the generator and of its stage share."""

from __future__ import annotations

import torch
from torch import Tensor

from voin.method.fill.generator import Generator, GeneratorConfig

TINY = GeneratorConfig(channels=(6, 8, 12, 16), dilations=(1, 2), classes=3)
Clip = tuple[Tensor, Tensor, Tensor, Tensor]


def clip(t: int = 6, size: tuple[int, int] = (32, 48), b: int = 1) -> Clip:
    """A disc behind a bar, half of what is hidden propagated: frames, visible, amodal, confidence."""
    h, w = size
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    amodal = ((x - w / 2) ** 2 + (y - h / 2) ** 2 < (0.4 * h) ** 2).float().expand(b, t, 1, h, w)
    bar = torch.stack([(x + i % 8 >= w // 2 - 2) & (x + i % 8 < w // 2 + 6) for i in range(t)]).float()
    visible = amodal * (1 - bar[:, None])
    confidence = 0.7 * (y < h / 2) * (amodal - visible)
    return torch.rand(b, t, 3, h, w), visible, amodal.clone(), confidence


def lively(config: GeneratorConfig = TINY) -> Generator:
    """An untrained network whose last layer is not nearly silent."""
    generator = Generator(config).eval()
    torch.nn.init.normal_(generator.colours.weight, std=0.3)
    return generator
