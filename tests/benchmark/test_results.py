from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from voin.benchmark.corrupt import Corruption
from voin.benchmark.results import RATES, Row, make_results, rate_of
from voin.benchmark.scores import ClipScores
from voin.benchmark.tables import (
    NOTHING,
    clip_grid,
    corruption_grid,
    count_grid,
    failures_of,
    group_grid,
    main_grid,
    to_markdown,
)
from voin.data.manifest import ClipRecord

ABOUT = {
    "voin": "0",
    "set": {"path": "somewhere/SET", "manifest": "abc", "seed": 0, "split": "validation", "clips": 3, "frames": 6},
    "notes": ["LPIPS is not judged"],
}


def record(name: str, rate: float, category: str | None = None, video: str | None = None) -> ClipRecord:
    return ClipRecord(name, video or name, 0, category, "validation", 2, (8, 9), "blob", None, None, (rate, rate), rate)


def row(
    method: str,
    clip: ClipRecord,
    hidden: list[float],
    setting: str = "given",
    error: str = "",
    iou: float | None = None,
) -> Row:
    frames = {"psnr_hidden": hidden, "psnr_frame": [x + 10 for x in hidden]} if hidden else {}
    if iou is not None:
        frames |= {"iou_amodal": [iou, iou], "iou_occluded": [iou / 2, iou / 2]}
    scores = ClipScores(clip.name, clip.video, frames, {"frames": 2, "free": int(np.isnan(hidden).sum())})
    return Row(method, setting, None, clip, scores, None if error else 0.5, error)


CLIPS = [record("a", 0.2, "dog", "v"), record("b", 0.2, "cat", "v"), record("c", 0.6, "dog"), record("d", 0.72)]


@pytest.fixture
def results() -> dict:
    good = [row("good", clip, [20.0 + 5 * i, 20.0 + 5 * i]) for i, clip in enumerate(CLIPS)]
    poor = [row("poor", clip, [np.nan, 10.0], error="it broke" if i == 1 else "") for i, clip in enumerate(CLIPS)]
    shapes = [row("shape", clip, [], "end to end", iou=0.5 + 0.1 * i) for i, clip in enumerate(CLIPS)]
    strengths = (0.2, 0.1)
    corrupted = [replace(row, corruption=Corruption("dilated", strength)) for row in good for strength in strengths]
    return make_results(ABOUT, [*good, *poor, *shapes], corrupted)


def test_rates_are_the_ranges_of_the_paper_and_every_clip_has_one() -> None:
    found = [rate_of(record("a", rate)) for rate in (0.07, 0.1, 0.2999, 0.3, 0.4999, 0.5, 0.7, 0.73)]
    assert found == ["10-30 %"] * 3 + ["30-50 %"] * 2 + ["50-70 %"] * 3
    assert list(RATES) == ["10-30 %", "30-50 %", "50-70 %"]


def test_averages_are_over_frames_and_over_videos(results: dict) -> None:
    average = results["tables"]["given"]["good"]["all"]["averages"]["psnr_hidden"]
    # Clips a and b are one video.
    assert average["per_video"] == pytest.approx((22.5 + 30 + 35) / 3)
    assert average["per_frame"] == pytest.approx((20 + 25 + 30 + 35) / 4)


def test_rates_and_categories_hold_their_clips_alone(results: dict) -> None:
    own = results["tables"]["given"]["good"]
    assert {key: part["clips"] for key, part in own["rates"].items()} == {"10-30 %": 2, "50-70 %": 2}
    assert {key: part["clips"] for key, part in own["categories"].items()} == {"cat": 1, "dog": 2, "unknown": 1}
    assert own["rates"]["50-70 %"]["averages"]["psnr_hidden"]["per_frame"] == pytest.approx(32.5)
    assert own["categories"]["cat"]["averages"]["psnr_hidden"]["per_frame"] == pytest.approx(25)


