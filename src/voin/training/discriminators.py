"""What the generator is trained against: two discriminators (paper 3.3.2; Figures 3 and 5; Table 4).

One judges each patch of space and time as real or made (T-PatchGAN). The other names the object's category, or says
that it was made, and attends to the frames and places that tell most. Neither is needed once training is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.core.types import Frames, Masks

Volume = Float[Tensor, "b c t h w"]
_SLOPE = 0.2  # of all activations below zero, as in SN-PatchGAN


@dataclass(frozen=True)
class TemporalPatchConfig(Checked):
    """The numbers of the patch discriminator."""

    channels: tuple[int, ...] = setting(
        (24, 48, 96, 96, 1), "Of its layers, each of which halves the sides; the last are a patch's scores.", least=1
    )
    guided: bool = setting(True, "It sees the amodal mask too, and so knows which object is in question.")

    def check(self) -> None:  # noqa: D102
        if len(self.channels) < 2:
            raise ValueRefusal(
                f"patch_discriminator.channels is {self.channels}", "it must be at least 2 numbers", "name more layers"
            )

    @property
    def least_side(self) -> int:
        """The least height and width: what the last layer makes one patch of."""
        return 2 ** len(self.channels)


PATCH_SMALL = TemporalPatchConfig()
# As T-PatchGAN (Chang et al., ICCV 2019): six layers; every feature of the last is a score of its own.
PATCH_PAPER = TemporalPatchConfig(channels=(64, 128, 256, 256, 256, 256), guided=False)


class TemporalPatchDiscriminator(nn.Module):
    """T-PatchGAN: 3D convolutions with spectral norm; a score for each patch, for the hinge loss (paper eq. 9, 10)."""

    def __init__(self, config: TemporalPatchConfig = PATCH_SMALL) -> None:
        super().__init__()
        self.config = config
        self.layers = _layers((4 if config.guided else 3, *config.channels))

    def forward(self, frames: Frames, amodal: Masks | None = None) -> Float[Tensor, "b t scores h2 w2"]:
        """Return scores of patches, without bounds: high is real; `amodal` is needed where `config.guided`.

        Raises:
            ValueError: the frames are too small, or the mask is absent.
        """
        volume = _volume(frames, amodal, self.config)
        for layer in self.layers[:-1]:
            volume = F.leaky_relu(layer(volume), _SLOPE)
        return rearrange(self.layers[-1](volume), "b c t h w -> b t c h w")


class SpatioTemporalAttention(nn.Module):
    """Weigh frames and places (STAM, paper Figure 5): two parallel branches, and a residual around both."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = max(channels // 8, 1)
        self.spatial = nn.Sequential(
            nn.Conv3d(channels, reduced, 1), nn.LeakyReLU(_SLOPE), nn.Conv3d(reduced, 1, 1, bias=False)
        )
        self.temporal = nn.Sequential(
            nn.Conv1d(channels, reduced, 3, padding=1), nn.LeakyReLU(_SLOPE), nn.Conv1d(reduced, 1, 1, bias=False)
        )

    def forward(self, features: Volume) -> Volume:
        """Add to the features what the weights pick out of them."""
        return features + features * self.weights(features).to(features)

    def weights(self, features: Volume) -> Float[Tensor, "b 1 t h w"]:
        """Return the weight of each place in each frame; their mean is 1, however many frames there are."""
        t, h, w = features.shape[2:]
        # Which places of a frame tell most: a softmax over the places.
        places = self.spatial(features).float().flatten(3).softmax(dim=3).unflatten(3, (h, w))
        # Which frames of the clip tell most: a softmax over the frames.
        frames = self.temporal(features.mean((3, 4))).float().softmax(dim=2)
        # Not in the paper: times their number, because weights that sum to 1 would leave nothing but the residual.
        return places * (h * w) * frames[..., None, None] * t


