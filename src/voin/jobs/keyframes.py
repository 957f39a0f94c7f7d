"""Masks on some frames only: whether these are keyframes, and the masks of the frames between, by the tracker."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from voin.core.progress import Progress
from voin.core.types import Label
from voin.io.masks.source import open_masks, write_label
from voin.io.seek import FrameBlocks
from voin.jobs.check import Inputs
from voin.jobs.mask import MaskFolder, choose_tracker, load_tracker, mask_name
from voin.tracking.prompts import Prompt
from voin.tracking.shot import PackedMask, track_shot


def is_tracked(inputs: Inputs) -> bool:
    """Return whether the tracker is to fill the frames without a mask: the user says so, or masks are keyframes."""
    given = (inputs.masks.frames_given(number, inputs.start, inputs.end) for number in inputs.ids)
    lacking, asked = any(len(frames) < inputs.count for frames in given), inputs.options.track_between
    return lacking and (inputs.masks.on_keyframes(inputs.ids, inputs.start, inputs.end) if asked is None else asked)


# Options of a run that decide how its masks are read.
_READING = ("mask_frames", "invert_masks", "resize_masks")


@dataclass(frozen=True)
class _Gap:
    """The frames start..end-1 of one shot, through which an object is followed from the keyframes among them."""

    start: int
    end: int
    number: int
    keyframes: tuple[int, ...]

    @property
    def steps(self) -> int:
        """Frames that are looked at: those between two keyframes in both directions."""
        return self.end - self.start + self.keyframes[-1] - self.keyframes[0]


def fill_gaps(
    inputs: Inputs, cuts: Sequence[int], out: Path, request: dict[str, Any], device: str, progress: Progress
) -> Inputs:
    """Track the objects through the frames without a mask, write the masks of all frames into `out`, and take these.

    An object is followed up to the next keyframe on which it is not seen, and through no cut. What was tracked before
    for the same request (of the whole run) is not tracked again.
    """
    options = {name: request["options"][name] for name in ("order", *_READING)}
    request = {name: request[name] for name in ("voin", "video", "masks", "frames", "tracking")} | {"options": options}
    folder = MaskFolder(out, inputs.info.count, preview=False, request={**request, "cuts": list(cuts)})
    if folder.record is None or not folder.is_finished():
        _track(inputs, cuts, folder, device, progress)
    source = open_masks(out, inputs.info, frames=range(inputs.info.count), ids=inputs.masks.ids)
    source.reading = inputs.masks.reading
    return replace(inputs, masks=source)


def _track(inputs: Inputs, cuts: Sequence[int], folder: MaskFolder, device: str, progress: Progress) -> None:
    name = choose_tracker(inputs.options.tracker)
    tracker = load_tracker(name, None, device)
    began = time.perf_counter()
    with folder.held(overwrite=True):
        advance = partial(progress.advance, "track")
        gaps = sorted(_gaps(inputs, cuts), key=lambda gap: (gap.start, gap.end))
        progress.stage("track", sum(gap.steps for gap in gaps))
        frames = FrameBlocks(inputs.info, inputs.start, inputs.end, inputs.options.skip_broken)
        tracks: dict[int, dict[int, PackedMask]] = defaultdict(dict)
        for gap in gaps:
            prompts = [Prompt(frame, mask=inputs.masks.label(frame) == gap.number) for frame in gap.keyframes]
            found = track_shot(tracker, frames.__getitem__, prompts, gap.start, gap.end, advance)
            for frame, mask in zip(range(gap.start, gap.end), found, strict=True):
                tracks[frame][gap.number] = mask
        folder.clear()
        folder.write({"finished": False})
        areas = []
        for frame in range(inputs.info.count):
            label = _label(inputs, frame, tracks[frame])
            write_label(folder.path / mask_name(frame), label)
            areas.append(int(np.count_nonzero(label)))
        per_frame = (time.perf_counter() - began) / max(len(tracks), 1)
        told = {"tracked": len(tracks), "areas": areas, "seconds_a_frame": per_frame}
        folder.write({"finished": True, "tracker": name, "cuts": list(cuts), **told})


def _gaps(inputs: Inputs, cuts: Sequence[int]) -> Iterator[_Gap]:
    for first, end in pairwise([inputs.start, *cuts, inputs.end]):
        for number in inputs.ids:
            given = inputs.masks.frames_given(number, first, end)
            areas = inputs.areas(number)
            seen = {frame for frame in given if areas[frame]}
            for before, after in pairwise([first - 1, *given, end]):
                keyframes = tuple(frame for frame in (before, after) if frame in seen)
                if after - before > 1 and keyframes:
                    yield _Gap(before + (before not in seen), after + (after in seen), number, keyframes)


def _label(inputs: Inputs, frame: int, tracked: dict[int, PackedMask]) -> Label:
    """Return the object ids of a frame: those of its mask, or what was tracked, the nearer objects in front."""
    given = inputs.masks.label(frame)
    if all(inputs.masks.given(frame, number) for number in inputs.ids):
        return given
    label = np.zeros(inputs.info.size, np.uint8)
    for number in reversed(inputs.ids):
        if number in tracked and not inputs.masks.given(frame, number):
            label[tracked[number].mask()] = number
        label[given == number] = number
    return label
