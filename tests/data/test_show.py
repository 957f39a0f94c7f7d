"""The page and the pictures of a set show what is in it."""

from __future__ import annotations

import base64
import builtins
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from voin.core import draw as drawing
from voin.data.manifest import (
    AMODAL,
    KINDS,
    OCCLUDER,
    TRUTH,
    VERSION,
    VISIBLE,
    ClipRecord,
    Manifest,
    Skipped,
    clip_folder,
    write_manifest,
)
from voin.data.sets import VoiSet, open_set, write_masks, write_occluder, write_truth
from voin.data.show import choose, count, draw, show_set
from voin.io.images import header_size, read_picture

H, W, T = 36, 64, 4
# Name, video, category, split, columns of the occluder; the object spans columns 20 to 40.
CLIPS = (
    ("cat_1", "cat", "cat", "train", (0, 25)),
    ("cat_2", "cat", None, "train", (0, 30)),
    ("boat", "boat", "boat", "validation", (35, 60)),
)


def write_clip(
    root: Path, name: str, video: str, category: str | None, split: str, columns: tuple[int, int], h: int = H
) -> ClipRecord:
    """Write a grey square on noise, hidden in all frames but the last, in which it is absent."""
    for kind in KINDS:
        clip_folder(root, split, kind, name).mkdir(parents=True)
    truth = np.random.default_rng(0).integers(100, 156, (T, h, W, 3), dtype=np.uint8)
    amodal, occluder = np.zeros((2, T, h, W), bool)
    amodal[: T - 1, 10:20, 20:40] = True
    occluder[:, :, slice(*columns)] = True
    visible = amodal & ~occluder
    write_truth(clip_folder(root, split, TRUTH, name), truth, tuple(Path(f"{i}.png") for i in range(T)))
    write_masks(clip_folder(root, split, AMODAL, name), AMODAL, amodal)
    write_masks(clip_folder(root, split, VISIBLE, name), VISIBLE, visible)
    write_occluder(clip_folder(root, split, OCCLUDER, name), occluder, np.full_like(truth, 200))
    rate = 1 - visible.sum() / amodal.sum()
    rates = (*([float(rate)] * (T - 1)), None)
    return ClipRecord(name, video, 0, category, split, T, (h, W), "object", "dog", "dog", rates, float(rate))  # pyright: ignore


@pytest.fixture
def voi_set(tmp_path: Path) -> VoiSet:
    root = tmp_path / "<set>"
    records = tuple(sorted((write_clip(root, *clip) for clip in CLIPS), key=lambda record: record.name))
    skipped = (Skipped("bee", "too small"), Skipped("fly", "too small"), Skipped("ant", "a & b"))
    settings = {"size": [H, W], "occluder": {"low": 0.1}}
    write_manifest(root, Manifest(VERSION, "0", 7, settings, {"layout": "davis"}, records, skipped))
    return open_set(root)


