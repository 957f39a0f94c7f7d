"""Spread values smoothly over a region: the interpolation behind flow completion, fill and seams."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def diffuse(
    values: Float[Tensor, "n c h w"],
    weight: Float[Tensor, "n 1 h w"],
    inside: Bool[Tensor, "n 1 h w"],
    smooth: float,
    fade: float,
    sweeps: int = 12,
) -> Float[Tensor, "n c h w"]:
    """Spread values smoothly from where `weight` is high over `inside`, coarse to fine; no value crosses its edge.

    Minimises sum of weight (v - values)^2 + smooth |grad v|^2 + fade v^2 over `inside`, by Jacobi sweeps on a pyramid.

    Args:
        values: (n, c, h, w).
        weight: (n, 1, h, w), >= 0; how much each value counts; only inside.
        inside: (n, 1, h, w) bool.
        smooth: weight of the gradient term.
        fade: weight of the pull to zero.
        sweeps: Jacobi sweeps a level.
    """
    domain = inside.to(values)
    weight = weight * domain
    if min(values.shape[-2:]) >= 16:
        # Sums over 2x2 cells keep the data term's size; the gradient term of a halved grid keeps its own.
        total = 4 * F.avg_pool2d(weight, 2, ceil_mode=True, count_include_pad=False)
        mean = 4 * F.avg_pool2d(values * weight, 2, ceil_mode=True, count_include_pad=False) / total.clamp(min=1e-8)
        coarse = diffuse(mean, total, F.max_pool2d(domain, 2, ceil_mode=True) > 0, smooth, 4 * fade, sweeps)
        start = F.interpolate(coarse, scale_factor=2, mode="bilinear")[..., : values.shape[-2], : values.shape[-1]]
    else:
        start, sweeps = torch.zeros_like(values), 4 * sweeps
    current = start * domain
    pull = smooth * (_neighbours(domain)) * domain + weight + fade * domain
    data = values * weight
    for _ in range(sweeps):
        current = domain * (data + smooth * _neighbours(current)) / pull.clamp(min=1e-8)
    return current


def _neighbours(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Sum the four neighbours of each pixel; outside is 0."""
    result = torch.zeros_like(x)
    result[..., 1:, :] += x[..., :-1, :]
    result[..., :-1, :] += x[..., 1:, :]
    result[..., 1:] += x[..., :-1]
    result[..., :-1] += x[..., 1:]
    return result
