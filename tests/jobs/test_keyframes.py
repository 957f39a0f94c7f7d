from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.fake_method import Fake, contents, listing, run, save_frames, save_labels
from fakes.told import Told
from scenes.mask_clips import iou, passing
from voin.io.images import read_picture
from voin.io.masks.frames import are_keyframes
from voin.io.masks.source import open_masks, write_label
from voin.io.video import probe

FRAMES, MASKS = passing(count=10, bar=None)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_frames(tmp_path_factory.mktemp("film") / "frames", FRAMES)


def keyframes(folder: Path, *frames: int, empty: tuple[int, ...] = ()) -> Path:
    folder.mkdir()
    for frame in (*frames, *empty):
        write_label(folder / f"{frame:05d}.png", (MASKS[frame] & (frame not in empty)).astype(np.uint8))
    return folder


def tracked(out: Path, film: Path) -> list[np.ndarray]:
    source = open_masks(out / "masks", probe(film))
    return [source.label(frame) > 0 for frame in range(len(FRAMES))]


def complete(film: Path, masks: Path, out: Path, method: Fake | None = None, progress: Any = None, **options: Any):
    return run(film, masks, out, method, progress, **{"tracker": "grabcut", "cuts": "none", **options})


@pytest.mark.parametrize(
    ("given", "span", "expected"),
    [
        ((0, 5, 10, 15, 20), (0, 24), True),
        ((0,), (0, 24), True),
        ((4,), (4, 24), True),
        ((0, 10, 20, 23), (0, 24), True),  # the last frame is marked, too
        ((3, 8, 13), (0, 18), True),
        ((5,), (0, 24), False),
        ((0,), (0, 1), False),
        ((0, 5, 11, 15), (0, 24), False),
        ((0, 5, 10), (0, 24), False),  # not to the end
        ((10, 15, 20), (0, 24), False),
        ((0, 1, 2, 3), (0, 24), False),
        (tuple(range(24)), (0, 24), False),
        ((), (0, 24), False),
    ],
)
def test_keyframes_are_the_first_frame_alone_or_a_regular_grid(
    given: tuple[int, ...], span: tuple[int, int], expected: bool
) -> None:
    assert are_keyframes(given, *span) is expected


@pytest.mark.parametrize("frames", [(0,), (0, 3, 6, 9)])
def test_the_object_is_tracked_between_keyframes_by_default(
    film: Path, tmp_path: Path, frames: tuple[int, ...]
) -> None:
    told = Told()
    record = complete(film, keyframes(tmp_path / "keys", *frames), tmp_path / "out", progress=told)
    found = tracked(tmp_path / "out", film)
    assert all(iou(mask, truth) > 0.8 for mask, truth in zip(found, MASKS, strict=True))
    assert all((found[frame] == MASKS[frame]).all() for frame in frames)
    (line,) = told.notes
    assert line == record["masks"]["line"]
    assert "the tracker follows objects there (--no-track-between: they count as hidden there)" in line
    assert record["masks"]["tracked"] is True
    assert told.totals["track"] == told.done["track"]
    # Nothing of the object in plain view is painted over.
    for frame, (picture, mask) in enumerate(zip(FRAMES, found, strict=True)):
        assert (read_picture(tmp_path / "out" / "completed" / f"{frame:05d}.png") == picture)[mask].all()


def test_what_frames_without_a_mask_mean_is_the_users_to_say(film: Path, tmp_path: Path) -> None:
    irregular, regular = keyframes(tmp_path / "irregular", 0, 3, 4), keyframes(tmp_path / "regular", 0, 5)
    record = complete(film, irregular, tmp_path / "hidden")
    assert record["masks"]["tracked"] is False
    assert "objects count as hidden there (--track-between follows them)" in record["masks"]["line"]
    assert not (tmp_path / "hidden" / "masks").exists()
    assert complete(film, irregular, tmp_path / "between", track_between=True)["masks"]["tracked"] is True
    assert iou(tracked(tmp_path / "between", film)[8], MASKS[8]) > 0.8
    assert complete(film, regular, tmp_path / "other", track_between=False)["masks"]["tracked"] is False


