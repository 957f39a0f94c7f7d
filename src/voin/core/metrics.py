"""Compare one frame, mask or pair of frames with the truth: the numbers of the benchmark.

Each function is one rule, on 8-bit pictures of the same size. Which frames count, and how they are averaged, stands in
`voin.benchmark.scores`; all the rules in words, and why they are so, in `docs/guides/metrics.md`.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Shaped, UInt8

from voin.core.errors import PackageRefusal, ValueRefusal
from voin.core.types import Mask, Picture
from voin.core.warp import cycle_error, warp

# PSNR of two equal pictures, and the most that any two can have, so that averages stay finite (dB).
PSNR_CAP = 100.0
# The window of SSIM over a whole frame (pixels, uniform): what the papers on video inpainting use.
FRAME_WINDOW = 65
# The window of SSIM inside the hidden region: scikit-image's own choice, small enough for small regions.
HIDDEN_WINDOW = 7
# The crop for LPIPS: its least side (pixels), and the margin on each side as a share of the hidden region's.
CROP_LEAST = 64
CROP_MARGIN = 0.25


def psnr(truth: UInt8[np.ndarray, "*pixels 3"], picture: UInt8[np.ndarray, "*pixels 3"]) -> float:
    """Peak signal-to-noise ratio over all pixels (dB), at most `PSNR_CAP`."""
    difference = truth.astype(np.int32) - picture
    error = float(np.mean(difference * difference, dtype=np.float64))
    return min(PSNR_CAP, 10 * math.log10(255**2 / error)) if error > 0 else PSNR_CAP


def masked_psnr(truth: Picture, picture: Picture, mask: Mask) -> float:
    """Peak signal-to-noise ratio over the pixels in `mask` (dB), at most `PSNR_CAP`; NaN where there are none."""
    return psnr(truth[mask], picture[mask]) if mask.any() else math.nan


def ssim(truth: Picture, picture: Picture, window: int = FRAME_WINDOW) -> float:
    """Structural similarity over a whole frame, as scikit-image has it (ImportError where that is missing).

    `window` is the side of the uniform window; frames with a shorter side take the largest odd window that fits. As in
    scikit-image, half a window along the frame's border is not averaged.
    """
    return float(_similarity(truth, picture, window)[0])


def ssim_inside(truth: Picture, picture: Picture, mask: Mask, window: int = HIDDEN_WINDOW) -> float:
    """Average the map of structural similarity over the pixels in `mask`; NaN where there are none.

    The windows of pixels at the mask's rim reach beyond it. Needs scikit-image, as `ssim` does.
    """
    if not mask.any():
        return math.nan
    # The map is needed around the mask alone. A whole window more on each side: a window fits in at the frame's edge.
    spans = (_span(mask, axis) for axis in (1, 0))
    box = tuple(slice(max(0, first - window), last + window) for first, last in spans)
    return float(_similarity(truth[box], picture[box], window)[1][mask[box]].mean())


def _similarity(truth: Picture, picture: Picture, window: int) -> tuple[float, np.ndarray]:
    """Return SSIM averaged and as a map, (h, w, 3)."""
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise PackageRefusal(
            f"SSIM needs scikit-image, which does not import ({error})",
            remedy="install it with: pip install 'voin[eval]'",
        ) from error
    side = min(window, *truth.shape[:2])
    side -= 1 - side % 2
    # Its stubs do not say what `full` gives.
    return structural_similarity(truth, picture, win_size=side, data_range=255, channel_axis=2, full=True)  # pyright: ignore


def crop_box(mask: Mask) -> tuple[slice, slice]:
    """Return rows and columns of the square around `mask`: its longer side and `CROP_MARGIN` of it on both sides.

    It is at least `CROP_LEAST` pixels wide and lies inside the frame: it is moved to fit, and cut where the frame is
    smaller.
    """
    spans = [_span(mask, axis) for axis in (1, 0)]
    longest = max(last - first for first, last in spans)
    side = max(CROP_LEAST, longest + 2 * math.ceil(CROP_MARGIN * longest))
    box = []
    for (first, last), size in zip(spans, mask.shape, strict=True):
        start = min(max(0, (first + last - side) // 2), max(0, size - side))
        box.append(slice(start, min(size, start + side)))
    return box[0], box[1]


def _span(mask: Mask, axis: int) -> tuple[int, int]:
    places = np.flatnonzero(mask.any(axis=axis))
    if places.size == 0:
        raise ValueRefusal("the mask is empty", "a box needs at least one pixel", "leave such frames out")
    return int(places[0]), int(places[-1]) + 1


def iou(predicted: Mask, truth: Mask) -> float:
    """Intersection over union; NaN where `truth` is empty, whatever is predicted."""
    if not truth.any():
        return math.nan
    return float((predicted & truth).sum() / (predicted | truth).sum())


def added_share(predicted: Mask, truth: Mask) -> float:
    """Measure the area that is no object and was taken for it, over the object's; NaN where there is no object."""
    return float((predicted & ~truth).sum() / truth.sum()) if truth.any() else float("nan")


