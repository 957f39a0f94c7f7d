"""Several masks as one: a folder an object, or masks given one after the other; ids are kept or numbered, and said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scenes.video_clips import SIZE, described
from voin.io.masks.source import MaskSource, identify, open_masks, write_label

COUNT = 4
INFO = described(count=COUNT)


def square(frame: int, left: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[10:26, left + frame : left + frame + 12] = True
    return mask


def white(folder: Path, left: int, frames: Sequence[int] = range(COUNT)) -> Path:
    """Write masks of one object, white on black."""
    folder.mkdir(parents=True)
    for frame in frames:
        Image.fromarray(square(frame, left).astype(np.uint8) * 255).save(folder / f"{frame:05d}.png")
    return folder


def shows(source: MaskSource, number: int, left: int, frames: Sequence[int] = range(COUNT)) -> bool:
    return all(((source.label(frame) == number) == square(frame, left)).all() for frame in frames)


@pytest.mark.parametrize(
    ("names", "ids", "said"),
    [
        (("1", "2"), (1, 2), "ids are the folders' names"),
        (("007", "012"), (7, 12), "ids are the folders' names"),  # as SAM 2 writes them
        (("object_3", "obj9"), (3, 9), "ids are the folders' names"),
        (("000", "001"), (1, 2), "ids are the folders, in order (1 is 000, 2 is 001)"),  # as in SA-V
        (("car", "person"), (1, 2), "ids are the folders, in order (1 is car, 2 is person)"),
        (("car", "person_7"), (1, 2), "ids are the folders, in order (1 is car, 2 is person_7)"),
        (("cat_v2", "dog_v2"), (1, 2), "ids are the folders, in order (1 is cat_v2, 2 is dog_v2)"),
        (("1", "300"), (1, 2), "ids are the folders, in order (1 is 1, 2 is 300)"),
        (("2", "10"), (2, 10), "ids are the folders' names"),
    ],
)
def test_a_folder_an_object_is_one_source_with_the_ids_of_the_names(
    tmp_path: Path, names: tuple[str, str], ids: tuple[int, int], said: str
) -> None:
    for name, left in zip(names, (0, 30), strict=True):
        white(tmp_path / "m" / name, left)
    (tmp_path / "m" / "notes.txt").write_text("by hand")
    source = open_masks(tmp_path / "m", INFO)
    assert source.ids == ids
    assert shows(source, ids[0], 0)
    assert shows(source, ids[1], 30)
    assert said in source.reading.line
    assert "Masks: 8 files in 2 folders, matched in order, one a frame; objects " in source.reading.line
    assert source.reading.categories.get(ids[0], "") == ("car" if names[0] == "car" else "")
    assert not source.reading.missing


def test_folders_may_have_masks_of_other_frames_each_and_the_first_is_in_front(tmp_path: Path) -> None:
    white(tmp_path / "m" / "1", 6)
    white(tmp_path / "m" / "2", 0, frames=(0, 2))
    source = open_masks(tmp_path / "m", INFO)
    assert shows(source, 1, 6)
    assert ((source.label(2) == 2) == (square(2, 0) & ~square(2, 6))).all()
    assert [source.given(frame, 2) for frame in range(COUNT)] == [True, False, True, False]
    assert all(source.given(frame) and source.given(frame, 1) for frame in range(COUNT))
    assert source.reading.missing == (1, 3)
    assert "2 of 4 frames have none of object 2 (1, 3)" in source.reading.line
    assert "1 and 2 overlap in 2 frames: the one given first is in front" in source.reading.line
    assert "1 in order, one a frame, 2 by the numbers in their names" in source.reading.line
    with pytest.raises(ValueError, match=r"m/2 has 2 masks for a video of 4 frames, and none for frame 1"):
        open_masks(tmp_path / "m", INFO, absent="error")


def test_several_masks_are_joined_in_the_order_given(tmp_path: Path) -> None:
    one, two = white(tmp_path / "person", 6), white(tmp_path / "dog", 0)
    source = open_masks([two, one], INFO)
    assert source.ids == (1, 2)
    assert shows(source, 1, 0)
    assert "ids are numbered anew, in the order given (1 from dog; 2 from person)" in source.reading.line
    assert "1 and 2 overlap in 4 frames" in source.reading.line
    assert open_masks([two, one], INFO, ids=[2]).ids == (2,)
    with pytest.raises(ValueError, match=r"dog, .*person has no object 3 in any frame"):
        open_masks([two, one], INFO, ids=[3])
    with pytest.raises(ValueError, match="each must be given once"):
        open_masks([one, tmp_path / "dog" / ".." / "person"], INFO)


def test_ids_that_differ_are_kept_and_folders_of_folders_count_too(tmp_path: Path) -> None:
    folder = tmp_path / "ids"
    folder.mkdir()
    for frame in range(COUNT):
        write_label(folder / f"{frame:05d}.png", square(frame, 0) * np.uint8(9))
    white(tmp_path / "m" / "4", 20)
    white(tmp_path / "m" / "5", 40)
    source = open_masks([folder, tmp_path / "m"], INFO)
    assert source.ids == (4, 5, 9)
    assert shows(source, 9, 0)
    assert shows(source, 5, 40)
    assert "ids are kept (9 from ids; 4, 5 from m)" in source.reading.line


def test_what_are_no_objects_is_refused(tmp_path: Path) -> None:
    folder = white(tmp_path / "m", 0)
    with pytest.raises(ValueError, match=r"4 pictures of different frames are given as MASKS .*give the folder"):
        open_masks(sorted(folder.iterdir()), INFO)
    (tmp_path / "several" / "1").mkdir(parents=True)
    for frame in range(COUNT):
        label = square(frame, 0) * np.uint8(3) + square(frame, 30) * np.uint8(4)
        write_label(tmp_path / "several" / "1" / f"{frame:05d}.png", label)
    with pytest.raises(ValueError, match=r"several/1 has the objects 3, 4; in a folder of folders each must hold"):
        open_masks(tmp_path / "several", INFO)


def test_a_changed_file_in_a_folder_of_folders_is_another_input(tmp_path: Path) -> None:
    white(tmp_path / "m" / "1", 0)
    other = white(tmp_path / "m" / "2", 30)
    before = identify(tmp_path / "m")
    (other / "00001.png").unlink()
    assert identify(tmp_path / "m") != before
    assert isinstance(identify(other), dict)
