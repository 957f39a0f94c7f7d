"""`voin complete` with an annotation file: one command, ids kept, categories taken from the file and said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fakes.fake_method import Fake, save_frames, save_labels
from scenes.mask_clips import iou, passing
from voin.cli import app as cli
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
