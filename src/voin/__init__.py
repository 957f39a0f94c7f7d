"""Occlusion-aware video object inpainting: shows the hidden part of an object in a real video.

`voin.load(name)` makes an `Inpainter`, which completes tensors; `voin.complete` completes files. The file to read first
is `voin.method.pipeline`; the words, axes and units stand in `voin.core.types`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from voin.core import __version__

if TYPE_CHECKING:
    from voin.benchmark.evaluate import evaluate
    from voin.jobs.complete import complete
    from voin.jobs.mask import mask
    from voin.jobs.options import CompleteOptions, MaskOptions
    from voin.method.load import load
    from voin.method.pipeline import Completion, Inpainter
    from voin.tracking.prompts import Prompt
    from voin.training.train import train

__all__ = [
    "CompleteOptions",
    "Completion",
    "Inpainter",
    "MaskOptions",
    "Prompt",
    "__version__",
    "complete",
    "evaluate",
    "load",
    "mask",
    "train",
]

# Public name -> its module. Imported at first use: `import voin` must stay quick, and torch is not.
_HOME = {
    "CompleteOptions": "voin.jobs.options",
    "Completion": "voin.method.pipeline",
    "Inpainter": "voin.method.pipeline",
    "MaskOptions": "voin.jobs.options",
    "Prompt": "voin.tracking.prompts",
    "complete": "voin.jobs.complete",
    "evaluate": "voin.benchmark.evaluate",
    "load": "voin.method.load",
    "mask": "voin.jobs.mask",
    "train": "voin.training.train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'voin' has no attribute {name!r}; its public names are {', '.join(__all__)}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
