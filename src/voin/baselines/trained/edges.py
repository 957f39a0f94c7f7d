"""The edge network of FGVC: EdgeConnect's edge generator (Nazeri et al. 2019), on the edges of flow.

It continues edges of the flow's magnitude into the hole, so that FGVC knows where motion changes there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from voin.baselines.trained.network import check_sides
from voin.core.config import Checked, setting
from voin.core.types import Flows, Masks
from voin.core.warp import length
from voin.method.frames import over_frames

Maps = Float[Tensor, "n c h w"]
# Of Canny, on pictures in 0..255: the spread of the smoothing, and both thresholds.
_SIGMA, _LOW, _HIGH = 2.0, 25.5, 51.0


@dataclass(frozen=True)
class EdgesConfig(Checked):
    """The numbers of the edge network."""

    channels: tuple[int, int, int] = setting((16, 32, 64), "Of the encoder's layers.", least=1)
    blocks: int = setting(4, "Residual blocks in the middle.", least=1)


SMALL = EdgesConfig()
PAPER = EdgesConfig((64, 128, 256), 8)


class Residual(nn.Module):
    """A dilated and a plain convolution, added to what comes in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *(nn.ReflectionPad2d(2), spectral_norm(nn.Conv2d(channels, channels, 3, dilation=2, bias=False))),
            *(nn.InstanceNorm2d(channels), nn.ReLU(), nn.ReflectionPad2d(1)),
            *(spectral_norm(nn.Conv2d(channels, channels, 3, bias=False)), nn.InstanceNorm2d(channels)),
        )

    def forward(self, x: Maps) -> Maps:
        """Add the branch."""
        return x + self.branch(x)


class EdgeGenerator(nn.Module):
    """Encoder, residual blocks, decoder; each frame by itself."""

    def __init__(self, config: EdgesConfig = SMALL) -> None:
        super().__init__()
        self.config = config
        a, b, c = config.channels

        def normed(layer: nn.Module, channels: int) -> list[nn.Module]:
            return [spectral_norm(layer), nn.InstanceNorm2d(channels), nn.ReLU()]

        self.layers = nn.Sequential(
            # The flow's magnitude, its edges, the hole and, as the paper adds it, the visible mask.
            *(nn.ReflectionPad2d(3), *normed(nn.Conv2d(4, a, 7, bias=False), a)),
            *normed(nn.Conv2d(a, b, 4, 2, 1, bias=False), b),
            *normed(nn.Conv2d(b, c, 4, 2, 1, bias=False), c),
            *(Residual(c) for _ in range(config.blocks)),
            *normed(nn.ConvTranspose2d(c, b, 4, 2, 1, bias=False), b),
            *normed(nn.ConvTranspose2d(b, a, 4, 2, 1, bias=False), a),
            *(nn.ReflectionPad2d(3), nn.Conv2d(a, 1, 7)),
        )

    def forward(self, grey: Masks, edges: Masks, visible: Masks, hole: Masks) -> Masks:
        """Return how likely each pixel is an edge, as logits (b, t, 1, h, w).

        Args:
            grey: the flow's magnitude over its largest outside the hole; not looked at inside.
            edges: 0 or 1; not looked at inside the hole.
            visible: 0 or 1.
            hole: 0 or 1: where flow is not known.

        Raises:
            ValueError: height or width is no multiple of 4.
        """
        check_sides(grey, 4)
        known = 1 - hole
        return over_frames(self.layers, torch.cat([grey * known, edges * known, hole, visible], dim=2))


class EdgeDiscriminator(nn.Module):
    """PatchGAN of 70x70 pixels on the magnitude and its edges; what its layers see is compared, too."""

    def __init__(self, channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        pairs = pairwise((2, *channels, 1))
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(inputs, outputs, 4, 2 if i < 3 else 1, 1))
            for i, (inputs, outputs) in enumerate(pairs)
        )

    def forward(self, grey: Masks, edges: Masks) -> list[Float[Tensor, "n _ _ _"]]:
        """Return the features of all layers; the last are logits of patches: high is real."""
        x = rearrange(torch.cat([grey, edges], dim=2), "b t c h w -> (b t) c h w")
        found = []
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), 0.2)
            found.append(x)
        return [*found, self.layers[-1](x)]


def picture_flow(flow: Flows, hole: Masks) -> tuple[Masks, Masks]:
    """Return the flow's magnitude over its largest outside the hole, in [0, 1], and the edges of it (Canny)."""
    size = rearrange(length(rearrange(flow, "b t c h w -> (b t) c h w")), "(b t) c h w -> b t c h w", b=len(flow))
    most = (size * (1 - hole)).flatten(2).amax(dim=2)[..., None, None, None]
    grey = (size / most.clamp(min=1e-6)).clamp(max=1)
    pictures = (grey * 255).round().byte().flatten(0, 2).cpu().numpy()
    edges = [
        cv2.Canny(cv2.GaussianBlur(picture, (0, 0), _SIGMA), _LOW, _HIGH, L2gradient=True) > 0 for picture in pictures
    ]
    return grey, torch.from_numpy(np.array(edges)).to(grey).view(grey.shape)