def pixel_flow_errors(
    flow: tuple[np.ndarray, np.ndarray], truth: tuple[np.ndarray, np.ndarray], hidden: Bool[np.ndarray, "t h w"]
) -> list[float]:
    """End-point error inside the hidden region of each frame (pixels), over both directions; NaN where there is none.

    Flow is forward and backward, each (t-1, 2, h, w), or (1, 2, h, w) that stands for all pairs; entries that are not
    finite count as no motion. Forward flow is compared where frame i is hidden, backward flow where frame i+1 is: the
    first frame has forward flow alone, and the last backward flow alone.
    """
    errors = []
    for i in range(len(hidden)):
        distances = []
        for guessed, true, pair in ((flow[0], truth[0], i), (flow[1], truth[1], i - 1)):
            if 0 <= pair < len(hidden) - 1:
                guess = guessed[pair if len(guessed) > 1 else 0][:, hidden[i]].astype(np.float64)
                guess = np.nan_to_num(guess, posinf=0, neginf=0)
                distances.append(np.linalg.norm(guess - true[pair][:, hidden[i]], axis=0))
        inside = np.concatenate(distances) if distances else np.empty(0)
        errors.append(float(inside.mean()) if inside.size else math.nan)
    return errors


def pair_error(
    pictures: UInt8[np.ndarray, "2 h w 3"],
    amodal: Bool[np.ndarray, "2 h w"],
    forward: Shaped[np.ndarray, "2 h w"],
    backward: Shaped[np.ndarray, "2 h w"],
) -> float:
    """Temporal warp error of a pair inside the object: the mean squared difference, colours in [0, 1].

    The second picture is looked up along the true `forward` flow and compared with the first, where the object is in
    both and `steady` holds; NaN where that is nowhere. Lai et al. (ECCV 2018), there over whole frames.

    `forward` is the true flow from the first to the second (pixels), `backward` back.
    """
    flow = torch.from_numpy(forward.astype(np.float32))[None]
    # In both: all four pixels of the lookup are the object's.
    follow = warp(torch.from_numpy(amodal[1].astype(np.float32))[None, None], flow)[0, 0].numpy() > 0.999
    mask = amodal[0] & follow & steady(forward, backward)
    if not mask.any():
        return math.nan
    colours = torch.from_numpy(pictures.astype(np.float32) / 255).permute(0, 3, 1, 2)
    difference = (colours[0] - warp(colours[1:], flow)[0])[:, torch.from_numpy(mask)]
    return float(difference.double().square().mean())


def steady(forward: Shaped[np.ndarray, "2 h w"], backward: Shaped[np.ndarray, "2 h w"]) -> Bool[np.ndarray, "h w"]:
    """Return where flow leads back and is no motion boundary, by the rules of Ruder et al. (GCPR 2016)."""
    onward, back = (torch.from_numpy(flow.astype(np.float32))[None] for flow in (forward, backward))
    length = onward.square().sum(dim=1, keepdim=True)
    returned = warp(back, onward).square().sum(dim=1, keepdim=True)
    leads_back = cycle_error(onward, back) ** 2 <= 0.01 * (length + returned) + 0.5
    slope = sum(np.square(d).sum(axis=0) for d in np.gradient(forward.astype(np.float32), axis=(1, 2)))
    return leads_back[0, 0].numpy() & (slope <= 0.01 * length[0, 0].numpy() + 0.002)
