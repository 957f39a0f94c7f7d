from __future__ import annotations

import zipfile
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes import web_works
from fakes.fake_method import labels, save_labels
from fakes.web_desks import workspace_of
from scenes.video_clips import COUNT, encode, pictures
from voin.app import workspace as workspace_module
from voin.app.controls import read_controls
from voin.app.gate.sessions import Sessions, new_upload_folder
from voin.app.marks import as_data_url
from voin.app.options import Limits
from voin.app.readers import Readers
from voin.app.render import read_label
from voin.app.work import Complete
from voin.app.workspace import Workspace
from voin.core.errors import Refusal, ValueRefusal
from voin.io.masks.export.convert import convert_masks
from voin.jobs.options import CompleteOptions, MaskOptions, MethodOptions

METHOD = MethodOptions(method="classical", device="cpu")
SIZE = (96, 128)
PNG = "data:image/png;base64,"


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
def workspace(sessions: Sessions, root: Path) -> Workspace:
    workspace = workspace_of(sessions, root)
    workspace.choose_below_root("clip.mp4")
    return workspace


def uploaded(sessions: Sessions, path: Path) -> Path:
    """Put a file where Gradio does."""
    target = new_upload_folder(sessions.folder) / path.name
    target.write_bytes(path.read_bytes())
    return target


def test_a_video_is_chosen_below_the_root(workspace: Workspace) -> None:
    assert workspace.about() == "clip.mp4: 128x96, 12 frames, 25 frames/s"
    assert (workspace.start, workspace.end, workspace.frame) == (0, COUNT, 0)


@pytest.mark.parametrize("name", ["../secret.mp4", "link.mp4", "/etc/passwd", "absent.mp4", None])
def test_nothing_outside_the_root_can_be_chosen(workspace: Workspace, name: object) -> None:
    with pytest.raises(ValueError, match="is not in the folder that this server shows"):
        workspace.choose_below_root(name)
    assert workspace.name == "clip.mp4"  # as before


def test_without_a_root_nothing_of_the_server_can_be_chosen(sessions: Sessions) -> None:
    with pytest.raises(ValueError, match="this server shows no folder"):
        workspace_of(sessions).choose_below_root("clip.mp4")


def test_an_upload_is_chosen_by_its_own_name(sessions: Sessions, root: Path) -> None:
    workspace = workspace_of(sessions)
    workspace.choose_upload(uploaded(sessions, root / "clip.mp4"))
    assert workspace.name == "clip.mp4"
    assert workspace.video.path.parent == workspace.session.folder


def test_a_refused_upload_leaves_nothing_and_changes_nothing(sessions: Sessions, root: Path, tmp_path: Path) -> None:
    workspace = workspace_of(sessions, root, Limits(pixels=100))
    with pytest.raises(ValueError, match="at most 100 pixels"):
        workspace.choose_upload(uploaded(sessions, root / "clip.mp4"))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    with pytest.raises(OSError, match=r"cannot be read as a video .*; it must be a whole mp4"):
        workspace.choose_upload(uploaded(sessions, broken))
    assert workspace.info is None
    assert list(workspace.session.folder.iterdir()) == []


def test_before_there_is_a_video_everything_says_so(sessions: Sessions) -> None:
    workspace = workspace_of(sessions)
    verbs: list[Any] = [
        workspace.about,
        workspace.picture,
        workspace.track,
        lambda: workspace.trim(0, 1),
        lambda: workspace.go(0),
    ]
    for verb in [
        *verbs,
        lambda: workspace.draw({"kind": "box"}),
        lambda: workspace.type("", "", ""),
        lambda: workspace.take_masks("x"),
    ]:
        with pytest.raises(ValueError, match="there is no video yet; one must be chosen first"):
            verb()


@pytest.mark.parametrize("part", [(5, 5), (-1, 3), (0, 13), (7, 3), (None, 3), ("a", 3), (0.5, 3), (0, 1e400)])
def test_a_part_that_is_none_is_refused(workspace: Workspace, part: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r"correct"):
        workspace.trim(*part)
    assert (workspace.start, workspace.end) == (0, COUNT)


