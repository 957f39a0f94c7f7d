"""Mask files: every kind gives the same labels, and what does not fit is refused before work starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from scenes.video_clips import COUNT, SIZE, described, encode, garbled, pictures, save
from voin.core.errors import Refusal
from voin.io.masks.frames import parse_frames
from voin.io.masks.source import FORMATS, MaskSource, davis_palette, open_masks, write_label
from voin.io.masks.values import RawMask
from voin.io.video import LayerWriter, Quality, probe, write_image


def labels(count: int = COUNT, size: tuple[int, int] = SIZE, ids: Sequence[int] = (1, 2)) -> list[np.ndarray]:
    """Two moving objects; the second one is not seen in the first three frames."""
    made = []
    for index in range(count):
        label = np.zeros(size, np.uint8)
        label[10:30, index : index + 20] = ids[0]
        if index >= 3:
            label[25:40, 30:45] = ids[1]
        made.append(label)
    return made


def fill(folder: Path, masks: Sequence[np.ndarray], names: Sequence[str] | None = None) -> Path:
    """Write masks as indexed PNGs."""
    folder.mkdir(exist_ok=True)
    for index, mask in enumerate(masks):
        write_label(folder / f"{names[index] if names else f'{index:05d}'}.png", mask)
    return folder


def same(source: MaskSource, wanted: Sequence[np.ndarray]) -> bool:
    return all((source.label(index) == label).all() for index, label in enumerate(wanted))


def test_a_label_map_keeps_its_ids_and_has_the_colours_of_davis(tmp_path: Path) -> None:
    label = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_label(tmp_path / "0.png", label)
    with Image.open(tmp_path / "0.png") as picture:
        assert picture.mode == "P"
        assert (np.asarray(picture) == label).all()
        assert (np.asarray(picture.convert("RGB")) == davis_palette()[label]).all()
    # The first colours as published with the data set.
    first = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    assert [tuple(colour) for colour in davis_palette()[:7]] == first
    assert [path.name for path in tmp_path.iterdir()] == ["0.png"]
    with pytest.raises(ValueError, match="must be uint8"):
        write_label(tmp_path / "1.png", label.astype(np.int64))


def test_indexed_masks_are_read_with_boxes_and_areas(tmp_path: Path) -> None:
    wanted = labels(ids=(3, 200))
    seen: list[tuple[int, int]] = []
    source = open_masks(fill(tmp_path / "m", wanted), described(), progress=lambda *at: seen.append(at))
    assert source.ids == (3, 200)
    assert same(source, wanted)
    assert all(source.given(frame) for frame in range(COUNT))
    for place, number in enumerate(source.ids):
        for frame, label in enumerate(wanted):
            rows, columns = np.nonzero(label == number)
            assert source.areas[place, frame] == len(rows)
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else (0, 0, 0, 0)
            assert tuple(source.boxes[place, frame]) == box
    assert seen == [(done, COUNT) for done in range(1, COUNT + 1)]


def _as_grey(folder: Path, values: dict[int, int]) -> None:
    for index, label in enumerate(labels()):
        write_image(folder / f"{index}.png", np.vectorize(values.__getitem__, otypes=[np.uint8])(label))


def _as_mode(folder: Path, mode: str) -> None:
    for index, label in enumerate(labels()):
        Image.fromarray((label > 0).astype(np.uint8) * 255).convert(mode).save(folder / f"{index}.png")


def _as_alpha(folder: Path) -> None:
    for index, (label, frame) in enumerate(zip(labels(), pictures(), strict=True)):
        write_image(folder / f"{index}.png", np.dstack([frame, (label > 0).astype(np.uint8) * 255]))


def _as_soft(folder: Path) -> None:
    for index, label in enumerate(labels()):
        mask = Image.fromarray((label > 0).astype(np.uint8) * 255)
        large = mask.resize((SIZE[1] * 4, SIZE[0] * 4), Image.Resampling.NEAREST)
        large.resize(mask.size, Image.Resampling.BICUBIC).save(folder / f"{index}.png")


def _as_jpeg(folder: Path) -> None:
    for index, label in enumerate(labels()):
        write_image(folder / f"{index}.jpg", (label > 0).astype(np.uint8) * 255)


def _as_colours(folder: Path, colours: dict[int, tuple[int, int, int]]) -> None:
    table = np.zeros((256, 3), np.uint8)
    for number, colour in colours.items():
        table[number] = colour
    for index, label in enumerate(labels()):
        write_image(folder / f"{index}.png", table[label])


@pytest.mark.parametrize(
    ("make", "objects"),
    [
        (lambda folder: _as_grey(folder, {0: 0, 1: 255, 2: 255}), 1),
        (lambda folder: _as_grey(folder, {0: 0, 1: 100, 2: 100}), 1),
        (lambda folder: _as_grey(folder, {0: 0, 1: 1, 2: 2}), 2),
        (lambda folder: _as_mode(folder, "1"), 1),
        (lambda folder: _as_mode(folder, "P"), 1),
        (lambda folder: _as_mode(folder, "LA"), 1),
        (lambda folder: _as_mode(folder, "RGB"), 1),
        (lambda folder: _as_mode(folder, "RGBA"), 1),
        (_as_alpha, 1),
        (_as_soft, 1),
        (_as_jpeg, 1),
        (lambda folder: _as_colours(folder, {1: (128, 0, 0), 2: (0, 128, 0)}), 2),
        (lambda folder: _as_colours(folder, {1: (255, 0, 0), 2: (255, 255, 255)}), 2),
    ],
)
def test_grey_soft_transparent_and_coloured_masks_give_the_same_labels(
    tmp_path: Path, make: object, objects: int
) -> None:
    assert callable(make)
    make(tmp_path)
    wanted = labels() if objects == 2 else [(label > 0).astype(np.uint8) for label in labels()]
    source = open_masks(tmp_path, described())
    assert source.ids == ((1, 2) if objects == 2 else (1,))
    assert same(source, wanted)


def test_a_mask_video_and_a_mask_gif_give_the_same_labels(tmp_path: Path) -> None:
    wanted = [(label > 0).astype(np.uint8) for label in labels()]
    white = [np.repeat(label[..., None] * 255, 3, axis=2) for label in wanted]
    save(tmp_path / "a.mp4", white, described(), Quality(lossless=True))
    frames = [Image.fromarray(picture) for picture in white]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=40)
    for name in ("a.mp4", "a.gif"):
        assert same(open_masks(tmp_path / name, described()), wanted)


@pytest.mark.parametrize("name", ["object.mov", "object.webm"])
def test_the_alpha_of_a_mask_video_is_the_mask(tmp_path: Path, name: str) -> None:
    wanted = [(label > 0).astype(np.uint8) for label in labels()]
    info = described()
    with LayerWriter(tmp_path / name, info, info.times) as writer:
        for frame, label in zip(pictures(), wanted, strict=True):
            writer.write(np.dstack([frame, label * 255]))
    source = open_masks(tmp_path / name, info)
    for index, label in enumerate(wanted):
        assert np.count_nonzero(source.label(index) != label) < (1 if name == "object.mov" else 0.02 * label.sum())


@pytest.mark.parametrize("save_arrays", [np.savez, np.savez_compressed])
def test_arrays_of_ids_bools_floats_or_one_an_object_give_the_same_labels(tmp_path: Path, save_arrays: object) -> None:
    assert callable(save_arrays)
    wanted = np.stack(labels(ids=(1, 4)))
    alone = (wanted > 0).astype(np.uint8)
    for arrays, same_as in (
        ({"masks": wanted}, wanted),
        ({"masks": wanted.astype(np.int64)}, wanted),
        ({"masks": alone.astype(bool)}, alone),
        ({"masks": alone * 255}, alone),
        ({"masks": alone.astype(np.float32)}, alone),
        ({"object_1": wanted == 1, "object_4": wanted == 4}, wanted),
        ({"cyclist": wanted == 1, "van": wanted == 4}, np.where(wanted == 4, 2, wanted)),
    ):
        save_arrays(tmp_path / "m.npz", **arrays)
        assert same(open_masks(tmp_path / "m.npz", described()), list(same_as))
        if len(arrays) == 1:
            np.save(tmp_path / "m.npy", arrays["masks"])
            assert same(open_masks(tmp_path / "m.npy", described()), list(same_as))


def test_masks_are_not_held_unpacked(tmp_path: Path) -> None:
    import tracemalloc

    size, count = (270, 480), 60
    np.savez_compressed(tmp_path / "m.npz", np.stack(labels(count, size)))
    tracemalloc.start()
    source = open_masks(tmp_path / "m.npz", described(size, count))
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert source.ids == (1, 2)
    assert kept < 200_000
    assert peak < 12 * size[0] * size[1]


def test_names_say_which_frames_masks_belong_to(tmp_path: Path) -> None:
    wanted = labels(3)
    for index, names in enumerate(
        (["0", "5", "10"], ["a_0000_x2", "a_0005_x2", "a_0010_x2"], ["v2_0", "v2_5", "v2_10"])
    ):
        source = open_masks(fill(tmp_path / str(index), wanted, names), described())
        assert [frame for frame in range(COUNT) if source.given(frame)] == [0, 5, 10]
        assert (source.label(10) == wanted[2]).all()
        assert not source.label(3).any()
        assert source.areas[:, 3].sum() == 0


def test_as_many_masks_as_frames_are_taken_in_natural_order_whatever_their_names(tmp_path: Path) -> None:
    wanted = labels()
    source = open_masks(fill(tmp_path / "m", wanted, [f"mask{i + 1}" for i in range(COUNT)]), described())
    assert same(source, wanted)


def test_masks_of_a_folder_of_frames_go_by_the_frames_names(tmp_path: Path) -> None:
    for name in ("img8", "img9", "img10", "img11"):
        write_image(tmp_path / f"{name}.png", pictures(1)[0])
    info = probe(tmp_path)
    wanted = labels(2)
    for folder, names in (("same", ["img9", "img11"]), ("numbers", ["mask_0009", "mask_0011"])):
        source = open_masks(fill(tmp_path / folder, wanted, names), info)
        assert [frame for frame in range(4) if source.given(frame)] == [1, 3]
        assert (source.label(3) == wanted[1]).all()


@pytest.mark.parametrize("frames", ["0,5,10", "0-10:5", [0, 5, 10]])
def test_the_user_can_say_which_frames_masks_belong_to(tmp_path: Path, frames: str | list[int]) -> None:
    source = open_masks(fill(tmp_path / "m", labels(3), ["a", "b", "c"]), described(), frames=frames)
    assert [frame for frame in range(COUNT) if source.given(frame)] == [0, 5, 10]


def test_the_reading_says_how_masks_were_matched_to_frames(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", np.stack(labels()) > 0)
    several = fill(tmp_path / "several", labels(3), ["a0", "a5", "a10"])
    everyone = fill(tmp_path / "all", labels(), [f"mask{i + 1}" for i in range(COUNT)])
    numbers = "by the numbers in their names (0 to 10; frames are numbered 0 to 11)"
    for path, frames, unit, how, missing in (
        (several, None, "3 files", numbers, (1, 2, 3, 4, 6, 7, 8, 9, 11)),
        (several, "0-2", "3 files", "as --mask-frames says", tuple(range(3, COUNT))),
        (everyone, None, "12 files", "in order, one a frame", ()),
        (tmp_path / "m.npz", None, "12 mask frames", "in order, one a frame", ()),
    ):
        reading = open_masks(path, described(), frames=frames).reading
        assert reading.matched == how
        assert reading.missing == missing
        assert reading.line.startswith(f"Masks: {unit}, matched {how}; ")
    line = open_masks(several, described()).reading.line
    assert "9 of 12 frames have none (1, 2, 3, 4, 6, ...)" in line
    assert line.endswith("; object 1 (13.0% of the frame)")


def test_lists_of_frames_are_understood_or_refused() -> None:
    assert parse_frames("0, 5,7-9") == [0, 5, 7, 8, 9]
    assert parse_frames("0-7:5") == [0, 5]
    for wrong in ("", "a", "1-", "3-1", "1-5:0", "-1", "0-99999999999999", "1..3"):
        with pytest.raises(ValueError, match=r"0,5,10 or 0-70:5|more than any video"):
            parse_frames(wrong)


def test_a_single_picture_is_the_mask_of_one_frame(tmp_path: Path) -> None:
    fill(tmp_path, labels(1), ["00007"])
    source = open_masks(tmp_path / "00007.png", described())
    assert [frame for frame in range(COUNT) if source.given(frame)] == [7]


def test_masks_of_another_size_can_be_scaled(tmp_path: Path) -> None:
    small = labels()
    large = [np.kron(label, np.ones((2, 2), np.uint8)) for label in small]
    fill(tmp_path / "m", large)
    np.savez(tmp_path / "m.npz", np.stack(large))
    for name in ("m", "m.npz"):
        assert same(open_masks(tmp_path / name, described(), resize=True), small)
    grown = open_masks(fill(tmp_path / "s", small), described((96, 128)), resize=True)
    assert same(grown, large)


def test_only_the_objects_asked_for_are_taken(tmp_path: Path) -> None:
    wanted = labels(ids=(1, 7))
    source = open_masks(fill(tmp_path / "m", wanted), described(), ids=[7])
    assert source.ids == (7,)
    assert source.found == (1, 7)
    assert same(source, [np.where(label == 7, 7, 0) for label in wanted])


def test_index_255_beside_other_ids_is_void_unless_asked_for(tmp_path: Path) -> None:
    wanted = labels()
    rimmed = [label.copy() for label in wanted]
    for label in rimmed:
        label[8:10, :20] = 255
    source = open_masks(fill(tmp_path / "m", rimmed), described())
    assert same(source, wanted)
    assert (source.ids, source.found) == ((1, 2), (1, 2, 255))
    assert "255 (1.3% of the frame); 255 is void (--ids 255 takes it)" in source.reading.line
    asked = open_masks(tmp_path / "m", described(), ids=[1, 255])
    assert same(asked, [np.where(label == 2, 0, label) for label in rimmed])
    alone = open_masks(fill(tmp_path / "alone", labels(ids=(255, 255))), described())
    assert (alone.ids, alone.reading.void) == ((255,), False)
    np.savez(tmp_path / "m.npz", object_1=np.stack(rimmed) == 1, object_255=np.stack(rimmed) == 255)
    assert open_masks(tmp_path / "m.npz", described()).ids == (1, 255)


def _as_palette(folder: Path, colours: int, soft: bool) -> None:
    """As programs save indexed colour pictures: the palette is of the picture's own colours, whatever comes first."""
    for index, label in enumerate(labels()):
        picture = np.zeros((*SIZE, 3), np.uint8)
        picture[label > 0] = (128, 0, 0)
        picture = cv2.GaussianBlur(picture, (3, 3), 0.8) if soft else picture
        Image.fromarray(picture).quantize(colours).save(folder / f"{index:05d}.png")


