"""What documents say of the code is so: links, files, modules, imports, settings, extras and pictures exist."""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import is_dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from contracts.test_readme import DOCUMENTS, blocks
from voin.core.config import edit, paths
from voin.training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
# Records of what was done on a day: they may name files as they were called then.
HISTORY = {"results.md", "training_log.md"}
PRESENT = [path for path in DOCUMENTS if path.name not in HISTORY]
PYTHON = [(path, block) for path in DOCUMENTS for block in blocks(path, "python")]
# Modules that a reader writes, and a name that no file may have.
EXAMPLES = {"my_method.py", "utils.py"}
MOST_BYTES = 500_000


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _prose(path: Path) -> str:
    """The text of a document without its code blocks."""
    return re.sub(r"^( *)(`{3,}).*?^\1\2$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@cache
def _files() -> set[str]:
    """Every end of every path of the repository: `a/b/c.py` is also `b/c.py` and `c.py`."""
    folders = ("src", "tests", "recipes", "docs", "integrations", "examples")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
    paths = [path.relative_to(ROOT) for path in (*paths, *ROOT.iterdir())]
    return {"/".join(path.parts[i:]) for path in paths for i in range(len(path.parts))}


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_links_lead_to_files(path: Path) -> None:
    targets = re.findall(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)", _prose(path))
    broken = [target for target in targets if not (path.parent / target).exists()]
    # Pages that the hook adds to the site.
    assert [
        target for target in broken if target != "contributing.md" and "develop/contributing.md" not in target
    ] == []


@pytest.mark.parametrize("path", PRESENT, ids=_name)
def test_files_that_are_named_exist(path: Path) -> None:
    named = re.findall(r"`([\w./-]+\.(?:py|sh|toml|js|css|svg))`", _prose(path))
    assert {name for name in named if name.removeprefix("./") not in _files() | EXAMPLES} == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_modules_and_names_that_are_named_exist(path: Path) -> None:
    for dotted in set(re.findall(r"`(voin(?:\.\w+)+)[`(]", _prose(path))):
        parts = dotted.split(".")
        module = next(m for i in range(len(parts), 0, -1) if (m := _imported(".".join(parts[:i]))) is not None)
        found = module
        for part in parts[len(module.__name__.split(".")) :]:
            assert hasattr(found, part), f"{dotted}: {found} has no {part}"
            found = getattr(found, part)


def _imported(name: str):
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None


@pytest.mark.parametrize(("path", "block"), PYTHON, ids=[_name(path) for path, _ in PYTHON])
def test_python_in_documents_imports_what_there_is(path: Path, block: str) -> None:
    tree = ast.parse(block)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("voin"):
            module = import_module(node.module or "")
            assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "voin":
            assert hasattr(import_module("voin"), node.attr), ast.unparse(node)


@pytest.mark.parametrize("path", PRESENT, ids=_name)
def test_settings_that_are_named_exist(path: Path) -> None:
    text, config = path.read_text(encoding="utf-8"), TrainConfig()
    groups = "|".join(name for name, value in vars(config).items() if is_dataclass(value))
    changes = re.findall(rf"`((?:{groups})\.[\w.]+=[^`\s]+)`", text) + re.findall(r"--set ([a-z_.]+=[^`\s]+)", text)
    for change in changes:
        edit(config, [change])
    named = re.findall(rf"`((?:{groups})\.[a-z_.]+)`", text)
    assert {name for name in named if name not in paths(config) and not name.endswith((".safetensors", ".py"))} == set()


def test_every_extra_is_explained() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = (ROOT / "docs" / "start" / "install.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(known)


def test_pictures_are_small() -> None:
    pictures = [path for path in (ROOT / "docs").rglob("*") if path.suffix in {".png", ".svg", ".jpg"}]
    assert pictures
    assert {_name(path): path.stat().st_size for path in pictures if path.stat().st_size > MOST_BYTES} == {}
