from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, namedtuple
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fake_method import Fake, contents, expected, expected_label, labels, run, save_frames, save_labels
from video_clips import COUNT, SIZE, encode, packets, pictures, save, seconds_of
from voin import chunk_writer, crops
from voin.mask_files import open_masks
from voin.pictures import read_picture
from voin.video import Quality, VideoInfo, probe, read

ODD = (47, 61)


@pytest.fixture
def frames() -> list[np.ndarray]:
    return pictures()


@pytest.fixture
def folder(tmp_path: Path, frames: list[np.ndarray]) -> Path:
    return save_frames(tmp_path / "frames", frames)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    return save_labels(tmp_path / "masks", labels(COUNT, SIZE))


@pytest.fixture
def video(tmp_path: Path, frames: list[np.ndarray]) -> Path:
    return encode(tmp_path / "clip.mp4", frames, sound="aac")


def listing(place: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in place.rglob("*"))


def label_of(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as picture:
        assert picture.mode == "P"
        return np.asarray(picture)


# What comes out


@pytest.mark.parametrize("size", [SIZE, ODD])
@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_every_pixel_outside_what_is_hidden_is_the_inputs(
    tmp_path: Path, size: tuple[int, int], order: tuple[int, int]
) -> None:
    frames, maps = pictures(size=size), labels(COUNT, size, objects=2)
    video, masks = save_frames(tmp_path / "in", frames), save_labels(tmp_path / "masks", maps)
    run(video, masks, tmp_path / "out", order=order, chunk_frames=5, context_frames=2)
    for i in range(COUNT):
        completed = read_picture(tmp_path / "out" / "completed" / f"{i:05d}.png")
        assert (completed == expected(frames[i], maps[i], order)).all()
        assert (label_of(tmp_path / "out" / "amodal" / f"{i:05d}.png") == expected_label(maps[i], order)).all()


def test_the_lowest_id_lies_in_front_unless_told(tmp_path: Path, folder: Path, frames: list[np.ndarray]) -> None:
    maps = labels(COUNT, SIZE, objects=2)
    run(folder, save_labels(tmp_path / "two", maps), tmp_path / "out")
    completed = read_picture(tmp_path / "out" / "completed" / "00003.png")
    assert (completed == expected(frames[3], maps[3], (1, 2))).all()


def test_frames_in_which_nothing_is_hidden_come_out_equal(
    tmp_path: Path, folder: Path, frames: list[np.ndarray]
) -> None:
    maps = labels(COUNT, SIZE)
    for i in (0, 5, 11):
        maps[i][:] = 0
    run(folder, save_labels(tmp_path / "some", maps), tmp_path / "out")
    for i in (0, 5, 11):
        assert (read_picture(tmp_path / "out" / "completed" / f"{i:05d}.png") == frames[i]).all()


def test_a_video_keeps_frames_times_and_sound(tmp_path: Path, masks: Path, video: Path) -> None:
    run(video, masks, tmp_path / "out", chunk_frames=5)
    before, after = probe(video), probe(tmp_path / "out" / "completed.mp4")
    assert after.count == COUNT
    assert seconds_of(after) == seconds_of(before)
    assert [data for _, data in packets(tmp_path / "out" / "completed.mp4", "audio")] == [
        data for _, data in packets(video, "audio")
    ]
    assert not (tmp_path / "out" / "completed").exists()


def test_a_lossless_video_holds_what_the_pictures_hold(tmp_path: Path, masks: Path, video: Path) -> None:
    run(video, masks, tmp_path / "a", quality=Quality(lossless=True))
    run(video, masks, tmp_path / "b", png=True)
    for i, frame in enumerate(read(probe(tmp_path / "a" / "completed.mp4"))):
        assert (frame == read_picture(tmp_path / "b" / "completed" / f"{i:05d}.png")).all()


def test_files_are_named_as_the_frames_of_a_folder(tmp_path: Path, masks: Path, frames: list[np.ndarray]) -> None:
    names = [f"shot_{i}" for i in range(7, 7 + COUNT)]
    run(save_frames(tmp_path / "in", frames, names), masks, tmp_path / "out")
    for part in ("completed", "amodal", "object"):
        assert sorted(path.stem for path in (tmp_path / "out" / part).iterdir()) == sorted(names)


def test_a_range_keeps_the_numbers_of_the_source(tmp_path: Path, masks: Path, video: Path) -> None:
    record = run(video, masks, tmp_path / "out", start=3, end=8)
    assert sorted(path.name for path in (tmp_path / "out" / "amodal").iterdir()) == [
        f"{i:05d}.png" for i in range(3, 8)
    ]
    after = probe(tmp_path / "out" / "completed.mp4")
    assert (after.count, after.times[0]) == (5, 0)
    assert (record["start"], record["end"], len(record["objects"]["1"]["occluded"])) == (3, 8, 5)
    run(video, masks, tmp_path / "all", png=True)
    run(video, masks, tmp_path / "some", png=True, start=3, end=8)
    for i in range(3, 8):
        name = f"completed/{i:05d}.png"
        assert (tmp_path / "some" / name).read_bytes() == (tmp_path / "all" / name).read_bytes()


def test_a_layer_holds_the_object_and_nothing_else(tmp_path: Path, folder: Path, frames: list[np.ndarray]) -> None:
    maps = labels(COUNT, SIZE, objects=2)
    run(folder, save_labels(tmp_path / "two", maps), tmp_path / "out")
    for number in (1, 2):
        data = np.fromfile(tmp_path / "out" / "object" / str(number) / "00004.png", np.uint8)
        layer = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)
        alone = np.where(maps[4] == number, maps[4], 0)
        whole = expected_label(alone, (number,)) > 0
        assert (layer[..., 3] == 255 * whole).all()
        assert (layer[~whole] == 0).all()
        assert (layer[whole][:, :3] == expected(frames[4], alone, (number,))[whole]).all()


