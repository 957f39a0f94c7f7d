"""A long clip in parts: in memory at a time are the windows of one part, however long the clip is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool

from voin.core.types import Frame, Mask
from voin.method.memory import Memory, Place
from voin.method.reach import CONTEXT_FRAMES, Reach
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

# What the windows in memory may take: those of a part with all that is looked at for it, and those read ahead for the
# next one.
MOST_BYTES = 150 * 2**20
CORE_FRAMES = Reach().step  # of a part, at most
# The first part of all is by so much shorter: with its context it is a step of `Reach`, and its frames are soon there.
_FIRST_SHARE = 5
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
    with_flow: bool = False,
    with_shape: bool = False,
    sample_bytes: int | None = None,
    seam: int = 0,
) -> Iterator[tuple[range, list[CompletedBox]]]:
    """Complete one object in a clip of any length, part by part, each of 40 frames at most.

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
        with_flow: the completed motion is in the boxes, too.
        with_shape: likewise how sure the masks are.
        seam: pixels of the visible part, along the hidden one, that are made anew; masks are seldom exact.
        sample_bytes: large windows get shorter parts, as if a sample took so many bytes; None: as many as it does.

    Yields:
        The frames of a part, and their boxes, which `voin.method.window.paste` takes. Left out are parts, with all
        that is looked at for them, in which nothing of the object is seen.

    Raises:
        ValueError: nothing is visible in any frame, or the frames are smaller than 32 pixels.
    """
    t, (h, w), clock = len(frames), frames[0].shape[:2], {} if clock is None else clock
    known = [masks for masks in (visible, amodal) if masks is not None]
    boxes = np.array([_joined([box_of(masks[i]) for masks in known]) for i in range(t)])
    check_object((h, w), any(visible[i].any() for i in range(t)))
    planes = 3 * (sample_bytes or frames[0].itemsize) + 1 + (amodal is not None) + (occluder is not None)
    shots = [
        (start, end, fit_windows(boxes[start:end], inpainter.window_of((h, w))))
        for start, end in pairwise([0, *cuts, t])
        if boxes[start:end].any()
    ]
    looked_at = CORE_FRAMES + 3 * CONTEXT_FRAMES
    size = planes * max(largest_mean(windows.area, looked_at) for *_, windows in shots)
    core, context, _ = part_lengths(int(size), CORE_FRAMES, CONTEXT_FRAMES)
    reach = Reach(context) if shares(inpainter) else None
    for start, end, windows in shots:
        spans = [*divide(start, end, core, context, reach is not None and not start)]
        stays, places = follow(np.array([*map(any, boxes[start:end])]), spans, start, reach), Places(end, reach)
        for (part, first, _), stay in zip(spans, stays, strict=True):
            if stay is None:
                continue
            span = range(first, stay.until)
            clip = _cut(
                windows[span.start - start : span.stop - start], (h, w), span, frames, visible, amodal, occluder
            )
            clip = replace(clip, place=places.take(stay, first), seam=seam)
            wanted = range(part.start - first, part.stop - first)
            asked: dict[str, Any] = {"category": category, "with_flow": with_flow, "with_shape": with_shape}
            yield part, inpainter.complete_object(clip, wanted, **asked, clock=clock)


def part_lengths(frame_bytes: int, core: int, context: int) -> tuple[int, int, int]:
    """Choose (frames of a part, frames of context, frames read ahead), of these at most, so that they fit in memory.

    `frame_bytes` is what the windows of a frame take.
    """
    room = MOST_BYTES // max(frame_bytes, 1)
    # A third context: shape and flow look beyond it. Reading ahead costs least to do without; with a quarter of it
    # left, everything shrinks alike.
    share = min(1.0, room / (core + 3 * context + core / 4))
    if share < 1:
        core = max(min(core, _LEAST_CORE), int(share * core))
        context = max(min(context, _LEAST_CONTEXT), int(share * context))
    return core, context, min(core // 2 + 1, max(_LEAST_AHEAD, room - core - 3 * context))


def largest_mean(sizes: Spans, span: int) -> float:
    """Return the mean over those `span` frames in a row in which it is largest."""
    return float(np.lib.stride_tricks.sliding_window_view(sizes, min(span, len(sizes))).mean(axis=1).max())


def divide(start: int, end: int, core: int, context: int, early: bool = False) -> Iterator[tuple[range, int, int]]:
    """Divide a shot into parts of nearly the same length; with each, the first frame looked at and their end.

    With `early` the first of several is a fifth as long as the others, so that its frames are soon there.
    """
    short = core // _FIRST_SHARE if early and end - start > core else 0
    length = end - start - short
    count = -(-length // core)
    edges = [*([start] if short else []), *(start + short + length * number // count for number in range(count + 1))]
    for begin, stop in pairwise(edges):
        yield range(begin, stop), max(start, begin - context), min(end, stop + context)


@dataclass(frozen=True)
class Stay:
    """For how long an object is followed when one part of a shot is completed. Frames count from the video's start.

    Attributes:
        origin: where it began to be followed: there, for it, the shot begins.
        fresh: from here on it must be looked at, if nothing is known of it.
        until: and up to here, exclusive.
    """

    origin: int
    fresh: int
    until: int


def follow(
    known: Bool[np.ndarray, " t"], spans: Sequence[tuple[range, int, int]], begin: int, reach: Reach | None
) -> Iterator[Stay | None]:
    """Return for each part that `divide` made of a shot how an object is followed; None where nothing is known of it.

    Args:
        known: of each frame of the shot, whether something is known of the object.
        spans: from `divide`.
        begin: the shot's first frame.
        reach: of a method that hands on what it finds; None: it looks at each part anew.
    """
    end, origin = begin + len(known), None
    for _, first, last in spans:
        base = first if origin is None or reach is None else origin
        until = last if reach is None else base + reach.last_needed(last - base, end - base)
        # What has been lost out of sight for so long is followed anew.
        origin = base if known[first - begin : until - begin].any() else None
        fresh = first if reach is None else base + reach.first_needed(first - base)
        yield None if origin is None else Stay(origin, fresh, until)


class Places:
    """Keeps the memory of one object in one shot, that ends before frame `end`, from part to part."""

    def __init__(self, end: int, reach: Reach | None) -> None:
        self._end, self._reach = end, reach
        self._memory, self._origin = Memory(), -1

    def begins(self, stay: Stay) -> bool:
        """Return whether nothing is known yet of what is followed."""
        return stay.origin != self._origin

    def take(self, stay: Stay, first: int) -> Place | None:
        """Return the place of a clip that begins with frame `first`; None for a method that looks at each anew."""
        if self._reach is None:
            return None
        if self.begins(stay):
            self._memory, self._origin = Memory(), stay.origin
        return Place(first - stay.origin, self._end - stay.origin, self._reach.context, self._memory)


def shares(inpainter: ObjectCompleter) -> bool:
    """Return whether a method hands on what it finds from part to part, in the memory of clips that have a place."""
    return getattr(inpainter, "shares", False)


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
