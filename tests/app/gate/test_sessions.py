from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from voin.app.gate.sessions import (
    Session,
    Sessions,
    find_inside,
    list_videos,
    new_upload_folder,
    safe_name,
    short_name,
    take_upload,
)


@pytest.fixture
def ended() -> list[Session]:
    return []


@pytest.fixture
def sessions(ended: list[Session]) -> Iterator[Sessions]:
    sessions = Sessions(ended=ended.append, keep_seconds=0.2)
    yield sessions
    sessions.close()


def test_each_page_has_a_session_of_its_own(sessions: Sessions) -> None:
    first, second = sessions.enter("", "page 1"), sessions.enter("", "page 2")
    assert first.token != second.token
    assert first.folder != second.folder
    assert {first.folder.parent, second.folder.parent} == {sessions.folder}
    assert len(first.token) >= 43  # 256 bits


def test_a_page_that_is_loaded_again_finds_its_session(sessions: Sessions, ended: list[Session]) -> None:
    session = sessions.enter("", "page 1")
    sessions.leave("page 1")
    assert sessions.enter(session.token, "page 2") is session
    time.sleep(0.3)
    sessions.reap()
    assert sessions.find(session.token) is session
    assert ended == []


def test_a_session_that_was_left_ends_and_its_files_are_gone(sessions: Sessions, ended: list[Session]) -> None:
    session, other = sessions.enter("", "page 1"), sessions.enter("", "page 2")
    (session.folder / "file").write_text("mine")
    sessions.leave("page 1")
    sessions.reap()
    assert session.folder.exists()  # the page may be loaded again
    time.sleep(0.3)
    sessions.reap()
    assert not session.folder.exists()
    assert (ended, len(sessions), other.folder.exists()) == ([session], 1, True)
    with pytest.raises(ValueError, match="this session has ended"):
        sessions.find(session.token)
    assert sessions.enter(session.token, "page 3").token != session.token  # nobody can choose a secret


@pytest.mark.parametrize("token", ["", "absent", None, 3, [], {}])
def test_what_is_no_secret_finds_nothing(sessions: Sessions, token: object) -> None:
    with pytest.raises(ValueError, match="load the page again"):
        sessions.find(token)


def test_nothing_is_left_after_closing(ended: list[Session]) -> None:
    sessions = Sessions(ended=ended.append)
    for page in "ab":
        (sessions.enter("", page).folder / "file").write_text("mine")
    sessions.close()
    assert not sessions.folder.exists()
    assert len(ended) == 2


def test_places_in_a_session_are_new_and_in_its_folder(sessions: Sessions) -> None:
    session = sessions.enter("", "page")
    places = [session.place(name) for name in ("a.mp4", "a.mp4", "../../etc/passwd", "..", "")]
    assert len(set(places)) == 5
    assert all(place.resolve().parent == session.folder for place in places)


# --- uploads


def uploaded(sessions: Sessions, name: str = "clip.mp4") -> Path:
    path = new_upload_folder(sessions.folder) / name
    path.write_text("video")
    return path


NAMES = ["clip.mp4", "100%20done.mp4", "a b;c$(x)&.mp4", "-o.mp4", "\u00e4\u4e2d.mp4", "a\nb.mp4", "x" * 251 + ".mp4"]


@pytest.mark.parametrize("name", [*NAMES, "\U00020000" * 62 + ".mp4"])
def test_an_upload_of_any_name_is_taken_and_goes_with_the_session(sessions: Sessions, name: str) -> None:
    session, path = sessions.enter("", "page 1"), uploaded(sessions, name)
    mine = take_upload(session, path, sessions.folder)
    assert (mine.parent, mine.read_text(), mine.suffix) == (session.folder, "video", ".mp4")
    assert not path.parent.exists()
    sessions.end(session)
    assert not mine.exists()


def test_an_upload_is_taken_once(sessions: Sessions) -> None:
    first, second = sessions.enter("", "page 1"), sessions.enter("", "page 2")
    path = uploaded(sessions)
    mine = take_upload(first, path, sessions.folder)
    with pytest.raises(ValueError, match="this is no upload of this page"):
        take_upload(second, path, sessions.folder)
    sessions.end(second)
    assert mine.exists()


def test_a_file_of_another_session_cannot_be_taken_though_its_secret_is_known(sessions: Sessions) -> None:
    first, second = sessions.enter("", "page 1"), sessions.enter("", "page 2")
    mine = take_upload(first, uploaded(sessions), sessions.folder)
    with pytest.raises(ValueError, match="this is no upload of this page"):
        take_upload(second, mine, sessions.folder)
    sessions.end(second)
    assert mine.read_text() == "video"


