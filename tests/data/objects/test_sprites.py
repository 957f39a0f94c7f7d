"""Moving objects with soft masks become packs."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from PIL import Image

from voin.data.objects.sprites import ENLARGE, find_sprites, pack_sprites, read_sprite
from voin.data.packs.pack import open_pack


def disc(t: int = 5, size: int = 64, start: float = 24.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw a soft disc that moves to the right: colours that reach past its edge, and covers."""
    y, x = np.mgrid[:size, :size]
    covers = [255 * np.clip(10.5 - np.hypot(x - start - 2 * i, y - 32), 0, 1) for i in range(t)]
    colours = np.zeros((t, size, size, 3), np.uint8)
    colours[..., 0], colours[..., 2] = 200, (40 * np.arange(t))[:, None, None]
    return colours, np.stack(covers).round().astype(np.uint8)


def write_video(path: Path, frames: np.ndarray, codec: str, layout: str, given: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        options = {"crf": "0"} if codec == "libx264" else {}
        stream = cast(VideoStream, container.add_stream(codec, rate=12, options=options))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = layout
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=given)))
        container.mux(stream.encode(None))


def write_pair(folder: Path, name: str, colours: np.ndarray, covers: np.ndarray) -> None:
    write_video(folder / f"{name}.mp4", colours, "libx264", "yuv444p", "rgb24")
    write_video(folder / f"{name}.mask.mkv", covers, "ffv1", "gray", "gray")


def write_layers(folder: Path, colours: np.ndarray, covers: np.ndarray, suffix: str = ".png") -> None:
    folder.mkdir(parents=True)
    for i, layer in enumerate(np.concatenate([colours, covers[..., None]], axis=-1)):
        Image.fromarray(layer, "RGBA").save(folder / f"{i:05}{suffix}", lossless=True)


def test_all_forms_are_found_and_read_alike(tmp_path: Path) -> None:
    colours, covers = disc()
    layers = np.concatenate([colours, covers[..., None]], axis=-1)
    write_pair(tmp_path, "a", colours, covers)
    write_layers(tmp_path / "b", colours, covers)
    write_layers(tmp_path / "c", colours, covers, ".webp")
    write_video(tmp_path / "d.mov", layers, "prores_ks", "yuva444p10le", "rgba")
    (tmp_path / "notes.txt").write_text("no sprite")
    (tmp_path / "empty").mkdir()
    files = find_sprites(tmp_path)
    assert [file.name for file in files] == ["a.mask.mkv", "b", "c", "d.mov"]
    for file in files:
        found, share = read_sprite(file)
        exact = file.name != "d.mov"
        assert np.abs(share.astype(int) - covers).max() <= (0 if exact else 2)
        inside = covers > 0
        assert np.abs(found.astype(int) - colours)[inside].max() <= 6


def test_a_pack_has_windows_around_them_and_soft_masks(tmp_path: Path) -> None:
    write_pair(tmp_path / "birds", "one", *disc())
    write_layers(tmp_path / "birds" / "two", *disc(t=7))
    pack, left_out = pack_sprites([tmp_path / "birds"], tmp_path / "sprites.pack", size=48)
    assert left_out == []
    again = open_pack(tmp_path / "sprites.pack")
    assert (again.clips, again.soft, again.enlarge) == (pack.clips, True, pack.enlarge)
    assert [(clip.video, clip.category, clip.count) for clip in pack.clips] == [
        ("birds/one", None, 5),
        ("birds/two", None, 7),
    ]
    assert pack.soft
    assert pack.enlarge == ENLARGE
    for index in range(2):
        frames, masks = pack.clip(index)
        assert masks.max() == 255
        assert ((masks > 20) & (masks < 235)).any()
        # The window is 32 pixels at least, here enlarged one and a half times.
        area = (masks / 255.0).sum(axis=(1, 2))
        assert np.abs(area / (np.pi * 10**2 * 1.5**2) - 1).max() < 0.05
        assert np.abs(frames[masks > 200].astype(int)[:, 0] - 200).max() < 8


