"""TIFF, BMP, WebP, DPX and EXR as frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from scenes.video_clips import SIZE, pictures
from voin.io.colour.picture_kinds import narrow, read_frame, widen, write_frame
from voin.io.colour.samples import PictureFrame
from voin.io.images import read_picture, write_image
from voin.io.video import probe, read, read_frames


def values(kind: type, channels: int = 3) -> np.ndarray:
    picture = np.dstack([*np.moveaxis(pictures(1)[0], 2, 0), np.full(SIZE, 77, np.uint8)])[..., :channels]
    return (
        (picture / 100).astype(kind) if np.dtype(kind).kind == "f" else picture.astype(kind) * np.iinfo(kind).max // 255
    )


@pytest.mark.parametrize(
    ("suffix", "kind", "channels"),
    [
        *((".tif", kind, channels) for kind in (np.uint8, np.uint16) for channels in (3, 4)),
        *((".dpx", kind, 3) for kind in (np.uint8, np.uint16)),
        *((".png", kind, channels) for kind in (np.uint8, np.uint16) for channels in (3, 4)),
        (".tif", np.float32, 3),
    ],
)
def test_what_is_written_is_read_to_the_bit(tmp_path: Path, suffix: str, kind: type, channels: int) -> None:
    path = tmp_path / f"a{suffix}"
    write_frame(path, PictureFrame(values(kind, channels)))
    frame = read_frame(path)
    assert frame.values.dtype == kind
    assert (frame.values == values(kind, channels)).all()
    info = probe(tmp_path)
    assert (info.size, info.samples.alpha) == (SIZE, channels == 4)
    assert next(iter(read_frames(info))).shown().dtype == info.samples.dtype
    assert next(iter(read(info))).dtype == np.uint8


@pytest.mark.parametrize("bits", [10, 12])
def test_dpx_keeps_its_bits(tmp_path: Path, bits: int) -> None:
    samples = np.random.default_rng(0).integers(0, 2**bits, (*SIZE, 3), dtype=np.uint16)
    assert (narrow(widen(samples, bits), bits) == samples).all()
    write_frame(tmp_path / "a.dpx", PictureFrame(widen(samples, bits), rest=bits))
    frame = read_frame(tmp_path / "a.dpx")
    assert (narrow(frame.values, bits) == samples).all()
    assert frame.rest == probe(tmp_path).samples.bits == bits


@pytest.mark.parametrize("suffix", [".bmp", ".webp"])
def test_bmp_and_webp_are_frames(tmp_path: Path, suffix: str) -> None:
    picture = pictures(1)[0]
    settings = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else []  # above 100: lossless
    data = cv2.imencode(suffix, picture[..., ::-1], settings)[1]
    (tmp_path / f"a{suffix}").write_bytes(data.tobytes())
    assert (next(iter(read(probe(tmp_path)))) == picture).all()


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_exr_keeps_light_and_all_else_in_the_file(tmp_path: Path, kind: type) -> None:
    exr = pytest.importorskip("OpenEXR")
    h, w = SIZE
    random = np.random.default_rng(0)
    channels = {name: (5 * random.random(SIZE)).astype(kind) for name in "RGBA"}
    channels |= {"depth.Z": random.random(SIZE, np.float32), "id": random.integers(0, 9, SIZE).astype(np.uint32)}
    given = {name: values.copy() for name, values in channels.items()}
    # Less is shown on the left than there is, and more on the right.
    window = (np.array([4, 0], np.int32), np.array([w + 3, h - 1], np.int32))
    header = {
        "type": exr.scanlineimage,
        "compression": exr.PIZ_COMPRESSION,
        "displayWindow": window,
        "comments": "mine",
    }
    with exr.File(header, channels) as file:
        file.write(str(tmp_path / "a.exr"))
    info = probe(tmp_path)
    assert info.size == SIZE
    assert (info.samples.linear, info.samples.alpha) == (True, True)
    frame = read_frame(tmp_path / "a.exr")
    assert frame.shown().max() > 2
    where = np.zeros(SIZE, bool)
    where[5:9, 3:8] = True
    write_frame(tmp_path / "b.exr", frame.replaced(np.full((*SIZE, 3), 0.5, np.float32), where))
    with exr.File(str(tmp_path / "b.exr"), separate_channels=True) as file:
        assert file.header()["comments"] == "mine"
        written = {name: np.array(channel.pixels) for name, channel in file.channels().items()}
    assert set(written) == set(given)
    for name, samples in given.items():
        same = np.pad(~where, ((0, 0), (4, 0)), constant_values=True)[:, :w] | (name not in set("RGBA"))
        assert written[name].dtype == samples.dtype
        assert (written[name][:, :w][same] == samples[same]).all()
    np.testing.assert_allclose(written["R"][5:9, 7:12].astype(float), 0.214, atol=1e-3)
    assert (written["A"][5:9, 7:12] == 1).all()


def test_what_else_lies_in_a_folder_is_named(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i:05d}.cin").write_bytes(b"x")
    with pytest.raises(OSError, match=r"3 \.cin files.*ffmpeg -i %05d\.cin %05d\.png"):
        probe(tmp_path)


@pytest.mark.parametrize("suffix", [".tif", ".dpx", ".exr", ".webp", ".bmp"])
def test_garbage_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    if suffix == ".exr":
        pytest.importorskip("OpenEXR")
    (tmp_path / f"a{suffix}").write_bytes(b"lies" + bytes(range(200)) * 20)
    with pytest.raises(OSError, match=rf"a\{suffix}"):
        next(iter(read(probe(tmp_path))))


def test_a_thumbnail_of_another_kind_beside_pngs_is_no_frame(tmp_path: Path) -> None:
    write_image(tmp_path / "00000.png", pictures(1)[0])
    (tmp_path / "thumbnail.webp").write_bytes(b"x")
    assert probe(tmp_path).count == 1
    assert (read_picture(tmp_path / "00000.png") == pictures(1)[0]).all()
