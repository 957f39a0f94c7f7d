"""`voin complete` with an annotation file: one command, ids kept, categories taken from the file and said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fakes.fake_method import save_frames
from scenes.mask_clips import passing
from voin.cli import app as cli


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
