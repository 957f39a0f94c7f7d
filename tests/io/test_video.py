"""Reading: what `probe` says is true, and `read` gives exactly the frames asked for."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.logging
import cv2
import numpy as np
import pytest
from av.video.stream import VideoStream
from PIL import Image

from scenes.video_clips import COUNT, SIZE, described, difference, encode, garbled, pictures, save, seconds_of
from voin.io.video import Quality, probe, read, write_image

OPEN_GROUPS = {"bf": "3", "x264-params": "open-gop=1"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A usual mp4: reordered frames, two groups of pictures."""
    return encode(tmp_path_factory.mktemp("clip") / "clip.mp4", pictures(), options={"bf": "2"})


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"bf": "2"}),
        ("a.mp4", "libx264", OPEN_GROUPS),
        ("a.mkv", "libx264", OPEN_GROUPS),
        ("a.mov", "mjpeg", {}),
        ("a.webm", "libvpx-vp9", {}),
        ("a.avi", "mpeg4", {"bf": "2"}),
        ("a.avi", "libx264", {"bf": "2"}),
        ("a.ts", "libx264", OPEN_GROUPS),
    ],
)
def test_reading_from_any_frame_gives_the_same_frames_as_reading_all(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    layout = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    info = probe(encode(tmp_path / name, pictures(), codec, options, layout))
    assert info.kind == "video"
    assert info.size == SIZE
    assert info.count == COUNT
    assert info.rate == 25
    whole = list(read(info))
    assert len(whole) == COUNT
    assert all(difference(a, b) < 12 for a, b in zip(whole, pictures(), strict=True))
    for start in range(COUNT):
        end = min(COUNT, start + 3)
        part = list(read(info, start, end))
        assert len(part) == end - start
        assert all((a == b).all() for a, b in zip(part, whole[start:end], strict=True))


def test_frames_that_an_edit_list_hides_are_not_counted(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = cast(VideoStream, container.add_stream("libx264", rate=25, options={"bf": "2"}))
        stream.width, stream.height = SIZE[1], SIZE[0]
        for index, frame in enumerate(pictures()):
            picture = av.VideoFrame.from_ndarray(frame, "rgb24")
            picture.pts, picture.time_base = index - 5, Fraction(1, 25)  # what lies before 0 is hidden
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    info = probe(tmp_path / "a.mp4")
    assert seconds_of(info) == [Fraction(i, 25) for i in range(COUNT - 5)]
    assert all(difference(a, b) < 12 for a, b in zip(read(info), pictures()[5:], strict=True))


@pytest.mark.parametrize("flags", ["frag_keyframe+empty_moov", "frag_every_frame+empty_moov+default_base_moof"])
def test_a_video_in_fragments_is_whole(tmp_path: Path, flags: str) -> None:
    source = encode(tmp_path / "a.mp4", pictures())
    with (
        av.open(str(source)) as whole,
        av.open(str(tmp_path / "b.mp4"), "w", container_options={"movflags": flags}) as container,
    ):
        stream = container.add_stream_from_template(whole.streams.video[0], opaque=True)
        for packet in whole.demux(video=0):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
    info = probe(tmp_path / "b.mp4")
    assert info.count == COUNT
    assert all((a == b).all() for a, b in zip(read(info), read(probe(source)), strict=True))


def test_the_end_may_equal_the_start(clip: Path) -> None:
    assert list(read(probe(clip), 5, 5)) == []


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (3, 2), (0, COUNT + 1)])
def test_frames_outside_the_video_are_refused(clip: Path, start: int, end: int) -> None:
    with pytest.raises(ValueError, match="has frames 0 to 12"):
        read(probe(clip), start, end)


def test_each_frame_is_the_callers_own(clip: Path) -> None:
    info = probe(clip)
    wanted = list(read(info))
    for frame, same in zip(read(info), wanted, strict=True):
        assert (frame == same).all()
        frame[:] = 0


