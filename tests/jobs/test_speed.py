from __future__ import annotations

import json
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest
from av.error import FFmpegError
from typer.testing import CliRunner

from fakes.copies import COPIES
from fakes.tiny_model import save_model
from voin.cli import app as cli
from voin.core.errors import ValueRefusal
from voin.core.processes import apart
from voin.io.masks.source import open_masks
from voin.io.quality import parse_size
from voin.io.video import probe, read
from voin.jobs import speed as bench
from voin.jobs.speed import BenchConfig, busy_processes, make_clip, synthetic_frames

SMALL = BenchConfig(size=(96, 128), frames=10)


def test_the_clip_has_a_video_and_a_mask_a_frame(tmp_path: Path) -> None:
    make_clip(tmp_path, SMALL)
    info = probe(tmp_path / "video.mp4")
    assert (info.size, info.count) == (SMALL.size, SMALL.frames)
    masks = open_masks(tmp_path / "masks", info)
    expected = list(synthetic_frames(SMALL))
    for index, (frame, (picture, visible)) in enumerate(zip(read(info), expected, strict=True)):
        assert np.array_equal(masks.label(index) > 0, visible)
        assert np.abs(frame.astype(int) - picture.astype(int)).mean() < 12


@pytest.mark.parametrize(
    ("size", "share"), [((270, 480), 0.1), ((480, 270), 0.1), ((96, 128), 0.2), ((480, 160), 0.2), ((97, 65), 0.01)]
)
def test_the_object_has_its_share_and_passes_behind_the_bar(size: tuple[int, int], share: float) -> None:
    config = BenchConfig(size=size, frames=round(4 * size[1]), share=share)
    areas = [visible.mean() for _, visible in synthetic_frames(config)]
    assert max(areas) == pytest.approx(share, rel=0.15)
    assert min(areas) < 0.75 * max(areas)


def test_the_clip_is_the_same_each_time_and_moves() -> None:
    first, second = list(synthetic_frames(SMALL)), list(synthetic_frames(SMALL))
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(first, second, strict=True))
    assert not np.array_equal(first[0][1], first[-1][1])


def test_longer_clips_begin_as_shorter_ones() -> None:
    longer = BenchConfig(size=SMALL.size, frames=20)
    for (a, _), (b, _) in zip(synthetic_frames(SMALL), synthetic_frames(longer), strict=False):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(("text", "size"), [("1920x1080", (1080, 1920)), (" 640X360 ", (360, 640))])