def test_an_empty_mask_says_that_the_object_is_hidden_from_there_on(film: Path, tmp_path: Path) -> None:
    masks = keyframes(tmp_path / "keys", 0, 6, empty=(3, 9))
    complete(film, masks, tmp_path / "out")
    found = [bool(mask.any()) for mask in tracked(tmp_path / "out", film)]
    assert found == [True] * 3 + [False] + [True] * 5 + [False]


def test_nothing_is_tracked_over_a_cut(film: Path, tmp_path: Path) -> None:
    (tmp_path / "cuts.txt").write_text("4\n")
    complete(film, keyframes(tmp_path / "keys", 0), tmp_path / "out", cuts=tmp_path / "cuts.txt")
    assert [bool(mask.any()) for mask in tracked(tmp_path / "out", film)] == [True] * 4 + [False] * 6


def test_several_objects_are_tracked_and_the_nearer_one_stays_in_front(film: Path, tmp_path: Path) -> None:
    other = np.zeros_like(MASKS[0])
    other[60:90, 10:60] = True
    for name, order in (("first", (1, 2)), ("second", (2, 1))):
        labels = [np.where(MASKS[frame], 1, np.where(other, 2, 0)).astype(np.uint8) for frame in (0, 5)]
        folder = tmp_path / f"{name}-keys"
        folder.mkdir()
        for frame, label in zip((0, 5), labels, strict=True):
            write_label(folder / f"{frame:05d}.png", label)
        complete(film, folder, tmp_path / name, order=order)
        source = open_masks(tmp_path / name / "masks", probe(film))
        assert source.ids == (1, 2)
        assert (source.areas > 0).all()


def test_a_killed_run_goes_on_with_the_masks_that_it_has_tracked(film: Path, tmp_path: Path) -> None:
    masks = keyframes(tmp_path / "keys", 0)
    complete(film, masks, tmp_path / "whole", chunk_frames=3)
    with pytest.raises(RuntimeError):
        complete(film, masks, tmp_path / "out", Fake(2), chunk_frames=3)
    before = listing(tmp_path / "out" / "masks")
    told = Told()
    complete(film, masks, tmp_path / "out", progress=told, chunk_frames=3)
    assert "track" not in told.totals
    assert [entry for entry in listing(tmp_path / "out" / "masks") if entry not in before] == []
    assert _pictures(tmp_path / "out") == _pictures(tmp_path / "whole")
    assert complete(film, masks, tmp_path / "out", chunk_frames=3)["finished_before"]


def test_tracked_masks_that_were_lost_are_made_again(film: Path, tmp_path: Path) -> None:
    masks, out = keyframes(tmp_path / "keys", 0), tmp_path / "out"
    complete(film, masks, out)
    whole = _pictures(out)
    shutil.rmtree(out / "masks")
    assert not complete(film, masks, out)["finished_before"]
    assert _pictures(out) == whole


def test_overwriting_by_a_run_without_tracking_removes_the_tracked_masks(film: Path, tmp_path: Path) -> None:
    masks, out = keyframes(tmp_path / "keys", 0), tmp_path / "out"
    complete(film, masks, out)
    with pytest.raises(OSError, match="holds another run"):
        complete(film, masks, out, track_between=False)
    complete(film, masks, out, track_between=False, overwrite=True)
    assert not (out / "masks").exists()


def test_masks_of_the_users_own_are_never_replaced(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    masks = keyframes(out / "masks", 0)
    before = listing(out)
    with pytest.raises((OSError, ValueError), match="masks"):
        complete(film, masks, out)
    assert listing(out) == before


def test_masks_of_every_frame_are_taken_as_they_are(film: Path, tmp_path: Path) -> None:
    masks = save_labels(tmp_path / "all", [mask.astype(np.uint8) for mask in MASKS])
    record = complete(film, masks, tmp_path / "out", track_between=True)
    assert record["masks"]["tracked"] is False
    assert not (tmp_path / "out" / "masks").exists()


def _pictures(out: Path) -> dict[str, bytes]:
    found = contents(out)
    request = json.loads(found.pop("masks/masks.json"))["request"]
    assert request["tracking"]["tracker"] == "grabcut"
    return found
