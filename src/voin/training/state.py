"""The state of a training run on disk, so that it goes on exactly where it was; whole or not there at all.

    RUN/state.json               which folder holds the state
    RUN/state-000120/            tensors as safetensors, in files of at most `LIMIT_BYTES`, and numbers as JSON

A new folder is written first, then `state.json` names it, then the old one goes: a kill at any moment leaves one whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from voin.core.errors import FileRefusal
from voin.core.files import read_json, write_whole

LIMIT_BYTES = 15 * 2**20
STATE, _NUMBERS = "state.json", "numbers.json"


def save_state(run: Path, step: int, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
    """Write a state into the run's folder: tensors by name, on any device, and numbers as JSON can hold them."""
    folder = run / f"state-{step:07}"
    draft = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for i, part in enumerate(_parts(tensors)):
        safetensors.torch.save_file(part, draft / f"tensors-{i:02}.safetensors")
    (draft / _NUMBERS).write_text(json.dumps(dict(numbers)))
    if folder.exists():
        # The run ended, or was resumed, at a step it had saved before.
        shutil.rmtree(folder)
    draft.replace(folder)
    write_whole(run / STATE, json.dumps({"folder": folder.name}).encode())
    for old in run.glob("state-*"):
        if old.is_dir() and old != folder:
            shutil.rmtree(old, ignore_errors=True)


def load_state(run: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read the state that was saved last; None if there is none.

    Raises:
        OSError: it is there, but not whole.
    """
    pointer = run / STATE
    if not pointer.is_file():
        return None
    try:
        folder = run / json.loads(pointer.read_text())["folder"]
        tensors: dict[str, Tensor] = {}
        for path in sorted(folder.glob("tensors-*.safetensors")):
            tensors |= safetensors.torch.load(path.read_bytes())
        return tensors, json.loads((folder / _NUMBERS).read_text())
    except Exception as error:
        raise FileRefusal(
            f"{run} holds a state that cannot be read ({error})",
            "it must be as `voin train` left it",
            "copy the folder again, or start another run with --init",
        ) from error


def read_numbers(run: Path) -> dict[str, Any]:
    """Read the numbers of the state that was saved last, without its tensors; empty if there is none."""
    pointer = read_json(run / STATE) or {}
    return read_json(run / str(pointer.get("folder", "")) / _NUMBERS) or {}


def _parts(tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Share tensors out over files."""
    parts: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        stored = tensor.detach().to("cpu", copy=True).contiguous()
        if parts[-1] and size + stored.nbytes > LIMIT_BYTES:
            parts.append({})
            size = 0
        parts[-1][name] = stored
        size += stored.nbytes
    return parts


def optimizer_tensors(optimizer: torch.optim.Optimizer, module: nn.Module, prefix: str) -> dict[str, Tensor]:
    """Return the moments of an optimizer under the names of the weights they belong to."""
    return {
        f"{prefix}.{key}.{name}": value
        for name, weight in module.named_parameters()
        for key, value in optimizer.state.get(weight, {}).items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, module: nn.Module, prefix: str, tensors: Mapping[str, Tensor]
) -> None:
    """Set the moments of an optimizer."""
    for name, weight in module.named_parameters():
        named = {key: tensors.get(f"{prefix}.{key}.{name}") for key in ("step", "exp_avg", "exp_avg_sq")}
        # Adam counts steps on the CPU.
        found = {
            key: tensor.to("cpu" if key == "step" else weight.device, copy=True)
            for key, tensor in named.items()
            if tensor is not None
        }
        if found:
            optimizer.state[weight] = found
