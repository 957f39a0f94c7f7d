"""The scores of one clip, frame by frame, and their averages over a set.

The rules stand in `docs/guides/metrics.md`. What decides which frames count is the truth alone, so that all methods are
averaged over the same frames; what a method fails to give takes the value of doing nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from voin.core import metrics
from voin.core.errors import ValueRefusal

# The version of the rules, which are this file, `voin.core.metrics` and `voin.benchmark.corrupt`. Raise it whenever a
# change of them can change a number, so that kept scores are made anew; a test notices changes of their code.
RULES_VERSION = 2

# One picture or mask a frame; None where the method gave none.
PerFrame = np.ndarray | Sequence[np.ndarray | None]


@dataclass(frozen=True)
class Metric:
    """What a number means: its name, its unit ("" for none), whether more is better, and its digits in tables."""

    label: str
    unit: str
    higher: bool
    digits: int


METRICS: dict[str, Metric] = {
    "psnr_frame": Metric("PSNR, frame", "dB", higher=True, digits=2),
    "ssim_frame": Metric("SSIM, frame", "", higher=True, digits=4),
    "lpips_frame": Metric("LPIPS, frame", "", higher=False, digits=4),
    "psnr_hidden": Metric("PSNR, hidden", "dB", higher=True, digits=2),
    "ssim_hidden": Metric("SSIM, hidden", "", higher=True, digits=3),
    "lpips_crop": Metric("LPIPS, crop", "", higher=False, digits=3),
    "flow_error": Metric("flow error, hidden", "px", higher=False, digits=2),
    "warp_error": Metric("warp error, object", "", higher=False, digits=5),
    "iou_amodal": Metric("mIoU, amodal", "", higher=True, digits=3),
    "iou_occluded": Metric("mIoU, occluded", "", higher=True, digits=3),
    "area_added": Metric("area wrongly added, of the object's", "", higher=False, digits=4),
}

COUNTS: dict[str, str] = {
    "frames": "frames",
    "empty": "frames without the object: no mask is judged",
    "free": "frames in which nothing of the object is hidden: no pixel and no hidden part is judged",
    "failed_frames": "frames the method did not give: judged as the input",
    "failed_masks": "masks the method did not give: judged as 0",
    "failed_flows": "clips without flow of a method that has flow: judged as no motion",
    "perfect_frame": f"judged frames equal to the truth, PSNR {metrics.PSNR_CAP:g} dB",
    "perfect_hidden": f"judged frames equal to the truth in the hidden part, PSNR {metrics.PSNR_CAP:g} dB",
    "touched": "frames with nothing hidden in which the method changed the object all the same",
    "invented": "frames without the object in which the method's mask shows one",
}

# End-point error of no motion at all: the score of a method's flow in clips for which it gave none.
STILL = "flow_still"


# A distance of each pair of (n, h, w, 3) uint8 pictures, 0 where both are equal: `voin.core.lpips.LPIPS`.
Perceptual = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class ClipScores:
    """The scores of one clip."""

    name: str
    video: str  # which it is from; averages per video go by it
    frames: dict[str, list[float]]  # by metric, if it was scored; NaN for a frame that is left out
    counts: dict[str, int]  # how many frames were special, by the keys of `COUNTS`

    def mean(self, metric: str) -> float:
        """Average over the clip's scored frames; NaN where there are none."""
        return _mean(self.frames.get(metric, ()))

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold; NaN becomes None."""
        frames = {key: [None if np.isnan(x) else x for x in row] for key, row in self.frames.items()}
        return {"name": self.name, "video": self.video, "frames": frames, "counts": dict(self.counts)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ClipScores:
        """Read what `to_json` returned."""
        frames = {key: [np.nan if x is None else float(x) for x in row] for key, row in content["frames"].items()}
        return cls(content["name"], content["video"], frames, {key: int(x) for key, x in content["counts"].items()})


@dataclass(frozen=True)
class Average:
    """The averages of one metric."""

    per_frame: float  # over all scored frames
    per_video: float  # over the averages of videos, each over the scored frames of all its clips
    frames: int  # that were scored
    videos: int  # that have a scored frame


@dataclass(frozen=True)
class Summary:
    """The averages of a method over clips: `averages` by metric (absent if no frame was scored), summed `counts`."""

    averages: dict[str, Average]
    counts: dict[str, int]
    clips: int


def score_clip(
    truth: UInt8[np.ndarray, "t h w 3"],
    given: UInt8[np.ndarray, "t h w 3"],
    result: PerFrame | None,
    amodal: Bool[np.ndarray, "t h w"],
    visible: Bool[np.ndarray, "t h w"],
    predicted: PerFrame | None,
    *,
    forward: np.ndarray | None = None,
    backward: np.ndarray | None = None,
    truth_flow: tuple[np.ndarray, np.ndarray] | None = None,
    perceptual: Perceptual | None = None,
    content: bool = True,
    shape: bool = True,
    name: str = "",
    video: str = "",
) -> ClipScores:
    """Score what a method gave for one clip; every metric is taken frame by frame.

    Args:
        truth: the frames without occluder.
        given: the frames the method was given, with the occluder.
        result: the method's frames; None for each that it did not give, or None alone where it failed as a whole.
        amodal: the true mask of the whole object.
        visible: its true visible part, also where the method was given a corrupted one.
        predicted: the method's amodal masks; None as in `result`.
        forward: the method's completed flow (t-1, 2, h, w), pixels; None where it has none.
        backward: the same, the other way.
        truth_flow: flow of `truth`, forward and backward; None leaves flow and warp error out.
        perceptual: None leaves LPIPS out.
        content: whether pixels and flow are scored; False for methods that give masks alone.
        shape: whether masks are scored; False where the true mask was given to the method.
        name: of the clip.
        video: which it is from; by default the clip is a video of its own.

    Raises:
        ValueError: something of the method's has another size, length or dtype; nothing is resized.
    """
    count, h, w = amodal.shape
    pictures = _per_frame("the result", result, count, (h, w, 3), np.uint8) if content else []
    masks = _per_frame("the amodal mask", predicted, count, (h, w), np.bool_) if shape else []
    hidden = amodal & ~visible
    present, covered = amodal.any(axis=(1, 2)), hidden.any(axis=(1, 2))
    counts = {"frames": count, "empty": int((~present).sum()), "free": int((~covered).sum())}
    rows: dict[str, list[float]] = {}
    if content:
        counts["failed_frames"] = sum(picture is None for picture in pictures)
        whole = [frame if picture is None else picture for picture, frame in zip(pictures, given, strict=True)]
        # Only the object is compared: outside it both pictures are the input, occluder and all.
        reference = np.where(amodal[..., None], truth, given)
        shown = np.where(amodal[..., None], np.stack(whole), given)
        changed = (shown != given).any(axis=(1, 2, 3))
        counts["touched"] = int((changed & present & ~covered).sum())
        counts |= _score_pixels(reference, shown, hidden, perceptual, rows)
        if truth_flow is not None:
            _score_motion(shown, amodal, hidden, truth_flow, (forward, backward), rows)
    if shape:
        counts["failed_masks"] = sum(mask is None for mask in masks)
        found = np.stack([np.zeros((h, w), np.bool_) if mask is None else mask for mask in masks])
        counts["invented"] = int((found.any(axis=(1, 2)) & ~present).sum())
        rows["iou_amodal"] = [metrics.iou(f, a) for f, a in zip(found, amodal, strict=True)]
        rows["area_added"] = [metrics.added_share(f, a) for f, a in zip(found, amodal, strict=True)]
        rows["iou_occluded"] = [metrics.iou(f & ~v, o) for f, v, o in zip(found, visible, hidden, strict=True)]
    return ClipScores(name, video or name, rows, counts)


def summarize(scores: Sequence[ClipScores]) -> Summary:
    """Average a method's scores over frames and over videos; of each clip, also those that failed."""
    averages = {}
    has_flow = any("flow_error" in clip.frames for clip in scores)
    lacking = [clip for clip in scores if "flow_error" not in clip.frames and STILL in clip.frames]
    for metric in METRICS:
        rows = [(clip.video, clip.frames.get(metric, [])) for clip in scores]
        if metric == "flow_error" and has_flow:
            rows += [(clip.video, clip.frames[STILL]) for clip in lacking]
        videos: dict[str, list[float]] = {}
        for video, row in rows:
            videos.setdefault(video, []).extend(x for x in row if not np.isnan(x))
        scored = [row for row in videos.values() if row]
        if scored:
            per_frame, per_video = _mean(x for row in scored for x in row), _mean(map(_mean, scored))
            averages[metric] = Average(per_frame, per_video, sum(map(len, scored)), len(scored))
    counts = {key: sum(clip.counts.get(key, 0) for clip in scores) for key in COUNTS}
    counts["failed_flows"] = len(lacking) if has_flow else 0
    return Summary(averages, counts, len(scores))


