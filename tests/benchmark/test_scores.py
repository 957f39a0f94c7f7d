"""What is counted, what is left out, and how scores are averaged."""

from __future__ import annotations

import ast
import hashlib
import json
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from voin.benchmark import corrupt
from voin.benchmark import scores as rules
from voin.benchmark.scores import COUNTS, METRICS, RULES_VERSION, STILL, ClipScores, score_clip, summarize
from voin.core import metrics
from voin.core.metrics import PSNR_CAP, crop_box, masked_psnr, psnr

pytest.importorskip("skimage")

T, H, W = 5, 72, 96


class Clip:
    """A textured square, hidden in frames 1 to 3; frame 4 has no object."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self.truth = generator.integers(0, 256, (T, H, W, 3), dtype=np.uint8)
        self.amodal = np.zeros((T, H, W), bool)
        self.amodal[:4, 20:50, 30:60] = True
        occluder = np.zeros((T, H, W), bool)
        occluder[1:4, 10:60, 45:70] = True
        self.given = np.where(occluder[..., None], np.uint8(90), self.truth)
        self.visible = self.amodal & ~occluder
        self.hidden = self.amodal & occluder
        self.flow = np.ones((T - 1, 2, H, W), np.float16), -np.ones((T - 1, 2, H, W), np.float16)

    def score(self, result, predicted, **options) -> ClipScores:
        return score_clip(self.truth, self.given, result, self.amodal, self.visible, predicted, **options)


@pytest.fixture
def clip() -> Clip:
    return Clip()


def total_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A stand-in for LPIPS."""
    return np.abs(first.astype(float) - second).mean(axis=(1, 2, 3)).astype(np.float32)


def test_the_truth_itself_scores_best(clip: Clip) -> None:
    score = clip.score(
        clip.truth,
        clip.amodal,
        truth_flow=clip.flow,
        forward=clip.flow[0].astype(np.float32),
        backward=clip.flow[1].astype(np.float32),
        perceptual=total_difference,
    )
    assert set(score.frames) == {*METRICS, STILL}
    best = {"psnr_frame": PSNR_CAP, "psnr_hidden": PSNR_CAP, "lpips_frame": 0, "lpips_crop": 0, "flow_error": 0}
    for metric, value in best.items():
        assert score.mean(metric) == pytest.approx(value)
    for metric in ("ssim_frame", "ssim_hidden", "iou_amodal", "iou_occluded"):
        assert score.mean(metric) == pytest.approx(1)
    assert score.mean(STILL) == pytest.approx(math.sqrt(2))
    assert (score.counts["perfect_frame"], score.counts["perfect_hidden"]) == (3, 3)


def test_frames_without_hidden_pixels_or_without_the_object_are_left_out_and_counted(clip: Clip) -> None:
    score = clip.score(clip.given, clip.amodal, truth_flow=clip.flow)
    left_out = {metric: np.isnan(row).tolist() for metric, row in score.frames.items()}
    for metric in ("psnr_frame", "ssim_frame", "psnr_hidden", "ssim_hidden", "iou_occluded", STILL):
        assert left_out[metric] == [True, False, False, False, True], metric
    assert left_out["iou_amodal"] == [False, False, False, False, True]
    assert left_out["warp_error"] == [True, False, False, False, True]
    assert {key: score.counts[key] for key in ("frames", "free", "empty")} == {"frames": 5, "free": 2, "empty": 1}


def test_only_the_object_is_compared(clip: Clip) -> None:
    behind = np.where(clip.amodal[..., None], clip.truth, 7).astype(np.uint8)  # whatever stands around the object
    score = clip.score(behind, None, shape=False)
    assert score.mean("psnr_frame") == PSNR_CAP
    assert score.counts["touched"] == 0


def test_the_frame_is_compared_with_the_occluder_left_where_it_is_beside_the_object(clip: Clip) -> None:
    result = clip.given.copy()
    result[clip.hidden] //= 2
    score = clip.score(result, None, shape=False)
    reference = np.where(clip.hidden[..., None], clip.truth, clip.given)
    assert score.frames["psnr_frame"][2] == pytest.approx(psnr(reference[2], result[2]))
    assert score.frames["psnr_hidden"][2] == pytest.approx(masked_psnr(clip.truth[2], result[2], clip.hidden[2]))


