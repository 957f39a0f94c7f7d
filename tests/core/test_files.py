from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from voin.core.files import JobFolder, fits, identity, read_json, write_json


class Notes(JobFolder):
    """A job that writes one text."""

    RECORD, KIND = "notes.json", "pad"

    def outputs(self) -> Iterator[Path]:
        yield Path("note.txt")

    def stranger(self, overwrite: bool) -> str | None:
        ours = self.record is not None or self.state is not None
        return "note.txt, which is yours" if not ours and (self.path / "note.txt").exists() else None

    def remove(self, content: dict[str, Any]) -> None:
        (self.path / "note.txt").unlink(missing_ok=True)


def finish(folder: Notes) -> None:
    with folder.held():
        folder.begin({"request": folder.request})
        (folder.path / "note.txt").write_text("done")
        write_json(folder.path / folder.RECORD, {"request": folder.request})
        folder.forget()


def test_a_finished_job_leaves_its_record_and_files_and_is_known_again(tmp_path: Path) -> None:
    finish(Notes(tmp_path / "out", {"size": (2, 3)}))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["note.txt", "notes.json"]
    again = Notes(tmp_path / "out", {"size": (2, 3)})
    assert (again.is_finished(), again.is_begun()) == (True, False)
    (tmp_path / "out" / "note.txt").unlink()
    assert not again.is_finished()


def test_another_job_is_refused_and_told_in_what_it_differs(tmp_path: Path) -> None:
    finish(Notes(tmp_path, {"size": {"h": 2, "w": 3}}))
    other = Notes(tmp_path, {"size": {"h": 2, "w": 4}})
    with pytest.raises(OSError, match=r"holds another pad \(other size\.w\); .*; .*--overwrite to replace that pad"):
        other.check(overwrite=False)
    with other.held(overwrite=True):
        other.begin({"request": other.request})
        assert not (tmp_path / "note.txt").exists()
        assert read_json(tmp_path / ".voin" / "state.json") == {"request": other.request}


def test_what_no_job_has_written_stays(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OSError, match=r"holds note\.txt, which is yours; .*; move it away"):
            Notes(tmp_path, {}).check(overwrite)
    with pytest.raises(OSError, match="is a file; the output must be a folder"):
        Notes(tmp_path / "note.txt", {}).check(overwrite=True)


def test_a_job_must_say_what_would_be_lost(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="stranger"):
        JobFolder(tmp_path, {})  # type: ignore[abstract]


def test_a_folder_that_a_refused_job_has_made_is_removed_again(tmp_path: Path) -> None:
    folder = Notes(tmp_path / "deep" / "out", {})
    with suppress(ValueError), folder.held():
        assert folder.path.is_dir()
        raise ValueError("too late")
    assert list(tmp_path.iterdir()) == []


def test_what_changed_before_the_folder_was_held_is_seen(tmp_path: Path) -> None:
    late = Notes(tmp_path, {"number": 1})
    late.check(overwrite=False)
    finish(Notes(tmp_path, {"number": 2}))
    with pytest.raises(OSError, match="holds another pad"), late.held():
        pytest.fail("this would lose what the other one has written")


def test_a_killed_job_lets_go_of_its_folder(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_hold, args=(tmp_path,))
    process.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.02)
    with pytest.raises(OSError, match="is being written by another run"), Notes(tmp_path, {}).held():
        pass
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with Notes(tmp_path, {}).held():
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["held"]


def test_in_many_races_nobody_holds_a_folder_with_another(tmp_path: Path) -> None:
    """Runs that begin, work, remove their state and let go, as fast as they can, in threads and in processes."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_race, args=(tmp_path, 40)) for _ in range(3)]
    for process in processes:
        process.start()
    threads = [threading.Thread(target=_race, args=(tmp_path, 40)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for runner in (*threads, *processes):
        runner.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    results = [json.loads(path.read_text()) for path in tmp_path.glob("result-*.json")]
    assert sum(result["held"] for result in results) == 6 * 40
    assert sum(result["double"] for result in results) == 0
    assert list((tmp_path / "out").glob("*")) == []


def _hold(path: Path) -> None:
    with Notes(path, {}).held():
        (path / "held").touch()
        time.sleep(60)


def _race(root: Path, times: int) -> None:
    """Hold a folder so often, and count how often somebody else held it at the same time."""
    counts = {"held": 0, "double": 0}
    folder, mark = Notes(root / "out", {}), root / "mark"
    while counts["held"] < times:
        try:
            with folder.held():
                try:
                    os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    counts["double"] += 1
                folder.begin({"request": folder.request})
                folder.clear()
                mark.unlink(missing_ok=True)
                counts["held"] += 1
        except OSError as error:
            assert "is being written by another run" in str(error)  # noqa: PT017 - all but that is a failure
    (root / f"result-{os.getpid()}-{threading.get_ident()}.json").write_text(json.dumps(counts))


@pytest.mark.parametrize(
    ("content", "shape", "expected"),
    [
        (1, int, True),
        (True, int, False),
        (True, bool, True),
        (1.5, (int, float), True),
        ([1, 2], [int], True),
        ([1, "a"], [int], False),
        ({"a": 1, "b": 2}, {"a": int}, True),
        ({"b": 2}, {"a": int}, False),
        ({"x": [1], "y": []}, {str: [int]}, True),
        ({"x": [1], "y": None}, {str: [int]}, False),
        (None, {"a": int}, False),
        ([], {str: int}, False),
    ],
)
def test_json_has_a_shape_or_has_it_not(content: Any, shape: Any, expected: bool) -> None:
    assert fits(content, shape) is expected


def test_what_a_file_manager_notes_in_a_folder_makes_it_no_other(tmp_path: Path) -> None:
    (tmp_path / "00000.png").write_bytes(b"a")
    before = identity(tmp_path)
    (tmp_path / ".DS_Store").write_bytes(b"b")
    assert identity(tmp_path) == before
    (tmp_path / "00001.png").write_bytes(b"c")
    assert identity(tmp_path) != before


def test_a_name_that_is_no_utf8_can_be_written_and_read(tmp_path: Path) -> None:
    content = {"path": os.fsdecode(b"v\xff\xfe.mp4"), "names": ["\udcff", "\u00f6"]}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content
