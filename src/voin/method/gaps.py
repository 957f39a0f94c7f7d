"""Close gaps: how an object moved while it was hidden wholly, measured from how it looked before and after.

Not in the paper, whose clips hide objects in part: while nothing of the object is seen, errors of its guessed motion
add up, and it would be shown twice. But its picture before the gap is found again after it.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from voin.core.morphology import shrink

HIDDEN = 0.1  # share of the object's usual area below which a frame is in a gap
CLEAR = 0.7  # share of it from which a frame shows the object well enough to be compared
SEARCH = 0.25  # share of the window: how far around its expected place the object is looked for
AGREEMENT = 0.6  # least correlation of the object's two pictures


def find_gaps(visible: Float[Tensor, "t 1 h w"]) -> list[tuple[int, int]]:
    """List the gaps as (last clear frame before, first clear frame after); open ends are none."""
    areas = visible.flatten(1).sum(dim=1).tolist()
    usual = float(np.median([area for area in areas if area > 0.5 * max(areas)])) if max(areas) > 0 else 0.0
    clear = [i for i, area in enumerate(areas) if usual and area >= CLEAR * usual]
    return [(a, b) for a, b in pairwise(clear) if any(area < HIDDEN * usual for area in areas[a + 1 : b])]


def close_gaps(
    frames: Float[Tensor, "t 3 h w"], visible: Float[Tensor, "t 1 h w"], motion: Float[Tensor, "pairs 3 2"]
) -> Float[Tensor, "pairs 2"]:
    """Measure what the object's motion, as `fit_motion` returns it, lacks across gaps: pixels (dx, dy); 0 outside gaps.

    Where the object looks too different to be found again, motion stays as it is, unless it leads far from where the
    object's mask is.
    """
    lack = motion.new_zeros(len(motion), 2)
    area = visible.flatten(1).sum(dim=1)
    for before, after in find_gaps(visible):
        centre = _centre(visible[before, 0])
        guess = _follow(motion[before:after], centre, visible.shape[-2:])
        # The guess may lead anywhere; the masks' centres are as near as the masks are alike.
        near = _centre(visible[after, 0]) - centre
        found = find_again(frames[[before, after]], visible[[before, after]], near)
        if found is None:
            # A guess that stays in the window may do; one that leaves it is none.
            found = guess if (guess - near).abs().max() <= SEARCH * visible.shape[-1] else near
        seen = torch.minimum(area[before:after], area[before + 1 : after + 1]) / area[before]
        share = (1 - seen).clamp(min=0.01) ** 2
        lack[before:after] += (found - guess).to(lack) * (share / share.sum())[:, None].to(lack)
    return lack


def find_again(
    frames: Float[Tensor, "2 3 h w"], visible: Float[Tensor, "2 1 h w"], near: Float[Tensor, "2"]
) -> Float[Tensor, "2"] | None:
    """Find the first frame's object in the second frame: its shift (dx, dy) in pixels, or None where it is absent.

    It is searched for around the shift `near`; what leads out of the window is not looked for.
    """
    h, w = frames.shape[-2:]
    inner = shrink(visible[:1, 0] > 0.95, 1)[0].cpu().numpy()
    if inner.sum() < 64 or not near.abs().max() <= max(h, w):
        return None
    x0, y0, width, height = cv2.boundingRect(inner.astype(np.uint8))
    x1, y1 = x0 + width, y0 + height
    first, second = rearrange(frames, "n c h w -> n h w c").float().cpu().numpy()
    reach = max(round(SEARCH * w), 2)
    left, top = x0 + round(float(near[0])) - reach, y0 + round(float(near[1])) - reach
    # Where the search leaves the window, its border repeats.
    pad = max(0, -left, -top, left + x1 - x0 + 2 * reach - w, top + y1 - y0 + 2 * reach - h)
    place = cv2.copyMakeBorder(second, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    place = place[top + pad : top + pad + y1 - y0 + 2 * reach, left + pad : left + pad + x1 - x0 + 2 * reach]
    picture = np.ascontiguousarray(first[y0:y1, x0:x1])
    mask = np.repeat(inner[y0:y1, x0:x1, None].astype(np.float32), 3, axis=2)
    match = cv2.matchTemplate(np.ascontiguousarray(place), picture, cv2.TM_CCOEFF_NORMED, mask=mask)
    match[~np.isfinite(match)] = -1
    row, column = np.unravel_index(int(match.argmax()), match.shape)
    if match[row, column] < AGREEMENT:
        return None
    dx = left + column + _peak(match[row], int(column)) - x0
    dy = top + row + _peak(match[:, column], int(row)) - y0
    return torch.tensor([dx, dy], dtype=torch.float32)


def _peak(values: Float[np.ndarray, " n"], at: int) -> float:
    """Return how far the top of the parabola through the best value and its neighbours lies from it, in steps."""
    if not 0 < at < len(values) - 1:
        return 0.0
    low, mid, high = map(float, values[at - 1 : at + 2])
    return 0.5 * (low - high) / min(low - 2 * mid + high, -1e-6)


def _centre(mask: Float[Tensor, "h w"]) -> Float[Tensor, "2"]:
    return (mask > 0.5).nonzero().float().mean(dim=0).flip(0).cpu()


def _follow(motion: Float[Tensor, "pairs 3 2"], start: Float[Tensor, "2"], size: torch.Size) -> Float[Tensor, "2"]:
    """Add up the motion of the point `start` (x, y) over all pairs."""
    at = start.clone()
    limit = torch.tensor([size[1] - 1, size[0] - 1], dtype=torch.float32)
    for link in motion.float().cpu():
        at = at + torch.cat([torch.ones(1), 2 * at / limit - 1]) @ link
    return at - start
