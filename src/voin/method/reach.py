"""Where the work in a shot is cut, and how far each stage looks beyond its part.

    frames     0 ........................................................ length
    motion     every pair of neighbours, as far as shape looks
    shape      | step 0            | step 1       | step 2       | ...     and `margin` frames around each
    flow       | step 0        | step 1       | step 2       | ...         and `margin` frames around each

The steps lie at the same frames of a shot however it is completed in parts, so that what a stage finds is a function of
the shot alone. Those of shape end a margin after those of flow, which looks at the whole masks around it.
"""

from __future__ import annotations

from dataclasses import dataclass

CONTEXT_FRAMES = 32  # before and after those that are completed, in which their hidden pixels are looked for
_LEAST_STEP = 8  # frames


@dataclass(frozen=True)
class Reach:
    """The steps of a shot in which propagation looks so many frames ahead and back. Frames count from its start."""

    context: int = CONTEXT_FRAMES

    @property
    def step(self) -> int:
        """Frames of a step: a first part of a quarter of the context needs one step alone."""
        return max(self.context + self.context // 4, _LEAST_STEP)

    @property
    def margin(self) -> int:
        """Frames around a step at which shape and flow look, too: at most half of a step."""
        return max(self.context // 2, 1)

    def steps(self, near: range) -> range:
        """Return the steps that complete the flow of some frames."""
        return range(near.start // self.step, (near.stop - 1) // self.step + 1)

    def shape_of(self, step: int, length: int) -> range:
        """Return the frames whose masks are completed in a step, of a shot of so many frames."""
        start = step * self.step + self.margin if step else 0
        return range(min(start, length), min((step + 1) * self.step + self.margin, length))

    def flow_of(self, step: int, length: int) -> range:
        """Return the pairs, by their first frames, whose flow is completed in a step."""
        last = max(length - 1, 0)
        return range(min(step * self.step, last), min((step + 1) * self.step, last))

    def around(self, part: range, length: int) -> range:
        """Return the frames or pairs at which a stage looks for a part of them."""
        return range(max(part.start - self.margin, 0), min(part.stop + self.margin, length))

    def first_needed(self, first: int) -> int:
        """Return the frame from which on a shot is looked at, if nothing is known yet, for flow from `first` on."""
        return max((first // self.step - 1) * self.step, 0)

    def last_needed(self, last: int, length: int) -> int:
        """Return the end of the frames that are looked at for flow up to frame `last`, exclusive."""
        return min(((last - 1) // self.step + 1) * self.step + 2 * self.margin, length)


def pairs_of(frames: range) -> range:
    """Return the pairs of neighbours among some frames, by their first ones."""
    return range(frames.start, max(frames.stop - 1, frames.start))
