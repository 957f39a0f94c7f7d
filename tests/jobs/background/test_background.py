"""What is in front goes, and its place is filled: a clip whose background is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from fakes.fake_method import Fake, contents, save_frames, save_labels
from fakes.tiny_baselines import save_baseline
from scenes.hidden_clips import Scene, inpainter, scene
from scenes.sliding_square import psnr
from voin.cli.app import app
from voin.jobs.complete import complete
from voin.jobs.options import CompleteOptions
from voin.method.background import Background
from voin.method.motion import DIS
from voin.method.window import ObjectClip, Windows

SCENE = scene(t=12, size=(64, 96), start=(16.0, 20.0), speed=(2.0, 0.3), bar=(20, 30), bar_speed=3.0)


def arrays(clip: Scene, name: str) -> np.ndarray:
    """Give frames as bytes, masks as 0 and 1."""
    tensor = getattr(clip, name)[0].permute(0, 2, 3, 1).numpy()
    return np.rint(tensor * 255).astype(np.uint8) if tensor.shape[-1] == 3 else tensor[..., 0].astype(np.uint8)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The video, the visible masks and those of the bar, as folders."""
    root = tmp_path_factory.mktemp("given")
    masks = {name: save_labels(root / name, list(arrays(SCENE, name))) for name in ("visible", "bar")}
    return {"video": save_frames(root / "video", list(arrays(SCENE, "frames"))), **masks}


def run(given: dict[str, Path], out: Path, method: Any = None, **options: Any) -> dict[str, Any]:
    asked = CompleteOptions(background=True, occluder=given["bar"], cuts="none", **options)
    return complete(given["video"], given["visible"], out, asked, inpainter=method or inpainter())


def pictures(folder: Path, kind: str) -> np.ndarray:
    found = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((folder / kind).glob("*.png"))]
    return np.stack([np.concatenate([picture[..., 2::-1], picture[..., 3:]], axis=-1) for picture in found])  # pyright: ignore


@pytest.fixture(scope="module")
def made(given: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "out"
    run(given, out)
    return out


def test_the_bar_is_gone_and_what_was_behind_it_is_there(made: Path) -> None:
    frames, clean, bar, amodal = (arrays(SCENE, name) for name in ("frames", "clean", "bar", "amodal"))
    completed = pictures(made, "completed")
    place = (bar > 0) & (amodal == 0)
    assert psnr(completed[place] / 255, clean[place] / 255) > 26
    assert psnr(frames[place] / 255, clean[place] / 255) < 14
    beside = np.stack([np.pad(mask, 3)[3:-3, 3:-3] for mask in bar])
    far = np.ones_like(bar, bool)
    for shift in (-2, -1, 0, 1, 2):  # masks are taken a little wider
        far &= np.roll(beside, shift, axis=2) == 0
    outside = far & (amodal == 0)
    assert np.array_equal(completed[outside], frames[outside])


def test_layers_put_together_are_the_frames_before_and_after(made: Path) -> None:
    frames, visible = arrays(SCENE, "frames"), arrays(SCENE, "visible") > 0
    background, thing, front = (pictures(made, name) for name in ("background", "object", "occluder"))
    assert background.shape == thing.shape == front.shape == (*frames.shape[:3], 4)
    assert np.array_equal(background[..., 3] == 0, thing[..., 3] > 0)
    after = np.where(thing[..., 3:] > 0, thing, background)[..., :3]
    assert np.array_equal(after, pictures(made, "completed"))
    before = np.where(front[..., 3:] > 0, front, np.where(thing[..., 3:] > 0, thing, background))[..., :3]
    assert np.array_equal(before, frames)
    # Where both are said to be, it is the object.
    assert not front[..., 3][visible].any()


def test_chunks_and_a_stop_change_nothing(given: dict[str, Path], tmp_path: Path) -> None:
    run(given, tmp_path / "whole", Fake(), chunk_frames=5, context_frames=12)
    with pytest.raises(RuntimeError, match="on purpose"):
        run(given, tmp_path / "stopped", Fake(fail_at=1), chunk_frames=5, context_frames=12)
    done = run(given, tmp_path / "stopped", Fake(), chunk_frames=5, context_frames=12)
    assert not done["finished_before"]
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
    assert run(given, tmp_path / "stopped", Fake(), chunk_frames=5, context_frames=12)["finished_before"]


def test_layers_are_videos_where_the_objects_are(given: dict[str, Path], tmp_path: Path) -> None:
    run(given, tmp_path / "out", Fake(), layer="webm", end=3)
    names = {path.stem for path in (tmp_path / "out").glob("*.webm")}
    assert names == {"object", "background", "occluder"}
    assert not (tmp_path / "out" / "background").exists()
    run(given, tmp_path / "out", Fake(), layer="none", end=3, overwrite=True)
    assert not [*(tmp_path / "out").glob("*.webm")]


def test_a_network_makes_up_what_no_frame_shows(given: dict[str, Path], tmp_path: Path) -> None:
    model = str(save_baseline(tmp_path / "model", "sttn"))
    run(given, tmp_path / "with", Fake(), end=1, background_model=model)  # no other frame shows anything
    run(given, tmp_path / "without", Fake(), end=1)
    one, other = (pictures(tmp_path / name, "background") for name in ("with", "without"))
    assert not np.array_equal(one, other)
    with pytest.raises(OSError, match="has no sttn network; what fills the background is STTN's; train it with"):
        run(given, tmp_path / "refused", Fake(), end=2, background_model="small")
    assert not (tmp_path / "refused").exists()


def test_frames_without_an_occluder_stay_as_they_are(given: dict[str, Path], tmp_path: Path) -> None:
    masks = arrays(SCENE, "bar")
    masks[2:] = 0
    given = {**given, "bar": save_labels(tmp_path / "bar", list(masks))}
    run(given, tmp_path / "out", Fake(), start=1, chunk_frames=3)
    front = pictures(tmp_path / "out", "occluder")
    assert front[0].any()
    assert not front[1:].any()


def test_without_an_occluder_it_is_refused(given: dict[str, Path], tmp_path: Path) -> None:
    words = ["complete", str(given["video"]), str(given["visible"]), "-o", str(tmp_path / "out"), "--background"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert "mark it with: voin mask --what occluder" in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="without --background; it fills that alone; add"):
        complete(given["video"], given["visible"], tmp_path / "out", CompleteOptions(background_model="small"))


def test_the_record_says_that_it_was_asked_for(made: Path) -> None:
    record = json.loads((made / "run.json").read_text())
    assert record["request"]["options"]["background"]
    assert record["layout"]["background"]


def test_nothing_in_front_needs_no_motion() -> None:
    class Never(DIS):
        def __call__(self, frames: Any) -> Any:
            raise AssertionError("was asked for motion")

    nothing = [np.zeros((32, 32), bool)] * 2
    windows = Windows(np.zeros(2), np.zeros(2), np.full(2, 32.0), 32)
    clip = ObjectClip(windows, (32, 32), [np.zeros((32, 32, 3), np.uint8)] * 2, nothing, nothing, nothing)
    assert [box.amodal.size for box in Background(Never()).fill_boxes(clip, range(2))] == [0, 0]
