"""Annotation files: each format gives the masks that it was made from, and damaged or lying ones are refused."""

from __future__ import annotations

import base64
import io
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scenes.video_clips import SIZE, described
from voin.io.masks.annotations.shapes import fill_coco, fill_polygon
from voin.io.masks.source import open_masks

pycocotools = pytest.importorskip("pycocotools.mask")
COUNT = 4
H, W = SIZE
CATEGORIES = [{"id": 1, "name": "person"}, {"id": 5, "name": "gizmo"}]


def boxes(frame: int) -> dict[int, tuple[int, int, int, int]]:
    """Where objects 3 and 7 are, x, y, w, h; the second one only from frame 2 on."""
    return {3: (2 + frame, 4, 10, 6), **({7: (20, 9 + frame, 8, 12)} if frame >= 2 else {})}


def truth(frame: int) -> np.ndarray:
    label = np.zeros(SIZE, np.uint8)
    for number, (x, y, w, h) in boxes(frame).items():
        label[y : y + h, x : x + w] = number
    return label


def polygon(frame: int, number: int) -> list[tuple[int, int]]:
    x, y, w, h = boxes(frame)[number]
    return [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]


def flat(frame: int, number: int) -> list[list[int]]:
    return [[value for point in polygon(frame, number) for value in point]]


def compressed(frame: int, number: int) -> dict[str, Any]:
    runs = pycocotools.encode(np.asfortranarray(truth(frame) == number).astype(np.uint8))
    return {"size": [int(side) for side in runs["size"]], "counts": runs["counts"].decode()}


def uncompressed(frame: int, number: int) -> dict[str, Any]:
    mask = (truth(frame) == number).T.ravel()
    edges = [0, *(np.flatnonzero(np.diff(mask)) + 1), len(mask)]
    return {"size": [H, W], "counts": [int(length) for length in np.diff(edges)]}


WAYS = {"polygons": flat, "compressed": compressed, "uncompressed": uncompressed}


def coco(way: Callable[[int, int], Any] = flat, track: bool = True) -> dict[str, Any]:
    pairs = [(frame, number) for frame in range(COUNT) for number in boxes(frame)]
    annotations = [
        {
            "id": place,
            "image_id": 10 + frame,
            "category_id": {3: 1, 7: 5}[number],
            "segmentation": way(frame, number),
            "area": 1,
            "bbox": [0, 0, 1, 1],
            "iscrowd": 0,
            **({"attributes": {"track_id": number}} if track else {}),
        }
        for place, (frame, number) in enumerate(pairs, start=1)
    ]
    # In another order than that of the frames.
    images = [
        {"id": 10 + frame, "file_name": f"clip/frame_{frame:05d}.jpg", "height": H, "width": W}
        for frame in reversed(range(COUNT))
    ]
    return {"images": images, "annotations": annotations, "categories": CATEGORIES}


def youtube_vis(way: Callable[[int, int], Any] = flat) -> dict[str, Any]:
    files = [f"clip/{frame:05d}.jpg" for frame in range(COUNT)]
    videos = [{"id": 2, "height": H, "width": W, "length": COUNT, "file_names": files}]
    annotations = [
        {
            "id": number,
            "video_id": 2,
            "category_id": category,
            "segmentations": [way(frame, number) if number in boxes(frame) else None for frame in range(COUNT)],
        }
        for number, category in ((3, 1), (7, 5))
    ]
    return {"videos": videos, "annotations": annotations, "categories": CATEGORIES}


def cvat(masks: bool = False) -> str:
    tracks = []
    for number, label in ((3, "person"), (7, "gizmo")):
        shapes = []
        for frame in range(COUNT):
            if number not in boxes(frame):
                continue
            x, y, w, h = boxes(frame)[number]
            points = ";".join(f"{a:.2f},{b:.2f}" for a, b in polygon(frame, number))
            head = f'frame="{frame}" keyframe="1" outside="0" occluded="0" z_order="0"'
            rle = f'rle="0, {w * h}" left="{x}" top="{y}" width="{w}" height="{h}"'
            shapes.append(f"<mask {head} {rle}></mask>" if masks else f'<polygon {head} points="{points}"></polygon>')
        tracks.append(f'<track id="{number}" label="{label}" source="manual">{"".join(shapes)}</track>')
    size = f"<original_size><width>{W}</width><height>{H}</height></original_size>"
    frames = f"<size>{COUNT}</size><start_frame>0</start_frame><stop_frame>{COUNT - 1}</stop_frame>"
    meta = f"<meta><task><name>clip</name>{frames}{size}</task></meta>"
    head = '<?xml version="1.0" encoding="utf-8"?>'
    return f"{head}<annotations><version>1.1</version>{meta}{''.join(tracks)}</annotations>"