def test_sizes_are_width_by_height(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "1920", "1920*1080", "x1080", "-3x4", "1920x1080x3"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write 1920x1080"):
        parse_size(text)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": (32, 64)}, "64x32"),
        ({"frames": 1}, "1 frames"),
        ({"share": 0.9}, "0.9"),
        ({"share": 0.0}, "0.0"),
        ({"beside": -1}, "-1"),
    ],
)
def test_a_clip_that_cannot_be_is_refused(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BenchConfig(**values)


def call(*words: str) -> tuple[int, str, str]:
    done = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(
        cli.app, ["bench", "--method", "classical", *words]
    )
    return done.exit_code, done.stdout, done.stderr


def test_it_measures_the_job_in_a_process_of_its_own() -> None:
    code, text, errors = call("--size", "128x96", "--frames", "10", "--json")
    assert code == 0, errors
    found = json.loads(text)
    assert (found["size"], found["frames"], found["flow"], found["share"]) == ("128x96", 10, "dis", 0.1)
    assert (found["method"], found["model"]) == ("classical", None)
    assert found["frames_per_second"] == pytest.approx(10 / found["seconds"])
    assert found["startup_seconds"] > 0
    assert found["startup_seconds"] < found["first_frame_seconds"] < found["startup_seconds"] + found["seconds"]
    assert 0 < found["limit_seconds"] < found["seconds"]
    assert {"masks", "motion", "propagation", "write"} <= set(found["stages"])
    assert all(seconds >= 0 for seconds in found["stages"].values())
    assert 50e6 < found["peak_memory"] < 4e9
    assert found["cores"] == os.cpu_count()
    assert found["voin"]
    assert found["beside"] is None
    assert found["functions"] is None


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes apart as copies of one that has loaded torch; spawned, as in the test above, each does so itself."""
    monkeypatch.setattr(apart, "SPAWN", COPIES)


def busy() -> list[int]:
    return [process.pid for process in multiprocessing.active_children() if process.name == "voin-busy" and process.pid]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_busy_processes_compute_until_the_end_of_the_measurement() -> None:
    def seconds(pid: int) -> float:
        text = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(text[11]) + int(text[12])) / os.sysconf("SC_CLK_TCK")

    with busy_processes(2):
        pids = busy()
        before = [seconds(pid) for pid in pids]
        until = time.monotonic() + 60
        while time.monotonic() < until and any(seconds(pid) < at + 0.1 for pid, at in zip(pids, before, strict=True)):
            time.sleep(0.05)
        assert time.monotonic() < until
    assert len(pids) == 2
    assert not busy()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_busy_processes_end_when_the_measurement_fails_or_is_stopped(error: type[BaseException]) -> None:
    def fail() -> None:
        with busy_processes(1):
            assert len(busy()) == 1
            raise error

    with pytest.raises(error):
        fail()
    assert not busy()


@pytest.mark.usefixtures("copied")
def test_it_measures_alone_and_then_beside_busy_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    apart, at_work = bench._run_apart, []
    monkeypatch.setattr(bench, "_run_apart", lambda *given: (at_work.append(len(busy())), apart(*given))[1])
    code, text, errors = call("--size", "128x96", "--frames", "6", "--beside", "2", "--json")
    assert code == 0, errors
    assert at_work == [0, 2]
    assert not busy()
    found = json.loads(text)
    beside = found["beside"]
    assert beside["processes"] == 2
    assert beside["frames_per_second"] == pytest.approx(6 / beside["seconds"])
    assert beside["ratio"] == pytest.approx(beside["frames_per_second"] / found["frames_per_second"])
    assert set(beside) - {"processes", "ratio"} == set(found) & set(beside)


def test_a_card_that_is_not_there_is_refused_before_a_clip_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise FFmpegError(1, "Operation not permitted")

    monkeypatch.setattr("voin.io.colour.hardware.HWAccel.create", fail, raising=False)
    monkeypatch.setattr(bench, "make_clip", lambda *given: pytest.fail("a clip was made"))
    code, _, errors = call("--size", "128x96", "--hwaccel", "cuda")
    assert code == 2
    assert "videos are to be decoded by cuda" in errors


@pytest.mark.usefixtures("copied")
def test_another_codec_is_measured_and_told() -> None:
    code, text, errors = call("--size", "128x96", "--frames", "4", "--method", "classical", "--codec", "ffv1", "--json")
    assert code == 0, errors
    found = json.loads(text)
    assert (found["codec"], found["hwaccel"]) == ("ffv1", "none")
    assert found["limit_seconds"] > 0


def test_it_prints_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        **{"method": "voin", "size": "128x96", "frames": 10, "flow": "dis", "share": 0.1, "device": "auto"},
        **{"seconds": 2.0, "cores": 2},
        **{"frames_per_second": 5.0, "stages": {"motion": 1.5, "write": 0.25}, "peak_memory": 800_000_000},
        **{"first_frame_seconds": 2.5, "limit_seconds": 0.5},
        "beside": {"processes": 2, "frames_per_second": 1.7, "ratio": 0.34},
        "functions": [{"function": "voin/a.py:3 fit[0]", "calls": 1200, "own_seconds": 0.5, "seconds": 1.25}],
    }
    monkeypatch.setattr(bench, "bench", lambda config, progress: found)
    code, text, _ = call("--size", "128x96", "--frames", "10")
    assert code == 0
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "motion 1.50 s 150.0 ms a frame" in lines
    assert "frames a second 5.0" in lines
    assert "beside others 1.7 0.34 of that, beside 2 busy programs" in lines
    assert "peak memory 800 MB of the job's process" in lines
    assert "voin/a.py:3 fit[0] 1,200 0.50 1.25" in lines


@pytest.mark.usefixtures("copied")
def test_a_profile_has_a_chart_of_the_stages_and_lists_the_functions(tmp_path: Path) -> None:
    chart = tmp_path / "trace.json"
    code, text, errors = call("--size", "128x96", "--frames", "6", "--json", "--beside", "1", "--profile", str(chart))
    assert code == 0, errors
    found = json.loads(text)
    spans = [event for event in json.loads(chart.read_text())["traceEvents"] if event.get("ph") == "X"]
    for stage in ("motion", "shape", "flow", "propagation", "fill"):
        seconds = sum(event["dur"] / 1e6 for event in spans if event["name"] == stage)
        assert seconds == pytest.approx(found["stages"][stage], rel=0.1, abs=0.02)
    assert any(event["name"].startswith("aten::") for event in spans)
    rows = found["functions"]
    assert any(row["function"].startswith("voin/core/diffuse.py:") for row in rows)
    assert all(row["calls"] > 0 and 0 <= row["own_seconds"] <= row["seconds"] + 1e-6 for row in rows)
    assert [row["own_seconds"] for row in rows] == sorted((row["own_seconds"] for row in rows), reverse=True)
    assert found["beside"]["functions"] is None


def test_a_profile_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    code, _, errors = call("--size", "128x96", "--frames", "4", "--profile", str(tmp_path / "absent" / "trace.json"))
    assert code == 2
    assert "its folder must be there" in errors


@pytest.mark.parametrize("words", [("--size", "big"), ("--frames", "0"), ("--share", "2"), ("--flow", "none")])
def test_wrong_options_are_refused(words: tuple[str, ...]) -> None:
    code, text, errors = call(*words)
    assert (code, text) == (2, "")
    assert errors


@pytest.mark.usefixtures("copied")
def test_it_measures_a_model(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model")
    code, text, errors = call("--size", "128x96", "--frames", "6", "--json", "--method", "voin", "--model", str(folder))
    assert code == 0, errors
    found = json.loads(text)
    assert (found["method"], found["model"]) == ("voin", str(folder))
    assert {"shape", "flow", "fill"} <= set(found["stages"])


@pytest.mark.usefixtures("copied")
def test_what_goes_wrong_in_the_measured_process_is_told_here() -> None:
    code, _, errors = call("--size", "128x96", "--frames", "4", "--flow", "raft-small", "--raft-weights", "absent.pt")
    assert code == 2
    assert "absent.pt" in errors


def test_no_busy_process_is_left_when_the_second_measurement_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(*_: object) -> dict[str, float]:
        if not busy():
            return {"frames_per_second": 5.0}
        raise ValueRefusal("it failed", "it must not", "try again")

    monkeypatch.setattr(bench, "_run_apart", measured)
    code, _, errors = call("--size", "128x96", "--frames", "4", "--beside", "1")
    assert code == 2
    assert "it failed" in errors
    assert not busy()
