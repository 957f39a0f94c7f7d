"""The paper's rows as data, and how what was measured is set beside its numbers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from voin.baselines.trained.models import ROWS as BASELINES
from voin.benchmark.paper.compare import (
    DIFFERENCE,
    JUDGED,
    NOT_TRAINED,
    ONE_SEED,
    WITHIN_SEEDS,
    Judged,
    compare,
    verdict,
)
from voin.benchmark.paper.models import METHODS
from voin.benchmark.paper.rows import Network
from voin.benchmark.paper.tables import TABLES
from voin.benchmark.paper.write import write_table
from voin.benchmark.scores import METRICS
from voin.training.config import PRESETS, change_settings
from voin.training.options import STAGES

ABOUT = {"voin": "0", "set": "s", "clips": 1, "frames": 4, "budget": 60.0, "unit": "core-minutes", "seeds": 1}
ROWS = [pytest.param(table, row, id=f"{name}-{row.name}") for name, table in TABLES.items() for row in table.rows]


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_a_row_names_what_there_is_and_spends_its_budget(table, row) -> None:
    assert row.method in METHODS
    assert len(row.paper) in (0, len(table.columns))
    assert set(row.over) <= {other.name for other in table.rows} - {row.name}
    # Of our own tables nothing is in the paper.
    assert row.printed == (bool(row.paper) or not table.columns)
    if row.model:
        assert not row.networks
        return
    assert sum(network.share for network in row.networks) == pytest.approx(1)
    kinds = BASELINES[row.method].kinds if row.method in BASELINES else ()
    assert {network.stage for network in row.networks} >= set(kinds)
    for network in row.networks:
        assert network.stage in STAGES
        for preset in table.presets:
            assert change_settings(PRESETS[preset], [*network.settings(preset), "minutes=1", "seed=1"]).minutes == 1


def test_runs_of_one_name_are_one_run_and_rows_and_columns_are_told_apart() -> None:
    runs: dict[str, Network] = {}
    for table in TABLES.values():
        names = [row.name for row in table.rows]
        assert len(names) == len(set(names))
        assert {column.metric for column in (*table.columns, *table.beside)} <= METRICS.keys()
        for network in (network for row in table.rows for network in row.networks):
            assert runs.setdefault(network.name, network) == network


def test_a_difference_counts_only_if_all_seeds_agree_in_its_sign() -> None:
    assert verdict([]) == verdict([None]) == ""
    assert verdict([0.5]) == verdict([0.5, None]) == ONE_SEED
    assert verdict([0.5, 0.1]) == verdict([-0.5, -0.1]) == DIFFERENCE
    assert verdict([0.5, -0.1]) == verdict([0.5, 0.0]) == WITHIN_SEEDS


def test_margins_of_the_paper_are_those_it_tells() -> None:
    rows = {row["name"]: row for row in compare(TABLES["table1"], {})}
    margins = {margin["over"]: margin["cells"] for margin in rows["ours"]["margins"]}
    assert margins["sttn"]["psnr_frame"]["paper"] == pytest.approx(3.02)
    assert margins["sttn"]["lpips_frame"]["paper_share"] == pytest.approx(-0.6)
    assert margins["fgvc"]["flow_error"]["paper_share"] == pytest.approx(-0.157, abs=1e-3)
    assert margins["dfvi"]["flow_error"]["paper_share"] == pytest.approx(-0.351, abs=1e-3)
    assert margins["sttn"]["flow_error"]["paper"] is None
    shapes = {row["name"]: row for row in compare(TABLES["table2"], {})}
    whole = {margin["over"]: margin["cells"] for margin in shapes["bs-8-d-s"]["margins"]}
    assert whole["image-based"]["iou_amodal"]["paper"] == pytest.approx(11.87)


def test_numbers_are_means_over_seeds_and_margins_are_taken_seed_by_seed() -> None:
    judged = {
        "image-based": [Judged(0, {"iou_amodal": 0.6}, 60.0), Judged(1, {"iou_amodal": 0.7}, 60.0)],
        "bs-4": [Judged(0, {"iou_amodal": 0.65}, 58.0), Judged(1, {"iou_amodal": 0.69}, 60.0)],
    }
    rows = {row["name"]: row for row in compare(TABLES["table2"], judged)}
    assert rows["bs-4"]["cells"]["iou_amodal"]["here"] == pytest.approx(67)
    assert rows["bs-4"]["cells"]["iou_amodal"]["difference"] == pytest.approx(67 - 78.02)
    assert rows["bs-4"]["minutes"] == 59
    (margin,) = rows["bs-4"]["margins"]
    assert margin["cells"]["iou_amodal"]["here"] == pytest.approx(2)
    assert margin["cells"]["iou_amodal"]["verdict"] == WITHIN_SEEDS
    assert (rows["bs-4"]["state"], rows["bs-8"]["state"]) == (JUDGED, NOT_TRAINED)


def test_a_table_is_written_in_four_forms_with_all_its_rows(tmp_path: Path) -> None:
    table = TABLES["table3"]
    judged = {"bf-a": [Judged(0, {"flow_error": 2.5, "psnr_hidden": 18.0}, 31.0, failures=2)]}
    rows = compare(table, judged)
    paths = write_table(tmp_path, "table3", table, rows, {**ABOUT, "notes": ["a note."]})
    markdown, lines, content, page = (path.read_text() for path in paths)
    for text in (markdown, page):
        assert "BF + A + L" in text
        assert all(word in text for word in ("2.50", "3.95", "-1.45", "not trained", "60 core-minutes", "a note."))
        assert "BF + A was trained for 31.0 of 60 core-minutes." in text
        assert "BF + A failed on 2 clips" in text
    found = [row for row in csv.DictReader(lines.splitlines()) if not row["compared_with"]]
    by_row = {row["row"]: row for row in found if row["metric"] == "flow_error"}
    assert by_row["bf-a"]["here"] == "2.5"
    assert by_row["bf-a"]["paper"] == "3.95"
    assert by_row["bf-a"]["source"] == "paper, Table 3"
    assert by_row["bf-a-l"]["state"] == NOT_TRAINED
    assert [row["name"] for row in json.loads(content)["rows"]] == [row.name for row in table.rows]
