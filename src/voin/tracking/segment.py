"""Cut an object out of one frame, from a box, clicks or a painted mask."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float

from voin.core.types import Mask, Picture
from voin.tracking.appearance import describe, distances
from voin.tracking.box_evidence import box_evidence, view_box
from voin.tracking.prompts import Box, Point, Prompt
from voin.tracking.smooth import smooth_evidence

_SIDE = 128  # working pixels of a box's longer side, and ...
_CLICK_SIDE = 320  # ... of a frame's longer side, where there is no box
_REACH = 0.12  # pixels farther from a click than this share of the frame are hardly the object
_CLICK, _NEARBY = 6.0, 6.0  # log odds right beside a click; what a distance of the box's side counts
_ROUNDS = 2  # of GrabCut
_CORE, _OUTSIDE = 0.4, 0.6  # the surest shares of object and surroundings, which GrabCut leaves as they are
_FIRST_FILL = 0.2  # of the box, at least, before looks are compared
_LEAST_PART = 0.03  # of the largest part
_LEAST_FILL, _MOST_FILL = 0.15, 0.8  # of the box


def segment(frame: Picture, prompt: Prompt, near: Sequence[Picture] = ()) -> Mask:
    """Cut the object that `prompt` marks out of `frame`; the mask is never empty.

    Args:
        frame: uint8 RGB.
        prompt: what is marked on it.
        near: frames shortly before or after, if any: what moves by itself in a box is the object.

    Raises:
        ValueError: the prompt does not lie in the frame.
    """
    h, w = frame.shape[:2]
    prompt.check((h, w))
    if prompt.mask is not None:
        return with_clicks(prompt.mask, prompt)
    on, off = _clicked((h, w), prompt)
    if prompt.box is not None:
        mask = _in_box(frame, prompt.box, near, on, off)
    else:
        mask = _at_clicks(frame, prompt.points, on, off)
    return with_clicks(mask, prompt)


def with_clicks(mask: Mask, prompt: Prompt) -> Mask:
    """Bring a prompt's clicks into a mask: around them it is as they say.

    It is never empty: where clicks beside the object leave nothing, what else is marked stays.
    """
    size = (mask.shape[0], mask.shape[1])
    on, off = _clicked(size, prompt)
    result = (mask | on) & ~off
    if result.any():
        return result
    if prompt.mask is not None:
        return prompt.mask.copy()
    return _discs(size, prompt.points, 0) | _middle(size, prompt.box)


def _clicked(size: tuple[int, int], prompt: Prompt) -> tuple[Mask, Mask]:
    radius = max(2, min(size) // 100)
    return _discs(size, prompt.points, radius), _discs(size, prompt.negative, radius)


def _in_box(frame: Picture, box: Box, near: Sequence[Picture], on: Mask, off: Mask) -> Mask:
    view = view_box(frame, box)
    x0, y0, x1, y1 = view.crop
    size = (view.picture.shape[1], view.picture.shape[0])
    sure, never = (_small(clicks[y0:y1, x0:x1], size) for clicks in (on, off))
    evidence = box_evidence(frame, box, view, near) + _around_clicks(view.picture, sure, never)
    evidence = _forced(evidence, sure, never | ~view.inside)
    evidence = _within(evidence, view.inside, _FIRST_FILL)
    evidence = evidence + 2 * _likeness(view.picture, evidence, view.inside)
    evidence = _within(_forced(evidence, sure, never | ~view.inside), view.inside, _LEAST_FILL)
    labels = _large_parts(_cut(view.picture, evidence, view.inside, sure, never), sure)
    mask = np.zeros(frame.shape[:2], bool)
    mask[y0:y1, x0:x1] = _enlarge(labels, (x1 - x0, y1 - y0))
    x, y, w, h = box
    inside = np.zeros_like(mask)
    inside[y : y + h, x : x + w] = True
    return mask & inside


def _at_clicks(frame: Picture, points: Sequence[Point], on: Mask, off: Mask) -> Mask:
    h, w = frame.shape[:2]
    scale = min(1.0, _CLICK_SIDE / max(h, w))
    size = (max(round(w * scale), 16), max(round(h * scale), 16))
    picture = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    sure, never = _small(on, size), _small(off, size)
    reach = _REACH * max(size)
    away = cv2.distanceTransform((~sure).astype(np.uint8), cv2.DIST_L2, 5) / reach
    features = describe(picture, (0.0, 0.0), reach, 0.0, aside=False)[..., :3].reshape(size[0] * size[1], 3)
    rim = np.zeros(sure.shape, bool)
    rim[:3], rim[-3:], rim[:, :3], rim[:, -3:] = True, True, True, True
    unlike = distances(features, features[sure.ravel()]).reshape(sure.shape)
    ground = distances(features, features[((rim & ~sure) | never).ravel()]).reshape(sure.shape)
    evidence = 2 * np.log((ground + 0.1) / (unlike + 0.1)) + 2 * (1 - away)
    evidence = smooth_evidence(_forced(evidence.astype(np.float32), sure, never), picture)
    labels = _cut(picture, evidence, away < 3, sure, never)
    count, parts = cv2.connectedComponents(labels.astype(np.uint8))
    clicked = np.unique(parts[sure & labels]) if count > 1 else []
    return _enlarge(np.isin(parts, clicked) & labels, (w, h))


def _around_clicks(picture: Picture, sure: Mask, never: Mask) -> Float[np.ndarray, "h w"]:
    """Let a click count for what looks like it nearby, too; log odds."""
    h, w = sure.shape
    features = describe(picture, (0.0, 0.0), float(_SIDE), _NEARBY, aside=False).reshape(h * w, -1)
    evidence = np.zeros(h * w, np.float32)
    for mask, sign in ((sure, 1), (never, -1)):
        if mask.any():
            evidence += sign * _CLICK * np.exp(-distances(features, features[mask.ravel()]))
    return evidence.reshape(h, w)


def _likeness(picture: Picture, evidence: Float[np.ndarray, "h w"], inside: Mask) -> Float[np.ndarray, "h w"]:
    """Compare each pixel with those that surely are the object, and with those that surely are not; log odds."""
    h, w = evidence.shape
    positive, negative = evidence[inside & (evidence > 0)], evidence[inside & (evidence <= 0)]
    ground = ~inside | (evidence < (np.quantile(negative, 0.6) if negative.size else 0))
    if positive.size == 0 or not ground.any():  # or the box is the frame, and all in it is alike
        return np.zeros_like(evidence)
    core = inside & (evidence >= np.quantile(positive, 0.3))
    features = describe(picture, (0.0, 0.0), float(_SIDE), 2.0, aside=False).reshape(h * w, -1)
    random = np.random.default_rng(0)
    far, near = (
        distances(features, features[random.permutation(np.flatnonzero(mask))[:2000]]) for mask in (ground, core)
    )
    return np.log((far + 0.05) / (near + 0.05)).reshape(h, w)


def _within(evidence: Float[np.ndarray, "h w"], inside: Mask, least: float) -> Float[np.ndarray, "h w"]:
    """Shift the evidence so that the object fills neither too little nor too much of the box."""
    values = np.sort(evidence[inside])
    share = float((values > 0).mean())
    wanted = min(max(share, least), _MOST_FILL)
    return evidence if wanted == share else evidence - values[int((1 - wanted) * (len(values) - 1))]


def _forced(evidence: Float[np.ndarray, "h w"], sure: Mask, never: Mask) -> Float[np.ndarray, "h w"]:
    return np.where(never, np.float32(-9), np.where(sure, np.float32(9), evidence))


def _cut(picture: Picture, evidence: Float[np.ndarray, "h w"], inside: Mask, sure: Mask, never: Mask) -> Mask:
    """Let GrabCut decide what is not sure: the colours of both sides, and the edges between them."""
    positive, negative = evidence[inside & (evidence > 0)], evidence[inside & (evidence <= 0)]
    labels = np.where(evidence > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    if positive.size:
        labels[evidence >= np.quantile(positive, 1 - _CORE)] = cv2.GC_FGD
    if negative.size:
        labels[evidence <= np.quantile(negative, _OUTSIDE)] = cv2.GC_BGD
    labels[~inside | never] = cv2.GC_BGD
    labels[sure & ~never] = cv2.GC_FGD
    if not (labels == cv2.GC_FGD).any() or not (labels == cv2.GC_BGD).any():
        return evidence > 0
    cv2.setRNGSeed(0)  # its clustering draws numbers
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(picture), labels, None, *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def _large_parts(mask: Mask, clicked: Mask) -> Mask:
    """Leave out parts that are small beside the largest one and not clicked at."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = areas >= _LEAST_PART * areas[1:].max()
    kept[np.unique(parts[clicked])] = True
    kept[0] = False
    return kept[np.asarray(parts, np.int64)]


def _discs(size: tuple[int, int], points: Sequence[Point], radius: int) -> Mask:
    picture = np.zeros(size, np.uint8)
    for point in points:
        cv2.circle(picture, point, radius, 1, -1)
    return picture > 0


def _middle(size: tuple[int, int], box: Box | None) -> Mask:
    mask = np.zeros(size, bool)
    if box is not None:
        x, y, w, h = box
        mask[y + h // 4 : y + h - h // 4, x + w // 4 : x + w - w // 4] = True
    return mask


def _small(mask: Mask, size: tuple[int, int]) -> Bool[np.ndarray, "rows columns"]:
    """Resample a mask so that no click is lost."""
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.2


def _enlarge(mask: Mask, size: tuple[int, int]) -> Bool[np.ndarray, "rows columns"]:
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8)
    return cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR) > 0.5
