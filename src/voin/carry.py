"""Carry maps between distant frames along chains of affine motions: the object's own, or the background's.

A chain of flows gets lost at the first occlusion; a chain of motions that were fitted to a whole region does not.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from voin.flow_classical import SmoothFlowConfig, fit_motion
from voin.masks import grow
from voin.warp import cycle_error

Flow = Float[Tensor, "s 2 h w"]
Region = Float[Tensor, "t 1 h w"]
Chain = Float[Tensor, "t 3 3"]

# Frames ahead and back in which to look for what is here: the farther away, the fewer.
OFFSETS = (1, 2, 3, 4, 6, 8, 11, 15, 20, 26, 32)


def find_calm(forward: Flow, backward: Flow) -> tuple[Float[Tensor, "s 1 h w"], Float[Tensor, "s 1 h w"]]:
    """Say how far each flow, forward and backward, leads back to where it came from: 1 where it does, down to 0."""
    unit = 2 * forward.shape[-1] / 256
    there, back = (cycle_error(*pair) / unit for pair in ((forward, backward), (backward, forward)))
    return torch.exp(-(there**2)), torch.exp(-(back**2))


def fit_motions(
    forward: Flow, backward: Flow, trust: Region, calm: tuple[Tensor, Tensor]
) -> tuple[Float[Tensor, "s 3 2"], Float[Tensor, "s 3 2"]]:
    """Fit one affine motion to each flow where `trust` is high and the flow is `calm`."""
    config = SmoothFlowConfig()
    return (
        fit_motion(forward, trust[:-1] * calm[0], 1, config),
        fit_motion(backward, trust[1:] * calm[1], 1, config),
    )


def chain_motions(there: Float[Tensor, "s 3 2"], back: Float[Tensor, "s 3 2"], width: int) -> Chain:
    """Chain motions: maps from the first frame to each, in coordinates from -1 to 1 across a square window."""
    links = (_matrices(there, width) + torch.linalg.inv(_matrices(back, width))) / 2
    chain = [torch.eye(3).to(links)]
    for link in links:
        chain.append(link @ chain[-1])
    return torch.stack(chain)


def chain_scene(forward: Flow, backward: Flow, visible: Region, calm: tuple[Tensor, Tensor]) -> Chain:
    """Chain the background's motion: it is fitted to all that is not the visible part of the object."""
    outside = (~grow(visible[:, 0] >= 0.5, 2))[:, None].to(visible)
    return chain_motions(*fit_motions(forward, backward, outside, calm), visible.shape[-1])


def pair_frames(
    count: int, offsets: tuple[int, ...], device: torch.device
) -> Iterator[tuple[int, Int[Tensor, " n"], Int[Tensor, " n"]]]:
    """Give each offset in time, ahead and back: the offset, frames here, and the frames there."""
    for offset in [sign * each for each in offsets if each < count for sign in (1, -1)]:
        here = torch.arange(max(-offset, 0), min(count - offset, count), device=device)
        yield offset, here, here + offset


def carry(
    maps: Float[Tensor, "t c h w"], chain: Chain, offsets: tuple[int, ...]
) -> Iterator[tuple[int, Int[Tensor, " n"], Int[Tensor, " n"], Float[Tensor, "n c h w"]]]:
    """For each offset in time, ahead and back, carry the maps of other frames here.

    Yields:
        Offset, frames here, frames there, and the maps from there, 0 where they come from outside the picture.
    """
    back = torch.linalg.inv(chain)
    for offset, here, there in pair_frames(len(maps), offsets, maps.device):
        grid = F.affine_grid((chain[there] @ back[here])[:, :2], [len(here), *maps.shape[1:]], align_corners=True)
        yield offset, here, there, F.grid_sample(maps[there], grid, align_corners=True)


def _matrices(coefficients: Float[Tensor, "n 3 2"], width: int) -> Float[Tensor, "n 3 3"]:
    shift = coefficients.transpose(1, 2)[:, :, [1, 2, 0]] * 2 / (width - 1)  # columns x, y, 1
    matrix = torch.eye(3).to(shift).repeat(len(shift), 1, 1)
    matrix[:, :2] += shift
    return matrix
