from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from voin.io.shots import THRESHOLD, CutDetector, read_cuts


def noise_picture(seed: int, h: int = 90, w: int = 160) -> np.ndarray:
    """A smooth random picture: another seed is another scene."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC)


def cuts_of(frames: list[np.ndarray]) -> list[int]:
    detector = CutDetector()
    return [number for number, frame in enumerate(frames) if detector.is_cut(frame)]


def test_the_first_frame_is_no_cut() -> None:
    assert not CutDetector().is_cut(noise_picture(0))


def test_a_still_shot_has_no_cut() -> None:
    assert cuts_of([noise_picture(0)] * 10) == []


@pytest.mark.parametrize("size", [(2, 2), (33, 47), (1080, 1920)])
def test_frames_of_any_size_are_taken(size: tuple[int, int]) -> None:
    assert cuts_of([noise_picture(0, *size), noise_picture(1, *size)]) == [1]


def test_each_change_of_scene_is_a_cut_even_after_one_frame() -> None:
    shots = [0, 0, 0, 0, 1, 2, 2, 2, 3, 3]
    assert cuts_of([noise_picture(seed) for seed in shots]) == [4, 5, 8]


def test_a_fast_pan_is_no_cut() -> None:
    wide = noise_picture(3, 90, 1600)
    assert cuts_of([wide[:, 20 * step : 20 * step + 160] for step in range(60)]) == []


def test_a_large_thing_that_passes_is_no_cut() -> None:
    frames = []
    for left in range(-120, 180, 10):  # A white van, three quarters of the frame wide, crosses at 10 pixels a frame.
        frame = noise_picture(0)
        frame[20:80, max(left, 0) : max(left + 120, 0)] = 240
        frames.append(frame)
    assert cuts_of(frames) == []


def test_a_dissolve_over_a_second_is_no_cut() -> None:
    before, after = noise_picture(0).astype(float), noise_picture(1).astype(float)
    assert cuts_of([(before + (after - before) * share).astype(np.uint8) for share in np.linspace(0, 1, 25)]) == []


def test_the_hard_cuts_of_the_real_clip_are_found_and_no_other(bikes: Path) -> None:
    with av.open(str(bikes)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert cuts_of(frames) == [30, 76, 137, 187, 242]
    detector = CutDetector()
    excess = np.array([detector.excess(frame) for frame in frames])
    assert (excess > 2 * THRESHOLD).sum() == 5
    assert (excess > THRESHOLD / 2).sum() == 5


def test_sequences_of_one_shot_have_no_cut(davis: Path) -> None:
    fired = {}
    for folder in sorted((davis / "JPEGImages" / "480p").iterdir()):
        pictures = [cv2.imread(str(path)) for path in sorted(folder.glob("*.jpg"))[:30]]
        fired[folder.name] = cuts_of([picture[..., ::-1] for picture in pictures if picture is not None])
    assert fired
    assert {name: cuts for name, cuts in fired.items() if cuts} == {}


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, float("nan")])
def test_a_threshold_that_means_nothing_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        CutDetector(threshold)


@pytest.mark.parametrize("text", ["30\n137\n242\n", "30, 137,242", "# cuts\n0 137 # the street\r\n242,30\n30"])
def test_cut_files_are_read_in_any_of_their_forms(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cuts.txt"
    path.write_text(text)
    assert read_cuts(path, 250) == (30, 137, 242)


def test_an_empty_cut_file_means_one_shot(tmp_path: Path) -> None:
    path = tmp_path / "cuts.txt"
    path.write_text("")
    assert read_cuts(path, 250) == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"30\n1.5\n", "'1.5'; it must hold frame numbers"),
        (b"-3", "'-3'; it must hold frame numbers"),
        ("\u0663".encode(), "must hold frame numbers"),
        (b"30 250", "names frame 250 of a video of 250 frames; numbers must lie in 1..249"),
        (b"\xff\xfe\x00", "is not a text file"),
        (b"1" * 5000, "must hold frame numbers"),
    ],
)
def test_a_wrong_cut_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "cuts.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_cuts(path, 250)


def test_an_absent_cut_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot be read .*give its path"):
        read_cuts(tmp_path / "absent.txt", 250)
