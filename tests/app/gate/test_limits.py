from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from fakes.fake_method import labels, save_labels
from scenes.video_clips import COUNT, SIZE, encode
from voin.app.gate.limits import check_video, take_masks
from voin.app.options import Limits
from voin.io.limits import VideoLimits
from voin.io.masks.source import open_masks
from voin.io.video import VideoInfo, probe

SMALL = Limits(megabytes=1, frames=COUNT, pixels=SIZE[0] * SIZE[1])


@pytest.fixture
def info(video: Path) -> VideoInfo:
    return probe(video)


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def take(path: Path, info: VideoInfo, tmp_path: Path, limits: Limits = SMALL) -> int:
    try:
        return take_masks(path, info, limits, tmp_path / "scratch", tmp_path / "taken")
    finally:
        assert not (tmp_path / "scratch").exists()


# --- videos


def test_a_video_within_the_limits_is_let_in(video: Path, folder: Path) -> None:
    assert check_video(video, SMALL) == probe(video)
    assert check_video(folder, SMALL).count == COUNT


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (Limits(frames=COUNT - 1), r"more than 11 frames; no more are taken here; cut it, or .* --max-frames"),
        (Limits(pixels=SIZE[0] * SIZE[1] - 1), r"64x48; at most 3,071 pixels .*; scale it down, or .* --max-pixels"),
    ],
)
def test_videos_and_folders_beyond_the_limits_are_refused(video: Path, folder: Path, limits: Limits, text: str) -> None:
    for path in (video, folder):
        with pytest.raises(ValueError, match=text):
            check_video(path, limits)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    path.write_bytes(bytes(1_000_001))
    with pytest.raises(ValueError, match=r"large.mp4 has 1 MB; at most 1 MB are taken here; .* --max-mb"):
        check_video(path, SMALL)


def test_a_small_file_of_a_huge_video_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.mp4"
    black = np.zeros((4320, 7680, 3), np.uint8)
    encode(path, [black] * 2, options={"preset": "ultrafast"})
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(av.VideoFrame, "to_ndarray", None)  # what decodes anything fails
    monkeypatch.setattr("voin.io.video_read._first_frames", None)
    with pytest.raises(ValueError, match=r"bomb.mp4 has frames of 7680x4320; at most 9,437,184 pixels"):
        check_video(path, Limits())


def _counting(counts: list[int]) -> Callable[[Limits, Path, int], None]:
    checked = VideoLimits.check_frames
    return lambda limits, path, count: (counts.append(count), checked(limits, path, count))[1]


def test_a_small_file_of_many_frames_is_refused_before_all_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.mkv"
    encode(path, [np.zeros((32, 32, 3), np.uint8)] * 2000, options={"preset": "ultrafast", "g": "2000"})
    assert path.stat().st_size < 100_000
    monkeypatch.setattr("voin.io.video_read._first_frames", None)
    counted: list[int] = []
    monkeypatch.setattr(Limits, "check_frames", _counting(counted))
    with pytest.raises(ValueError, match="more than 100 frames"):
        check_video(path, Limits(frames=100))
    assert max(counted) == 101


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("no video")
    with pytest.raises(OSError, match=r"cannot be read as a video .*; it must be a whole mp4"):
        check_video(path, SMALL)


@pytest.mark.parametrize("name", ["megabytes", "frames", "pixels", "seconds"])
def test_a_limit_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0(.0)?; a limit must be above 0"):
        Limits(**{name: type(getattr(Limits(), name))(0)})


# --- masks


@pytest.fixture
def given() -> list[np.ndarray]:
    return labels(COUNT, SIZE, objects=2)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_masks_in_any_form_become_a_folder_of_the_same_masks(
    tmp_path: Path, info: VideoInfo, given: list[np.ndarray]
) -> None:
    pngs = save_labels(tmp_path / "pngs", given)
    forms = [
        packed(tmp_path / "a.zip", {f"my masks/{name}": data for name, data in files_of(pngs).items()}),
        tmp_path / "a.npz",
    ]
    np.savez(forms[1], np.stack(given))
    for number, form in enumerate(forms):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert take(form, info, folder) == COUNT
        source = open_masks(folder / "taken", info)
        assert all((source.label(i) == label).all() for i, label in enumerate(given))


def test_a_mask_video_is_taken(tmp_path: Path, info: VideoInfo) -> None:
    white = [np.repeat((label > 0)[..., None], 3, axis=2).astype(np.uint8) * 255 for label in labels(COUNT, SIZE)]
    path = encode(tmp_path / "masks.mp4", white, options={"crf": "0"}, layout="yuv444p")
    assert take(path, info, tmp_path) == COUNT


def test_few_masks_keep_their_frames(tmp_path: Path, info: VideoInfo, given: list[np.ndarray]) -> None:
    pngs = files_of(save_labels(tmp_path / "pngs", given))
    path = packed(tmp_path / "a.zip", {"00003.png": pngs["00003.png"], "readme.txt": b"hello"})
    assert take(path, info, tmp_path) == 1
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["00003.png"]


