"""Models: folders with the networks of the method, by path, by the name of one that ships, or on the Hugging Face hub.

MODEL/shape.safetensors, MODEL/shape.json           each network is a checkpoint (`voin.weights.checkpoint`)
MODEL/flow.safetensors, MODEL/flow.json
MODEL/generator.safetensors, MODEL/generator.json
MODEL/sttn.safetensors, MODEL/sttn.json             and so on: networks of baselines
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from voin.core.errors import FileRefusal, PackageRefusal, ValueRefusal
from voin.weights.checkpoint import RECORD, TENSORS, either

# The networks of a model, each named as its files: ours, and those of the baselines.
KINDS = ("shape", "flow", "generator", "sttn", "lgtsm", "deepfill", "dfvi", "edges", "pcnet-m", "pcnet-c", "pcnet")
WEIGHTS = Path(__file__).parent  # the models that ship
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)


def find_model(name: str | Path) -> Path:
    """Find the folder of a model: one of `list_models()`, a folder, or "owner/name" on the Hugging Face hub.

    From the hub the files named above are downloaded, once. A shipped name wins over a folder (write ./small for that),
    a folder over the hub.

    Raises:
        ValueError: the name is none of these.
        OSError: the folder holds no network, or the hub does not give it.
        ImportError: it is on the hub, and huggingface-hub is not installed.
    """
    shipped = list_models()
    if isinstance(name, str) and name in shipped:
        return shipped[name]
    folder = Path(name).expanduser()
    if not folder.exists() and isinstance(name, str) and _HUB_ID.fullmatch(name):
        folder = _download(name)
    if not folder.is_dir():
        raise ValueRefusal(
            f"{str(name)!r} is no model",
            f"it must be {either([*shipped, 'a folder', 'owner/name on the hub'])}",
            f"choose one of these{'' if shipped else ' (no weights ship with this voin)'}",
        )
    if not networks_of(folder):
        raise FileRefusal(f"{folder} holds no network", f"it must have {either(_names(RECORD))}", "check the path")
    return folder


def list_models() -> dict[str, Path]:
    """List the models that ship with the package: name to folder, sorted; their files are not read."""
    folders = sorted(WEIGHTS.iterdir()) if WEIGHTS.is_dir() else []
    return {folder.name: folder for folder in folders if networks_of(folder)}


def networks_of(model: Path) -> dict[str, Path]:
    """List the networks of a model: kind to tensors' file, in the order of `KINDS`; they are not read."""
    return {kind: model / f"{kind}{TENSORS}" for kind in KINDS if (model / f"{kind}{RECORD}").is_file()}


def _download(name: str) -> Path:
    """Get a model's files from the hub, or from its cache on this machine."""
    try:
        # By name: type checkers know it only where the extra is installed.
        hub: Any = import_module("huggingface_hub")
    except ImportError as error:
        raise PackageRefusal(
            f"{name} is no folder here, and the hub cannot be asked: huggingface-hub does not import ({error})",
            "it must be installed, or the model be a folder",
            "run: pip install 'voin[hub]'",
        ) from error
    try:
        # Both names of each kind and nothing else, whatever the repository holds; all of one revision.
        return Path(hub.snapshot_download(name, allow_patterns=[*_names(TENSORS), *_names(RECORD)]))
    except Exception as error:  # the hub's own errors, and those of whatever it speaks HTTP with
        told = " ".join(str(error).split()) or type(error).__name__
        raise FileRefusal(
            f"{name} is no folder here and cannot be downloaded ({told})",
            "it must be a folder, or a public model OWNER/NAME on the Hugging Face hub",
            "check the name and the connection",
        ) from error


def _names(suffix: str) -> list[str]:
    return [f"{kind}{suffix}" for kind in KINDS]
