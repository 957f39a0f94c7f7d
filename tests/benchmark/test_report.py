from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fakes import own_methods
from sets.voi_sets import BARS, COUNT, SIZE, write_set
from voin.baselines.telea import Telea
from voin.baselines.visible import VisibleShape
from voin.benchmark.corrupt import Corruption
from voin.benchmark.curves import draw_curves
from voin.benchmark.evaluate import EvaluateOptions, evaluate
from voin.benchmark.examples import LONGEST, MEDIA, TRUE, make_panels, telling, telling_stretch
from voin.benchmark.report import write_report
from voin.benchmark.trials import Outcome
from voin.data.sets import VoiSet
from voin.io.images import read_picture
from voin.io.video import probe, read


@pytest.fixture(scope="module")
def voi_set(tmp_path_factory: pytest.TempPathFactory) -> VoiSet:
    return write_set(tmp_path_factory.mktemp("set"), [*BARS, (28, 40)])


@pytest.fixture(scope="module")
def evaluated(voi_set: VoiSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("out")
    methods = {"telea": Telea(), "visible": VisibleShape(), "raises": own_methods.Raises("cat")}
    return out, evaluate(voi_set, methods, out, EvaluateOptions())


class Page(HTMLParser):
    """Checks that tags close in the order they opened, and collects attributes and words."""

    VOID = ("meta", "link", "img", "input", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.rows = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.rows += tag == "tr"
        self.links += [value for key, value in attrs if key in ("src", "href", "poster") and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(evaluated) -> None:
    out, _ = evaluated
    text = (out / "index.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert "{{" not in text
    assert "http" not in text
    for link in page.links:
        if link.startswith("#"):
            assert f'id="{link[1:]}"' in text
        elif not link.startswith("data:"):
            assert (out / link).is_file(), link


def test_the_page_has_a_row_for_each_clip_method_and_setting(evaluated) -> None:
    out, results = evaluated
    text = (out / "index.html").read_text(encoding="utf-8")
    body = text[text.index('class="sortable"') :]
    assert body[body.index("<tbody>") : body.index("</tbody>")].count("<tr") == len(results["clips"]) == 4 * 5
    assert body.count('class="failed"') == 2


def test_numbers_of_the_page_are_those_of_the_results(evaluated) -> None:
    out, results = evaluated
    words = Page((out / "index.html").read_text(encoding="utf-8")).words
    value = results["tables"]["given"]["telea"]["all"]["averages"]["psnr_hidden"]["per_video"]
    assert f"{value:.2f}" in words


def test_what_others_wrote_is_escaped(evaluated, tmp_path: Path) -> None:
    _, results = evaluated
    bad = '<script>alert("1")</script>'
    clips = [{**clip, "error": bad, "category": bad} for clip in results["clips"]]
    path = write_report(tmp_path, {**results, "clips": clips, "notes": [bad], "set": {**results["set"], "split": bad}})
    assert bad not in path.read_text(encoding="utf-8")


# --- pictures


def test_the_best_the_median_and_the_worst_clip_are_shown(evaluated) -> None:
    _, results = evaluated
    films = [film for film in results["films"] if (film["method"], film["setting"]) == ("telea", "given")]
    values = sorted(
        (clip["metrics"]["psnr_hidden"], clip["clip"])
        for clip in results["clips"]
        if (clip["method"], clip["setting"]) == ("telea", "given")
    )
    assert [film["place"] for film in films] == ["best", "median", "worst"]
    assert [film["clip"] for film in films] == [values[3][1], values[1][1], values[0][1]]
    assert films[0]["value"] == pytest.approx(values[3][0])


def test_shapes_are_chosen_by_their_masks_and_failures_are_not_shown(evaluated) -> None:
    _, results = evaluated
    assert {film["metric"] for film in results["films"] if film["method"] == "visible"} == {"iou_amodal"}
    assert all(film["clip"] != "b" for film in results["films"] if film["method"] == "raises")


def test_each_video_is_h264_that_browsers_play_with_input_result_and_truth(evaluated, voi_set: VoiSet) -> None:
    out, results = evaluated
    film = next(film for film in results["films"] if film["setting"] == "given")
    info = probe(out / film["video"])
    h, w = SIZE
    assert info.count == COUNT
    assert info.size[1] == 3 * w
    assert info.size[0] % 2 == 0
    import av

    with av.open(str(out / film["video"])) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
    clip = voi_set.load(next(record for record in voi_set.records("validation") if record.name == film["clip"]))
    for picture, truth in zip(read(info), clip.truth, strict=True):
        shown = picture[-h:, 2 * w :]
        assert cv2.PSNR(np.ascontiguousarray(shown), truth) > 28


def test_posters_and_sheets_are_pictures(evaluated) -> None:
    out, results = evaluated
    for film in results["films"]:
        assert read_picture(out / film["poster"]).shape[1] == 3 * SIZE[1]
        assert min(read_picture(out / film["sheet"]).shape[:2]) > 100


def test_pictures_that_are_no_longer_shown_are_removed(evaluated, voi_set: VoiSet, tmp_path: Path) -> None:
    options = EvaluateOptions(settings=("given",), clips=("a", "b", "c"))
    results = evaluate(voi_set, {"telea": Telea()}, tmp_path, options)
    assert len(list((tmp_path / MEDIA).iterdir())) == 3 * len(results["films"]) == 9
    (tmp_path / MEDIA / "notes.txt").write_text("mine", encoding="utf-8")
    results = evaluate(voi_set, {"telea": Telea()}, tmp_path, replace(options, clips=("a",)))
    assert [film["place"] for film in results["films"]] == ["best"]
    assert len(list((tmp_path / MEDIA).iterdir())) == 3 + 1


def test_outlines_are_drawn_where_the_shape_was_completed(voi_set: VoiSet) -> None:
    clip = voi_set.load(voi_set.records("validation")[0])
    frames = clip.frames
    outcome = Outcome(clip.truth, clip.amodal)
    plain, shaped = (make_panels(clip, frames, outcome, shape) for shape in (False, True))
    assert np.array_equal(np.stack(plain["result"]), clip.truth)
    changed = (np.stack(shaped["result"]) != clip.truth).any(axis=-1)
    assert changed.any()
    assert not changed[~clip.amodal].any()
    assert (np.stack(shaped["truth"]) == TRUE).all(axis=-1).any()


def test_frames_that_are_not_there_are_shown_as_the_input(voi_set: VoiSet) -> None:
    clip = voi_set.load(voi_set.records("validation")[0])
    frames = clip.frames
    panels = make_panels(clip, frames, Outcome([None, *clip.truth[1:]], None), True)
    assert np.array_equal(panels["result"][0], frames[0])
    assert np.array_equal(panels["result"][1], clip.truth[1])


def test_frames_to_show_are_those_in_which_much_is_hidden() -> None:
    occluded = np.zeros((20, 5, 5), bool)
    occluded[3, 0, 0] = True
    occluded[8:14] = True
    shown = telling(occluded)
    assert set(shown) <= set(range(8, 14))
    assert len(shown) == 4
    assert len(telling(np.zeros((2, 5, 5), bool))) == 2


def test_long_clips_are_shown_where_most_is_hidden() -> None:
    occluded = np.zeros((LONGEST + 40, 3, 3), bool)
    assert telling_stretch(occluded[:7]) == range(7)
    occluded[30 : 30 + LONGEST] = True
    assert telling_stretch(occluded) == range(30, 30 + LONGEST)


# --- curves


def test_curves_are_drawn_for_each_kind_of_damage(voi_set: VoiSet, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    corruptions = (Corruption("lost", 0.2), Corruption("shifted", 0.1), Corruption("shifted", 0.3))
    options = EvaluateOptions(corruptions=corruptions, clips=("a",), pictures=False)
    results = evaluate(voi_set, {"telea": Telea(), "visible": VisibleShape()}, tmp_path, options)
    picture = read_picture(tmp_path / "degrade.png")
    # Three rows (two settings of PSNR, one of mIoU) of two kinds.
    assert picture.shape[0] > picture.shape[1]
    first = (tmp_path / "degrade.png").read_bytes()
    assert draw_curves(tmp_path, results).read_bytes() == first
    del results["damage"]["given"]["telea"]["shifted"][2]
    assert draw_curves(tmp_path, results).read_bytes() != first


def test_the_style_has_a_dark_side(evaluated) -> None:
    out, _ = evaluated
    text = (out / "index.html").read_text(encoding="utf-8")
    assert re.search(r"prefers-color-scheme: dark", text)
