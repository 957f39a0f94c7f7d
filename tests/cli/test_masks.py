from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from fakes.fake_method import save_frames, save_labels
from scenes.mask_clips import passing
from voin.cli import app as cli
from voin.io.images import read_picture

FRAMES, MASKS = passing(count=9, bar=None)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return save_frames(tmp_path / "frames", FRAMES)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Object 3 in all frames but 4 and 5, of which there are no files."""
    folder = save_labels(tmp_path / "masks", [mask.astype(np.uint8) * 3 for mask in MASKS])
    for frame in (4, 5):
        (folder / f"{frame:05d}.png").unlink()
    return folder


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["masks", "check", *map(str, words)])
    return result.exit_code, result.output


def test_masks_are_understood_as_a_run_does_it(film: Path, masks: Path, tmp_path: Path) -> None:
    code, said = run(film, masks, "-o", tmp_path / "sheet.png")
    assert code == 0, said
    assert "Masks: 7 files, matched by the frames' names; 2 of 9 frames have none (4, 5)" in said
    assert "object 3: seen in 7 frames, " in said
    assert "without a mask: 4,5" in said
    sheet = read_picture(tmp_path / "sheet.png")
    assert (np.abs(sheet - np.array([255, 255, 0])).max(axis=-1) < 30).any()  # the third colour of DAVIS, brighter


def test_the_sheet_shows_every_mask_where_there_is_room(film: Path, masks: Path, tmp_path: Path) -> None:
    for count in (7, 5):
        code, said = run(film, masks, "-o", tmp_path / "sheet.png")
        assert code == 0, said
        outlines = np.abs(read_picture(tmp_path / "sheet.png") - np.array([255, 255, 0])).max(axis=-1) < 30
        ids = cv2.morphologyEx(outlines.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((25, 25), np.uint8))
        assert cv2.connectedComponents(ids)[0] - 1 == count
        for frame in (1, 7):
            (masks / f"{frame:05d}.png").unlink(missing_ok=True)


def test_masks_on_keyframes_are_said_to_be_tracked_as_a_run_does_it(film: Path, masks: Path) -> None:
    for path in masks.iterdir():
        if int(path.stem) % 2:
            path.unlink()
    (masks / "00004.png").write_bytes((masks / "00002.png").read_bytes())
    code, said = run(film, masks)
    assert code == 0, said
    assert "4 of 9 frames have none (1, 3, 5, 7): the tracker follows objects there" in said


def test_programs_get_json(film: Path, masks: Path) -> None:
    code, said = run(film, masks, "--json")
    assert code == 0, said
    found = json.loads(said)
    assert found["missing"] == [4, 5]
    assert found["objects"]["3"]["frames"] == 7
    assert found["objects"]["3"]["share"] == pytest.approx(
        np.mean([MASKS[i].mean() for i in (0, 1, 2, 3, 6, 7, 8)]), abs=1e-4
    )
    assert found["line"].startswith("Masks: 7 files")


def test_what_does_not_fit_is_refused_before_anything_is_written(film: Path, masks: Path, tmp_path: Path) -> None:
    code, said = run(film, tmp_path / "nothing", "-o", tmp_path / "sheet.png")
    assert code == 2
    assert "does not exist" in said
    code, said = run(film, masks, "-o", tmp_path / "sheet.bmp")
    assert code == 2
    assert "must be a .png or .jpg" in " ".join(said.split())
    assert not list(tmp_path.glob("sheet*"))