def test_one_end_of_the_part_gives_way_to_the_other(workspace: Workspace) -> None:
    workspace.trim(2, 5)
    workspace.trim_start(7)
    assert (workspace.start, workspace.end) == (7, COUNT)
    workspace.trim_end(10)
    workspace.trim_end(4)
    assert (workspace.start, workspace.end) == (0, 4)
    workspace.trim_start(1)
    assert (workspace.start, workspace.end) == (1, 4)
    for verb, value in ((workspace.trim_start, COUNT), (workspace.trim_end, 0), (workspace.trim_end, COUNT + 1)):
        with pytest.raises(ValueError, match="the part is frame"):
            verb(value)
    assert (workspace.start, workspace.end) == (1, 4)


def test_what_is_drawn_is_marked_on_its_frame(workspace: Workspace) -> None:
    workspace.go(3)
    mask = np.zeros(SIZE, bool)
    mask[10:20, 10:20] = True
    for event in (
        {"kind": "box", "x": 5, "y": 6, "w": 40, "h": 30},
        {"kind": "point", "x": 20, "y": 20},
        {"kind": "not", "x": 90, "y": 80},
        {"kind": "paint", "data": as_data_url(mask)},
    ):
        workspace.draw({"frame": 3, **event})
    marks = workspace.marks
    assert (marks.box, marks.points, marks.negative) == ((5, 6, 40, 30), ((20, 20),), ((90, 80),))
    assert (marks.mask == mask).all()
    workspace.draw({"kind": "point", "x": 1, "y": 1, "frame": 2})  # another frame is shown by now
    assert len(workspace.marks.points) == 1
    workspace.go(99)
    assert (workspace.frame, bool(workspace.marks)) == (COUNT - 1, False)


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "box", "x": 5, "y": 6, "w": 400, "h": 30},
        {"kind": "box", "x": 5, "y": 6, "w": "wide", "h": 30},
        {"kind": "box"},
        {"kind": "point", "x": 128, "y": 0},
        {"kind": "not", "x": -1, "y": 0},
        {"kind": "paint", "data": "x"},
        {"kind": "paint", "data": "data:image/png;base64,\u00e4"},
        {"kind": "circle", "x": 1, "y": 1},
        {"kind": ["box"]},
        {},
    ],
)
def test_what_cannot_be_drawn_is_refused(workspace: Workspace, event: dict[str, Any]) -> None:
    with pytest.raises(ValueRefusal, match=r";.*;"):
        workspace.draw({"frame": 0, **event})
    assert not workspace.marks


@pytest.mark.parametrize("event", [None, 3, "box", [], [{"kind": "box"}], True])
def test_what_is_no_stroke_is_refused(workspace: Workspace, event: object) -> None:
    with pytest.raises(ValueRefusal, match="what was drawn is no stroke; it must be a box, a point or paint"):
        workspace.draw(event)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PAINTED = JSON | st.binary().map(lambda data: PNG + b64encode(data).decode())
STROKES = st.fixed_dictionaries(
    {"kind": st.sampled_from(["box", "point", "not", "paint"]), "frame": st.just(0)},
    optional={**dict.fromkeys("xywh", st.integers(-3, 140) | JSON), "data": PAINTED},
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STROKES | JSON, st.text(max_size=12), st.tuples(JSON, JSON))
def test_whatever_a_browser_sends_is_marked_or_refused(
    workspace: Workspace, event: Any, typed: str, values: tuple[Any, Any]
) -> None:
    for verb in (
        lambda: workspace.draw(event),
        lambda: workspace.type(typed, typed, typed),
        lambda: workspace.take_pen(*values),
        lambda: workspace.trim(*values),
        lambda: workspace.job(values[0]),
        lambda: workspace.choose_below_root(typed),
        lambda: workspace.choose_upload(typed),
        lambda: read_controls(CompleteOptions, {"layer": values[0], "quality.crf": values[1], "cuts": event}),
    ):
        refusals = []
        try:
            verb()
        except Refusal as refusal:
            refusals.append(refusal)
        assert all(len(refusal.parts) == 3 for refusal in refusals), refusals
    workspace.marked.clear()


def test_what_does_not_decode_is_refused_and_the_page_goes_on(sessions: Sessions, root: Path) -> None:
    workspace = workspace_of(sessions, root)
    readers = Readers(count=1)
    workspace.services = replace(workspace.services, readers=readers)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(workspace_module, "check_video", web_works.abort)  # as a codec does that crashes
            with pytest.raises(ValueRefusal, match=r"process that reads this file died; .*; convert it"):
                workspace.choose_below_root("clip.mp4")
        assert workspace.info is None
        workspace.choose_below_root("clip.mp4")
        assert workspace.video.count == COUNT
    finally:
        readers.close()


