"""Readers of YouTube-VOS, DAVIS and plain folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from sets import voi_sources
from sets.voi_sources import COUNT, SIZE, save, shot
from voin.data.sources import SourceClip, load_clip, load_frames, load_masks, open_source, working_size
from voin.io.images import read_picture, write_image
from voin.io.masks.source import write_label


def names(clips: tuple[SourceClip, ...]) -> list[str]:
    return [clip.name for clip in clips]


def test_youtube_vos_gives_a_clip_an_object_with_its_category(tmp_path: Path) -> None:
    clips = open_source(voi_sources.youtube_vos(tmp_path, videos=2, objects=2), "youtube-vos")
    assert names(clips) == ["t000_1", "t000_2", "t001_1", "t001_2"]
    assert {clip.category for clip in clips} == {"fox"}
    assert [clip.video for clip in clips] == ["t000", "t000", "t001", "t001"]
    assert [clip.object_id for clip in clips] == [1, 2, 1, 2]
    _, labels = shot(0, objects=2)
    masks = load_masks(clips[1], SIZE)
    assert np.array_equal(masks, np.stack(labels) == 2)


def test_only_frames_with_a_mask_count(tmp_path: Path) -> None:
    voi_sources.youtube_vos(tmp_path, videos=1, every=5, count=41)
    (clip,) = open_source(tmp_path, "youtube-vos")
    assert clip.name == "t000"
    assert [path.stem for path in clip.frames] == [f"{i:05d}" for i in range(0, 41, 5)]
    assert [path.stem for path in clip.masks] == [path.stem for path in clip.frames]
    assert clip.stride_frames == 5


def test_the_train_folder_of_youtube_vos_is_a_source_itself(tmp_path: Path) -> None:
    voi_sources.youtube_vos(tmp_path)
    whole, part = open_source(tmp_path, "youtube-vos"), open_source(tmp_path / "train", "youtube-vos")
    assert whole == part


def test_validation_videos_with_masks_are_a_split_of_their_own(tmp_path: Path) -> None:
    voi_sources.youtube_vos(tmp_path)
    voi_sources.youtube_vos(tmp_path, videos=2, part="valid")
    splits = {clip.video: clip.split for clip in open_source(tmp_path, "youtube-vos")}
    assert splits == {"t000": "train", "t001": "train", "t002": "train", "v000": "validation", "v001": "validation"}


def test_validation_videos_with_a_first_mask_alone_leave_the_split_open(tmp_path: Path) -> None:
    # So YouTube-VOS publishes its own.
    voi_sources.youtube_vos(tmp_path)
    voi_sources.youtube_vos(tmp_path, videos=2, part="valid", every=COUNT)
    clips = open_source(tmp_path, "youtube-vos")
    assert {clip.split for clip in clips if clip.video.startswith("t")} == {None}
    assert {clip.split for clip in clips if clip.video.startswith("v")} == {"validation"}


def test_a_clip_runs_from_the_first_to_the_last_appearance(tmp_path: Path) -> None:
    pictures, labels = shot(0)
    empty = np.zeros_like(labels[0])
    labels = [empty, empty, *labels[2:5], empty, *labels[6:8], empty, empty]
    save(tmp_path / "a" / "frames", tmp_path / "a" / "masks", pictures, labels)
    (clip,) = open_source(tmp_path, "folder")
    assert [path.stem for path in clip.masks] == [f"{i:05d}" for i in range(2, 8)]
    assert load_masks(clip, SIZE).any(axis=(1, 2)).tolist() == [True, True, True, False, True, True]


def test_davis_2016_has_one_object_whatever_the_ids(tmp_path: Path) -> None:
    clips = open_source(voi_sources.davis(tmp_path, objects=2), "davis")
    assert names(clips) == ["bear", "boat", "bus", "camel", "dog", "hike"]
    assert [clip.split for clip in clips] == ["train", "train", "train", "validation", "validation", "train"]
    assert [clip.category for clip in clips] == ["bear", "boat", "bus", "camel", "dog", "person"]
    _, labels = shot(0, objects=2)
    assert np.array_equal(load_masks(clips[0], SIZE), np.stack(labels) > 0)


def test_davis_2017_has_a_clip_an_object_in_any_resolution(tmp_path: Path) -> None:
    voi_sources.davis(tmp_path, ["hockey"], ["judo"], year="2017", objects=2, resolution="Full-Resolution")
    clips = open_source(tmp_path, "davis")
    assert names(clips) == ["hockey_1", "hockey_2", "judo_1", "judo_2"]
    assert [clip.category for clip in clips] == ["person", None, "person", "person"]


def test_the_lists_of_2017_go_before_those_of_2016(tmp_path: Path) -> None:
    voi_sources.davis(tmp_path, objects=2)
    shutil.copytree(tmp_path / "ImageSets" / "2016", tmp_path / "ImageSets" / "2017")
    assert len(open_source(tmp_path, "davis")) == 12


def test_the_first_lists_of_davis_2016_name_files(tmp_path: Path) -> None:
    voi_sources.davis(tmp_path, ["bear"], ["dog"], year="480p")
    for file, name in (("train.txt", "bear"), ("val.txt", "dog")):
        lines = [f"/JPEGImages/480p/{name}/{i:05d}.jpg /Annotations/480p/{name}/{i:05d}.png" for i in range(COUNT)]
        (tmp_path / "ImageSets" / "480p" / file).write_text("\n".join(lines))
    assert {clip.name: clip.split for clip in open_source(tmp_path, "davis")} == {"bear": "train", "dog": "validation"}


def test_a_folder_of_videos_and_one_video_are_sources(tmp_path: Path) -> None:
    voi_sources.folder(tmp_path)
    assert names(open_source(tmp_path, "folder")) == ["video0", "video1", "video2"]
    (clip,) = open_source(tmp_path / "video1", "folder")
    assert clip.name == "video1"
    assert clip.split is clip.category is None


def test_white_on_black_is_one_object_and_soft_edges_are_cut_at_half(tmp_path: Path) -> None:
    pictures, labels = shot(0)
    save(tmp_path / "a" / "frames", tmp_path / "a" / "masks", pictures, labels)
    for path, label in zip(sorted((tmp_path / "a" / "masks").iterdir()), labels, strict=True):
        soft = cv2.GaussianBlur(label.astype(np.float32) * 255, (0, 0), 1.5)
        write_image(path, soft.astype(np.uint8))
    (clip,) = open_source(tmp_path, "folder")
    assert clip.object_id == 0
    difference = load_masks(clip, SIZE) ^ (np.stack(labels) > 0)
    assert difference.mean() < 0.005


def test_what_is_void_in_davis_is_no_object(tmp_path: Path) -> None:
    pictures, labels = shot(0)
    for label in labels:
        label[:4] = 255
    save(tmp_path / "a" / "frames", tmp_path / "a" / "masks", pictures, labels)
    (clip,) = open_source(tmp_path, "folder")
    assert clip.object_id == 1
    assert not load_masks(clip, SIZE)[:, :4].any()


def test_a_clip_of_the_asked_size_is_not_changed(tmp_path: Path) -> None:
    (clip, *_) = open_source(voi_sources.folder(tmp_path), "folder")
    frames, masks = load_clip(clip, SIZE)
    assert np.array_equal(frames, np.stack([read_picture(path) for path in clip.frames]))
    assert np.array_equal(masks, np.stack(shot(0)[1]) > 0)


def test_shrinking_takes_the_mean_over_each_pixel_and_the_greater_part_of_the_mask(tmp_path: Path) -> None:
    (clip, *_) = open_source(voi_sources.folder(tmp_path), "folder")
    h, w = SIZE[0] // 2, SIZE[1]
    frames, masks = load_clip(clip, (h, w))
    native = read_picture(clip.frames[3]).astype(float).reshape(h, 2, w, 3).mean(axis=1)
    assert np.abs(frames[3] - native).max() <= 0.5
    share = (shot(0)[1][3] > 0).reshape(h, 2, w).mean(axis=1)
    assert np.array_equal(masks[3], share > 0.5)


def test_frames_that_are_decoded_at_half_size_are_nearly_the_mean_too(tmp_path: Path) -> None:
    (clip, *_) = open_source(voi_sources.folder(tmp_path), "folder")
    h, w = SIZE[0] // 4, SIZE[1] // 4
    frames = load_frames(clip, (h, w))
    native = read_picture(clip.frames[3]).astype(float).reshape(h, 4, w, 4, 3).mean(axis=(1, 3))
    assert np.abs(frames[3] - native).mean() < 2
    path = clip.frames[3]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(OSError, match=path.name):
        load_frames(clip, (h, w))


def test_a_clip_that_is_much_larger_than_asked_is_best_read_at_half_its_size(tmp_path: Path) -> None:
    (clip, *_) = open_source(voi_sources.folder(tmp_path), "folder")
    assert working_size(clip, (SIZE[0] // 2, SIZE[1] // 2)) == SIZE
    half = working_size(clip, (SIZE[0] // 3, SIZE[1] // 3))
    assert half == (SIZE[0] // 2, SIZE[1] // 2)
    native = read_picture(clip.frames[3]).astype(float).reshape(half[0], 2, half[1], 2, 3).mean(axis=(1, 3))
    assert np.abs(load_frames(clip, half)[3] - native).mean() < 2


def test_a_clip_can_be_enlarged(tmp_path: Path) -> None:
    (clip, *_) = open_source(voi_sources.folder(tmp_path), "folder")
    frames, masks = load_clip(clip, (2 * SIZE[0], 2 * SIZE[1]))
    assert frames.shape == (COUNT, 128, 192, 3)
    assert np.abs(frames[:, ::2, ::2].astype(int) - load_frames(clip, SIZE)).mean() < 4
    assert masks.mean() == pytest.approx(load_masks(clip, SIZE).mean(), rel=0.05)


def test_an_annotation_without_any_object_stays_a_clip_to_be_counted(tmp_path: Path) -> None:
    pictures, labels = shot(0)
    save(tmp_path / "a" / "frames", tmp_path / "a" / "masks", pictures, [np.zeros_like(label) for label in labels])
    (clip,) = open_source(tmp_path, "folder")
    assert len(clip) == COUNT
    assert not load_masks(clip, SIZE).any()


def test_a_mask_without_its_frame_is_named(tmp_path: Path) -> None:
    (clip, *_) = open_source(voi_sources.folder(tmp_path), "folder")
    clip.frames[4].unlink()
    (again, *_) = open_source(tmp_path, "folder")
    assert len(again) == COUNT
    with pytest.raises(OSError, match=r"00004\.jpg is missing; each mask needs its frame; restore"):
        load_clip(again, SIZE)


@pytest.mark.parametrize("kind", ["frames", "masks"])
def test_a_broken_file_is_named_when_it_is_read(tmp_path: Path, kind: str) -> None:
    voi_sources.folder(tmp_path, videos=1)
    path = sorted((tmp_path / "video0" / kind).iterdir())[2]
    path.write_bytes(path.read_bytes()[:100])
    (clip,) = open_source(tmp_path, "folder")
    with pytest.raises(OSError, match=path.name):
        load_clip(clip, SIZE)


def test_masks_of_another_size_than_the_frames_are_refused(tmp_path: Path) -> None:
    voi_sources.folder(tmp_path, videos=1)
    for path in (tmp_path / "video0" / "masks").iterdir():
        write_label(path, np.ones((32, 32), np.uint8))
    (clip,) = open_source(tmp_path, "folder")
    with pytest.raises(OSError, match="is 32x32 for a frame of 96x64; masks must have the size of their frames"):
        load_clip(clip, SIZE)


@pytest.mark.parametrize("layout", ["youtube-vos", "davis", "folder"])
def test_a_wrong_layout_says_what_was_found_and_what_was_expected(tmp_path: Path, layout) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(
        OSError, match=rf"it holds pictures/\); the layout {layout} has .*00000\.png.*; give the folder"
    ):
        open_source(tmp_path, layout)


@pytest.mark.parametrize(
    ("removed", "lack"),
    [
        ("JPEGImages", "no JPEGImages/"),
        ("Annotations", "no Annotations/"),
        ("ImageSets", "no ImageSets/2017/ or ImageSets/2016/"),
        ("ImageSets/2016/train.txt ImageSets/2016/val.txt", "no ImageSets"),
    ],
)
def test_what_davis_lacks_is_named(tmp_path: Path, removed: str, lack: str) -> None:
    voi_sources.davis(tmp_path, ["bear"], ["dog"])
    for name in removed.split():
        path = tmp_path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(OSError, match=f"has {lack}"):
        open_source(tmp_path, "davis")


def test_masks_without_frames_are_a_wrong_layout(tmp_path: Path) -> None:
    voi_sources.youtube_vos(tmp_path)
    shutil.rmtree(tmp_path / "train" / "JPEGImages")
    with pytest.raises(OSError, match="has no train/JPEGImages/"):
        open_source(tmp_path, "youtube-vos")
    voi_sources.folder(tmp_path / "other")
    shutil.rmtree(tmp_path / "other" / "video1" / "frames")
    with pytest.raises(OSError, match=r"video1 has no frames/ \(it holds masks/\)"):
        open_source(tmp_path / "other", "folder")


def test_no_folder_and_no_layout_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent is not a folder"):
        open_source(tmp_path / "absent", "davis")


@pytest.mark.parametrize("text", ["{", "[]", '{"videos": {"t000": 3}}', '{"videos": {"t000": {"objects": {"x": {}}}}}'])
def test_a_broken_meta_json_is_named(tmp_path: Path, text: str) -> None:
    voi_sources.youtube_vos(tmp_path)
    (tmp_path / "train" / "meta.json").write_text(text)
    with pytest.raises(OSError, match=r"meta\.json is not the meta\.json of YouTube-VOS"):
        open_source(tmp_path, "youtube-vos")
    (tmp_path / "train" / "meta.json").unlink()
    with pytest.raises(OSError, match=r"train has no meta\.json \(it holds Annotations/, JPEGImages/\)"):
        open_source(tmp_path, "youtube-vos")


def test_unknown_categories_are_allowed_and_videos_that_meta_json_leaves_out_are_read(tmp_path: Path) -> None:
    voi_sources.youtube_vos(tmp_path, videos=2)
    path = tmp_path / "train" / "meta.json"
    listed = json.loads(path.read_text())
    del listed["videos"]["t001"]
    listed["videos"]["t000"]["objects"]["1"]["category"] = "unicorn"
    path.write_text(json.dumps(listed))
    clips = open_source(tmp_path, "youtube-vos")
    assert [(clip.name, clip.category, len(clip)) for clip in clips] == [("t000", None, COUNT), ("t001", None, COUNT)]


def test_two_clips_of_one_name_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a" / "frames", tmp_path / "a" / "masks", *shot(0, objects=2))
    save(tmp_path / "a_1" / "frames", tmp_path / "a_1" / "masks", *shot(1))
    with pytest.raises(ValueError, match="two clips called a_1"):
        open_source(tmp_path, "folder")


def test_a_video_in_both_lists_of_davis_is_refused(tmp_path: Path) -> None:
    voi_sources.davis(tmp_path, ["bear"], ["dog"])
    (tmp_path / "ImageSets" / "2016" / "val.txt").write_text("dog\nbear\n")
    with pytest.raises(ValueError, match="lists bear, which is listed before"):
        open_source(tmp_path, "davis")
