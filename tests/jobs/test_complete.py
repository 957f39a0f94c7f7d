from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from fakes.fake_method import Fake, contents, expected, expected_label, labels, run, save_frames, save_labels
from fakes.told import Told
from scenes.video_clips import COUNT, SIZE, packets, pictures, save, seconds_of
from voin.io.images import read_picture, write_image
from voin.io.masks.source import open_masks
from voin.io.video import Quality, VideoInfo, probe, read
from voin.jobs import reader as crops
from voin.method.window import ObjectClip, Windows, cut

ODD = (47, 61)


@pytest.fixture
def frames() -> list[np.ndarray]:
    return pictures()


def label_of(path: Path) -> np.ndarray:
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
        with Image.open(tmp_path / "out" / "object" / str(number) / "00004.png") as picture:
            assert picture.mode == "RGBA"
            layer = np.asarray(picture)
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


def test_confidence_is_written_where_asked(tmp_path: Path, folder: Path) -> None:
    given = labels(COUNT, SIZE, objects=2)
    both = save_labels(tmp_path / "both", given)
    run(folder, both, tmp_path / "out", save_confidence=True, order=(2, 1))
    assert len(list((tmp_path / "out" / "confidence").iterdir())) == COUNT
    with Image.open(tmp_path / "out" / "confidence" / "00004.png") as picture:
        assert picture.mode == "L"
        confidence = np.asarray(picture)
    whole = expected_label(given[4], (2, 1))
    assert confidence.shape == SIZE
    assert (confidence[whole == 0] == 0).all()
    for number in (1, 2):
        seen = (given[4] == number) & (whole == number)
        assert (confidence[seen] == 255).all()
    hidden = confidence[(whole > 0) & (given[4] == 0)]
    assert set(hidden.tolist()) == {0, 51}  # invented and propagated, as the method says
    assert len(list((tmp_path / "out" / "amodal_confidence").iterdir())) == COUNT
    sure = read_picture(tmp_path / "out" / "amodal_confidence" / "00004.png")[..., 0]
    assert (sure[given[4] > 0] == 255).all()
    assert set(sure[(whole > 0) & (given[4] == 0)].tolist()) == {153}
    assert (sure[whole == 0] == 0).all()


def test_no_confidence_is_written_unasked(tmp_path: Path, masks: Path, folder: Path) -> None:
    run(folder, masks, tmp_path / "out")
    assert not (tmp_path / "out" / "confidence").exists()
    assert not (tmp_path / "out" / "amodal_confidence").exists()


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


def test_the_record_says_how_the_masks_were_understood(tmp_path: Path, folder: Path) -> None:
    masks = save_labels(tmp_path / "two", labels(COUNT, SIZE, objects=2))
    for i in (0, 3, 11):
        (masks / f"{i:05d}.png").unlink()
    record = run(folder, masks, tmp_path / "out", ids=(2,))["masks"]
    line = "9 files, matched by the frames' names; 3 of 12 frames have none (0, 3, 11): objects count as hidden there"
    follows = "(--track-between follows them)"
    assert record["line"].startswith(f"Masks: {line} {follows}; objects 1 (5.1% of the frame), 2 (")
    assert record["line"].endswith("; taken: 2")
    assert (record["count"], record["missing"], record["taken"]) == (9, [0, 3, 11], [2])
    assert record["shares"]["1"] == round(13 * 12 / (SIZE[0] * SIZE[1]), 5)


def test_inverted_masks_are_refused_unless_inverted_or_named(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "white").mkdir()
    for i, label in enumerate(labels(COUNT, SIZE)):
        write_image(tmp_path / "white" / f"{i:05d}.png", np.where(label, 0, 255).astype(np.uint8))
    with pytest.raises(ValueError, match=r"white is white in most .*--invert-masks.*--ids 1"):
        run(folder, tmp_path / "white", tmp_path / "out")
    run(folder, tmp_path / "white", tmp_path / "named", ids=(1,))
    run(folder, tmp_path / "white", tmp_path / "inverted", invert_masks=True)
    run(folder, save_labels(tmp_path / "right", labels(COUNT, SIZE)), tmp_path / "wanted")
    for name in ("completed/00004.png", "amodal/00004.png"):
        assert (tmp_path / "inverted" / name).read_bytes() == (tmp_path / "wanted" / name).read_bytes()
    with pytest.raises(ValueError, match="only masks of white on black can be inverted"):
        run(folder, tmp_path / "right", tmp_path / "out", invert_masks=True)


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


