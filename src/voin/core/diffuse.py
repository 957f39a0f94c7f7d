"""Spread values smoothly over a region: the interpolation behind flow completion, fill and seams."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from voin.core.resample import double, halve

_BATCH = 16
_CELL = 32  # a crop begins and ends at multiples of it, so that no grid of the pyramid shifts


def diffuse(
    values: Float[Tensor, "n c h w"],
    weight: Float[Tensor, "n 1 h w"],
    inside: Bool[Tensor, "n 1 h w"],
    smooth: float,
    fade: float,
    sweeps: int = 4,
    finest: int = 1,
) -> Float[Tensor, "n c h w"]:
    """Spread values smoothly from where `weight` is high over `inside`, coarse to fine; no value crosses its edge.

    Minimises sum of weight (v - values)^2 + smooth |grad v|^2 + fade v^2 over `inside`, by Jacobi sweeps on a pyramid.

    Args:
        values: (n, c, h, w).
        weight: (n, 1, h, w), >= 0; how much each value counts; only inside.
        inside: (n, 1, h, w).
        smooth: weight of the gradient term.
        fade: weight of the pull to zero.
        sweeps: Jacobi sweeps on the finest grid; coarser ones get more, they cost little.
        finest: the finest grid has one point per so many pixels: 1, 2 or 4; more is faster and smoother.
    """
    result = torch.zeros_like(values)
    # Some maps at a time: less memory, and a tighter box around what is inside.
    # A GPU is as fast with all of them, and waits for each of its many small calls.
    count = max(len(values), 1) if values.is_cuda else _BATCH
    for start in range(0, len(values), count):
        part = slice(start, start + count)
        rows, columns = (_span(inside[part].any(dim=0)[0].any(dim=axis)) for axis in (1, 0))
        box = (part, slice(None), rows, columns)
        result[box] = _solve(values[box], weight[box], inside[box], smooth, fade, sweeps, finest)
    return result


def _span(needed: Bool[Tensor, " size"]) -> slice:
    """Return the whole cells around all that is needed: elsewhere there is nothing to do."""
    places = needed.nonzero()[:, 0].tolist() or [0]
    return slice(places[0] // _CELL * _CELL, -(-(places[-1] + 1) // _CELL) * _CELL)


def _solve(values, weight, inside, smooth: float, fade: float, sweeps: int, finest: int) -> Tensor:
    domain = inside.to(values)
    weight = weight * domain
    if min(values.shape[-2:]) < 16:
        # From the mean on: few sweeps do not carry values all the way across.
        mean = (values * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(min=1e-8)
        return _sweep(mean * domain, values, weight, domain, smooth, fade, 64)
    # Sums over 2x2 cells keep the data term's size; the gradient term of a halved grid keeps its own.
    total = 4 * halve(weight)
    mean = 4 * halve(values * weight) / total.clamp(min=1e-8)
    part = halve(domain) > 0
    coarse = _solve(mean, total, part, smooth, 4 * fade, min(2 * sweeps, 24), max(finest // 2, 1))
    # Over the share of points inside, so that the zeros outside do not pull at the rim.
    both = double(torch.cat([coarse, part.to(coarse)], dim=1))[..., : values.shape[-2], : values.shape[-1]]
    start = both[:, :-1] / both[:, -1:].clamp(min=1e-3)
    if finest > 1:
        return start * domain
    return _sweep(start * domain, values, weight, domain, smooth, fade, sweeps)


def _sweep(current, values, weight, domain, smooth: float, fade: float, sweeps: int) -> Tensor:
    """Jacobi sweeps: each point becomes the weighted mean of its own value, its neighbours inside and zero."""
    scale = domain / (smooth * _neighbours(domain) + weight + fade).clamp(min=1e-8)
    data, scale = values * weight * scale, smooth * scale
    for _ in range(sweeps):
        current = _neighbours(current).mul_(scale).add_(data)
    return current


def _neighbours(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Sum the four neighbours of each pixel; outside is 0."""
    padded = F.pad(x, (1, 1, 1, 1))
    result = padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1]
    return result.add_(padded[..., 1:-1, :-2]).add_(padded[..., 1:-1, 2:])
