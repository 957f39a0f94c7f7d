"""PCNet: self-supervised scene de-occlusion (Zhan et al., CVPR 2020): the image-based row of the paper's Table 2.

It is PCNet's U-Net, trained on whole masks as that row is: each frame by itself, visible mask in, whole mask out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from voin.baselines.trained.network import check_sides
from voin.core.config import Checked, setting
from voin.core.resample import enlarge, reduce
from voin.core.types import Flows, Frames, Masks
from voin.method.frames import over_frames

FACTOR = 16  # sides are multiples of it
_GROUPS = 8  # of the norms


@dataclass(frozen=True)
class PcnetConfig(Checked):
    """The numbers of PCNet's U-Net."""

    channels: int = setting(
        16,
        "Of the finest grid; the next three have twice as many each, and the last as many as the one before.",
        least=1,
    )
    colours: bool = setting(True, "It sees the frame, too; it is not told what is in front.")
    classes: int = setting(65, "Categories that it can be told, besides 0 for an object.", least=0)


SMALL = PcnetConfig()
PAPER = PcnetConfig(channels=32)


def _double(inputs: int, outputs: int) -> nn.Sequential:
    """Convolve twice. Not as published: norms are over the channels of a frame, so that clips of a batch do not mix."""
    layers: list[nn.Module] = []
    for first in (inputs, outputs):
        convolution = nn.Conv2d(first, outputs, 3, padding=1, bias=False)
        layers += [convolution, nn.GroupNorm(gcd(_GROUPS, outputs), outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """The U-Net of PCNet's masks."""

    def __init__(self, inputs: int, c: int) -> None:
        super().__init__()
        self.first = _double(inputs, c)
        self.down = nn.ModuleList(
            [_double(c, 2 * c), _double(2 * c, 4 * c), _double(4 * c, 8 * c), _double(8 * c, 8 * c)]
        )
        self.up = nn.ModuleList([_double(16 * c, 4 * c), _double(8 * c, 2 * c), _double(4 * c, c), _double(2 * c, c)])
        self.classes = nn.Conv2d(c, 2, 1)

    def picture(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Return the logits of pictures."""
        grids = [self.first(x)]
        for layer in self.down:
            grids.append(layer(F.max_pool2d(grids[-1], 2)))
        x = grids.pop()
        for layer in self.up:
            x = layer(torch.cat([F.interpolate(x, scale_factor=2.0, mode="bilinear"), grids.pop()], dim=1))
        # Two classes; their difference is the logit of the object.
        background, whole = self.classes(x).split(1, dim=1)
        return whole - background

    @staticmethod
    def tell(visible: Masks, category: Int[Tensor, " b"], classes: int) -> Masks:
        """Tell the category by the mask's value."""
        # PCNet multiplies the mask by the number of the class; here it stays between a half and 1.
        told = 0.5 + category.to(visible) / max(2 * classes, 1)
        return visible * told[:, None, None, None, None]


class Pcnet(UNet):
    """The U-Net of a mask and a frame."""

    def __init__(self, config: PcnetConfig = SMALL) -> None:
        super().__init__(1 + 3 * config.colours, config.channels)
        self.config = config

    def forward(self, frames: Frames, visible: Masks, category: Int[Tensor, " b"]) -> Masks:
        """Return logits of the whole object (b, t, 1, h, w), each frame by itself.

        Args:
            frames: (b, t, 3, h, w) in [0, 1].
            visible: (b, t, 1, h, w), 0 or 1.
            category: (b,) in 0..classes; 0 is "an object".

        Raises:
            ValueError: height or width is no multiple of 16.
        """
        check_sides(frames, FACTOR)
        told = self.tell(visible, category, self.config.classes)
        return over_frames(self.picture, torch.cat([told, *([2 * frames - 1] if self.config.colours else [])], dim=2))


class PcnetShape:
    """PCNet in the pipeline: a `Shape`.

    Args:
        network: the U-Net.
        size: side of the pictures that it looks at, where frames are larger; None takes any.
        half: compute in bfloat16.
        categories: names of its classes, class 1 first.
    """

    def __init__(self, network: Any, size: int | None, half: bool, categories: Sequence[str] = ()) -> None:
        self.network, self.size, self.half = network, size, half
        self.categories = tuple(categories)

    @torch.no_grad()
    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        allowed: Masks,
        forward: Flows,
        backward: Flows,
        category: str | None,
        wanted: range | None = None,
    ) -> Masks:
        """Complete the mask, as every `Shape` does; motion is not looked at, nor are other frames."""
        del forward, backward, wanted
        known = self.categories.index(category) + 1 if category in self.categories else 0
        index = torch.full((len(frames),), known, device=frames.device)
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=self.half):
            seen = (reduce(visible, self.size) > 0.5).to(visible)
            h, w = seen.shape[-2:]
            pad = (0, -w % FACTOR, 0, -h % FACTOR)
            small = over_frames(lambda x: F.pad(x, pad, mode="replicate"), reduce(frames, self.size))
            shown, possible = (F.pad(x, pad) for x in (seen, reduce(allowed, self.size)))
            logits = self.logits(small, shown, possible, index).float()[..., :h, :w]
        whole = enlarge(logits, (visible.shape[-2], visible.shape[-1])).sigmoid()
        return torch.where(allowed > 0.5, torch.maximum(whole, visible), visible)

    def logits(self, frames: Frames, visible: Masks, allowed: Masks, category: Int[Tensor, " b"]) -> Masks:
        """Run the network, at its size."""
        del allowed
        return self.network(frames, visible, category)