def labelme(folder: Path) -> Path:
    folder.mkdir()
    for frame in range(COUNT):
        shapes = [
            {"label": {3: "person", 7: "gizmo"}[number], "points": polygon(frame, number), "group_id": number,
             "shape_type": "polygon", "flags": {}}
            for number in boxes(frame)
        ]  # fmt: skip
        found = {"version": "5.0.1", "flags": {}, "shapes": shapes, "imagePath": f"{frame:05d}.jpg",
                 "imageData": None, "imageHeight": H, "imageWidth": W}  # fmt: skip
        (folder / f"{frame:05d}.json").write_text(json.dumps(found))
    return folder


def save(path: Path, found: Any) -> Path:
    path.write_text(found if isinstance(found, str) else json.dumps(found))
    return path


def check(path: Path, words: str = "ids are") -> None:
    source = open_masks(path, described(count=COUNT))
    assert source.ids == (3, 7)
    assert all((source.label(frame) == truth(frame)).all() for frame in range(COUNT))
    assert all(source.given(frame) for frame in range(COUNT))
    assert source.reading.categories == {3: "person", 7: "gizmo"}
    assert words in source.reading.line
    assert "3 person (" in source.reading.line


@pytest.mark.parametrize("way", WAYS)
def test_coco_and_youtube_vis_give_the_masks_that_they_were_made_from(tmp_path: Path, way: str) -> None:
    check(save(tmp_path / "coco.json", coco(WAYS[way])), "ids are track ids")
    check(save(tmp_path / "vis.json", youtube_vis(WAYS[way])), "ids are annotations' ids")


def test_cvat_and_labelme_give_the_masks_that_they_were_made_from(tmp_path: Path) -> None:
    check(save(tmp_path / "polygons.xml", cvat()), "by the file's frame numbers")
    check(save(tmp_path / "masks.xml", cvat(masks=True)), "ids are track ids")
    check(labelme(tmp_path / "labelme"), "ids are group ids")


def test_run_lengths_are_those_of_pycocotools() -> None:
    random = np.random.default_rng(0)
    for share in (0.0, 0.02, 0.5, 1.0):
        mask = random.random((37, 53)) < share
        runs = pycocotools.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert (fill_coco({"size": [37, 53], "counts": runs["counts"].decode()}, (37, 53), "it") == mask).all()


def test_polygons_hold_the_pixels_whose_centre_they_hold() -> None:
    triangle = fill_polygon([(1, 1), (9, 1), (1, 9)], (10, 10), "it")
    rows, columns = np.mgrid[:10, :10] + 0.5
    assert (triangle[1:, 1:] == (rows + columns < 10)[1:, 1:]).all()
    assert not triangle[0].any()
    assert not triangle[:, 0].any()
    assert fill_polygon([(-50, -50), (50, -50), (50, 50), (-50, 50)], (10, 10), "it").all()
    assert not fill_polygon([(20, 20), (30, 20), (30, 30)], (10, 10), "it").any()
    hole = fill_polygon(
        [(0, 0), (9, 0), (9, 9), (0, 9), (0, 0), (3, 3), (6, 3), (6, 6), (3, 6), (3, 3)], (10, 10), "it"
    )
    assert hole.sum() == 81 - 9


def test_ids_that_masks_cannot_hold_are_numbered_anew_and_said(tmp_path: Path) -> None:
    found = youtube_vis()
    for annotation in found["annotations"]:
        annotation["id"] += 5000
    source = open_masks(save(tmp_path / "vis.json", found), described(count=COUNT))
    assert source.ids == (1, 2)
    assert "numbered anew (1 is 5003, 2 is 5007)" in source.reading.line
    assert source.reading.categories == {1: "person", 2: "gizmo"}