@pytest.mark.parametrize("name", ["../00000.png", "/00000.png", "a/../../00000.png", "..\\00000.png"])
def test_an_archive_that_names_files_elsewhere_is_refused(tmp_path: Path, info: VideoInfo, name: str) -> None:
    path = packed(tmp_path / "a.zip", {name: b"x"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="lies elsewhere; an archive must hold its files itself"):
        take(path, info, tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_with_a_link_is_refused(tmp_path: Path, info: VideoInfo) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("00000.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match="lies elsewhere"):
        take(path, info, tmp_path)


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, info: VideoInfo) -> None:
    path = packed(tmp_path / "a.zip", {"00000.png": bytes(2_000_000)})
    assert path.stat().st_size < 10_000
    with pytest.raises(ValueError, match="unpacks to 2 MB; at most 1 MB"):
        take(path, info, tmp_path)


def test_an_archive_that_lies_about_its_sizes_is_refused(tmp_path: Path, info: VideoInfo) -> None:
    path = packed(tmp_path / "a.zip", {"00000.png": bytes(5_000_000)})
    data = bytearray(path.read_bytes())
    for start in (data.index(b"PK\x03\x04") + 22, data.index(b"PK\x01\x02") + 24):
        data[start : start + 4] = (100).to_bytes(4, "little")  # uncompressed size
    path.write_bytes(data)
    with pytest.raises((ValueError, OSError)):
        take(path, info, tmp_path)
    assert not (tmp_path / "taken").exists()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("name", ["a.zip", "a.npz"])
def test_archives_that_python_unpacks_without_a_limit_are_refused(
    tmp_path: Path, info: VideoInfo, name: str, method: int
) -> None:
    """70 kB of LZMA took 900 MB."""
    with zipfile.ZipFile(tmp_path / name, "w", method) as archive:
        archive.writestr("00000.png", bytes(900_000))
    with pytest.raises(OSError, match=rf"{name} has '00000.png' packed by \w+; it must be packed by deflate"):
        take(tmp_path / name, info, tmp_path)


@pytest.mark.parametrize("count", [60_000, 70_000])
def test_archives_that_name_too_much_are_refused_before_the_names_are_read(
    tmp_path: Path, info: VideoInfo, count: int
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("d/", b"")
        archive.filelist += archive.filelist * count
    with pytest.raises(OSError, match="names far more files than masks need; a mask a frame is enough"):
        take(tmp_path / "a.zip", info, tmp_path, Limits(frames=1000))


def test_a_mask_of_another_size_is_refused_before_it_is_decoded(tmp_path: Path, info: VideoInfo) -> None:
    Image.new("1", (9000, 9000)).save(tmp_path / "bomb.png")
    bomb = (tmp_path / "bomb.png").read_bytes()
    assert len(bomb) < 100_000
    path = packed(tmp_path / "a.zip", {"00000.png": bomb})
    with pytest.raises(ValueError, match="is 9000x9000 for a video of 64x48; masks must have the video's size"):
        take(path, info, tmp_path)
    with pytest.raises(ValueError, match=r"bomb.png has frames of 9000x9000"):
        take(tmp_path / "bomb.png", info, tmp_path)


def test_arrays_that_are_too_large_are_refused_by_their_headers(tmp_path: Path, info: VideoInfo) -> None:
    np.savez_compressed(tmp_path / "a.npz", np.zeros((COUNT, 400, 400), bool))
    with pytest.raises(ValueError, match="frames of 400x400"):
        take(tmp_path / "a.npz", info, tmp_path)
    np.savez_compressed(tmp_path / "b.npz", np.zeros((COUNT + 1, *SIZE), bool))
    with pytest.raises(ValueError, match=r"b.npz has more than 12 frames"):
        take(tmp_path / "b.npz", info, tmp_path)
    np.save(tmp_path / "c.npy", np.zeros((COUNT + 1, *SIZE), bool))
    with pytest.raises(ValueError, match=r"c.npy has more than 12 frames"):
        take(tmp_path / "c.npy", info, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.zip", b"no archive", "cannot be unpacked .*; it must be a whole zip"),
        ("a.txt", b"text", "no form of masks; they must be a zip of PNGs"),
        ("a.npz", b"no arrays", "a.npz"),
        ("a.png", b"no picture", "cannot be read as a picture"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path: Path, info: VideoInfo, name: str, content: bytes, text: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises((ValueError, OSError), match=text):
        take(tmp_path / name, info, tmp_path)


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"readme.txt": b"x"}, "holds no PNG"),
        ({"a/00000.png": b"x", "b/a/00000.png": b"x"}, "a/00000.png twice"),
        ({"00000.png": b"x", "b/00000.png": b"x"}, "00000.png lies beside folders"),
        ({f"{i}/00000.png": b"x" for i in range(17)}, "17 folders of masks; at most 16"),
        ({f"{i:05d}.txt": b"x" for i in range(COUNT + 17)}, "holds 29 files; a mask a frame is enough"),
    ],
)
def test_an_archive_of_something_else_is_refused(
    tmp_path: Path, info: VideoInfo, files: dict[str, bytes], text: str
) -> None:
    with pytest.raises((ValueError, OSError), match=text):
        take(packed(tmp_path / "a.zip", files), info, tmp_path)


def test_an_archive_with_a_folder_an_object_keeps_their_numbers(tmp_path: Path, info: VideoInfo) -> None:
    shown = {}
    for number, place in ((2, 0), (5, 40)):
        mask = np.zeros(info.size, np.uint8)
        mask[10:30, place : place + 20] = 255
        shown[f"masks/{number}/00000.png"] = cv2.imencode(".png", mask)[1].tobytes()
    assert take(packed(tmp_path / "a.zip", shown), info, tmp_path) == 1
    with Image.open(tmp_path / "taken" / "00000.png") as picture:
        label = np.asarray(picture)
    assert {int(number) for number in np.unique(label)} == {0, 2, 5}
    assert (label == 5).sum() == 400


def test_an_archive_whose_content_is_damaged_is_refused(tmp_path: Path, info: VideoInfo) -> None:
    data = bytearray(packed(tmp_path / "a.zip", {"00000.png": bytes(range(256)) * 9}).read_bytes())
    data[60:80] = b"\xff" * 20
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(OSError, match=r"a\.zip cannot be unpacked .*; it must be a whole zip .*; pack it again"):
        take(tmp_path / "a.zip", info, tmp_path)