def test_from_a_box_to_the_result(workspace: Workspace) -> None:
    workspace.trim(2, 9)
    workspace.go(4)
    workspace.draw({"kind": "box", "frame": 4, "x": 20, "y": 12, "w": 60, "h": 56})
    _, area = workspace.picture()
    assert area == pytest.approx(1600, rel=0.1)
    with pytest.raises(ValueError, match="there are no masks yet"):
        workspace.complete(METHOD, CompleteOptions())
    workspace.track(MaskOptions(tracker="grabcut"))
    assert [job.state for job in workspace.collect()] == ["done"]
    assert workspace.masks is not None
    assert len(list(workspace.masks.glob("*.png"))) == COUNT
    assert workspace.collect() == []
    job = workspace.complete(METHOD, CompleteOptions(save_confidence=True))
    assert job.state == "done", job.parts
    workspace.collect()
    assert workspace.chosen is job
    assert 2 <= workspace.most_hidden() < 9
    pairs = [workspace.pair(frame, "result") for frame in (0, 4, 5, 6, 7, 8)]
    assert sum(path.exists() for pair in pairs for path in pair) == 8  # the latest; older ones are removed
    work, _ = workspace.result
    assert work.command().splitlines()[0].startswith("voin mask clip.mp4 -o masks --frame 4 --box 20,12,60,56")
    everything = [path for path in workspace.session.folder.rglob("*") if path.is_file()]
    assert all(path.resolve().is_relative_to(workspace.session.folder) for path in everything)


def test_several_objects_are_completed_behind_what_hides_them(workspace: Workspace) -> None:
    workspace.trim(0, 5)
    for target, (x, y) in {"1": (20, 12), "2": (90, 10), "front": (50, 60)}.items():
        workspace.take_target(target)
        assert (workspace.marks.box, workspace.shown_masks) == (None, None)  # each is marked by itself
        mask = np.zeros(SIZE, bool)
        mask[y : y + 30, x : x + 30] = True
        workspace.draw({"kind": "paint", "frame": 0, "data": as_data_url(mask)})
        assert workspace.picture()[1] == 900
        workspace.track(MaskOptions(tracker="grabcut"))
        workspace.collect()
        assert workspace.shown_masks is not None
    job = workspace.complete(METHOD, CompleteOptions(order=(2, 1), background=True))
    assert job.state == "done", job.parts
    workspace.collect()
    work, record = workspace.result
    assert {"background.zip", "occluder.zip"} <= {path.name for path in work.files()}
    assert "--background" in work.command()
    assert [int(number) for number in record["objects"]] == [1, 2]
    *lines, last = work.command().splitlines()
    assert [line.split(" --")[0] for line in lines] == ["voin mask clip.mp4 -o occluder"]
    assert "--occluder occluder" in last
    assert "--order 2,1" in last
    packed = zipfile.ZipFile(work.folder / "files" / "masks.zip").namelist()
    assert {name.partition("/")[0] for name in packed} == {"masks", "occluder", "painted", "painted_occluder"}
    text = (work.folder / "files" / "run.json").read_text()
    assert str(workspace.session.folder) not in text
    with pytest.raises(ValueRefusal, match="'5' is nothing to mark"):
        workspace.take_target("5")


def test_the_background_needs_what_is_in_front(workspace: Workspace, sessions: Sessions, tmp_path: Path) -> None:
    np.savez(tmp_path / "masks.npz", np.stack(labels(COUNT, SIZE)))
    workspace.take_masks(uploaded(sessions, tmp_path / "masks.npz"))
    with pytest.raises(ValueRefusal, match=r'nothing says what it is; .* choose "What hides it", mark it'):
        workspace.complete(METHOD, CompleteOptions(background=True))
    assert workspace.jobs == []