def test_without_track_ids_objects_go_by_category(tmp_path: Path) -> None:
    source = open_masks(save(tmp_path / "coco.json", coco(track=False)), described(count=COUNT))
    assert source.ids == (1, 5)
    assert "ids are categories" in source.reading.line
    found = coco(track=False)
    for annotation in found["annotations"]:
        annotation["category_id"] = 1
    with pytest.raises(ValueError, match=r"two objects of category 1 in image 12.*add a track_id"):
        open_masks(save(tmp_path / "coco.json", found), described(count=COUNT))


def test_of_several_videos_the_one_called_like_it_is_taken(tmp_path: Path) -> None:
    found = youtube_vis()
    found["videos"].append({**found["videos"][0], "id": 9, "file_names": ["b/0.jpg", "b/1.jpg"]})
    found["annotations"].append(
        {"id": 8, "video_id": 9, "category_id": 1, "segmentations": [flat(0, 3), flat(1, 3)]}
    )  # fmt: skip
    path = save(tmp_path / "vis.json", found)
    assert open_masks(path, replace(described(count=2), path=Path("b.mp4"))).ids == (8,)
    assert open_masks(path, replace(described(count=COUNT), path=Path("clip.mp4"))).ids == (3, 7)
    with pytest.raises(ValueError, match=r"has 2 videos \(b, clip\), and none is called"):
        open_masks(path, replace(described(count=COUNT), path=Path("other.mp4")))


def test_cvat_frames_between_keyframes_have_no_mask_and_those_after_the_end_an_empty_one(tmp_path: Path) -> None:
    shape = '<polygon frame="{}" outside="{}" keyframe="1" points="1,1;9,1;9,9"></polygon>'
    shapes = "".join(shape.format(frame, outside) for frame, outside in ((1, 0), (4, 0), (6, 1)))
    text = cvat().replace("<stop_frame>3", "<stop_frame>9")
    text = text[: text.index("<track")] + f'<track id="0" label="car">{shapes}</track></annotations>'
    source = open_masks(save(tmp_path / "a.xml", text), described(count=10))
    assert [source.given(frame) for frame in range(10)] == [frame not in (2, 3, 5) for frame in range(10)]
    assert [bool(source.label(frame).any()) for frame in range(10)] == [frame in (1, 4) for frame in range(10)]
    with pytest.raises(ValueError, match="one is of frame 7"):
        open_masks(tmp_path / "a.xml", described(count=7))


def png(mask: np.ndarray) -> str:
    data = io.BytesIO()
    Image.fromarray(mask).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


PNG = png(np.ones((4, 9), bool))


def test_masks_of_labelme_begin_at_their_first_point(tmp_path: Path) -> None:
    shape = {"label": "cat", "points": [[5.0, 2.0], [13.0, 5.0]], "shape_type": "mask", "mask": PNG, "group_id": 6}
    save(tmp_path / "0.json", {"shapes": [shape], "imageHeight": H, "imageWidth": W})
    source = open_masks(tmp_path / "0.json", described(count=1))
    assert source.ids == (6,)
    assert np.argwhere(source.label(0)).min(axis=0).tolist() == [2, 5]
    assert np.argwhere(source.label(0)).max(axis=0).tolist() == [5, 13]
    for change in ({"points": [[60, 1], [63, 3]]}, {"mask": PNG[:40]}, {"mask": None}, {"points": []}):
        save(tmp_path / "0.json", {"shapes": [shape | change], "imageHeight": H, "imageWidth": W})
        with pytest.raises(ValueError, match=r"has a mask that cannot be read .*; it must be a PNG .*; export"):
            open_masks(tmp_path / "0.json", described(count=1))


def with_first(change: dict[str, Any], kind: str = "annotations", way: Callable[[int, int], Any] = flat) -> str:
    found = coco(way)
    found[kind][0] |= change
    return json.dumps(found)