def test_what_the_border_cuts_off_is_left_out(tmp_path: Path) -> None:
    write_pair(tmp_path, "whole", *disc())
    write_pair(tmp_path, "cut", *disc(start=4.0))
    colours, covers = disc()
    write_pair(tmp_path, "nothing", colours, np.zeros_like(covers))
    pack, left_out = pack_sprites([tmp_path], tmp_path / "sprites.pack")
    assert [clip.name for clip in pack.clips] == [f"{tmp_path.name}/whole"]
    assert left_out == [f"{tmp_path.name}/cut", f"{tmp_path.name}/nothing"]


def test_faults_are_refused_in_words(tmp_path: Path) -> None:
    colours, covers = disc()
    with pytest.raises(ValueError, match="hold no sprites"):
        pack_sprites([tmp_path], tmp_path / "x.pack")
    write_pair(tmp_path / "cut", "cut", *disc(start=4.0))
    with pytest.raises(ValueError, match="cuts off all 1"):
        pack_sprites([tmp_path / "cut"], tmp_path / "x.pack")
    write_pair(tmp_path / "short", "a", colours, covers[:-1])
    with pytest.raises(OSError, match="must be the same"):
        pack_sprites([tmp_path / "short"], tmp_path / "x.pack")
    write_video(tmp_path / "opaque" / "a.mov", colours, "prores_ks", "yuv422p10le", "rgb24")
    with pytest.raises(OSError, match="has no alpha"):
        pack_sprites([tmp_path / "opaque"], tmp_path / "x.pack")
    (tmp_path / "plain" / "a").mkdir(parents=True)
    Image.fromarray(colours[0]).save(tmp_path / "plain" / "a" / "0.png")
    with pytest.raises(OSError, match="must have alpha"):
        pack_sprites([tmp_path / "plain"], tmp_path / "x.pack")
    (tmp_path / "plain" / "a" / "0.png").write_bytes(b"garbage")
    with pytest.raises(OSError, match="cannot be read as a picture"):
        pack_sprites([tmp_path / "plain"], tmp_path / "x.pack")
    assert not (tmp_path / "x.pack").exists()


def test_a_video_that_breaks_off_and_frames_of_two_sizes_are_refused(tmp_path: Path) -> None:
    colours, covers = disc(t=12)
    write_pair(tmp_path, "a", colours, covers)
    data = bytearray((tmp_path / "a.mask.mkv").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    (tmp_path / "a.mask.mkv").write_bytes(data)
    with pytest.raises(OSError, match=r"breaks off after|has frames") as caught:
        read_sprite(tmp_path / "a.mask.mkv")
    assert str(caught.value).count("; ") == 2
    write_layers(tmp_path / "b", colours, covers)
    Image.new("RGBA", (8, 8)).save(tmp_path / "b" / "00003.png")
    with pytest.raises(OSError, match="has frames of several sizes; all must have one; export it again"):
        read_sprite(tmp_path / "b")


def test_what_would_not_fit_into_memory_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    colours, covers = disc()
    write_layers(tmp_path / "a", colours, covers)
    write_pair(tmp_path, "b", colours, covers)
    monkeypatch.setattr("voin.data.objects.sprites.MOST_PIXELS", 3 * 64 * 64)
    monkeypatch.setattr("voin.data.objects.cutouts.MOST_PIXELS", 3 * 64 * 64)
    with pytest.raises(OSError, match=r"b\.mp4 has too many pixels; .* at most 12,288; make it smaller"):
        read_sprite(tmp_path / "b.mask.mkv")
    monkeypatch.setattr("voin.data.objects.sprites.MOST_PIXELS", 64 * 64 - 1)
    with pytest.raises(OSError, match=r"00000\.png has too many pixels"):
        read_sprite(tmp_path / "a")
