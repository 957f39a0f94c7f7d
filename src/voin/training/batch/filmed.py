"""Make pasted occluders look as if they had been filmed: their light, their rim, their motion blur, their shadow.

A network that can tell the paste by its edge learns to look for pastes, not for what lies in front. Not in the paper,
which says nothing about it; the numbers are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from voin.core.config import Checked, setting
from voin.core.types import Frames, Masks
from voin.training.augment import Numbers

FILMED_NUMBERS = 9
_EXPOSURES = 5  # moments of a frame's exposure that are averaged
_FEWEST = 16  # pixels from which colours are fitted


@dataclass(frozen=True)
class FilmedConfig(Checked):
    """How occluders are joined to the film; each of the four is drawn by itself."""

    clips: float = setting(0.0, "Share of clips whose occluder is made to look filmed.", least=0, most=1)
    light: float = setting(0.7, "Most part of the way of its colours to those of the film.", least=0, most=1)
    rim: float = setting(1.5, "Most width of its soft rim, deviation.", unit="pixels", least=0, most=4)
    shutter: float = setting(0.5, "Most part of its way to the next frame over which it is smeared.", least=0, most=1)
    shadow: float = setting(0.5, "Most darkening of what is behind it by its shadow.", least=0, most=1)


@torch.no_grad()
def look_filmed(
    frames: Frames, truth: Frames, amodal: Masks, occluder: Masks, numbers: Numbers, config: FilmedConfig
) -> tuple[Frames, Masks, Masks]:
    """Return `frames` composed anew, and with them the visible and the occluder's mask, 0 or 1.

    `frames` are `truth` where `occluder` (0 or 1) is not. Smeared and softened, it is an occluder where it covers more
    than half; what is not drawn stays as it is to the last bit.
    """
    u = numbers[:, :FILMED_NUMBERS].to(frames.device, torch.float32)
    chosen = (u[:, 0] < config.clips) & occluder.flatten(1).any(dim=1)
    if not chosen.any():
        return frames, amodal * (1 - occluder), occluder
    result, covering = frames.clone(), occluder.clone()
    u, before, behind, alpha = u[chosen], frames[chosen], truth[chosen], occluder[chosen]
    colours = _fit_light(before, behind, alpha, config.light * u[:, 1])
    # Soft inwards: beyond its outline the occluder has no colours.
    soft = alpha * (2 * blur_clips(alpha, config.rim * u[:, 2]) - 1).clamp(0, 1)
    ways = _ways(alpha) * (config.shutter * u[:, 3])[:, None, None]
    light, cover = _smear(colours * soft, soft, ways)
    result[chosen] = light + (1 - cover) * behind * _shade(cover, u[:, 4:9], config.shadow)
    covering[chosen] = (cover > 0.5).to(occluder)
    return result.clamp(0, 1), amodal * (1 - covering), covering


def _fit_light(colours: Frames, film: Frames, alpha: Masks, share: Float[Tensor, " b"]) -> Frames:
    """Bring mean and spread of the occluder's colours a `share` of the way to those of the film."""
    weight = alpha.expand_as(colours)
    count = weight.sum((1, 3, 4), keepdim=True).clamp(min=1)
    mean = (colours * weight).sum((1, 3, 4), keepdim=True) / count
    spread = (((colours - mean) * weight).square().sum((1, 3, 4), keepdim=True) / count).sqrt()
    wanted = film.mean((1, 3, 4), keepdim=True), film.std((1, 3, 4), keepdim=True)
    # Of a flat colour no pattern is made.
    fitted = (colours - mean) * (wanted[1] / spread.clamp(min=0.02)).clamp(0.5, 2) + wanted[0]
    enough = (count >= _FEWEST).to(colours)
    return torch.lerp(colours, fitted.clamp(0, 1), share[:, None, None, None, None] * enough)


