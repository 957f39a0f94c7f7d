"""Write completed chunks: frames, label maps, layers, flow; a chunk is marked as finished once all of it is there."""

from __future__ import annotations

import io
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import UInt8

from voin.core import draw as viz
from voin.core.files import write_json, write_whole
from voin.core.progress import Progress
from voin.core.system import trim_heap
from voin.core.types import Frame, Label, largest, to_unit
from voin.io.colour.exr import write_parts
from voin.io.colour.picture_kinds import write_frame
from voin.io.colour.samples import EIGHT_BITS, in_bits, to_light
from voin.io.colour.video_samples import VideoFrame
from voin.io.images import write_image
from voin.io.masks.source import write_label
from voin.io.video import Form, LayerWriter, SamplesWriter, SourceFrame, VideoWriter, keeps_samples, read_frames
from voin.jobs import preview
from voin.jobs.background.layers import draw_background, draw_front
from voin.jobs.check import Inputs
from voin.jobs.layout import CONFIDENCES, Folder
from voin.jobs.plan import Chunk, Plan
from voin.method.window import CompletedBox, pasted_pixels

_WORKERS = 2  # threads that compress pictures
_PENDING = 4  # pictures that wait for them; memory grows with them
_TRIM_FRAMES = 16  # how often freed memory is given back
_FLOW_SHARE = 40  # the frame's longer side over the flow that is drawn in full colour

_AnyWriter = VideoWriter | LayerWriter | SamplesWriter


@dataclass(frozen=True, eq=False)
class CompletedChunk:
    """What was completed in a chunk.

    Attributes:
        patches: for each object that is to be seen in it, front-most first, one patch a frame.
        seconds: what it took, by stage.
        behind: what is behind that which is in front, one box a frame, where it is asked for.
    """

    chunk: Chunk
    patches: dict[int, list[CompletedBox]]
    seconds: dict[str, float]
    behind: list[CompletedBox] | None = None


def with_half_flow(patch: CompletedBox) -> CompletedBox:
    """Return a patch with its flow in the 16 bits in which it is written: patches wait in memory."""
    halves = [None if flow is None else flow.astype(np.float16) for flow in (patch.forward, patch.backward)]
    return replace(patch, forward=halves[0], backward=halves[1])


