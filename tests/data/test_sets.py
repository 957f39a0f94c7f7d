"""Reading and writing the clips of a set."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from sets.voi_sources import SIZE, sheet
from voin.data.manifest import ClipRecord, Manifest, clip_folder, write_manifest
from voin.data.sets import VoiSet, open_set, write_composites, write_masks, write_occluder, write_truth
from voin.io.images import read_picture, write_image

COUNT = 3


@pytest.fixture
def voi(tmp_path: Path) -> VoiSet:
    """A set of one clip with truth from PNGs, so that nothing can be linked."""
    random = np.random.default_rng(0)
    amodal, occluder = random.random((2, COUNT, *SIZE)) > 0.5
    pixels = random.integers(1, 256, (COUNT, *SIZE, 3), dtype=np.uint8)
    truth = np.stack([sheet(SIZE, i) for i in range(COUNT)])
    originals = tuple(tmp_path / f"{i}.png" for i in range(COUNT))
    for path, frame in zip(originals, truth, strict=True):
        write_image(path, frame)
    folders = {}
    for kind in ("JPEGImages", "Amodal", "Visible", "Occluder", "Occluded"):
        folders[kind] = clip_folder(tmp_path / "set", "validation", kind, "fox")
        folders[kind].mkdir(parents=True)
    write_truth(folders["JPEGImages"], truth, originals)
    write_masks(folders["Amodal"], "Amodal", amodal)
    write_masks(folders["Visible"], "Visible", amodal & ~occluder)
    write_occluder(folders["Occluder"], occluder, pixels)
    write_composites(folders["Occluded"], folders["JPEGImages"], occluder, pixels)
    record = ClipRecord(
        "fox", "fox", 0, "fox", "validation", COUNT, SIZE, "blob", None, None, (0.5,) * COUNT, 0.5, {"Amodal": ""}
    )
    write_manifest(tmp_path / "set", Manifest(1, "", 0, {}, {}, (record,), ()))
    np.savez(tmp_path / "given.npz", amodal=amodal, occluder=occluder, pixels=pixels, truth=truth)
    return open_set(tmp_path / "set")


def test_what_is_written_is_read_again(voi: VoiSet, tmp_path: Path) -> None:
    given = np.load(tmp_path / "given.npz")
    (record,) = voi.records("validation")
    clip = voi.load(record)
    assert np.array_equal(clip.amodal, given["amodal"])
    assert np.array_equal(clip.occluder, given["occluder"])
    assert np.array_equal(clip.visible, given["amodal"] & ~given["occluder"])
    assert np.array_equal(clip.occluded, given["amodal"] & given["occluder"])
    assert np.array_equal(clip.pixels, np.where(given["occluder"][..., None], given["pixels"], 0))
    # JPEG of quality 95 on smooth colours.
    assert np.abs(clip.truth.astype(int) - given["truth"]).mean() < 4


def test_frames_are_the_truth_behind_the_occluder(voi: VoiSet, tmp_path: Path) -> None:
    clip = voi.load(voi.records()[0])
    there = clip.occluder
    assert np.array_equal(clip.frames[~there], clip.truth[~there])
    assert np.array_equal(clip.frames[there], np.load(tmp_path / "given.npz")["pixels"][there])
    files = sorted(voi.folder(clip.record, "Occluded").iterdir())
    assert np.array_equal(np.stack([read_picture(path) for path in files]), clip.frames)


def test_clips_are_listed_by_split(voi: VoiSet) -> None:
    assert len(voi.records()) == len(voi.records("validation")) == 1
    assert voi.records("train") == ()


@pytest.mark.parametrize("kind", ["JPEGImages", "Amodal", "Visible", "Occluder"])
def test_a_missing_file_and_one_of_another_size_are_named(voi: VoiSet, kind: str) -> None:
    (record,) = voi.records()
    path = sorted(voi.folder(record, kind).iterdir())[1]
    path.unlink()
    with pytest.raises(OSError, match=rf"{kind}/fox/{path.name} is missing; a clip has all files of its 3 frames"):
        voi.load(record)
    small = np.zeros((32, 32), bool)
    if kind == "JPEGImages":
        write_image(path, np.zeros((32, 32, 3), np.uint8))
    elif kind == "Occluder":
        write_image(path, np.zeros((32, 32, 4), np.uint8))
    else:
        for name in ("00000.png", "00001.png"):
            (path.parent / name).unlink(missing_ok=True)
        write_masks(path.parent, kind, np.stack([np.zeros(SIZE, bool), np.zeros(SIZE, bool)]))
        path.unlink()
        write_masks(path.parent.parent, kind, small[None])
        (path.parent.parent / "00000.png").rename(path)
    with pytest.raises(OSError, match="is 32x32; the manifest says 96x64"):
        voi.load(record)


def test_an_occluder_without_alpha_and_a_mask_that_is_not_indexed_are_refused(voi: VoiSet) -> None:
    (record,) = voi.records()
    write_image(voi.folder(record, "Visible") / "00000.png", np.zeros(SIZE, np.uint8))
    with pytest.raises(OSError, match="masks of a set are indexed"):
        voi.load(record)
    write_image(voi.folder(record, "Occluder") / "00000.png", np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(OSError, match="is not an RGBA picture"):
        voi.load(record)


def test_frames_that_are_not_changed_are_linked_and_others_are_not(tmp_path: Path) -> None:
    frame = sheet(SIZE, 0)
    for name in ("a.jpg", "b.png", "c.jpg"):
        write_image(tmp_path / name, frame if name != "c.jpg" else sheet((128, 192), 1))
    (tmp_path / "out").mkdir()
    originals = tuple(tmp_path / name for name in ("a.jpg", "b.png", "c.jpg"))
    write_truth(tmp_path / "out", np.stack([frame] * 3), originals)
    written = sorted((tmp_path / "out").iterdir())
    assert written[0].samefile(originals[0])
    assert read_picture(written[1]).shape == read_picture(written[2]).shape == (*SIZE, 3)
    assert [path.suffix for path in written] == [".jpg"] * 3


def test_where_links_are_not_possible_the_file_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    write_image(tmp_path / "a.jpg", sheet(SIZE, 0))
    (tmp_path / "out").mkdir()
    write_truth(tmp_path / "out", sheet(SIZE, 0)[None], (tmp_path / "a.jpg",))
    assert (tmp_path / "out" / "00000.jpg").read_bytes() == (tmp_path / "a.jpg").read_bytes()
