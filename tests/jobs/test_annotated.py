"""`voin complete` with an annotation file: one command, ids kept, categories taken from the file and said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fakes.fake_method import Fake, save_frames, save_labels
from scenes.mask_clips import box_of, iou, passing
from scenes.video_clips import encode
from voin.cli import app as cli
from voin.io.video import probe
from voin.jobs.complete import complete
from voin.jobs.options import CompleteOptions


def coco_of(masks: list[np.ndarray], track: int, category: str) -> dict[str, Any]:
    images, annotations = [], []
    for frame, mask in enumerate(masks):
        h, w = mask.shape
        images.append({"id": frame, "file_name": f"{frame:05d}.png", "height": h, "width": w})
        edges = [0, *(np.flatnonzero(np.diff(mask.T.ravel())) + 1), h * w]
        runs = {"size": [h, w], "counts": [int(length) for length in np.diff(edges)]}
        about = {"id": frame + 1, "image_id": frame, "category_id": 1, "track_id": track}
        annotations.append(about | {"segmentation": runs})
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": category}]}


@pytest.mark.parametrize(("category", "said"), [("person", True), ("gizmo", False)])
def test_a_coco_file_is_completed_in_one_command(tmp_path: Path, category: str, said: bool) -> None:
    frames, masks = passing(count=5, bar=(40, 60))
    film = save_frames(tmp_path / "frames", frames)
    file = tmp_path / "coco.json"
    file.write_text(json.dumps(coco_of([mask.astype(bool) for mask in masks], 4, category)))
    words = ["complete", str(film), str(file), "-o", str(tmp_path / "out"), "--method", "classical"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    assert f"object 4 {category} (" in result.output.replace("\n", " ")
    assert ("Category, from the masks' file: object 4 is person" in result.output) == said
    with Image.open(tmp_path / "out" / "amodal" / "00002.png") as picture:
        whole = np.asarray(picture)
    assert set(np.unique(whole)) == {0, 4}
    assert (whole[masks[2].astype(bool)] == 4).all()
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["masks"]["taken"] == [4]


def pycocotools_file(path: Path, masks: list[np.ndarray]) -> Path:
    """Write masks as pycocotools encodes them, from frame 1 on as many tools do."""
    mask_tools = pytest.importorskip("pycocotools.mask")
    found = coco_of(masks, 4, "person")
    for frame, (image, about) in enumerate(zip(found["images"], found["annotations"], strict=True)):
        runs = mask_tools.encode(np.asfortranarray(masks[frame].astype(np.uint8)))
        about["segmentation"] = {"size": [*map(int, runs["size"])], "counts": runs["counts"].decode()}
        about["bbox"] = [float(side) for side in mask_tools.toBbox(runs)]
        image["file_name"] = f"data/frame_{frame + 1:06d}.PNG"
    path.write_text(json.dumps(found))
    return path


def corners(mask: np.ndarray) -> list[tuple[int, int]]:
    x, y, w, h = box_of(mask)
    return [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]


def cvat_file(path: Path, masks: list[np.ndarray]) -> Path:
    """Write a track as CVAT's documents lay it out, with attributes and all of its task."""
    h, w = masks[0].shape
    points = [";".join(f"{x:.2f},{y:.2f}" for x, y in corners(mask)) for mask in masks]
    shapes = [
        f'<polygon frame="{frame}" outside="0" occluded="0" keyframe="1" points="{text}" z_order="0">'
        '<attribute name="a">b</attribute></polygon>'
        for frame, text in enumerate(points)
    ]
    about = f"<size>{len(masks)}</size><mode>interpolation</mode><overlap>5</overlap><bugtracker></bugtracker>"
    about += f"<start_frame>0</start_frame><stop_frame>{len(masks) - 1}</stop_frame><frame_filter></frame_filter>"
    labels = "<labels><label><name>person</name><color>#fa3253</color><attributes></attributes></label></labels>"
    sized = f"<original_size><width>{w}</width><height>{h}</height></original_size><source>clip.mp4</source>"
    meta = f"<meta><task><id>7</id><name>clip</name>{about}{labels}{sized}</task><dumped>today</dumped></meta>"
    track = f'<track id="4" label="person" source="manual">{"".join(shapes)}</track>'
    head = '<?xml version="1.0" encoding="utf-8"?>'
    path.write_text(f"{head}\n<annotations><version>1.1</version>{meta}{track}</annotations>")
    return path