class ChunkWriter:
    """Writes chunks in order; it reads the whole frames a second time, so that nobody has to keep them.

    Args:
        inputs: of the job.
        plan: of the job.
        first: first frame that will come.
        folder: where to write.
        progress: told of each frame.
        wall: gives the seconds that the run has taken so far.
    """

    def __init__(
        self, inputs: Inputs, plan: Plan, first: int, folder: Folder, progress: Progress, wall: Callable[[], float]
    ) -> None:
        self._inputs, self._plan, self._folder = inputs, plan, folder
        self._progress, self._wall = progress, wall
        self._view = preview.View.around(inputs, plan)
        self._layer_dtype = EIGHT_BITS if inputs.info.samples.dtype == EIGHT_BITS else np.dtype(np.uint16)
        self._broken: list[int] = []
        skip_broken = inputs.options.skip_broken
        self._frames = read_frames(
            inputs.info, first, inputs.end, _form(inputs, folder), skip_broken=skip_broken, broken=self._broken.append
        )

    def write(self, done: CompletedChunk, stopped: threading.Event) -> None:
        """Write a chunk; if `stopped` is set meanwhile, it stays unfinished."""
        began = time.perf_counter()
        chunk = done.chunk
        counts = {number: [_count(patch) for patch in patches] for number, patches in done.patches.items()}
        hidden = [sum(rows[i]["occluded"] for rows in counts.values()) for i in range(chunk.count)]
        shown = preview.candidates(hidden, chunk, len(self._plan.chunks))
        columns = []
        with ExitStack() as stack:
            pool = stack.enter_context(_Pool())
            videos = self._open_videos(chunk, stack)
            for index in range(chunk.start, chunk.end):
                if stopped.is_set():
                    raise InterruptedError("stopped")
                patches = {number: boxes[index - chunk.start] for number, boxes in done.patches.items()}
                frame = next(self._frames)
                changed = [patch for patch in patches.values() if patch.amodal.size]
                behind = None if done.behind is None else done.behind[index - chunk.start]
                changed += [] if behind is None else [behind]  # the farthest
                result = _pasted(frame, changed)
                if index in shown:
                    pictures = frame.eight_bits(), result.eight_bits()
                    columns.append(preview.column(*pictures, list(patches.values()), self._view))
                self._put(index, result, patches, videos, pool)
                if self._folder.layout.background:
                    self._put_layers(index, frame, behind, patches, videos, pool)
                self._progress.advance("write")
                if index % _TRIM_FRAMES == 0:
                    trim_heap()
            pool.finish()
        worth = [hidden[index - chunk.start] for index in shown]
        preview.save_candidates(self._folder.previews_of(chunk), shown, worth, columns)
        seconds = done.seconds | {"write": time.perf_counter() - began}
        record = {"count": chunk.count, "objects": {number: _lists(rows) for number, rows in counts.items()}}
        broken = sorted({i for i in self._broken if chunk.start <= i < chunk.end})
        write_json(self._folder.record_of(chunk), record | {"broken": broken, "seconds": seconds, "wall": self._wall()})

    def close(self) -> None:
        """Stop reading."""
        close = getattr(self._frames, "close", None)
        if close is not None:
            close()

    def _open_videos(self, chunk: Chunk, stack: ExitStack) -> dict[Path, _AnyWriter]:
        info, quality, writers = self._inputs.info, self._inputs.options.quality, {}
        for video in self._folder.layout.videos():
            path, times = self._folder.part_of(chunk, video), info.times[chunk.start : chunk.end]
            if video != self._folder.layout.completed_video:
                writer = LayerWriter(path, info, times)
            elif keeps_samples(info, quality):
                writer = SamplesWriter(path, info, times, quality)
            else:
                writer = VideoWriter(path, info, times, quality)
            writers[video] = stack.enter_context(writer)
        return writers

    def _put(
        self,
        index: int,
        result: SourceFrame,
        patches: dict[int, CompletedBox],
        videos: dict[Path, _AnyWriter],
        pool: _Pool,
    ) -> None:
        """Hand all output of one frame to those who write it."""
        layout, root = self._folder.layout, self._folder.path
        name, size = self._inputs.info.names[index], self._inputs.info.size
        linear = self._inputs.info.samples.linear or not self._inputs.info.samples.floating
        if layout.png:
            pool.put(write_frame, root / layout.picture("completed", name), result)
        else:
            video = videos[layout.completed_video]
            if isinstance(video, SamplesWriter):
                video.write_samples(cast(VideoFrame, result))
            else:
                video.write(result.eight_bits())
        pool.put(_write_drawn, root / layout.picture("amodal", name), write_label, draw_label, size, patches)
        if layout.confidence:
            for folder, draw in zip(CONFIDENCES, (draw_confidence, draw_amodal_confidence), strict=True):
                pool.put(_write_drawn, root / layout.picture(folder, name), write_image, draw, size, patches)
        for number in layout.ids:
            patch = patches.get(number)
            if layout.layer == "png":
                pool.put(
                    _write_drawn,
                    root / layout.layer_picture(number, name),
                    write_image,
                    draw_layer,
                    size,
                    patch,
                    self._layer_dtype,
                )
            elif layout.layer == "exr":
                path = root / layout.layer_picture(number, name)
                pool.put(write_parts, path, [({}, draw_exr_layers(result.shown(), patch, linear))])
            elif layout.layer != "none":
                videos[layout.layer_video(number)].write(draw_layer(size, patch, self._layer_dtype))
            if layout.flow:
                pool.put(_write_flow, root / layout.flow_arrays(number, name), patch, max(size) / _FLOW_SHARE)

    def _put_layers(
        self,
        index: int,
        frame: SourceFrame,
        behind: CompletedBox | None,
        patches: dict[int, CompletedBox],
        videos: dict[Path, _AnyWriter],
        pool: _Pool,
    ) -> None:
        """Hand the layers behind and before the objects to those who write them."""
        layout, root, name = self._folder.layout, self._folder.path, self._inputs.info.names[index]
        shown = [patch for patch in patches.values() if patch.amodal.size]
        picture = in_bits(frame.shown(), self._layer_dtype)
        if behind is not None:
            behind = replace(behind, colours=in_bits(behind.colours, self._layer_dtype))
        drawn: dict[str, tuple[Callable[..., np.ndarray], tuple[Any, ...]]] = {
            "background": (draw_background, (picture, behind, shown)),
            "occluder": (draw_front, (picture, behind)),
        }
        for layer, (draw, of) in drawn.items():
            if layout.layer in ("png", "exr"):
                pool.put(_write_drawn, root / layout.picture(layer, name), write_image, draw, *of)
            elif layout.layer != "none":
                videos[layout.other_layer(layer)].write(draw(*of))


def _form(inputs: Inputs, folder: Folder) -> Form:
    """Return the form of frames in which what is completed is written."""
    if folder.layout.png:
        return "picture"
    return "samples" if keeps_samples(inputs.info, inputs.options.quality) else "eight"


def _pasted(frame: SourceFrame, boxes: Sequence[CompletedBox]) -> SourceFrame:
    """Return a frame with what was completed, in its own samples."""
    if not any(box.occluded.any() for box in boxes):
        return frame
    return frame.replaced(*pasted_pixels(frame.size, boxes))


