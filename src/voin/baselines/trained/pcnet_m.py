"""PCNet-M: masks completed without any annotation of whole objects (Zhan et al., CVPR 2020).

The U-Net learns *partial* completion: what another object's mask has cut out of a visible mask it gives back, and what
the other one merely touches it leaves alone. Told what lies in front, it completes what is truly hidden likewise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from voin.baselines.trained.network import check_sides
from voin.baselines.trained.pcnet import FACTOR, PcnetShape, UNet
from voin.core.config import Checked, setting
from voin.core.types import Frames, Masks
from voin.method.frames import over_frames


@dataclass(frozen=True)
class PcnetMConfig(Checked):
    """The numbers of PCNet-M."""

    channels: int = setting(16, "As those of `PcnetConfig`.", least=1)
    classes: int = setting(65, "Categories that it can be told, besides 0 for an object.", least=0)


SMALL = PcnetMConfig()
PAPER = PcnetMConfig(channels=32)


class PcnetM(UNet):
    """The U-Net, of two masks: it sees no colours, as published."""

    def __init__(self, config: PcnetMConfig = SMALL) -> None:
        super().__init__(2, config.channels)
        self.config = config

    def forward(self, visible: Masks, eraser: Masks, category: Int[Tensor, " b"]) -> Masks:
        """Return logits of the mask that the eraser has cut from, each frame by itself.

        Args:
            visible: 0 or 1.
            eraser: 0 or 1: what may lie in front of the object.
            category: as for `Pcnet`.

        Raises:
            ValueError: height or width is no multiple of 16.
        """
        check_sides(visible, FACTOR)
        told = self.tell(visible, category, self.config.classes)
        return over_frames(self.picture, torch.cat([told, eraser], dim=2))


class PcnetMShape(PcnetShape):
    """PCNet-M in the pipeline: a `Shape`. Where the occluder is not known, all that is not the object may be it."""

    def logits(self, frames: Frames, visible: Masks, allowed: Masks, category: Int[Tensor, " b"]) -> Masks:  # noqa: D102
        del frames
        return self.network(visible, (allowed > 0.5).to(visible) * (1 - visible), category)