@pytest.mark.parametrize("colours", [4, 8, 16])
def test_shades_of_soft_edges_in_indexed_pictures_are_no_objects(tmp_path: Path, colours: int) -> None:
    (tmp_path / "soft").mkdir()
    _as_palette(tmp_path / "soft", colours, soft=True)
    source = open_masks(tmp_path / "soft", described())
    assert source.ids == (1,)
    assert "taken for soft edges" in source.reading.line
    for index, label in enumerate(labels()):
        assert np.count_nonzero((source.label(index) > 0) != (label > 0)) <= 12  # corners, which a soft edge rounds
    (tmp_path / "hard").mkdir()
    _as_palette(tmp_path / "hard", 2, soft=False)
    assert same(open_masks(tmp_path / "hard", described()), [label > 0 for label in labels()])


def test_thin_objects_are_objects(tmp_path: Path) -> None:
    wanted = labels()
    for label in wanted:
        label[2:4] = 3
        label[44] = 4
    assert open_masks(fill(tmp_path / "two", wanted), described()).ids == (1, 2, 3, 4)
    alone = [np.where(label > 2, label, 0) + (np.arange(SIZE[1]) == 7) * 5 for label in wanted]
    assert open_masks(fill(tmp_path / "alone", [a.astype(np.uint8) for a in alone]), described()).found[:2] == (3, 4)
    for label in wanted:
        label[6] = 5
    far = open_masks(fill(tmp_path / "far", wanted), described())
    assert far.ids == (1, 2, 3, 4, 5)


