"""The site: what its hooks make of the code, its drawn pictures, and that it builds without a broken link."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from voin.cli.app import app

pytest.importorskip("mkdocs", reason='the site is built with pip install "voin[docs]"')

import pictures
from command_tables import commands, commands_markdown
from config_tables import configs, meanings

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
NUMBERS = sorted(
    {
        name
        for path in DOCS.rglob("*.md")
        for name in re.findall(r"^<!-- numbers: (\S+) -->$", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
)


@pytest.fixture(scope="module")
def sections() -> dict[str, str]:
    """The reference of each command, by its words."""
    parts = re.split(r"^## (voin [a-z ]+)$", commands_markdown(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_command_has_a_section(sections: dict[str, str]) -> None:
    assert list(sections) == [" ".join(words) for words, _ in commands()]
    assert {"voin complete", "voin mask", "voin data build"} <= set(sections)


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
def test_the_reference_names_what_help_does(words: list[str], sections: dict[str, str]) -> None:
    env = {"COLUMNS": "250", "NO_COLOR": "1", "TERM": "dumb"}
    shown = CliRunner().invoke(app, [*words[1:], "--help"], env=env).stdout
    rows = re.findall(r"^│[ *]+(--.*?) {2,}(?:[A-Z<].*)?│?$", shown.replace("  --", " --"), re.MULTILINE)
    options = {option for row in rows for option in re.findall(r"--?[a-z0-9][\w-]*", row)} - {"--help", "-h"}
    assert "--traceback" in options
    section = sections[" ".join(words)]
    assert {option for option in options if f"`{option}`" not in section} == set()


def test_defaults_and_choices_stand_in_the_reference(sections: dict[str, str]) -> None:
    rows = {
        row[0]: row
        for row in re.findall(r"^\| `(\S+)`.* \| (.*) \| (.*) \| (.*) \|$", sections["voin complete"], re.MULTILINE)
    }
    assert rows["--layer"][1:3] == ("`png`, `mov`, `webm`, `exr`, `none`", "`png`")
    assert rows["--start"][2] == "`0`"
    assert rows["--png"][2] == ""


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_of_a_method_page_is_explained(name: str) -> None:
    found = list(configs(name))
    assert found, f"{name} has no config"
    unsaid = {
        f"{config.__name__}.{field}" for _, config in found for field, words in meanings(config).items() if not words
    }
    assert unsaid == set()


def test_a_stage_of_the_method_has_a_page() -> None:
    pages = {path.stem for path in (DOCS / "method").glob("*.md")}
    stages = {path.parent.name for path in (ROOT / "src/voin/method").glob("*/__init__.py")}
    assert stages | {"index", "window", "motion", "paste", "training", "occluders", "baselines", "paper"} == pages


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_the_drawn_pictures_are_up_to_date(name: str) -> None:
    drawn = (pictures.FOLDER / name).read_text(encoding="utf-8")
    assert drawn == pictures.PICTURES[name](), "draw them anew: python docs/hooks/pictures.py"


def test_the_files_on_the_way_of_the_data_exist() -> None:
    files = [file for file, _ in (*pictures.DOWN, *pictures.STAGES, *pictures.UP) if file != "out/"]
    assert [file for file in files if not (pictures.PACKAGE / file).exists()] == []


def test_every_room_is_in_the_picture() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    rooms = next(each["layers"] for each in settings["contracts"] if each["name"] == "rooms")
    text = (DOCS / "develop" / "architecture.md").read_text(encoding="utf-8")
    for room in (name.strip() for layer in rooms for name in layer.split("|")):
        assert f">{room}/<" in (pictures.FOLDER / "rooms.svg").read_text(encoding="utf-8")
        assert f"| [`{room}`](../../src/voin/{room}) |" in text


@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        loaded = re.findall(
            r'<(?:script|img|iframe)[^>]+src="(http[^"]+)|<link[^>]+href="(http[^"]+)', page.read_text()
        )
        assert loaded == [], page