class Page(HTMLParser):
    """What is on a page: its text, its pictures, and whether every tag is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text, self.pictures, self.open = "", [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(base64.b64decode((dict(attrs)["src"] or "").split(",")[1]))
        elif tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


def test_the_page_stands_alone_and_has_all_pictures(voi_set: VoiSet, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = show_set(voi_set, tmp_path / "out")
    assert path == tmp_path / "out" / "index.html"
    assert {file.name for file in path.parent.iterdir()} == {
        *("index.html", "clips-1.png", "rates.png", "sizes.png", "categories.png")
    }
    page = Page(path)
    assert page.open == []
    assert len(page.pictures) == 4
    assert (path.parent / "rates.png").read_bytes() in page.pictures
    links = re.findall(r'(?:src|href)="([^"]*)"', path.read_text(encoding="utf-8"))
    assert all(link.startswith("data:") for link in links)


def test_the_page_says_the_numbers_and_why_clips_were_left_out(voi_set: VoiSet, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    text = " ".join(Page(show_set(voi_set, tmp_path)).text.split())
    for part in ("<set>", "clips 3", "videos 2", "frames 12", "too small 2", "a & b 1", "occluder.low 0.1", "seed 7"):
        assert part in text, part


def test_the_same_set_gives_the_same_files(voi_set: VoiSet, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a", "b"):
        show_set(voi_set, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_split_shows_its_own_clips(voi_set: VoiSet, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    text = " ".join(Page(show_set(voi_set, tmp_path, "validation")).text.split())
    assert "<set>, validation" in text
    assert "clips 1 " in text
    with pytest.raises(ValueError, match="no clips in 'test'"):
        show_set(voi_set, tmp_path, "test")


def test_counts_are_those_of_the_masks(voi_set: VoiSet) -> None:
    records = voi_set.records()
    statistics = count(voi_set.manifest, records, [0.5, 0.5, 0.5])
    clips = [voi_set.load(record) for record in records]
    there = [(clip.amodal[i], clip.occluded[i]) for clip in clips for i in range(T) if clip.amodal[i].any()]
    assert statistics.counts == {
        "clips": 3,
        "videos": 2,
        "categories": 2,
        "frames": 12,
        "masks": sum(clip.amodal.shape[0] + clip.visible.shape[0] for clip in clips),
        "frames with a hidden part": sum(bool(hidden.any()) for _, hidden in there),
        "frames with nothing hidden": 0,
        "frames with everything hidden": 0,
        "frames without the object": 12 - len(there),
        "clips left out": 3,
    }
    assert statistics.frame_rates == pytest.approx([hidden.sum() / whole.sum() for whole, hidden in there])
    assert statistics.categories == Counter(cat=1, boat=1, unknown=1)
    assert statistics.skipped == {"too small": 2, "a & b": 1}


def test_the_size_is_the_objects_share_of_the_frame(voi_set: VoiSet, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("matplotlib")
    seen = []
    monkeypatch.setattr("voin.data.show.count", lambda *given: seen.append(given[2]) or count(*given))
    show_set(voi_set, tmp_path)
    assert seen == [[pytest.approx(10 * 20 / (H * W))] * 3]


def test_chosen_clips_go_from_the_least_to_the_most_hidden(voi_set: VoiSet) -> None:
    records = voi_set.records()
    ordered = choose(records, 3)
    assert [record.rate for record in ordered] == sorted(record.rate for record in records)
    assert choose(records, 2) == [ordered[0], ordered[2]]


def test_a_drawing_outlines_both_parts_and_leaves_the_rest_as_it_is(voi_set: VoiSet) -> None:
    clip = voi_set.load(voi_set.records("validation")[0])
    frame = clip.frames[0]
    drawn = draw(frame, clip.visible[0], clip.occluded[0])
    assert np.array_equal(drawn[~clip.amodal[0]], frame[~clip.amodal[0]])
    assert (drawn[10, 25] == drawing.VISIBLE).all()
    assert (drawn[10, 37] == drawing.AMODAL).all()


def test_clips_of_several_sizes_stand_on_one_sheet(voi_set: VoiSet, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    high = write_clip(voi_set.root, "zebra", "zebra", "zebra", "train", (20, 30), h=2 * H)
    manifest = voi_set.manifest
    both = Manifest(VERSION, "0", 7, {}, {}, (*manifest.clips, high), ())
    write_manifest(voi_set.root, both)
    show_set(open_set(voi_set.root), tmp_path)
    assert header_size(tmp_path / "clips-1.png")[0] > 4 * 36


def test_each_clip_is_a_step(voi_set: VoiSet, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    steps: Counter[str] = Counter()

    class Steps:
        def stage(self, name: str, total: int) -> None:
            steps[f"{name} of"] = total

        def advance(self, name: str, count: int = 1) -> None:
            steps[name] += count

    show_set(voi_set, tmp_path, progress=Steps())
    assert steps == {"sizes of": 3, "sizes": 3, "sheets of": 3, "sheets": 3}


def test_a_missing_mask_is_an_error_that_names_it(voi_set: VoiSet, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    missing = voi_set.folder(voi_set.records()[0], AMODAL) / "00000.png"
    missing.unlink()
    with pytest.raises(OSError, match=r"00000\.png cannot be read"):
        show_set(voi_set, tmp_path)


def test_histograms_are_pictures_with_ink_on_them(voi_set: VoiSet, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    show_set(voi_set, tmp_path)
    for name in ("rates", "sizes", "categories"):
        colours = read_picture(tmp_path / f"{name}.png").reshape(-1, 3)
        assert (np.abs(colours.astype(int) - (0x2F, 0x7F, 0x93)).max(axis=1) < 3).mean() > 0.01, name


def test_without_matplotlib_the_error_says_what_to_install(voi_set: VoiSet, tmp_path: Path, monkeypatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest, **named):
        if name.startswith("matplotlib"):
            raise ImportError("No module named 'matplotlib'")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'voin\[eval\]'"):
        show_set(voi_set, tmp_path / "out")
    assert not (tmp_path / "out").exists()