def test_lpips_sees_the_composited_frame_and_its_crop_around_the_hidden_part(clip: Clip) -> None:
    score = clip.score(clip.given, None, shape=False, perceptual=total_difference)
    reference = np.where(clip.hidden[..., None], clip.truth, clip.given)
    for i in (1, 2, 3):
        box = (slice(i, i + 1), *crop_box(clip.hidden[i]))
        assert score.frames["lpips_frame"][i] == pytest.approx(total_difference(reference, clip.given)[i])
        assert score.frames["lpips_crop"][i] == pytest.approx(total_difference(reference[box], clip.given[box])[0])


def test_a_clip_is_a_video_of_its_own_unless_told(clip: Clip) -> None:
    assert clip.score(clip.given, None, shape=False, name="a").video == "a"
    assert clip.score(clip.given, None, shape=False, name="a", video="b").video == "b"


def test_damage_to_the_visible_part_costs(clip: Clip) -> None:
    result = clip.truth.copy()
    result[:, 25, 35] ^= 255
    score = clip.score(result, None, shape=False)
    assert score.mean("psnr_frame") < PSNR_CAP
    assert score.mean("psnr_hidden") == PSNR_CAP
    assert score.counts["touched"] == 1


@pytest.mark.parametrize("metric", ["psnr_frame", "ssim_frame", "psnr_hidden", "ssim_hidden", "warp_error"])
def test_frames_that_were_not_given_are_judged_as_the_input(clip: Clip, metric: str) -> None:
    unfilled = clip.score(clip.given, clip.amodal, truth_flow=clip.flow)
    failed = clip.score(None, clip.amodal, truth_flow=clip.flow)
    assert failed.frames[metric] == pytest.approx(unfilled.frames[metric], nan_ok=True)
    assert (unfilled.counts["failed_frames"], failed.counts["failed_frames"]) == (0, T)
    part = clip.score([*clip.truth[:2], None, *clip.truth[3:]], clip.amodal, truth_flow=clip.flow)
    assert part.counts["failed_frames"] == 1
    if metric != "warp_error":
        assert part.frames[metric][2] == pytest.approx(unfilled.frames[metric][2])


def test_masks_that_were_not_given_score_0(clip: Clip) -> None:
    failed = clip.score(None, None, content=False)
    assert failed.frames["iou_amodal"][:4] == [0, 0, 0, 0]
    assert failed.frames["iou_occluded"][1:4] == [0, 0, 0]
    assert failed.counts["failed_masks"] == T
    part = clip.score(None, [None, *clip.amodal[1:]], content=False)
    assert part.frames["iou_amodal"][:4] == [0, 1, 1, 1]


def test_only_what_is_judged_is_there(clip: Clip) -> None:
    assert set(clip.score(None, clip.amodal, content=False).frames) == {"iou_amodal", "iou_occluded", "area_added"}
    pixels = {"psnr_frame", "ssim_frame", "psnr_hidden", "ssim_hidden"}
    assert set(clip.score(clip.given, None, shape=False).frames) == pixels
    assert set(clip.score(clip.given, None, shape=False, perceptual=total_difference).frames) == {
        *pixels,
        "lpips_frame",
        "lpips_crop",
    }


def test_area_wrongly_added_is_measured_against_the_whole_object(clip: Clip) -> None:
    more = clip.amodal.copy()
    more[:, 50:65, 30:60] = True  # half as much again, below
    rows = clip.score(None, more, content=False).frames["area_added"]
    assert rows[:4] == [0.5] * 4
    assert math.isnan(rows[4])  # no object: counted as invented
    assert clip.score(None, clip.hidden, content=False).mean("area_added") == 0
    assert clip.score(None, None, content=False).mean("area_added") == 0
    assert not METRICS["area_added"].higher


def test_the_visible_mask_alone_finds_nothing_of_the_hidden_part(clip: Clip) -> None:
    score = clip.score(None, clip.visible, content=False)
    assert score.mean("iou_occluded") == 0
    assert score.frames["iou_amodal"][1] == clip.visible[1].sum() / clip.amodal[1].sum()


def test_a_missed_visible_pixel_is_no_hidden_one(clip: Clip) -> None:
    score = clip.score(None, clip.hidden, content=False)
    assert score.mean("iou_occluded") == 1
    assert score.mean("iou_amodal") < 1


def test_a_mask_where_there_is_no_object_is_counted(clip: Clip) -> None:
    everything = np.ones_like(clip.amodal)
    assert clip.score(None, everything, content=False).counts["invented"] == 1
    assert clip.score(None, clip.amodal, content=False).counts["invented"] == 0


