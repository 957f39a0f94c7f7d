"""`voin.complete` without masks: what is marked is tracked first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.fake_method import Fake, contents, listing, save_frames, save_labels
from fakes.told import Told
from scenes.mask_clips import box_of, iou, passing
from voin.io.masks.source import open_masks
from voin.io.video import probe
from voin.jobs.complete import complete
from voin.jobs.mask import MaskOptions, mask
from voin.jobs.options import CompleteOptions, PromptOptions
from voin.tracking.prompts import Prompt

FRAMES, MASKS = passing(count=8, bar=None)
PROMPT = Prompt(0, mask=MASKS[0])


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_frames(tmp_path_factory.mktemp("film") / "frames", FRAMES)


def run(film: Path, out: Path, prompts: tuple[Prompt, ...] = (PROMPT,), method: Fake | None = None, **options: Any):
    progress = Told()
    chosen = CompleteOptions(**{"tracker": "grabcut", "cuts": "none", **options})
    record = complete(film, None, out, chosen, prompts=prompts, inpainter=method or Fake(), progress=progress)
    return record, progress


def test_what_is_marked_is_tracked_and_completed(film: Path, tmp_path: Path) -> None:
    record, told = run(film, tmp_path / "out", save_confidence=True)
    source = open_masks(tmp_path / "out" / "masks", probe(film))
    assert all(iou(source.label(frame) > 0, truth) > 0.8 for frame, truth in enumerate(MASKS))
    assert record["totals"]["occluded"] > 0
    assert not record["masks"]["tracked"]  # none is missing
    first, second = told.notes
    assert (
        first == f"Tracked from 1 prompt (grabcut): the object is seen in 8 of 8 frames; {tmp_path / 'out' / 'masks'}"
    )
    assert second == record["masks"]["line"]


def test_it_gives_what_tracking_and_completing_by_themselves_give(film: Path, tmp_path: Path) -> None:
    run(film, tmp_path / "once", start=2, end=7, prompts=(Prompt(3, mask=MASKS[3]),))
    options = {"start": 2, "end": 7, "cuts": "none"}
    mask(film, [Prompt(3, mask=MASKS[3])], tmp_path / "m", MaskOptions(tracker="grabcut", **options))
    complete(film, tmp_path / "m", tmp_path / "twice", CompleteOptions(**options), inpainter=Fake())
    once = {name: data for name, data in contents(tmp_path / "once").items() if not name.startswith("masks/")}
    assert once == contents(tmp_path / "twice")


def test_a_killed_run_goes_on_and_a_finished_one_is_not_repeated(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(film, tmp_path / "whole", chunk_frames=3)
    with pytest.raises(RuntimeError):
        run(film, out, method=Fake(1), chunk_frames=3)
    before = listing(out / "masks")
    record, told = run(film, out, chunk_frames=3)
    assert not record["finished_before"]
    assert "track" not in told.totals
    assert listing(out / "masks") == before
    whole = contents(tmp_path / "whole")
    assert {name: data for name, data in contents(out).items() if whole[name] != data}.keys() <= {"masks/masks.json"}
    again, told = run(film, out, chunk_frames=3)
    assert again["finished_before"]
    assert "track" not in told.totals


def test_another_mark_is_another_run(film: Path, tmp_path: Path) -> None:
    run(film, tmp_path / "out")
    before = listing(tmp_path / "out")
    with pytest.raises(OSError, match=r"masks holds another run \(other prompts\)"):
        run(film, tmp_path / "out", prompts=(Prompt(1, mask=MASKS[1]),))
    assert listing(tmp_path / "out") == before
    record, _ = run(film, tmp_path / "out", prompts=(Prompt(1, mask=MASKS[1]),), overwrite=True)
    assert not record["finished_before"]


@pytest.mark.parametrize("wrong", ["run", "occluder", "stranger", "order"])
def test_all_else_is_checked_before_anything_is_tracked(film: Path, tmp_path: Path, wrong: str) -> None:
    out, options = tmp_path / "out", {}
    if wrong == "run":
        complete(film, _masks(tmp_path / "m"), out, CompleteOptions(cuts="none"), inpainter=Fake())
    elif wrong == "stranger":
        (out / "completed").mkdir(parents=True)
        (out / "completed" / "mine.png").write_bytes(b"mine")
    elif wrong == "order":
        options["order"] = (2, 1)
    else:
        options["occluder"] = tmp_path / "nothing"
    before = listing(tmp_path)
    with pytest.raises((OSError, ValueError)):
        run(film, out, **options)
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("masks", "prompts", "options", "message"),
    [
        (None, (), {}, r"nothing says what the object is.*give MASKS, or mark it with --box"),
        ("masks", (PROMPT,), {}, "is marked, and masks are given, too"),
        (None, (PROMPT,), {"mask_frames": "0"}, "is marked, and options of masks are given, too"),
        (None, (PROMPT,), {"invert_masks": True}, "is marked, and options of masks are given, too"),
    ],
)
def test_the_object_must_be_said_once(
    film: Path, tmp_path: Path, masks: str | None, prompts: tuple[Prompt, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        complete(film, masks, tmp_path / "out", CompleteOptions(**options), prompts=prompts, inpainter=Fake())
    assert not (tmp_path / "out").exists()


def test_words_of_a_command_are_read(tmp_path: Path) -> None:
    x, y, w, h = box_of(MASKS[0])
    marked = PromptOptions(box=f"{x},{y},{w},{h}", point=["5,6"], negative=["1,2"], prompt=["4: point 7,8"])
    first, second = marked.read(3)
    assert (first.frame, first.box, first.points, first.negative) == (3, (x, y, w, h), ((5, 6),), ((1, 2),))
    assert (second.frame, second.points) == (4, ((7, 8),))
    assert PromptOptions().read(0) == []
    assert PromptOptions(point=["5,6"], frame=9).read(3)[0].frame == 9


def _masks(folder: Path) -> Path:
    return save_labels(folder, [mask.astype(np.uint8) for mask in MASKS])