def _score_pixels(
    reference: UInt8[np.ndarray, "t h w 3"],
    shown: UInt8[np.ndarray, "t h w 3"],
    hidden: Bool[np.ndarray, "t h w"],
    perceptual: Perceptual | None,
    rows: dict[str, list[float]],
) -> dict[str, int]:
    """Add the rows of the pixel metrics; return how many of the scored frames are perfect."""
    names = ["psnr_frame", "ssim_frame", "psnr_hidden", "ssim_hidden"]
    names += ["lpips_frame", "lpips_crop"] if perceptual is not None else []
    rows.update({name: [np.nan] * len(hidden) for name in names})
    counts = {"perfect_frame": 0, "perfect_hidden": 0}
    for i in np.flatnonzero(hidden.any(axis=(1, 2))):
        pair = reference[i], shown[i]
        rows["psnr_frame"][i] = metrics.psnr(*pair)
        rows["ssim_frame"][i] = metrics.ssim(*pair)
        rows["psnr_hidden"][i] = metrics.masked_psnr(*pair, hidden[i])
        rows["ssim_hidden"][i] = metrics.ssim_inside(*pair, hidden[i])
        counts["perfect_frame"] += np.array_equal(*pair)
        counts["perfect_hidden"] += np.array_equal(pair[0][hidden[i]], pair[1][hidden[i]])
        if perceptual is not None:
            box = metrics.crop_box(hidden[i])
            rows["lpips_frame"][i] = float(perceptual(pair[0][None], pair[1][None])[0])
            rows["lpips_crop"][i] = float(perceptual(pair[0][box][None], pair[1][box][None])[0])
    return counts


