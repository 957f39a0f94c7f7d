"""The flow network in the pipeline: groups of pairs, each looked at around the object alone, on top of the prior."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.core.resample import box_around, enlarge, reduce
from voin.core.system import trim_heap
from voin.core.types import Flows, Frames, Masks
from voin.method.cores import side_by_side
from voin.method.flow.network import FlowNetwork
from voin.method.flow.smooth import SmoothFlow, select_wanted
from voin.method.stages import Given

Regions = Bool[Tensor, "b t 1 h w"]

# Pixels around the object that the network looks at, too.
_MARGIN = 12
_FRAMES = 8  # that are worked on at a time at their full size: little memory, and it is taken from the heap


@dataclass(frozen=True)
class FlowUse(Checked):
    """How a network is to be used; stands in its JSON file."""

    size: int | None = setting(128, "Side of the picture that the network looks at, where frames are larger.", least=1)
    # Chosen on four validation clips of VOI-DAVIS: where flow is smooth, the network's own noise is of this size.
    least: float = setting(
        0.12, "What the network adds to the prior is shortened by so much.", unit="pixels of a window of 256", least=0
    )


class NetworkFlow:
    """Complete flow by a trained network, on its own device, from a smooth `prior` on: a `Flow`.

    So many pairs are worked on at a time, besides those around them that still count: this bounds the memory, and does
    not change the result. With `half` it computes in bfloat16, which is fast where the processor has it.
    """

    sha256 = ""  # of the file that the weights came from, its first digits

    def __init__(
        self,
        network: FlowNetwork,
        prior: SmoothFlow | None = None,
        group_pairs: int = 48,
        half: bool = False,
        size: int | None = None,
        least: float = 0.0,
    ) -> None:
        if group_pairs < 1:
            raise ValueRefusal(
                f"group_pairs is {group_pairs}", "it must be at least 1", "use 48, or fewer to save memory"
            )
        self.network, self.prior, self.group_pairs = network.eval(), prior or SmoothFlow(), group_pairs
        self.config, self.size, self.half, self.least = network.config, size, half, least

    @torch.no_grad()
    def __call__(
        self,
        frames: Frames,
        forward: Flows,
        backward: Flows,
        visible: Masks,
        amodal: Masks,
        given: Given = None,
        wanted: range | None = None,
    ) -> tuple[Flows, Flows]:
        """Complete both flows, as every `Flow` does; pairs in which all of the object is seen come back untouched."""
        whole = amodal > 0.5
        hidden = (whole & (visible <= 0.5)).flatten(2).any(dim=2)
        touched = select_wanted(hidden[:, 1:] | hidden[:, :-1], wanted)  # (b, t-1)
        if not touched.any():
            return forward, backward
        seen = visible > 0.5  # the network takes masks of 0 and 1, as in training
        flows = forward, backward
        if wanted is not None:  # what the network sees around them must be complete, too
            reach = self.config.reach_pairs
            wanted = range(max(wanted.start - reach, 0), min(wanted.stop + reach, touched.shape[1]))
        raw = self.config.start == "raw"
        priors = [*(flows if raw else self.prior(frames, *flows, visible, amodal, given, wanted))]
        # What is completed is put into the prior, pair by pair; flow that came in stays as it is.
        results = [flow.clone() if prior is flow else prior for flow, prior in zip(flows, priors, strict=True)]
        looks = [self._look(*clip) for clip in zip(frames.split(1), seen.split(1), whole.split(1), strict=True)]

        @torch.no_grad()
        def complete(flow: Flows, turn: bool) -> Flows:
            for i, look in enumerate(looks):
                part = slice(i, i + 1)
                given = (flow[part], priors[turn][part], seen[part], whole[part])
                self._complete(results[turn][i], look, *given, touched[i], turn)
            return results[turn]

        trim_heap()  # what the priors were made of is large
        directions = [partial(complete, flow, turn) for flow, turn in zip(flows, (False, True), strict=True)]
        forward, backward = side_by_side(directions)
        return forward, backward

    def _look(self, frames: Frames, visible: Regions, amodal: Regions) -> _Look:
        """Lay out what the network sees of one clip, both ways: its own grid, and on that what is around the object."""
        parts = [(reduce(x.to(frames), self.size) > 0.5).to(frames) for x in (visible, amodal)]
        box = box_around(parts[1] > 0.5, _MARGIN, self.config.step)
        small = torch.cat([reduce(part, self.size)[..., *box] for part in frames.split(_FRAMES, dim=1)], dim=1)
        size = parts[0].shape[-2], parts[0].shape[-1]
        return _Look(small, parts[0][..., *box], parts[1][..., *box], box, size)

    def _complete(
        self,
        result: Float[Tensor, "pairs 2 h w"],
        look: _Look,
        initial: Flows,
        prior: Flows,
        visible: Regions,
        amodal: Regions,
        touched: Bool[Tensor, " pairs"],
        turn: bool,
    ) -> None:
        """Complete one direction of one clip, group by group; with `turn` backward flow, which leads back in time.

        The result may be the prior itself.
        """
        reach, pairs, device = self.config.reach_pairs, initial.shape[1], self.network.head.weight.device
        unit = initial.new_tensor([look.size[1] / initial.shape[-1], look.size[0] / initial.shape[-2]]).view(2, 1, 1)
        # At the network's size, once for all groups; what it adds to the prior is enlarged, so that its detail stays.
        start, lead = (
            torch.cat([reduce(part, self.size)[..., *look.box] * unit for part in x.split(_FRAMES, dim=1)], dim=1)
            for x in (initial, prior)
        )
        for group in _groups(touched.nonzero()[:, 0].tolist(), self.group_pairs):
            first, stop = max(group.start - reach, 0), min(group.stop + reach, pairs)
            part, ends = slice(first, stop), slice(first, stop + 1)
            given = (look.frames[:, ends], start[:, part], lead[:, part], look.visible[:, ends], look.amodal[:, ends])
            # The same net for both directions.
            given = [(x.flip(1) if turn else x).to(device) for x in given]
            with torch.autocast(device.type, torch.bfloat16, enabled=self.half):
                made = self.network(*given, width=look.size[1])
            made = (made.flip(1) if turn else made).to(initial)
            for some in touched[group.start : group.stop].nonzero()[:, 0].split(_FRAMES):
                pair = group.start + some
                begin = pair + turn
                inside = self.network.region(look.visible[:, begin], look.amodal[:, begin], look.size[1]) > 0.5
                added = look.enlarge((made[:, pair - first] - lead[:, pair]) / unit, inside, initial.shape[-2:])
                if self.least and self.config.pasted == "object":
                    # Many times as fast as `norm` along an axis that is not the last.
                    length = torch.hypot(added[:, :, :1], added[:, :, 1:]).clamp(min=1e-6)
                    added = added * (1 - self.least * initial.shape[-1] / 256 / length).clamp(min=0)
                seen, whole = (x[:, begin].to(initial) for x in (visible, amodal))
                inside = self.network.region(seen, whole, initial.shape[-1]) > 0.5
                completed = prior[:, pair]
                completed[..., *look.place(initial.shape[-2:])] += added
                result[pair] = torch.where(inside, completed, initial[:, pair])[0]


@dataclass(frozen=True)
class _Look:
    """What the network sees of a clip, alike for both directions: the box around the object, on a grid of `size`."""

    frames: Frames
    visible: Masks
    amodal: Masks
    box: tuple[slice, slice]
    size: tuple[int, int]

    def place(self, full: torch.Size) -> tuple[slice, slice]:
        """Return where `enlarge` has its result in frames of the `full` size: the box, if their pixels part alike."""
        if any(large % small for large, small in zip(full, self.size, strict=True)):
            return slice(0, full[0]), slice(0, full[1])
        rows, columns = (
            slice(part.start * (large // small), part.stop * (large // small))
            for part, large, small in zip(self.box, full, self.size, strict=True)
        )
        return rows, columns

    def enlarge(
        self, maps: Flows, inside: Bool[Tensor, "b pairs 1 h w"], full: torch.Size
    ) -> Float[Tensor, "b pairs 2 y x"]:
        """Enlarge maps of the box as frames of this size become `full`; they count `inside` alone."""
        rows, columns = self.place(full)
        if (rows.stop - rows.start, columns.stop - columns.start) == tuple(full):
            maps, inside = (_put_back(x, self.box, self.size) for x in (maps, inside))
        # From within the object alone, since the network adds nothing outside.
        return enlarge(maps, (rows.stop - rows.start, columns.stop - columns.start), inside)


def _put_back(maps: Tensor, box: tuple[slice, slice], size: tuple[int, int]) -> Tensor:
    result = maps.new_zeros(*maps.shape[:-2], *size)
    result[..., *box] = maps
    return result


def _groups(pairs: list[int], size: int) -> list[range]:
    """Part ascending numbers into stretches of at most `size`, none of which begins or ends with a gap."""
    groups: list[range] = []
    for pair in pairs:
        if groups and pair < groups[-1].start + size:
            groups[-1] = range(groups[-1].start, pair + 1)
        else:
            groups.append(range(pair, pair + 1))
    return groups
