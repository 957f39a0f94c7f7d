"""A long clip in parts: in memory at a time are the windows of one part, however long the clip is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np

from voin.core.types import Frame, Mask
from voin.method.window import (
    CompletedBox,
    ObjectClip,
    Spans,
    WindowConfig,
    Windows,
    box_of,
    check_object,
    cut,
    fit_windows,
)

# What the windows in memory may take: those of a part with its context, and those read ahead for the next one.
MOST_BYTES = 150 * 2**20
CORE_FRAMES, CONTEXT_FRAMES = 64, 32  # of a part, and looked at before and after it, at most
_LEAST_CORE, _LEAST_CONTEXT, _LEAST_AHEAD = 8, 4, 2  # frames, however large they are


@runtime_checkable
class ObjectCompleter(Protocol):
    """What completes one object in some frames of a clip: an `Inpainter` of `voin.load`, or a baseline."""

    def complete_object(
        self,
        clip: ObjectClip,
        wanted: range,
        *,
        category: str | None,
        with_flow: bool,
        with_shape: bool,
        clock: dict[str, float],
    ) -> list[CompletedBox]:
        """Return a box for each frame in `wanted`, indices into `clip`; the other frames are context.

        With flow, with how sure the shape is, where these are asked for. Seconds that each stage takes are added to
        `clock`, by name.
        """
        ...

    def window_of(self, frame: tuple[int, int]) -> WindowConfig:
        """Return how windows lie in frames of size (h, w)."""
        ...


def complete_parts(
    inpainter: ObjectCompleter,
    frames: Sequence[Frame],
    visible: Sequence[Mask],
    *,
    amodal: Sequence[Mask] | None = None,
    occluder: Sequence[Mask] | None = None,
    category: str | None = None,
    cuts: Sequence[int] = (),
    clock: dict[str, float] | None = None,
) -> Iterator[tuple[range, list[CompletedBox]]]:
    """Complete one object in a clip of any length, part by part, each of 64 frames at most.

    Frames and masks are asked for by their number, some of them more than once, so that they may be read or made then.

    Args:
        inpainter: from `voin.load`.
        frames: t pictures (h, w, 3), uint8 or float32 in [0, 1].
        visible: t masks (h, w).
        amodal: t masks, where the whole object is known.
        occluder: t masks; only there can the object be hidden.
        category: of the object, where it is known.
        cuts: frames that begin a shot.
        clock: seconds of each stage are added to it.

    Yields:
        The frames of a part, and their boxes, which `voin.method.window.paste` takes. Left out are parts, with 32
        frames around, in which nothing of the object is seen.

    Raises:
        ValueError: nothing is visible in any frame, or the frames are smaller than 32 pixels.
    """
    t, (h, w), clock = len(frames), frames[0].shape[:2], {} if clock is None else clock
    known = [masks for masks in (visible, amodal) if masks is not None]
    boxes = np.array([_joined([box_of(masks[i]) for masks in known]) for i in range(t)])
    check_object((h, w), any(visible[i].any() for i in range(t)))
    planes = 3 * frames[0].itemsize + 1 + (amodal is not None) + (occluder is not None)
    for start, end in pairwise([0, *cuts, t]):
        if not boxes[start:end].any():
            continue
        windows = fit_windows(boxes[start:end], inpainter.window_of((h, w)))
        size = planes * largest_mean(windows.area, CORE_FRAMES + 2 * CONTEXT_FRAMES)
        core, context, _ = part_lengths(int(size), CORE_FRAMES, CONTEXT_FRAMES)
        for part, first, last in divide(start, end, core, context):
            near = windows[first - start : last - start]
            clip = _cut(near, (h, w), range(first, last), frames, visible, amodal, occluder)
            if anything_known(clip):
                wanted = range(part.start - first, part.stop - first)
                yield (
                    part,
                    inpainter.complete_object(
                        clip, wanted, category=category, with_flow=False, with_shape=False, clock=clock
                    ),
                )


def part_lengths(frame_bytes: int, core: int, context: int) -> tuple[int, int, int]:
    """Choose (frames of a part, frames of context, frames read ahead), of these at most, so that they fit in memory.

    `frame_bytes` is what the windows of a frame take.
    """
    room = MOST_BYTES // max(frame_bytes, 1)
    # Reading ahead costs least to do without; with a quarter of it left, everything shrinks alike.
    share = min(1.0, room / (core + 2 * context + core / 4))
    if share < 1:
        core = max(min(core, _LEAST_CORE), int(share * core))
        context = max(min(context, _LEAST_CONTEXT), int(share * context))
    return core, context, min(core // 2 + 1, max(_LEAST_AHEAD, room - core - 2 * context))


def largest_mean(sizes: Spans, span: int) -> float:
    """Return the mean over those `span` frames in a row in which it is largest."""
    return float(np.lib.stride_tricks.sliding_window_view(sizes, min(span, len(sizes))).mean(axis=1).max())


def divide(start: int, end: int, core: int, context: int) -> Iterator[tuple[range, int, int]]:
    """Divide a shot into parts of nearly the same length; with each, the first frame looked at and their end."""
    length = end - start
    count = -(-length // core)
    edges = [start + length * number // count for number in range(count + 1)]
    for first, last in pairwise(edges):
        yield range(first, last), max(start, first - context), min(end, last + context)


def anything_known(clip: ObjectClip) -> bool:
    """Return whether anything is known of the object in a clip; where it is hidden throughout, nothing can be done."""
    return any(mask.any() for mask in clip.visible) or any(mask.any() for mask in clip.amodal or ())


def _cut(windows: Windows, size: tuple[int, int], span: range, *kinds: Sequence[np.ndarray] | None) -> ObjectClip:
    """Cut the windows of a span of frames out of frames and masks."""
    cuts: Any = [
        None if pictures is None else [cut(pictures[i], windows, i - span.start) for i in span] for pictures in kinds
    ]
    return ObjectClip(windows, size, *cuts)


def _joined(boxes: Sequence[tuple[int, int, int, int]]) -> tuple[int, int, int, int]:
    """Return the box around boxes, of which those of nothing are all 0."""
    there = [box for box in boxes if any(box)]
    if not there:
        return 0, 0, 0, 0
    x0, y0, x1, y1 = zip(*there, strict=True)
    return min(x0), min(y0), max(x1), max(y1)