def labelme_folder(path: Path, masks: list[np.ndarray]) -> Path:
    """Write a file a frame as LabelMe does, with the frame's picture in it."""
    path.mkdir()
    h, w = masks[0].shape
    for frame, mask in enumerate(masks):
        shape = {"label": "person", "points": [[float(x), float(y)] for x, y in corners(mask)], "group_id": 4}
        shape |= {"description": "", "shape_type": "polygon", "flags": {}, "mask": None}
        found = {"version": "5.5.0", "flags": {}, "shapes": [shape], "imagePath": f"..\\frames\\{frame:05d}.png"}
        found |= {"imageData": "iVBORw0KGgo=" * 9000, "imageHeight": h, "imageWidth": w}
        (path / f"{frame:05d}.json").write_text(json.dumps(found, indent=2))
    return path


@pytest.mark.parametrize(
    ("write", "name"), [(pycocotools_file, "coco.json"), (cvat_file, "annotations.xml"), (labelme_folder, "labelme")]
)
def test_files_of_other_tools_lead_to_a_completed_video_in_one_command(
    tmp_path: Path, write: Callable[[Path, list[np.ndarray]], Path], name: str
) -> None:
    frames, masks = passing(count=4, bar=None)
    film = encode(tmp_path / "film.mp4", frames)
    given = write(tmp_path / name, [mask.astype(bool) for mask in masks])
    words = ["complete", str(film), str(given), "-o", str(tmp_path / "out"), "--method", "classical"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    assert "object 4 person (" in result.output.replace("\n", " ")
    assert probe(tmp_path / "out" / "completed.mp4").count == 4
    for frame, mask in enumerate(masks):
        with Image.open(tmp_path / "out" / "amodal" / f"{frame:05d}.png") as picture:
            assert (np.asarray(picture)[mask.astype(bool)] == 4).all()


def test_two_sets_of_masks_are_completed_in_one_command_and_it_goes_on(tmp_path: Path) -> None:
    frames, masks = passing(count=5, bar=(40, 60))
    film = save_frames(tmp_path / "frames", frames)
    other = np.zeros_like(masks[0])
    other[70:90, 100:130] = True
    for name, shown in (("person", masks), ("dog", [other] * 5)):
        save_labels(tmp_path / name, [mask.astype(np.uint8) * 255 for mask in shown])
    (tmp_path / "dog" / "00004.png").unlink()
    words = ["complete", str(film), str(tmp_path / "person"), str(tmp_path / "dog"), "-o", str(tmp_path / "out")]
    for said in ("1 of 5 frames have none of object 2 (4)", "finished before"):
        result = CliRunner().invoke(cli.app, [*words, "--method", "classical"])
        assert result.exit_code == 0, result.output
        assert said in result.output.replace("\n", " ")
    with Image.open(tmp_path / "out" / "amodal" / "00002.png") as picture:
        whole = np.asarray(picture)
    assert (whole[masks[2].astype(bool)] == 1).all()
    assert (whole[other] == 2).all()


def test_an_object_whose_masks_are_keyframes_is_tracked_beside_one_that_has_all(tmp_path: Path) -> None:
    frames, masks = passing(count=5, bar=None)
    film = save_frames(tmp_path / "frames", frames)
    other = np.zeros_like(masks[0])
    other[70:90, 100:130] = True
    save_labels(tmp_path / "all", [other.astype(np.uint8)] * 5)
    save_labels(tmp_path / "keys", [masks[0].astype(np.uint8)])
    options = CompleteOptions(tracker="grabcut")
    record = complete(film, [tmp_path / "all", tmp_path / "keys"], tmp_path / "out", options, inpainter=Fake())
    assert record["masks"]["tracked"]
    for frame in range(5):
        with Image.open(tmp_path / "out" / "masks" / f"{frame:05d}.png") as picture:
            label = np.asarray(picture)
        assert ((label == 1) == other).all()
        assert iou(label == 2, masks[frame].astype(bool)) > 0.8
