"""Occlusion-aware video object inpainting: shows the hidden part of an object in a real video.

`voin.load(name)` gives an `Inpainter`; see `voin.pipeline`, the file to read first. The words, axes and units of the
library stand in `voin.clip`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voin.methods import load
    from voin.pipeline import Inpainter

__version__ = "0.1.0"
__all__ = ["Inpainter", "__version__", "load"]

# Public name -> its module. Imported at first use: `import voin` must stay quick, and torch is not.
_HOME = {"Inpainter": "voin.pipeline", "load": "voin.methods"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'voin' has no attribute {name!r}; its public names are {', '.join(__all__)}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
