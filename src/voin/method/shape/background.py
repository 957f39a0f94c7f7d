"""What hides an object at rest must pass: what stays beside it in nearly all frames is background.

A shape network completes what objects mostly are, and so fills a bicycle's frame, through which the wall is seen. But
where the object rests in the scene, and at the same place of it the same colour is seen in nearly all frames, nothing
says that there is an occluder, and what is painted over may be plain background. So it is left as it is, and that an
occluder passes before it now and then does not make it the object. An occluder that stays before an object at rest
cannot be told from background, and must be given. Not in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from voin.core.morphology import grow, shrink
from voin.core.resample import halve
from voin.method.affine import (
    OFFSETS,
    align,
    chain_motions,
    chain_scene,
    fit_motions,
    flow_consistency,
    pair_frames,
    rim_trust,
)


@dataclass(frozen=True)
class RestConfig:
    """When a pixel counts as background at rest; pixels are those of a 256-pixel window.

    Args:
        offsets: frames ahead and back that are compared.
        colour: largest difference at which two colours are the same.
        share: of the frames compared that must show the same colour.
        absent: share of the frames that must not show the object there.
        least_frames: that must be compared.
        still: how far the object may have moved against the scene, where it counts as resting.
        often: share of the frames in which a place must be background, for it to be so in the others.
        thin: what remains beside such background, and is thinner than twice this, is its rim.
    """

    offsets: tuple[int, ...] = OFFSETS
    colour: float = 0.06
    share: float = 0.85
    absent: float = 0.9
    least_frames: int = 6
    still: float = 4.0
    often: float = 0.3
    thin: int = 3


def remove_static_background(
    hidden: Bool[Tensor, "t h w"], rest: Bool[Tensor, "t h w"], config: RestConfig = RestConfig()
) -> Bool[Tensor, "t h w"]:
    """Take what is background at `rest` out of the hidden part, and the rim that is left of it."""
    left = hidden & ~rest
    thin = max(round(config.thin * hidden.shape[-1] / 256), 1)
    # Colours mix along the visible part's outline, so that a rim of the background stays.
    firm = grow(shrink(left, thin), 2 * thin)
    return left & (firm | ~grow(rest & hidden, 4 * thin))


def find_static_background(
    frames: Float[Tensor, "t 3 h w"],
    visible: Float[Tensor, "t 1 h w"],
    forward: Float[Tensor, "s 2 h w"],
    backward: Float[Tensor, "s 2 h w"],
    config: RestConfig = RestConfig(),
) -> Bool[Tensor, "t h w"]:
    """Say where the same colour is seen in nearly all frames at the same place of an object that rests in the scene.

    Args:
        frames: in [0, 1]; square windows.
        visible: in [0, 1].
        forward: (t-1, 2, h, w), pixels, as estimated.
        backward: (t-1, 2, h, w), likewise.
        config: see there.
    """
    if len(frames) <= config.least_frames:
        return torch.zeros_like(visible[:, 0], dtype=torch.bool)
    # Motions are fitted at half of the size, colours compared at a quarter.
    forward, backward, half = (halve(x) for x in (forward / 2, backward / 2, visible))
    calm, trust = flow_consistency(forward, backward), rim_trust(half, 8 * half.shape[-1] / 256)
    own = chain_motions(*fit_motions(forward, backward, trust, calm), half.shape[-1])
    scene, small = chain_scene(forward, backward, half, calm), halve(half)
    # A plain colour may also be that of the wall behind which a moving object's legs are hidden.
    resting = _rests(small, own, scene, config)
    if not resting.any():
        return torch.zeros_like(visible[:, 0], dtype=torch.bool)
    smooth = F.avg_pool2d(halve(halve(frames)), 3, 1, 1)
    found = _stays(small, smooth, own, config) & resting.view(-1, 1, 1, 1)
    found |= _is_often(found, own, config)
    return F.interpolate(found.float(), frames.shape[-2:], mode="bilinear")[:, 0] > 0.5


def _stays(
    small: Float[Tensor, "t 1 y x"],
    smooth: Float[Tensor, "t 3 y x"],
    chain: Float[Tensor, "t 3 3"],
    config: RestConfig,
) -> Bool[Tensor, "t 1 y x"]:
    """Compare each pixel with what other frames show at the same place of the object."""
    met, away, same = (torch.zeros_like(small) for _ in range(3))
    for _, here, _, there in align(torch.cat([small, smooth, torch.ones_like(small)], dim=1), chain, config.offsets):
        inside = (there[:, 4:] > 0.99).to(small)
        absent = inside * (there[:, :1] < 0.1)
        difference = (there[:, 1:4] - smooth[here]).abs().amax(dim=1, keepdim=True)
        met[here] += inside
        away[here] += absent
        same[here] += absent * (difference < config.colour)
    return (away >= config.least_frames) & (away > config.absent * met) & (same > config.share * away)


def _rests(
    small: Float[Tensor, "t 1 y x"], own: Float[Tensor, "t 3 3"], scene: Float[Tensor, "t 3 3"], config: RestConfig
) -> Bool[Tensor, " t"]:
    """Say in which frames the object keeps its place: its motion carries its centre to where the scene's does."""
    t, _, y, x = small.shape
    rows, columns = (torch.linspace(-1, 1, n).to(small) for n in (y, x))
    area = small.sum(dim=(1, 2, 3)).clamp(min=1e-6)
    across = (small.sum(dim=2) * columns).sum(dim=(1, 2)) / area
    down = (small.sum(dim=3) * rows).sum(dim=(1, 2)) / area
    centre = torch.stack([across, down, torch.ones_like(down)], dim=1)[..., None]  # (t, 3, 1)
    near, met = (torch.zeros(t, device=small.device) for _ in range(2))
    for _, here, there in pair_frames(t, config.offsets, small.device):
        one, other = (chain[there] @ torch.linalg.inv(chain[here]) @ centre[here] for chain in (own, scene))
        pixels = (one - other)[:, :2, 0].norm(dim=1) * 128
        near[here] += (pixels <= config.still).to(near)
        met[here] += 1
    return near > config.share * met


def _is_often(
    found: Bool[Tensor, "t 1 y x"], chain: Float[Tensor, "t 3 3"], config: RestConfig
) -> Bool[Tensor, "t 1 y x"]:
    """Say where background was found in enough other frames: whatever passes there now hides no object."""
    met, times = (torch.zeros_like(found, dtype=torch.float32) for _ in range(2))
    for _, here, _, there in align(torch.cat([found, torch.ones_like(found)], dim=1).float(), chain, config.offsets):
        met[here] += there[:, 1:]
        times[here] += there[:, :1]
    return times > config.often * met.clamp(min=1)
