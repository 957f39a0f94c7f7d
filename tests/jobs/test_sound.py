"""The sound of a video in its completion: kept, or left out where the user says so, and said before the work."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from fakes.fake_method import run
from fakes.told import Told
from scenes.video_clips import encode, pictures
from voin.io.video import probe


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return encode(tmp_path / "a.avi", pictures(), "mpeg4", sound="pcm_s16le", sound_rate=48000)


def test_sound_without_a_channel_layout_is_encoded_anew_and_said(tmp_path: Path, clip: Path, masks: Path) -> None:
    told = Told()
    run(clip, masks, tmp_path / "out", progress=told)
    with av.open(str(tmp_path / "out" / "completed.mp4")) as container:
        sound = container.streams.audio[0]
        assert (sound.codec_context.name, sound.layout.name) == ("aac", "stereo")
    assert told.notes[-1] == "Sound: encoded anew (pcm_s16le, 2 channels to aac, stereo)"


def test_sound_is_left_out_where_it_is_not_wanted(tmp_path: Path, clip: Path, masks: Path) -> None:
    run(clip, masks, tmp_path / "out", audio=False)
    assert not probe(tmp_path / "out" / "completed.mp4").audio