@pytest.mark.parametrize("layer", ["mov", "webm"])
def test_layers_can_be_videos(tmp_path: Path, masks: Path, folder: Path, layer: str) -> None:
    run(folder, masks, tmp_path / "out", layer=layer, chunk_frames=5, context_frames=2)
    assert probe(tmp_path / "out" / f"object.{layer}").count == COUNT
    assert not (tmp_path / "out" / "object").exists()


def test_layers_can_be_left_out(tmp_path: Path, masks: Path, folder: Path) -> None:
    run(folder, masks, tmp_path / "out", layer="none")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "amodal",
        "completed",
        "preview.png",
        "run.json",
    ]


def test_flow_is_written_where_asked(tmp_path: Path, masks: Path, folder: Path) -> None:
    run(folder, masks, tmp_path / "out", save_flow=True)
    with np.load(tmp_path / "out" / "flow" / "1" / "00004.npz") as flow:
        assert flow["forward"].dtype == np.float16
        assert (flow["forward"] == 1.5).all()
        assert (flow["backward"] == -1.5).all()
        x0, y0 = open_masks(masks, probe(folder)).boxes[0, 4][:2]
        assert (flow["left"], flow["top"]) == (x0 - 3, y0 - 3)
    with np.load(tmp_path / "out" / "flow" / "1" / f"{COUNT - 1:05d}.npz") as flow:
        assert "forward" not in flow
    assert (tmp_path / "out" / "flow" / "1" / "00004.png").exists()


