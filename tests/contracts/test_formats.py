"""The files that voin writes are as docs/reference/files.md and the schemas beside it say."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fakes.fake_method import labels, run, save_labels
from scenes.video_clips import COUNT, SIZE
from sets import voi_sets, voi_sources
from voin.baselines.load import load_method
from voin.benchmark.evaluate import EvaluateOptions, evaluate
from voin.data.build import build
from voin.data.packs.pack import Pack, PackClip
from voin.jobs.mask import MaskOptions, mask
from voin.tracking.prompts import Prompt
from voin.weights.hub import WEIGHTS

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
FILES = (REFERENCE / "files.md").read_text(encoding="utf-8")


def schema_of(name: str) -> dict[str, Any]:
    return json.loads((REFERENCE / f"{name}.schema.json").read_text(encoding="utf-8"))


def checker(name: str) -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema_of(name))
    return jsonschema.Draft202012Validator(schema_of(name))


def section(title: str) -> str:
    return FILES.partition(f"## {title}\n")[2].partition("\n## ")[0]


def unnamed(entries: dict[str, Any], title: str) -> set[str]:
    return {entry for entry in entries if f"`{entry}`" not in section(title)}


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("folder", {}),
        ("video", {"save_flow": True, "save_confidence": True, "layer": "none", "cuts": "none", "start": 2}),
    ],
)
def test_run_json_is_as_its_schema_says(
    source: str, options: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    clip, masks = request.getfixturevalue(source), save_labels(tmp_path / "two", labels(COUNT, SIZE, objects=2))
    run(clip, masks, tmp_path / "out", **options)
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    checker("run").validate(record)
    assert record["totals"]["occluded"] > 0


def test_run_json_of_tracked_masks_is_as_its_schema_says(tmp_path: Path, folder: Path) -> None:
    run(folder, save_labels(tmp_path / "one", labels(1, SIZE)), tmp_path / "out", tracker="grabcut", cuts="none")
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    checker("run").validate(record)
    assert record["masks"]["tracked"]
    assert (tmp_path / "out" / "masks" / "masks.json").exists()


def test_a_record_with_an_unknown_or_a_missing_entry_does_not_pass(folder: Path, masks: Path, tmp_path: Path) -> None:
    run(folder, masks, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    less = {key: value for key, value in record.items() if key != "totals"}
    for wrong in (record | {"extra": 1}, less, record | {"input": record["input"] | {"kind": "film"}}):
        with pytest.raises(jsonschema.ValidationError):
            checker("run").validate(wrong)


def test_manifest_json_is_as_its_schema_says(tmp_path: Path) -> None:
    source = voi_sources.davis(tmp_path / "DAVIS", ["bear", "bus"], ["dog"])
    build(source, tmp_path / "set", voi_sources.small("davis"))
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text(encoding="utf-8"))
    checker("manifest").validate(manifest)
    assert len(manifest["clips"]) == 3
    with pytest.raises(jsonschema.ValidationError):
        checker("manifest").validate(manifest | {"version": 99})


def test_every_entry_of_the_schemas_is_explained() -> None:
    for name in ("run", "manifest"):
        stack = [schema_of(name)]
        while stack:
            node = stack.pop()
            for entry, inner in node.get("properties", {}).items():
                assert inner.get("description"), f"{name}.schema.json: {entry}"
                stack.append(inner)
            stack += [*node.get("patternProperties", {}).values(), *node.get("$defs", {}).values()]
            stack += [node["items"]] if "items" in node else []


@pytest.mark.parametrize("path", sorted(WEIGHTS.glob("*/*.json")), ids=lambda path: path.stem)
def test_entries_of_weights_are_named(path: Path) -> None:
    assert unnamed(json.loads(path.read_text(encoding="utf-8")), "Models") == set()


def test_entries_of_masks_json_are_named(video: Path, tmp_path: Path) -> None:
    record = mask(video, [Prompt(frame=0, box=(4, 8, 16, 16))], tmp_path / "found", MaskOptions(tracker="grabcut"))
    assert unnamed({key: 0 for key in record if key != "finished_before"}, "Output of `voin mask`") == set()


def test_entries_of_results_json_are_named(tmp_path: Path) -> None:
    found = evaluate(
        voi_sets.write_set(tmp_path / "set"),
        {"hull": load_method("hull")},
        tmp_path / "out",
        EvaluateOptions(pictures=False),
    )
    assert unnamed(found, "Evaluations") == set()


def test_entries_of_packs_are_named() -> None:
    names = {each.name for each in (*fields(Pack), *fields(PackClip))} - {"path", "data"}
    assert unnamed(dict.fromkeys(names, 0), "Packs") == set()


def test_every_row_of_the_table_of_formats_names_tests_that_are_there() -> None:
    table = FILES.partition("## Videos and pictures")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")]
    head, *formats = rows
    assert (len(formats) > 12, head[-1].strip()) == (True, "tested by")
    known = {path.name for path in Path(__file__).parents[1].rglob("test_*.py")}
    for row in formats:
        assert len(row) == len(head), row[0]
        named = re.findall(r"`(test_\w+\.py)`", row[-1])
        assert named, row[0]
        assert set(named) <= known, row[0]
