"""The glossary is true: what it names exists in the code, and the words of `core/types.py` stand in it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import voin
from voin.core import types

PACKAGE = Path(voin.__file__).parent
TEXT = (Path(__file__).resolve().parents[2] / "docs" / "develop" / "glossary.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|`]+?) \| ([^|]+) \| (`[^|]+`) \|$", TEXT, re.MULTILINE)


@cache
def names() -> set[str]:
    """Everything that src/voin gives a name: modules, classes, functions, parameters, fields, variables."""
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        found |= {path.stem, path.parent.name}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
                found.add(node.value)  # keys, such as those of metrics
    return found


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_what_a_word_is_called_in_the_code_exists(row: tuple[str, str, str]) -> None:
    assert {name for name in re.findall(r"`(\w+)`", row[2]) if name not in names()} == set()


def test_every_row_was_read() -> None:
    lines = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| word ")]
    assert len(lines) == len(ROWS) > 50


def test_no_word_stands_twice() -> None:
    words = [row[0] for row in ROWS]
    assert sorted({word for word in words if words.count(word) > 1}) == []


def test_the_words_of_the_types_stand_in_the_glossary() -> None:
    table = re.findall(r"^\| (`.+?`(?:, `\w+`)*) \|", types.__doc__ or "", re.MULTILINE)
    words = {word for cell in table for word in re.findall(r"`(\w+)`", cell)}
    assert {"visible", "amodal", "window"} <= words
    told = {word.strip() for row in ROWS for word in row[0].split(",")}
    assert words <= told