def _score_motion(
    shown: UInt8[np.ndarray, "t h w 3"],
    amodal: Bool[np.ndarray, "t h w"],
    hidden: Bool[np.ndarray, "t h w"],
    truth_flow: tuple[np.ndarray, np.ndarray],
    flow: tuple[np.ndarray | None, np.ndarray | None],
    rows: dict[str, list[float]],
) -> None:
    """Add the rows of flow and warp error."""
    count, h, w = hidden.shape
    shape = (count - 1, 2, h, w)
    names = ("forward", "backward", "truth_flow", "truth_flow")
    for name, field in zip(names, (*flow, *truth_flow), strict=True):
        if field is not None and field.shape != shape:
            raise ValueRefusal(
                f"{name} has shape {field.shape}",
                f"it must be {shape}, (t-1, 2, h, w)",
                "give flow between neighbouring frames at the clip's size",
            )
    forward, backward = flow
    if (forward is None) != (backward is None):
        raise ValueRefusal("one of forward and backward is None", "both are judged together", "give both or neither")
    still = np.zeros((1, 2, h, w), np.float32)
    rows[STILL] = metrics.pixel_flow_errors((still, still), truth_flow, hidden)
    if forward is not None and backward is not None:
        rows["flow_error"] = metrics.pixel_flow_errors((forward, backward), truth_flow, hidden)
    pairs = zip(truth_flow[0], truth_flow[1], range(count - 1), strict=True)
    errors = [metrics.pair_error(shown[i : i + 2], amodal[i : i + 2], *flows) for *flows, i in pairs]
    rows["warp_error"] = [np.nan, *errors]


def _per_frame(
    what: str, given: PerFrame | None, count: int, shape: tuple[int, ...], dtype: type
) -> list[np.ndarray | None]:
    """Return one array or None a frame; refuse what does not fit."""
    if given is None:
        return [None] * count
    if len(given) != count:
        raise ValueRefusal(
            f"{what} has {len(given)} frames for a clip of {count}",
            "every frame needs an entry",
            "give None for a frame that is not there",
        )
    for i, array in enumerate(given):
        if array is not None and (array.shape != shape or array.dtype != dtype):
            raise ValueRefusal(
                f"{what} of frame {i} has shape {array.shape} and dtype {array.dtype}",
                f"it must be {shape} and {np.dtype(dtype).name}",
                "nothing is resized or converted here, give it as the clip is",
            )
    return list(given)


def _mean(values: Iterable[float]) -> float:
    numbers = np.array([x for x in values if not np.isnan(x)], np.float64)
    return float(numbers.mean()) if numbers.size else float("nan")
