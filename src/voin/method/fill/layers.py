"""The generator's building block: temporal shifts and the occlusion-aware gated convolution (paper 3.3.1, Figure 4).

A shift moves some channels to other frames, so that a 2D convolution sees several of them. A gate, told by masks what
is hidden, what is the object and what is background, says at each place how much of the result counts.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from voin.method.frames import shift_frames, shift_part

Features = Float[Tensor, "b t c h w"]
Frame = Float[Tensor, "n _ _ _"]

_PART = 2**20  # numbers that a layer works on at a time


def temporal_shift(
    features: Features, shifts: tuple[int, ...], share: float, part: range | None = None
) -> Float[Tensor, "b n c h w"]:
    """Move some channels to later frames, as many to earlier ones, and leave the others where they are.

    Each distance d of `shifts`, in frames, has two groups of channels: the first comes from frame t - d, the second
    from t + d. What would come from outside the clip is 0. The groups follow each other in the order of `shifts`.
    `share` of all channels moves; all groups have the same size, rounded down. Only `part` of the frames comes back;
    None: all.
    """
    size = group_size(int(features.shape[2]), shifts, share)
    if size == 0:
        return features if part is None else features[:, part.start : part.stop]
    # Channels last: the groups are put together without a change of layout.
    volume = features.permute(0, 1, 3, 4, 2)
    # Parted by channels first: the gradient of a slice is as large as what it is cut from.
    moves = [move for frames in shifts for move in (frames, -frames)]
    *moving, still = volume.split([size] * len(moves) + [volume.shape[-1] - len(moves) * size], dim=-1)
    if part is None:
        groups = [shift_frames(group, move) for group, move in zip(moving, moves, strict=True)]
    else:
        groups = [shift_part(group, move, part) for group, move in zip(moving, moves, strict=True)]
        still = still[:, part.start : part.stop]
    return torch.cat([*groups, still], dim=-1).permute(0, 1, 4, 2, 3)


def group_size(channels: int, shifts: tuple[int, ...], share: float) -> int:
    """Return how many channels move by each distance in each direction."""
    return int(channels * share / (2 * len(shifts))) if shifts else 0


class GatedShift(nn.Module):
    """Occlusion-aware gated temporal-shift convolution (paper 3.3.1, eq. 3-5).

    Where size and channels stay as they are, the result is added to the input: a frame keeps what it knew, whatever the
    shift took away (the residual shift of Lin et al., TSM, ICCV 2019). For the numbers see `GeneratorConfig`; a stride
    of 2 halves height and width.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        shifts: tuple[int, ...],
        share: float,
        slope: float,
        gating: bool,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.shifts, self.share, self.slope = shifts, share, slope
        self.residual = inputs == outputs and stride == 1
        self.content = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation)
        self.gate = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation)
        self.guide = nn.Conv2d(2, outputs, 3, stride, dilation, dilation, bias=False) if gating else None
        for layer in (self.content, self.gate, self.guide):
            if layer is not None:
                nn.init.kaiming_normal_(layer.weight, a=slope, nonlinearity="leaky_relu")
        for layer in (self.content, self.gate):
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def forward(
        self, features: Float[Tensor, "b t c h w"], masks: Float[Tensor, "b t 2 h w"]
    ) -> Float[Tensor, "b t c2 h2 w2"]:
        """Convolve over space and, by shifts, over time; `masks` are what is occluded, and the whole object."""
        if torch.is_grad_enabled() or torch.jit.is_tracing():  # pyright: ignore[reportPrivateImportUsage]
            shifted = temporal_shift(features, self.shifts, self.share)
            given = (shifted.flatten(0, 1), features.flatten(0, 1), masks.flatten(0, 1))
            return self._convolve(*given).unflatten(0, (features.shape[0], -1))
        # A few frames at a time stay in the processor's cache, and take less memory.
        (b, t), result = features.shape[:2], None
        count = max(_PART // features[:, 0].numel(), 1)
        for start in range(0, t, count):
            part = range(start, min(start + count, t))
            shifted = temporal_shift(features, self.shifts, self.share, part)
            given = (shifted, features[:, start : part.stop], masks[:, start : part.stop])
            made = self._convolve(*(x.flatten(0, 1) for x in given)).unflatten(0, (b, -1))
            if result is None:
                # Channels last, too.
                _, _, c, h, w = made.shape
                result = made.new_empty(b, t, h, w, c).permute(0, 1, 4, 2, 3)
            result[:, start : part.stop] = made
        assert result is not None
        return result

    def _convolve(self, shifted: Frame, features: Frame, masks: Frame) -> Frame:
        # Paper 3.3.1, eq. 4: features of several frames.
        content = F.leaky_relu_(self.content(shifted), self.slope)
        # Paper 3.3.1, eq. 3: the gate sees this frame's features and the masks.
        gate = self.gate(features)
        if self.guide is not None:
            gate = gate.add_(self.guide(masks))
        # Paper 3.3.1, eq. 5.
        result = gate.sigmoid_() * content
        return result.add_(features) if self.residual else result
