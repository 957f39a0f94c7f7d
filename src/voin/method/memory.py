"""What was found of an object in a shot so far: handed from part to part, so that no frame is looked at twice.

Memory is never needed for the result: who has none finds the same again, bit by bit, from the frames before
(`Reach.first_needed`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from voin.core.types import Flows
from voin.method.reach import CONTEXT_FRAMES, Reach


class Stretch:
    """Maps of consecutive frames, or of pairs of them, by their number in the shot."""

    def __init__(self, start: int, values: Shaped[Tensor, "b n *map"]) -> None:
        self.start, self.values = start, values

    @property
    def stop(self) -> int:
        """The number after the last one."""
        return self.start + self.values.shape[1]

    def __getitem__(self, part: range) -> Shaped[Tensor, "b n *map"]:
        if not self.start <= part.start <= part.stop <= self.stop:
            raise IndexError(f"{part} is not within {self.start} to {self.stop}")
        return self.values[:, part.start - self.start : part.stop - self.start]

    def extend(self, values: Shaped[Tensor, "b n *map"]) -> None:
        """Append what follows."""
        self.values = torch.cat([self.values, values], dim=1)

    def forget(self, before: int) -> None:
        """Drop, and give back, what lies before a number."""
        if before > self.start:
            self.values = self.values[:, before - self.start :].clone()
            self.start = before


def join_flows(forward: Flows, backward: Flows) -> Shaped[Tensor, "2 n h w 2"]:
    """Lay both flows of a clip (b = 1) out as memory holds them: as points are looked up along them."""
    return torch.stack([flow[0].movedim(-3, -1) for flow in (forward, backward)])


def part_flows(both: Shaped[Tensor, "2 n h w 2"]) -> tuple[Flows, Flows]:
    """Return the forward and the backward flow, without a copy."""
    forward, backward = both.movedim(-1, -3).split(1)
    return forward, backward


MOTION = ("coarse", "estimated")  # what only steps to come need


class Memory:
    """What the stages found on the working grid, as far as parts to come need it.

    Attributes:
        next: the first step (`Reach`) that is still to be done; None if none was.
        frames: in [0, 1].
        visible: masks in [0, 1].
        coarse: flow between all neighbours, as shape is completed by it; of both directions, as `join_flows` has it.
        estimated: the flow that is completed, likewise.
        completed: completed flow, likewise.
        amodal: masks, bool.
        hidden: the hidden part of these, bool.
        sure: amodal masks as the shape stage gave them, where they are asked for.
    """

    def __init__(self) -> None:
        self.next: int | None = None
        self.frames: Stretch | None = None
        self.visible: Stretch | None = None
        self.coarse: Stretch | None = None
        self.estimated: Stretch | None = None
        self.completed: Stretch | None = None
        self.amodal: Stretch | None = None
        self.hidden: Stretch | None = None
        self.sure: Stretch | None = None

    def steps(self, needed: range) -> range:
        """Return the steps that are still to be done for those that are needed, and take them for done."""
        # Flow looks at the masks of the step before, too.
        first = max(needed.start - 1, 0) if self.next is None else self.next
        self.next = max(first, needed.stop)
        return range(first, needed.stop)

    def known(self, name: str) -> Stretch:
        """Return what is known under a name."""
        stretch: Stretch | None = getattr(self, name)
        assert stretch is not None
        return stretch

    def add(self, name: str, start: int, values: Tensor) -> None:
        """Append to what is known under a name what follows it, or, where nothing is, begins at `start`."""
        stretch: Stretch | None = getattr(self, name)
        if stretch is None:
            setattr(self, name, Stretch(start, values))
        else:
            assert stretch.stop == start
            stretch.extend(values)

    def fill(
        self, name: str, start: int, pictures: Sequence[Any], convert: Callable[[Sequence[Any]], Tensor]
    ) -> Stretch:
        """Return what is known under a name, with what it lacks of pictures that begin at `start`, converted."""
        stretch: Stretch | None = getattr(self, name)
        stop = start if stretch is None else stretch.stop
        if new := pictures[stop - start :]:
            self.add(name, stop, convert(new))
        return self.known(name)

    def forget_coarse(self, reach: Reach, step: int) -> None:
        """Drop the coarse flow that no step after this one needs."""
        coarse = self.known("coarse")
        coarse.forget(min((step + 1) * reach.step, coarse.stop))

    def forget(self, reach: Reach, following: int, names: Collection[str] | None = None) -> None:
        """Drop what no part needs that begins with frame `following`, or of that what has these names."""
        assert self.next is not None
        near, step = max(following - reach.context, 0), self.next * reach.step
        needed = {
            "frames": min(near, step - reach.margin),
            "visible": min(near, step - reach.margin),
            "coarse": step,
            "estimated": step - reach.margin,
            "completed": near,
            "amodal": min(near, step - reach.margin),
            "hidden": min(near, step - reach.margin),
            "sure": near,
        }
        for name in needed if names is None else names:
            stretch: Stretch | None = getattr(self, name)
            if stretch is not None:
                stretch.forget(min(needed[name], stretch.stop))


@dataclass(frozen=True, eq=False)
class Place:
    """Where a clip lies in its shot, and what is known of the object there.

    Attributes:
        start: the clip's first frame, counted from the shot's.
        length: frames of the shot.
        context: frames before and after those that are completed, in which their hidden pixels are looked for.
        memory: of the part before; it is carried on.
    """

    start: int
    length: int
    context: int = CONTEXT_FRAMES
    memory: Memory = field(default_factory=Memory)

    def near(self, wanted: range) -> range:
        """Return the frames of the shot in which hidden pixels of some frames of the clip are looked for."""
        first, last = self.start + wanted.start - self.context, self.start + wanted.stop + self.context
        return range(max(first, 0), min(last, self.length))
