"""What stands in an output folder may be damaged by anybody: it is refused or done again, and never a fault."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.fake_method import Fake, contents, labels, run
from scenes.video_clips import COUNT, SIZE
from voin.core.errors import Refusal
from voin.jobs.demo import hidden_counts
from voin.jobs.mask import MaskOptions, mask
from voin.tracking.prompts import Prompt

WRONG = [None, -1, 10**29, 1.5, "x", "a\0b", "n" * 300, [], {}, [None], {"a": None}, True]


def damaged(content: Any, count: int, seed: int = 0) -> Iterator[Any]:
    """The same JSON with an entry gone, or with something else in its place."""
    chance = random.Random(seed)
    for _ in range(count):
        whole = copy.deepcopy(content)
        place = whole
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = chance.choice(keys)
            inner = place[key]
            if not (isinstance(inner, dict | list) and inner) or chance.random() < 0.3:
                break
            place = inner
        if chance.random() < 0.3:
            del place[key]
        else:
            place[key] = chance.choice(WRONG)
        yield whole


def outcome(job: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """What a job gives, or None where it refuses in three parts; anything else is a fault."""
    try:
        return job()
    except Refusal as refusal:
        parts = refusal.parts
    assert len(parts) == 3
    return None


@pytest.fixture
def unfinished(tmp_path: Path, masks: Path, folder: Path) -> Path:
    with pytest.raises(RuntimeError):
        run(folder, masks, tmp_path / "out", Fake(3), chunk_frames=3, cuts="none")
    return tmp_path / "out"


@pytest.mark.parametrize("name", ["state.json", "parts/00000.json"])
def test_a_damaged_state_is_refused_or_done_again(
    unfinished: Path, masks: Path, folder: Path, tmp_path: Path, name: str
) -> None:
    run(folder, masks, tmp_path / "whole", chunk_frames=3, cuts="none")
    path = unfinished / ".voin" / name
    state = {file: file.read_bytes() for file in (unfinished / ".voin").rglob("*") if file.is_file()}
    for content in damaged(json.loads(path.read_text()), 40):
        path.write_text(json.dumps(content))
        if outcome(lambda: run(folder, masks, unfinished, chunk_frames=3, cuts="none", overwrite=True)):
            assert contents(unfinished) == contents(tmp_path / "whole")
            (unfinished / "run.json").unlink()
        for file, data in state.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)


def test_a_damaged_record_of_a_finished_run_is_refused_or_replaced(tmp_path: Path, masks: Path, folder: Path) -> None:
    out = tmp_path / "out"
    run(folder, masks, out)
    path = out / "run.json"
    whole = path.read_text()
    for content in damaged(json.loads(whole), 60):
        path.write_text(json.dumps(content))
        if record := outcome(lambda: run(folder, masks, out)):
            assert hidden_counts(record)
            assert record["end"] - record["start"] > -(10**30)
        path.write_text(whole)


def test_a_damaged_record_of_masks_is_refused_or_replaced(tmp_path: Path, folder: Path) -> None:
    out, options = tmp_path / "out", MaskOptions(tracker="grabcut", cuts="none", end=3)
    prompt = Prompt(0, mask=labels(1, SIZE)[0] > 0)
    mask(folder, [prompt], out, options)
    path = out / "masks.json"
    whole = path.read_text()
    for content in damaged(json.loads(whole), 30):
        path.write_text(json.dumps(content))
        if record := outcome(lambda: mask(folder, [prompt], out, options)):
            assert sum(area > 0 for area in record["areas"]) <= COUNT
            assert record["seconds_a_frame"] is not None
        path.write_text(whole)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_names_that_cannot_be_are_refused_in_three_parts(tmp_path: Path, masks: Path, folder: Path, name: str) -> None:
    for job in (
        lambda: run(folder, masks, tmp_path / name),
        lambda: mask(folder, [Prompt(0, box=(1, 1, 9, 9))], tmp_path / name, MaskOptions(tracker="grabcut")),
    ):
        with pytest.raises(OSError, match=r"must be a folder; choose (a shorter|another) name"):
            job()


def test_a_link_to_nothing_is_refused_in_three_parts(tmp_path: Path, masks: Path, folder: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="is a link to nothing; the output must be a folder; choose another name"):
        run(folder, masks, tmp_path / "out")
    (tmp_path / "frames-link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="frames-link does not exist"):
        run(tmp_path / "frames-link", masks, tmp_path / "other")
    assert not (tmp_path / "nowhere").exists()


def test_a_link_to_a_folder_is_one(tmp_path: Path, masks: Path, folder: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    assert not run(folder, masks, tmp_path / "out")["finished_before"]
    assert (tmp_path / "real" / "run.json").exists()


def test_damage_is_of_every_kind() -> None:
    plain = {"a": 1, "b": [1, 2], "c": {"d": "e"}}
    found = list(damaged(plain, 200))
    assert json.dumps(plain) not in map(json.dumps, found)
    assert any("a" not in content for content in found)
    assert any(content.get("c") == {} for content in found)
