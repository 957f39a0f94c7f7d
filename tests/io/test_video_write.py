"""Writing: what is written reads back as it was meant, in one piece or joined, and never half."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext

from scenes.video_clips import COUNT, SIZE, described, difference, encode, packets, pictures, save, seconds_of
from voin.io.video import Colour, LayerWriter, Quality, VideoInfo, VideoWriter, join, probe, read, write_image
from voin.io.video_join import check_sound

LOSSLESS = Quality(lossless=True)
UNEVEN = [17 + 512 * i + 150 * (i % 3) for i in range(COUNT)]


def segments(folder: Path, frames: list[np.ndarray], info: VideoInfo, suffix: str = ".mp4") -> list[Path]:
    """Write frames in three segments of unequal length."""
    paths = []
    for number, (start, end) in enumerate([(0, 5), (5, 6), (6, len(frames))]):
        paths.append(folder / f"{number:05d}{suffix}")
        with VideoWriter(paths[-1], info, info.times[start:end]) as writer:
            for frame in frames[start:end]:
                writer.write(frame)
    return paths


@pytest.mark.parametrize("size", [(48, 64), (47, 64), (48, 63), (47, 63), (2, 3)])
@pytest.mark.parametrize("quality", [Quality(crf=1), LOSSLESS])
def test_every_size_is_kept_and_lossless_is_bit_equal(tmp_path: Path, size: tuple[int, int], quality: Quality) -> None:
    frames = pictures(size=size)
    info = probe(save(tmp_path / "a.mp4", frames, described(size), quality=quality))
    assert info.size == size
    assert info.count == COUNT
    shown = list(read(info))
    if quality.lossless:
        assert all((a == b).all() for a, b in zip(shown, frames, strict=True))
    elif min(size) > 2:
        assert max(difference(a, b) for a, b in zip(shown, frames, strict=True)) < 8


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_viewer_sees_the_same_whatever_the_rotation_tag(
    tmp_path: Path, suffix: str, rotation: int, mirrored: bool
) -> None:
    frames = pictures(size=(47, 64))
    source = described((47, 64), rotation=rotation, mirrored=mirrored)
    info = probe(save(tmp_path / f"a{suffix}", frames, source, quality=LOSSLESS))
    assert info.size == (47, 64)
    assert all((a == b).all() for a, b in zip(read(info), frames, strict=True))
    if suffix != ".mkv":  # its tag is obeyed by few viewers: there the pixels are turned instead
        assert (info.rotation, info.mirrored) == (rotation, mirrored)


def test_the_rotation_tag_turns_as_ffmpegs_own_does(tmp_path: Path) -> None:
    """90 degrees clockwise: what is stored at the left edge is shown at the top."""
    upright = np.zeros((64, 48, 3), np.uint8)
    upright[:32] = 255
    save(tmp_path / "a.mp4", [upright] * 2, described((64, 48), count=2, rotation=90), quality=LOSSLESS)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stored = next(container.decode(video=0))
        assert stored.rotation == -90
        assert (stored.to_ndarray(format="rgb24")[:, :32] == 255).all()


@pytest.mark.parametrize(
    "colour",
    [Colour(), Colour(1, 1, 1, 1), Colour(6, 6, 6, 1), Colour(5, 6, 5, 2), Colour(9, 16, 9, 1), Colour(9, 18, 9, 2)],
)
def test_colour_tags_are_kept_and_colours_stay(tmp_path: Path, colour: Colour) -> None:
    patch = np.kron(np.random.default_rng(0).integers(0, 256, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    source = described(colour=colour, count=2)
    info = probe(save(tmp_path / "a.mp4", [patch, patch], source, quality=Quality(crf=0)))
    assert info.colour == colour
    assert difference(next(read(info)), patch) < 2


def test_unspecified_colours_are_bt601_for_sd_and_bt709_for_hd(tmp_path: Path) -> None:
    for size, number in (((480, 640), 6), ((720, 1280), 1)):
        red = np.full((*size, 3), (200, 30, 30), np.uint8)
        plain = probe(save(tmp_path / "plain.mp4", [red], described(size, count=1)))
        tagged = described(size, count=1, colour=Colour(matrix=number, range=1))
        assert packets(plain.path, "video") != []
        save(tmp_path / "tagged.mp4", [red], tagged)
        assert difference(next(read(plain)), red) < 2
        assert (next(read(plain)) == next(read(probe(tmp_path / "tagged.mp4")))).all()


def test_reading_and_writing_unchanged_keeps_the_stored_samples(tmp_path: Path) -> None:
    """So nothing drifts outside the object: only x264's own loss remains, and at crf 0 none."""
    source = save(tmp_path / "a.mp4", pictures(), described())
    info = probe(source)
    save(tmp_path / "b.mp4", list(read(info)), info, quality=Quality(crf=0))
    for first, second in zip(_stored(source), _stored(tmp_path / "b.mp4"), strict=True):
        # Colours outside RGB cannot be kept: they are cut off at 0 and 255.
        assert np.abs(first.astype(int) - second).mean() < 0.05
        assert (np.abs(first.astype(int) - second) > 1).mean() < 0.01


