"""What a file only claims is neither believed nor made room for: files of a few kilobytes, refused in no time."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from PIL import Image
from typer.testing import CliRunner

from fakes.fake_method import run
from scenes.video_clips import SIZE, encode, pictures
from voin.cli.app import app
from voin.core.errors import Refusal
from voin.io.claims import read_claims
from voin.io.limits import LARGEST, VideoLimits
from voin.io.masks.source import open_masks
from voin.io.video import probe
from voin.jobs.batch import read_table
from voin.jobs.options import CompleteOptions


def png_in_mov(path: Path, side: int, said: int | None = None) -> Path:
    """Write one frame, and let its header claim a side; that of the container says the same, or what is `said`."""
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream("png", rate=25))
        stream.width, stream.height, stream.pix_fmt = 32, 32, "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    at = data.index(b"IHDR") + 4
    data[at : at + 8] = struct.pack(">II", side, side)
    at = data.index(b"png ", data.index(b"stsd")) + 28
    assert struct.unpack(">HH", data[at : at + 4]) == (32, 32)
    data[at : at + 4] = struct.pack(">HH", said or side, said or side)
    path.write_bytes(data)
    return path


def long_matroska(path: Path) -> Path:
    """Write a cut Matroska file that claims to last 99 hours."""
    whole = encode(path, pictures(4)).read_bytes()
    at = whole.index(b"DURATION")
    tag = whole.index(b":", at) - 2
    claimed = b"99" + whole[tag + 2 :]
    path.write_bytes((whole[:tag] + claimed)[: len(whole) - 20])
    return path


def claiming_samples(path: Path, count: int) -> Path:
    """Write a file whose table names so many samples of one size."""
    data = bytearray(png_in_mov(path, 32).read_bytes())
    at = data.index(b"stsz") + 8
    data[at : at + 8] = struct.pack(">II", 1, count)
    path.write_bytes(data)
    return path


@pytest.fixture
def decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whatever decodes a frame fail."""
    monkeypatch.setattr(av.VideoFrame, "to_ndarray", None)
    monkeypatch.setattr("voin.io.video_read._decoded", None)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (long_matroska, r"long.mkv holds \d of the 8\d{6} frames that it claims; it must hold most of them; copy"),
        (lambda path: claiming_samples(path, 2**31), r"claims 2,147,483,648 samples; at most .* can be; copy"),
        (
            lambda path: png_in_mov(path, 11000),
            r"has frames of 11000x11000; at most 67,108,864 .*; scale .*--max-pixels",
        ),
    ],
)
@pytest.mark.usefixtures("decoders")
def test_claims_of_small_files_are_refused_before_anything_is_decoded(
    tmp_path: Path, write: Callable[[Path], Path], words: str
) -> None:
    path = write(tmp_path / ("long.mkv" if write is long_matroska else "large.mov"))
    assert path.stat().st_size < 5_000
    with pytest.raises(Refusal, match=words):
        probe(path)


def test_a_frame_that_is_larger_than_its_container_says_is_not_decoded(tmp_path: Path) -> None:
    png_in_mov(tmp_path / "a.mov", 11000, said=64)
    with pytest.raises(Refusal, match=r"no frame that decodes; it must be .* of at most 67,108,864 pixels a frame"):
        probe(tmp_path / "a.mov")


def test_claims_are_what_the_boxes_say(tmp_path: Path) -> None:
    whole = encode(tmp_path / "a.mp4", pictures(), sound="aac")
    claims = read_claims(whole)
    assert claims.size == SIZE
    assert 12 <= claims.samples < 60  # of both tracks
    (tmp_path / "c.mp4").write_bytes(b"\0" * 64)
    assert read_claims(tmp_path / "c.mp4") == (0, (0, 0))


def test_an_animation_whose_canvas_is_too_large_is_refused_unopened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = b"RIFF\0\0\0\0WEBPVP8X\n\0\0\0\2\0\0\0"
    (tmp_path / "a.webp").write_bytes(head + (16382).to_bytes(3, "little") * 2 + bytes(64))
    monkeypatch.setattr("voin.io.animation.Image.open", None)
    with pytest.raises(Refusal, match="has frames of 16383x16383"):
        probe(tmp_path / "a.webp")


@pytest.mark.parametrize("limits", [VideoLimits(frames=11), VideoLimits(pixels=SIZE[0] * SIZE[1] - 1)])
def test_every_form_of_video_and_mask_video_has_its_limits(
    tmp_path: Path, video: Path, folder: Path, limits: VideoLimits
) -> None:
    gif, animation = encode(tmp_path / "a.gif", pictures(), codec="gif", layout="rgb8"), tmp_path / "a.png"
    frames = [np.full((*SIZE, 3), 20 * i, np.uint8) for i in range(12)]
    first, *others = map(Image.fromarray, frames)
    first.save(animation, save_all=True, append_images=others)
    for path in (video, folder, gif, animation):
        assert probe(path, limits=VideoLimits(12, SIZE[0] * SIZE[1])).count == 12
        with pytest.raises(Refusal, match=r"use a larger --max-(frames|pixels)"):
            probe(path, limits=limits)
    with pytest.raises(Refusal, match=r"use a larger --max-(frames|pixels)"):
        open_masks(video, probe(video), limits=limits)


def test_commands_have_the_limits_and_a_table_may_raise_them(tmp_path: Path, folder: Path, masks: Path) -> None:
    few = ["--max-frames", "11"]
    for words in (
        ["complete", str(folder), str(masks), "-o", str(tmp_path / "out"), "--method", "classical"],
        ["mask", str(folder), "-o", str(tmp_path / "out"), "--box", "2,2,20,20"],
        ["masks", "check", str(folder), str(masks)],
    ):
        result = CliRunner().invoke(app, [*words, *few])
        assert result.exit_code == 2
        assert "--max-frames" in result.stderr
        assert not (tmp_path / "out").exists()
    (table := tmp_path / "clips.csv").write_text(f"video,masks,max-frames,crf\n{folder},{masks},11,20\n")
    (clip,) = read_table(table, CompleteOptions(limits=VideoLimits(pixels=7)))
    assert clip.options.limits == VideoLimits(11, 7)
    assert clip.options.quality.crf == 20


def test_a_run_goes_on_with_other_limits(tmp_path: Path, folder: Path, masks: Path) -> None:
    run(folder, masks, tmp_path / "out")
    assert run(folder, masks, tmp_path / "out", limits=LARGEST)["finished_before"]
