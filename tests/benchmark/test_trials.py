from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fakes import own_methods
from voin.baselines.hull import HullShape
from voin.baselines.telea import Telea
from voin.benchmark.trials import AMODAL, UNVERSIONED, FolderEntry, MethodEntry, check_name
from voin.io.images import write_image

T, H, W = 3, 40, 48


@pytest.fixture
def clip() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    amodal = np.zeros((T, H, W), bool)
    amodal[:, 8:30, 10:34] = True
    visible = amodal.copy()
    visible[:, :, 20:24] = False
    return {"frames": generator.integers(0, 256, (T, H, W, 3), np.uint8), "visible": visible, "amodal": amodal}


def test_a_method_gets_unit_tensors_and_its_result_comes_back_in_8_bits(clip) -> None:
    seen = {}

    def method(frames, visible, *, amodal, occluder, category):
        seen.update(frames=frames, visible=visible, amodal=amodal, occluder=occluder, category=category)
        return own_methods.Perfect(frames, visible)(frames, visible)

    outcome = MethodEntry("own", method).run("a", **clip, category="dog")
    assert seen["frames"].shape == (1, T, 3, H, W)
    assert seen["frames"].max() <= 1
    assert seen["visible"].shape == seen["amodal"].shape == (1, T, 1, H, W)
    assert seen["occluder"] is None
    assert seen["category"] == "dog"
    assert outcome.error == ""
    assert outcome.seconds is not None
    # Every 8-bit value survives the way there and back.
    assert np.array_equal(np.asarray(outcome.frames), clip["frames"])
    assert np.array_equal(np.asarray(outcome.amodal), clip["visible"])


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (own_methods.Raises("dog"), "RuntimeError: it broke"),
        (
            own_methods.crops,
            r"frames is of shape \(1, 3, 3, 40, 46\); it must be a tensor of shape \(1, 3, 3, 40, 48\)",
        ),
        (own_methods.misreads, "frames is a NoneType; it must be"),
        (own_methods.Perfect(torch.full((1, T, 3, H, W), torch.nan), torch.ones(1, T, 1, H, W)), "NaN"),
    ],
)
def test_what_a_method_does_wrong_is_a_failure_with_its_reason(method, said: str, clip) -> None:
    outcome = MethodEntry("own", method).run("a", **clip, category="dog")
    assert outcome.frames is outcome.amodal is outcome.seconds is None
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(outcome.error)
    assert "Traceback" in outcome.trace


def test_ctrl_c_is_no_failure(clip) -> None:
    def method(*_: object, **__: object):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        MethodEntry("own", method).run("a", **clip, category=None)


def test_shapes_are_tried_end_to_end_alone() -> None:
    assert MethodEntry("hull", HullShape()).settings == ("end to end",)
    assert MethodEntry("telea", Telea()).settings == ("given", "end to end")
    assert not MethodEntry("hull", HullShape()).content


def test_the_identity_of_a_method_holds_its_settings() -> None:
    identity = [MethodEntry("own", method).identity("a") for method in (Telea(), Telea(5), HullShape())]
    assert identity[0] != identity[1]
    assert identity[0] == MethodEntry("other", Telea()).identity("b")
    assert identity[0] == {"method": "voin.baselines.telea.Telea", "settings": {"radius": 3}}


def test_without_settings_a_method_is_told_by_its_version_and_name() -> None:
    class Versioned(HullShape):
        version = "2b"

    assert MethodEntry("own", Versioned()).identity("a")["settings"] == {"version": "2b"}
    plain = MethodEntry("own", own_methods.notes).identity("a")
    assert plain["settings"] == {"version": UNVERSIONED}
    assert plain["method"].endswith("own_methods.notes")


# --- folders


def save(folder: Path, pictures: np.ndarray, suffix: str = ".png", skip: int | None = None) -> None:
    folder.mkdir(parents=True)
    for i, picture in enumerate(pictures):
        if i != skip:
            write_image(folder / f"{i:05d}{suffix}", picture)


def test_frames_in_a_folder_are_results_with_the_mask_given(tmp_path: Path, clip) -> None:
    save(tmp_path / "a", clip["frames"])
    entry = FolderEntry("theirs", tmp_path)
    outcome = entry.run("a", **clip, category=None)
    assert entry.settings == ("given",)
    assert entry.content
    assert outcome.amodal is None
    assert outcome.frames is not None
    assert np.array_equal(np.array(outcome.frames), clip["frames"])


@pytest.mark.parametrize("white", [1, 255])
def test_masks_beside_frames_make_them_end_to_end(white: int, tmp_path: Path, clip) -> None:
    save(tmp_path / "a", clip["frames"])
    save(tmp_path / AMODAL / "a", clip["amodal"].astype(np.uint8) * white)
    entry = FolderEntry("theirs", tmp_path)
    outcome = entry.run("a", **clip, category=None)
    assert entry.settings == ("end to end",)
    assert outcome.amodal is not None
    assert np.array_equal(np.array(outcome.amodal), clip["amodal"])


def test_masks_alone_are_a_shape(tmp_path: Path, clip) -> None:
    save(tmp_path / AMODAL / "a", clip["amodal"].astype(np.uint8))
    entry = FolderEntry("theirs", tmp_path)
    assert not entry.content
    outcome = entry.run("a", **clip, category=None)
    assert outcome.frames is None
    assert outcome.error == ""


def test_an_absent_frame_is_none(tmp_path: Path, clip) -> None:
    save(tmp_path / "a", clip["frames"], ".jpg", skip=1)
    outcome = FolderEntry("theirs", tmp_path).run("a", **clip, category=None)
    assert outcome.frames is not None
    assert [frame is None for frame in outcome.frames] == [False, True, False]


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("a/00003.png", (H, W), "no frame of the clip"),
        ("a/00000.png", (H, W - 2), "it must be 48x40"),
        ("b/0.png", (H, W), "a is not there"),
    ],
)
def test_results_that_do_not_fit_are_failures(
    name: str, size: tuple[int, int], said: str, tmp_path: Path, clip
) -> None:
    (tmp_path / name).parent.mkdir()
    write_image(tmp_path / name, np.zeros((*size, 3), np.uint8))
    outcome = FolderEntry("theirs", tmp_path).run("a", **clip, category=None)
    assert said in outcome.error
    assert outcome.frames is None


def test_a_changed_folder_has_another_identity(tmp_path: Path, clip) -> None:
    save(tmp_path / "a", clip["frames"], skip=2)
    before = FolderEntry("theirs", tmp_path).identity("a")
    write_image(tmp_path / "a" / "00002.png", clip["frames"][2])
    assert FolderEntry("theirs", tmp_path).identity("a") != before


def test_a_folder_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"is no folder; .*--results theirs=FOLDER"):
        FolderEntry("theirs", tmp_path / "absent")


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".a", "a b", "a|b"])
def test_names_must_fit_files(name: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        check_name(name)
