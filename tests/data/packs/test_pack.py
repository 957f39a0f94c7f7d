from __future__ import annotations

import mmap
import pickle
import zipfile
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest

from scenes.sliding_square import psnr
from sets.voi_sets import COUNT, write_set
from voin.data.manifest import MANIFEST
from voin.data.packs.pack import Pack, make_pack, open_pack
from voin.data.packs.transport import read_transport, write_transport
from voin.data.sets import VoiSet
from voin.method.window import WindowConfig, box_of, cut, fit_windows

SIZE = 64


@pytest.fixture(scope="module")
def voi_set(tmp_path_factory: pytest.TempPathFactory) -> VoiSet:
    return write_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def pack(voi_set: VoiSet, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return make_pack(voi_set, tmp_path_factory.mktemp("pack") / "one.pack", SIZE, "validation")


def test_a_pack_holds_the_windows_of_the_truth(voi_set: VoiSet, pack: Pack) -> None:
    assert len(pack) == 3
    for index, record in enumerate(voi_set.records("validation")):
        clip = voi_set.load(record)
        windows = fit_windows(np.array([box_of(mask) for mask in clip.amodal]), WindowConfig(size=SIZE, enlarge=1.5))
        frames, amodal = pack.clip(index)
        assert frames.shape == (COUNT, SIZE, SIZE, 3)
        assert amodal.shape == (COUNT, SIZE, SIZE)
        for i in range(COUNT):
            # The fixture's object is so small that its window is enlarged: OpenCV is asked, independently.
            larger = cv2.resize(cut(clip.truth[i], windows, i), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
            assert np.abs(frames[i].astype(int) - larger).max() <= 1
            whole = cut(clip.amodal[i], windows, i).mean()
            assert abs(amodal[i].mean() - whole) < 0.03
        assert set(np.unique(amodal)) == {0, 1}


def test_a_pack_knows_what_it_was_made_of(voi_set: VoiSet, pack: Pack) -> None:
    records = voi_set.records("validation")
    assert pack.categories == tuple(record.category for record in records)
    assert [clip.name for clip in pack.clips] == [record.name for record in records]
    assert [clip.video for clip in pack.clips] == [record.video for record in records]
    assert (pack.size, pack.split, pack.enlarge) == (SIZE, "validation", 1.5)
    assert pack.source == sha256((voi_set.root / MANIFEST).read_bytes()).hexdigest()


def test_clips_are_views_that_cannot_be_written(pack: Pack) -> None:
    frames, amodal = pack.clip(1)
    assert np.shares_memory(frames, pack.data)
    assert np.shares_memory(amodal, pack.data)
    with pytest.raises(ValueError, match="read-only"):
        frames[0] = 0


def test_another_process_opens_the_file_and_is_sent_no_pixels(pack: Pack) -> None:
    sent = pickle.dumps(pack)
    assert len(sent) < 500
    again = pickle.loads(sent)
    assert again.clips == pack.clips
    assert np.array_equal(again.clip(1)[0], pack.clip(1)[0])
    base = again.data.base
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, memoryview)
    assert isinstance(base.obj, mmap.mmap)


def test_the_same_set_gives_the_same_bytes(voi_set: VoiSet, pack: Pack, tmp_path: Path) -> None:
    again = make_pack(voi_set, tmp_path / "again.pack", SIZE, "validation")
    assert again.path.read_bytes() == pack.path.read_bytes()


def test_a_pack_has_one_split(voi_set: VoiSet, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    train = make_pack(voi_set, tmp_path / "t.pack", SIZE, progress=lambda done, all_: told.append((done, all_)))
    assert [clip.name for clip in train.clips] == ["z"]
    assert told == [(1, 1)]


def test_enlarging_shows_more_around_the_object(voi_set: VoiSet, tmp_path: Path) -> None:
    shares = [
        make_pack(voi_set, tmp_path / f"{enlarge}.pack", SIZE, enlarge=enlarge).clip(0)[1].mean()
        for enlarge in (1.2, 2.4)
    ]
    assert shares[1] < shares[0] / 2


def test_whole_frames_are_as_they_are(voi_set: VoiSet, tmp_path: Path) -> None:
    pack = make_pack(voi_set, tmp_path / "whole.pack", 128, "validation", whole_frames=True)
    assert (pack.shape, pack.enlarge) == ((72, 128), 1.0)
    for index, record in enumerate(voi_set.records("validation")):
        clip, (frames, amodal) = voi_set.load(record), pack.clip(index)
        # 96x64 in the middle of the least 16:9 around it, the border repeated.
        assert np.array_equal(frames[:, 4:68, 16:112], np.stack([*clip.truth]))
        assert np.array_equal(amodal[:, 4:68, 16:112] > 0, clip.amodal)
        assert amodal.sum() == clip.amodal.sum()
        assert np.array_equal(frames[:, :, 0], frames[:, :, 15])
    write_transport(pack, tmp_path / "whole.zip")
    again = read_transport(tmp_path / "whole.zip", tmp_path / "again.pack")
    assert again.shape == pack.shape
    assert all(np.array_equal(again.clip(i)[1], pack.clip(i)[1]) for i in range(len(pack)))
    with pytest.raises(ValueError, match="window size is 100; it must be a multiple of 8"):
        make_pack(voi_set, tmp_path / "a", 100, whole_frames=True)
    with pytest.raises(ValueError, match="window size is 200; it must be a multiple of 16 for whole frames"):
        make_pack(voi_set, tmp_path / "a", 200, whole_frames=True)


def test_a_pack_comes_back_from_its_small_form(pack: Pack, tmp_path: Path) -> None:
    write_transport(pack, tmp_path / "small.zip")
    back = read_transport(tmp_path / "small.zip", tmp_path / "back.pack")
    assert back.clips == pack.clips
    assert (back.size, back.split, back.enlarge, back.source) == (pack.size, pack.split, pack.enlarge, pack.source)
    for index in range(len(pack)):
        frames, amodal = pack.clip(index)
        assert np.array_equal(back.clip(index)[1], amodal)
        assert psnr(back.clip(index)[0] / 255, frames / 255) > 28
    assert (tmp_path / "small.zip").stat().st_size < pack.path.stat().st_size / 4


def test_the_small_form_has_the_same_bytes_each_time(pack: Pack, tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_transport(pack, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_better_quality_is_nearer_and_larger(pack: Pack, tmp_path: Path) -> None:
    results = []
    for quality in (50, 98):
        write_transport(pack, tmp_path / "small.zip", quality)
        back = read_transport(tmp_path / "small.zip", tmp_path / "back.pack")
        results.append((psnr(back.clip(0)[0] / 255, pack.clip(0)[0] / 255), (tmp_path / "small.zip").stat().st_size))
    assert results[0][0] < results[1][0]
    assert results[0][1] < results[1][1]


def test_what_is_no_pack_is_refused(pack: Pack, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    with pytest.raises(ValueError, match="is no pack"):
        open_pack(other)
    with pytest.raises(ValueError, match="no packed pack"):
        read_transport(other, tmp_path / "out")
    with pytest.raises(OSError, match="other2"):
        open_pack(tmp_path / "other2")
    with pytest.raises(OSError, match="other2"):
        read_transport(tmp_path / "other2", tmp_path / "out")
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(ValueError, match="something else"):
        read_transport(other, tmp_path / "out")


def test_a_cut_off_pack_is_refused(pack: Pack, tmp_path: Path) -> None:
    cut_off = tmp_path / "cut"
    whole = pack.path.read_bytes()
    cut_off.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(OSError, match="too early"):
        open_pack(cut_off)
    cut_off.write_bytes(whole[:60])
    with pytest.raises(OSError, match="broken header"):
        open_pack(cut_off)


def test_another_version_is_refused(pack: Pack, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(pack.path.read_bytes().replace(b'"version": 1', b'"version": 7', 1))
    with pytest.raises(ValueError, match="version 7"):
        open_pack(other)


def test_a_small_form_with_a_file_less_is_refused_and_leaves_nothing(pack: Pack, tmp_path: Path) -> None:
    write_transport(pack, tmp_path / "small.zip")
    with zipfile.ZipFile(tmp_path / "small.zip") as old, zipfile.ZipFile(tmp_path / "less.zip", "w") as new:
        for name in old.namelist():
            if name != "00001/00002.png":
                new.writestr(name, old.read(name))
    with pytest.raises(OSError, match=r"00001/00002\.png"):
        read_transport(tmp_path / "less.zip", tmp_path / "out.pack")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["less.zip", "small.zip"]


def test_a_failure_leaves_the_old_pack(voi_set: VoiSet, pack: Pack, tmp_path: Path) -> None:
    old = tmp_path / "old.pack"
    old.write_bytes(pack.path.read_bytes())

    def stop(done: int, _: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_pack(voi_set, old, SIZE, progress=stop)
    assert old.read_bytes() == pack.path.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["old.pack"]


def test_bad_wishes_are_refused(voi_set: VoiSet, pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no clips in 'test'"):
        make_pack(voi_set, tmp_path / "a", SIZE, "test")
    with pytest.raises(ValueError, match="multiple of 8"):
        make_pack(voi_set, tmp_path / "a", 50)
    with pytest.raises(ValueError, match="1 to 100"):
        write_transport(pack, tmp_path / "a", quality=0)
