"""Follow flow: look pictures up along it, chain its links, check that it leads back."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Image = Float[Tensor, "n c h w"]
Flow = Float[Tensor, "n 2 h w"]


def warp(image: Image, flow: Flow) -> Image:
    """Look `image` up bilinearly at `x + flow(x)`; outside the image it is 0.

    `flow`, in pixels (dx, dy), starts where the result lives and ends in `image`; the result is on its grid.
    """
    h, w = image.shape[-2:]
    at = pixel_grid(flow) + flow  # (n, 2, h, w), pixels
    # Pixel centres at -1 and 1 (align_corners=True), so that flow 0 is exactly the identity.
    size = torch.tensor([w - 1, h - 1]).to(flow).clamp(min=1)
    grid = 2 * at.permute(0, 2, 3, 1) / size - 1  # (n, h, w, 2), in [-1, 1]
    return F.grid_sample(image, grid.to(image.dtype), align_corners=True)


def pixel_grid(like: Float[Tensor, "*n c h w"]) -> Float[Tensor, "2 h w"]:
    """Return the place (x, y) of every pixel, in pixels."""
    h, w = like.shape[-2:]
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    return torch.stack([x, y]).to(like)


def compose(first: Flow, second: Flow) -> Flow:
    """Chain two flows, a to b and b to c, into one from a to c, on the grid of a."""
    return first + warp(second, first)


def cycle_error(flow: Flow, back: Flow) -> Float[Tensor, "n 1 h w"]:
    """Measure how far `flow` and then `back` ends from where it began (pixels); infinite where `flow` leaves it."""
    h, w = flow.shape[-2:]
    at = pixel_grid(flow) + flow
    limit = torch.tensor([w - 1, h - 1]).to(flow).view(1, 2, 1, 1)
    inside = ((at >= 0) & (at <= limit)).all(dim=1, keepdim=True)
    return length(compose(flow, back)).where(inside, torch.inf)


def length(flow: Flow) -> Float[Tensor, "n 1 h w"]:
    """Measure the length of every vector (pixels)."""
    # Sixty times as fast as `norm` along an axis that is not the last.
    return torch.hypot(flow[:, :1], flow[:, 1:])


def sample_points(
    volume: Float[Tensor, "t c h w"], frame: Tensor, x: Float[Tensor, " n"], y: Float[Tensor, " n"]
) -> Float[Tensor, "n c"]:
    """Sample a clip bilinearly at column x and row y of the integer `frame`; points outside take the border pixel."""
    h, w = volume.shape[-2:]
    x, y = x.clamp(0, w - 1), y.clamp(0, h - 1)
    left, top = x.long(), y.long()
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    right, below = (left + 1).clamp(max=w - 1), (top + 1).clamp(max=h - 1)
    upper = volume[frame, :, top, left] * (1 - fx) + volume[frame, :, top, right] * fx
    lower = volume[frame, :, below, left] * (1 - fx) + volume[frame, :, below, right] * fx
    return upper * (1 - fy) + lower * fy
