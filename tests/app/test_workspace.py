from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.fake_method import labels, save_labels
from fakes.web_desks import studio_of
from scenes.video_clips import COUNT, encode, pictures
from voin.app.limits import Limits
from voin.app.marks import as_data_url
from voin.app.sessions import Sessions
from voin.app.workspace import Workspace

SIZE = (96, 128)


@pytest.fixture
def sessions() -> Iterator[Sessions]:
    sessions = Sessions()
    yield sessions
    sessions.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    frames = pictures(size=SIZE)
    for i, frame in enumerate(frames):
        frame[20:60, 25 + i : 65 + i] = (230, 40, 30)
    encode(root / "clip.mp4", frames)
    encode(tmp_path / "secret.mp4", pictures(size=SIZE))
    (root / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    return root


@pytest.fixture
def studio(sessions: Sessions, root: Path) -> Workspace:
    studio = studio_of(sessions, root)
    studio.choose_below_root("clip.mp4")
    return studio


def uploaded(sessions: Sessions, path: Path) -> Path:
    """Put a file where Gradio does."""
    target = sessions.folder / "aa11" / path.name
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(path.read_bytes())
    return target


def test_a_video_is_chosen_below_the_root(studio: Workspace) -> None:
    assert studio.about() == "clip.mp4: 128x96, 12 frames, 25 frames/s"
    assert (studio.start, studio.end, studio.frame) == (0, COUNT, 0)


@pytest.mark.parametrize("name", ["../secret.mp4", "link.mp4", "/etc/passwd", "absent.mp4", None])
def test_nothing_outside_the_root_can_be_chosen(studio: Workspace, name: object) -> None:
    with pytest.raises(ValueError, match="is not in the folder that this server shows"):
        studio.choose_below_root(name)
    assert studio.name == "clip.mp4"  # as before


def test_without_a_root_nothing_of_the_server_can_be_chosen(sessions: Sessions) -> None:
    with pytest.raises(ValueError, match="this server shows no folder"):
        studio_of(sessions).choose_below_root("clip.mp4")


def test_an_upload_is_chosen_by_its_own_name(sessions: Sessions, root: Path) -> None:
    studio = studio_of(sessions)
    studio.choose_upload(uploaded(sessions, root / "clip.mp4"))
    assert studio.name == "clip.mp4"
    assert studio.video.path.parent == studio.session.folder


def test_a_refused_upload_leaves_nothing_and_changes_nothing(sessions: Sessions, root: Path, tmp_path: Path) -> None:
    studio = studio_of(sessions, root, Limits(pixels=100))
    with pytest.raises(ValueError, match="at most 100 pixels"):
        studio.choose_upload(uploaded(sessions, root / "clip.mp4"))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    with pytest.raises(ValueError, match=r"cannot be read as a video .*; it must be a whole mp4"):
        studio.choose_upload(uploaded(sessions, broken))
    assert studio.info is None
    assert list(studio.session.folder.iterdir()) == []


def test_before_there_is_a_video_everything_says_so(sessions: Sessions) -> None:
    studio = studio_of(sessions)
    verbs: list[Any] = [studio.about, studio.picture, studio.track, lambda: studio.trim(0, 1), lambda: studio.go(0)]
    for verb in [*verbs, lambda: studio.draw({}), lambda: studio.type("", "", ""), lambda: studio.take_masks("x")]:
        with pytest.raises(ValueError, match="there is no video yet; one must be chosen first"):
            verb()


@pytest.mark.parametrize("part", [(5, 5), (-1, 3), (0, 13), (7, 3), (None, 3), ("a", 3), (0.5, 3), (0, 1e400)])
def test_a_part_that_is_none_is_refused(studio: Workspace, part: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r"correct"):
        studio.trim(*part)
    assert (studio.start, studio.end) == (0, COUNT)


def test_one_end_of_the_part_gives_way_to_the_other(studio: Workspace) -> None:
    studio.trim(2, 5)
    studio.trim_start(7)
    assert (studio.start, studio.end) == (7, COUNT)
    studio.trim_end(10)
    studio.trim_end(4)
    assert (studio.start, studio.end) == (0, 4)
    studio.trim_start(1)
    assert (studio.start, studio.end) == (1, 4)
    for verb, value in ((studio.trim_start, COUNT), (studio.trim_end, 0), (studio.trim_end, COUNT + 1)):
        with pytest.raises(ValueError, match="the part is frame"):
            verb(value)
    assert (studio.start, studio.end) == (1, 4)


def test_what_is_drawn_is_marked_on_its_frame(studio: Workspace) -> None:
    studio.go(3)
    mask = np.zeros(SIZE, bool)
    mask[10:20, 10:20] = True
    for event in (
        {"kind": "box", "x": 5, "y": 6, "w": 40, "h": 30},
        {"kind": "point", "x": 20, "y": 20},
        {"kind": "not", "x": 90, "y": 80},
        {"kind": "paint", "data": as_data_url(mask)},
    ):
        studio.draw({"frame": 3, **event})
    marks = studio.marks
    assert (marks.box, marks.points, marks.negative) == ((5, 6, 40, 30), ((20, 20),), ((90, 80),))
    assert (marks.mask == mask).all()
    studio.draw({"kind": "point", "x": 1, "y": 1, "frame": 2})  # another frame is shown by now
    assert len(studio.marks.points) == 1
    studio.go(99)
    assert (studio.frame, bool(studio.marks)) == (COUNT - 1, False)


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "box", "x": 5, "y": 6, "w": 400, "h": 30},
        {"kind": "box", "x": 5, "y": 6, "w": "wide", "h": 30},
        {"kind": "box"},
        {"kind": "point", "x": 128, "y": 0},
        {"kind": "not", "x": -1, "y": 0},
        {"kind": "paint", "data": "x"},
    ],
)
def test_what_cannot_be_drawn_is_refused(studio: Workspace, event: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=";"):
        studio.draw({"frame": 0, **event})
    assert not studio.marks


