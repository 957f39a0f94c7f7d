from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fakes.fake_method import labels, run, save_frames, save_labels
from scenes.video_clips import COUNT, SIZE, difference, encode, pictures
from voin.app import render as web_view
from voin.app.render import draw_frame, draw_pair, fit, shown_size, write_clips
from voin.core import draw as viz
from voin.core.progress import Silent
from voin.io.video import probe, read
from voin.tracking.prompts import Prompt


def opened(data: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture[..., ::-1]


@pytest.fixture
def large(tmp_path: Path) -> tuple[Path, Path]:
    """A video of 128x96 pixels, large enough to be completed, and its masks."""
    video = encode(tmp_path / "clip.mp4", pictures(size=(96, 128)))
    return video, save_labels(tmp_path / "masks", labels(COUNT, (96, 128)))


def test_a_frame_is_drawn_with_its_mask_and_without(large: tuple[Path, Path]) -> None:
    info, given = probe(large[0]), labels(COUNT, (96, 128))
    plain, area = draw_frame(info, 4, None, None)
    assert area is None
    assert difference(opened(plain), next(read(info, 4, 5))) < 4
    tinted, area = draw_frame(info, 4, large[1], None)
    inside = given[4] > 0
    assert area == inside.sum()
    change = np.abs(opened(tinted).astype(int) - opened(plain)).mean(axis=2)
    assert change[inside].mean() > 5 * change[~inside].mean()


def test_a_prompt_counts_more_than_the_mask_of_its_frame(large: tuple[Path, Path]) -> None:
    mask = np.zeros((96, 128), bool)
    mask[50:60, 90:100] = True
    _, area = draw_frame(probe(large[0]), 4, large[1], Prompt(4, mask=mask))
    assert area == 100


def test_input_and_result_are_drawn_beside_each_other(large: tuple[Path, Path], tmp_path: Path) -> None:
    video, masks = large
    info, result = probe(video), tmp_path / "out"
    run(video, masks, result, start=2, save_confidence=True)
    views = {kind: draw_pair(info, masks, result, 5, 2, kind) for kind in ("result", "whole", "confidence")}
    frame = next(read(info, 5, 6))
    assert all(difference(opened(before), frame) < 4 for before, _ in views.values())
    done = next(read(probe(result / "completed.mp4"), 3, 4))
    assert difference(opened(views["result"][1]), done) < 4
    assert len({after for _, after in views.values()}) == 3
    # What was seen is yellow, the best of the scale.
    sure = opened(views["confidence"][1])[labels(COUNT, (96, 128))[5] > 0]
    assert np.abs(np.median(sure, axis=0) - viz.heat(np.ones((1, 1)))[0, 0]).max() < 12


def test_results_of_pictures_are_drawn_too(large: tuple[Path, Path], tmp_path: Path) -> None:
    frames = save_frames(tmp_path / "frames", pictures(size=(96, 128)), [f"img{i}" for i in range(COUNT)])
    run(frames, large[1], tmp_path / "out", start=2)
    before, after = draw_pair(probe(frames), large[1], tmp_path / "out", 5, 2, "result")
    assert difference(opened(before), opened(after)) > 0.5
    with pytest.raises(OSError, match=r"wrote no confidence; .*; start it again"):
        draw_pair(probe(frames), large[1], tmp_path / "out", 5, 2, "confidence")


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_clips_of_input_and_result_have_one_length(
    large: tuple[Path, Path], tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_view, "LONGEST", 65)  # scaled, to an even size
    video = large[0] if kind == "video" else save_frames(tmp_path / "frames", pictures(size=(96, 128)))
    run(video, large[1], tmp_path / "out", start=2, end=9)
    paths = tmp_path / "before.mp4", tmp_path / "after.mp4"
    write_clips(probe(video), tmp_path / "out", 2, 9, paths, Silent())
    before, after = (probe(path) for path in paths)
    assert before.count == after.count == 7
    assert before.times == after.times
    assert before.size == after.size == (48, 64)


@pytest.mark.parametrize(
    ("size", "even", "shown"),
    [((48, 64), False, (48, 64)), ((47, 61), True, (46, 60)), ((1080, 1920), True, (720, 1280)), (SIZE, True, SIZE)],
)
def test_pictures_are_shown_no_larger_than_they_are(size: tuple[int, int], even: bool, shown: tuple[int, int]) -> None:
    assert shown_size(size, even) == shown
    assert fit(np.zeros((*size, 3), np.uint8), even).shape[:2] == shown
