"""Masks from each form into each: pixels, ids, categories and frames are kept where the form can, and it is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from scenes.video_clips import SIZE, encode, pictures
from voin.cli import app as cli
from voin.io.masks.annotations.brush import pack_brush, unpack_brush
from voin.io.masks.annotations.shapes import fill_polygon
from voin.io.masks.export.convert import convert_masks
from voin.io.masks.export.formats import FORMATS
from voin.io.masks.export.options import ConvertOptions
from voin.io.masks.export.outlines import joined, trace
from voin.io.masks.export.stand_in import stand_in
from voin.io.masks.source import MaskSource, open_masks, write_label

COUNT = 6
OUTLINES = [name for name, form in FORMATS.items() if form.outlines]


def truth(frame: int) -> np.ndarray:
    """Object 3 has a hole and two parts, 7 is a disc that is seen from frame 2 to 4."""
    label = np.zeros(SIZE, np.uint8)
    label[4 + frame : 24 + frame, 2:22] = 3
    label[9 + frame : 14 + frame, 8:15] = 0
    label[30:33, 4 + frame] = 3
    if 2 <= frame <= 4:
        rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
        label[(rows - 24) ** 2 + (columns - 45) ** 2 < 120] = 7
    return label


def folder(path: Path, frames: range = range(COUNT)) -> Path:
    path.mkdir()
    for frame in frames:
        write_label(path / f"{frame:05d}.png", truth(frame))
    return path


def described(tmp_path: Path) -> Path:
    """Write the masks as a COCO file with categories."""
    made = tmp_path / "made.json"
    convert_masks(folder(tmp_path / "made"), made)
    found = json.loads(made.read_text())
    found["categories"] = [{"id": 1, "name": "person"}, {"id": 2, "name": "gizmo"}]
    for annotation in found["annotations"]:
        annotation["category_id"] = {3: 1, 7: 2}[annotation["track_id"]]
    made.write_text(json.dumps(found))
    return made


def place(tmp_path: Path, name: str) -> Path:
    return tmp_path / f"out-{name}{FORMATS[name].suffix}"  # type: ignore[index]


def is_same(source: MaskSource, frames: range = range(COUNT)) -> bool:
    return all((source.label(frame) == truth(frame)).all() for frame in frames)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "video"])
def test_each_form_keeps_pixels_and_ids_and_gives_them_to_the_next(tmp_path: Path, name: Any) -> None:
    first, back = place(tmp_path, name), tmp_path / "back.json"
    found = convert_masks(described(tmp_path), first, ConvertOptions(to=name))
    assert found["line"].startswith("Read back: 6 of 6 masks equal to the pixel; ids are kept")
    again = convert_masks(first, back, ConvertOptions(frames=COUNT))
    assert (found["equal"], found["mean_iou"], again["equal"]) == (COUNT, 1.0, COUNT)
    source = open_masks(back, stand_in([back]))
    assert source.ids == (3, 7)
    assert is_same(source)
    words = {3: "person", 7: "gizmo"}
    assert source.reading.categories == (words if FORMATS[name].outlines else {3: "object", 7: "object"})
    assert ("categories are kept" in found["line"]) == FORMATS[name].outlines


@pytest.mark.parametrize("name", OUTLINES)
def test_polygons_say_how_much_they_differ(tmp_path: Path, name: Any) -> None:
    out = place(tmp_path, name)
    found = convert_masks(folder(tmp_path / "m"), out, ConvertOptions(to=name, polygons=True))
    assert 0.9 < found["lowest_iou"] < found["mean_iou"] < 1
    assert f"mean IoU {found['mean_iou']:.4f}, lowest {found['lowest_iou']:.4f} (object " in found["line"]
    source = open_masks(out, stand_in([folder(tmp_path / "again")]))
    assert source.ids == (3, 7)
    assert source.label(3)[13, 11] == 0  # the hole
    assert source.label(3)[31, 7] == 3  # the further part, a pixel wide


def test_outlines_hold_all_pixels_before_they_are_simplified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voin.io.masks.export.outlines._TOLERANCE", 0.0)
    random = np.random.default_rng(0)
    for share in (0.1, 0.5, 0.9):
        mask = random.random((23, 31)) < share
        union = np.any([fill_polygon(ring, mask.shape, "it") for ring in trace(mask)], axis=0)
        assert (union == mask).all()
        assert (fill_polygon(joined(trace(mask)), mask.shape, "it") == mask).all()


def test_run_lengths_and_polygons_are_read_by_pycocotools(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    for polygons in (False, True):
        out = tmp_path / f"{polygons}.json"
        convert_masks(folder(tmp_path / str(polygons)), out, ConvertOptions(polygons=polygons))
        found = coco.COCO(str(out))
        for annotation in found.dataset["annotations"]:
            mask, wanted = found.annToMask(annotation), truth(annotation["image_id"]) == annotation["track_id"]
            assert annotation["area"] == wanted.sum()
            assert (mask == wanted).all() if not polygons else (mask * wanted).sum() > 0.85 * wanted.sum()


def test_a_mask_video_is_lossless_and_of_one_object(tmp_path: Path) -> None:
    masks = folder(tmp_path / "m")
    with pytest.raises(ValueError, match=r"the objects 3, 7; a mask video is of one; choose one with --ids 3"):
        convert_masks(masks, tmp_path / "m.mkv")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    film = encode(tmp_path / "film.mp4", pictures(COUNT))
    found = convert_masks(masks, tmp_path / "m.mkv", ConvertOptions(ids=(3,), video=film))
    assert "ids are 1 instead of 3" in found["line"]
    source = open_masks(tmp_path / "m.mkv", stand_in([tmp_path / "m.mkv"]))
    assert all(((source.label(frame) == 1) == (truth(frame) == 3)).all() for frame in range(COUNT))


@pytest.mark.parametrize("name", FORMATS)
def test_frames_without_a_mask_stay_so_where_the_form_can(tmp_path: Path, name: Any) -> None:
    masks, film = folder(tmp_path / "m", range(0, COUNT, 3)), encode(tmp_path / "film.mp4", pictures(COUNT))
    ids = (3,) if name == "video" else ()
    found = convert_masks(masks, place(tmp_path, name), ConvertOptions(to=name, video=film, ids=ids))
    assert found["masks"]["missing"] == [1, 2, 4, 5]
    assert ("4 frames without a mask got an empty one" in found["line"]) == (name in ("npz", "video"))
    again = open_masks(place(tmp_path, name), stand_in([place(tmp_path, name)], count=COUNT))
    assert len(again.reading.missing) == (0 if name in ("npz", "video") else 4)


def test_names_that_may_be_read_in_two_ways_are_said(tmp_path: Path) -> None:
    film, out = encode(tmp_path / "film.mp4", pictures(COUNT)), tmp_path / "m.json"
    options = ConvertOptions(video=film, mask_frames="1-5:2")
    found = convert_masks(folder(tmp_path / "m", range(3)), out, options)
    assert found["line"].endswith("to be read with --mask-frames 1-5:2")
    assert found["equal"] == 3


def test_masks_are_scaled_and_counted_without_a_video(tmp_path: Path) -> None:
    out = tmp_path / "large.npz"
    convert_masks(folder(tmp_path / "m"), out, ConvertOptions(size=(2 * SIZE[0], 2 * SIZE[1]), frames=COUNT + 2))
    with np.load(out) as found:
        masks = found["masks"]
    assert masks.shape == (COUNT + 2, 2 * SIZE[0], 2 * SIZE[1])
    assert (masks[3, ::2, ::2] == truth(3)).all()
    assert not masks[COUNT:].any()


def test_large_ids_are_an_array_each(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    write_label(tmp_path / "m" / "00000.png", np.where(truth(2) == 3, 200, truth(2)).astype(np.uint8))
    found = convert_masks(tmp_path / "m", tmp_path / "m.npz")
    assert found["line"] == "Read back: 1 of 1 mask equal to the pixel; ids are kept"
    with np.load(tmp_path / "m.npz") as arrays:
        assert sorted(arrays) == ["object_200", "object_7"]


def test_brushes_of_any_mask_come_back() -> None:
    random = np.random.default_rng(0)
    for share in (0.0, 0.02, 0.5, 1.0):
        mask = random.random((37, 53)) < share
        assert (unpack_brush(pack_brush(mask), (37, 53), "it") == mask).all()
    large = np.zeros((300, 400), bool)  # a run of more than 65536 words
    large[250:] = True
    assert (unpack_brush(pack_brush(large), large.shape, "it") == large).all()


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["masks", "convert", *map(str, words)])
    return result.exit_code, " ".join(result.output.split())


def test_the_command_says_what_was_kept_and_refuses_before_it_writes(tmp_path: Path) -> None:
    masks = folder(tmp_path / "m")
    code, said = run(masks, "-o", tmp_path / "a.xml")
    assert code == 0, said
    assert "CVAT for video 1.1, 6 frames Read back: 6 of 6 masks equal to the pixel" in said
    code, said = run(masks, "-o", tmp_path / "b.json", "--to", "label-studio", "--json")
    assert json.loads(said)["equal"] == COUNT
    for words, text in (
        ((masks, "-o", tmp_path / "a.xml"), "a.xml exists nothing is written over"),
        ((masks, "-o", masks), "holds the masks that are read"),
        ((masks, "-o", tmp_path / "c.txt"), "it must end in .npz, .mkv, .json, .xml, or be a folder"),
        ((masks, "-o", tmp_path / "c.json", "--to", "cvat"), "CVAT for video 1.1 must be a .xml file"),
        ((masks, "-o", tmp_path / "c.npz", "--polygons"), "an array cannot hold polygons"),
        ((masks, "-o", tmp_path / "no" / "c.npz"), "no does not exist"),
        ((tmp_path / "no", "-o", tmp_path / "c.npz"), "no does not exist it must hold masks"),
        ((masks, "-o", tmp_path / "c.npz", "--size", "0x4"), "both sides must lie in 1 to 16384"),
        ((masks, "-o", tmp_path / "c.npz", "--video", masks, "--frames", 9), "leave out --size and --frames"),
    ):
        code, said = run(*words)
        assert code == 2, said
        assert text in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.xml", "b.json", "m"]