def test_the_record_counts_what_came_out(tmp_path: Path, masks: Path, folder: Path) -> None:
    returned = run(folder, masks, tmp_path / "out", chunk_frames=5, context_frames=2, category="box")
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert returned == record | {"finished_before": False}
    lists = record["objects"]["1"]
    for i, label in enumerate(labels(COUNT, SIZE)):
        hidden = int((expected_label(label, (1,)) > 0).sum() - (label > 0).sum())
        assert lists["occluded"][i] == lists["propagated"][i] + lists["invented"][i] == hidden
        share = lists["propagated"][i] / hidden
        assert lists["confidence"][i] == pytest.approx(51 / 255 * share, abs=1e-3)
    assert record["totals"]["occluded"] == sum(lists["occluded"])
    assert record["seconds"]["motion"] == pytest.approx(0.25 * record["chunks"])
    assert record["request"]["options"]["category"] == "box"
    assert {"read", "write", "total", "cuts"} <= set(record["seconds"])
    assert record["peak_memory_bytes"] > 2**20
    assert {"voin", "torch", "opencv", "av", "python"} <= set(record["versions"])


def test_the_preview_has_a_row_each_for_input_masks_and_result(tmp_path: Path, masks: Path, folder: Path) -> None:
    run(folder, masks, tmp_path / "out", chunk_frames=3, context_frames=1)
    sheet = read_picture(tmp_path / "out" / "preview.png")
    assert sheet.shape[0] > 3 * 32
    assert sheet.shape[1] > 6 * 32


def test_amodal_masks_and_occluders_reach_the_method(tmp_path: Path, masks: Path, folder: Path) -> None:
    maps = labels(COUNT, SIZE)
    whole = save_labels(tmp_path / "whole", [cv2.dilate(each, np.ones((1, 9), np.uint8)) for each in maps])
    front = save_labels(tmp_path / "front", [np.where(each > 0, 0, 7).astype(np.uint8) for each in maps])
    method = Fake()
    run(folder, masks, tmp_path / "out", method, amodal=whole, occluder=front, category="dog")
    assert method.given == [{"category": "dog", "amodal": True, "occluder": True}]
    assert (label_of(tmp_path / "out" / "amodal" / "00002.png") == label_of(whole / "00002.png")).all()


def test_only_some_objects_can_be_chosen(tmp_path: Path, folder: Path) -> None:
    record = run(folder, save_labels(tmp_path / "two", labels(COUNT, SIZE, objects=2)), tmp_path / "out", ids=(2,))
    assert list(record["objects"]) == ["2"]
    assert set(np.unique(label_of(tmp_path / "out" / "amodal" / "00003.png"))) == {0, 2}


# Shots and chunks


