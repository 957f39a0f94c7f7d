from __future__ import annotations

import csv
import inspect
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fakes.fake_method import Fake, contents, labels, listing, save_frames, save_labels
from fakes.told import Told
from scenes.video_clips import SIZE, pictures
from voin.cli import app as cli
from voin.core.processes import pool
from voin.io.quality import Quality
from voin.jobs import batch as jobs
from voin.jobs.batch import SUMMARY, TABLE, batch, read_pattern, read_table
from voin.jobs.options import CompleteOptions, MethodOptions, PromptOptions

COUNT = 4
CLASSICAL = MethodOptions(method="classical")
PLAIN = CompleteOptions(cuts="none")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Three clips, of which one has masks of another size."""
    for name, size in (("a", SIZE), ("b", SIZE), ("wrong", (SIZE[0] + 8, SIZE[1]))):
        save_frames(tmp_path / name / "frames", pictures(COUNT, SIZE))
        save_labels(tmp_path / name / "masks", labels(COUNT, size))
    return tmp_path


def table_of(folder: Path, *rows: str) -> Path:
    path = folder / "clips.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def names_of(folder: Path) -> Path:
    return table_of(folder, "name,video,masks", *(f"{name},{name}/frames,{name}/masks" for name in ("a", "wrong", "b")))


# The work


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips are completed by a method that takes no time."""
    monkeypatch.setattr(jobs, "_load", lambda method: Fake())


def test_every_clip_is_done_or_says_why_not(clips: Path) -> None:
    told, out = Told(), clips / "out"
    found = batch(read_table(names_of(clips), PLAIN), out, CLASSICAL, workers=2, progress=told)
    assert [outcome["state"] for outcome in found.values()] == ["done", "refused", "done"]
    assert told.totals == told.done == {"batch": 3}
    (line,) = told.notes
    assert line.startswith("wrong refused: ")
    assert len(found["wrong"]["why"]) == 3
    for name in ("a", "b"):
        record = json.loads((out / name / "run.json").read_text())
        assert found[name]["frames"] == COUNT
        assert found[name]["hidden_pixels"] == record["totals"]["occluded"]
    assert not (out / "wrong").exists()
    rows = list(csv.DictReader((out / TABLE).open(encoding="utf-8")))
    assert [row["state"] for row in rows] == ["done", "refused", "done"]
    assert "masks must have the video's size" in rows[1]["why"]
    assert float(rows[0]["seconds"]) > 0


@pytest.mark.usefixtures("fake")
def test_a_second_batch_does_nothing_again_but_what_it_is_told_to(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, out, done = names_of(clips), clips / "out", []
    first = batch(read_table(table, PLAIN), out, CLASSICAL)
    before = listing(out / "a")

    def counted(*given: Any, _run=jobs.complete, **more: Any) -> Any:
        done.append(given[2].name)
        return _run(*given, **more)

    monkeypatch.setattr(jobs, "complete", counted)
    again = batch(read_table(table, PLAIN), out, CLASSICAL)
    assert again == first
    assert done == ["a", "b"]  # each looks whether it is finished; what was refused is not tried again
    assert listing(out / "a") == before
    shutil.rmtree(clips / "wrong" / "masks")
    save_labels(clips / "wrong" / "masks", labels(COUNT, SIZE))
    retried = batch(read_table(table, PLAIN), out, CLASSICAL, retry_failed=True)
    assert [outcome["state"] for outcome in retried.values()] == ["done"] * 3
    assert (out / "wrong" / "run.json").exists()


@pytest.mark.usefixtures("fake")
def test_a_clip_that_is_asked_for_otherwise_is_tried_again_by_itself(clips: Path) -> None:
    out = clips / "out"
    batch(read_table(names_of(clips), PLAIN), out, CLASSICAL)
    found = batch(
        read_table(names_of(clips), CompleteOptions(cuts="none", resize_masks=True)), clips / "other", CLASSICAL
    )
    assert found["wrong"]["state"] == "done"
    only = table_of(clips, "video,masks,name,resize-masks", "wrong/frames,wrong/masks,wrong,yes")
    assert batch(read_table(only, PLAIN), out, CLASSICAL)["wrong"]["state"] == "done"
    assert json.loads((out / SUMMARY).read_text()).keys() == {"a", "b", "wrong"}


@pytest.mark.usefixtures("fake")
def test_a_batch_that_was_stopped_goes_on(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, out, done = names_of(clips), clips / "out", []

    def stopped(*given: Any, _run=jobs.complete, **more: Any) -> Any:
        done.append(given[2].name)
        if len(done) == 3:
            raise KeyboardInterrupt
        return _run(*given, **more)

    monkeypatch.setattr(jobs, "complete", stopped)
    with pytest.raises(KeyboardInterrupt):
        batch(read_table(table, PLAIN), out, CLASSICAL)
    assert json.loads((out / SUMMARY).read_text()).keys() == {"a", "wrong"}
    found = batch(read_table(table, PLAIN), out, CLASSICAL)
    assert [outcome["state"] for outcome in found.values()] == ["done", "refused", "done"]


@pytest.mark.usefixtures("fake")
def test_a_fault_in_one_clip_stops_no_other(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(video: Path, *given: Any, _run=jobs.complete, **more: Any) -> Any:
        if video.parent.name == "a":
            raise KeyError("on purpose")
        return _run(video, *given, **more)

    monkeypatch.setattr(jobs, "complete", broken)
    found = batch(read_table(names_of(clips), PLAIN), clips / "out", CLASSICAL)
    assert [outcome["state"] for outcome in found.values()] == ["failed", "refused", "done"]
    assert found["a"]["why"][0] == "KeyError: 'on purpose'"
    assert "Traceback" in found["a"]["why"][1]


@pytest.mark.usefixtures("fake")
def test_a_damaged_summary_counts_as_none(clips: Path) -> None:
    out = clips / "out"
    out.mkdir()
    for content in ("{", '{"a": 1}', '{"a": {"state": "done"}}', "[]"):
        (out / SUMMARY).write_text(content)
        found = batch(read_table(names_of(clips), PLAIN), out, CLASSICAL)
        assert found["a"]["state"] == "done"


def test_the_command_says_what_became_of_each_clip(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clips)
    words = ["-o", "out", "--method", "classical", "--cuts", "none"]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, ["batch", str(names_of(clips)), *words])
    assert done.exit_code == 2
    assert done.stdout.splitlines()[-1] == "out: 3 clips, 2 done, 1 refused; summary.csv lists them"
    assert "--retry-failed" in done.stderr
    done = CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, ["batch", str(names_of(clips)), *words, "--quiet"])
    said = "out/summary.csv says why; mend that, then run the command again with --retry-failed\n"
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", said)
    only = ["batch", "*/frames", "--masks", "*/masks", *words[:1], "found", *words[2:]]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, [*only, "--resize-masks"])
    assert (done.exit_code, done.stdout) == (0, "found: 3 clips, 3 done; summary.csv lists them\n")
    done = CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, ["batch", "clips.csv", "--box", "1,2,9,9", *words])
    assert done.exit_code == 2
    assert "each clip has its own" in done.stderr


