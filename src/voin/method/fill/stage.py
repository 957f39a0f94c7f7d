"""The generator in the pipeline: overlapping groups of frames, each looked at around the hidden part alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.core.resample import box_around, enlarge, reduce
from voin.core.types import Frames, Masks
from voin.method.fill.colours import mix, part_hidden
from voin.method.fill.generator import BaseGenerator, Generator
from voin.method.fill.references import Cells, choose_frames
from voin.method.frames import cut_groups, over_frames
from voin.method.stages import Shown

# Pixels around the hidden part that the stage looks at, too. On four validation clips of VOI-DAVIS, 16, 24, 32, 48 and
# 64 are within 0.02 dB of the whole object.
_MARGIN = 24


@dataclass(frozen=True)
class FillUse(Checked):
    """How a network is to be used; stands in its JSON file."""

    size: int | None = setting(None, "Side of the picture that the network looks at, where frames are larger.", least=1)


@dataclass(frozen=True)
class FillGroups(Checked):
    """How long clips are cut into groups for the network."""

    frames: int = setting(16, "Frames in a group; what bounds the memory.", least=1)
    overlap: int = setting(2, "Frames that two groups share; there one fades into the other.", least=0)
    neighbours: int = setting(2, "Frames before and after the hidden ones that the network sees too.", least=0)

    def check(self) -> None:
        """Refuse groups of which three would share a frame."""
        if 2 * self.overlap >= self.frames:
            raise ValueRefusal(
                f"groups of {self.frames} frames overlap by {self.overlap}",
                "the overlap must be 0 or more and less than half a group",
                "for instance 16 and 2",
            )

    def cut(self, touched: list[bool]) -> list[tuple[range, list[float]]]:
        """Cut groups of consecutive frames, and weigh each frame in them; over all groups its weights sum to 1.

        `touched` says which frames are needed; their neighbours are added here.
        """
        near = [any(touched[max(i - self.neighbours, 0) : i + self.neighbours + 1]) for i in range(len(touched))]
        runs = [[*run] for needed, run in groupby(range(len(near)), near.__getitem__) if needed]
        groups = [group for run in runs for group in self._part(range(run[0], run[-1] + 1))]
        # A group counts less towards its ends, where it sees less of what lies around.
        weights = np.zeros((len(groups), len(near)))
        for row, group in zip(weights, groups, strict=True):
            row[group] = [min(i + 1, len(group) - i, self.overlap + 1) for i in range(len(group))]
        weights /= np.maximum(weights.sum(axis=0), 1)
        return [(group, row[group].tolist()) for row, group in zip(weights, groups, strict=True)]

    def _part(self, run: range) -> list[range]:
        """Cut a run into as few groups as can be, and these no longer than need be."""
        if len(run) <= self.frames:
            return [run]
        count = -(-(len(run) - self.overlap) // (self.frames - self.overlap))
        return cut_groups(run, -(-(len(run) + (count - 1) * self.overlap) // count), self.overlap)


class NetworkFill:
    """Fill by a trained generator, on its own device: a `Fill`.

    The `categories` are the names of its classes 1, 2, ...; all others are "an object". With `half` it computes in
    bfloat16, which is fast where the processor has it.
    """

    sha256 = ""  # of the file that the weights came from, its first digits

    def __init__(
        self,
        generator: Generator | BaseGenerator,
        categories: tuple[str, ...] = (),
        groups: FillGroups = FillGroups(),
        half: bool = False,
        size: int | None = None,
    ) -> None:
        if len(categories) > generator.config.classes:
            raise ValueRefusal(
                f"there are {len(categories)} categories for a generator of {generator.config.classes} classes",
                "there must not be more",
                "give those it was trained with",
            )
        self.generator, self.categories, self.groups, self.half = generator.eval(), categories, groups, half
        self.config, self.size = generator.config, size

    @torch.no_grad()
    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        amodal: Masks,
        confidence: Masks,
        category: str | None = None,
        around: Shown | None = None,
    ) -> Frames:
        """Fill the hidden part, as every `Fill` does; frames may have any size."""
        filled = frames.clone()
        for i in range(len(frames)):
            clip = [x[i : i + 1] for x in (frames, visible, amodal, confidence)]
            hidden, _ = part_hidden(*clip[1:])
            # Nothing is asked of the network where propagation is believed in full.
            touched = (hidden & (clip[3] < 1))[0].flatten(1).any(dim=1).tolist()
            t, row, column = (hidden & (clip[3] < 1))[0, :, 0].nonzero(as_tuple=True)
            given = clip[0][0][t, :, row, column]  # (pixels, 3)
            made, trust = torch.zeros_like(given), torch.zeros_like(given[:, :1])
            groups = self.groups.cut(touched)
            references = self._remember(clip[:2] if around is None else [around.frames, around.visible], groups)
            for part, weights in groups:
                both = self._generate([x[:, part.start : part.stop] for x in clip], category, references)
                these = ((t >= part.start) & (t < part.stop)).nonzero()[:, 0]
                place = (t[these] - part.start, slice(None), row[these], column[these])
                weight = torch.tensor(weights).to(given)[place[0], None]
                for total, result in zip((made, trust), both, strict=True):
                    total[these] += weight * result[0][place].to(given)
            filled[i][t, :, row, column] = mix(given, made, trust).clamp(0, 1)
        return filled

    def _remember(self, clip: list[Tensor], groups: list[tuple[range, list[float]]]) -> list[Cells] | None:
        """Keep what the whole clip shows of the object, if anything is to be generated."""
        if not groups or not self.config.references or isinstance(self.generator, BaseGenerator):
            return None
        place = self.generator.colours.weight.device
        chosen = choose_frames(clip[1], self.config.references)[0]
        frames, visible = (self._padded(reduce(x[:, chosen], self.size)).float().to(place) for x in clip)
        with torch.autocast(place.type, torch.bfloat16, enabled=self.half):
            return self.generator.remember(frames, visible)

    def _padded(self, clip: Tensor) -> Tensor:
        """Pad frames to what the network takes: colours repeat their border, masks are 0."""
        h, w = clip.shape[-2:]
        pad = (0, -w % self.config.factor, 0, -h % self.config.factor)
        if not any(pad):
            return clip
        return over_frames(lambda x: F.pad(x, pad, mode="replicate"), clip) if clip.shape[2] == 3 else F.pad(clip, pad)

    def _generate(
        self, clip: list[Tensor], category: str | None, references: list[Cells] | None
    ) -> tuple[Tensor, Tensor]:
        """Run the network on a group, at `size`, padded to what it takes."""
        full, (occluded, absent) = (clip[0].shape[-2], clip[0].shape[-1]), part_hidden(*clip[1:])
        # What is missing has the occluder's colours, and what is not hidden no confidence: they must not count.
        shown = (~absent, None, None, occluded)
        clip = [reduce(x, self.size, inside) for x, inside in zip(clip, shown, strict=True)]
        canvas = [torch.zeros_like(clip[0]), torch.zeros_like(clip[3])]
        hidden, missing = part_hidden(*clip[1:])
        factor = self.config.factor
        # What lies farther from the hidden part tells little of it, and takes half of the time.
        rows, columns = box_around(hidden, _MARGIN, factor)
        parts = [x[..., rows, columns] for x in clip]
        h, w = parts[0].shape[-2:]
        padded = [self._padded(x) for x in parts]
        place = self.generator.colours.weight.device
        index = torch.tensor([self.categories.index(category) + 1 if category in self.categories else 0])
        with torch.autocast(place.type, torch.bfloat16, enabled=self.half):
            both = self.generator(*(x.float().to(place) for x in padded), index.to(place), references)
        for whole, part in zip(canvas, both, strict=True):
            whole[..., rows, columns] = part[..., :h, :w].to(whole)
        # Between hidden pixels alone, so that no background comes in at the object's outline.
        colours, weight = enlarge(canvas[0], full, hidden), enlarge(canvas[1], full, hidden & ~missing)
        return colours, torch.where(absent, 0.0, weight)
