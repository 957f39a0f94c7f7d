"""Packs in the memory of a device, and what is chosen of them: windows are gathered without going through the CPU's."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from voin.data.packs.pack import Pack

Source = Literal["films", "cutouts", "sprites"]


@dataclass(frozen=True)
class Part:
    """A stretch of a clip of one of the packs."""

    source: Source
    index: int  # of the clip
    frames: Tensor  # of the clip; one, in photos


@dataclass(frozen=True)
class Choice:
    """What one clip of a batch is made of."""

    target: Part  # whose object it is
    background: Part | None  # a film before which the object is put; None: it stays where it was
    donor: Part | None  # of yet another video (where there are three), whose object may become the occluder
    distractor: Part | None  # what passes behind the object: another photo behind a photo, else of another video
    clear: bool  # whether nothing stands before the object
    stride: int  # of the target's frames
    label: int  # as in `Batch`
    told: bool  # whether the networks are told it


class DevicePack:
    """The clips of a pack, in a device's memory as they are; on the CPU that is the memory-mapped file."""

    def __init__(self, pack: Pack, device: torch.device) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            # Only read; on the CPU this is the file itself.
            self.data = torch.from_numpy(pack.data).to(device)
        self.size, self.shape, self.clips, self.device = pack.size, pack.shape, pack.clips, device
        self.enlarge, self.soft = pack.enlarge, pack.soft
        self.videos = tuple(clip.video for clip in pack.clips)
        self.categories = pack.categories
        # In which frames there is something of the object, (count,) on the CPU.
        self.present = [self._views(i)[1].flatten(1).any(dim=1).cpu() for i in range(len(self))]

    def __len__(self) -> int:
        return len(self.clips)

    def _views(self, index: int) -> tuple[UInt8[Tensor, "t h w 3"], UInt8[Tensor, "t h w"]]:
        clip, area = self.clips[index], self.shape[0] * self.shape[1]
        part = self.data[clip.start : clip.start + clip.count * area * 4]
        frames, masks = part[: clip.count * area * 3], part[clip.count * area * 3 :]
        return frames.view(-1, *self.shape, 3), masks.view(-1, *self.shape)

    def gather(self, clips: list[tuple[int, Tensor]]) -> tuple[UInt8[Tensor, "b t h w 3"], UInt8[Tensor, "b t h w"]]:
        """Stack frames and masks, 0 to 255, of clips, each given as its index and the indices of its frames."""
        found = [[x.index_select(0, at.to(self.device)) for x in self._views(clip)] for clip, at in clips]
        frames, masks = zip(*found, strict=True)
        return torch.stack(frames), torch.stack(masks) * (1 if self.soft else 255)

    def other(self, videos: set[str], number: float) -> int | None:
        """Draw a clip of none of these videos."""
        able = [i for i, video in enumerate(self.videos) if video not in videos]
        return able[int(number * len(able))] if able else None

    def draw_frames(
        self, clip: int, numbers: list[float], count: int, strides: tuple[int, int]
    ) -> tuple[Int[Tensor, " t"], int]:
        """Draw `count` frames of a clip, in most of which its object is, and their stride.

        Where the object is seen for a short time only, strides are smaller; a clip that is too short even for stride 1
        is played to and fro.
        """
        present, (low, high) = self.present[clip], strides
        length = len(present)
        longest = max((length - 1) // max(count - 1, 1), 1)
        stride, need = min(low + int(numbers[0] * (high - low + 1)), longest), (3 * count + 3) // 4
        while True:
            steps = torch.arange(count) * stride
            starts = torch.arange(max(length - int(steps[-1]), 1))
            at = (starts[:, None] + steps) % max(2 * length - 2, 1)  # starts t
            at = torch.minimum(at, 2 * length - 2 - at).clamp(min=0)
            seen = present[at].sum(dim=1)
            if stride == 1 or seen.max() >= need:
                break
            stride -= 1
        good = torch.nonzero(seen >= seen.max().clamp(max=need))[:, 0]
        return at[good[int(numbers[1] * len(good))]], stride


def to_unit(
    frames: UInt8[Tensor, "b t h w 3"], masks: UInt8[Tensor, "b t h w"]
) -> tuple[Float[Tensor, "b t 3 s s"], Float[Tensor, "b t 1 s s"]]:
    """Make frames (b, t, 3, h, w) and masks (b, t, 1, h, w), in [0, 1], of uint8."""
    return frames.permute(0, 1, 4, 2, 3).float() / 255, masks[:, :, None].float() / 255