def test_rims_that_are_asked_for_are_taken(tmp_path: Path) -> None:
    wanted = labels()
    for label in wanted:
        for step, number in enumerate((7, 8, 9)):
            label[10 + 5 * step : 15 + 5 * step, 40] = 0
            label[9, label[10] == 1] = 7
            label[30, label[29] == 1] = 8
            label[label == 1] = np.where(np.arange((label == 1).sum()) == step, number, 1)
    fill(tmp_path / "m", wanted)
    assert open_masks(tmp_path / "m", described()).ids == (1, 2)
    assert open_masks(tmp_path / "m", described(), ids=[1, 8]).ids == (1, 8)


def test_an_id_that_surrounds_the_objects_is_said(tmp_path: Path) -> None:
    surrounded = [np.where(label == 0, 9, label) for label in labels()]
    reading = open_masks(fill(tmp_path / "m", surrounded), described()).reading
    assert (reading.surrounding, reading.black_and_white) == ((9,), False)


def _write_deep(folder: Path) -> None:
    for index in range(COUNT):
        Image.fromarray(np.full(SIZE, 300, np.uint16)).save(folder / f"{index}.png")


def _write_ramp(folder: Path) -> None:
    for index, frame in enumerate(pictures()):
        write_image(folder / f"{index}.png", frame)


