"""Divide the work: shots between cuts, a window for each object in each shot, and chunks that fit into memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Bool

from voin.core.progress import Progress
from voin.io.shots import CutDetector, thinning
from voin.io.video import VideoInfo, read_frames
from voin.jobs.background.scene import BACKGROUND, boxes_behind
from voin.jobs.check import Inputs
from voin.method.parts import Stay, divide, follow, largest_mean, part_lengths
from voin.method.reach import Reach
from voin.method.window import WindowConfig, Windows, fit_windows


@dataclass(frozen=True, eq=False)
class Shot:
    """Frames start..end-1, without a cut, and the windows of the objects that occur in them.

    Attributes:
        known: for each of these, in which frames something is known of it.
    """

    start: int
    end: int
    windows: dict[int, Windows]
    known: dict[int, Bool[np.ndarray, " t"]] = field(default_factory=dict)


@dataclass(frozen=True)
class Chunk:
    """The frames start..end-1, which are completed at once, and first..last-1, where what they hide is looked for.

    Attributes:
        number: 0, 1, ... over the whole job.
        stays: the objects that are followed meanwhile.
    """

    number: int
    shot: Shot
    start: int
    end: int
    first: int
    last: int
    stays: dict[int, Stay] = field(default_factory=dict, compare=False)

    @property
    def count(self) -> int:
        """Frames to complete."""
        return self.end - self.start

    @property
    def fresh(self) -> int:
        """The frame from which on the video must be read, if nothing is known yet."""
        return min([self.first, *(stay.fresh for stay in self.stays.values())])

    @property
    def until(self) -> int:
        """The end of what must be read, exclusive."""
        return max([self.last, *(stay.until for stay in self.stays.values())])


@dataclass(frozen=True)
class Plan:
    """All chunks of a job in order, and how many frames to read ahead of them.

    Attributes:
        reach: of a method that hands on what it finds.
    """

    shots: tuple[Shot, ...]
    chunks: tuple[Chunk, ...]
    ahead: int
    reach: Reach | None = None


def find_cuts(info: VideoInfo, start: int, end: int, skip_broken: bool, progress: Progress) -> tuple[int, ...]:
    """Find the frames that begin a new shot by reading all frames of the range once."""
    progress.stage("cuts", end - start)
    detector, step = CutDetector(), thinning(info.size)
    found = []
    for index, frame in enumerate(read_frames(info, start, end, skip_broken=skip_broken), start=start):
        if detector.is_cut(frame.thinned(step)):
            found.append(index)
        progress.advance("cuts")
    return tuple(found)


def make_plan(inputs: Inputs, cuts: tuple[int, ...], window: WindowConfig, shares: bool = False) -> Plan:
    """Divide the range into shots at `cuts`, and these into chunks; a method that `shares` hands on what it finds."""
    options, edges = inputs.options, [inputs.start, *cuts, inputs.end]
    shots = tuple(_shot(inputs, start, end, window) for start, end in pairwise(edges))
    looked_at = options.chunk_frames + 3 * options.context_frames
    most = max(_frame_bytes(inputs, shot, looked_at) for shot in shots)
    core, context, ahead = part_lengths(most, options.chunk_frames, options.context_frames)
    reach, chunks = Reach(context) if shares else None, []
    for shot in shots:
        spans = [*divide(shot.start, shot.end, core, context, reach is not None and not chunks)]
        stays = {number: [*follow(known, spans, shot.start, reach)] for number, known in shot.known.items()}
        for i, (part, first, last) in enumerate(spans):
            followed = {number: stay for number, each in stays.items() if (stay := each[i]) is not None}
            chunks.append(Chunk(len(chunks), shot, part.start, part.stop, first, last, followed))
    return Plan(shots, tuple(chunks), ahead, reach)


def _shot(inputs: Inputs, start: int, end: int, window: WindowConfig) -> Shot:
    boxes = {number: inputs.boxes(number)[start:end] for number in inputs.ids}
    if inputs.options.background:
        boxes[BACKGROUND] = boxes_behind(inputs)[start:end]
    there = {number: box for number, box in boxes.items() if box.any()}
    # Of what is behind, something is known wherever it is looked for.
    known = {number: np.any(box, axis=1) | np.full(len(box), number == BACKGROUND) for number, box in there.items()}
    return Shot(start, end, {number: fit_windows(box, window) for number, box in there.items()}, known)


def _frame_bytes(inputs: Inputs, shot: Shot, span: int) -> int:
    """Return what the windows of a frame take, on average over the `span` frames in a row in which they are largest."""
    planes = (
        3 * inputs.info.samples.dtype.itemsize
        + 1
        + (inputs.amodal is not None)
        + (inputs.occluder is not None or inputs.nearer_hide)
    )
    sizes = planes * sum((windows.area for windows in shot.windows.values()), np.zeros(shot.end - shot.start))
    return int(largest_mean(sizes, span))
