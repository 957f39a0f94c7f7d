"""Divide the work: shots between cuts, a window for each object in each shot, and chunks that fit into memory."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from voin.core.progress import Progress
from voin.io.shots import CutDetector
from voin.io.video import VideoInfo, read
from voin.jobs.background.scene import BACKGROUND, boxes_behind
from voin.jobs.check import Inputs
from voin.method.parts import divide, largest_mean, part_lengths
from voin.method.window import WindowConfig, Windows, fit_windows


@dataclass(frozen=True, eq=False)
class Shot:
    """Frames start..end-1, without a cut, and the windows of the objects that occur in them."""

    start: int
    end: int
    windows: dict[int, Windows]


@dataclass(frozen=True)
class Chunk:
    """The frames start..end-1, which are completed at once, and first..last-1, which are looked at for that.

    Attributes:
        number: 0, 1, ... over the whole job.
    """

    number: int
    shot: Shot
    start: int
    end: int
    first: int
    last: int

    @property
    def count(self) -> int:
        """Frames to complete."""
        return self.end - self.start


@dataclass(frozen=True)
class Plan:
    """All chunks of a job in order, and how many frames to read ahead of them."""

    shots: tuple[Shot, ...]
    chunks: tuple[Chunk, ...]
    ahead: int


def find_cuts(info: VideoInfo, start: int, end: int, skip_broken: bool, progress: Progress) -> tuple[int, ...]:
    """Find the frames that begin a new shot by reading all frames of the range once."""
    progress.stage("cuts", end - start)
    detector = CutDetector()
    found = []
    for index, frame in enumerate(read(info, start, end, skip_broken=skip_broken), start=start):
        if detector.is_cut(frame):
            found.append(index)
        progress.advance("cuts")
    return tuple(found)


def make_plan(inputs: Inputs, cuts: tuple[int, ...], window: WindowConfig) -> Plan:
    """Divide the range into shots at `cuts`, and these into chunks."""
    options, edges = inputs.options, [inputs.start, *cuts, inputs.end]
    shots = tuple(_shot(inputs, start, end, window) for start, end in pairwise(edges))
    looked_at = options.chunk_frames + 2 * options.context_frames
    most = max(_frame_bytes(inputs, shot, looked_at) for shot in shots)
    core, context, ahead = part_lengths(most, options.chunk_frames, options.context_frames)
    spans = [
        (shot, part.start, part.stop, first, last)
        for shot in shots
        for part, first, last in divide(shot.start, shot.end, core, context)
    ]
    return Plan(shots, tuple(Chunk(number, *span) for number, span in enumerate(spans)), ahead)


def _shot(inputs: Inputs, start: int, end: int, window: WindowConfig) -> Shot:
    boxes = {number: inputs.boxes(number)[start:end] for number in inputs.ids}
    if inputs.options.background:
        boxes[BACKGROUND] = boxes_behind(inputs)[start:end]
    return Shot(start, end, {number: fit_windows(box, window) for number, box in boxes.items() if box.any()})


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