def test_whole_masks_are_given_to_the_run(workspace: Workspace, sessions: Sessions, tmp_path: Path) -> None:
    np.savez(tmp_path / "masks.npz", np.stack(labels(COUNT, SIZE)))
    workspace.take_masks(uploaded(sessions, tmp_path / "masks.npz"))
    workspace.take_amodal(uploaded(sessions, tmp_path / "masks.npz"))
    job = workspace.complete(METHOD, CompleteOptions())
    assert job.state == "done", job.parts
    assert isinstance(job.work, Complete)
    assert job.work.options.amodal == workspace.amodal
    assert "--amodal amodal" in job.work.command()


def test_uploaded_masks_of_what_hides_the_object_are_given_to_the_run(
    workspace: Workspace, sessions: Sessions, tmp_path: Path
) -> None:
    np.savez(tmp_path / "masks.npz", np.stack(labels(COUNT, SIZE)))
    np.savez(tmp_path / "front.npz", np.roll(np.stack(labels(COUNT, SIZE)) > 0, 40, axis=2))
    workspace.take_masks(uploaded(sessions, tmp_path / "masks.npz"))
    seen = workspace.masks
    workspace.take_target("front")
    assert workspace.take_masks(uploaded(sessions, tmp_path / "front.npz")) == COUNT
    assert (workspace.masks, workspace.target) == (seen, "front")  # the object's own stay as they are
    assert workspace.picture()[1] == (labels(COUNT, SIZE)[0] > 0).sum()
    job = workspace.complete(METHOD, CompleteOptions(background=True))
    assert job.state == "done", job.parts
    assert isinstance(job.work, Complete)
    assert job.work.command().count("--occluder occluder") == 1
    packed = zipfile.ZipFile(job.work.folder / "files" / "masks.zip").namelist()
    assert {name.partition("/")[0] for name in packed} == {"masks", "occluder"}
    # What is tracked after that takes their place, and the other way round.
    workspace.draw({"kind": "box", "frame": 0, "x": 2, "y": 12, "w": 16, "h": 60})
    assert workspace.track(MaskOptions(tracker="grabcut")).state == "done"
    workspace.collect()
    assert workspace.shown_masks == workspace.others["front"].out
    assert workspace.occluder is None  # no upload lies behind it
    workspace.take_masks(uploaded(sessions, tmp_path / "front.npz"))
    assert "front" not in workspace.others
    workspace.choose_below_root("clip.mp4")
    assert workspace.occluder is None


def test_only_networks_that_are_offered_can_be_chosen(workspace: Workspace, sessions: Sessions, tmp_path: Path) -> None:
    np.savez(tmp_path / "masks.npz", np.stack(labels(COUNT, SIZE)))
    workspace.take_masks(uploaded(sessions, tmp_path / "masks.npz"))
    with pytest.raises(ValueRefusal, match="the networks '/etc' are not offered here; it must be one of none"):
        workspace.complete(MethodOptions(model="/etc"), CompleteOptions())
    workspace.services = replace(workspace.services, models=("mine",))
    job = workspace.complete(MethodOptions(model="mine"), CompleteOptions())
    assert job.state == "refused"  # by the job: there are none of this name


def test_uploaded_masks_are_used(workspace: Workspace, sessions: Sessions, tmp_path: Path) -> None:
    np.savez(tmp_path / "masks.npz", np.stack(labels(COUNT, SIZE)))
    assert workspace.take_masks(uploaded(sessions, tmp_path / "masks.npz")) == COUNT
    assert workspace.masks is not None
    assert (workspace.tracked, workspace.picture()[1]) == (None, (labels(COUNT, SIZE)[0] > 0).sum())
    before = workspace.masks
    (tmp_path / "bad.npz").write_bytes(b"x")
    with pytest.raises(OSError, match=r"bad.npz"):
        workspace.take_masks(uploaded(sessions, tmp_path / "bad.npz"))
    assert workspace.masks == before


def test_annotations_are_taken_and_several_files_are_an_object_each(
    workspace: Workspace, sessions: Sessions, tmp_path: Path
) -> None:
    one = np.stack(labels(COUNT, SIZE)) > 0
    np.savez(tmp_path / "one.npz", one)
    np.savez(tmp_path / "two.npz", np.roll(one, 60, axis=2))
    convert_masks(tmp_path / "two.npz", tmp_path / "two.json")
    given = [str(uploaded(sessions, tmp_path / name)) for name in ("one.npz", "two.json")]
    assert workspace.take_masks(given) == COUNT
    assert workspace.masks is not None
    label = read_label(workspace.masks, 0)
    assert label is not None
    assert set(np.unique(label)) == {0, 1, 2}
    assert not [path for path in workspace.session.folder.iterdir() if path.suffix in (".npz", ".json")]
    (tmp_path / "bad.xml").write_text("<a>")
    with pytest.raises(OSError, match=r"bad.xml cannot be read .*; it must be whole XML"):
        workspace.take_masks([uploaded(sessions, tmp_path / "one.npz"), uploaded(sessions, tmp_path / "bad.xml")])


