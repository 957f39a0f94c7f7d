"""The shape network in the pipeline: clips of any length in overlapping groups of frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.core.resample import enlarge, reduce
from voin.core.types import Flows, Frames, Masks
from voin.method.cores import side_by_side
from voin.method.frames import cut_groups
from voin.method.shape.background import find_static_background, remove_static_background
from voin.method.shape.evidence import Evidence, gather_evidence
from voin.method.shape.network import ShapeNetwork
from voin.method.shape.voting import VotedShape

# Of the most that a frame shows of the object: where less is seen, there is little that a network could complete; and
# how far from a frame that shows nothing that means that it is hidden. The first is from VOI-DAVIS training clips.
GLIMPSE, BESIDE_FRAMES = 0.1, 3

_Group = tuple[range, Int[Tensor, "b n"]]  # frames that follow each other; they, and those that they may look at


@dataclass(frozen=True)
class ShapeUse(Checked):
    """How a network is to be used; stands in its JSON file."""

    size: int | None = setting(128, "Side of the picture that the network looks at, where frames are larger.", least=1)
    # Chosen on the ten validation clips of VOI-DAVIS: surer gives better whole masks, and less of the hidden part.
    certainty: float = setting(0.6, "How sure of a pixel the network must be.", above=0, below=1)
    # Chosen on scenes of sprites that were kept back (`recipes/certainty.py`).
    behind: float = setting(0.4, "The same of one behind an occluder that is given.", above=0, below=1)


@dataclass(frozen=True)
class GroupConfig(Checked):
    """How long clips are cut into groups of frames that see each other.

    Longer groups than those of training do well: more frames have seen what is hidden.
    """

    length: int = setting(16, "Frames of a group.", least=1)
    overlap: int = setting(4, "Frames that a group shares with the next; their logits are averaged.", least=0)
    references: int = setting(2, "Further frames from outside the group that it may look at.", least=0)

    def check(self) -> None:
        """Refuse groups that never end."""
        if self.overlap >= self.length:
            raise ValueRefusal(f"overlap is {self.overlap}", f"it must be below the length, {self.length}", "use 4")


class NetworkShape:
    """Complete the mask by a network: a `Shape`.

    Args:
        network: in the state in which it is to be used (device, weights); it is put into evaluation mode.
        categories: what the network's classes are called, class 1 first; none if it is never to know the class.
        config: how clips are cut into groups.
        half: compute in bfloat16; fast where the processor has it.
        size: as in `ShapeUse`; None: frames as they are.
        certainty: likewise.
        behind: likewise; None: the same.
    """

    sha256 = ""  # of the file that the weights came from, its first digits

    def __init__(
        self,
        network: ShapeNetwork,
        categories: Sequence[str] = (),
        config: GroupConfig = GroupConfig(),
        half: bool = False,
        size: int | None = None,
        certainty: float = 0.5,
        behind: float | None = None,
    ) -> None:
        self.behind = certainty if behind is None else behind
        if not 0 < certainty < 1 or not 0 < self.behind < 1:
            raise ValueRefusal(
                f"certainty is {certainty}, and {self.behind} behind a given occluder",
                "it must lie between 0 and 1",
                "use 0.5 if both errors are alike",
            )
        if len(categories) > network.config.classes:
            raise ValueRefusal(
                f"there are {len(categories)} categories for a network of {network.config.classes} classes",
                "they must be no more",
                "give those that it was trained with",
            )
        self.network, self.categories, self.config = network.eval(), tuple(categories), config
        self.size, self.half, self.certainty = size, half, certainty
        self._voting = VotedShape()

    @torch.no_grad()
    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        allowed: Masks,
        forward: Flows,
        backward: Flows,
        category: str | None = None,
        wanted: range | None = None,
    ) -> Masks:
        """Complete the mask, as every `Shape` does; outside the `wanted` frames the visible one comes back.

        Raises:
            ValueError: h or w, or `size` where it is smaller, is no multiple of the network's `step`.
        """
        if wanted is None or len(wanted) == visible.shape[1]:
            return self._complete(frames, visible, allowed, forward, backward, category, range(visible.shape[1]))
        whole = self._complete(frames, visible, allowed, forward, backward, category, wanted)
        return torch.cat(
            [visible[:, : wanted.start], whole[:, wanted.start : wanted.stop], visible[:, wanted.stop :]], 1
        )

    def _complete(
        self,
        frames: Frames,
        visible: Masks,
        allowed: Masks,
        forward: Flows,
        backward: Flows,
        category: str | None,
        wanted: range,
    ) -> Masks:
        """Complete the mask of the wanted frames; those of others are not to be used."""
        small, seen = reduce(frames, self.size), reduce(visible, self.size)
        groups = self._groups(seen, wanted)
        evidence = None
        if self.network.config.evidence:
            scale = seen.shape[-1] / visible.shape[-1]
            ahead, back = (scale * reduce(flow, self.size) for flow in (forward, backward))
            among = torch.zeros(visible.shape[1], dtype=torch.bool, device=visible.device)
            for _, seen_too in groups:
                among[seen_too.flatten()] = True
            evidence = gather_evidence(small, seen, ahead, back, None if among.all() else among)
        logits = self._run(small, seen, category, evidence, groups)
        del evidence, small
        # Not in the paper: only what is sure enough comes to lie above 0.5, because plain background that is taken for
        # the object is painted over, and there is more of it than of the hidden part. Behind an occluder that is given
        # there is none.
        given = not (allowed > 0.5).all()
        logits = logits - _odds(self.behind if given else self.certainty)
        whole = enlarge(logits, (visible.shape[-2], visible.shape[-1])).sigmoid().to(visible)
        hidden_wholly = find_hidden_wholly(visible)
        if hidden_wholly[:, wanted.start : wanted.stop].any():
            # Not in the paper: frames that show it say by its motion where it is, even where nothing of it is seen.
            voted = self._voting(frames, visible, allowed, forward, backward)
            whole = torch.where(hidden_wholly[:, :, None, None, None], whole.maximum(voted), whole)
        whole = torch.where(allowed > 0.5, torch.maximum(whole, visible), visible)
        hidden = (whole > 0.5) & (visible <= 0.5)
        # Where the occluder is known, nothing is taken for background.
        if given or not hidden.any():
            return whole
        clips = zip(hidden[:, :, 0], frames, visible, forward, backward, strict=True)
        kept = [remove_static_background(mask, find_static_background(*clip)) for mask, *clip in clips]
        return torch.where(hidden & ~torch.stack(kept)[:, :, None], visible, whole)

    def probability(self, whole: Masks, given: bool = False) -> Masks:
        """Return how sure the network is that a pixel is the object's, of the mask that calling it gave.

        `given` says whether an occluder was given.
        """
        odds = whole / (1 - whole).clamp(min=1e-6) * math.exp(_odds(self.behind if given else self.certainty))
        return torch.where(whole < 1, odds / (1 + odds), whole)

    def _groups(self, visible: Masks, wanted: range) -> list[_Group]:
        """Cut the wanted frames into groups that follow each other, and add to each frames that it may look at."""
        length, overlap = self.config.length, self.config.overlap
        # Groups share frames with those of the parts before and after, too: what only one group says is less sure. A
        # short rest makes up a whole group with those before.
        first, stop = min(wanted.start - overlap, wanted.stop - length), wanted.stop + overlap
        groups = []
        for group in cut_groups(range(max(first, 0), min(stop, visible.shape[1])), length, overlap):
            members = torch.arange(group.start, group.stop, device=visible.device).expand(len(visible), -1)
            references = choose_references(visible, group, self.config.references)
            groups.append((group, torch.cat([members, references], dim=1)))
        return groups

    def _run(
        self, frames: Frames, visible: Masks, category: str | None, evidence: Evidence | None, groups: list[_Group]
    ) -> Masks:
        """Return the logits (b, t, 1, h, w), group by group; where groups overlap, their mean; 0 where none is."""
        known = self.categories.index(category) + 1 if category in self.categories else 0
        index = torch.full((len(frames),), known, device=frames.device)
        total = torch.zeros_like(visible, dtype=torch.float32)
        count = torch.zeros(visible.shape[1], device=visible.device)
        clips = torch.arange(len(frames), device=frames.device)[:, None]

        def look(seen: Int[Tensor, "b n"]) -> Masks:
            with torch.no_grad(), torch.autocast(frames.device.type, torch.bfloat16, enabled=self.half):
                shown = None if evidence is None else evidence[clips, seen]
                return self.network(frames[clips, seen], visible[clips, seen], index, shown)

        made = side_by_side([partial(look, seen) for _, seen in groups])
        for (group, _), logits in zip(groups, made, strict=True):
            total[:, group.start : group.stop] += logits[:, : len(group)].float()
            count[group.start : group.stop] += 1
        return total / count.clamp(min=1)[:, None, None, None]


def _odds(certainty: float) -> float:
    return math.log(certainty / (1 - certainty))


def find_hidden_wholly(visible: Masks) -> Bool[Tensor, "b t"]:
    """Find the frames in which the object is hidden wholly, or nearly so beside such a frame."""
    area = visible.sum(dim=(2, 3, 4))
    # Little alone may be an object afar.
    little = area < GLIMPSE * area.amax(dim=1, keepdim=True)
    nothing = (area == 0).float()[:, None]
    return little & (F.max_pool1d(nothing, 2 * BESIDE_FRAMES + 1, 1, BESIDE_FRAMES)[:, 0] > 0)


def choose_references(visible: Masks, group: range, number: int) -> Int[Tensor, "b n"]:
    """Choose `number` frames outside a group: from each of as many stretches of the rest that in which most is visible.

    Not in the paper: STTN takes every tenth frame; here those that show most of the object say most about it.
    """
    rest = [i for i in range(visible.shape[1]) if i not in group]
    number = min(number, len(rest))
    area = visible.sum(dim=(2, 3, 4))  # (b, t)
    edges = [len(rest) * i // max(number, 1) for i in range(number + 1)]
    chosen = [torch.zeros(len(visible), 0, dtype=torch.long, device=visible.device)]
    for start, stop in pairwise(edges):
        stretch = torch.tensor(rest[start:stop], device=visible.device)
        chosen.append(stretch[area[:, stretch].argmax(dim=1)][:, None])
    return torch.cat(chosen, dim=1)