def test_chunks_leave_no_trace_in_the_output(tmp_path: Path, masks: Path, folder: Path) -> None:
    run(folder, masks, tmp_path / "whole")
    run(folder, masks, tmp_path / "parts", chunk_frames=2, context_frames=1)
    whole, parts = contents(tmp_path / "whole"), contents(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert [name for name in whole if whole[name] != parts[name] and name != "preview.png"] == []


def test_cuts_are_found_and_no_clip_crosses_one(tmp_path: Path) -> None:
    dark, light = pictures(6), [255 - (frame // 4) for frame in pictures(6, seed=1)]
    folder = save_frames(tmp_path / "in", [frame // 4 for frame in dark] + light)
    method = Fake()
    record = run(folder, save_labels(tmp_path / "masks", labels(12, SIZE)), tmp_path / "out", method)
    assert record["cuts"] == [6]
    assert record["shots"] == [[0, 6], [6, 12]]
    assert method.clips == [(6, range(6)), (6, range(6))]


def test_cuts_can_come_from_a_file_or_be_none(tmp_path: Path, masks: Path, folder: Path) -> None:
    (tmp_path / "cuts.txt").write_text("2, 5 9\n")
    assert run(folder, masks, tmp_path / "a", cuts=tmp_path / "cuts.txt")["cuts"] == [2, 5, 9]
    assert run(folder, masks, tmp_path / "b", cuts=tmp_path / "cuts.txt", start=2, end=6)["cuts"] == [5]
    assert run(folder, masks, tmp_path / "c", cuts="none")["cuts"] == []


def test_objects_are_left_alone_in_shots_without_them(tmp_path: Path, folder: Path, frames: list[np.ndarray]) -> None:
    maps = labels(COUNT, SIZE)
    for label in maps[4:8]:
        label[:] = 0
    (tmp_path / "cuts.txt").write_text("4 8")
    method = Fake()
    run(folder, save_labels(tmp_path / "some", maps), tmp_path / "out", method, cuts=tmp_path / "cuts.txt")
    assert len(method.clips) == 2
    for i in range(4, 8):
        assert (read_picture(tmp_path / "out" / "completed" / f"{i:05d}.png") == frames[i]).all()


def test_memory_does_not_grow_with_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live, most = Counter[str](), Counter[str]()

    class Counted(crops.Crop):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            live["crops"] += 1
            most["crops"] = max(most["crops"], live["crops"])

        def __del__(self) -> None:
            live["crops"] -= 1

    monkeypatch.setattr(crops, "Crop", Counted)
    for count in (24, 72):
        most.clear()
        folder = save_frames(tmp_path / f"in{count}", pictures(count, (32, 32)))
        masks = save_labels(tmp_path / f"masks{count}", [labels(1, (32, 32))[0]] * count)
        run(folder, masks, tmp_path / f"out{count}", chunk_frames=4, context_frames=2)
        assert live["crops"] == 0
        assert most["crops"] <= 4 + 2 * 2 + 4 // 2 + 1 + 2


# Going on


def test_a_failed_run_goes_on_with_the_first_unfinished_chunk(tmp_path: Path, masks: Path, video: Path) -> None:
    options: dict[str, Any] = {"png": True, "chunk_frames": 3, "context_frames": 2, "save_flow": True, "layer": "mov"}
    run(video, masks, tmp_path / "whole", **options)
    for fail_at in range(4):
        out = tmp_path / f"out{fail_at}"
        with pytest.raises(RuntimeError, match="on purpose"):
            run(video, masks, out, Fake(fail_at), **options)
        finished = len(list((out / ".voin" / "parts").glob("*.json")))
        assert finished <= fail_at
        method = Fake()
        record = run(video, masks, out, method, **options)
        assert len(method.clips) == 4 - finished
        assert not (out / ".voin").exists()
        assert record["seconds"]["motion"] == pytest.approx(1.0)
        whole, parts = contents(tmp_path / "whole"), contents(out)
        assert [name for name in whole | parts if whole.get(name) != parts.get(name) and name != "object.mov"] == []
        assert probe(out / "object.mov").count == COUNT


def test_chunks_whose_files_were_lost_are_made_again(tmp_path: Path, masks: Path, folder: Path) -> None:
    options: dict[str, Any] = {"chunk_frames": 3, "context_frames": 2}
    with pytest.raises(RuntimeError):
        run(folder, masks, tmp_path / "out", Fake(3), **options)
    _wait_for(lambda: not [thread for thread in threading.enumerate() if thread.name in ("read", "write")])
    (tmp_path / "out" / "completed" / "00001.png").unlink(missing_ok=True)
    run(folder, masks, tmp_path / "out", **options)
    run(folder, masks, tmp_path / "whole", **options)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def _wait_for(condition: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


SLOW_RUN = """
import sys, time
from pathlib import Path
from fake_method import Fake, run
class Slow(Fake):
    def __call__(self, *arguments, **options):
        time.sleep(0.3)
        return super().__call__(*arguments, **options)
run(*map(Path, sys.argv[1:4]), Slow(), chunk_frames=2, context_frames=1)
"""


def _slow_run(video: Path, masks: Path, out: Path) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(chunk_writer.__file__).parents[1])])
    return subprocess.Popen(
        [sys.executable, "-c", SLOW_RUN, str(video), str(masks), str(out)],
        env={**os.environ, "PYTHONPATH": paths},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_happened(
    tmp_path: Path, masks: Path, folder: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    with _slow_run(folder, masks, out) as process:
        _wait_for(lambda: (out / ".voin" / "parts" / "00001.json").exists())
        process.send_signal(number)
        began = time.monotonic()
        process.wait(timeout=10)
        assert time.monotonic() - began < 3
        assert process.returncode != 0
    assert (out / ".voin" / "parts" / "00001.json").exists()
    method = Fake()
    record = run(folder, masks, out, method, chunk_frames=2, context_frames=1)
    assert 1 <= len(method.clips) <= 4
    run(folder, masks, tmp_path / "whole", chunk_frames=2, context_frames=1)
    assert contents(out) == contents(tmp_path / "whole")
    assert len(record["objects"]["1"]["occluded"]) == COUNT


def test_an_interrupt_stops_all_threads(tmp_path: Path, masks: Path, folder: Path) -> None:
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run(folder, masks, tmp_path / "out", Fake(2, KeyboardInterrupt()), chunk_frames=3, context_frames=0)
    assert threading.active_count() == before
    assert not (tmp_path / "out" / "run.json").exists()


def test_a_finished_run_is_not_repeated(tmp_path: Path, masks: Path, folder: Path) -> None:
    first = run(folder, masks, tmp_path / "out")
    before, method = listing(tmp_path / "out"), Fake()
    again = run(folder, masks, tmp_path / "out", method)
    assert method.clips == []
    assert again == first | {"finished_before": True}
    assert listing(tmp_path / "out") == before
    assert run(folder, masks, tmp_path / "out", method, overwrite=True)["finished_before"] is False
    assert len(method.clips) == 1


def test_a_finished_run_that_lost_a_file_is_made_again(tmp_path: Path, masks: Path, folder: Path) -> None:
    run(folder, masks, tmp_path / "out")
    (tmp_path / "out" / "amodal" / "00003.png").unlink()
    assert run(folder, masks, tmp_path / "out")["finished_before"] is False
    assert (tmp_path / "out" / "amodal" / "00003.png").exists()


# Folders


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"layer": "none"}, "options.layer"),
        ({"start": 1}, "frames"),
        ({"settings": {"method": "other"}}, "settings.method"),
        ({"cuts": "none"}, "cuts"),
    ],
)
def test_another_run_is_refused_and_stays(
    tmp_path: Path, masks: Path, folder: Path, change: dict[str, Any], named: str
) -> None:
    run(folder, masks, tmp_path / "out")
    before = listing(tmp_path / "out")
    with pytest.raises(OSError, match=f"holds another run .*{named}.*--overwrite"):
        run(folder, masks, tmp_path / "out", **change)
    assert listing(tmp_path / "out") == before
    run(folder, masks, tmp_path / "out", overwrite=True, **change)
    run(folder, masks, tmp_path / "fresh", **change)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_input_that_changed_makes_another_run(tmp_path: Path, masks: Path, folder: Path) -> None:
    run(folder, masks, tmp_path / "out")
    os.utime(masks / "00000.png", (1, 1))
    with pytest.raises(OSError, match=r"masks\.version"):
        run(folder, masks, tmp_path / "out")


def test_an_unfinished_run_is_another_run_too(tmp_path: Path, masks: Path, folder: Path) -> None:
    with pytest.raises(RuntimeError):
        run(folder, masks, tmp_path / "out", Fake(2), chunk_frames=3)
    with pytest.raises(OSError, match="holds another run"):
        run(folder, masks, tmp_path / "out", chunk_frames=4)
    run(folder, masks, tmp_path / "out", chunk_frames=4, overwrite=True)
    run(folder, masks, tmp_path / "whole", chunk_frames=4)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_overwriting_removes_only_what_runs_have_written(tmp_path: Path, masks: Path, video: Path) -> None:
    out = tmp_path / "out"
    run(video, masks, out, png=True, save_flow=True)
    for name in ("notes.txt", "completed/notes.txt", "object/99999.png"):
        (out / name).write_text("mine")
    run(video, masks, out, layer="none", overwrite=True, start=2)
    left = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert left == sorted(
        [
            *(f"amodal/{i:05d}.png" for i in range(2, COUNT)),
            *("completed.mp4", "completed/notes.txt", "notes.txt", "object/99999.png", "preview.png", "run.json"),
        ]
    )
    assert not (out / "flow").exists()


def test_files_of_others_are_never_overwritten(tmp_path: Path, masks: Path, folder: Path) -> None:
    (tmp_path / "out" / "amodal").mkdir(parents=True)
    (tmp_path / "out" / "amodal" / "00003.png").write_text("mine")
    for overwrite in (False, True):
        before = listing(tmp_path / "out")
        with pytest.raises(OSError, match="holds amodal.*which no run recorded there has written"):
            run(folder, masks, tmp_path / "out", overwrite=overwrite)
        assert listing(tmp_path / "out") == before
    (tmp_path / "out" / "amodal" / "00003.png").rename(tmp_path / "out" / "amodal" / "mine.png")
    run(folder, masks, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "amodal" / "mine.png").read_text() == "mine"


def test_a_record_cannot_make_a_run_remove_files_elsewhere(tmp_path: Path, masks: Path, folder: Path) -> None:
    (tmp_path / "precious.png").write_text("mine")
    (tmp_path / "out").mkdir()
    layout = {"names": ["../../precious"], "ids": [1], "png": True, "layer": "png", "flow": False}
    (tmp_path / "out" / "run.json").write_text(json.dumps({"request": {}, "layout": layout}))
    with pytest.raises(OSError, match=r"holds run\.json"):
        run(folder, masks, tmp_path / "out", overwrite=True)
    assert (tmp_path / "precious.png").exists()


@pytest.mark.parametrize("place", ["frames", "masks"])
def test_output_never_goes_where_input_lies(tmp_path: Path, masks: Path, folder: Path, place: str) -> None:
    with pytest.raises(ValueError, match="is input"):
        run(folder, masks, tmp_path / place)
    (tmp_path / "out").mkdir()
    masks.rename(tmp_path / "out" / "amodal")
    with pytest.raises(ValueError, match="is input"):
        run(folder, tmp_path / "out" / "amodal", tmp_path / "out", overwrite=True)


def test_output_may_go_beside_the_input(tmp_path: Path, masks: Path, folder: Path) -> None:
    run(folder, masks, tmp_path)
    assert (tmp_path / "run.json").exists()
    assert (tmp_path / "masks" / "00000.png").exists()


# Refusals


def refusal(match: str, tmp_path: Path, *arguments: Any, kind: type[Exception] = ValueError, **options: Any) -> None:
    before, method = listing(tmp_path), Fake()
    with pytest.raises(kind, match=match) as caught:
        run(*arguments, tmp_path / "deep" / "out", method, **options)
    assert str(caught.value).count(";") >= 1, "an error says what it is, and what to do"
    assert listing(tmp_path) == before
    assert method.clips == []


def test_bad_input_is_refused_and_nothing_is_written(tmp_path: Path, masks: Path, folder: Path) -> None:
    small = save_frames(tmp_path / "small", pictures(size=(31, 64)))
    wide = save_labels(tmp_path / "wide", labels(COUNT, (48, 60)))
    empty = save_labels(tmp_path / "empty", [np.zeros(SIZE, np.uint8)] * COUNT)
    late = save_labels(tmp_path / "late", [np.zeros(SIZE, np.uint8)] * 6 + labels(6, SIZE))
    few = save_labels(tmp_path / "few", labels(COUNT + 1, SIZE))
    refusal("at least 32x32", tmp_path, small, masks)
    refusal("--resize-masks", tmp_path, folder, wide)
    refusal("no object in any frame", tmp_path, folder, empty)
    refusal("no object in the frames 0 to 6", tmp_path, folder, late, end=6)
    refusal("no object 1 in the frames 0 to 6", tmp_path, folder, late, end=6, ids=(1,))
    refusal("13 masks for a video of 12 frames", tmp_path, folder, few)
    refusal("no object 3", tmp_path, folder, masks, ids=(1, 3))
    refusal("the order is 1, 2 for the objects 1;", tmp_path, folder, masks, order=(1, 2))
    refusal("frames 5 to 5", tmp_path, folder, masks, start=5, end=5)
    refusal("frames 0 to 99", tmp_path, folder, masks, end=99)
    refusal("does not exist", tmp_path, tmp_path / "absent.mp4", masks, kind=OSError)
    refusal("does not exist", tmp_path, folder, tmp_path / "absent", kind=OSError)


def test_whole_masks_must_show_the_same_objects(tmp_path: Path, masks: Path, folder: Path) -> None:
    other = save_labels(tmp_path / "other", [2 * label for label in labels(COUNT, SIZE)])
    refusal("no object 1", tmp_path, folder, masks, amodal=other)


@pytest.mark.parametrize("options", [{"layer": "gif"}, {"absent": "no"}, {"ids": (1, 1)}, {"chunk_frames": 0}])
def test_bad_options_are_refused(tmp_path: Path, masks: Path, folder: Path, options: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        run(folder, masks, tmp_path / "out", **options)


def test_too_little_room_is_refused(tmp_path: Path, masks: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**6, 10**6 - 1000, 1000))
    refusal("room for 0.0 MB; the output needs about 0.2 MB", tmp_path, folder, masks, kind=OSError)


def test_a_file_is_no_output_folder(tmp_path: Path, masks: Path, folder: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OSError, match="is a file"):
        run(folder, masks, tmp_path / "out")


def test_a_broken_frame_is_refused_first_and_can_be_skipped(
    tmp_path: Path, masks: Path, folder: Path, frames: list[np.ndarray]
) -> None:
    data = (folder / "00006.png").read_bytes()
    (folder / "00006.png").write_bytes(data[: len(data) // 2])
    refusal("frame 6", tmp_path, folder, masks, kind=OSError)
    record = run(folder, masks, tmp_path / "out", skip_broken=True, chunk_frames=4, context_frames=4)
    assert record["broken"] == [6]
    completed = read_picture(tmp_path / "out" / "completed" / "00006.png")
    assert (completed == expected(frames[5], labels(COUNT, SIZE)[6], (1,))).all()


def test_errors_while_reading_and_writing_surface(
    tmp_path: Path, masks: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (folder / "00006.png").read_bytes()
    (folder / "00006.png").write_bytes(data[: len(data) // 2])
    before = threading.active_count()
    with pytest.raises(OSError, match="frame 6"):
        run(folder, masks, tmp_path / "a", cuts="none", chunk_frames=2, context_frames=0)
    (folder / "00006.png").write_bytes(data)
    os.utime(folder / "00006.png", (1, 1))

    def full(path: Path, array: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(chunk_writer, "write_image", full)
    with pytest.raises(OSError, match="No space"):
        run(folder, masks, tmp_path / "b", chunk_frames=2, context_frames=0)
    assert threading.active_count() == before


def test_progress_tells_of_every_stage(tmp_path: Path, masks: Path, folder: Path) -> None:
    class Told:
        def __init__(self) -> None:
            self.totals: dict[str, int] = {}
            self.done = Counter[str]()

        def stage(self, name: str, total: int) -> None:
            self.totals[name] = total

        def advance(self, name: str, count: int = 1) -> None:
            self.done[name] += count

    told = Told()
    run(folder, masks, tmp_path / "out", progress=told, chunk_frames=5)
    assert told.totals == dict(told.done) == dict.fromkeys(("masks", "cuts", "complete", "write"), COUNT)


def test_variable_frame_times_are_kept(tmp_path: Path, masks: Path, frames: list[np.ndarray]) -> None:
    from video_clips import described

    times = [0, 3, 4, 9, 10, 11, 20, 22, 23, 24, 30, 31]
    info: VideoInfo = described(times=times, time_base=Fraction(1, 100))
    video = save(tmp_path / "in.mp4", frames, info)
    run(video, masks, tmp_path / "out", chunk_frames=5)
    assert seconds_of(probe(tmp_path / "out" / "completed.mp4")) == [Fraction(time, 100) for time in times]
