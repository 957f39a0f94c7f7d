"""No completion: the whole object is what is seen of it."""

from __future__ import annotations

import torch

from voin.baselines.shape_only import ShapeOnly


class VisibleShape(ShapeOnly):
    """Completes nothing: the whole object is what is seen of it."""

    name = "visible"

    def _whole(self, visible: torch.Tensor) -> torch.Tensor:
        return visible
