"""Cards that decode and encode: what can be known of them without one, by stand-ins; with one, marked `gpu`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from scenes.video_clips import encode, pictures
from voin.io import video_read
from voin.io.colour import hardware
from voin.io.colour.codecs import CODINGS, Coding, coding_options, coding_words, layout_for
from voin.io.colour.hardware import check_decoder, check_encoder
from voin.io.colour.samples import Samples
from voin.io.quality import Quality
from voin.io.video import probe, read
from voin.io.video_read import as_stored, read_video
from voin.io.video_write import SamplesWriter, keeps_samples

NVENC = Quality(codec="h264_nvenc")


def fail(*given: object, **named: object) -> None:
    raise FFmpegError(1, "Operation not permitted")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    encode(path, pictures(size=(96, 128)))
    return path


@pytest.mark.parametrize(
    ("named", "stored", "given"),
    [("yuv420p", "yuv420p", "nv12"), ("yuvj420p", "yuv420p", "nv12"), ("yuv420p10le", "yuv420p10le", "p010le")],
)
def test_what_comes_from_a_card_has_the_samples_of_the_file(clip: Path, named: str, stored: str, given: str) -> None:
    info = replace(probe(clip), hwaccel="cuda", samples=Samples(layout=named))
    random = np.random.default_rng(0)
    frame = av.VideoFrame(64, 48, stored)
    for plane in frame.planes:
        samples = random.integers(0, 1024 if "10" in stored else 256, plane.buffer_size // (1 + ("10" in stored)))
        plane.update(samples.astype(np.uint16 if "10" in stored else np.uint8).tobytes())
    again = as_stored(frame.reformat(format=given), info)
    assert again.format.name == stored
    assert (again.to_ndarray() == frame.to_ndarray()).all()


def test_frames_are_the_same_whatever_decodes_them(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info, asked, decoded = replace(probe(clip), hwaccel="cuda"), [], video_read._decoded
    expected = [*read(probe(clip), 3, 9)]

    def decode(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        """Give both chroma planes by turns, as NVDEC does."""
        for frame in decoded(container, stream):
            again = frame.reformat(format="nv12")
            again.pts, again.time_base = frame.pts, frame.time_base
            yield again

    monkeypatch.setattr(video_read, "accelerator", asked.append)
    monkeypatch.setattr(video_read, "_decoded", decode)
    found = [frame for _, frame, _ in read_video(info, 3, 9)]
    assert asked == ["cuda"]
    for frame, picture in zip(found, expected, strict=True):
        assert frame is not None
        assert frame.frame.format.name == "yuv420p"
        assert (frame.shown() == picture).all()


def test_a_card_that_is_not_there_is_refused_before_the_video_is_read(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware.HWAccel, "create", fail, raising=False)
    check_decoder("none")
    with pytest.raises(ValueError, match=r"decoded by cuda, which cannot be opened \(Operation not permitted\)") as no:
        probe(clip, hwaccel="cuda")
    assert "leave --hwaccel out" in str(no.value)


@pytest.mark.parametrize("folder", [True, False])
def test_only_files_are_decoded_on_a_card(clip: Path, tmp_path: Path, folder: bool) -> None:
    path = tmp_path if folder else tmp_path / "clip.gif"
    path.touch()
    with pytest.raises(ValueError, match="is to be decoded by cuda"):
        probe(path, hwaccel="cuda")
    with pytest.raises(ValueError, match="do not say which field is first"):
        probe(clip, hwaccel="cuda", deinterlace=True)


def test_layouts_and_words_are_those_of_every_card() -> None:
    assert layout_for("h264_nvenc", "yuv420p") == layout_for("h264_nvenc", "yuv444p10le") == "yuv420p"
    assert layout_for("hevc_nvenc", "yuv420p10le") == "p010le"
    deep = Samples(bits=10, layout="yuv422p10le", codec="dnxhd")
    assert coding_words(deep, NVENC) == (
        "Video: H.264 by NVENC, 8 bits (the source has 10, fewer chroma samples than the source)"
    )
    with pytest.raises(ValueError, match="NVENC is always lossy here"):
        coding_words(deep, replace(NVENC, lossless=True))


def test_frames_are_never_reordered_and_of_one_quality() -> None:
    for codec in ("h264_nvenc", "hevc_nvenc"):
        options = coding_options(codec, "yuv420p", Quality(crf=21, codec=codec))
        assert {"bf": "0", "cq": "21", "b": "0", "forced-idr": "1"}.items() <= options.items()


def test_encoders_of_the_processor_are_not_tried_and_odd_sides_are_refused(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "open_encoder", fail)
    check_encoder(probe(clip), Quality())
    with pytest.raises(ValueError, match="both sides must be even"):
        check_encoder(replace(probe(clip), size=(95, 128)), NVENC)


def test_a_video_is_written_by_what_stands_in_for_the_card(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CODINGS, "h264_nvenc", Coding("libx264", ".mp4", "H.264", layouts=("yuv420p",)))
    info = probe(clip)
    check_encoder(info, NVENC)
    assert keeps_samples(info, NVENC)
    with SamplesWriter(tmp_path / "again.mp4", info, info.times, NVENC) as writer:
        for _, frame, _ in read_video(info, 0, info.count):
            assert frame is not None
            writer.write_samples(frame)
    again = probe(tmp_path / "again.mp4")
    assert (again.times, again.size, again.colour) == (info.times, info.size, info.colour)
    for one, other in zip(read(info), read(again), strict=True):
        assert np.abs(one.astype(int) - other).mean() < 3


@pytest.mark.gpu
def test_a_card_decodes_to_the_same_bits_and_encodes(clip: Path, tmp_path: Path) -> None:
    info = probe(clip, hwaccel="cuda")
    for one, other in zip(read(info), read(probe(clip)), strict=True):
        assert (one == other).all()
    check_encoder(info, NVENC)
    with SamplesWriter(tmp_path / "again.mp4", info, info.times, NVENC) as writer:
        for _, frame, _ in read_video(info, 0, info.count):
            assert frame is not None
            writer.write_samples(frame)
    assert probe(tmp_path / "again.mp4").times == info.times