def _write_broken(folder: Path) -> None:
    fill(folder, labels())
    data = (folder / "00005.png").read_bytes()
    (folder / "00005.png").write_bytes(data[: len(data) // 2])


def _write_mixed(folder: Path) -> None:
    fill(folder, labels())
    write_image(folder / "00005.png", np.full(SIZE, 255, np.uint8))


def _write_array(folder: Path, array: np.ndarray, **more: Any) -> None:
    np.savez(folder.parent / "m.npz", arr_0=array, **more)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: fill(folder, labels(COUNT + 2)), "has 14 masks for a video of 12 frames; .*--mask-frames"),
        (lambda folder: fill(folder, labels(2), ["a", "b"]), "2 masks for a video of 12 frames, and their names"),
        (lambda folder: fill(folder, labels(2), ["5", "12"]), "12 would belong to frame 12; frames are .* 0 to 11"),
        (lambda folder: fill(folder, labels(size=(24, 32))), r"00000\.png is 32x24 for .* 64x48.*--resize-masks"),
        (lambda folder: fill(folder, [label * 0 for label in labels()]), "no object in any frame"),
        (_write_deep, "16-bit"),
        (_write_ramp, "more than 64 colours"),
        (_write_broken, r"00005\.png cannot be read"),
        (_write_mixed, "mixes grey and ids masks"),
        (lambda folder: _as_grey(folder, {0: 0, 1: 85, 2: 170}), "grey values 85, 170"),
        (lambda folder: None, "has no masks"),
        (lambda folder: _write_array(folder, np.zeros((3, 48, 64), bool)), "has 3 masks for a video of 12 frames"),
        (lambda folder: _write_array(folder, np.zeros((12, 24, 32), bool)), "is 32x24 for a video of 64x48"),
        (lambda folder: _write_array(folder, np.zeros((12, 48), bool)), r"arr_0: \(12, 48\) bool; .*; give one array"),
        (lambda folder: _write_array(folder, np.zeros((12, 1, 48, 64), bool)), "give one array"),
        (lambda folder: _write_array(folder, np.full((12, 48, 64), np.nan)), "NaN"),
        (lambda folder: _write_array(folder, np.full((12, 48, 64), 256)), "object ids are 0 to 255"),
        (lambda folder: _write_array(folder, np.full((12, 48, 64), -1)), "object ids are 0 to 255"),
        (lambda folder: _write_array(folder, np.zeros((12, 48, 64), bool), ids=np.zeros(2)), "give one array"),
        (lambda folder: _write_array(folder, np.full((12, 48, 64), "x")), "give one array"),
        (lambda folder: _write_array(folder, np.asfortranarray(np.zeros((12, 48, 64), bool))), "column by column"),
        (lambda folder: (folder.parent / "m.npz").write_bytes(b"no zip"), "must be a whole .npz"),
        (lambda folder: np.save(folder.parent / "m.npy", np.zeros((12, 48), bool)), r"m: \(12, 48\) bool; .*; give"),
        (lambda folder: np.save(folder.parent / "m.npy", np.array([{}])), r"m: \(1,\) object; "),
        (lambda folder: (folder.parent / "m.npy").write_bytes(b"none"), "must be a whole .npz or .npy"),
        (lambda folder: (folder.parent / "m.pt").write_bytes(b"x" * 999), r"or masks of another form: .* \.npy or"),
    ],
)
def test_masks_that_do_not_fit_are_refused_with_advice(tmp_path: Path, make: object, said: str) -> None:
    assert callable(make)
    folder = tmp_path / "m"
    folder.mkdir()
    make(folder)
    path = next((path for path in tmp_path.iterdir() if path.is_file()), folder)
    with pytest.raises((ValueError, OSError), match=said) as refusal:
        open_masks(path, described())
    assert isinstance(refusal.value, Refusal)
    assert len(refusal.value.parts) == 3
    assert str(path) in str(refusal.value)