class _Pool:
    """Runs functions in a few threads; only so many calls wait, and an error surfaces at the next call."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_WORKERS, thread_name_prefix="pictures")
        self._pending: deque[Future[Any]] = deque()

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def put(self, function: Callable[..., object], *arguments: object) -> None:
        while len(self._pending) >= _PENDING:
            self._pending.popleft().result()
        self._pending.append(self._threads.submit(function, *arguments))

    def finish(self) -> None:
        while self._pending:
            self._pending.popleft().result()


def draw_label(size: tuple[int, int], patches: dict[int, CompletedBox]) -> Label:
    """Draw the whole objects, front-most first in `patches`, as object ids; what lies in front is seen."""
    label = np.zeros(size, np.uint8)
    for number, patch in reversed(patches.items()):
        label[patch.rows, patch.columns][patch.amodal] = number
    return label


def draw_confidence(size: tuple[int, int], patches: dict[int, CompletedBox]) -> UInt8[np.ndarray, "h w"]:
    """Draw how sure the objects' pixels are, 0 (invented) to 255 (seen), 0 outside; what lies in front is seen."""
    confidence = np.zeros(size, np.uint8)
    for patch in reversed(patches.values()):
        box = confidence[patch.rows, patch.columns]
        box[patch.amodal] = patch.confidence[patch.amodal]
    return confidence


def draw_amodal_confidence(size: tuple[int, int], patches: dict[int, CompletedBox]) -> UInt8[np.ndarray, "h w"]:
    """Draw how sure pixels belong to an object, 0 (not at all) to 255 (seen); the surest of several objects."""
    confidence = np.zeros(size, np.uint8)
    for soft in (patch.soft for patch in patches.values() if patch.soft is not None):
        h, w = soft.values.shape
        box = confidence[soft.top : soft.top + h, soft.left : soft.left + w]
        np.maximum(box, soft.values, out=box)
    return confidence


def draw_layer(size: tuple[int, int], patch: CompletedBox | None, dtype: np.dtype = EIGHT_BITS) -> np.ndarray:
    """Draw an object alone: (h, w, 4), its completed colours and opaque inside it, all 0 outside.

    It is display-referred, with straight alpha, uint8 or uint16.
    """
    layer = np.zeros((*size, 4), dtype)
    if patch is not None and patch.amodal.size:
        box = layer[patch.rows, patch.columns]
        box[..., :3] = in_bits(patch.colours, dtype)
        box[..., 3] = largest(dtype)
        box[~patch.amodal] = 0
    return layer


def draw_exr_layers(completed: Frame, patch: CompletedBox | None, linear: bool) -> dict[str, np.ndarray]:
    """Draw what is known of an object in a frame as channels (h, w), named as compositors do.

    R G B A is the object, premultiplied; `completed` the frame; `amodal` the object's mask, `confidence` 0 to 1, and
    `forward` and `backward` its motion to the next frame and the one before in pixels, u to the right and v up.

    Args:
        completed: (h, w, 3), display-referred.
        patch: the object; None where it is not there.
        linear: colours become light, by sRGB's curve.
    """
    colours = to_unit(completed).astype(np.float32)
    light = (to_light(colours) if linear else colours).astype(np.float16)
    names = ("amodal.Y", "confidence.Y", "forward.u", "forward.v", "backward.u", "backward.v")
    channels = dict(zip(("completed.R", "completed.G", "completed.B"), np.moveaxis(light, 2, 0), strict=True))
    channels |= {name: np.zeros(completed.shape[:2], np.float16) for name in (*"RGBA", *names)}
    if patch is None or not patch.amodal.size:
        return channels
    box, inside = (patch.rows, patch.columns), patch.amodal
    own = to_unit(patch.colours).astype(np.float32)
    for name, values in zip("RGB", np.moveaxis(to_light(own) if linear else own, 2, 0), strict=True):
        channels[name][box][inside] = values[inside]
    channels["A"][box] = channels["amodal.Y"][box] = inside
    channels["confidence.Y"][box][inside] = patch.confidence[inside] / 255
    for name, flow in (("forward", patch.forward), ("backward", patch.backward)):
        if flow is not None:
            channels[f"{name}.u"][box][inside] = flow[inside, 0]
            channels[f"{name}.v"][box][inside] = -flow[inside, 1]
    return channels


def _write_drawn(path: Path, write: Callable[[Path, Any], object], draw: Callable[..., Any], *of: object) -> None:
    write(path, draw(*of))


def _write_flow(path: Path, patch: CompletedBox | None, longest: float) -> None:
    both = {"forward": patch.forward, "backward": patch.backward} if patch else {}
    flows: dict[str, Any] = {name: flow for name, flow in both.items() if flow is not None}
    data = io.BytesIO()
    np.savez(data, left=patch.left if patch else 0, top=patch.top if patch else 0, **flows)
    write_whole(path, data.getvalue())
    flow = next(iter(flows.values()), None)
    if flow is not None and flow.size:
        write_image(path.with_suffix(".png"), viz.flow_colours(flow.astype(np.float32), longest))


def _count(patch: CompletedBox) -> dict[str, Any]:
    """Count the pixels of a patch by where they come from."""
    occluded, invented = int(np.count_nonzero(patch.occluded)), int(np.count_nonzero(patch.missing))
    mean = round(float(patch.confidence[patch.occluded].mean()) / 255, 4) if occluded else None
    return {"occluded": occluded, "propagated": occluded - invented, "invented": invented, "confidence": mean}


def _lists(counts: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    return {key: [row[key] for row in counts] for key in counts[0]}
