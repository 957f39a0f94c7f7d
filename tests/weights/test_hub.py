"""Models by name, by folder, and from the hub."""

from __future__ import annotations

import fnmatch
import inspect
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from voin.core.errors import parts_of
from voin.weights import hub as models
from voin.weights.checkpoint import About, Recipe, load_checkpoint, save_checkpoint
from voin.weights.hub import KINDS, find_model, list_models, networks_of


@dataclass(frozen=True)
class ToyConfig:
    channels: int = 2


class Toy(nn.Module):
    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.layer = nn.Linear(config.channels, 1)


def save(folder: Path, *kinds: str) -> Path:
    for kind in kinds:
        about = About(kind, ("bear",), Recipe("voin train", 1.0, "cpu"), ("DAVIS",), {})
        save_checkpoint(folder / f"{kind}.safetensors", Toy(ToyConfig()), about)
    return folder


def put_hub(monkeypatch: pytest.MonkeyPatch, download: Callable[..., str]) -> None:
    """Let `download` stand for the hub, installed or not."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=download))


@pytest.fixture(autouse=True)
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for shipped weights, and a working folder of the test's own."""
    monkeypatch.setattr(models, "WEIGHTS", tmp_path / "package" / "weights")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return models.WEIGHTS


def test_a_folder_is_found_with_the_networks_it_has(tmp_path: Path) -> None:
    folder = save(tmp_path / "mine", "generator", "shape")
    for name in (folder, str(folder)):
        assert find_model(name) == folder
    assert list(networks_of(folder)) == ["shape", "generator"]
    for kind, path in networks_of(folder).items():
        load_checkpoint(path, {kind: (ToyConfig, Toy)})


def test_a_shipped_model_is_found_by_name_and_listed(shipped: Path) -> None:
    save(shipped / "small", *KINDS)
    save(shipped / "large", "shape")
    (shipped / "empty").mkdir()
    assert list_models() == {"large": shipped / "large", "small": shipped / "small"}
    assert find_model("small") == shipped / "small"


def test_a_shipped_name_wins_over_a_folder_here_and_a_folder_over_the_hub(shipped: Path) -> None:
    save(shipped / "small", *KINDS)
    save(Path("small"), "shape")
    save(Path("owner/name"), "shape")
    assert find_model("small") == shipped / "small"
    assert find_model("./small") == find_model(Path("small")) == Path("small")
    assert find_model("owner/name") == Path("owner/name")


def test_an_unknown_name_lists_what_there_is(shipped: Path) -> None:
    assert list_models() == {}
    with pytest.raises(ValueError, match=r"'smal' is no model; it must be a folder or owner/name .*\(no weights ship"):
        find_model("smal")
    save(shipped / "small", *KINDS)
    with pytest.raises(ValueError, match="'smal' is no model; it must be small, a folder or owner/name on the hub; "):
        find_model("smal")


@pytest.mark.parametrize("name", ["../up", "/root/x", "a/b/c", "./x", "~/x", "", "a b/c", "-a/b"])
def test_what_cannot_be_a_hub_id_is_not_asked_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_download", lambda _: pytest.fail("asked the hub"))
    with pytest.raises((ValueError, OSError)):
        find_model(name)


def test_a_folder_without_networks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        OSError, match=r"holds no network; it must have shape\.json, flow\.json, generator\.json, .* or pcnet\.json; "
    ):
        find_model(tmp_path)


def test_a_file_is_no_model(tmp_path: Path) -> None:
    path = save(tmp_path / "mine", "shape") / "shape.safetensors"
    with pytest.raises(ValueError, match="is no model; it must be"):
        find_model(path)


def test_only_the_named_files_come_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote, cache = save(tmp_path / "remote", *KINDS), tmp_path / "cache"
    for extra in ("pytorch_model.bin", "README.md", "sub/shape.json", "shape.json.py"):
        (remote / extra).parent.mkdir(exist_ok=True)
        (remote / extra).write_text("x")
    asked: list[str] = []

    def download(repo_id: str, *, allow_patterns: list[str]) -> str:
        asked.append(repo_id)
        for path in remote.rglob("*"):
            name = path.relative_to(remote).as_posix()
            if path.is_file() and any(fnmatch.fnmatch(name, each) for each in allow_patterns):
                cache.mkdir(exist_ok=True)
                shutil.copy(path, cache / name)
        return str(cache)

    put_hub(monkeypatch, download)
    model = find_model("some-one/voin.small")
    assert asked == ["some-one/voin.small"]
    assert sorted(path.name for path in model.iterdir()) == sorted(
        f"{kind}{suffix}" for kind in KINDS for suffix in (".json", ".safetensors")
    )
    for kind, path in networks_of(model).items():
        load_checkpoint(path, {kind: (ToyConfig, Toy)})


def test_the_real_hub_is_called_as_the_one_of_these_tests() -> None:
    hub = pytest.importorskip("huggingface_hub")
    inspect.signature(hub.snapshot_download).bind("owner/name", allow_patterns=["shape.json"])


def test_a_hub_repository_without_networks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_hub(monkeypatch, lambda *_, **__: str(tmp_path))
    with pytest.raises(OSError, match="holds no network"):
        find_model("owner/name")


def test_what_the_hub_does_not_give_is_said_in_three_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise RuntimeError("404;\n  no such repository")

    put_hub(monkeypatch, refuse)
    with pytest.raises(
        OSError, match=r"owner/name is no folder here and cannot be downloaded \(404; no such"
    ) as caught:
        find_model("owner/name")
    assert len(parts_of(caught.value)) == 3


def test_without_huggingface_hub_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"huggingface-hub does not import .*; .*; run: pip install 'voin\[hub\]'"):
        find_model("owner/name")