def test_failures_and_left_out_frames_are_counted(results: dict) -> None:
    assert results["failures"] == 1
    assert results["tables"]["given"]["poor"]["failures"] == 1
    assert results["tables"]["given"]["poor"]["all"]["counts"]["free"] == 4
    assert failures_of(results) == ["poor, given, b: it broke"]


def test_seconds_are_of_the_clips_that_did_not_fail(results: dict) -> None:
    assert results["tables"]["given"]["poor"]["seconds_per_frame"] == pytest.approx(0.25)


def test_clips_have_a_row_a_method_and_setting(results: dict) -> None:
    assert len(results["clips"]) == 12
    first = results["clips"][0]
    assert (first["clip"], first["method"], first["setting"], first["category"]) == ("a", "good", "given", "dog")
    assert first["metrics"] == {"psnr_frame": 30.0, "psnr_hidden": 20.0}


def test_curves_start_without_damage_and_rise_in_strength(results: dict) -> None:
    points = results["damage"]["given"]["good"]["dilated"]
    assert [point["strength"] for point in points] == [0.0, 0.1, 0.2]
    assert points[0]["averages"] == results["tables"]["given"]["good"]["all"]["averages"]
    assert corruption_grid(results, "given", "psnr_hidden") is not None
    assert corruption_grid(results, "given", "iou_amodal") is None
    assert corruption_grid(results, "end to end", "iou_amodal") is None


def test_only_metrics_that_were_judged_are_shown(results: dict) -> None:
    assert list(results["metrics"]) == ["psnr_frame", "psnr_hidden", "iou_amodal", "iou_occluded"]
    head = main_grid(results, "given", "per_video").head
    assert head == ["method", "PSNR, frame (dB) ↑", "PSNR, hidden (dB) ↑", "frames/s", "failed clips"]


def test_the_best_number_of_a_column_is_marked(results: dict) -> None:
    grid = main_grid(results, "given", "per_video")
    assert grid.best == {(0, 1), (0, 2)}
    by_rate = group_grid(results, "given", "rates", "psnr_hidden")
    assert by_rate is not None
    assert by_rate.head == ["hidden", "clips", "good", "poor"]
    assert by_rate.rows[0] == ["10-30 %", "2", "22.50", "10.00"]
    assert by_rate.best == {(0, 2), (1, 2)}


def test_equal_numbers_are_not_marked() -> None:
    rows = [row(method, clip, [20.0, 20.0]) for method in ("one", "other") for clip in CLIPS]
    assert main_grid(make_results(ABOUT, rows, []), "given", "per_video").best == frozenset()


def test_a_group_without_pixels_has_no_table_of_them(results: dict) -> None:
    assert group_grid(results, "end to end", "rates", "psnr_hidden") is None
    assert group_grid(results, "end to end", "rates", "iou_occluded") is not None


def test_rows_of_clips_say_what_failed(results: dict) -> None:
    grid = clip_grid(results, "given")
    assert grid.head == ["clip", "category", "hidden", "good, dB", "poor, dB"]
    assert grid.rows[1] == ["b", "cat", "0.20", "25.00", "10.00 (failed)"]


def test_counts_that_are_nowhere_are_left_out(results: dict) -> None:
    assert count_grid(results, "given").head == ["method", "frames", "free"]


def test_numbers_that_are_not_known_are_null_in_json() -> None:
    rows = [row("only", CLIPS[0], [np.nan, np.nan])]
    results = make_results(ABOUT, rows, [])
    assert json.loads(json.dumps(results), parse_constant=lambda name: pytest.fail(name)) == results
    assert results["clips"][0]["metrics"]["psnr_hidden"] is None
    assert NOTHING in to_markdown(results)


def test_markdown_tables_are_whole(results: dict) -> None:
    text = to_markdown(results)
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) > 8
    for block in blocks:
        assert len({line.count("|") for line in block}) == 1
        assert set(block[1]) == set("|-:") or set(block[1]) == set("|-")
    for words in (
        "Whole mask given",
        "End to end",
        "by hidden share",
        "by category",
        "**29.17**",
        "poor, given, b: it",
    ):
        assert words in text
