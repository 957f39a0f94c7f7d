"""The flow network in the pipeline: groups of pairs, each looked at around the object alone, on top of the prior."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.core.resample import box_around, enlarge, reduce
from voin.core.types import Flows, Frames, Masks
from voin.method.flow.network import FlowNetwork
from voin.method.flow.smooth import SmoothFlow
from voin.method.stages import Given

# Pixels around the object that the network looks at, too.
_MARGIN = 12


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
        self, frames: Frames, forward: Flows, backward: Flows, visible: Masks, amodal: Masks, given: Given = None
    ) -> tuple[Flows, Flows]:
        """Complete both flows, as every `Flow` does; pairs in which all of the object is seen come back untouched."""
        whole = amodal > 0.5
        hidden = (whole & (visible <= 0.5)).flatten(2).any(dim=2)
        touched = hidden[:, 1:] | hidden[:, :-1]  # (b, t-1)
        if not touched.any():
            return forward, backward
        # The network takes masks of 0 and 1, as in training.
        seen, whole = (visible > 0.5).to(frames), whole.to(frames)
        flows = forward, backward
        ahead, back = flows if self.config.start == "raw" else self.prior(frames, *flows, visible, amodal, given)
        forward = self._complete(frames, forward, ahead, seen, whole, touched)
        del ahead  # it is large
        return forward, self._complete(frames, backward, back, seen, whole, touched, turn=True)

    def _complete(
        self, frames: Frames, initial: Flows, prior: Flows, visible: Masks, amodal: Masks, touched: Tensor, turn=False
    ) -> Flows:
        """Complete one direction, group by group; with `turn` backward flow, which leads forward backwards in time."""
        result, reach, pairs = initial.clone(), self.config.reach_pairs, initial.shape[1]
        device = self.network.head.weight.device
        for i in range(len(frames)):
            # One for the whole clip, so that the groups do not show in the result.
            box = box_around(reduce(amodal[i : i + 1], self.size) > 0.5, _MARGIN, self.config.step)
            for group in _groups(touched[i].nonzero()[:, 0].tolist(), self.group_pairs):
                start, stop = max(group.start - reach, 0), min(group.stop + reach, pairs)
                part, ends = slice(start, stop), slice(start, stop + 1)
                given = (frames[i, ends], initial[i, part], prior[i, part], visible[i, ends], amodal[i, ends])
                # The same net for both directions.
                given = [(x.flip(0) if turn else x)[None].to(device) for x in given]
                completed, lead = self._look(*given, box=box), given[2]
                if self.least and self.config.pasted == "object":
                    added = completed - lead
                    # Many times as fast as `norm` along an axis that is not the last.
                    length = torch.hypot(added[:, :, :1], added[:, :, 1:]).clamp(min=1e-6)
                    completed = lead + added * (1 - self.least * lead.shape[-1] / 256 / length).clamp(min=0)
                completed = completed.flip(1) if turn else completed
                chosen = touched[i, group.start : group.stop].nonzero()[:, 0]
                result[i, group.start + chosen] = completed[0, group.start - start + chosen.to(device)].to(result)
        return result

    def _look(
        self, frames: Frames, initial: Flows, prior: Flows, visible: Masks, amodal: Masks, box: tuple[slice, slice]
    ) -> Flows:
        """Run the network at `size`; what it adds to the prior is enlarged, so that the prior's detail stays."""
        h, w = frames.shape[-2:]
        small = reduce(frames, self.size)
        if small.shape == frames.shape:
            return self._run(frames, initial, prior, visible, amodal, box)
        unit = frames.new_tensor([small.shape[-1] / w, small.shape[-2] / h]).view(2, 1, 1)
        start, lead = (reduce(x, self.size) * unit for x in (initial, prior))
        seen, whole = ((reduce(x, self.size) > 0.5).to(x) for x in (visible, amodal))
        residue = (self._run(small, start, lead, seen, whole, box) - lead) / unit
        # From within the object alone, since the network adds nothing outside.
        residue = enlarge(residue, (h, w), self.network.region(seen, whole, small.shape[-1]) > 0.5)
        return torch.where(self.network.region(visible, amodal, w) > 0.5, prior + residue, initial)

    def _run(
        self, frames: Frames, initial: Flows, prior: Flows, visible: Masks, amodal: Masks, box: tuple[slice, slice]
    ) -> Flows:
        """Run the network around the object: what lies farther from it tells nothing of it, and takes time."""
        part = (x[..., *box] for x in (frames, initial, prior, visible, amodal))
        completed = initial.clone()
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=self.half):
            completed[..., *box] = self.network(*part, width=frames.shape[-1])
        return completed


def _groups(pairs: list[int], size: int) -> list[range]:
    """Part ascending numbers into stretches of at most `size`, none of which begins or ends with a gap."""
    groups: list[range] = []
    for pair in pairs:
        if groups and pair < groups[-1].start + size:
            groups[-1] = range(groups[-1].start, pair + 1)
        else:
            groups.append(range(pair, pair + 1))
    return groups
