"""Run a completion over files: read, complete and write chunk by chunk, and go on where a stopped run ended.

Three threads work at once. One reads frames and keeps the objects' windows, the main one completes them, and one reads
the frames again, pastes what was completed and writes. Memory holds a few chunks, however long the video is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from voin.core import __version__
from voin.core.errors import ValueRefusal
from voin.core.files import identity, write_json
from voin.core.overlap import BackgroundWriter
from voin.core.progress import Notes, Progress, Silent
from voin.core.system import limit_arenas, trim_heap
from voin.io.video import join
from voin.jobs.check import Inputs, check_inputs, check_room
from voin.jobs.layout import RECORD, Folder, Layout, is_output
from voin.jobs.options import CompleteOptions
from voin.jobs.plan import Chunk, Plan, find_cuts, make_plan
from voin.jobs.preview import write_preview
from voin.jobs.reader import WindowReader
from voin.jobs.record import make_record
from voin.jobs.writer import ChunkWriter, CompletedChunk, with_half_flow
from voin.method.load import load
from voin.method.window import CompletedBox, ObjectClip, WindowConfig


@runtime_checkable
class Completer(Protocol):
    """What completes one object in some frames of a clip; `voin.Inpainter` is one."""

    def complete_object(
        self, clip: ObjectClip, wanted: range, *, category: str | None, with_flow: bool, clock: dict[str, float]
    ) -> list[CompletedBox]:
        """Return a patch for each frame in `wanted`, indices into `clip`; the other frames are context.

        Seconds that each stage takes are added to `clock`, by name.
        """
        ...

    def window_of(self, frame: tuple[int, int]) -> WindowConfig:
        """Return how windows lie in frames of size (h, w)."""
        ...

    def settings(self) -> dict[str, Any]:
        """Return what the result depends on, as JSON can hold it; runs with other settings are other runs."""
        ...


def complete(
    video: Path | str,
    masks: Path | str,
    out: Path | str,
    options: CompleteOptions = CompleteOptions(),  # noqa: B008 - frozen
    *,
    inpainter: Completer | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Complete the objects in a video and write everything into the folder `out`.

    All input is checked before anything is written. A run that was stopped goes on with the first unfinished chunk when
    the same run is started again; one that is finished is not repeated, unless `options.overwrite` is set.

    Args:
        video: a video file, a GIF or a folder of frames.
        masks: where the objects are visible: a folder of PNGs, a mask video or an .npz file.
        out: the output folder; it is made if need be.
        options: which frames and objects, and what is written.
        inpainter: the method, from `voin.load`; None: the weights that ship.
        progress: told how far the job is.

    Returns:
        The content of run.json, and `finished_before`: whether there was nothing left to do.

    Raises:
        OSError: a file cannot be read or written, or the folder holds something else.
        ValueError: video, masks and options do not fit each other.
    """
    began = time.perf_counter()
    limit_arenas()
    video, masks, out = Path(video), Path(masks), Path(out)
    inpainter, progress = inpainter or load(), progress or Silent()
    _check_apart(out, video, masks, options)
    inputs = check_inputs(video, masks, options, progress)
    seconds = {"masks": time.perf_counter() - began}
    window = inpainter.window_of(inputs.info.size)
    layout = _layout(inputs)
    folder = Folder(out, layout, _request(inputs, masks, window, inpainter.settings(), layout))
    folder.check(options.overwrite)
    # Only once nothing is refused any more.
    note = progress.note if isinstance(progress, Notes) else lambda _: None
    if folder.record is not None and folder.is_finished() and not options.overwrite and folder.state is None:
        note(inputs.masks.reading.line)
        return folder.record | {"finished_before": True}
    check_room(inputs, out, layout.png, share=1 - folder.finished_frames() / inputs.count)
    note(inputs.masks.reading.line)
    with folder.held(options.overwrite):
        if folder.record is not None and folder.is_finished() and not options.overwrite:
            folder.forget()  # the run was killed after its last word
            return folder.record | {"finished_before": True}
        plan = make_plan(inputs, _cuts(inputs, folder, progress, seconds), window)
        folder.start([shot.start for shot in plan.shots[1:]])
        finished = folder.finished_chunks(plan.chunks, inputs.start)
        earlier = finished[-1]["wall"] if finished else 0.0

        def wall() -> float:
            return earlier + time.perf_counter() - began

        if todo := plan.chunks[len(finished) :]:
            writer = ChunkWriter(inputs, plan, todo[0].start, folder, progress, wall)
            _complete_chunks(inpainter, inputs, plan, todo, writer, progress)
        return _finish(inputs, plan, folder, seconds, wall)


