"""Follow flow: look pictures up along it, chain its links, check that it leads back."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

Image = Float[Tensor, "n c h w"]
Flow = Float[Tensor, "n 2 h w"]

_LONGEST = 2**14  # points at a time: they stay in the cache, and OpenCV takes no wider pictures


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
    """Sample a clip bilinearly at column x and row y of the integer `frame`; points outside take the border pixel.

    It is fastest where channels lie last in memory, and points in the order of frames.
    """
    c, h, w = volume.shape[1:]
    flat = volume.permute(0, 2, 3, 1).reshape(-1, c)
    plain = not any(values.requires_grad or values.device.type != "cpu" for values in (volume, x, y))
    if plain and c == 2 and volume.dtype == torch.float32:
        return _sample_pairs(flat, (h, w), frame, x, y)
    x, y = x.clamp(0, w - 1), y.clamp(0, h - 1)
    left, top = x.long(), y.long()
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    upper = (frame * h + top) * w + left
    lower, right = upper + w * (top < h - 1), (left < w - 1).long()
    above, below = (torch.lerp(flat[row], flat[row + right], fx) for row in (upper, lower))
    return torch.lerp(above, below, fy)


def _sample_pairs(flat: Float[Tensor, "k 2"], size: tuple[int, int], frame: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Do what `sample_points` does with complex numbers, some at a time: more than twice as fast on a CPU."""
    (h, w), pixels = size, flat.numpy().view(np.complex64)[:, 0]
    result = np.empty(len(x), np.complex64)
    for start in range(0, len(x), _LONGEST):
        part = slice(start, start + _LONGEST)
        column, row = x[part].numpy().clip(0, w - 1), y[part].numpy().clip(0, h - 1)
        left, top = column.astype(np.int64), row.astype(np.int64)
        fx, fy = (column - left).astype(np.float32), (row - top).astype(np.float32)
        upper = (frame[part].numpy() * h + top) * w + left
        lower, right = upper + w * (top < h - 1), left < w - 1
        above, below = pixels[upper], pixels[lower]
        above += (pixels[upper + right] - above) * fx
        below += (pixels[lower + right] - below) * fx
        result[part] = above + (below - above) * fy
    return torch.from_numpy(result.view(np.float32).reshape(-1, 2))


def sample_list(
    picture: Shaped[np.ndarray, "h w c"],
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    method: int = cv2.INTER_LINEAR,
) -> Shaped[np.ndarray, "n c"]:
    """Sample single points of a picture of 1 to 4 channels, by a method of OpenCV; outside, the border repeats."""
    result = np.empty((len(x), picture.shape[2]), picture.dtype)
    for start in range(0, len(x), _LONGEST):
        part = slice(start, start + _LONGEST)
        columns, rows = (np.asarray(line[None, part], np.float32) for line in (x, y))
        values = cv2.remap(picture, columns, rows, method, borderMode=cv2.BORDER_REPLICATE)
        result[part] = values.reshape(-1, picture.shape[2])
    return result
