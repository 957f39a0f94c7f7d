"""Flow for training: what estimators find where the object is partly hidden, and what they find where it is not."""

from __future__ import annotations

import io
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Float16
from torch import Tensor

from voin.core.files import write_whole
from voin.core.types import Flows, Frames, Masks
from voin.core.warp import cycle_error
from voin.method.flow.paint_over import paint_over
from voin.method.flow.smooth import SmoothFlow
from voin.method.motion import Motion

# Forward-backward error up to which flow of the unoccluded frames is taken for true (pixels, windows of 128 pixels).
_TRUSTED = 1.0


@dataclass(frozen=True)
class HiddenMotion:
    """Both directions at once: the second half of the clips is the first half in reverse order; flow in pixels."""

    frames: Frames
    visible: Masks
    amodal: Masks
    initial: Flows  # as estimated
    prior: Flows  # completed smoothly


@torch.no_grad()
def find_hidden_motion(
    frames: Frames,
    visible: Masks,
    amodal: Masks,
    motion: Motion,
    prior: SmoothFlow,
    paint: bool = True,
    given: Bool[Tensor, " b"] | None = None,
) -> HiddenMotion:
    """Do what the pipeline does before flow is completed.

    Masks are 0 or 1; `paint` paints the hidden part over before motion is estimated, and `given` says whose amodal
    masks are known, not completed.
    """
    seen = frames
    if paint:
        flat = (rearrange(x, "b t c h w -> (b t) c h w") for x in (frames, visible, amodal))
        seen = rearrange(paint_over(*flat), "(b t) c h w -> b t c h w", b=len(frames))
    forward, backward = motion(seen)
    completed = prior(frames, forward, backward, visible, amodal, given)
    clips = both_ways(frames), both_ways(visible), both_ways(amodal)
    return HiddenMotion(*clips, _one_after_the_other(forward, backward), _one_after_the_other(*completed))


@torch.no_grad()
def find_true_motion(
    truth: Frames, amodal: Masks, forward: Flows, backward: Flows, known: Tensor, motion: Motion
) -> tuple[Float[Tensor, "2*b pairs 2 h w"], Float[Tensor, "2*b pairs 1 h w"]]:
    """Return the flow that completed flow is compared with, both ways, and where in the object it is trusted.

    `forward` and `backward` are known in the clips that are `known`; that of the others is estimated in `truth`.
    """
    flows = _one_after_the_other(forward, backward)
    trust = both_ways(amodal)[:, :-1].clone()
    guess = ~known
    if guess.any():
        ahead, back = motion(truth[guess])
        found, returning = _one_after_the_other(ahead, back), _one_after_the_other(back, ahead)
        error = cycle_error(*(rearrange(x, "b t c h w -> (b t) c h w") for x in (found, returning)))
        returned = error < _TRUSTED * truth.shape[-1] / 128
        both = guess.repeat(2)
        flows[both] = found
        trust[both] *= rearrange(returned.to(trust), "(b t) 1 h w -> b t 1 h w", b=len(found))
    return flows, trust


def _one_after_the_other(forward: Flows, backward: Flows) -> Float[Tensor, "2*b pairs 2 h w"]:
    """Return the flow of the clips, then that of the clips in reverse order."""
    return torch.cat([forward, backward.flip(1)])


def both_ways(clips: Float[Tensor, "b t c h w"]) -> Float[Tensor, "2*b t c h w"]:
    """Add each clip in reverse order."""
    return torch.cat([clips, clips.flip(1)])


class KeptMotion:
    """A `Motion` whose flow is kept in a folder, a file of fp16 a clip, so that runs on the same batches find it there.

    The checksum in a file's name is of the clip's pixels and of `name`, which says which estimator `motion` is.
    """

    def __init__(self, motion: Motion, folder: Path, name: str) -> None:
        self.motion, self.folder, self.name = motion, folder, name

    def __call__(self, frames: Frames) -> tuple[Flows, Flows]:
        """Estimate `forward` and `backward`, as every `Motion` does, where they are not kept."""
        both = torch.stack([self._flows(clip[None]) for clip in frames], dim=1)  # way b t-1 2 h w
        return both[0].to(frames), both[1].to(frames)

    def _flows(self, clip: Frames) -> Float16[Tensor, "way pairs 2 h w"]:
        pixels = clip.cpu().numpy()
        checksum = sha256(f"{self.name} {pixels.shape}".encode() + pixels.tobytes()).hexdigest()[:32]
        path = self.folder / f"{checksum}.npy"
        try:
            return torch.from_numpy(np.load(path))
        except (OSError, ValueError, EOFError):  # not there, or not whole
            flows = torch.stack(self.motion(clip))[:, 0].half().cpu()
        data = io.BytesIO()
        np.save(data, flows.numpy())
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, data.getvalue())
        return flows