def test_without_ray_a_cluster_is_refused_before_anything_is_written(
    clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install \"voin\[ray\]\""):
        batch(read_table(names_of(clips), PLAIN), clips / "out", CLASSICAL, ray="local")
    assert not (clips / "out").exists()


class PlainRay:
    """As strict as Ray with what it is given to do; everything happens here, when it is asked for."""

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def put(self, value: Any) -> Any:
        return pickle.loads(pickle.dumps(value))

    def remote(self, **resources: Any) -> Any:
        def take(work: Any) -> Any:
            assert inspect.isfunction(work) or inspect.isclass(work), "Ray takes functions and classes alone"
            return SimpleNamespace(remote=lambda *given: (work, given))

        return take

    def wait(self, running: list[Any], **asked: Any) -> tuple[list[Any], list[Any]]:
        return running[:1], running[1:]

    def get(self, task: Any) -> Any:
        work, given = task
        return work(*given)


@pytest.mark.usefixtures("fake")
def test_ray_is_given_functions_and_each_clip_once(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = SimpleNamespace(RayError=OSError, RayTaskError=ValueError)
    monkeypatch.setattr(pool, "find_spec", lambda name: object())
    monkeypatch.setattr(pool, "import_module", {"ray": PlainRay(), "ray.exceptions": failed}.__getitem__)
    found = batch(read_table(names_of(clips), PLAIN), clips / "out", CLASSICAL, ray="auto")
    assert [outcome["state"] for outcome in found.values()] == ["done", "refused", "done"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a real Ray cluster on this machine: two nodes of one worker each."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing leaves the machine
    pytest.importorskip("ray")
    # By name: type checkers know it only where the extra is installed.
    made: Any = import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    made.add_node(num_cpus=1)
    yield made.address
    made.shutdown()


@pytest.mark.slow
def test_a_ray_cluster_gives_the_same_and_tries_again_what_was_refused(clips: Path, cluster: str) -> None:
    here = batch(read_table(names_of(clips), PLAIN), clips / "here", CLASSICAL)
    there = batch(read_table(names_of(clips), PLAIN), clips / "there", CLASSICAL, ray=cluster)
    assert list(there) == list(here) == ["a", "wrong", "b"]
    assert {name: outcome["state"] for name, outcome in there.items()} == {n: o["state"] for n, o in here.items()}
    assert there["wrong"]["why"] == here["wrong"]["why"]
    assert contents(clips / "here" / "a") == contents(clips / "there" / "a")
    assert (clips / "there" / TABLE).read_text().splitlines()[2].startswith("wrong,refused,0,0,")

    shutil.rmtree(clips / "wrong" / "masks")
    save_labels(clips / "wrong" / "masks", labels(COUNT, SIZE))
    told = Told()
    again = {"ray": cluster, "retry_failed": True, "progress": told}
    found = batch(read_table(names_of(clips), PLAIN), clips / "there", CLASSICAL, **again)
    assert {outcome["state"] for outcome in found.values()} == {"done"}
    assert told.totals == {"batch": 3}
    assert told.done == {"batch": 3}


# The table


def test_columns_are_options_and_empty_fields_leave_them(tmp_path: Path) -> None:
    path = table_of(tmp_path, "video;masks;name;start;order;png;layer;crf;occluder;cuts;track-between;certain_box")
    path.write_text(
        "video;masks;name;start;order;png;layer;crf;occluder;cuts;track_between;box;point\n"
        "v.mp4;m;first;3;2,1;yes;mov;20;front;cuts.txt;no;;\n"
        "w.mp4;;;;;;;;;none;;1,2,30,40;5,6 7,8\n",
        encoding="utf-8-sig",
    )
    base = CompleteOptions(save_flow=True, quality=Quality(crf=11, lossless=False))
    first, second = read_table(path, base)
    assert (first.name, first.video, first.masks) == ("first", tmp_path / "v.mp4", tmp_path / "m")
    options = first.options
    assert (options.start, options.order, options.png, options.layer) == (3, (2, 1), True, "mov")
    assert (options.quality.crf, options.occluder, options.cuts) == (20, tmp_path / "front", tmp_path / "cuts.txt")
    assert (options.track_between, options.save_flow) == (False, True)
    assert (second.name, second.masks, second.options.cuts) == ("w", None, "none")
    assert (second.options.quality.crf, second.options.start, second.options.track_between) == (11, 0, None)
    assert (second.marked.box, second.marked.point) == ("1,2,30,40", ["5,6", "7,8"])


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    path = tmp_path / "clips.jsonl"
    path.write_text(
        '{"video": "v.mp4", "order": [2, 1], "png": true, "start": 3, "point": ["1,2"]}\n\n{"video": "w.mp4"}\n'
    )
    first, second = read_table(path, PLAIN)
    assert (first.options.order, first.options.png, first.options.start) == ((2, 1), True, 3)
    assert first.marked.point == ["1,2"]
    assert second.options == PLAIN


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["video,colour", "a.mp4,red"], r"line 2: there is no column 'colour'; it must be video, masks, name"),
        (["masks", "m"], r"line 2: there is no video"),
        (["video,start", "a.mp4,soon"], r"line 2: start is 'soon'; it must be a number"),
        (["video,layer", "a.mp4,gif"], r"line 2: layer is 'gif'; it must be png, mov, webm, exr, none"),
        (["video,png", "a.mp4,perhaps"], r"line 2: png is 'perhaps'; it must be yes or no"),
        (["video,ids", "a.mp4,one"], r"line 2: --ids is 'one'; it must be whole numbers"),
        (["video,crf", "a.mp4,99"], r"line 2: crf is 99"),
        (["video,masks", "a.mp4"], r"line 2 has another number of fields"),
        (["video", "a/v.mp4", "b/v.mp4"], r"has 2 clips of the name v; .*column `name`"),
        (["video,name", "a.mp4,../x"], r"has a clip of the name '../x'"),
        (["video,name", "a.mp4,.x"], r"has a clip of the name '.x'"),
        (["video"], r"has no clip"),
        (['{"video": "a.mp4"', ""], r"line 1 is not JSON"),
        (['{"video": "a.mp4"}', "[1]"], r"line 2 is no object"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_table(table_of(tmp_path, *rows), PLAIN)


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.csv").write_bytes(np.random.default_rng(0).bytes(400))
    for path in (tmp_path / "absent.csv", tmp_path, tmp_path / "picture.csv"):
        with pytest.raises((OSError, ValueError)):
            read_table(path, PLAIN)


def test_a_pattern_finds_clips_with_their_masks(tmp_path: Path) -> None:
    for name in ("a one", "b"):
        (tmp_path / name / "take 2").mkdir(parents=True)
        (tmp_path / name / "take 2" / "film.x.mp4").touch()
    found = read_pattern(f"{tmp_path}/*/*/film.*.mp4", f"{tmp_path}/masks/*-*", PLAIN, PromptOptions())
    assert [clip.name for clip in found] == ["a-one-take-2-x", "b-take-2-x"]
    assert [clip.masks for clip in found] == [tmp_path / "masks" / "a one-take 2", tmp_path / "masks" / "b-take 2"]
    with pytest.raises(OSError, match="finds no file or folder"):
        read_pattern(f"{tmp_path}/*.mov", None, PLAIN, PromptOptions())
    with pytest.raises(ValueError, match="has 2 stars"):
        read_pattern(f"{tmp_path}/*", "*/*", PLAIN, PromptOptions())
