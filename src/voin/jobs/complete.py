"""Run a completion over files: read, complete and write chunk by chunk, and go on where a stopped run ended.

Three threads work at once. One reads frames and keeps the objects' windows, the main one completes them, and one reads
the frames again, pastes what was completed and writes. Memory holds a few chunks, however long the video is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from voin.core import __version__
from voin.core.errors import FileRefusal, ValueRefusal, count_of
from voin.core.files import ChangedInput, check_output, identity, write_json
from voin.core.overlap import BackgroundWriter
from voin.core.progress import Notes, Progress, Silent
from voin.core.system import limit_arenas, memory_refusal, trim_heap
from voin.io.colour.codecs import CODINGS, choose_codec, coding_words
from voin.io.colour.hardware import check_encoder
from voin.io.colour.picture_kinds import KEPT
from voin.io.fields import fields_words
from voin.io.masks.kept import KeptMasks
from voin.io.masks.source import MaskPaths, identify, list_paths
from voin.io.tracks import Carried
from voin.io.video import VideoInfo, join
from voin.io.video_join import check_extras, check_sound
from voin.jobs.background.scene import BACKGROUND, check_asked, load_background
from voin.jobs.check import Inputs, check_further_masks, check_inputs, check_order, check_room
from voin.jobs.keyframes import fill_gaps, is_tracked
from voin.jobs.layout import RECORD, TRACKED, Folder, Layout, is_output, make_record
from voin.jobs.mask import choose_tracker, mask
from voin.jobs.options import CompleteOptions, Device, FrameOptions, MaskOptions
from voin.jobs.plan import Chunk, Plan, find_cuts, make_plan
from voin.jobs.preview import write_preview
from voin.jobs.reader import WindowReader
from voin.jobs.writer import ChunkWriter, CompletedChunk, with_half_flow
from voin.method.background import Background
from voin.method.load import load
from voin.method.parts import ObjectCompleter, shares
from voin.method.window import WindowConfig
from voin.tracking.prompts import Prompt


@runtime_checkable
class Completer(ObjectCompleter, Protocol):
    """What completes one object in some frames of a clip; `voin.Inpainter` is one."""

    def settings(self) -> dict[str, Any]:
        """Return what the result depends on, as JSON can hold it; runs with other settings are other runs."""
        ...


def complete(
    video: Path | str,
    masks: MaskPaths | None,
    out: Path | str,
    options: CompleteOptions = CompleteOptions(),  # noqa: B008 - frozen
    *,
    prompts: Sequence[Prompt] = (),
    inpainter: Completer | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Complete the objects in a video and write everything into the folder `out`.

    All input is checked before anything is written. A run that was stopped goes on with the first unfinished chunk when
    the same run is started again; one that is finished is not repeated, unless `options.overwrite` is set.

    Args:
        video: a video file, a GIF or a folder of frames.
        masks: where the objects are visible: a folder of PNGs, a mask video, an .npz or .npy, an annotation file, or
            several of these, of other objects each. None where `prompts` mark the object: it is then tracked first, as
            `voin.mask` does it, and its masks are kept in `out/masks`.
        out: the output folder; it is made if need be.
        options: which frames and objects, and what is written.
        prompts: what marks the object where there are no masks, at most one a frame.
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
    video, out = Path(video), Path(out)
    check_output(out)
    _check_marked(masks, prompts, options)
    check_asked(options)
    inpainter, progress = inpainter or load(), progress or Silent()
    background = load_background(inpainter, options.background_model) if options.background else None
    given = [] if masks is None else list_paths(masks)
    _check_apart(out, (video, *given, options.amodal, options.occluder))
    # Only once nothing is refused any more.
    note = progress.note if isinstance(progress, Notes) else lambda _: None
    if masks is None:
        given = [_track_first(video, prompts, out, options, inpainter.settings().get("device", "auto"), progress, note)]
    kept = KeptMasks(out / Folder.STATE / "masks")
    inputs = check_inputs(video, given, options, progress, kept)
    inputs.masks.reading = replace(inputs.masks.reading, tracked=is_tracked(inputs))
    seconds = {"masks": time.perf_counter() - began}
    window, settings = inpainter.window_of(inputs.info.size), inpainter.settings()
    if background is not None:
        settings = settings | {"background": background.inpainter.settings()}
    layout = _layout(inputs.info, inputs.ids, options, inputs.masks.reading.tracked)
    folder = Folder(out, layout, _request(inputs, given, window, settings, layout))
    folder.check(options.overwrite)
    if folder.record is not None and folder.is_finished() and not options.overwrite and folder.state is None:
        for line in inputs.notes():
            note(line)
        return folder.record | {"finished_before": True}
    sound = _check_sound(inputs.info, options)
    if not layout.png:
        check_encoder(inputs.info, options.quality)
    check_room(inputs, out, layout.png, share=1 - folder.finished_frames() / inputs.count)
    for line in inputs.notes():
        note(line)
    if not layout.png and (words := coding_words(inputs.info.samples, options.quality)):
        note(words)
    if words := _fields_words(inputs.info, options):
        note(words)
    if "anew" in sound or "left out" in sound:
        note(sound)
    if words := _check_extras(inputs, layout).words:
        note(words)
    with folder.held(options.overwrite), _late_faults(folder):
        if folder.record is not None and folder.is_finished() and not options.overwrite:
            folder.forget()  # the run was killed after its last word
            return folder.record | {"finished_before": True}
        cuts = _cuts(inputs, folder, progress, seconds)
        folder.start(cuts)
        kept.save()
        if layout.tracked:
            began_tracking = time.perf_counter()
            inputs = fill_gaps(
                inputs, cuts, out / TRACKED, folder.request, str(settings.get("device", "auto")), progress
            )
            seconds["track"] = time.perf_counter() - began_tracking
        plan = make_plan(inputs, cuts, window, shares(inpainter))
        finished = folder.finished_chunks(plan.chunks, inputs.start)
        earlier = finished[-1]["wall"] if finished else 0.0

        def wall() -> float:
            return earlier + time.perf_counter() - began

        def check_files() -> None:
            folder.check_input(_files(inputs, given))

        if todo := plan.chunks[len(finished) :]:
            writer = ChunkWriter(inputs, plan, todo[0].start, folder, progress, wall)
            _complete_chunks(inpainter, background, inputs, plan, todo, writer, progress, check_files)
        check_files()
        return _finish(inputs, plan, folder, seconds, wall)


@contextmanager
def _late_faults(folder: Folder) -> Iterator[None]:
    """Let a refusal in the middle of the work say what it leaves; where nothing is finished, nothing is left."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ChangedInput):
            folder.drop_mixed()
        frames = folder.finished_frames()
        if (isinstance(error, FileRefusal) or memory_refusal(error)) and not frames and folder.is_begun():
            folder.clear()
        if not isinstance(error, FileRefusal) or isinstance(error, ChangedInput) or not frames:
            raise
        left = f"{count_of(frames, 'finished frame')} in {folder.path} are kept: the same command goes on with the next"
        raise FileRefusal(error.what, error.must, "; ".join(filter(None, (error.remedy, left)))) from error


