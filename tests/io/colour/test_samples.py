"""Frames in their own samples: display-referred light, and replacing pixels without touching the others."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from scenes.video_clips import SIZE, described, pictures
from voin.io.colour.samples import PictureFrame, Samples, to_display, to_light
from voin.io.colour.video_samples import VideoFrame, _covered, _planes
from voin.io.quality import Quality
from voin.io.video import SamplesWriter, VideoInfo, probe, read_frames
from voin.io.video_info import from_rgb

WHERE = np.zeros(SIZE, bool)
WHERE[9:20, 13:31] = True


def test_the_curve_is_srgbs_and_goes_on_above_white() -> None:
    light = np.array([0, 0.001, 0.2140411, 1, 7.5, 1000], np.float32)
    shown = to_display(light)
    np.testing.assert_allclose(shown[:4], [0, 0.01292, 0.5, 1], atol=1e-5)
    assert (np.diff(shown) > 0).all()
    np.testing.assert_allclose(to_light(shown), light, rtol=1e-5)
    assert np.isfinite(to_display(np.array([np.nan, np.inf, -1], np.float32))).all()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float16, np.float32])
def test_a_picture_keeps_all_but_what_is_replaced(kind: type) -> None:
    values = pictures(1)[0].astype(kind) * kind(257 if kind == np.uint16 else 1)
    values = np.dstack([values, np.zeros(SIZE, kind)])
    frame = PictureFrame(values, linear=kind in (np.float16, np.float32))
    before = values.copy()
    made = frame.replaced(frame.shown(), WHERE)
    assert made.values.dtype == kind
    assert (values == before).all()
    assert (made.values[~WHERE] == values[~WHERE]).all()
    assert (made.values[WHERE, 3] == (1 if np.dtype(kind).kind == "f" else np.iinfo(kind).max)).all()
    np.testing.assert_allclose(made.values[WHERE, :3], values[WHERE, :3], rtol=2e-3)


def frame_of(layout: str, rotation: int = 0) -> VideoFrame:
    info = described(SIZE if rotation == 0 else (SIZE[1], SIZE[0]), rotation=rotation)
    deep = np.dstack([pictures(1)[0].astype(np.uint16) * 257, np.full(SIZE, 65535, np.uint16)])
    made = av.VideoFrame.from_ndarray(deep, format="rgba64le").reformat(format=layout)
    samples = Samples(max(part.bits for part in made.format.components), alpha="a" in layout, layout=layout)
    return VideoFrame(made, VideoInfo(**{**vars(info), "samples": samples}), VideoReformatter())


@pytest.mark.parametrize("layout", ["yuv420p", "yuvj420p", "yuv422p", "yuv420p10le", "rgb24"])
@pytest.mark.parametrize("rotation", [0, 90])
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 2)])
def test_parts_of_a_frame_have_the_pixels_of_the_whole_one(layout: str, rotation: int, size: tuple[int, int]) -> None:
    whole = frame_of(layout, rotation)
    # Also with an odd side, and so large that an untagged frame is taken for HD.
    h, w = SIZE[0] - size[0] + 1, SIZE[1] - size[1] + 1
    picture = np.ascontiguousarray(np.tile(pictures(1)[0][:h, :w], (1, 1 if rotation else 30, 1)))
    made = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=layout)
    frame = VideoFrame(
        made, replace(whole.info, size=picture.shape[:2] if not rotation else (w, h)), VideoReformatter()
    )
    for step in (1, 2, 3, 8):
        assert (frame.thinned(step) == frame.eight_bits()[::step, ::step]).all()
    for x0, y0, x1, y1 in ((0, 0, 7, 9), (5, 3, 22, 31), (-9, -8, 500, 400), (11, 11, 12, 12), (-20, 3, -5, 9)):
        box = np.s_[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        assert (frame.shown_in((x0, y0, x1, y1))[box] == frame.shown()[box]).all()
    shown = PictureFrame(picture)
    assert (shown.thinned(3) == picture[::3, ::3]).all()


@pytest.mark.parametrize(
    "layout", ["yuv420p", "yuv420p10le", "yuv422p12le", "yuva444p10le", "gbrp16le", "gray10le", "p010le", "yuv422p10be"]
)
def test_samples_of_seen_pixels_stay_to_the_bit(layout: str) -> None:
    frame = frame_of(layout)
    colours = np.full((*SIZE, 3), 1000 if frame.shown().dtype == np.uint16 else 5, frame.shown().dtype)
    made = frame.replaced(colours, WHERE)
    before = frame.frame if made.frame.format.name == layout else frame.frame.reformat(format=made.frame.format.name)
    for (old, _, _), (new, _, alpha) in zip(_planes(before), _planes(made.frame), strict=True):
        steps = SIZE[0] // old.shape[0], SIZE[1] // old.shape[1]
        touched = _covered(WHERE, steps[1], steps[0])
        assert (old[~touched] == new[~touched]).all()
        assert alpha or (old[touched] != new[touched]).any()
    inner = made.shown()[10:18, 14:30].astype(int)  # whole chroma samples
    assert abs(inner - colours[0, 0, 0]).max() <= colours[0, 0, 0] * 0.3
    assert (frame.shown() == frame_of(layout).shown()).all()


def test_the_same_colours_always_give_the_same_samples() -> None:
    """In FFmpeg's threads eight samples of a row were others in about one of a thousand small boxes."""
    deep = np.random.default_rng(0).integers(0, 2**16, (11, 18, 3), np.uint16)
    rgb, info = av.VideoFrame.from_ndarray(deep, format="rgb48le"), described()
    frames = (from_rgb(rgb, "yuv422p10le", info.colour, VideoReformatter()) for _ in range(8000))
    luma = {next(_planes(frame))[0].tobytes() for frame in frames}
    assert len(luma) == 1


def test_a_turned_video_is_replaced_where_its_viewer_sees_it() -> None:
    frame = frame_of("yuv444p10le", rotation=90)
    where = np.zeros(frame.size, bool)
    where[3:7, 20:40] = True
    made = frame.replaced(np.zeros((*frame.size, 3), np.uint16), where)
    changed = (made.shown() != frame.shown()).any(axis=2)
    assert (changed == where).mean() > 0.99
    assert not changed[~where].any()


@pytest.mark.parametrize(
    ("codec", "suffix", "layout", "bits"),
    [
        ("ffv1", ".mkv", "yuv420p10le", 10),
        ("ffv1", ".mkv", "yuv422p12le", 12),
        ("ffv1", ".mkv", "yuva444p10le", 10),
        ("prores", ".mov", "yuv422p10le", 10),
        ("hevc", ".mp4", "yuv420p10le", 10),
        ("vp9", ".webm", "yuva420p", 8),
    ],
)
def test_a_video_keeps_its_bits_and_its_alpha(tmp_path: Path, codec: str, suffix: str, layout: str, bits: int) -> None:
    frame = frame_of(layout)
    path, quality = tmp_path / f"a{suffix}", Quality(codec=codec)  # type: ignore[arg-type]
    with SamplesWriter(path, frame.info, [0, 1], quality) as writer:
        for _ in range(2):
            writer.write_samples(VideoFrame(frame.frame, frame.info, frame.reformatter))
    info = probe(path)
    assert (info.samples.bits, info.samples.alpha, info.count) == (bits, frame.info.samples.alpha, 2)
    assert info.rate == Fraction(25)
    for read in read_frames(info):
        assert abs(read.shown().astype(int) - frame.shown()).mean() < 0.02 * np.iinfo(frame.shown().dtype).max
        if codec == "ffv1":
            assert (read.shown() == frame.shown()).all()