def _ways(alpha: Masks) -> Float[Tensor, "b t 2"]:
    """Measure how far the occluder's middle moves in each frame, x y in pixels; 0 where it is not there."""
    h, w = alpha.shape[-2:]
    area = alpha.flatten(2).sum(dim=2)
    x = (alpha.sum(dim=-2) * torch.arange(w, device=alpha.device)).flatten(2).sum(dim=2) / area.clamp(min=1)
    y = (alpha.sum(dim=-1) * torch.arange(h, device=alpha.device)).flatten(2).sum(dim=2) / area.clamp(min=1)
    middles = torch.stack([x, y], dim=-1)
    steps = middles.diff(dim=1) * ((area[:, 1:] > 0) & (area[:, :-1] > 0))[..., None]
    return (F.pad(steps, (0, 0, 0, 1)) + F.pad(steps, (0, 0, 1, 0))) / 2


def _smear(light: Frames, alpha: Masks, ways: Float[Tensor, "b t 2"]) -> tuple[Frames, Masks]:
    """Average colours (times alpha) and alpha over an exposure, in which they move along `ways`."""
    both = torch.cat([light, alpha], dim=2).flatten(0, 1)
    if not ways.any():
        return light, alpha
    h, w = both.shape[-2:]
    way = 2 * ways.flatten(0, 1) / ways.new_tensor([w, h])
    total = torch.zeros_like(both)
    still = torch.eye(2, 3, device=both.device).expand(len(both), 2, 3)
    for moment in torch.linspace(-0.5, 0.5, _EXPOSURES).tolist():
        places = F.affine_grid(
            still - torch.cat([torch.zeros_like(still[..., :2]), moment * way[..., None]], dim=-1),
            [len(both), 1, h, w],
            align_corners=False,
        )
        # Occluders that come in from outside do not end at the edge.
        total += F.grid_sample(both, places, padding_mode="border", align_corners=False)
    smeared = (total / _EXPOSURES).view(*light.shape[:2], 4, h, w)
    return smeared[:, :, :3], smeared[:, :, 3:]


def _shade(cover: Masks, u: Float[Tensor, "b 5"], most: float) -> Masks:
    """Draw the occluder's shadow: its own form, aside and out of focus; half of the clips have one."""
    b, t, _, h, w = cover.shape
    strength = most * (2 * u[:, 0] - 1).clamp(min=0)
    if not strength.any():
        return torch.ones_like(cover)
    aside = (2 * u[:, 1:3] - 1) * 0.4
    still = torch.eye(2, 3, device=cover.device).expand(b, 2, 3).clone()
    still[..., 2] -= aside
    places = F.affine_grid(still.repeat_interleave(t, dim=0), [b * t, 1, h, w], align_corners=False)
    moved = F.grid_sample(cover.flatten(0, 1), places, align_corners=False).view_as(cover)
    return 1 - strength[:, None, None, None, None] * blur_clips(moved, 1 + 4 * u[:, 3])


def blur_clips(maps: Float[Tensor, "b t c h w"], deviations: Float[Tensor, " b"]) -> Float[Tensor, "b t c h w"]:
    """Blur each clip by a Gaussian of its own deviation, in pixels, 0 for none; the border is repeated."""
    radius = max(int(3 * float(deviations.max()) + 0.5), 1)
    offsets = torch.arange(-radius, radius + 1, device=maps.device)
    kernels = torch.exp(-(offsets**2) / (2 * deviations[:, None].clamp(min=1e-3) ** 2))
    kernels = (kernels / kernels.sum(dim=1, keepdim=True)).to(maps)
    b, t, c, h, w = maps.shape
    flat = maps.reshape(1, b * t * c, h, w)
    weights = kernels.repeat_interleave(t * c, dim=0)
    for size, edges in (((1, 2 * radius + 1), (radius, radius, 0, 0)), ((2 * radius + 1, 1), (0, 0, radius, radius))):
        flat = F.conv2d(F.pad(flat, edges, mode="replicate"), weights.view(-1, 1, *size), groups=b * t * c)
    return flat.view(b, t, c, h, w)