def _complete_chunks(
    inpainter: Completer,
    background: Background | None,
    inputs: Inputs,
    plan: Plan,
    todo: tuple[Chunk, ...],
    writer: ChunkWriter,
    progress: Progress,
    check_files: Callable[[], None],
) -> None:
    """Complete and write all chunks that are left, in each the front-most object first."""
    total = sum(chunk.count for chunk in todo)
    progress.stage("complete", total)
    progress.stage("write", total)
    options = inputs.options
    asked: dict[str, Any] = {"with_flow": options.save_flow or options.layer == "exr"}
    asked["with_shape"] = options.save_confidence
    with (
        closing(writer),
        closing(BackgroundWriter(writer.write, "write")) as follower,
        closing(WindowReader(inputs, plan, todo)) as reader,
    ):
        for chunk, following in zip(todo, [*todo[1:], None], strict=True):
            read_before, clock = reader.seconds, {}
            clips = reader.clips(chunk)
            patches = {
                number: [
                    with_half_flow(patch)
                    for patch in inpainter.complete_object(
                        *clips[number], category=inputs.category(number), **asked, clock=clock
                    )
                ]
                for number in inputs.ids
                if number in clips
            }
            behind = None
            if background is not None and BACKGROUND in clips:
                behind = background.fill_boxes(*clips[BACKGROUND], clock)
            del clips
            clock["read"] = reader.seconds - read_before
            progress.advance("complete", chunk.count)
            if following is not None:
                reader.release(following)
            trim_heap()
            # Waits until the chunk before is written; this one's windows are gone by then.
            follower.put(CompletedChunk(chunk, patches, clock, behind))
            del patches, behind
            check_files()
        follower.finish()


