"""Make the visible masks of an object in a video out of prompts: files in, files out.

`masks.json` stands in the output folder before the first mask; a run that was stopped has not set `finished` in it, and
is done again. Pictures lie in `preview/`, since every PNG in the folder itself is a mask.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from voin.core import __version__, draw
from voin.core.errors import ValueRefusal
from voin.core.files import (
    JobFolder,
    check_output,
    check_unchanged,
    fits,
    identity,
    read_json,
    remove_files,
    write_json,
)
from voin.core.progress import Notes, Progress, Silent
from voin.core.system import choose_device
from voin.core.types import Mask, Picture
from voin.io.fields import fields_words
from voin.io.images import FRAME_SUFFIXES, write_image
from voin.io.masks.source import write_label
from voin.io.seek import FrameBlocks
from voin.io.video import Quality, VideoInfo, VideoWriter, probe, read
from voin.jobs.check import asked_cuts, check_video
from voin.jobs.options import MaskOptions, TrackerName
from voin.jobs.plan import find_cuts
from voin.tracking.flow_tracker import FlowTracker
from voin.tracking.prompts import Prompt, check_prompts
from voin.tracking.sam2 import MODEL, has_sam2, load_sam2
from voin.tracking.shot import REACH, PackedMask, Tracker, mark, steps_of, track_shot

RECORD = "masks.json"
PREVIEW_VIDEO, PREVIEW_SHEET = Path("preview", "overlay.mp4"), Path("preview", "sheet.png")
_COLUMNS = 8  # of the contact sheet
_MOST_FRAMES = 10**6  # more are no number of frames


def mask_of_prompt(video: Path | VideoInfo, prompt: Prompt) -> Mask:
    """Show what a prompt takes for the object on its own frame, at once; the embedded tracker starts there.

    Raises:
        OSError: the video cannot be read.
        ValueError: the prompt does not fit it.
    """
    info = video if isinstance(video, VideoInfo) else probe(video)
    check_prompts([prompt], info.size, 0, info.count)
    start, end = max(prompt.frame - REACH, 0), min(prompt.frame + REACH + 1, info.count)
    return mark(FlowTracker(), FrameBlocks(info, start, end).__getitem__, prompt, start, end)


def mask(
    video: Path,
    prompts: Sequence[Prompt],
    out: Path,
    options: MaskOptions = MaskOptions(),
    progress: Progress | None = None,
    *,
    ready: Callable[[VideoInfo], object] = lambda info: None,
) -> dict[str, Any]:
    """Track the object that `prompts` mark, and write its visible mask in every frame of the video into `out`.

    What hides an object is tracked in the same way (`options.what`); where it is not seen, nothing is in front.

    All input is checked before anything is written. A prompt counts for its own shot; in shots without one, and outside
    `options.start` to `options.end`, masks are empty. A run that was stopped is done again by the same call.

    Args:
        video: a video file, a GIF or a folder of frames.
        prompts: at most one a frame.
        out: the output folder; it is made if need be.
        options: how to track.
        progress: told how far the job is; stages are "cuts", "track", "write" and "preview".
        ready: called when all is checked and nothing is written yet, unless there is nothing left to do.

    Returns:
        The content of masks.json, and `finished_before`: whether there was nothing left to do.

    Raises:
        OSError: a file cannot be read or written, or the folder holds something else.
        ValueError: video, prompts and options do not fit each other.
        ImportError: SAM 2 without the extra `sam2`.
    """
    last, seconds = time.perf_counter(), {}

    def lap(name: str) -> None:
        nonlocal last
        now = time.perf_counter()
        seconds[name], last = now - last, now

    video, out, progress = Path(video), Path(out), progress or Silent()
    check_output(out)
    info, start, end = check_video(video, options)
    if out.resolve() == video.resolve():
        raise ValueRefusal(
            f"{out} is the video itself, and masks would be mixed up with it",
            "both need places of their own",
            "choose another output folder",
        )
    cuts, cuts_line = asked_cuts(options.cuts, info, start, end)
    marked = check_prompts(prompts, info.size, start, end)
    name = choose_tracker(options.tracker, options.model)
    folder = MaskFolder(out, info.count, options.preview, _request(video, marked, options, name, start, end, cuts))
    folder.check(options.overwrite)
    if folder.record is not None and folder.is_finished() and not options.overwrite:
        return folder.record | {"finished_before": True}
    tracker = load_tracker(name, options.model, options.device)
    ready(info)
    if isinstance(progress, Notes) and (words := fields_words(info.samples.fields, info.deinterlace, None)):
        progress.note(words)
    with folder.held(options.overwrite):
        lap("check")
        if cuts is None:
            cuts = find_cuts(info, start, end, options.skip_broken, progress)
            lap("cuts")
        masks = _track(info, tracker, _shots(marked, start, end, cuts), options.skip_broken, progress)
        lap("track")
        check_unchanged(folder.request, {"video": identity(video)})
        # Only now: a frame that does not decode has shown itself.
        folder.clear()
        folder.write({"finished": False})
        areas = _write(info, masks, out, progress)
        lap("write")
        if options.preview:
            _preview(info, masks, out, range(start, end), options.skip_broken, progress)
            lap("preview")
        record = {
            "finished": True,
            "tracker": name,
            "start": start,
            "end": end,
            "cuts": list(cuts),
            **({"cuts_read": cuts_line} if cuts_line else {}),
            "tracked": len(masks),
            "areas": areas,
            "seconds": seconds,
            "seconds_a_frame": seconds["track"] / len(masks),
        }
        return folder.write(record) | {"finished_before": False}


def choose_tracker(name: TrackerName, model: str | None = None) -> TrackerName:
    """Return which tracker "auto" stands for on this machine, or the one that is named."""
    return name if name != "auto" else "sam2" if has_sam2(model) else "grabcut"


def load_tracker(name: TrackerName, model: str | None, device: str) -> Tracker:
    """Make a tracker. Raises ImportError for SAM 2 without the extra `sam2`, OSError without its weights."""
    return FlowTracker() if name == "grabcut" else load_sam2(model, choose_device(device))


def _request(
    video: Path,
    prompts: Sequence[Prompt],
    options: MaskOptions,
    name: str,
    start: int,
    end: int,
    cuts: tuple[int, ...] | None,
) -> dict[str, Any]:
    """Return all that the masks depend on."""
    marked = []
    for prompt in prompts:
        marked.append(asdict(prompt))
        if prompt.mask is not None:
            marked[-1]["mask"] = hashlib.sha256(np.packbits(prompt.mask).tobytes()).hexdigest()[:16]
    return {
        "voin": __version__,
        # Left out for objects, so that records from before there was anything else are the same.
        **({} if options.what == "object" else {"what": options.what}),
        **({"deinterlace": True} if options.deinterlace else {}),
        "video": identity(video),
        "prompts": marked,
        "tracker": name,
        "model": (options.model or MODEL) if name == "sam2" else None,
        "frames": [start, end],
        "cuts": "auto" if cuts is None else list(cuts),
        "skip_broken": options.skip_broken,
    }


def _shots(
    prompts: Sequence[Prompt], start: int, end: int, cuts: Sequence[int]
) -> dict[tuple[int, int], tuple[Prompt, ...]]:
    """Return what is marked in each stretch without a cut in which something is, by its first frame and its end."""
    spans = pairwise([start, *cuts, end])
    marked = {span: tuple(prompt for prompt in prompts if span[0] <= prompt.frame < span[1]) for span in spans}
    return {span: found for span, found in marked.items() if found}


def _track(
    info: VideoInfo,
    tracker: Tracker,
    shots: dict[tuple[int, int], tuple[Prompt, ...]],
    skip_broken: bool,
    progress: Progress,
) -> dict[int, PackedMask]:
    progress.stage("track", sum(steps_of(prompts, *span) for span, prompts in shots.items()))
    masks: dict[int, PackedMask] = {}
    for (start, end), prompts in shots.items():
        frames = FrameBlocks(info, start, end, skip_broken).__getitem__
        found = track_shot(tracker, frames, prompts, start, end, lambda count: progress.advance("track", count))
        masks |= dict(zip(range(start, end), found, strict=True))
    return masks


def _write(info: VideoInfo, masks: dict[int, PackedMask], out: Path, progress: Progress) -> list[int]:
    """Write one label map a frame; gives the visible pixels of each."""
    progress.stage("write", info.count)
    empty, areas = np.zeros(info.size, np.uint8), []
    for frame in range(info.count):
        label = masks[frame].mask().astype(np.uint8) if frame in masks else empty
        write_label(out / mask_name(frame), label)
        areas.append(int(np.count_nonzero(label)))
        progress.advance("write")
    return areas


def _preview(
    info: VideoInfo, masks: dict[int, PackedMask], out: Path, span: range, skip_broken: bool, progress: Progress
) -> None:
    """Write a video with the masks drawn in, and a sheet of some frames with them."""
    (out / PREVIEW_VIDEO).parent.mkdir(exist_ok=True)
    start, end = span.start, span.stop
    progress.stage("preview", end - start)
    tracked = sorted(masks)
    chosen = {tracked[i] for i in draw.spread(len(tracked), _COLUMNS)}
    sheet: dict[int, tuple[Picture, Picture]] = {}
    times = [time - info.times[start] for time in info.times[start:end]]
    with VideoWriter(out / PREVIEW_VIDEO, info, times, Quality(crf=23)) as writer:
        for frame, picture in enumerate(read(info, start, end, skip_broken=skip_broken), start=start):
            drawn = picture
            if frame in masks:
                mask = masks[frame].mask()
                drawn = draw.outline(draw.overlay(picture, mask, draw.VISIBLE, 0.4), mask, draw.VISIBLE)
            writer.write(drawn)
            if frame in chosen:
                sheet[frame] = (picture, drawn)
            progress.advance("preview")
    rows = [(name, [pictures[i] for pictures in sheet.values()]) for i, name in enumerate(("input", "mask"))]
    crop = draw.around((masks[frame].mask() for frame in sheet), margin=0.4)
    columns = [f"frame {frame}" for frame in sheet]
    write_image(out / PREVIEW_SHEET, draw.contact_sheet(rows, columns, crop=crop))


def mask_name(frame: int) -> str:
    """Return the file name of a frame's mask."""
    return f"{frame:05d}.png"


