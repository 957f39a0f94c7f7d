from __future__ import annotations

import copy
import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fakes import own_methods
from sets.voi_sets import BARS, COUNT, write_set
from voin.baselines.hull import HullShape
from voin.baselines.load import BASELINES, load_method
from voin.baselines.telea import Telea
from voin.baselines.visible import VisibleShape
from voin.benchmark import scoring
from voin.benchmark.corrupt import Corruption, erode
from voin.benchmark.evaluate import EvaluateOptions, evaluate
from voin.benchmark.scores import score_clip
from voin.benchmark.scoring import References
from voin.benchmark.trials import MethodEntry
from voin.data.manifest import write_manifest
from voin.data.sets import VoiSet, open_set
from voin.io.images import write_image

QUIET = EvaluateOptions(pictures=False)


@pytest.fixture(scope="module")
def voi_set(tmp_path_factory: pytest.TempPathFactory) -> VoiSet:
    """Three clips; not to be changed."""
    return write_set(tmp_path_factory.mktemp("set"))


class Counting:
    """Progress that is counted."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self.done: dict[str, int] = {}

    def stage(self, name: str, total: int) -> None:
        self.totals[name] = total
        self.done[name] = 0

    def advance(self, name: str, count: int = 1) -> None:
        self.done[name] += count


def without_seconds(results: dict[str, Any]) -> dict[str, Any]:
    results = copy.deepcopy(results)
    for clip in results["clips"]:
        del clip["seconds"]
    for table in results["tables"].values():
        for own in table.values():
            del own["seconds_per_frame"]
    for kinds in (kinds for table in results["damage"].values() for kinds in table.values()):
        for points in kinds.values():
            points[0].pop("seconds_per_frame")
    return results


def rows_of(results: dict[str, Any], method: str, setting: str = "given") -> list[dict[str, Any]]:
    return [clip for clip in results["clips"] if (clip["method"], clip["setting"]) == (method, setting)]


def test_it_scores_as_score_clip_does(voi_set: VoiSet, tmp_path: Path) -> None:
    results = evaluate(voi_set, {"hull": HullShape(), "visible": VisibleShape()}, tmp_path, QUIET)
    for method, record in (
        (method, record) for method in ("hull", "visible") for record in voi_set.records("validation")
    ):
        clip = voi_set.load(record)
        entry = HullShape() if method == "hull" else VisibleShape()
        own = MethodEntry(method, entry).run(record.name, clip.frames, clip.visible, None, None)
        expected = score_clip(
            clip.truth, clip.frames, None, clip.amodal, clip.visible, own.amodal, content=False, name=record.name
        )
        found = next(row for row in rows_of(results, method, "end to end") if row["clip"] == record.name)
        assert found["metrics"]["iou_amodal"] == pytest.approx(expected.mean("iou_amodal"))
        assert "psnr_hidden" not in found["metrics"]


def test_what_is_judged_in_which_setting(voi_set: VoiSet, tmp_path: Path) -> None:
    results = evaluate(voi_set, {"telea": Telea(), "hull": HullShape()}, tmp_path, QUIET)
    assert list(results["tables"]) == ["given", "end to end"]
    assert list(results["tables"]["given"]) == ["telea"]
    assert list(results["tables"]["end to end"]) == ["telea", "hull"]
    assert {key for row in rows_of(results, "telea") for key in row["metrics"]} == {
        *("psnr_frame", "ssim_frame", "psnr_hidden", "ssim_hidden")
    }
    assert {"iou_amodal", "psnr_hidden"} <= set(rows_of(results, "telea", "end to end")[0]["metrics"])
    assert [clip["clip"] for clip in rows_of(results, "telea")] == ["a", "b", "c"]  # no training clip
    assert any("LPIPS is not judged" in note for note in results["notes"])


def test_methods_are_given_what_the_setting_says(voi_set: VoiSet, tmp_path: Path) -> None:
    own_methods.GIVEN.clear()
    evaluate(voi_set, {"own": own_methods.notes}, tmp_path, replace(QUIET, clips=("a",)))
    visible = int(voi_set.load(voi_set.records("validation")[0]).visible.sum())
    assert [(True, False, "dog", visible), (False, False, "dog", visible)] == own_methods.GIVEN


def test_a_method_that_knows_the_truth_is_perfect(voi_set: VoiSet, tmp_path: Path) -> None:
    clip = voi_set.load(voi_set.records("validation")[1])
    truth = torch.from_numpy(clip.truth).permute(0, 3, 1, 2)[None].float() / 255
    perfect = own_methods.Perfect(truth, torch.from_numpy(clip.amodal)[None, :, None].float())
    results = evaluate(voi_set, {"own": perfect}, tmp_path, replace(QUIET, clips=("b",)))
    own = results["tables"]["end to end"]["own"]["all"]
    assert own["averages"]["psnr_hidden"]["per_frame"] == 100
    assert own["averages"]["iou_amodal"]["per_frame"] == own["averages"]["iou_occluded"]["per_frame"] == 1
    assert own["counts"]["perfect_hidden"] == COUNT


def test_a_method_that_raises_counts_as_the_input_and_the_rest_goes_on(voi_set: VoiSet, tmp_path: Path) -> None:
    results = evaluate(voi_set, {"own": own_methods.Raises("dog"), "telea": Telea()}, tmp_path, QUIET)
    assert results["failures"] == 2
    failed, *others = rows_of(results, "own")
    assert "it broke; on purpose" in failed["error"]
    assert failed["counts"]["failed_frames"] == COUNT
    assert [row["error"] for row in others] == ["", ""]
    assert [row["metrics"] for row in others] == [row["metrics"] for row in rows_of(results, "telea")[1:]]
    clip = voi_set.load(voi_set.records("validation")[0])
    blank = score_clip(clip.truth, clip.frames, None, clip.amodal, clip.visible, None, name="a")
    assert failed["metrics"]["psnr_hidden"] == pytest.approx(blank.mean("psnr_hidden"))
    assert rows_of(results, "own", "end to end")[0]["metrics"]["iou_amodal"] == 0


def test_what_a_method_writes_into_its_input_spoils_nothing(voi_set: VoiSet, tmp_path: Path) -> None:
    results = evaluate(voi_set, {"own": own_methods.spoils, "telea": Telea()}, tmp_path, QUIET)
    assert [row["metrics"] for row in rows_of(results, "own")] == [row["metrics"] for row in rows_of(results, "telea")]


def test_progress_counts_all_frames(voi_set: VoiSet, tmp_path: Path) -> None:
    progress = Counting()
    options = EvaluateOptions(corruptions=(Corruption("lost", 0.2),), settings=("given",))
    pytest.importorskip("matplotlib")
    evaluate(voi_set, {"telea": Telea()}, tmp_path, options, progress=progress)
    stages = ("check", "evaluate", "damaged masks", "pictures")
    assert progress.totals == dict.fromkeys(stages, 3 * COUNT)
    assert progress.done == progress.totals


# --- going on


def test_a_second_run_does_nothing_again_and_says_the_same(voi_set: VoiSet, tmp_path: Path) -> None:
    first = evaluate(voi_set, {"own": own_methods.notes}, tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
    own_methods.GIVEN.clear()
    progress = Counting()
    assert evaluate(voi_set, {"own": own_methods.notes}, tmp_path, progress=progress) == first
    assert own_methods.GIVEN == []
    assert progress.totals == {}
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")} != {}


def test_a_stopped_run_goes_on_where_it_was(voi_set: VoiSet, tmp_path: Path) -> None:
    class Stop(Counting):
        def advance(self, name: str, count: int = 1) -> None:
            super().advance(name, count)
            if self.done[name] == 4 * COUNT:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(voi_set, {"own": own_methods.notes}, tmp_path, QUIET, progress=Stop())
    own_methods.GIVEN.clear()
    results = evaluate(voi_set, {"own": own_methods.notes}, tmp_path, QUIET)
    assert len(own_methods.GIVEN) == 2
    assert results["failures"] == 0


def test_another_method_does_not_repeat_the_first(voi_set: VoiSet, tmp_path: Path) -> None:
    evaluate(voi_set, {"own": own_methods.notes}, tmp_path, QUIET)
    own_methods.GIVEN.clear()
    results = evaluate(voi_set, {"telea": Telea(), "own": own_methods.notes}, tmp_path, QUIET)
    assert own_methods.GIVEN == []
    assert list(results["tables"]["given"]) == ["telea", "own"]


def test_other_settings_failures_and_overwrite_are_done_again(voi_set: VoiSet, tmp_path: Path) -> None:
    def due(method: Any, options: EvaluateOptions = QUIET) -> int:
        progress = Counting()
        evaluate(voi_set, {"own": method}, tmp_path, options, progress=progress)
        return progress.totals.get("evaluate", 0) // COUNT

    assert due(Telea()) == 6
    assert due(Telea()) == 0
    assert due(Telea(5)) == 6
    assert due(Telea(5), replace(QUIET, overwrite=True)) == 6
    assert due(own_methods.Raises("dog")) == 6
    assert due(own_methods.Raises("dog")) == 2  # its reason may be gone
    assert due(own_methods.Raises("dog"), replace(QUIET, clips=1)) == 2


@pytest.mark.parametrize("stated", ["    version = {}\n", "    def settings(self): return {{'step': {}}}\n"])
def test_an_edited_method_is_scored_anew_when_it_states_another_version(
    stated: str, voi_set: VoiSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def due(version: int, comment: str = "", overwrite: bool = False) -> int:
        code = "from voin.baselines.hull import HullShape\nclass Mine(HullShape):\n" + stated.format(version) + comment
        (tmp_path / "edited_method_of_a_test.py").write_text(code, encoding="utf-8")
        monkeypatch.delitem(sys.modules, "edited_method_of_a_test", raising=False)
        importlib.invalidate_caches()
        mine = load_method("edited_method_of_a_test:Mine")
        progress = Counting()
        options = replace(QUIET, clips=1, overwrite=overwrite)
        evaluate(voi_set, {"own": mine}, tmp_path / "out", options, progress=progress)
        return progress.totals.get("evaluate", 0)

    assert (due(1), due(1)) == (COUNT, 0)
    # What it does is its own business: the text of its code is not looked at.
    assert due(1, "# an edit, which states nothing\n") == 0
    assert due(1, "# an edit, which states nothing\n", overwrite=True) == COUNT
    assert due(22) == COUNT


def test_other_rules_score_anew(voi_set: VoiSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def due() -> int:
        progress = Counting()
        evaluate(voi_set, {"telea": Telea()}, tmp_path, replace(QUIET, clips=1), progress=progress)
        return progress.totals.get("evaluate", 0)

    assert (due(), due()) == (2 * COUNT, 0)
    monkeypatch.setattr(scoring, "RULES_VERSION", scoring.RULES_VERSION + 1)
    assert due() == 2 * COUNT


def test_a_method_that_is_edited_while_it_runs_is_no_fault(voi_set: VoiSet, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "running_method_of_a_test.py"
    path.write_text("from voin.baselines.hull import HullShape\nclass Mine(HullShape):\n    pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    class Edits(Counting):
        def advance(self, name: str, count: int = 1) -> None:
            path.write_text(path.read_text(encoding="utf-8") + "\n# again\n", encoding="utf-8")

    methods = {"own": load_method("running_method_of_a_test:Mine")}
    results = evaluate(voi_set, methods, tmp_path / "out", replace(QUIET, clips=2), progress=Edits())
    assert len(results["clips"]) == 2


def test_another_set_is_scored_anew(tmp_path: Path) -> None:
    for seed, expected in ((0, 2), (0, 0), (1, 2)):
        voi_set = (
            write_set(tmp_path / "set", BARS[:1]) if not (tmp_path / "set").exists() else open_set(tmp_path / "set")
        )
        write_manifest(tmp_path / "set", replace(voi_set.manifest, seed=seed))
        progress = Counting()
        evaluate(open_set(tmp_path / "set"), {"telea": Telea()}, tmp_path / "out", QUIET, progress=progress)
        assert progress.totals.get("evaluate", 0) == expected * COUNT


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"request": {}}'])
def test_a_broken_score_is_made_again(content: bytes, voi_set: VoiSet, tmp_path: Path) -> None:
    options = replace(QUIET, clips=("a",), settings=("given",))
    first = evaluate(voi_set, {"telea": Telea()}, tmp_path, options)
    (kept,) = (tmp_path / ".scores").rglob("*.json")
    kept.write_bytes(content)
    assert without_seconds(evaluate(voi_set, {"telea": Telea()}, tmp_path, options)) == without_seconds(first)


@pytest.mark.slow
def test_workers_give_the_same_results(voi_set: VoiSet, tmp_path: Path) -> None:
    methods = {name: load_method(name) for name in BASELINES} | {"own": own_methods.Raises("cat")}
    one = evaluate(voi_set, methods, tmp_path / "1", QUIET)
    two = evaluate(voi_set, methods, tmp_path / "2", replace(QUIET, workers=2))
    assert without_seconds(two) == without_seconds(one)


# --- damaged masks


def test_damaged_masks_go_in_and_true_ones_judge(voi_set: VoiSet, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    corruptions = (Corruption("lost", 1.0), Corruption("eroded", 0.1))
    options = replace(QUIET, corruptions=corruptions, clips=("a",), settings=("end to end",))
    own_methods.GIVEN.clear()
    results = evaluate(voi_set, {"own": own_methods.notes, "visible": VisibleShape()}, tmp_path, options)
    whole, lost, eroded = [visible for *_, visible in own_methods.GIVEN]
    assert lost == 0 < eroded < whole
    kinds = results["damage"]["end to end"]["visible"]
    clip = voi_set.load(voi_set.records("validation")[0])
    smaller = erode(clip.visible, 0.1)
    expected = np.mean([(m & a).sum() / a.sum() for m, a in zip(smaller, clip.amodal, strict=True)])
    assert kinds["eroded"][1]["averages"]["iou_amodal"]["per_frame"] == pytest.approx(expected)
    assert kinds["lost"][1]["averages"]["iou_amodal"]["per_frame"] == 0
    # Nothing to fill from: the method refused, which is a failure of that point.
    assert results["damage"]["end to end"]["own"]["lost"][1]["failures"] == 1
    assert (tmp_path / "degrade.png").is_file()
    assert "degrade.png" in (tmp_path / "index.html").read_text(encoding="utf-8")


# --- somebody else's results


def test_a_folder_of_true_frames_is_perfect(voi_set: VoiSet, tmp_path: Path) -> None:
    for record in voi_set.records("validation")[:2]:
        folder = tmp_path / "theirs" / record.name
        folder.mkdir(parents=True)
        for i, picture in enumerate(voi_set.load(record).truth):
            write_image(folder / f"{i:05d}.png", picture)
    results = evaluate(voi_set, {}, tmp_path / "out", QUIET, results={"theirs": tmp_path / "theirs"})
    a, b, c = rows_of(results, "theirs")
    assert a["metrics"]["psnr_hidden"] == b["metrics"]["psnr_hidden"] == 100
    assert "c is not there" in c["error"]
    assert results["failures"] == 1
    assert "end to end" not in results["tables"]


# --- refusals


def test_bad_requests_are_refused_before_work(voi_set: VoiSet, tmp_path: Path) -> None:
    telea = {"telea": Telea()}
    for said, call in (
        (
            "no clip nobody; it must be one of a, b, c; ",
            lambda: evaluate(voi_set, telea, tmp_path, replace(QUIET, clips=("nobody",))),
        ),
        ("no clip in the split 'test'", lambda: evaluate(voi_set, telea, tmp_path, replace(QUIET, split="test"))),
        ("there is nothing to evaluate", lambda: evaluate(voi_set, {}, tmp_path, QUIET)),
        ("names a method and a folder", lambda: evaluate(voi_set, telea, tmp_path, QUIET, results={"telea": tmp_path})),
        (
            "no method gives anything in the settings given",
            lambda: evaluate(voi_set, {"hull": HullShape()}, tmp_path, replace(QUIET, settings=("given",))),
        ),
        ("lies in the set", lambda: evaluate(voi_set, telea, voi_set.root / "out", QUIET)),
        ("letters, digits", lambda: evaluate(voi_set, {"a/b": Telea()}, tmp_path, QUIET)),
    ):
        with pytest.raises(ValueError, match=r".*; .*; ") as error:
            call()
        assert said in str(error.value)
    assert not (tmp_path / "results.json").exists()


@pytest.mark.parametrize(
    "bad", [{"workers": 0}, {"clips": 0}, {"clips": ()}, {"settings": ()}, {"settings": ("both",)}]
)
def test_bad_options_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"; .*; "):
        EvaluateOptions(**bad)


def test_an_unknown_truth_of_flow_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of none, raft-small, raft-large"):
        References(flow_truth="dis")  # pyright: ignore[reportArgumentType]


def test_absent_weights_are_refused_before_work(voi_set: VoiSet, tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    references = References(flow_truth="raft-small", flow_truth_weights=tmp_path / "absent.pt")
    with pytest.raises(OSError, match="is no file"):
        evaluate(voi_set, {"telea": Telea()}, tmp_path, replace(QUIET, references=references))
    assert list(tmp_path.iterdir()) == []


def test_what_is_broken_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set").root
    picture = sorted(root.rglob("*.png"))[-1]
    picture.write_bytes(picture.read_bytes()[:60])
    weights = tmp_path / "alex.pt"
    weights.write_bytes(b"no weights")
    judged = replace(QUIET, references=References(lpips=True, lpips_weights=weights))
    for options in (QUIET, judged):
        with pytest.raises((OSError, ValueError)):
            evaluate(open_set(root), {"telea": Telea()}, tmp_path / "out", options)
        assert not (tmp_path / "out").exists()


def test_a_broken_set_stops_the_evaluation(tmp_path: Path) -> None:
    voi_set = write_set(tmp_path / "set", BARS[:1])
    next((tmp_path / "set").rglob("Amodal/a/00001.png")).unlink()
    with pytest.raises(OSError, match="is missing; "):
        evaluate(voi_set, {"telea": Telea()}, tmp_path / "out", QUIET)


def test_results_json_is_what_comes_back(voi_set: VoiSet, tmp_path: Path) -> None:
    results = evaluate(voi_set, {"telea": Telea()}, tmp_path, replace(QUIET, clips=1))
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8")) == results
    assert (tmp_path / "results.md").read_text(encoding="utf-8").startswith("# Results")