def test_frames_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "m", labels(3))
    for frames, said in (("0,1", "2 frames are named"), ("0,0,1", "named twice"), ("0,1,12", "frame 12 is named")):
        with pytest.raises(ValueError, match=said):
            open_masks(tmp_path / "m", described(), frames=frames)
    with pytest.raises(ValueError, match="none for frame 3; every frame must have one"):
        open_masks(tmp_path / "m", described(), absent="error")


def test_an_object_that_never_occurs_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "m", labels())
    with pytest.raises(ValueError, match=r"no object 3, 9 in any frame.*ask for some of 1, 2"):
        open_masks(tmp_path / "m", described(), ids=[1, 3, 9])


def test_masks_that_show_nothing_are_accepted_where_that_means_something(tmp_path: Path) -> None:
    source = open_masks(fill(tmp_path / "m", [label * 0 for label in labels()]), described(), empty=True)
    assert source.ids == ()
    assert source.areas.shape == (0, COUNT)
    assert not any(source.label(index).any() for index in range(COUNT))


def test_mask_videos_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    red = [np.full((*SIZE, 3), (255, 0, 0), np.uint8)] * COUNT
    save(tmp_path / "red.mp4", red, described())
    with pytest.raises(ValueError, match="has colours in frame 0"):
        open_masks(tmp_path / "red.mp4", described())
    with pytest.raises(ValueError, match="has 12 masks for a video of 30 frames"):
        open_masks(tmp_path / "red.mp4", described(count=30))
    with pytest.raises(ValueError, match="is 64x48 for a video of 128x96"):
        open_masks(tmp_path / "red.mp4", described((96, 128)))
    with pytest.raises(OSError, match="does not exist"):
        open_masks(tmp_path / "missing", described())


