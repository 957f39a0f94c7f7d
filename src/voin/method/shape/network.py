"""Shape completion (paper 3.1, eq. 1, 2, 6; Table 2): the whole object's mask from its visible part.

A convolutional encoder makes a coarse grid of every frame; transformer layers let the patches of all frames look at
each other, so that what is hidden here is found where it was seen; a frame-level decoder brings the grid back to size,
and fusion convolutions join it with what the object's class says of its shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.core.types import Frames, Masks
from voin.method.frames import Layers
from voin.method.shape.attention import TransformerLayer
from voin.method.shape.evidence import CHANNELS, Evidence

Maps = Float[Tensor, "n c h w"]


@dataclass(frozen=True)
class ShapeConfig(Checked):
    """The shape network."""

    channels: tuple[int, ...] = setting(
        (24, 48, 96), "Channels of the encoder's levels, finest first; each halves the size.", least=1
    )
    depth: int = setting(4, "Layers of the transformer.", least=1)
    patches: tuple[tuple[int, int], ...] = setting(
        ((2, 2), (4, 4), (8, 8)), "(h, w) of each head's patches, in cells of the coarsest level; one head each."
    )
    frequencies: int = setting(4, "Octaves of the position code on the coarsest level.", least=1)
    prior: int = setting(16, "Channels of the class embedding.", least=1)
    classes: int = setting(65, "How many classes there are, besides 0 for an unknown one.", least=1)
    semantics: bool = setting(True, 'Tell the network the class (Table 2, "S").')
    temporal: bool = setting(True, 'Let frames see each other; else a U-Net on single images (Table 2, "Image-based").')
    evidence: bool = setting(False, "Show the network what tells which things lie in front (not in the paper).")

    def check(self) -> None:
        """Refuse channels that the heads cannot share out among themselves."""
        if not self.channels:
            raise ValueRefusal(f"channels is {self.channels}", "it must hold at least one number", "use 24,48,96")
        if not self.patches or min(side for patch in self.patches for side in patch) < 1:
            raise ValueRefusal(
                f"patches is {self.patches}", "it must hold sizes (h, w) of at least 1", "use [[2,2],[4,4]]"
            )
        if self.channels[-1] % len(self.patches):
            raise ValueRefusal(
                f"channels ends with {self.channels[-1]} for {len(self.patches)} heads",
                "it must be a multiple of their number",
                f"use {-(-self.channels[-1] // len(self.patches)) * len(self.patches)}",
            )

    @property
    def step(self) -> int:
        """Pixels in a cell of the coarsest level; pictures must be multiples of it."""
        return 2 ** len(self.channels)


SMALL = ShapeConfig(evidence=True)
# The encoder, the depth and the four heads of STTN: from the whole frame, to which patches that are larger shrink, to
# small ones; their sizes divide crops of 320x180 (80x45 cells), as in training, and frames of 384x216 (96x54 cells).
PAPER = ShapeConfig(channels=(64, 256), depth=8, patches=((54, 96), (9, 16), (9, 8), (3, 8)), frequencies=6, prior=64)


class ShapeNetwork(nn.Module):
    """Predict the logits of the amodal mask."""

    runtime: Layers | None = None  # what computes in torch's place

    def __init__(self, config: ShapeConfig = SMALL) -> None:
        super().__init__()
        self.config = config
        widths = config.channels
        sources = (4, *widths[:-1])
        self.encoder = nn.ModuleList(_Down(source, width) for source, width in zip(sources, widths, strict=True))
        self.position = nn.Conv2d(4 * config.frequencies, widths[-1], 1)
        self.layers = nn.ModuleList(
            TransformerLayer(widths[-1], config.patches if config.temporal else ()) for _ in range(config.depth)
        )
        self.decoder = nn.ModuleList(_Up(widths[i], widths[i - 1]) for i in reversed(range(1, len(widths))))
        joined = widths[0]
        if config.semantics:
            self.embedding = nn.Embedding(config.classes + 1, config.prior)
            self.hint = nn.Conv2d(config.prior, widths[-1], 1)
            joined += config.prior
        self.fusion = nn.Sequential(
            *(nn.Conv2d(joined, widths[0], 3, padding=1), nn.GELU()),
            # Four logits a cell of half the size: one for each of its pixels.
            nn.Conv2d(widths[0], 4, 3, padding=1),
        )
        if config.evidence:
            self.evidence = nn.Sequential(
                *(nn.Conv2d(len(CHANNELS), widths[0], 3, padding=1), nn.GELU()),
                nn.Conv2d(widths[0], widths[0], 3, padding=1),
            )
            # Untrained, it adds nothing: training goes on from a network that has seen no evidence.
            for weight in self.evidence[-1].parameters():
                nn.init.zeros_(weight)

    def forward(
        self, frames: Frames, visible: Masks, category: Int[Tensor, " b"], evidence: Evidence | None = None
    ) -> Masks:
        """Complete the mask in all frames at once; the order of the frames plays no part.

        Args:
            frames: (b, t, 3, h, w) in [0, 1]; what hides the object is seen too, and may tell where it goes on.
            visible: (b, t, 1, h, w) in [0, 1].
            category: (b,), 1 to `classes`; 0 where it is unknown.
            evidence: (b, t, e, h / 2, w / 2) from `gather_evidence`, for a network whose config asks for it.

        Returns:
            Logits (b, t, 1, h, w); above 0 is object.

        Raises:
            ValueError: h or w is no multiple of the config's `step`.
        """
        step = self.config.step
        for name, size in zip("hw", frames.shape[-2:], strict=True):
            if size % step:
                what, must = f"frames have {name} = {size}", f"it must be a multiple of {step}"
                raise ValueRefusal(what, must, f"pad or resize to {-(-size // step) * step}")
        given = (frames, visible, category) if evidence is None else (frames, visible, category, evidence)
        return (self.runtime or self.compute)(*given)

    def compute(
        self, frames: Frames, visible: Masks, category: Int[Tensor, " b"], evidence: Evidence | None = None
    ) -> Masks:
        """Do what `forward` does, without checking."""
        b = frames.shape[0]
        x = torch.cat([2 * frames - 1, visible], dim=2).flatten(0, 1)
        skips: list[Tensor] = []
        for level in self.encoder:
            x = level(x)
            if self.config.evidence and not skips:
                assert evidence is not None
                x = x + self.evidence(evidence.flatten(0, 1))
            skips.append(x)
        # Not in the paper: cells know where they are, because a hidden one has nothing else to find its like by.
        x = x + self.position(position_code(x, self.config.frequencies))
        prior = self._prior(visible, category)
        if prior is not None:
            # Not in the paper: it enters here too, because the fusion convolutions do not reach into large holes.
            x = x + self.hint(F.avg_pool2d(prior, self.config.step // 2))
        x = x.unflatten(0, (b, -1))
        for layer in self.layers:  # eq. 1, 2
            x = layer(x)
        x = x.flatten(0, 1)
        # Not in the paper: skips, because they keep the outline of the visible part sharp at little cost.
        for level, skip in zip(self.decoder, skips[-2::-1], strict=True):
            x = level(x, skip)
        if prior is not None:
            x = torch.cat([x, prior.to(x)], dim=1)
        return F.pixel_shuffle(self.fusion(x), 2).unflatten(0, (b, -1))

    def _prior(self, visible: Masks, category: Int[Tensor, " b"]) -> Float[Tensor, "n c y x"] | None:
        """Multiply the class embedding by the visible mask (paper 3.1), at half the size, as all fusion is here."""
        if not self.config.semantics:
            return None
        half = F.avg_pool2d(visible.flatten(0, 1), 2)
        classes = self.embedding(category).repeat_interleave(visible.shape[1], dim=0)  # (b t) c
        return classes[..., None, None] * half


class _Down(nn.Sequential):
    def __init__(self, source: int, width: int) -> None:
        super().__init__(
            *(nn.Conv2d(source, width, 3, stride=2, padding=1), nn.GELU()),
            *(nn.Conv2d(width, width, 3, padding=1), nn.GELU()),
        )


class _Up(nn.Module):
    """Double the size and add what the encoder had there."""

    def __init__(self, source: int, width: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(source, width, 1)
        self.mix = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Maps, skip: Float[Tensor, "n d y x"]) -> Float[Tensor, "n d y x"]:
        larger = F.interpolate(self.narrow(x), scale_factor=2, mode="bilinear")
        return F.gelu(self.mix(larger + skip))


def position_code(like: Maps, frequencies: int) -> Float[Tensor, "1 d h w"]:
    """Return the sines and cosines of each cell's place in `like`, from half a wave on, octave by octave."""
    h, w = like.shape[-2:]
    waves = torch.pi * 2.0 ** torch.arange(frequencies, device=like.device)
    y, x = (((torch.arange(n, device=like.device) + 0.5) / n)[None] * waves[:, None] for n in (h, w))  # (f, n)
    y, x = y[:, :, None].expand(-1, h, w), x[:, None, :].expand(-1, h, w)
    return torch.cat([y.sin(), y.cos(), x.sin(), x.cos()])[None].to(like)