def test_variable_times_and_a_late_first_frame_are_read_exactly(tmp_path: Path) -> None:
    times = [1001 + 1001 * i + 97 * (i % 3) for i in range(COUNT)]
    info = described(times=times, time_base=Fraction(1, 30000))
    found = probe(save(tmp_path / "a.mp4", pictures(), info))
    assert seconds_of(found) == seconds_of(info)


def test_samples_above_8_bits_are_reduced(tmp_path: Path) -> None:
    white = np.full((*SIZE, 3), 255, np.uint8)
    info = probe(encode(tmp_path / "a.mov", [white, white // 255 * 128], "prores_ks", layout="yuv422p10le"))
    first, second = read(info)
    assert first.dtype == np.uint8
    assert (first == 255).all()
    assert abs(int(second.mean()) - 128) <= 1


@pytest.mark.parametrize(
    ("name", "codec", "layout"),
    [
        ("a.y4m", "wrapped_avframe", "yuv420p"),
        ("a.m2v", "mpeg2video", "yuv420p"),
        ("a.wtv", "mpeg2video", "yuv420p"),
        ("a.mxf", "mpeg2video", "yuv422p"),
        ("a.dv", "dvvideo", "yuv420p"),
    ],
)
def test_streams_and_files_of_cameras_and_studios_are_read(tmp_path: Path, name: str, codec: str, layout: str) -> None:
    frames = pictures(4)
    if codec == "dvvideo":  # which knows two sizes
        frames = [cv2.resize(frame, (720, 576)) for frame in frames]
    info = probe(encode(tmp_path / name, frames, codec, {}, layout))
    assert (info.count, info.rate, info.samples.fields) == (4, 25, "bottom" if codec == "dvvideo" else "")
    assert all(difference(a, b) < 12 for a, b in zip(read(info), frames, strict=True))
    assert difference(next(iter(read(info, 2, 3))), frames[2]) < 12


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        *(("a.3gp", "mpeg4"), ("a.flv", "flv"), ("a.mpg", "mpeg2video"), ("a.vob", "mpeg2video"), ("a.wmv", "wmv2")),
        *(("a.nut", "mpeg4"), ("a.ivf", "libvpx"), ("a.m4v", "libx264"), ("a.mts", "libx264")),
        *(("a.h264", "libx264"), ("a.hevc", "libx265"), ("a.obu", "libsvtav1")),
    ],
)
def test_files_of_other_programs_and_bare_streams_are_read(tmp_path: Path, name: str, codec: str) -> None:
    frames = pictures(4, (64, 64))
    info = probe(encode(tmp_path / name, frames, codec, {}))
    assert (info.count, info.rate, info.kind) == (4, 25, "video")
    assert all(difference(a, b) < 12 for a, b in zip(read(info), frames, strict=True))


def test_a_gif_is_read_with_its_delays_and_exact_colours(tmp_path: Path) -> None:
    shown = [Image.fromarray(frame).quantize(64) for frame in pictures(4)]
    shown[0].save(tmp_path / "a.gif", save_all=True, append_images=shown[1:], duration=[100, 50, 200, 40])
    info = probe(tmp_path / "a.gif")
    assert info.kind == "gif"
    assert seconds_of(info) == [Fraction(0), Fraction(1, 10), Fraction(3, 20), Fraction(7, 20)]
    assert info.duration * info.time_base == Fraction(39, 100)
    assert all((a == np.asarray(b.convert("RGB"))).all() for a, b in zip(read(info), shown, strict=True))
    assert (next(read(info, 2, 3)) == np.asarray(shown[2].convert("RGB"))).all()


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    frames = pictures(11)
    for index, frame in enumerate(frames):
        write_image(tmp_path / f"img{index}.png", frame)
    (tmp_path / "notes.txt").write_text("not a frame")
    (tmp_path / "._img0.png").write_text("not a frame either")
    info = probe(tmp_path)
    assert (info.kind, info.count, info.size, info.rate) == ("folder", 11, SIZE, 25)
    assert info.names == tuple(f"img{i}" for i in range(11))
    assert all((a == b).all() for a, b in zip(read(info, 1, 11), frames[1:], strict=True))
    assert seconds_of(probe(tmp_path, rate=10))[3] == Fraction(3, 10)


def test_grey_deep_and_transparent_pictures_and_jpegs_are_frames(tmp_path: Path) -> None:
    frame = pictures(1)[0]
    grey = frame[..., 0]
    cv2.imwrite(str(tmp_path / "0.png"), grey)
    cv2.imwrite(str(tmp_path / "1.png"), grey.astype(np.uint16) * 257)
    write_image(tmp_path / "2.png", np.dstack([frame, grey]))
    write_image(tmp_path / "3.JPG", frame)
    zero, one, two, three = read(probe(tmp_path))
    assert (zero == grey[..., None]).all()
    assert (one == grey[..., None]).all()
    assert (two == frame).all()
    assert difference(three, frame) < 3


def test_a_jpeg_is_turned_as_its_camera_tag_says(tmp_path: Path) -> None:
    frame = pictures(1)[0]
    picture = Image.fromarray(frame)
    tags = picture.getexif()
    tags[0x0112] = 6
    picture.save(tmp_path / "0.jpg", quality=95, exif=tags)
    info = probe(tmp_path)
    assert info.size == SIZE[::-1]
    assert difference(next(read(info)), np.rot90(frame, -1)) < 3


def test_a_folder_of_unequal_pictures_is_refused_by_name(tmp_path: Path) -> None:
    write_image(tmp_path / "0.png", np.zeros((48, 64, 3), np.uint8))
    write_image(tmp_path / "1.png", np.zeros((64, 48, 3), np.uint8))
    with pytest.raises(OSError, match=r"1\.png is 48x64 and 0\.png is 64x48; all frames must have one size"):
        probe(tmp_path)


def test_a_frame_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "0.png", np.zeros((48, 64, 3), np.uint8))
    write_image(tmp_path / "0.jpg", np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(OSError, match=r"0\.jpg and 0\.png; a frame must be there once"):
        probe(tmp_path)


def test_what_is_no_video_is_refused(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("#EXTM3U\nnot a video\n" * 100)
    (tmp_path / "folder").mkdir()
    write_image(tmp_path / "single.png", pictures(1)[0])
    with av.open(str(tmp_path / "sound.m4a"), "w") as container:
        track = container.add_stream("aac", rate=44100, layout="mono")
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        heard.sample_rate = 44100
        container.mux(track.encode(heard))
        container.mux(track.encode(None))
    for name, said in {
        "missing.mp4": "does not exist",
        "empty.mp4": "is empty",
        "text.mp4": "cannot be read as a video",
        "folder": "has no pictures",
        "single.png": "is a single picture",
        "sound.m4a": "has no video",
    }.items():
        with pytest.raises(OSError, match=said) as refusal:
            probe(tmp_path / name)
        assert str(refusal.value).count(";") == 2, "what it is; what it must be; what to do"
    with pytest.raises(ValueError, match="rate"):
        probe(tmp_path / "folder", rate=0)


def test_decoders_do_not_wait_for_python_to_take_their_messages(clip: Path) -> None:
    """They did for ever, now and then: on damage, where another package had set a level."""
    av.logging.set_level(av.logging.ERROR)
    try:
        probe(clip)
        assert av.logging.get_level() is None
    finally:
        av.logging.set_level(None)


def test_a_video_with_its_end_cut_off_names_the_first_missing_frame(tmp_path: Path) -> None:
    source = save(tmp_path / "whole.mkv", pictures(), described(), quality=Quality(crf=10))
    (tmp_path / "cut.mkv").write_bytes(source.read_bytes()[: source.stat().st_size * 8 // 10])
    info = probe(tmp_path / "cut.mkv")
    assert info.count == COUNT
    with pytest.raises(OSError, match=r"frame (\d+) of 12 cannot be read.*--skip-broken"):
        list(read(info))
    broken: list[int] = []
    frames = list(read(info, skip_broken=True, broken=broken.append))
    assert len(frames) == COUNT
    first = broken[0]
    assert 1 < first < COUNT
    assert broken == list(range(first, COUNT))
    assert (np.stack(frames[first:]) == frames[first - 1]).all()
    assert all((a == b).all() for a, b in zip(frames[:first], read(probe(source)), strict=False))


@pytest.mark.parametrize("damaged", [0, 1, 5])
def test_a_frame_broken_in_the_middle_is_named_and_can_be_skipped(tmp_path: Path, damaged: int) -> None:
    # MJPEG: each frame stands alone, so the others stay whole.
    path = encode(tmp_path / "a.mov", pictures(), "mjpeg", layout="yuvj420p")
    whole = list(read(probe(path)))
    with av.open(str(path)) as container:
        packet = [p for p in container.demux() if p.size][damaged]
        at, size = packet.pos or 0, packet.size
    data = bytearray(path.read_bytes())
    data[at : at + size] = bytes(size)
    path.write_bytes(data)
    info = probe(path)
    assert info.count == COUNT
    with pytest.raises(OSError, match=f"frame {damaged} of 12 cannot be read"):
        list(read(info))
    broken: list[int] = []
    frames = list(read(info, skip_broken=True, broken=broken.append))
    assert broken == [damaged]
    shown = [*range(damaged), damaged - 1 if damaged else 1, *range(damaged + 1, COUNT)]
    assert all((frames[i] == whole[j]).all() for i, j in enumerate(shown))
    # A chunk that begins at the broken frame shows the same picture there.
    assert (next(read(info, damaged, COUNT, skip_broken=True)) == frames[damaged]).all()


def test_a_broken_picture_of_a_folder_is_named_and_can_be_skipped(tmp_path: Path) -> None:
    frames = pictures(4)
    for index, frame in enumerate(frames):
        write_image(tmp_path / f"{index}.png", frame)
    data = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(data[: len(data) // 2])
    info = probe(tmp_path)
    with pytest.raises(OSError, match=r"frame 2 of 4 cannot be read.*2\.png"):
        list(read(info))
    shown = list(read(info, skip_broken=True))
    assert (shown[2] == frames[1]).all()
    assert (shown[3] == frames[3]).all()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts", "a.webm", "a.gif"])
def test_a_garbled_video_is_read_or_refused_and_never_more(tmp_path: Path, name: str) -> None:
    codec, layout = {"a.webm": ("libvpx-vp9", "yuv420p"), "a.gif": ("gif", "rgb8")}.get(name, ("libx264", "yuv420p"))
    sound = {"a.gif": None, "a.webm": "libopus"}.get(name, "mp3" if name == "a.avi" else "aac")
    path = tmp_path / name
    encode(path, pictures(), codec, {}, layout, sound, 48000)
    random, data = np.random.default_rng(7), path.read_bytes()
    began, refusals = time.monotonic(), []
    for _ in range(25):
        path.write_bytes(garbled(data, random))
        try:
            info = probe(path)
            assert sum(1 for _ in read(info, skip_broken=True)) == info.count
        except OSError as refusal:
            refusals.append(str(refusal))
    assert all(said.count(";") >= 2 for said in refusals), "what it is; what it must be; what to do"
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_garbled_picture_is_read_or_refused_and_never_more(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / name, pictures(1)[0])
    random, data = np.random.default_rng(7), (tmp_path / name).read_bytes()
    refused = 0
    for _ in range(60):
        (tmp_path / name).write_bytes(garbled(data, random))
        try:
            frame = next(read(probe(tmp_path)))
            assert frame.ndim == 3
        except OSError:
            refused += 1
    assert refused > 10
