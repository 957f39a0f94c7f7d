from __future__ import annotations

import json
import os
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.fake_method import Fake, contents, expected, labels, listing, run, save_frames, save_labels
from scenes.video_clips import COUNT, SIZE, pictures
from voin.io.images import read_picture


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
    run(video, masks, out, png=True, save_flow=True, save_confidence=True)
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
    assert not (out / "confidence").exists()


def test_files_of_others_are_never_overwritten(tmp_path: Path, masks: Path, folder: Path) -> None:
    (tmp_path / "out" / "amodal").mkdir(parents=True)
    (tmp_path / "out" / "amodal" / "00003.png").write_text("mine")
    for overwrite in (False, True):
        before = listing(tmp_path / "out")
        with pytest.raises(OSError, match=r"holds amodal.*which no run recorded there has written"):
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


def refusal(
    match: str, tmp_path: Path, video: Path, masks: Path, kind: type[Exception] = ValueError, **options: Any
) -> None:
    before, method = listing(tmp_path), Fake()
    with pytest.raises(kind, match=match) as caught:
        run(video, masks, tmp_path / "deep" / "out", method, **options)
    assert str(caught.value).count(";") >= 1, "an error says what it is, and what to do"
    assert listing(tmp_path) == before
    assert method.clips == []


def test_bad_input_is_refused_and_nothing_is_written(tmp_path: Path, masks: Path, folder: Path) -> None:
    small = save_frames(tmp_path / "small", pictures(size=(31, 64)))
    wide = save_labels(tmp_path / "wide", labels(COUNT, (48, 60)))
    empty = save_labels(tmp_path / "empty", [np.zeros(SIZE, np.uint8)] * COUNT)
    late = save_labels(tmp_path / "late", [np.zeros(SIZE, np.uint8)] * 6 + labels(6, SIZE))
    many = save_labels(tmp_path / "many", labels(COUNT + 2, SIZE))
    refusal("at least 32x32", tmp_path, small, masks)
    refusal("--resize-masks", tmp_path, folder, wide)
    refusal("no object in any frame", tmp_path, folder, empty)
    refusal("no object in the frames 0 to 6", tmp_path, folder, late, end=6)
    refusal("no object 1 in the frames 0 to 6", tmp_path, folder, late, end=6, ids=(1,))
    refusal("14 masks for a video of 12 frames", tmp_path, folder, many)
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


def test_a_broken_frame_is_refused_first_and_can_be_skipped(tmp_path: Path, masks: Path, folder: Path) -> None:
    data = (folder / "00006.png").read_bytes()
    (folder / "00006.png").write_bytes(data[: len(data) // 2])
    refusal("frame 6", tmp_path, folder, masks, kind=OSError)
    record = run(folder, masks, tmp_path / "out", skip_broken=True, chunk_frames=4, context_frames=4)
    assert record["broken"] == [6]
    completed = read_picture(tmp_path / "out" / "completed" / "00006.png")
    assert (completed == expected(pictures()[5], labels(COUNT, SIZE)[6], (1,))).all()
