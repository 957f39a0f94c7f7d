"""What voin does with names on systems that these tests do not need: Windows, macOS and their file systems."""

from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import pytest

from scenes.video_clips import described
from voin.app.gate.sessions import safe_name
from voin.core import files
from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.files import is_portable, one_name, replace_file, write_whole
from voin.io.masks.frames import frames_of
from voin.jobs.batch import read_table
from voin.jobs.layout import Layout
from voin.jobs.options import CompleteOptions

BAD = [
    "CON",
    "con.mp4",
    "Aux.tar.gz",
    "nul",
    "COM1.png",
    "lpt9",
    "a.",
    "a ",
    "a:b",
    "C:",
    "a\\b",
    "a?",
    'a"',
    "a\nb",
    "",
]
GOOD = ["clip", "console", "com10", "a.b", "été", "日本", ".hidden", "a b", "x" * 255]


def test_names_that_some_system_cannot_have_are_known() -> None:
    assert not any(map(is_portable, BAD))
    assert all(map(is_portable, GOOD))
    assert not is_portable("é" * 128)  # bytes count


def test_names_that_some_system_takes_for_one_are_known() -> None:
    for one, other in (("Clip", "cLIP"), (normalize("NFC", "été"), normalize("NFD", "Été")), ("straße", "STRASSE")):
        assert one_name(one) == one_name(other)
    assert one_name("a") != one_name("á")


@pytest.mark.parametrize("name", [*BAD, "CON " * 60, "../CON", "..", "C:\\Windows\\a.mp4"])
def test_what_the_page_calls_a_file_is_a_name_everywhere(name: str) -> None:
    assert is_portable(safe_name(name))
    assert Path(safe_name(name)).name == safe_name(name)


def test_the_names_that_a_run_makes_itself_are_names_everywhere() -> None:
    layout = Layout(("00000", "00001"), (1, 2), False, "mov", True, True, True)
    made = [part for path in layout.everything() for part in path.parts]
    assert all(map(is_portable, made))
    assert len({one_name(str(path)) for path in layout.everything()}) == len({*layout.everything()})


@pytest.mark.parametrize("names", [("Clip", "clip"), (normalize("NFC", "é"), normalize("NFD", "é"))])
def test_clips_of_a_batch_that_would_share_a_folder_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    (tmp_path / "t.csv").write_text("video,name\n" + "".join(f"a.mp4,{name}\n" for name in names), encoding="utf-8")
    with pytest.raises(ValueRefusal, match=r"2 clips of the name .* case does not count"):
        read_table(tmp_path / "t.csv", CompleteOptions())


@pytest.mark.parametrize("name", [name for name in BAD if name.strip() == name and name and "\n" not in name])
def test_a_clip_of_a_batch_has_a_name_that_is_one_everywhere(tmp_path: Path, name: str) -> None:
    quoted = name.replace('"', '""')
    (tmp_path / "t.csv").write_text(f'video,name\na.mp4,"{quoted}"\n')
    with pytest.raises(ValueRefusal, match="a folder on any system"):
        read_table(tmp_path / "t.csv", CompleteOptions())


def test_masks_match_frames_however_their_accents_are_written(tmp_path: Path) -> None:
    from dataclasses import replace

    info = replace(described(count=2), kind="folder", names=(normalize("NFC", "é1"), normalize("NFC", "à2")))
    found = frames_of(tmp_path, [normalize("NFD", "à2")], info, None)
    assert found.frames == [1]


class Open:
    """A file that another program has open: Windows refuses to replace it, so many times."""

    def __init__(self, times: int) -> None:
        self.times, self.asked, self.renames = times, 0, Path.replace

    def replace(self, draft: Path, path: Path) -> None:
        self.asked += 1
        if self.asked <= self.times:
            raise PermissionError(13, "The process cannot access the file because it is being used", str(path))
        self.renames(draft, path)


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(files.time, "sleep", waited.append)
    return waited


def test_on_windows_a_file_that_is_open_for_a_moment_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, naps: list[float]
) -> None:
    (tmp_path / "a").write_text("old")
    other = Open(3)
    monkeypatch.setattr(files, "_IS_WINDOWS", True)
    monkeypatch.setattr(Path, "replace", lambda draft, path: other.replace(draft, path))
    write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_text() == "new"
    assert 0 < sum(naps) < 1


@pytest.mark.parametrize("windows", [True, False])
def test_what_cannot_be_replaced_is_refused_and_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, naps: list[float], windows: bool
) -> None:
    (tmp_path / "a").write_text("old")
    other = Open(99)
    monkeypatch.setattr(files, "_IS_WINDOWS", windows)
    monkeypatch.setattr(Path, "replace", lambda draft, path: other.replace(draft, path))
    with pytest.raises(OSError) as error:
        write_whole(tmp_path / "a", b"new")
    assert isinstance(error.value, FileRefusal if windows else PermissionError)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old"}
    assert (len(naps) > 0) == windows


def test_a_finished_file_gets_its_name(tmp_path: Path) -> None:
    (tmp_path / "draft").write_text("new")
    replace_file(tmp_path / "draft", tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
