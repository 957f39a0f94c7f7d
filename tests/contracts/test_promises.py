"""The page of promises names tests and recipes: all of them exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "develop" / "solid.md"


def test_every_test_that_holds_a_promise_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 25
    lost = [
        f"{file}::{name}"
        for file, name in named
        if not re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert not lost


def test_every_file_of_tests_and_recipes_that_the_page_names_exists() -> None:
    # With a name that a test could not have, the test above would not see that it is one.
    named = re.findall(r"`((?:tests|recipes)/[^`\s:]+)(?:::([^`]*))?`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 40
    assert all((ROOT / path).exists() for path, _ in named)
    assert all(re.fullmatch(r"test_\w+", name) for _, name in named if name)


def test_every_promise_is_held_by_something() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## Promises")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 20
    assert all(re.search(r"`(tests/\w|recipes/\w)", holder) for _, holder in rows)
    recipes = {path for _, holder in rows for path in re.findall(r"`(recipes/[\w.]+)`", holder)}
    assert recipes
    assert all((ROOT / path).is_file() for path in recipes)
