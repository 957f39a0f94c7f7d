"""Read frames in a thread and keep of each only the objects' windows; the whole frames are dropped at once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from voin.core.overlap import Prefetcher
from voin.io.video import SourceFrame, read_frames
from voin.jobs.background.scene import BACKGROUND, cut_behind
from voin.jobs.check import Inputs
from voin.jobs.plan import Chunk, Plan, Shot
from voin.method.parts import Places, Stay
from voin.method.window import ObjectClip, cut, window_box


@dataclass(frozen=True, eq=False)
class WindowFrame:
    """One object's window in one frame, native pixels; see ObjectClip."""

    frame: np.ndarray
    visible: np.ndarray
    amodal: np.ndarray | None
    occluder: np.ndarray | None


class WindowReader:
    """Cuts the clips of the chunks out of the video, in one pass; frames that two chunks share are decoded once.

    Attributes:
        seconds: spent on reading so far.
    """

    def __init__(self, inputs: Inputs, plan: Plan, todo: Sequence[Chunk]) -> None:
        self.seconds = 0.0
        self._inputs, self._plan, self._begin = inputs, plan, todo[0].fresh
        self._places: dict[int, Places] = {}
        self._shot: Shot | None = None
        self._held: deque[tuple[int, dict[int, WindowFrame]]] = deque()
        self._feed = Prefetcher(self._read(todo), plan.ahead, "read")

    def clips(self, chunk: Chunk) -> dict[int, tuple[ObjectClip, range]]:
        """Return for each object that is followed a clip, all that is looked at included, and which frames are wanted.

        The chunks must come in order.
        """
        self.release(chunk)
        while not self._held or self._held[-1][0] < chunk.until - 1:
            index, crops = next(self._feed)
            if index >= self._first_of(chunk):
                self._held.append((index, crops))
            del crops
        if self._shot is not chunk.shot:
            self._shot, self._places = chunk.shot, {}
        return {number: self._clip(number, chunk, stay) for number, stay in chunk.stays.items()}

    def release(self, following: Chunk) -> None:
        """Drop the frames that neither `following` nor a later chunk needs."""
        while self._held and self._held[0][0] < self._first_of(following):
            self._held.popleft()

    def _first_of(self, chunk: Chunk) -> int:
        # The first of all has nobody before it who knows something.
        return self._begin if self._shot is None else chunk.first

    def close(self) -> None:
        """Stop reading."""
        self._feed.close()
        self._held.clear()

    def _clip(self, number: int, chunk: Chunk, stay: Stay) -> tuple[ObjectClip, range]:
        places = self._places.setdefault(number, Places(chunk.shot.end, self._plan.reach))
        first = stay.fresh if places.begins(stay) else chunk.first
        crops = [windows[number] for index, windows in self._held if first <= index < stay.until]
        windows = chunk.shot.windows[number][first - chunk.shot.start : stay.until - chunk.shot.start]
        clip = ObjectClip(
            windows=windows,
            size=self._inputs.info.size,
            frames=[crop.frame for crop in crops],
            visible=[crop.visible for crop in crops],
            amodal=[crop.amodal for crop in crops if crop.amodal is not None] or None,
            occluder=[crop.occluder for crop in crops if crop.occluder is not None] or None,
            peak=self._inputs.info.samples.peak,
            place=places.take(stay, first),
            seam=self._inputs.options.seam_of(self._inputs.info.size),
        )
        return clip, range(chunk.start - first, chunk.end - first)

    def _read(self, todo: Sequence[Chunk]) -> Iterator[tuple[int, dict[int, WindowFrame]]]:
        shots = iter(dict.fromkeys(chunk.shot for chunk in todo))
        shot = next(shots)
        index, end = todo[0].fresh, todo[-1].until
        frames = read_frames(self._inputs.info, index, end, skip_broken=self._inputs.options.skip_broken)
        while index < end:
            if index == shot.end:
                shot = next(shots)
            began = time.perf_counter()
            frame = next(frames)
            crops = self._cut(_seen(frame, index - shot.start, shot), index, shot) if shot.windows else {}
            self.seconds += time.perf_counter() - began
            yield index, crops
            index += 1

    def _cut(self, frame: np.ndarray, index: int, shot: Shot) -> dict[int, WindowFrame]:
        inputs, at = self._inputs, index - shot.start
        label = inputs.masks.label(index)
        whole = inputs.amodal.label(index) if inputs.amodal else None
        front = inputs.occluder.label(index) > 0 if inputs.occluder else None
        crops = {}  # the front-most object first
        for number, windows in shot.windows.items():
            if number == BACKGROUND:  # the last one
                assert inputs.occluder is not None
                masks = cut_behind(inputs.occluder.label(index) > 0, label, inputs.ids, windows, at)
                crops[number] = WindowFrame(cut(frame, windows, at), *masks)
                continue
            visible = cut(label, windows, at) == number
            crops[number] = WindowFrame(
                frame=cut(frame, windows, at),
                visible=visible,
                amodal=None if whole is None else (cut(whole, windows, at) == number) | visible,
                occluder=None if front is None else cut(front, windows, at),
            )
            if inputs.nearer_hide:
                object_here = (label == number) if whole is None else (label == number) | (whole == number)
                front = object_here if front is None else front | object_here
        return crops


def _seen(frame: SourceFrame, at: int, shot: Shot) -> np.ndarray:
    """Return the display-referred colours of a frame of a shot, set where a window lies; most of it is in none."""
    boxes = np.array([window_box(windows, at) for windows in shot.windows.values()])
    (x0, y0), (x1, y1) = boxes[:, :2].min(axis=0).tolist(), boxes[:, 2:].max(axis=0).tolist()
    return frame.shown_in((x0, y0, x1, y1))
