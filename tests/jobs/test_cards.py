"""Runs on graphics cards, as far as they can be known without one; see also tests/io/colour/test_hardware.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from av.error import FFmpegError

from scenes.video_clips import encode, pictures
from voin.io.colour import hardware
from voin.io.quality import Quality
from voin.jobs.complete import complete
from voin.jobs.options import CompleteOptions
from voin.method.load import load


@pytest.fixture
def given(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A video, masks, and where the output is to be."""
    encode(tmp_path / "clip.mp4", pictures(size=(96, 128)))
    masks = np.zeros((12, 96, 128), np.uint8)
    masks[:, 20:60, 25:65] = 255
    np.savez(tmp_path / "masks.npz", masks)
    return tmp_path / "clip.mp4", tmp_path / "masks.npz", tmp_path / "out"


def test_an_encoder_that_cannot_be_opened_is_refused_before_anything_is_written(
    given: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object) -> None:
        raise FFmpegError(1, "Operation not permitted")

    monkeypatch.setattr(hardware, "open_encoder", fail)
    with pytest.raises(ValueError, match=r"H\.264 by NVENC, which cannot be opened"):
        complete(*given, CompleteOptions(quality=Quality(codec="h264_nvenc")), inpainter=load("classical"))
    assert not given[2].exists()


def test_a_run_goes_on_whatever_decodes(given: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    first = complete(*given, CompleteOptions(end=3), inpainter=load("classical"))
    monkeypatch.setattr("voin.io.video.check_decoder", lambda kind: None)
    again = complete(*given, CompleteOptions(end=3, hwaccel="cuda"), inpainter=load("classical"))
    assert not first.get("finished_before")
    assert again.get("finished_before")