def _stored(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


def test_times_and_the_last_frames_duration_are_kept(tmp_path: Path) -> None:
    source = replace(described(times=UNEVEN, time_base=Fraction(1, 12800)), duration=UNEVEN[-1] - UNEVEN[0] + 2000)
    info = probe(save(tmp_path / "a.mp4", pictures(), source))
    assert seconds_of(info) == seconds_of(source)
    assert info.duration * info.time_base == source.duration * source.time_base
    info = probe(save(tmp_path / "a.mkv", pictures(), source))
    assert max(abs(a - b) for a, b in zip(seconds_of(info), seconds_of(source), strict=True)) <= Fraction(1, 1000)


def test_the_shape_of_pixels_is_kept(tmp_path: Path) -> None:
    info = probe(save(tmp_path / "a.mp4", pictures(), described(aspect=Fraction(16, 11))))
    assert info.aspect == Fraction(16, 11)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_joined_segments_equal_one_piece(tmp_path: Path, suffix: str) -> None:
    frames = pictures(size=(47, 64))
    info = described((47, 64), times=UNEVEN, time_base=Fraction(1, 12800), rotation=90, colour=Colour(1, 1, 1, 1))
    parts = segments(tmp_path, frames, info, suffix)
    join(parts, tmp_path / f"out{suffix}", info)
    out, whole = probe(tmp_path / f"out{suffix}"), probe(save(tmp_path / f"whole{suffix}", frames, info))
    assert replace(out, path=whole.path) == whole
    shown = [frame for part in parts for frame in read(probe(part))]
    assert all((a == b).all() for a, b in zip(read(out), shown, strict=True))
    assert [content for _, content in packets(out.path, "video")] == [
        content for part in parts for _, content in packets(part, "video")
    ]
    assert list(tmp_path.glob("*part*")) == []


@pytest.mark.parametrize(
    ("name", "sound"), [("a.mp4", "aac"), ("a.mkv", "ac3"), ("a.webm", "libopus"), ("a.avi", "mp3")]
)
def test_sound_is_copied_bit_by_bit(tmp_path: Path, name: str, sound: str) -> None:
    codec = "libvpx-vp9" if name == "a.webm" else "libx264"
    info = probe(encode(tmp_path / name, pictures(), codec, sound=sound, sound_rate=48000))
    assert info.audio
    join([save(tmp_path / "part.mp4", list(read(info)), info)], tmp_path / "out.mp4", info)
    before, after = packets(info.path, "audio"), packets(tmp_path / "out.mp4", "audio")
    assert [content for _, content in before] == [content for _, content in after]
    assert max(abs(a[0] - b[0]) for a, b in zip(before, after, strict=True)) < Fraction(1, 500)
    assert seconds_of(probe(tmp_path / "out.mp4")) == seconds_of(info)


@pytest.mark.parametrize(("name", "sound", "suffix"), [("a.mov", "pcm_s16le", ".mp4"), ("a.mp4", "aac", ".webm")])
def test_sound_that_the_container_cannot_hold_is_encoded_anew(
    tmp_path: Path, name: str, sound: str, suffix: str
) -> None:
    info = probe(encode(tmp_path / name, pictures(), sound=sound, sound_rate=48000))
    if suffix == ".webm":
        layer = np.zeros((*SIZE, 4), np.uint8)
        with LayerWriter(tmp_path / "part.webm", info, info.times) as writer:
            for _ in range(COUNT):
                writer.write(layer)
    else:
        save(tmp_path / f"part{suffix}", list(read(info)), info)
    join([tmp_path / f"part{suffix}"], tmp_path / f"out{suffix}", info)
    assert abs(_loudness(tmp_path / f"out{suffix}") - _loudness(info.path)) < 0.05
    found = packets(tmp_path / f"out{suffix}", "audio")
    assert abs(found[-1][0] - packets(info.path, "audio")[-1][0]) < Fraction(1, 20)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(
    ("name", "codec", "speakers", "found"),
    [
        ("a.avi", "pcm_s16le", "stereo", "2 channels"),
        ("a.avi", "pcm_alaw", "mono", "1 channels"),
        ("a.avi", "adpcm_ms", "stereo", "2 channels"),
        ("a.mkv", "pcm_s16le", "quad", "4 channels"),
    ],
)
def test_sound_that_does_not_say_where_it_is_heard_is_kept_by_its_number_of_channels(
    tmp_path: Path, suffix: str, name: str, codec: str, speakers: str, found: str
) -> None:
    path = encode(tmp_path / name, pictures(), "mpeg4", sound=codec, sound_rate=48000, speakers=speakers)
    with av.open(str(path)) as container:
        assert container.streams.audio[0].layout.name == found
    info = probe(path)
    said = check_sound(info, suffix)
    join([save(tmp_path / f"part{suffix}", list(read(info)), info)], tmp_path / f"out{suffix}", info)
    copied = codec == "pcm_s16le" and suffix != ".mp4"
    assert said.startswith(f"Sound: {'copied' if copied else 'encoded anew'} ({codec}, {found}")
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        sound = container.streams.audio[0]
        assert sound.codec_context.name == (codec if copied else "aac")
        assert copied or sound.layout.name == ("mono" if speakers == "mono" else "stereo")
    assert abs(_loudness(tmp_path / f"out{suffix}") - _loudness(path)) < (0.5 if speakers == "quad" else 0.05)


def test_sound_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = probe(encode(tmp_path / "a.avi", pictures(), "mpeg4", sound="pcm_s16le", speakers="mono"))
    assert check_sound(replace(info, audio=False), ".mp4") == ""
    monkeypatch.setattr("voin.io.video_join._SOUND", {".webm": ({"pcm_s16le"}, "aac")})
    with pytest.raises(OSError, match=r"sound of .*a\.avi cannot be put into a \.webm .*pcm_s16le.*--no-audio"):
        check_sound(info, ".webm")


def _loudness(path: Path) -> float:
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=48000)
    with av.open(str(path)) as container:
        wave = [part.to_ndarray()[0] for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return float(np.sqrt(np.mean(np.concatenate(wave)[4800:-4800] ** 2)))


def test_a_cut_out_part_begins_at_0_with_its_own_sound(tmp_path: Path) -> None:
    info = probe(encode(tmp_path / "a.mp4", pictures(25), sound="aac", sound_rate=48000, seconds=1))
    start, end = 10, 20
    with VideoWriter(tmp_path / "part.mp4", info, info.times[start:end]) as writer:
        for frame in read(info, start, end):
            writer.write(frame)
    join([tmp_path / "part.mp4"], tmp_path / "out.mp4", info, start=start, end=end)
    out = probe(tmp_path / "out.mp4")
    assert seconds_of(out) == [Fraction(i, 25) for i in range(10)]
    sound = packets(out.path, "audio")
    at = {content: moment for moment, content in packets(info.path, "audio")}
    assert all(abs(at[content] - moment - Fraction(start, 25)) < Fraction(1, 1000) for moment, content in sound)
    assert sound[0][0] <= 0
    assert sound[-1][0] >= Fraction(9, 25) - Fraction(1, 40)


def test_sound_can_be_left_out(tmp_path: Path) -> None:
    info = probe(encode(tmp_path / "a.mp4", pictures(), sound="aac"))
    join([save(tmp_path / "part.mp4", list(read(info)), info)], tmp_path / "out.mp4", info, audio=False)
    assert not probe(tmp_path / "out.mp4").audio


def test_segments_that_do_not_fit_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    info = described()
    parts = segments(tmp_path, pictures(), info)
    other = save(tmp_path / "other.mp4", pictures(), described(), quality=LOSSLESS)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing")
    for given, said in (
        (parts[:2], "hold 6 frames, not 12"),
        ([*parts, parts[0]], "hold 17 frames, not 12"),
        ([parts[0], other], "other settings"),
        ([*parts[:2], broken], "cannot be read"),
    ):
        with pytest.raises(OSError, match=said):
            join(given, tmp_path / "out.mp4", info)
    with pytest.raises(ValueError, match="0 segments"):
        join([], tmp_path / "out.mp4", info)
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize(("name", "decoder"), [("a.mov", "prores"), ("a.webm", "libvpx-vp9")])
def test_a_layer_keeps_its_alpha_also_when_joined(tmp_path: Path, name: str, decoder: str) -> None:
    info = described((47, 63), rotation=90)
    frames = [
        np.dstack([frame, np.tri(47, 63, i, dtype=np.uint8) * 255]) for i, frame in enumerate(pictures(size=(47, 63)))
    ]
    parts = []
    for start, end in ((0, 4), (4, COUNT)):
        parts.append(tmp_path / f"{start}-{name}")
        with LayerWriter(parts[-1], info, info.times[start:end]) as writer:
            for frame in frames[start:end]:
                writer.write(frame)
    join(parts, tmp_path / name, info)
    found = probe(tmp_path / name)
    assert (found.size, found.count, found.rotation) == ((47, 63), COUNT, 0)
    codec = cast(VideoCodecContext, av.CodecContext.create(decoder, "r"))  # FFmpeg's own VP9 decoder leaves alpha out
    with av.open(str(tmp_path / name)) as container:
        if name == "a.webm":
            assert "ALPHA_MODE" in container.streams.video[0].metadata
            shown = [frame for packet in container.demux(video=0) if packet.size for frame in codec.decode(packet)]
            shown += codec.decode(None)
        else:
            shown = list(container.decode(video=0))
    for picture, frame in zip(shown, frames, strict=True):
        layer = picture.to_ndarray(format="rgba")
        assert difference(layer[..., 3], frame[..., 3]) < 4
        seen = frame[..., 3] > 0
        assert difference(layer[..., :3][seen], frame[..., :3][seen]) < 10


def _begin(path: Path, then: BaseException | None = None, count: int = 1) -> None:
    """Write `count` of 40 frames, then end without an error or with one."""
    info = described(count=40)
    with VideoWriter(path, info, info.times) as writer:
        for frame in pictures(40)[:count]:
            writer.write(frame)
        if then is not None:
            raise then


def test_a_writer_that_is_interrupted_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _begin(tmp_path / "a.mp4", KeyboardInterrupt())
    with pytest.raises(ValueError, match="got 1 frames for 40 times"):
        _begin(tmp_path / "b.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_only_when_the_new_one_is_whole(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mp4", pictures(), described())
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        _begin(path, KeyboardInterrupt(), count=30)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_an_error_and_not_a_hang(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot be written.*make room"):
        _begin(tmp_path / "missing" / "a.mp4", count=40)


def test_wrong_frames_times_and_settings_are_refused(tmp_path: Path) -> None:
    info = described()
    with VideoWriter(tmp_path / "a.mp4", info, info.times[:1]) as writer:
        with pytest.raises(ValueError, match=r"uint8 \(48, 64, 3\)"):
            writer.write(np.zeros((64, 48, 3), np.uint8))
        with pytest.raises(ValueError, match="uint8"):
            writer.write(np.zeros((48, 64, 3), np.float32))
        writer.write(pictures()[0])
        with pytest.raises(ValueError, match="has 1 frames already"):
            writer.write(pictures()[0])
    for times in ([], [0, 0], [1, 0]):
        with pytest.raises(ValueError, match="frame times"):
            VideoWriter(tmp_path / "b.mp4", info, times)
    for crf in (52, -1):
        with pytest.raises(ValueError, match="must"):
            Quality(crf)
    unchecked = Quality()
    object.__setattr__(unchecked, "preset", "warp")  # as a caller without type checks may
    with pytest.raises(ValueError, match="must be one of ultrafast"):
        unchecked.__post_init__()
    with pytest.raises(ValueError, match=r"\.mov or \.webm"):
        LayerWriter(tmp_path / "a.mp4", info, info.times)


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 3), (47, 63, 4)])
def test_a_png_keeps_every_value(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    write_image(tmp_path / "0.png", array)
    with av.open(str(tmp_path / "0.png")) as container:
        frame = next(container.decode(video=0))
        layout = {2: "gray", 3: "rgb24", 4: "rgba"}[array.shape[2] if array.ndim == 3 else 2]
        assert (frame.to_ndarray(format=layout) == array).all()
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    for array in (np.zeros((4, 4), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8)):
        with pytest.raises(ValueError, match="must be uint8"):
            write_image(tmp_path / "0.png", array)
    with pytest.raises(OSError, match="missing"):
        write_image(tmp_path / "missing" / "0.png", np.zeros((4, 4), np.uint8))