def _cuts(inputs: Inputs, folder: Folder, progress: Progress, seconds: dict[str, float]) -> tuple[int, ...]:
    if inputs.cuts is not None:
        return inputs.cuts
    if folder.is_begun() and folder.state is not None:
        return tuple(sorted({cut for cut in folder.state["cuts"] if inputs.start < cut < inputs.end}))
    began = time.perf_counter()
    cuts = find_cuts(inputs.info, inputs.start, inputs.end, inputs.options.skip_broken, progress)
    seconds["cuts"] = time.perf_counter() - began
    return cuts


def _layout(info: VideoInfo, ids: tuple[int, ...], options: CompleteOptions, tracked: bool = False) -> Layout:
    return Layout(
        names=info.names[options.start : options.end],
        ids=tuple(sorted(ids)),
        png=options.png or info.kind != "video",
        completed=completed_suffix(info, options),
        layer=options.layer,
        flow=options.save_flow,
        confidence=options.save_confidence,
        tracked=tracked,
        background=options.background,
    )


def completed_suffix(info: VideoInfo, options: CompleteOptions) -> str:
    """Return the suffix of the completed video or frames, which hold what the source's samples do."""
    if info.kind == "video" and not options.png:
        return CODINGS[choose_codec(info.samples, options.quality)].suffix
    return ".png" if options.png else KEPT.get(info.samples.layout, ".png")


def _check_extras(inputs: Inputs, layout: Layout) -> Carried:
    """Return what becomes of subtitles, chapters and titles of a video; pictures do not even hold its sound."""
    extras = check_extras(inputs.info, "" if layout.png else layout.completed_suffix, inputs.start)
    silenced = layout.png and inputs.info.kind == "video" and inputs.info.audio and inputs.options.audio
    return replace(extras, left_out=("sound", *extras.left_out)) if silenced else extras


def _fields_words(info: VideoInfo, options: CompleteOptions) -> str:
    pictures = options.png or info.kind != "video"
    encoder = "" if pictures else CODINGS[choose_codec(info.samples, options.quality)].encoder
    return fields_words(info.samples.fields, info.deinterlace, encoder)


def _check_sound(info: VideoInfo, options: CompleteOptions) -> str:
    """Try the sound of a run that keeps it; return what becomes of it."""
    if not options.audio or info.kind != "video" or options.png:
        return ""
    return check_sound(info, completed_suffix(info, options))


def _track_first(
    video: Path,
    prompts: Sequence[Prompt],
    out: Path,
    options: CompleteOptions,
    device: Device,
    progress: Progress,
    note: Callable[[str], object],
) -> Path:
    """Track the object that is marked, all else being checked before; return the folder of its masks."""

    def check_rest(info: VideoInfo) -> None:
        check_further_masks(info, options, (1,), progress)
        check_order((1,), options)
        _check_sound(info, options)
        # Whatever run stands there, it is another one.
        Folder(out, _layout(info, (1,), options), {}).check(options.overwrite)

    shared = {declared.name: getattr(options, declared.name) for declared in fields(FrameOptions)}
    how = MaskOptions(**shared, tracker=options.tracker, device=device)
    record = mask(video, prompts, out / TRACKED, how, progress, ready=check_rest)
    seen = sum(area > 0 for area in record["areas"])
    marked = count_of(len(prompts), "prompt")
    frames = count_of(record["tracked"], "frame")
    note(f"Tracked from {marked} ({record['tracker']}): the object is seen in {seen} of {frames}; {out / TRACKED}")
    return out / TRACKED


