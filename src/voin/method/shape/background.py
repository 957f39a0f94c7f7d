"""What hides an object at rest must pass: what stays beside it in nearly all frames is background.

A shape network completes what objects mostly are, and so fills a bicycle's frame, through which the wall is seen. But
where the object rests in the scene, and at the same place of it the same colour is seen in nearly all frames, nothing
says that there is an occluder, and what is painted over may be plain background. So it is left as it is, and that an
occluder passes before it now and then does not make it the object. An occluder that stays before an object at rest
cannot be told from background, and must be given. Not in the paper.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from voin.core.morphology import grow, shrink
from voin.core.resample import halve
from voin.method.affine import align, chain_motions, chain_scene, fit_motions, flow_consistency, pair_frames, rim_trust

# Pixels are those of a 256-pixel window.
COLOUR = 0.06  # largest difference at which two colours are the same
SHARE = 0.85  # of the frames compared that must show the same colour
ABSENT = 0.9  # share of the frames that must not show the object there
LEAST_FRAMES = 6  # that must be compared
STILL = 4.0  # pixels that a resting object may have moved against the scene
OFTEN = 0.3  # share of the frames in which a place must be background, for it to be so in the others
THIN = 3  # pixels; what remains beside such background, and is thinner than twice this, is its rim

Mask = Float[Tensor, "t 1 y x"]
Chain = Float[Tensor, "t 3 3"]


def remove_static_background(hidden: Bool[Tensor, "t h w"], background: Bool[Tensor, "t h w"]) -> Bool[Tensor, "t h w"]:
    """Take background at rest out of the hidden part, and the rim that is left of it."""
    left = hidden & ~background
    thin = max(round(THIN * hidden.shape[-1] / 256), 1)
    # Colours mix along the visible part's outline, so that a rim of the background stays.
    firm = grow(shrink(left, thin), 2 * thin)
    return left & (firm | ~grow(background & hidden, 4 * thin))


def find_static_background(
    frames: Float[Tensor, "t 3 h w"],
    visible: Float[Tensor, "t 1 h w"],
    forward: Float[Tensor, "s 2 h w"],
    backward: Float[Tensor, "s 2 h w"],
) -> Bool[Tensor, "t h w"]:
    """Find where nearly all frames (square windows) show the same colour at the same place of an object at rest."""
    nowhere = torch.zeros_like(visible[:, 0], dtype=torch.bool)
    if len(frames) <= LEAST_FRAMES:
        return nowhere
    # Motions are fitted at half of the size, colours compared at a quarter.
    forward, backward = ((halve(flow) / 2).contiguous() for flow in (forward, backward))
    half = halve(visible)
    consistency, trust = flow_consistency(forward, backward), rim_trust(half, 8 * half.shape[-1] / 256)
    object_chain = chain_motions(*fit_motions(forward, backward, trust, consistency), half.shape[-1])
    scene_chain, small = chain_scene(forward, backward, half, consistency), halve(half)
    # A plain colour may also be that of the wall behind which a moving object's legs are hidden.
    resting = _find_resting(small, object_chain, scene_chain)
    if not resting.any():
        return nowhere
    smooth = F.avg_pool2d(halve(halve(frames)), 3, 1, 1)
    found = _find_lasting(small, smooth, object_chain) & resting.view(-1, 1, 1, 1)
    found |= _find_frequent(found, object_chain)
    return F.interpolate(found.float(), frames.shape[-2:], mode="bilinear")[:, 0] > 0.5


def _find_resting(small: Mask, object_chain: Chain, scene_chain: Chain) -> Bool[Tensor, " t"]:
    """Find the frames in which the object keeps its place: its motion carries its centre to where the scene's does."""
    t, _, y, x = small.shape
    rows, columns = (torch.linspace(-1, 1, n).to(small) for n in (y, x))
    area = small.sum(dim=(1, 2, 3)).clamp(min=1e-6)
    across = (small.sum(dim=2) * columns).sum(dim=(1, 2)) / area
    down = (small.sum(dim=3) * rows).sum(dim=(1, 2)) / area
    centre = torch.stack([across, down, torch.ones_like(down)], dim=1)[..., None]  # (t, 3, 1)
    near, met = (torch.zeros(t, device=small.device) for _ in range(2))
    for _, here, other in pair_frames(t, small.device):
        carried = [chain[other] @ torch.linalg.inv(chain[here]) @ centre[here] for chain in (object_chain, scene_chain)]
        pixels = (carried[0] - carried[1])[:, :2, 0].norm(dim=1) * 128
        near[here] += (pixels <= STILL).to(near)
        met[here] += 1
    return near > SHARE * met


def _find_lasting(small: Mask, smooth: Float[Tensor, "t 3 y x"], chain: Chain) -> Bool[Tensor, "t 1 y x"]:
    """Find the pixels beside the object whose colour other frames show at the same place of the object."""
    met, away, same = (torch.zeros_like(small) for _ in range(3))
    for _, here, _, carried in align(torch.cat([small, smooth, torch.ones_like(small)], dim=1), chain):
        inside = (carried[:, 4:] > 0.99).to(small)
        absent = inside * (carried[:, :1] < 0.1)
        difference = (carried[:, 1:4] - smooth[here]).abs().amax(dim=1, keepdim=True)
        met[here] += inside
        away[here] += absent
        same[here] += absent * (difference < COLOUR)
    return (away >= LEAST_FRAMES) & (away > ABSENT * met) & (same > SHARE * away)


def _find_frequent(found: Bool[Tensor, "t 1 y x"], chain: Chain) -> Bool[Tensor, "t 1 y x"]:
    """Find where enough other frames have background: whatever passes before it in this one hides no object."""
    met, times = (torch.zeros_like(found, dtype=torch.float32) for _ in range(2))
    for _, here, _, carried in align(torch.cat([found, torch.ones_like(found)], dim=1).float(), chain):
        met[here] += carried[:, 1:]
        times[here] += carried[:, :1]
    return times > OFTEN * met.clamp(min=1)
