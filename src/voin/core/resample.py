"""Other sizes: networks look at clips smaller than they are, and coarse-to-fine work climbs on halved maps."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def reduce(
    clip: Float[Tensor, "b t c h w"], size: int | None, inside: Bool[Tensor, "b t 1 h w"] | None = None
) -> Float[Tensor, "b t c h2 w2"]:
    """Shrink frames to at most `size` x `size`: each pixel becomes the mean of the area that it covers.

    A side that is no longer than `size` stays as it is; with None all do. Values are not changed otherwise: flow is
    still in pixels of the large frames. Only pixels `inside` count in the mean, wherever there is one of them.
    """
    h, w = clip.shape[-2:]
    small = (h, w) if size is None else (min(h, size), min(w, size))
    if small == (h, w):
        return clip
    if (h, w) == (2 * small[0], 2 * small[1]):
        return _mean(clip, inside, halve)
    return _mean(clip, inside, lambda x: F.adaptive_avg_pool2d(x, small))


def enlarge(
    clip: Float[Tensor, "b t c h w"], size: tuple[int, int], inside: Bool[Tensor, "b t 1 h w"] | None = None
) -> Float[Tensor, "b t c h2 w2"]:
    """Interpolate frames bilinearly to another (h, w); of the same size, they come back as they are.

    Only pixels `inside` are interpolated between, wherever there is one of them.
    """
    if clip.shape[-2:] == size:
        return clip
    if size == (2 * clip.shape[-2], 2 * clip.shape[-1]):
        return _mean(clip, inside, double)
    return _mean(clip, inside, lambda x: F.interpolate(x, size=size, mode="bilinear"))


def box_around(region: Bool[Tensor, "b t 1 h w"], margin: int, step: int = 1) -> tuple[slice, slice]:
    """Return the rows and columns of a region, in any frame, and `margin` pixels around it, within the frame.

    The box begins at multiples of `step`, so that grids of that step lie in it as they lie in the frame, and each side
    is at least one step, where the frame is that large. Around nothing, the box is the whole frame.
    """
    picture = region.flatten(0, 2).any(dim=0)
    spans = []
    for line in (picture.any(dim=1), picture.any(dim=0)):
        places = line.nonzero()[:, 0].tolist() or [0, len(line) - 1]
        start = max(min(places[0] - margin, len(line) - step), 0) // step * step
        spans.append(slice(start, min(max(places[-1] + margin + 1, start + step), len(line))))
    return spans[0], spans[1]


def _mean(clip: Tensor, inside: Tensor | None, resample: Callable[[Tensor], Tensor]) -> Tensor:
    """Resample a clip's frames by a function of (n, c, h, w) that takes means; over the pixels inside, where it can."""
    flat = clip.flatten(0, 1)
    result = resample(flat)
    if inside is not None:
        weight = inside.flatten(0, 1).to(flat)
        share = resample(weight)
        result = torch.where(share > 0, resample(flat * weight) / share.clamp(min=1e-6), result)
    return result.unflatten(0, clip.shape[:2])


def halve(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """Take the mean of 2x2 cells; at an odd edge, of what there is."""
    if x.shape[-2] % 2 or x.shape[-1] % 2 or x.device.type != "cpu" or x.requires_grad or x.dtype != torch.float32:
        return F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
    # On a CPU OpenCV does the same twenty times as fast.
    return _resize(x, (x.shape[-2] // 2, x.shape[-1] // 2), cv2.INTER_AREA)


def double(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """Interpolate bilinearly to twice the size."""
    if x.device.type != "cpu" or x.requires_grad:
        return F.interpolate(x, scale_factor=2, mode="bilinear")
    # On a CPU OpenCV does the same nine times as fast.
    return _resize(x.float(), (2 * x.shape[-2], 2 * x.shape[-1]), cv2.INTER_LINEAR).to(x.dtype)


def _resize(x: Float[Tensor, "n c h w"], size: tuple[int, int], method: int) -> Float[Tensor, "n c h2 w2"]:
    n, c, h, w = x.shape
    last = x.permute(0, 2, 3, 1)
    # Channels that lie last, as those of flow do, stay there: to bring them apart takes twice as long as all the rest.
    together = 1 < c <= 4 and last.is_contiguous()
    pictures = last.numpy() if together else x.reshape(-1, h, w).numpy()
    result = np.empty((len(pictures), *size, *pictures.shape[3:]), np.float32)
    for picture, small in zip(pictures, result, strict=True):
        cv2.resize(picture, size[::-1], small, interpolation=method)
    made = torch.from_numpy(result)
    return made.permute(0, 3, 1, 2) if together else made.view(n, c, *size)