def _check_marked(masks: MaskPaths | None, prompts: Sequence[Prompt], options: CompleteOptions) -> None:
    """Refuse what says nothing of the object, or says it twice."""
    if masks is None and not prompts:
        raise ValueRefusal(
            "nothing says what the object is",
            "it must have masks, or be marked on a frame",
            "give MASKS, or mark it with --box X,Y,W,H or --point X,Y",
        )
    if prompts and (masks is not None or options.mask_frames is not None or options.invert_masks):
        what = "masks" if masks is not None else "options of masks"
        raise ValueRefusal(
            f"the object is marked, and {what} are given, too", "one of both must say what it is", "leave one out"
        )


def _check_apart(out: Path, given: Iterable[Path | str | None]) -> None:
    """Refuse to write where input is read from."""
    target = out.resolve()
    for path in filter(None, given):
        source = Path(path).resolve()
        if source == target or (target in source.parents and is_output(source.relative_to(target))):
            raise ValueRefusal(
                f"{path} is input, and {out} would mix output up with it",
                "both need places of their own",
                "choose another output folder",
            )


def _request(
    inputs: Inputs, masks: Sequence[Path], window: WindowConfig, settings: dict[str, Any], layout: Layout
) -> dict[str, Any]:
    """Return all that the output depends on."""
    options = inputs.options
    chosen = asdict(options)
    elsewhere = ("overwrite", "skip_broken", "cuts", "amodal", "occluder", "start", "end", "ids", "png", "limits")
    elsewhere += ("hwaccel",)  # a card decodes to the same frames
    unused = () if options.background else ("background", "background_model")
    for key in (*elsewhere, "track_between", "tracker", *unused):
        del chosen[key]
    tracking = {"tracking": {"tracker": choose_tracker(options.tracker)}} if layout.tracked else {}
    return {
        "voin": __version__,
        **_files(inputs, masks),
        "frames": [inputs.start, inputs.end],
        "cuts": "auto" if inputs.cuts is None else inputs.cuts,
        "options": chosen | {"order": inputs.ids, "nearer_hide": inputs.nearer_hide, "png": layout.png},
        "window": asdict(window),
        "settings": settings,
        **tracking,
    }


def _files(inputs: Inputs, masks: Sequence[Path]) -> dict[str, Any]:
    """Return what tells the files that are read from others."""
    options = inputs.options
    return {
        "video": identity(inputs.info.path),
        "masks": identify(masks),
        "amodal": identify(options.amodal) if options.amodal else None,
        "occluder": identify(options.occluder) if options.occluder else None,
    }


def _finish(
    inputs: Inputs, plan: Plan, folder: Folder, seconds: dict[str, float], wall: Callable[[], float]
) -> dict[str, Any]:
    """Join the segments, make the preview and the record, and drop the state."""
    began = time.perf_counter()
    for video in folder.layout.videos():
        segments = [folder.part_of(chunk, video) for chunk in plan.chunks]
        main = video == folder.layout.completed_video
        sound = inputs.options.audio and main
        span = {"start": inputs.start, "end": inputs.end}
        join(segments, folder.path / video, inputs.info, **span, audio=sound, extras=main)
    write_preview(folder, plan.chunks)
    seconds["join"] = time.perf_counter() - began
    extras = _check_extras(inputs, folder.layout)
    record = make_record(inputs, plan, folder, seconds, wall()) | {
        "carried": {"kept": list(extras.kept), "left_out": list(extras.left_out)}
    }
    write_json(folder.path / RECORD, record)
    folder.forget()
    return record | {"finished_before": False}
