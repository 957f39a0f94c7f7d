"""What can be compared: the signature that all methods share."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from voin.core.types import Frames, Masks
from voin.method.pipeline import Completion


@runtime_checkable
class Method(Protocol):
    """What can be evaluated; `voin.method.pipeline.Inpainter` is one.

    Two more attributes are looked at where they exist: `content` (False: it completes the shape alone, so no pixels are
    judged) and `settings()` (what the result depends on, as JSON can hold it: other settings are evaluated anew).
    """

    name: str

    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        *,
        amodal: Masks | None = None,
        occluder: Masks | None = None,
        category: str | None = None,
    ) -> Completion:
        """Complete the object; see `voin.method.pipeline.Inpainter.__call__`."""
        ...