GIVEN = ["/etc/passwd", "{folder}/../x", "{folder}", "{folder}/absent/file", "", None, "{folder}/a\0", "\0", "x" * 5000]


@pytest.mark.parametrize("given", [*GIVEN, "{folder}/owner.txt", "{folder}/upload-x/../owner.txt", "\udc80"])
def test_what_is_no_upload_is_refused(sessions: Sessions, given: str | None) -> None:
    session = sessions.enter("", "page")
    path = given.replace("{folder}", str(sessions.folder)) if given else given
    with pytest.raises(ValueError, match="this is no upload of this page; files must be chosen in it; choose"):
        take_upload(session, path, sessions.folder)


def test_a_link_among_uploads_leads_nowhere(sessions: Sessions, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    link = new_upload_folder(sessions.folder) / "clip.mp4"
    link.symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="this is no upload"):
        take_upload(sessions.enter("", "page"), link, sessions.folder)


def test_uploads_that_nobody_took_are_removed_after_a_while(sessions: Sessions) -> None:
    session = sessions.enter("", "page")
    old, new = uploaded(sessions), uploaded(sessions)
    stray = sessions.folder / "tmpabc"
    stray.write_text("")
    for path in (old.parent, session.folder, stray):
        os.utime(path, (1, 1))
    sessions.reap()
    assert [path.exists() for path in (old, new, session.folder, stray)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("clip.mp4", "clip.mp4"),
        ("x" * 300 + ".mp4", "x" * 251 + ".mp4"),
        ("\u4e2d" * 99, "\u4e2d" * 85),
        ("..", "file"),
        ("", "file"),
        ("a." + "b" * 300, "a." + "b" * 253),
    ],
)
def test_names_are_no_longer_than_file_systems_allow(name: str, short: str) -> None:
    assert short_name(name) == short


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("clip.mp4", "clip.mp4"),
        ("../../etc/passwd", "passwd"),
        ("a b;c$(x).mp4", "a_b_c__x_.mp4"),
        (".hidden", "hidden"),
        ("\U00020000" * 60 + ".mp4", "\U00020000" * 19 + ".mp4"),
        ("x." + "y" * 300, "x." + "y" * 78),
        ("..", "file"),
        ("x" * 300 + ".mp4", "x" * 76 + ".mp4"),
        ('<img src="x">.mp4', "_img_src__x__.mp4"),
    ],
)
def test_names_of_strangers_become_plain(name: str, plain: str) -> None:
    assert safe_name(name) == plain


# --- the folder that is shown


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a video, frames, and links inwards and outwards, beside a secret."""
    root = tmp_path / "root"
    for name in ("a.mp4", "deep/b.mov", "frames/00000.png", ".hidden/c.mp4", "notes.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    (tmp_path / "secret.mp4").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "d.mp4").write_text("secret")
    (root / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "same.mp4").symlink_to(root / "a.mp4")
    return root


def test_videos_and_frames_are_listed_but_nothing_outside(root: Path) -> None:
    assert list_videos(root) == ["a.mp4", "deep/b.mov", "frames/", "same.mp4"]
    assert all(find_inside(root, name).exists() for name in list_videos(root))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "../secret.mp4",
            "deep/../../secret.mp4",
            "deep/../a.mp4",
            "link.mp4",
            "folder/d.mp4",
            "folder",
            "..",
            ".",
            "",
        ),
        *("absent.mp4", "/etc/passwd", "{root}/a.mp4", "{root}/../secret.mp4", "a.mp4\0", "~/x"),
    ],
)
def test_no_path_leads_out(root: Path, text: str) -> None:
    with pytest.raises(ValueError, match="is not in the folder that this server shows"):
        find_inside(root, text.replace("{root}", str(root)))


def test_a_folder_of_frames_may_hold_no_link_outwards(root: Path) -> None:
    (root / "frames" / "00001.png").symlink_to(root / "frames" / "00000.png")
    assert find_inside(root, "frames") == root / "frames"
    (root / "frames" / "00002.png").symlink_to(root.parent / "secret.mp4")
    assert "frames/" not in list_videos(root)
    with pytest.raises(ValueError, match="is not in the folder"):
        find_inside(root, "frames")


def test_a_loop_of_links_is_refused(root: Path) -> None:
    (root / "loop.mp4").symlink_to(root / "loop.mp4")
    with pytest.raises(ValueError, match="is not in the folder"):
        find_inside(root, "loop.mp4")
    assert "loop.mp4" not in list_videos(root)