def test_the_samples_come_with_masks(sessions: Sessions, bikes: Path) -> None:
    workspace = workspace_of(sessions)
    workspace.choose_sample("bicycle")
    assert (workspace.video.path, workspace.start, workspace.end, workspace.frame) == (bikes, 187, 242, 187)
    assert workspace.is_sample()
    workspace.trim(190, 200)
    workspace.take_sample_masks()
    workspace.go(195)
    assert (workspace.picture()[1] or 0) > 1000
    workspace.trim(0, 200)
    with pytest.raises(ValueError, match="there are masks for the samples alone"):
        workspace.take_sample_masks()
    with pytest.raises(ValueError, match="there is no sample 'x'"):
        workspace.choose_sample("x")


def test_samples_have_a_method_of_their_own_unless_the_user_has_chosen_one(
    workspace: Workspace, sessions: Sessions, bikes: Path, root: Path
) -> None:
    assert workspace.method == "voin"
    workspace.choose_sample("bicycle")
    assert workspace.method == "classical"
    workspace.choose_upload(uploaded(sessions, root / "clip.mp4"))
    assert workspace.method == "voin"
    workspace.take_method("classical")
    workspace.choose_below_root("clip.mp4")
    assert workspace.method == "classical"
    workspace.take_method("voin")
    workspace.choose_sample("bicycle")
    assert workspace.method == "voin"
    for wrong in ("telea", None, ["voin"]):
        with pytest.raises(ValueError, match="is no choice; it must be one of voin, classical; choose one of them"):
            workspace.take_method(wrong)


def test_masks_of_another_part_are_not_taken(workspace: Workspace) -> None:
    workspace.trim(0, 4)
    workspace.draw({"kind": "box", "frame": 0, "x": 15, "y": 12, "w": 60, "h": 56})
    workspace.track(MaskOptions(tracker="grabcut"))
    workspace.trim(6, 10)
    workspace.collect()
    assert workspace.masks is None


def test_a_video_goes_by_the_name_that_its_owner_gave_it(sessions: Sessions, root: Path) -> None:
    workspace = workspace_of(sessions, root)
    (root / "clip.mp4").rename(root / "my clip (1).mp4")
    workspace.choose_below_root("my clip (1).mp4")
    assert workspace.name == "my clip (1).mp4"


def test_a_new_video_begins_anew(workspace: Workspace, root: Path, sessions: Sessions, tmp_path: Path) -> None:
    workspace.draw({"kind": "point", "frame": 0, "x": 20, "y": 20})
    workspace.masks = save_labels(tmp_path / "masks", labels(COUNT, SIZE))
    workspace.choose_upload(uploaded(sessions, root / "clip.mp4"))
    assert (workspace.masks, workspace.marked.frames) == (None, {})


def test_messages_do_not_say_where_files_lie(workspace: Workspace, root: Path) -> None:
    place = workspace.session.place("my clip.mp4")
    assert workspace.plain(f"{place} is broken; see {root}/deep/b.mov") == "my_clip.mp4 is broken; see deep/b.mov"
    assert workspace.plain("nothing to hide") == "nothing to hide"


def test_jobs_of_others_cannot_be_named(workspace: Workspace, sessions: Sessions, root: Path) -> None:
    other = workspace_of(sessions, root)
    other.choose_below_root("clip.mp4")
    other.draw({"kind": "box", "frame": 0, "x": 20, "y": 15, "w": 60, "h": 50})
    other.track(MaskOptions(tracker="grabcut"))
    for number in (1, 0, -1, None):
        with pytest.raises(ValueError, match=r"job"):
            workspace.job(number)
    with pytest.raises(ValueError, match="has no result to look at"):
        other.look(1)
    with pytest.raises(ValueError, match="there is no result yet"):
        workspace.pair(0, "result")
