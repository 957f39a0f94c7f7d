"""A small ComfyUI: the modules that nodes may ask for, loading of a pack by its folder, and nodes of its own.

Made after its documentation; no code of it is here.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

PACK = Path(__file__).resolve().parents[2] / "integrations" / "comfyui"
# Nodes of ComfyUI itself that the example uses: what they take by links, what they give, how many widgets they have.
CORE: dict[str, tuple[dict[str, str], list[tuple[str, str]], int]] = {
    "LoadVideo": ({}, [("VIDEO", "VIDEO")], 2),
    "GetVideoComponents": ({"video": "VIDEO"}, [("images", "IMAGE"), ("audio", "AUDIO"), ("fps", "FLOAT")], 0),
    "ImageFromBatch": ({"image": "IMAGE"}, [("IMAGE", "IMAGE")], 2),
    "CreateVideo": ({"images": "IMAGE", "audio": "AUDIO", "fps": "FLOAT"}, [("VIDEO", "VIDEO")], 1),
    "SaveVideo": ({"video": "VIDEO"}, [], 3),
    "PreviewImage": ({"images": "IMAGE"}, [], 0),
    "MaskToImage": ({"mask": "MASK"}, [("IMAGE", "IMAGE")], 0),
}


class InterruptProcessingException(Exception):
    """What ComfyUI raises where the user has cancelled."""


class FakeComfy:
    """ComfyUI's side of a run: how far the bars have come, and whether the user has cancelled."""

    def __init__(self) -> None:
        self.bars: list[tuple[int, int]] = []  # (done, total) of each
        self.cancel_after: int | None = None  # questions after which the user has cancelled
        self.asked = 0
        self.free = 2**40

    def modules(self) -> dict[str, ModuleType]:
        fake = self

        class ProgressBar:
            def __init__(self, total: int) -> None:
                self.number = len(fake.bars)
                fake.bars.append((0, total))

            def update(self, value: int) -> None:
                done, total = fake.bars[self.number]
                fake.bars[self.number] = (done + value, total)

        def check() -> None:
            fake.asked += 1
            if fake.cancel_after is not None and fake.asked > fake.cancel_after:
                raise InterruptProcessingException

        made: dict[str, Any] = {name: ModuleType(name) for name in ("comfy", "comfy.utils", "comfy.model_management")}
        made["comfy.utils"].ProgressBar = ProgressBar
        made["comfy.model_management"].throw_exception_if_processing_interrupted = check
        made["comfy.model_management"].get_torch_device = lambda: torch.device("cpu")
        made["comfy.model_management"].get_free_memory = lambda device: fake.free
        made["comfy"].__path__ = []
        return made


def load_pack() -> ModuleType:
    """Load the pack as ComfyUI loads a folder of `custom_nodes`: by its path, under a name made of that."""
    name = str(PACK).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, PACK / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch) -> FakeComfy:
    fake = FakeComfy()
    for name, module in fake.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return fake


def run(node: type, **inputs: Any) -> tuple[Any, ...]:
    """Run a node as ComfyUI does: inputs left out have their defaults, and it must give what it has declared."""
    declared: dict[str, Any] = {}
    for group in ("required", "optional"):
        declared |= node.INPUT_TYPES().get(group, {})  # type: ignore[attr-defined]
    assert set(inputs) <= set(declared)
    given = {name: default(kind) for name, kind in declared.items() if default(kind) is not None} | inputs
    with torch.inference_mode():
        result = getattr(node(), node.FUNCTION)(**given)  # type: ignore[attr-defined]
    assert isinstance(result, tuple)
    assert len(result) == len(node.RETURN_TYPES) == len(node.RETURN_NAMES)  # type: ignore[attr-defined]
    for value, kind in zip(result, node.RETURN_TYPES, strict=True):  # type: ignore[attr-defined]
        if kind in ("IMAGE", "MASK"):
            assert value.dtype == torch.float32
            assert value.ndim == {"IMAGE": 4, "MASK": 3}[kind]
            assert value.min() >= 0
            assert value.max() <= 1
    return result


def is_widget(kind: tuple[Any, ...]) -> bool:
    """Whether an input is set on the node itself, not by a link."""
    return isinstance(kind[0], list) or kind[0] in ("STRING", "INT", "FLOAT", "BOOLEAN")


def default(kind: Any) -> Any:
    """What a widget stands at."""
    more = kind[1] if len(kind) > 1 else {}
    return more.get("default", kind[0][0] if isinstance(kind[0], list) else None)