def test_from_a_box_to_the_result(studio: Workspace) -> None:
    studio.trim(2, 9)
    studio.go(4)
    studio.draw({"kind": "box", "frame": 4, "x": 20, "y": 12, "w": 60, "h": 56})
    _, area = studio.picture()
    assert area == pytest.approx(1600, rel=0.1)
    with pytest.raises(ValueError, match="there are no masks yet"):
        studio.complete("classical", "dis", "cpu", 18)
    studio.track(tracker="grabcut")
    assert [job.state for job in studio.collect()] == ["done"]
    assert studio.masks is not None
    assert len(list(studio.masks.glob("*.png"))) == COUNT
    assert studio.collect() == []
    job = studio.complete("classical", "dis", "cpu", 18, save_confidence=True)
    assert job.state == "done", job.parts
    studio.collect()
    assert studio.chosen is job
    assert 2 <= studio.most_hidden() < 9
    pairs = [studio.pair(frame, "result") for frame in (0, 4, 5, 6, 7, 8)]
    assert sum(path.exists() for pair in pairs for path in pair) == 8  # the latest; older ones are removed
    work, _ = studio.result
    assert work.command().splitlines()[0].startswith("voin mask clip.mp4 -o masks --frame 4 --box 20,12,60,56")
    everything = [path for path in studio.session.folder.rglob("*") if path.is_file()]
    assert all(path.resolve().is_relative_to(studio.session.folder) for path in everything)


def test_uploaded_masks_are_used(studio: Workspace, sessions: Sessions, tmp_path: Path) -> None:
    np.savez(tmp_path / "masks.npz", np.stack(labels(COUNT, SIZE)))
    assert studio.take_masks(uploaded(sessions, tmp_path / "masks.npz")) == COUNT
    assert studio.masks is not None
    assert (studio.tracked, studio.picture()[1]) == (None, (labels(COUNT, SIZE)[0] > 0).sum())
    before = studio.masks
    (tmp_path / "bad.npz").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"bad.npz"):
        studio.take_masks(uploaded(sessions, tmp_path / "bad.npz"))
    assert studio.masks == before


def test_the_samples_come_with_masks(sessions: Sessions, bikes: Path) -> None:
    studio = studio_of(sessions)
    studio.choose_sample("bicycle")
    assert (studio.video.path, studio.start, studio.end, studio.frame) == (bikes, 187, 242, 187)
    assert studio.is_sample()
    studio.trim(190, 200)
    studio.take_sample_masks()
    studio.go(195)
    assert (studio.picture()[1] or 0) > 1000
    studio.trim(0, 200)
    with pytest.raises(ValueError, match="there are masks for the samples alone"):
        studio.take_sample_masks()
    with pytest.raises(ValueError, match="there is no sample 'x'"):
        studio.choose_sample("x")


def test_masks_of_another_part_are_not_taken(studio: Workspace) -> None:
    studio.trim(0, 4)
    studio.draw({"kind": "box", "frame": 0, "x": 15, "y": 12, "w": 60, "h": 56})
    studio.track(tracker="grabcut")
    studio.trim(6, 10)
    studio.collect()
    assert studio.masks is None


def test_a_video_goes_by_the_name_that_its_owner_gave_it(sessions: Sessions, root: Path) -> None:
    studio = studio_of(sessions, root)
    (root / "clip.mp4").rename(root / "my clip (1).mp4")
    studio.choose_below_root("my clip (1).mp4")
    assert studio.name == "my clip (1).mp4"


def test_a_new_video_begins_anew(studio: Workspace, root: Path, sessions: Sessions, tmp_path: Path) -> None:
    studio.draw({"kind": "point", "frame": 0, "x": 20, "y": 20})
    studio.masks = save_labels(tmp_path / "masks", labels(COUNT, SIZE))
    studio.choose_upload(uploaded(sessions, root / "clip.mp4"))
    assert (studio.masks, studio.board.frames) == (None, {})


def test_messages_do_not_say_where_files_lie(studio: Workspace, root: Path) -> None:
    place = studio.session.place("my clip.mp4")
    assert studio.plain(f"{place} is broken; see {root}/deep/b.mov") == "my_clip.mp4 is broken; see deep/b.mov"
    assert studio.plain("nothing to hide") == "nothing to hide"


def test_jobs_of_others_cannot_be_named(studio: Workspace, sessions: Sessions, root: Path) -> None:
    other = studio_of(sessions, root)
    other.choose_below_root("clip.mp4")
    other.draw({"kind": "box", "frame": 0, "x": 20, "y": 15, "w": 60, "h": 50})
    other.track(tracker="grabcut")
    for number in (1, 0, -1, None):
        with pytest.raises(ValueError, match=r"job"):
            studio.job(number)
    with pytest.raises(ValueError, match="has no result to look at"):
        other.look(1)
    with pytest.raises(ValueError, match="there is no result yet"):
        studio.pair(0, "result")