@dataclass(frozen=True)
class ClassConfig(Checked):
    """The numbers of the class discriminator."""

    channels: tuple[int, ...] = setting(
        (24, 48, 96, 96, 96), "Of its layers but the last, which has the classes; each halves the sides.", least=1
    )
    classes: int = setting(65, "Categories, as in `voin.data.categories`, besides 0 for an object.", least=0)
    attention: bool = setting(True, "With the spatio-temporal attention module (Table 4, STAM).")
    attend_after: int = setting(4, "The layer above which it stands, counted from 1.")
    guided: bool = setting(True, "It sees the amodal mask too, and so knows which object it is to name.")

    def check(self) -> None:  # noqa: D102
        if not 1 <= self.attend_after <= len(self.channels):
            raise ValueRefusal(
                f"class_discriminator.attend_after is {self.attend_after} for {len(self.channels) + 1} layers",
                f"it must lie in 1..{len(self.channels)}",
                "the paper has 4",
            )

    @property
    def least_side(self) -> int:
        """The least height and width: what the last layer makes one place of."""
        return 2 ** (len(self.channels) + 1)

    @property
    def fake(self) -> int:
        """The class of what was made; the last."""
        return self.classes + 1


CLASS_SMALL = ClassConfig()
# Paper 3.3.2: six layers of 3x5x5. It does not tell their channels; these are those of its other discriminator.
CLASS_PAPER = ClassConfig(channels=(64, 128, 256, 256, 256), guided=False)


class ClassDiscriminator(nn.Module):
    """The discriminator of K + 1 classes: K real ones and one of what was made (paper 3.3.2, Figure 3)."""

    def __init__(self, config: ClassConfig = CLASS_SMALL) -> None:
        super().__init__()
        self.config = config
        channels = (4 if config.guided else 3, *config.channels)
        self.layers = _layers(channels)
        # Without spectral norm: it would bound how sure of a class the network can be.
        self.classes = _convolution(channels[-1], config.fake + 1)
        self.attention = SpatioTemporalAttention(channels[config.attend_after]) if config.attention else None

    def forward(self, frames: Frames, amodal: Masks | None = None) -> Float[Tensor, "b classes"]:
        """Return logits (b, classes + 2), of the same as `TemporalPatchDiscriminator` takes.

        1..classes are the categories, as in `Batch`, and the last, `config.fake`, is what was made; 0 is never true.
        """
        volume = _volume(frames, amodal, self.config)
        for i, layer in enumerate(self.layers, start=1):
            volume = F.leaky_relu(layer(volume), _SLOPE)
            if self.attention is not None and i == self.config.attend_after:
                volume = self.attention(volume)
        return self.classes(volume).mean((2, 3, 4))


def _layers(channels: tuple[int, ...]) -> nn.ModuleList:
    return nn.ModuleList(spectral_norm(_convolution(inputs, outputs)) for inputs, outputs in pairwise(channels))


def _convolution(inputs: int, outputs: int) -> nn.Conv3d:
    """Make a layer of 3x5x5 that halves height and width, and keeps all frames."""
    layer = nn.Conv3d(inputs, outputs, (3, 5, 5), stride=(1, 2, 2), padding=(1, 2, 2))
    nn.init.kaiming_normal_(layer.weight, a=_SLOPE, nonlinearity="leaky_relu")
    nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
    return layer


def _volume(frames: Frames, amodal: Masks | None, config: TemporalPatchConfig | ClassConfig) -> Volume:
    """Put together what a discriminator sees, colours and mask in [-1, 1]."""
    for name, size in zip(("height", "width"), frames.shape[-2:], strict=True):
        if size < config.least_side:
            raise ValueRefusal(
                f"frames have a {name} of {size} pixels",
                f"it must be at least {config.least_side} for this discriminator",
                "take larger windows, or fewer channels in its config",
            )
    seen = frames
    if config.guided:
        if amodal is None:
            raise ValueRefusal(
                "amodal is None",
                "a guided discriminator must be told which object is in question",
                "give the amodal mask, or set guided to False",
            )
        seen = torch.cat([frames, amodal.to(frames)], dim=2)
    return rearrange(2 * seen - 1, "b t c h w -> b c t h w")