class Fronts(Fake):
    """Keeps what was in front of each clip that it completed, in working order."""

    def __init__(self) -> None:
        super().__init__()
        self.fronts: list[list[np.ndarray] | None] = []
        self.windows: list[Windows] = []

    def complete_object(self, clip: ObjectClip, *arguments: Any, **options: Any) -> Any:
        self.windows.append(clip.windows)
        self.fronts.append(None if clip.occluder is None else list(clip.occluder))
        return super().complete_object(clip, *arguments, **options)


def test_an_occluder_that_is_empty_says_that_nothing_is_in_front(tmp_path: Path, masks: Path, folder: Path) -> None:
    maps = labels(COUNT, SIZE)
    nothing = save_labels(tmp_path / "nothing", [np.zeros_like(each) for each in maps])
    some = save_labels(tmp_path / "some", [np.full_like(each, int(i > 8)) for i, each in enumerate(maps)])
    for name, path, empty in (("a", nothing, COUNT), ("b", some, 9)):
        method, told = Fronts(), Told()
        run(folder, masks, tmp_path / name, method, told, occluder=path)
        (fronts,) = method.fronts
        assert fronts is not None
        assert [bool(front.any()) for front in fronts] == [i >= empty for i in range(COUNT)]
        assert (
            told.notes[1]
            == f"In front: {COUNT} files, matched by the frames' names; nothing in {empty} of {COUNT} frames"
        )


def test_nearer_objects_are_what_hides_the_farther_ones_where_their_order_is_given(
    tmp_path: Path, folder: Path
) -> None:
    maps = labels(COUNT, SIZE, objects=2)
    two = save_labels(tmp_path / "two", maps)
    method, told = Fronts(), Told()
    run(folder, two, tmp_path / "plain", method, told)
    assert method.fronts == [None, None]
    assert len(told.notes) == 1
    method, told = Fronts(), Told()
    run(folder, two, tmp_path / "ordered", method, told, order=(2, 1))
    near, far = method.fronts
    assert near is None  # anything may be before it
    assert far is not None
    # All of the nearer one that lies in the window of the farther one, and nothing else.
    window = method.windows[1]
    assert all(
        (front == cut(each == 2, window, i)).all() for i, (front, each) in enumerate(zip(far, maps, strict=True))
    )
    assert any(front.any() for front in far)
    assert told.notes[1] == "Order: 2, 1; an object is hidden only by those before it"
    third = save_labels(
        tmp_path / "third", [np.pad(np.ones((4, SIZE[1]), np.uint8), ((0, SIZE[0] - 4), (0, 0)))] * COUNT
    )
    method, told = Fronts(), Told()
    run(folder, two, tmp_path / "both", method, told, order=(2, 1), occluder=third)
    near, more = method.fronts
    assert near is not None
    assert more is not None
    assert all((a >= b).all() for a, b in zip(more, far, strict=True))
    assert told.notes[2] == "Order: 2, 1; an object is hidden only by those before it and what is in front"


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

    class Counted(crops.WindowFrame):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            live["crops"] += 1
            most["crops"] = max(most["crops"], live["crops"])

        def __del__(self) -> None:
            live["crops"] -= 1

    monkeypatch.setattr(crops, "WindowFrame", Counted)
    for count in (24, 72):
        most.clear()
        folder = save_frames(tmp_path / f"in{count}", pictures(count, (32, 32)))
        masks = save_labels(tmp_path / f"masks{count}", [labels(1, (32, 32))[0]] * count)
        run(folder, masks, tmp_path / f"out{count}", chunk_frames=4, context_frames=2)
        assert live["crops"] == 0
        assert most["crops"] <= 4 + 2 * 2 + 4 // 2 + 1 + 2


def test_progress_tells_of_every_stage(tmp_path: Path, masks: Path, folder: Path) -> None:
    told = Told()
    run(folder, masks, tmp_path / "out", progress=told, chunk_frames=5)
    assert told.totals == told.done == dict.fromkeys(("masks", "cuts", "complete", "write"), COUNT)


def test_variable_frame_times_are_kept(tmp_path: Path, masks: Path, frames: list[np.ndarray]) -> None:
    from scenes.video_clips import described

    times = [0, 3, 4, 9, 10, 11, 20, 22, 23, 24, 30, 31]
    info: VideoInfo = described(times=times, time_base=Fraction(1, 100))
    video = save(tmp_path / "in.mp4", frames, info)
    run(video, masks, tmp_path / "out", chunk_frames=5)
    assert seconds_of(probe(tmp_path / "out" / "completed.mp4")) == [Fraction(time, 100) for time in times]
