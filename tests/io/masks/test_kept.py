"""Masks that a run keeps: the same objects without a look at the pictures, and nothing believed that is damaged."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fakes.fake_method import save_frames, save_labels
from voin.io.masks import pictures as mask_pictures
from voin.io.masks.kept import KeptMasks
from voin.io.masks.source import MaskSource, open_masks
from voin.io.video import VideoInfo, probe

COUNT, SIZE = 5, (24, 32)


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    return probe(save_frames(tmp_path_factory.mktemp("video") / "frames", [np.zeros((*SIZE, 3), np.uint8)] * COUNT))


def _labels() -> list[np.ndarray]:
    labels = [np.zeros(SIZE, np.uint8) for _ in range(COUNT)]
    for i, label in enumerate(labels[:-1]):  # nothing is seen in the last
        label[3 : 9 + i, 4:12] = 1
        label[12:20, 10 + i : 18 + i] = 2
    return labels


def _save_colours(folder: Path) -> Path:
    folder.mkdir()
    colours = np.array([(0, 0, 0), (200, 10, 30), (10, 220, 40)], np.uint8)
    for i, label in enumerate(_labels()):
        Image.fromarray(colours[label]).save(folder / f"{i:05d}.png")
    return folder


def _save_shades(folder: Path) -> Path:
    folder.mkdir()
    for i, label in enumerate(_labels()):
        Image.fromarray((label > 0).astype(np.uint8) * 255).save(folder / f"{i:05d}.png")
    return folder


FORMS: dict[str, Callable[[Path], Path]] = {
    "ids": lambda folder: save_labels(folder, _labels()),
    "colours": _save_colours,
    "shades": _save_shades,
}


def _same(one: MaskSource, other: MaskSource) -> bool:
    alike = one.ids == other.ids and one.found == other.found and one.reading == other.reading
    arrays = zip((one.boxes, one.areas), (other.boxes, other.areas), strict=True)
    alike &= all(np.array_equal(a, b) for a, b in arrays)
    return alike and all(np.array_equal(one.label(i), other.label(i)) for i in range(COUNT))


def _forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a picture was read")

    monkeypatch.setattr(mask_pictures, "_decode", refuse)


@pytest.mark.parametrize("form", FORMS)
def test_kept_masks_are_the_same_without_a_look_at_the_pictures(
    form: str, info: VideoInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks, kept = FORMS[form](tmp_path / "masks"), KeptMasks(tmp_path / "kept")
    plain = open_masks(masks, info)
    assert _same(plain, open_masks(masks, info, kept=kept))
    assert not (tmp_path / "kept").exists()  # only once the run may write
    kept.save()
    _forbid_reading(monkeypatch)
    assert _same(plain, open_masks(masks, info, kept=KeptMasks(tmp_path / "kept")))
    with pytest.raises(AssertionError, match="was read"):
        open_masks(masks, info, kept=KeptMasks(tmp_path / "elsewhere"))


def test_inverted_and_joined_masks_are_kept_too(
    info: VideoInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shades, ids, kept = (
        FORMS["shades"](tmp_path / "shades"),
        FORMS["ids"](tmp_path / "ids"),
        KeptMasks(tmp_path / "kept"),
    )
    inverted = open_masks(shades, info, invert=True, kept=kept)
    joined = open_masks([shades, ids], info, kept=kept)
    kept.save()
    _forbid_reading(monkeypatch)
    again = KeptMasks(tmp_path / "kept")
    assert _same(inverted, open_masks(shades, info, invert=True, kept=again))
    assert _same(joined, open_masks([shades, ids], info, kept=again))


def test_masks_that_changed_or_belong_to_other_frames_or_another_video_are_read_again(
    info: VideoInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks, kept = FORMS["ids"](tmp_path / "masks"), KeptMasks(tmp_path / "kept")
    open_masks(masks, info, kept=kept)
    kept.save()
    other = probe(save_frames(tmp_path / "other", [np.zeros((*SIZE, 3), np.uint8)] * COUNT))
    _forbid_reading(monkeypatch)
    open_masks(masks, info, kept=kept)
    for change in ({"frames": "4,3,2,1,0"}, {"info": other}):
        with pytest.raises(AssertionError, match="was read"):
            open_masks(masks, **{"info": info, "kept": kept, **change})
    look = (masks / "00002.png").stat()
    os.utime(masks / "00002.png", ns=(look.st_atime_ns, look.st_mtime_ns + 1))
    with pytest.raises(AssertionError, match="was read"):
        open_masks(masks, info, kept=kept)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_as_good_as_none(info: VideoInfo, tmp_path: Path, data: st.DataObject) -> None:
    masks = tmp_path / "masks"
    if not masks.exists():
        FORMS["colours"](masks)
    kept = KeptMasks(tmp_path / "kept")
    plain = open_masks(masks, info, kept=kept)
    kept.save()
    (file,) = (tmp_path / "kept").iterdir()
    whole = file.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    some = data.draw(st.binary(max_size=8))
    file.write_bytes(whole[:place] + some + whole[place + data.draw(st.integers(0, 8)) :])
    assert _same(plain, open_masks(masks, info, kept=KeptMasks(tmp_path / "kept")))
    file.unlink()


@pytest.mark.parametrize(
    "change",
    [
        {"frames": np.array([0, 1, 2, 3, 9])},
        {"frames": np.array([0, 1, 2, 3, 3])},
        {"kinds": np.array([0, 0, 0, 0, 7])},
        {"boxes": np.full((5, 4), 10**9)},
        {"boxes": np.full((5, 4), -1)},
        {"lengths": np.full(5, 10**12)},
        {"lengths": np.full(5, -1)},
        {"data": np.zeros(3, np.uint8)},
        {"count_ids": np.full(256, -5)},
        {"count_ids": np.zeros(3, np.int64)},
        {"colours": np.array([[1, 999]])},
        {"overlapping": np.array("many")},
        {"frames": np.array(["0", "1", "2", "3", "4"])},
    ],
)
def test_a_file_that_lies_is_as_good_as_none(
    change: dict[str, np.ndarray], info: VideoInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks, kept = FORMS["ids"](tmp_path / "masks"), KeptMasks(tmp_path / "kept")
    open_masks(masks, info, kept=kept)
    kept.save()
    (file,) = (tmp_path / "kept").iterdir()
    with np.load(file) as stored:
        arrays = dict(stored)
    np.savez(file, allow_pickle=False, **(arrays | change))
    _forbid_reading(monkeypatch)
    with pytest.raises(AssertionError, match="was read"):
        open_masks(masks, info, kept=kept)