@pytest.mark.parametrize(
    ("result", "match"),
    [
        (np.zeros((T, H, W + 1, 3), np.uint8), "nothing is resized"),
        (np.zeros((T, H, W, 3), np.float32), "float32"),
        (np.zeros((T - 1, H, W, 3), np.uint8), "4 frames for a clip of 5"),
        ([None] * (T + 1), "6 frames for a clip of 5"),
    ],
)
def test_results_that_do_not_fit_are_refused(clip: Clip, result, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        clip.score(result, clip.amodal)


def test_masks_and_flow_that_do_not_fit_are_refused(clip: Clip) -> None:
    with pytest.raises(ValueError, match="bool"):
        clip.score(clip.given, clip.amodal.astype(np.uint8))
    short = np.zeros((T - 2, 2, H, W), np.float32)
    with pytest.raises(ValueError, match="forward has shape"):
        clip.score(clip.given, clip.amodal, truth_flow=clip.flow, forward=short, backward=short)
    with pytest.raises(ValueError, match="give both or neither"):
        clip.score(clip.given, clip.amodal, truth_flow=clip.flow, forward=clip.flow[0])


def test_scores_come_back_from_json(clip: Clip) -> None:
    score = clip.score(clip.given, clip.amodal, truth_flow=clip.flow, name="a_1", video="a")
    again = ClipScores.from_json(json.loads(json.dumps(score.to_json(), allow_nan=False)))
    assert (again.name, again.video, again.counts) == ("a_1", "a", score.counts)
    assert again.frames.keys() == score.frames.keys()
    for metric, row in score.frames.items():
        assert again.frames[metric] == pytest.approx(row, nan_ok=True, abs=0)


def scores(name: str, video: str, **rows: list[float]) -> ClipScores:
    return ClipScores(name, video, {key: [float(x) for x in row] for key, row in rows.items()}, {"frames": 3})


def test_averages_go_by_frame_and_by_video() -> None:
    nan = math.nan
    summary = summarize(
        [
            scores("a_1", "a", psnr_hidden=[10, 20, nan]),
            scores("a_2", "a", psnr_hidden=[30]),
            scores("b", "b", psnr_hidden=[40]),
            scores("c", "c", psnr_hidden=[nan, nan]),
        ]
    )
    average = summary.averages["psnr_hidden"]
    assert (average.per_frame, average.per_video) == (25, 30)
    assert (average.frames, average.videos) == (4, 2)
    assert set(summary.averages) == {"psnr_hidden"}
    assert (summary.clips, summary.counts["frames"]) == (4, 12)
    assert set(summary.counts) == set(COUNTS)


def test_nothing_to_average_is_no_average() -> None:
    assert summarize([]).averages == {}
    assert summarize([scores("a", "a", psnr_hidden=[math.nan])]).averages == {}


def test_a_method_gains_nothing_by_leaving_flow_out() -> None:
    whole = scores("a", "a", flow_error=[1, 1], flow_still=[5, 5])
    lacking = scores("b", "b", flow_still=[3, 3])
    summary = summarize([whole, lacking])
    assert summary.averages["flow_error"].per_frame == 2
    assert summary.counts["failed_flows"] == 1
    # A method without flow is not judged by it.
    without = summarize([lacking])
    assert "flow_error" not in without.averages
    assert without.counts["failed_flows"] == 0


def test_every_count_that_a_clip_gives_has_a_meaning(clip: Clip) -> None:
    assert set(clip.score(clip.given, clip.amodal).counts) <= set(COUNTS)


# --- the version of the rules

# The version, and the checksum of the rules' code at that version.
RULES = (2, "ea896a41b210597b")


def code_of(module: ModuleType) -> str:
    """The lines of a module that can change a number: no docstring, comment or blank line."""
    text = Path(str(module.__file__)).read_text(encoding="utf-8")
    lines = dict(enumerate(text.splitlines(), 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            for number in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1):
                lines.pop(number, None)
    return "\n".join(line for line in lines.values() if line.strip() and not line.strip().startswith("#"))


def test_the_rules_do_not_change_without_their_version() -> None:
    code = "\n".join(map(code_of, (metrics, rules, corrupt))).replace(f"RULES_VERSION = {RULES_VERSION}", "")
    checksum = hashlib.sha256(code.encode()).hexdigest()[:16]
    assert (RULES_VERSION, checksum) == RULES, (
        "the code of the rules has changed: if a number of any evaluation can change by it, raise RULES_VERSION in "
        f"voin/benchmark/scores.py; then write RULES = ({RULES_VERSION}, {checksum!r}) here"
    )
