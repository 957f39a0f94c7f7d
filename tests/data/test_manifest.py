"""The manifest of a set."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voin.data.manifest import ClipRecord, Manifest, Skipped, mean_rate, rates_of, read_manifest, sum_of, write_manifest


def record(name: str = "bear", **given) -> ClipRecord:
    known = {
        "name": name,
        "video": name,
        "object_id": 0,
        "category": "bear",
        "split": "train",
        "count": 2,
        "size": (216, 384),
        "kind": "object",
        "donor": "bus",
        "donor_video": "bus",
        "rates": (0.25, None),
        "rate": 0.25,
        "sums": {"Amodal": "00", "Visible": "11"},
    }
    return ClipRecord(**{**known, **given})


def manifest() -> Manifest:
    clips = (record(), record("dög", category=None, donor=None, donor_video=None))
    return Manifest(1, "0.1.0", 7, {"size": [216, 384]}, {"layout": "davis"}, clips, (Skipped("bus", "too small"),))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_manifest(tmp_path, manifest())
    assert read_manifest(tmp_path) == manifest()


def test_the_same_manifest_gives_the_same_bytes_and_no_other_file(tmp_path: Path) -> None:
    write_manifest(tmp_path, manifest())
    first = (tmp_path / "manifest.json").read_bytes()
    write_manifest(tmp_path, read_manifest(tmp_path))
    assert (tmp_path / "manifest.json").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
    assert len(first.splitlines()) == 14  # a clip is a line


def test_an_empty_manifest_is_json_too(tmp_path: Path) -> None:
    write_manifest(tmp_path, replace(manifest(), clips=(), skipped=()))
    assert read_manifest(tmp_path).clips == ()


def test_what_passes_behind_is_left_out_where_nothing_does(tmp_path: Path) -> None:
    layers = (record("a", behind="bus", kind="none"), record("b", behind="bus"), record("c"))
    write_manifest(tmp_path, replace(manifest(), clips=layers))
    found = read_manifest(tmp_path).clips
    assert found == layers
    assert [clip.behind_only for clip in found] == [True, False, False]
    assert (tmp_path / "manifest.json").read_text().count('"behind"') == 2


def test_a_set_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    write_manifest(tmp_path, replace(manifest(), version=2))
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(ValueError, match=r"is of version 2; this voin reads version 1; build the set again"):
        read_manifest(tmp_path)
    assert (tmp_path / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"version": 1}', '{"version": 1, "clips": [{}]}'])
def test_a_damaged_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"is damaged \(.*\); it must be as voin wrote it; restore it"):
        read_manifest(tmp_path)


def test_a_clip_whose_name_leads_out_of_the_set_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path, manifest())
    good = (tmp_path / "manifest.json").read_text()
    for name in ("../bear", "..", "a/b", "", "a\\u0000"):
        (tmp_path / "manifest.json").write_text(good.replace('"name": "bear"', f'"name": "{name}"', 1))
        with pytest.raises(ValueError, match=r"is damaged \(.* is no clip"):
            read_manifest(tmp_path)


def test_a_folder_without_a_manifest_says_whether_a_build_was_begun(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="it is no VOI set; a set is made by `voin data build`"):
        read_manifest(tmp_path)
    (tmp_path / ".build").mkdir()
    with pytest.raises(OSError, match="a build there is not finished"):
        read_manifest(tmp_path)


def test_the_sum_of_a_folder_sees_names_and_bytes(tmp_path: Path) -> None:
    for folder, files in (
        ("a", {"0": b"xy", "1": b"z"}),
        ("b", {"0": b"x", "1": b"yz"}),
        ("c", {"0": b"xy", "2": b"z"}),
    ):
        (tmp_path / folder).mkdir()
        for name, data in files.items():
            (tmp_path / folder / name).write_bytes(data)
    assert len({sum_of(tmp_path / name) for name in "abc"}) == 3
    assert sum_of(tmp_path / "a") == sum_of(tmp_path / "a")


def test_rates_are_hidden_over_whole_and_leave_out_frames_without_the_object() -> None:
    amodal = np.zeros((3, 4, 4), bool)
    amodal[:2, :3, :1] = True
    occluder = np.zeros((3, 4, 4), bool)
    occluder[1, 0] = True
    occluder[2] = True
    assert rates_of(amodal, occluder) == (0.0, 0.3333, None)
    assert json.dumps(rates_of(amodal, occluder)) == "[0.0, 0.3333, null]"
    assert mean_rate((0.0, 0.3333, None)) == pytest.approx(0.1667, abs=1e-4)
    assert mean_rate((None,)) == 0