def _complete_chunks(
    inpainter: Completer, inputs: Inputs, plan: Plan, todo: tuple[Chunk, ...], writer: ChunkWriter, progress: Progress
) -> None:
    """Complete and write all chunks that are left, in each the front-most object first."""
    total = sum(chunk.count for chunk in todo)
    progress.stage("complete", total)
    progress.stage("write", total)
    asked: dict[str, Any] = {"category": inputs.options.category, "with_flow": inputs.options.save_flow}
    with (
        closing(writer),
        closing(BackgroundWriter(writer.write, "write")) as follower,
        closing(WindowReader(inputs, plan, todo)) as reader,
    ):
        for chunk, following in zip(todo, [*todo[1:], None], strict=True):
            read_before, clock = reader.seconds, {}
            clips, wanted = reader.clips(chunk), range(chunk.start - chunk.first, chunk.end - chunk.first)
            patches = {
                number: [
                    with_half_flow(patch)
                    for patch in inpainter.complete_object(clips[number], wanted, **asked, clock=clock)
                ]
                for number in inputs.ids
                if number in clips
            }
            del clips
            clock["read"] = reader.seconds - read_before
            progress.advance("complete", chunk.count)
            if following is not None:
                reader.release(following)
            trim_heap()
            # Waits until the chunk before is written; this one's windows are gone by then.
            follower.put(CompletedChunk(chunk, patches, clock))
            del patches
        follower.finish()


def _cuts(inputs: Inputs, folder: Folder, progress: Progress, seconds: dict[str, float]) -> tuple[int, ...]:
    if inputs.cuts is not None:
        return inputs.cuts
    if folder.is_begun() and folder.state is not None:
        return tuple(folder.state["cuts"])
    began = time.perf_counter()
    cuts = find_cuts(inputs.info, inputs.start, inputs.end, inputs.options.skip_broken, progress)
    seconds["cuts"] = time.perf_counter() - began
    return cuts


def _layout(inputs: Inputs) -> Layout:
    info, options = inputs.info, inputs.options
    return Layout(
        names=info.names[inputs.start : inputs.end],
        ids=tuple(sorted(inputs.ids)),
        png=options.png or info.kind != "video",
        layer=options.layer,
        flow=options.save_flow,
        confidence=options.save_confidence,
    )


def _check_apart(out: Path, video: Path, masks: Path, options: CompleteOptions) -> None:
    """Refuse to write where input is read from."""
    target = out.resolve()
    for path in filter(None, (video, masks, options.amodal, options.occluder)):
        source = path.resolve()
        if source == target or (target in source.parents and is_output(source.relative_to(target))):
            raise ValueRefusal(
                f"{path} is input, and {out} would mix output up with it",
                "both need places of their own",
                "choose another output folder",
            )


def _request(
    inputs: Inputs, masks: Path, window: WindowConfig, settings: dict[str, Any], layout: Layout
) -> dict[str, Any]:
    """Return all that the output depends on."""
    options = inputs.options
    chosen = asdict(options)
    for key in ("overwrite", "skip_broken", "cuts", "amodal", "occluder", "start", "end", "ids", "png"):
        del chosen[key]
    return {
        "voin": __version__,
        "video": identity(inputs.info.path),
        "masks": identity(masks),
        "amodal": identity(options.amodal) if options.amodal else None,
        "occluder": identity(options.occluder) if options.occluder else None,
        "frames": [inputs.start, inputs.end],
        "cuts": "auto" if inputs.cuts is None else inputs.cuts,
        "options": chosen | {"order": inputs.ids, "png": layout.png},
        "window": asdict(window),
        "settings": settings,
    }


def _finish(
    inputs: Inputs, plan: Plan, folder: Folder, seconds: dict[str, float], wall: Callable[[], float]
) -> dict[str, Any]:
    """Join the segments, make the preview and the record, and drop the state."""
    began = time.perf_counter()
    for video in folder.layout.videos():
        segments = [folder.part_of(chunk, video) for chunk in plan.chunks]
        sound = video.suffix == ".mp4"
        join(segments, folder.path / video, inputs.info, start=inputs.start, end=inputs.end, audio=sound)
    write_preview(folder, plan.chunks)
    seconds["join"] = time.perf_counter() - began
    record = make_record(inputs, plan, folder, seconds, wall())
    write_json(folder.path / RECORD, record)
    folder.forget()
    return record | {"finished_before": False}
