"""Building sets: the laws of the benchmark, the same bytes for the same seed, going on after a stop, bad input."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections import namedtuple
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sets import voi_sources
from sets.voi_sources import SIZE, small, tree
from voin.core.errors import ValueRefusal
from voin.data import build as building
from voin.data import build_clip as clip_build
from voin.data import sets
from voin.data.build import build, find_donors, reasons, split_videos
from voin.data.manifest import Manifest, Skipped
from voin.data.quality import FilterConfig
from voin.data.sets import open_set
from voin.data.sources import SourceClip, load_clip, load_masks, open_source
from voin.data.verify import verify
from voin.io.masks.source import write_label


class Counted:
    """Progress that counts."""

    def __init__(self) -> None:
        self.total, self.done = 0, 0

    def stage(self, name: str, total: int) -> None:
        assert name == "build"
        self.total = total

    def advance(self, name: str, count: int = 1) -> None:
        self.done += count


@pytest.fixture(scope="module")
def davis_small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small DAVIS; not to be changed."""
    return voi_sources.davis(tmp_path_factory.mktemp("davis"))


@pytest.fixture(scope="module")
def built(davis_small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of it; not to be changed."""
    out = tmp_path_factory.mktemp("sets") / "set"
    build(davis_small, out, small("davis", composites=True))
    return out


@pytest.fixture
def source(davis_small: Path, tmp_path: Path) -> Path:
    """A small DAVIS that may be changed."""
    return shutil.copytree(davis_small, tmp_path / "source")


def test_visible_is_amodal_without_the_occluder_in_the_files(built: Path) -> None:
    voi = open_set(built)
    assert len(voi.records()) == 6
    hidden = 0
    for record in voi.records():
        clip = voi.load(record)
        assert np.array_equal(clip.visible, clip.amodal & ~clip.occluder)
        assert not (clip.pixels[~clip.occluder]).any()
        hidden += clip.occluded.sum()
        assert 0 < record.rate < 1
    assert hidden > 0


def test_removing_the_occluder_gives_back_the_source_exactly(built: Path, davis_small: Path) -> None:
    voi = open_set(built)
    for source in open_source(davis_small, "davis"):
        (record,) = [record for record in voi.records() if record.name == source.name]
        frames, masks = load_clip(source, SIZE)
        clip = voi.load(record)
        assert np.array_equal(clip.truth, frames)
        assert np.array_equal(clip.amodal, masks)
        without = clip.frames
        assert (without[clip.occluder] != frames[clip.occluder]).any()
        without[clip.occluder] = frames[clip.occluder]
        assert np.array_equal(without, frames)


def test_frames_that_stay_as_they_are_are_links_to_the_source(built: Path, davis_small: Path) -> None:
    own = built / "train" / "JPEGImages" / "bear" / "00003.jpg"
    assert own.samefile(davis_small / "JPEGImages" / "480p" / "bear" / "00003.jpg")


def test_frames_that_are_scaled_are_written_and_the_source_is_left_alone(davis_small: Path, tmp_path: Path) -> None:
    before = tree(davis_small)
    manifest = build(davis_small, tmp_path / "set", small("davis", size=(48, 72)))
    assert {record.size for record in manifest.clips} == {(48, 72)}
    assert verify(tmp_path / "set") == ()
    assert tree(davis_small) == before


def test_a_built_set_is_found_to_be_well_and_holds_nothing_else(built: Path) -> None:
    assert verify(built) == ()
    assert sorted(path.name for path in built.iterdir()) == ["manifest.json", "train", "validation"]
    kinds = ["Amodal", "JPEGImages", "Occluded", "Occluder", "Visible"]
    assert sorted(path.name for path in (built / "train").iterdir()) == kinds


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    davis_small: Path, built: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(davis_small, tmp_path / "elsewhere")
    build(moved, tmp_path / "again", small("davis", composites=True))
    assert tree(tmp_path / "again") == tree(built)
    build(davis_small, tmp_path / "other", small("davis", composites=True, seed=4))
    first, other = tree(built), tree(tmp_path / "other")
    assert [name for name in first if "Occluder" in name and first[name] != other.get(name)]
    assert {name for name in first if "Amodal" in name and first[name] != other[name]} == set()


def test_two_workers_give_the_same_bytes_as_one(davis_small: Path, built: Path, tmp_path: Path) -> None:
    build(davis_small, tmp_path / "set", small("davis", composites=True), workers=2)
    assert tree(tmp_path / "set") == tree(built)


@pytest.mark.slow
def test_ray_gives_the_same_bytes_as_one_process(davis_small: Path, built: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    build(davis_small, tmp_path / "set", small("davis", composites=True), workers=2, ray="local")
    assert tree(tmp_path / "set") == tree(built)


def test_a_clip_does_not_depend_on_which_splits_are_built(davis_small: Path, built: Path, tmp_path: Path) -> None:
    manifest = build(davis_small, tmp_path / "set", small("davis", composites=True, split="validation"))
    assert {record.split for record in manifest.clips} == {"validation"}
    assert manifest.clips == open_set(built).records("validation")


def test_an_occluder_comes_from_another_video_of_the_training_split(tmp_path: Path) -> None:
    voi_sources.youtube_vos(tmp_path / "source", videos=6, objects=2)
    config = small("youtube-vos", share_validation=0.3, filters=FilterConfig(most_pieces=1.0))
    clips = open_source(tmp_path / "source", "youtube-vos")
    splits = split_videos(clips, config)
    assert sorted(splits.values()) == ["train"] * 4 + ["validation"] * 2
    manifest = build(tmp_path / "source", tmp_path / "set", config)
    assert len(manifest.clips) == 12
    for record in manifest.clips:
        assert record.donor is not None
        assert record.donor_video is not None
        assert record.donor_video != record.video
        assert record.donor_video == record.donor.partition("_")[0]
        assert splits[record.donor_video] == "train"
        assert record.split == splits[record.video]
    videos = {split: {record.video for record in manifest.clips if record.split == split} for split in splits.values()}
    assert not videos["train"] & videos["validation"]


def test_the_split_is_the_sources_own_or_drawn_by_video(davis_small: Path, tmp_path: Path) -> None:
    splits = split_videos(open_source(davis_small, "davis"), small("davis"))
    assert [video for video, split in sorted(splits.items()) if split == "validation"] == ["camel", "dog"]
    clips = open_source(voi_sources.youtube_vos(tmp_path, videos=40, count=1), "youtube-vos")
    drawn = [split_videos(clips, small("youtube-vos", seed=seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert [list(each.values()).count("validation") for each in drawn] == [4, 4, 4]
    one = split_videos(clips[:1], small("youtube-vos"))
    assert list(one.values()) == ["train"]


def lose(source: Path, videos: Collection[int]) -> None:
    """Leave nothing marked in the masks of some videos of a source in the layout of YouTube-VOS."""
    for number in videos:
        for path in (source / "train" / "Annotations" / f"t{number:03d}").iterdir():
            write_label(path, np.zeros(SIZE, np.uint8))


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_videos_of_which_nothing_is_kept_are_not_drawn(tmp_path: Path, seed: int) -> None:
    lose(voi_sources.youtube_vos(tmp_path / "source", videos=9), (0, 2, 3, 5, 6, 7, 8))
    config = small("youtube-vos", seed=seed, share_validation=0.5)
    manifest = build(tmp_path / "source", tmp_path / "set", config)
    assert sorted((record.split, record.name) for record in manifest.clips) in (
        [("train", "t001"), ("validation", "t004")],
        [("train", "t004"), ("validation", "t001")],
    )
    assert {skipped.reason for skipped in manifest.skipped} == {"empty"}
    assert len(manifest.skipped) == 7
    assert building.empty_splits(manifest) == []
    alone = build(tmp_path / "source", tmp_path / "one", replace(config, split="validation"))
    assert alone.clips == open_set(tmp_path / "set").records("validation")


def test_no_share_for_validation_leaves_all_for_training(tmp_path: Path) -> None:
    config = small("youtube-vos", share_validation=0.0)
    manifest = build(voi_sources.youtube_vos(tmp_path / "source", videos=3), tmp_path / "set", config)
    assert [record.split for record in manifest.clips] == ["train"] * 3
    assert building.empty_splits(manifest) == ["validation"]


def test_what_the_filter_has_seen_is_not_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lose(voi_sources.youtube_vos(tmp_path / "source", videos=3), (1,))
    config = small("youtube-vos")
    tasks = [
        clip_build.ClipTask(clip, "train", (), tmp_path / "source", tmp_path / "set", config)
        for clip in open_source(tmp_path / "source", "youtube-vos")
    ]
    first = [clip_build.sift_clip(task) for task in tasks]
    assert first == [("t000", True), ("t001", False), ("t002", True)]
    monkeypatch.setattr(clip_build, "load_masks", lambda *_: pytest.fail("it is known"))
    assert [clip_build.sift_clip(task) for task in tasks] == first


def test_a_build_that_is_stopped_while_it_filters_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(voi_sources.youtube_vos(tmp_path / "source", videos=4), (1,))
    config = small("youtube-vos", share_validation=0.4)
    build(tmp_path / "source", tmp_path / "whole", config)
    load, left = clip_build.load_masks, [2]

    def stop(*given) -> np.ndarray:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return load(*given)

    monkeypatch.setattr(clip_build, "load_masks", stop)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "source", tmp_path / "set", config)
    monkeypatch.setattr(clip_build, "load_masks", load)
    build(tmp_path / "source", tmp_path / "set", config)
    assert tree(tmp_path / "set") == tree(tmp_path / "whole")


def test_frames_of_too_low_a_resolution_are_left_out(davis_small: Path, tmp_path: Path) -> None:
    # As high as wide: a video on its side has the same resolution.
    kept = build(davis_small, tmp_path / "kept", small("davis", filters=FilterConfig(least_size=(96, 64))))
    assert len(kept.clips) == 6
    assert kept.settings["filters"]["least_size"] == [96, 64]
    with pytest.raises(ValueError, match=r"\(6 too low a resolution\).*--least-size"):
        build(davis_small, tmp_path / "none", small("davis", filters=FilterConfig(least_size=(65, 96))))
    assert "least_size" not in small("davis").settings()["filters"]


def test_donors_are_drawn_anew_for_each_clip_and_never_from_its_own_video(tmp_path: Path) -> None:
    clips = open_source(voi_sources.youtube_vos(tmp_path, videos=40, count=1, objects=2), "youtube-vos")
    first, second = find_donors(clips[0], clips, 0), find_donors(clips[4], clips, 0)
    assert len(set(first)) == len(set(second)) == building.DONORS
    assert first != second
    assert first == find_donors(clips[0], clips, 0) != find_donors(clips[0], clips, 1)
    assert clips[0].video not in {donor.video for donor in first}
    assert find_donors(clips[0], clips[:2], 0) == ()


def test_without_another_training_video_occluders_are_drawn(tmp_path: Path) -> None:
    voi_sources.folder(tmp_path / "source", videos=1)
    manifest = build(tmp_path / "source", tmp_path / "set", small("folder"))
    (record,) = manifest.clips
    assert record.donor is record.donor_video is None
    assert record.kind in ("strokes", "blob")
    assert record.split == "train"
    # Here nothing but the occluder's own seed can make the difference.
    build(tmp_path / "source", tmp_path / "other", small("folder", seed=4))
    first, other = tree(tmp_path / "set" / "train" / "Occluder"), tree(tmp_path / "other" / "train" / "Occluder")
    assert first != other


def test_clips_that_cannot_serve_are_left_out_and_counted(source: Path, tmp_path: Path) -> None:
    clips = {clip.name: clip for clip in open_source(source, "davis")}
    clips["bear"].frames[3].unlink()
    clips["bus"].masks[2].write_bytes(b"no picture")
    shutil.rmtree(clips["camel"].frame_folder)
    for path in clips["dog"].masks:
        shutil.copy(clips["hike"].masks[0], path)
    for path in clips["boat"].masks[5:]:
        path.unlink()
    manifest = build(source, tmp_path / "set", small("davis"))
    assert [record.name for record in manifest.clips] == ["dog", "hike"]
    told = {each.name: each.reason for each in manifest.skipped}
    assert told["boat"] == "too short"
    for name, file in (("bear", "00003.jpg"), ("bus", "00002.png"), ("camel", "00000.jpg")):
        assert told[name].startswith("missing or broken files: ")
        assert file in told[name]
        assert str(tmp_path) not in told[name]
    assert reasons(manifest) == "3 missing or broken files, 1 too short"
    assert verify(tmp_path / "set") == ()


def test_a_broken_donor_is_passed_over(source: Path, tmp_path: Path) -> None:
    clips = {clip.name: clip for clip in open_source(source, "davis")}
    for name in ("bear", "bus", "hike"):
        clips[name].frames[1].unlink()
    manifest = build(source, tmp_path / "set", small("davis", split="validation"))
    assert {record.donor for record in manifest.clips} == {"boat"}


def test_where_no_clip_has_its_files_they_are_named(tmp_path: Path) -> None:
    pictures, labels = voi_sources.shot(0)
    place = tmp_path / "source" / "a"
    voi_sources.save(place / "frames", place / "masks", pictures, labels)
    for path in [*(place / "frames").iterdir()]:
        path.rename(path.with_name(f"frame_{path.name}"))
    with pytest.raises(ValueRefusal, match=r"\(1 missing or broken files; a: a/frames/00000\.\w+ is missing\)") as said:
        build(tmp_path / "source", tmp_path / "set", small("folder"))
    assert said.value.must == "a set needs one at least, and each mask of it a frame of the same name"


def test_empty_annotations_are_a_clear_error_when_nothing_is_left(tmp_path: Path) -> None:
    pictures, labels = voi_sources.shot(0)
    place = tmp_path / "source" / "a"
    voi_sources.save(place / "frames", place / "masks", pictures, [0 * label for label in labels])
    with pytest.raises(ValueError, match=r"none of the 1 clips of .* can be used \(1 empty\); .*; give another source"):
        build(tmp_path / "source", tmp_path / "set", small("folder"))
    assert not (tmp_path / "set" / "manifest.json").exists()


def test_long_clips_end_and_short_ones_do_not(davis_small: Path, tmp_path: Path) -> None:
    manifest = build(davis_small, tmp_path / "set", small("davis", most_frames=8, split="validation"))
    assert [record.count for record in manifest.clips] == [8, 8]


def stopped_after(count: int, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Callable[[], None]:
    """Let a build stop with `error` in the middle of writing its clip number `count`."""
    write, left = sets.write_occluder, [count]

    def stop(*given) -> None:
        if left[0] == 0:
            raise error
        left[0] -= 1
        write(*given)

    monkeypatch.setattr(sets, "write_occluder", stop)
    return lambda: monkeypatch.setattr(sets, "write_occluder", write)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device", "00001.png")])
def test_a_stopped_build_goes_on_and_gives_the_same_bytes(
    davis_small: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    out, config = tmp_path / "set", small("davis", composites=True)
    go_on = stopped_after(2, monkeypatch, error)
    with pytest.raises(type(error)):
        build(davis_small, out, config)
    assert not (out / "manifest.json").exists()
    records = sorted(path.stem for path in (out / ".build" / "clips").iterdir())
    assert records == ["bear", "boat"]
    stamps = {path: path.stat().st_mtime_ns for path in (out / "train" / "Visible" / "bear").iterdir()}
    assert not list((out / ".build" / "draft").iterdir())
    go_on()
    progress = Counted()
    build(davis_small, out, config, progress=progress)
    assert progress.total == progress.done == 4 * voi_sources.COUNT
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert tree(out) == tree(built)


def test_a_clip_that_was_killed_between_its_folders_is_built_again(
    davis_small: Path, built: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(built, tmp_path / "set")
    request = {key: json.loads((out / "manifest.json").read_text())[key] for key in
               ("version", "voin", "seed", "settings", "source")}  # fmt: skip
    (out / "manifest.json").unlink()
    shutil.rmtree(out / "train" / "Visible" / "bear")
    (out / ".build" / "draft" / "bear").mkdir(parents=True)
    (out / ".build" / "draft" / "bear" / "half.png").write_bytes(b"half")
    (out / ".build" / "state.json").write_text(json.dumps(request))
    build(davis_small, out, small("davis", composites=True))
    assert tree(out) == tree(built)


def test_a_finished_build_is_left_as_it_is(davis_small: Path, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "run_all", lambda *_: pytest.fail("nothing is left to do"))
    assert build(davis_small, built, small("davis", composites=True)) == open_set(built).manifest


def test_another_build_in_the_same_folder_is_refused_or_replaces_it(davis_small: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    build(davis_small, out, small("davis"))
    before = tree(out)
    with pytest.raises(OSError, match=r"holds another set \(other seed\); .*--overwrite"):
        build(davis_small, out, small("davis", seed=9))
    with pytest.raises(OSError, match=r"other settings\.filters\.least_area"):
        build(davis_small, out, small("davis", filters=FilterConfig(least_area=0.02)))
    assert tree(out) == before
    build(davis_small, out, small("davis", seed=9, split="validation"), overwrite=True)
    assert verify(out) == ()
    assert not (out / "train").exists()


def test_a_source_that_has_changed_is_another_build(source: Path, tmp_path: Path) -> None:
    build(source, tmp_path / "set", small("davis"))
    (source / "ImageSets" / "2016" / "val.txt").write_text("dog\n")
    with pytest.raises(OSError, match=r"holds another set \(other source\.videos"):
        build(source, tmp_path / "set", small("davis"))


def test_a_folder_with_other_things_is_never_touched(davis_small: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OSError, match=r"holds thesis\.txt, but no set and no unfinished build"):
            build(davis_small, tmp_path / "set", small("davis"), overwrite=overwrite)
    with pytest.raises(OSError, match="is a file; a set is a folder"):
        build(davis_small, tmp_path / "set" / "thesis.txt", small("davis"))


def test_too_little_room_is_told_before_anything_is_written(
    davis_small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    with pytest.raises(OSError, match=r"has room for 0\.00 GB; the set needs about .* GB; make room"):
        build(davis_small, tmp_path / "set", small("davis"))
    assert not (tmp_path / "set").exists()


def test_settings_that_make_no_sense_are_refused() -> None:
    for given, told in (
        ({"size": (16, 384)}, "size is 384x16; it must be at least 32x32"),
        ({"share_validation": -0.1}, r"share_validation is -0\.1"),
        ({"most_frames": 3}, "most_frames is 3; it must be at least least_frames, 8"),
    ):
        with pytest.raises(ValueError, match=told):
            small("davis", **given)


def test_what_the_system_lacks_is_no_fault_of_the_clip(
    davis_small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> np.ndarray:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(clip_build, "load_frames", refuse)
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        build(davis_small, tmp_path / "set", small("davis"))


def test_reasons_are_counted_the_most_frequent_first() -> None:
    skipped = tuple(Skipped(name, reason) for name, reason in (("a", "empty"), ("b", "x: 1"), ("c", "x: 2")))
    assert reasons(Manifest(1, "", 0, {}, {}, (), skipped)) == "2 x, 1 empty"


def test_memory_holds_names_of_clips_not_their_pictures(tmp_path: Path) -> None:
    clips = open_source(voi_sources.youtube_vos(tmp_path, videos=2), "youtube-vos")
    # The names of the frames are shared between the clips.
    assert clips[0].frame_names[5] is clips[1].frame_names[5]
    assert isinstance(replace(clips[0]), SourceClip)
    assert load_masks(clips[0].first(3), SIZE).shape == (3, *SIZE)