def test_masks_that_lie_as_the_file_stores_the_video_get_a_hint(tmp_path: Path) -> None:
    fill(tmp_path / "m", labels())
    info = replace(described((64, 48)), rotation=90)
    with pytest.raises(ValueError, match="a viewer turns it by 90 degrees"):
        open_masks(tmp_path / "m", info)


@pytest.mark.parametrize("name", ["m.npz", "p.npz", "m.npy", "m.mkv", "00000.png"])
def test_garbled_masks_are_read_or_refused_and_never_more(tmp_path: Path, name: str) -> None:
    info = described()
    path = tmp_path / name
    if name == "m.npz":
        np.savez_compressed(path, np.stack(labels()))
    elif name == "p.npz":
        np.savez(path, np.stack(labels()))
    elif name == "m.npy":
        np.save(path, np.stack(labels()))
    elif name == "m.mkv":
        encode(path, [np.repeat((label > 0).astype(np.uint8)[..., None] * 255, 3, axis=2) for label in labels()])
    else:
        write_label(path, labels()[4])
        info = described(count=1)
    random, data = np.random.default_rng(7), path.read_bytes()
    refused = 0
    for _ in range(40):
        path.write_bytes(garbled(data, random))
        try:
            source = open_masks(path, info)
            assert source.label(0).shape == SIZE
        except (OSError, ValueError) as refusal:
            refused += 1
            said = str(refusal)
            if said.count(";") < 1:
                pytest.fail(f"no advice: {said}")
    assert refused > 5


class DotMasks:
    """A toy way of storing masks: a line a frame, with the row and the column of the only pixel that is seen."""

    size = SIZE

    def __init__(self, path: Path) -> None:
        self._path, self._dots = path, [tuple(map(int, line.split())) for line in path.read_text().splitlines()]
        self.names = len(self._dots)

    @staticmethod
    def takes(path: Path) -> bool:
        return path.suffix == ".dots"

    def masks(self, colours: dict[int, int]) -> Iterator[RawMask]:
        for row, column in self._dots:
            values = np.zeros(self.size, np.uint8)
            values[row, column] = 5
            yield RawMask(str(self._path), values, "ids")


def test_a_line_in_the_table_makes_another_way_of_storing_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.dots").write_text("".join(f"{frame} {2 * frame}\n" for frame in range(COUNT)))
    with pytest.raises(OSError, match="cannot be read as a video"):
        open_masks(tmp_path / "m.dots", described())
    monkeypatch.setattr("voin.io.masks.source.FORMATS", [DotMasks, *FORMATS])
    source = open_masks(tmp_path / "m.dots", described())
    assert source.ids == (5,)
    assert [tuple(np.argwhere(source.label(frame))[0]) for frame in range(COUNT)] == [
        (frame, 2 * frame) for frame in range(COUNT)
    ]
    with pytest.raises(ValueError, match=r"m\.dots is 64x48 for a video of"):
        open_masks(tmp_path / "m.dots", described(size=(SIZE[0] + 2, SIZE[1])))
