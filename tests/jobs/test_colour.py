"""Alpha, bits and light of the source come through a whole run; what is not completed stays to the bit."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from fakes.fake_method import labels, run, save_labels, whole_of
from scenes.video_clips import SIZE, pictures
from voin.core.types import largest
from voin.io.colour.picture_kinds import read_frame, write_frame
from voin.io.colour.samples import PictureFrame, to_display, to_light
from voin.io.colour.video_samples import VideoFrame, _covered, _planes
from voin.io.quality import Quality
from voin.io.video import probe, read_frames

COUNT = 4


def frames(kind: type, channels: int) -> list[np.ndarray]:
    """Frames that are transparent on the left; floats reach 5."""
    found = []
    for picture in pictures(COUNT):
        alpha = np.full((*SIZE, 1), 255, np.uint8)
        alpha[:, :20] = 0
        whole = np.concatenate([picture, alpha], axis=2)[..., :channels]
        scale = kind(1) if kind == np.uint8 else kind(257) if kind == np.uint16 else kind(5 / 255)
        found.append(whole.astype(kind) * scale)
    return found


def rims(maps: list[np.ndarray]) -> list[np.ndarray]:
    """What the fake method completes: a rim around the visible part."""
    return [whole_of(label > 0) & (label == 0) for label in maps]


@pytest.mark.parametrize(
    ("suffix", "kind", "channels", "written"),
    [
        (".png", np.uint8, 4, ".png"),
        (".png", np.uint16, 3, ".png"),
        (".png", np.uint16, 4, ".png"),
        (".tif", np.uint16, 3, ".tif"),
        (".dpx", np.uint16, 3, ".dpx"),
        (".exr", np.float16, 3, ".exr"),
        (".exr", np.float32, 4, ".exr"),
    ],
)
def test_pictures_keep_alpha_bits_and_light(
    tmp_path: Path, suffix: str, kind: type, channels: int, written: str
) -> None:
    if suffix == ".exr":
        pytest.importorskip("OpenEXR")
    source, maps = tmp_path / "in", labels(COUNT, SIZE)
    source.mkdir()
    for i, values in enumerate(frames(kind, channels)):
        write_frame(source / f"{i:05d}{suffix}", PictureFrame(values))
    run(source, save_labels(tmp_path / "masks", maps), tmp_path / "out", layer="none")
    for i, (values, rim) in enumerate(zip(frames(kind, channels), rims(maps), strict=True)):
        result = read_frame(tmp_path / "out" / "completed" / f"{i:05d}{written}").values
        assert result.dtype == kind
        assert (result[~rim] == values[~rim]).all()
        assert (result[rim, :3] != values[rim, :3]).mean() > 0.9
        assert (result[rim, 3:] == largest(np.dtype(kind))).all()


def encode(path: Path, codec: str, layout: str, options: dict[str, str], tags: tuple[int, int, int, int]) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *SIZE, layout
        stream.color_primaries, stream.color_trc, stream.colorspace, stream.color_range = tags
        for index, values in enumerate(frames(np.uint16, 4)):
            frame = av.VideoFrame.from_ndarray(values, format="rgba64le").reformat(format=layout)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


PQ, HLG, SDR = (9, 16, 9, 1), (9, 18, 9, 1), (1, 1, 1, 1)
QUIET = {"x265-params": "log-level=error"}


@pytest.mark.parametrize(
    ("codec", "suffix", "layout", "tags", "video", "made"),
    [
        ("ffv1", ".mkv", "yuv420p10le", PQ, "auto", ("completed.mkv", 10, False)),
        ("ffv1", ".mkv", "yuv422p12le", SDR, "auto", ("completed.mkv", 12, False)),
        ("ffv1", ".mkv", "yuva444p10le", SDR, "auto", ("completed.mkv", 10, True)),
        ("libx265", ".mp4", "yuv420p10le", HLG, "ffv1", ("completed.mkv", 10, False)),
        ("libx265", ".mp4", "yuv420p10le", PQ, "auto", ("completed.mp4", 10, False)),
        ("libx265", ".mp4", "yuv420p10le", SDR, "h264", ("completed.mp4", 8, False)),
        ("prores_ks", ".mov", "yuv422p10le", SDR, "auto", ("completed.mov", 10, False)),
        ("prores_ks", ".mov", "yuva444p10le", SDR, "auto", ("completed.mov", 10, True)),
        ("libvpx-vp9", ".webm", "yuva420p", SDR, "auto", ("completed.webm", 8, True)),
    ],
)
def test_videos_keep_bits_alpha_and_tags(
    tmp_path: Path,
    codec: str,
    suffix: str,
    layout: str,
    tags: tuple[int, int, int, int],
    video: Any,
    made: tuple[str, int, bool],
) -> None:
    options = {"libx265": QUIET, "libvpx-vp9": {"auto-alt-ref": "0"}}.get(codec, {})
    source, maps = encode(tmp_path / f"a{suffix}", codec, layout, options, tags), labels(COUNT, SIZE)
    masks = save_labels(tmp_path / "masks", maps)
    run(source, masks, tmp_path / "out", layer="none", quality=Quality(codec=video), chunk_frames=3)
    before, after = probe(source), probe(tmp_path / "out" / made[0])
    assert (after.samples.bits, after.samples.alpha) == made[1:]
    assert (after.colour, after.count) == (before.colour, COUNT)
    for old, new, rim in zip(read_frames(before), read_frames(after), rims(maps), strict=True):
        assert isinstance(old, VideoFrame)
        assert isinstance(new, VideoFrame)
        assert abs(old.eight_bits().astype(int) - new.eight_bits())[~whole_of(rim)].mean() < 5
        assert abs(old.eight_bits().astype(int) - new.eight_bits())[rim].mean() > 20
        if made[0] == "completed.mkv":  # nothing is lost by coding
            for (was, _, _), (now, _, _) in zip(_planes(old.frame), _planes(new.frame), strict=True):
                touched = _covered(rim, SIZE[1] // was.shape[1], SIZE[0] // was.shape[0])
                assert (was[~touched] == now[~touched]).all()
        if made[2]:
            alpha = [picture.picture(np.dtype(np.uint8)).values[..., 3] for picture in (old, new)]
            assert alpha[0][:, :16].max() < 40
            inner = cv2.erode(rim.astype(np.uint8), np.ones((3, 3))) > 0
            assert alpha[1][inner].min(initial=255) > 200


def test_a_plain_video_is_coded_in_its_own_samples(tmp_path: Path) -> None:
    source, maps = encode(tmp_path / "a.mp4", "libx264", "yuv420p", {}, SDR), labels(COUNT, SIZE)
    # x264 loses nothing at a quality of 0.
    run(source, save_labels(tmp_path / "masks", maps), tmp_path / "out", layer="none", quality=Quality(crf=0))
    before, after = probe(source), probe(tmp_path / "out" / "completed.mp4")
    assert after.colour == before.colour
    for old, new, rim in zip(read_frames(before), read_frames(after), rims(maps), strict=True):
        assert isinstance(old, VideoFrame)
        assert isinstance(new, VideoFrame)
        assert abs(old.eight_bits().astype(int) - new.eight_bits())[rim].mean() > 20
        for (was, _, _), (now, _, _) in zip(_planes(old.frame), _planes(new.frame), strict=True):
            touched = _covered(rim, SIZE[1] // was.shape[1], SIZE[0] // was.shape[0])
            assert (was[~touched] == now[~touched]).all()


def test_a_deep_video_as_png_and_its_layer_have_16_bits(tmp_path: Path) -> None:
    source, maps = encode(tmp_path / "a.mkv", "ffv1", "yuv422p10le", {}, SDR), labels(COUNT, SIZE)
    run(source, save_labels(tmp_path / "masks", maps), tmp_path / "out", png=True)
    shown = [frame.shown() for frame in read_frames(probe(source))]
    for i, rim in enumerate(rims(maps)):
        result = read_frame(tmp_path / "out" / "completed" / f"{i:05d}.png").values
        layer = read_frame(tmp_path / "out" / "object" / f"{i:05d}.png").values
        assert result.dtype == layer.dtype == np.uint16
        assert (result[~rim] == shown[i][~rim]).all()
        assert (layer[maps[i] > 0, :3] == shown[i][maps[i] > 0]).all()


def test_what_hides_under_no_alpha_stays_without_alpha(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for i, values in enumerate(frames(np.uint8, 3)):
        write_frame(source / f"{i:05d}.png", PictureFrame(values))
    run(source, save_labels(tmp_path / "masks", labels(COUNT, SIZE)), tmp_path / "out")
    with Image.open(tmp_path / "out" / "completed" / "00000.png") as picture:
        assert picture.mode == "RGB"


@pytest.mark.parametrize("linear", [True, False, None])
def test_linear_light_is_what_the_user_says(tmp_path: Path, linear: bool | None) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for i, values in enumerate(frames(np.uint16, 3)):
        write_frame(source / f"{i:05d}.tif", PictureFrame(values))
    maps = labels(COUNT, SIZE)
    run(source, save_labels(tmp_path / "masks", maps), tmp_path / "out", layer="none", linear=linear)
    values, rim = frames(np.uint16, 3)[1].astype(float) / 65535, rims(maps)[1]
    inverted = 1 - values
    if linear:  # inverted as a screen would show it
        inverted = to_light(1 - to_display(values)).astype(float)
    result = read_frame(tmp_path / "out" / "completed" / "00001.tif").values / 65535
    np.testing.assert_allclose(result[rim], inverted[rim], atol=1e-4)


def test_exr_layers_hold_all_that_is_known_of_an_object(tmp_path: Path) -> None:
    exr = pytest.importorskip("OpenEXR")
    source = tmp_path / "in"
    source.mkdir()
    for i, values in enumerate(frames(np.uint8, 3)):
        write_frame(source / f"{i:05d}.png", PictureFrame(values))
    maps = labels(COUNT, SIZE)
    run(source, save_labels(tmp_path / "masks", maps), tmp_path / "out", layer="exr", cuts="none")
    completed = read_frame(tmp_path / "out" / "completed" / "00001.png").values
    with exr.File(str(tmp_path / "out" / "object" / "00001.exr"), separate_channels=True) as file:
        channels = {name: np.array(channel.pixels, np.float32) for name, channel in file.channels().items()}
    whole = whole_of(maps[1] > 0)
    light = to_light(completed.astype(np.float32) / 255)
    assert set(channels) == {
        *("R", "G", "B", "A", "completed.R", "completed.G", "completed.B", "amodal.Y", "confidence.Y"),
        *("forward.u", "forward.v", "backward.u", "backward.v"),
    }
    assert (channels["A"] == whole).all()
    assert (channels["amodal.Y"] == whole).all()
    np.testing.assert_allclose(channels["completed.G"], light[..., 1], atol=2e-3)
    np.testing.assert_allclose(channels["R"], light[..., 0] * whole, atol=2e-3)  # premultiplied
    assert (channels["confidence.Y"][maps[1] > 0] == 1).all()
    assert channels["forward.u"].any()