class MaskFolder(JobFolder):
    """The output folder of masks, one for each of `count` frames, and of their preview where there is to be one.

    Its record stands there from the beginning, and says whether it is finished.
    """

    RECORD = RECORD

    def __init__(self, path: Path, count: int, preview: bool, request: dict[str, Any]) -> None:
        self.count, self.preview = count, preview
        super().__init__(path, request)

    def look(self) -> None:
        """Read what stands in the folder, and change nothing."""
        content = self.read(self.path / RECORD)
        finished = content is not None and content["finished"]
        self.record, self.state = (content, None) if finished else (None, content)

    def read(self, path: Path) -> dict[str, Any] | None:
        """Read a record, if it is one of ours."""
        content = read_json(path)
        if content is None or not fits(content, {"frames": int, "request": dict, "finished": bool}):
            return None
        told = {"tracker": str, "areas": [int], "seconds_a_frame": (int, float), "preview": bool, "tracked": int}
        whole = not content["finished"] or fits(content, told)
        return content if whole and 0 <= content["frames"] <= _MOST_FRAMES else None

    def others(self) -> list[dict[str, Any]]:
        """Return the record of other masks, if they are finished: half of them is of no use to anybody."""
        return [] if self.record is None or self.is_same(self.record) else [self.record]

    def outputs(self) -> Iterator[Path]:
        """List the files of this run but for the record."""
        return _files(self.count, self.preview)

    def stranger(self, overwrite: bool) -> str | None:
        """Return a picture that no run has written: it would be read as a mask."""
        content = self.record or self.state
        written = {*_files(content["frames"], True), Path(RECORD)} if content else set()
        entries = sorted(self.path.iterdir()) if self.path.is_dir() else []
        names = [entry.name for entry in entries if entry.suffix.lower() in FRAME_SUFFIXES or entry.name == RECORD]
        stranger = next((name for name in names if Path(name) not in written), None)
        return None if stranger is None else f"{stranger}, which voin mask did not write"

    def remove(self, content: dict[str, Any]) -> None:
        """Remove what a run has written."""
        remove_files(self.path / file for file in (*_files(content["frames"], True), Path(RECORD)))
        with suppress(OSError):  # not there, or something else is in it
            (self.path / PREVIEW_SHEET).parent.rmdir()

    def forget(self) -> None:
        """Do nothing: the record is the state."""

    def write(self, record: dict[str, Any]) -> dict[str, Any]:
        """Write the record, of which `finished` is a part; gives what stands in it."""
        whole = record | {"frames": self.count, "preview": self.preview, "request": self.request}
        write_json(self.path / RECORD, whole)
        return whole


def _files(count: int, preview: bool) -> Iterator[Path]:
    yield from (Path(mask_name(frame)) for frame in range(count))
    if preview:
        yield from (PREVIEW_VIDEO, PREVIEW_SHEET)