DAMAGED = {
    "cut": json.dumps(coco())[:-40],
    "nested": "[" * 100_000,
    "list": "[]",
    "nothing": "{}",
    "bytes": "\0\0\0",
    "no image": with_first({"image_id": 99}),
    "box": with_first({"segmentation": None}),
    "odd": with_first({"segmentation": [[1, 2, 3, 4, 5]]}),
    "two points": with_first({"segmentation": [[1, 2, 3, 4]]}),
    "text": with_first({"segmentation": [["a", "b", "c", "d", "e", "f"]]}),
    "infinite": with_first({"segmentation": [[1, 2, 3, 4, 5, 6]]}).replace(
        "[1, 2, 3, 4, 5, 6]", "[1, 2, 3, 4, 5, 1e999]"
    ),
    "nan": with_first({"segmentation": [[1, 2, 3, 4, 5, 6]]}).replace("[1, 2, 3, 4, 5, 6]", "[1, 2, 3, 4, 5, NaN]"),
    "huge": with_first({"segmentation": [[1, 2, 3, 4, 5, 10**400]]}),
    "lying size": with_first({"segmentation": {"size": [10**6, 10**6], "counts": [10**12]}}),
    "short": with_first({"segmentation": {"size": [H, W], "counts": [5, 5]}}),
    "negative": with_first({"segmentation": {"size": [H, W], "counts": [-5, H * W + 5]}}),
    "endless": with_first({"segmentation": {"size": [H, W], "counts": "o"}}),
    "letters": with_first({"segmentation": {"size": [H, W], "counts": "\x01\uffff"}}),
    "long number": with_first({"segmentation": {"size": [H, W], "counts": "o" * 1000}}),
    "large image": with_first({"height": 10**9}, "images"),
    "negative image": with_first({"height": -H}, "images"),
    "no name": with_first({"file_name": None}, "images"),
    "other size": with_first({"height": H + 2}, "images"),
    "twice": with_first({"file_name": "frame_00000.png"}, "images"),
    "track": with_first({"track_id": "x"}),
    "bool": with_first({"image_id": True}),
    "vis short": json.dumps(youtube_vis() | {"annotations": [{"id": 1, "video_id": 2, "segmentations": []}]}),
    "vis lost": json.dumps(youtube_vis() | {"annotations": [{"id": 1, "video_id": 3, "segmentations": [None]}]}),
    "xml cut": cvat()[:-9],
    "xml entities": '<!DOCTYPE a [<!ENTITY b "c">]>' + cvat().partition("?>")[2],
    "xml other": "<annotations></annotations>",
    "xml size": cvat().replace("<width>", "<width>9999999"),
    "xml frame": cvat().replace('frame="0"', 'frame="-1"'),
    "xml points": cvat().replace("2.00,4.00;", "2.00;"),
    "xml nan": cvat().replace("2.00,4.00;", "nan,4.00;"),
    "xml box": cvat().replace("<polygon", "<box").replace("</polygon", "</box"),
    "xml runs": cvat(masks=True).replace('rle="0, 60"', 'rle="0, 600000"'),
    "xml beyond": cvat(masks=True).replace(f'left="{boxes(0)[3][0]}"', 'left="60"'),
    "labelme": json.dumps({"shapes": [], "imageHeight": None, "imageWidth": 3}),
    "labelme point": json.dumps(
        {"shapes": [{"label": "a", "points": [[1, 1]], "shape_type": "point"}], "imageHeight": H, "imageWidth": W}
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_and_lying_files_are_refused_in_three_parts(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / ("a.xml" if name.startswith("xml") else "a.json"), DAMAGED[name])
    with pytest.raises((OSError, ValueError), match=";") as refusal:
        open_masks(path, described(count=COUNT))
    assert len(getattr(refusal.value, "parts", [])) == 3, refusal.value


def test_files_that_are_too_large_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.seek(300_000_000)
        file.write(struct.pack("b", 0))
    with pytest.raises(OSError, match="300 MB; an annotation file may have 256 MB"):
        open_masks(tmp_path / "a.json", described(count=COUNT))


def test_a_folder_of_masks_with_a_record_is_no_folder_of_annotations(tmp_path: Path) -> None:
    folder = labelme(tmp_path / "a")
    for path in folder.glob("*.json"):
        path.unlink()
    (folder / "masks.json").write_text('{"finished": true}')
    with pytest.raises(OSError, match="has no masks"):
        open_masks(folder, described(count=COUNT))
