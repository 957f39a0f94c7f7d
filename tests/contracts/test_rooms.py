"""The rooms: what import-linter cannot see. The layers themselves stand in `pyproject.toml`; `make lint` runs them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import voin

PACKAGE = Path(voin.__file__).parent
ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 500
MAX_FILES = 15
MAX_ROOMS = 12

PUBLIC = [
    *("CompleteOptions", "Completion", "Inpainter", "MaskOptions", "Prompt", "__version__"),
    *("complete", "evaluate", "load", "mask", "train"),
]


def _rooms() -> list[Path]:
    return sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))


def test_the_top_holds_rooms_and_nothing_loose() -> None:
    assert sorted(path.name for path in PACKAGE.glob("*.py")) == ["__init__.py", "__main__.py"]
    assert len(_rooms()) <= MAX_ROOMS


def test_every_room_is_placed_in_the_contract_of_layers() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {contract["name"]: contract for contract in settings["tool"]["importlinter"]["contracts"]}
    placed = {room.strip() for layer in contracts["rooms"]["layers"] for room in layer.split("|")}
    assert placed == {room.name for room in _rooms()}
    assert contracts["rooms"]["exhaustive"]
    assert not any("ignore_imports" in contract for contract in contracts.values())


def test_no_room_is_crowded_and_no_file_long() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    crowded = {room for room in {path.parent for path in files} if sum(p.parent == room for p in files) > MAX_FILES}
    long = {path for path in files if len(path.read_text(encoding="utf-8").splitlines()) > MAX_LINES}
    assert not crowded, f"more than {MAX_FILES} files"
    assert not long, f"more than {MAX_LINES} lines: split by concept"


def test_every_room_says_what_it_is() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        assert path.read_text(encoding="utf-8").startswith('"""'), path


def test_the_public_names_are_these() -> None:
    assert sorted(voin.__all__) == PUBLIC
    for name in voin.__all__:
        assert getattr(voin, name) is not None
    assert set(voin.__all__) <= set(dir(voin))


def test_an_unknown_public_name_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="public names are CompleteOptions, Completion, Inpainter"):
        voin.absent  # noqa: B018


@pytest.mark.parametrize("module", ["voin", "voin.cli", "voin.cli.app"])
def test_the_command_line_starts_without_torch(module: str) -> None:
    heavy = "{'torch', 'cv2', 'av', 'numpy', 'gradio', 'pydantic', 'jinja2'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
