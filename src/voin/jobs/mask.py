"""Make the visible masks of an object in a video out of prompts: files in, files out.

`masks.json` stands in the output folder from the beginning of a run; a run that was stopped has not set `finished` in
it, and is done again. Pictures lie in `preview/`, since every PNG in the folder itself is a mask.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from voin.core import __version__
from voin.core import draw as viz
from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.files import differences, identity, write_json
from voin.core.progress import Progress, Silent
from voin.core.system import choose_device
from voin.core.types import Mask, Picture
from voin.io.images import FRAME_SUFFIXES, shown, write_image
from voin.io.masks import write_label
from voin.io.seek import FrameBlocks
from voin.io.shots import CutDetector, read_cuts
from voin.io.video import Quality, VideoInfo, VideoWriter, probe, read
from voin.jobs.options import MaskOptions
from voin.tracking.flow_tracker import FlowTracker
from voin.tracking.prompts import Prompt, check_prompts
from voin.tracking.sam2 import MODEL, has_sam2, load_sam2
from voin.tracking.shot import REACH, PackedMask, Tracker, mark, steps_of, track_shot

_SMALLEST = 32  # pixels; nothing can be tracked in less
_COLUMNS = 8  # of the contact sheet


@dataclass(frozen=True)
class _Shot:
    """A stretch without a cut, and what is marked in it."""

    start: int
    end: int
    prompts: tuple[Prompt, ...]


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
) -> dict[str, Any]:
    """Track the object that `prompts` mark, and write its visible mask in every frame of the video into `out`.

    All input is checked before anything is written. A prompt counts for its own shot; in shots without one, and outside
    `options.start` to `options.end`, masks are empty. A run that was stopped is done again by the same call.

    Args:
        video: a video file, a GIF or a folder of frames.
        prompts: at most one a frame.
        out: the output folder; it is made if need be.
        options: see there.
        progress: told how far the job is; stages are "cuts", "track", "write" and "preview".

    Returns:
        The content of masks.json, and `finished_before`: whether there was nothing left to do.

    Raises:
        OSError: a file cannot be read or written, or the folder holds something else.
        ValueError: video, prompts and options do not fit each other.
        ImportError: SAM 2 without the extra `sam2`.
    """
    clock = _Clock()
    video, out, progress = Path(video), Path(out), progress or Silent()
    info, start, end, cuts = _check(video, out, options)
    given = check_prompts(prompts, info.size, start, end)
    name = _tracker_name(options)
    folder = MaskFolder.look(out, info.count, options.preview, _request(video, given, options, name, start, end, cuts))
    folder.check(options.overwrite)
    if folder.record is not None and folder.is_finished() and not options.overwrite:
        return folder.record | {"finished_before": True}
    tracker = FlowTracker() if name == "grabcut" else load_sam2(options.model, choose_device(options.device))
    folder.begin()
    clock.lap("check")
    if cuts is None:
        cuts = _find_cuts(info, start, end, options, progress)
        clock.lap("cuts")
    shots = _shots(given, start, end, cuts)
    masks = _track(info, tracker, shots, options, progress)
    clock.lap("track")
    areas = _write(info, masks, out, progress)
    clock.lap("write")
    if options.preview:
        _preview(info, masks, out, start, end, options, progress)
        clock.lap("preview")
    tracked = sum(shot.end - shot.start for shot in shots)
    record = {
        "tracker": name,
        "start": start,
        "end": end,
        "cuts": list(cuts),
        "tracked": tracked,
        "areas": areas,
        "seconds": clock.seconds,
        "seconds_a_frame": clock.seconds["track"] / tracked,
    }
    return folder.finish(record) | {"finished_before": False}


class _Clock:
    """Seconds of each part of a job."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Note how long it took since the last lap."""
        now = time.perf_counter()
        self.seconds[name], self._last = now - self._last, now


def _check(video: Path, out: Path, options: MaskOptions) -> tuple[VideoInfo, int, int, tuple[int, ...] | None]:
    info = probe(video)
    if min(info.size) < _SMALLEST:
        raise ValueRefusal(
            f"{video} is {shown(info.size)}", f"frames must be at least {_SMALLEST}x{_SMALLEST}", "give a larger video"
        )
    end = info.count if options.end is None else options.end
    if not 0 <= options.start < end <= info.count:
        raise ValueRefusal(
            f"frames {options.start} to {end} are asked of {info.path}",
            f"it has the frames 0 to {info.count} (the last number is not included)",
            "choose a start below the end, both within these",
        )
    if out.resolve() == video.resolve():
        raise ValueRefusal(
            f"{out} is the video itself, and masks would be mixed up with it",
            "both need places of their own",
            "choose another output folder",
        )
    if options.cuts == "auto":
        cuts = None
    elif options.cuts == "none":
        cuts = ()
    else:
        cuts = tuple(cut for cut in read_cuts(Path(options.cuts), info.count) if options.start < cut < end)
    return info, options.start, end, cuts


def _tracker_name(options: MaskOptions) -> Literal["grabcut", "sam2"]:
    if options.tracker == "auto":
        return "sam2" if has_sam2(options.model) else "grabcut"
    return options.tracker


def _request(
    video: Path,
    prompts: Sequence[Prompt],
    options: MaskOptions,
    name: str,
    start: int,
    end: int,
    cuts: tuple[int, ...] | None,
) -> dict[str, Any]:
    """Say all that the masks depend on."""
    marked = []
    for prompt in prompts:
        known = asdict(prompt)
        if prompt.mask is not None:
            known["mask"] = hashlib.sha256(np.packbits(prompt.mask).tobytes()).hexdigest()[:16]
        marked.append(known)
    return {
        "voin": __version__,
        "video": identity(video),
        "prompts": marked,
        "tracker": name,
        "model": (options.model or MODEL) if name == "sam2" else None,
        "frames": [start, end],
        "cuts": "auto" if cuts is None else list(cuts),
        "skip_broken": options.skip_broken,
    }


def _find_cuts(info: VideoInfo, start: int, end: int, options: MaskOptions, progress: Progress) -> tuple[int, ...]:
    progress.stage("cuts", end - start)
    detector, found = CutDetector(), []
    for index, frame in enumerate(read(info, start, end, skip_broken=options.skip_broken), start=start):
        if detector.is_cut(frame):
            found.append(index)
        progress.advance("cuts")
    return tuple(found)


def _shots(prompts: Sequence[Prompt], start: int, end: int, cuts: Sequence[int]) -> list[_Shot]:
    """List the shots in which something is marked."""
    every = [
        _Shot(first, last, tuple(prompt for prompt in prompts if first <= prompt.frame < last))
        for first, last in pairwise([start, *cuts, end])
    ]
    return [shot for shot in every if shot.prompts]


def _track(
    info: VideoInfo, tracker: Tracker, shots: Sequence[_Shot], options: MaskOptions, progress: Progress
) -> dict[int, PackedMask]:
    progress.stage("track", sum(steps_of(shot.prompts, shot.start, shot.end) for shot in shots))
    masks: dict[int, PackedMask] = {}
    for shot in shots:
        frames = FrameBlocks(info, shot.start, shot.end, options.skip_broken)
        found = track_shot(
            tracker,
            frames.__getitem__,
            shot.prompts,
            shot.start,
            shot.end,
            lambda count: progress.advance("track", count),
        )
        masks |= dict(zip(range(shot.start, shot.end), found, strict=True))
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
    info: VideoInfo,
    masks: dict[int, PackedMask],
    out: Path,
    start: int,
    end: int,
    options: MaskOptions,
    progress: Progress,
) -> None:
    """Write a video with the masks drawn in, and a sheet of some frames with them."""
    (out / PREVIEW_VIDEO).parent.mkdir(exist_ok=True)
    progress.stage("preview", end - start)
    tracked = sorted(masks)
    chosen = {tracked[i] for i in viz.spread(len(tracked), _COLUMNS)}
    sheet: dict[int, tuple[Picture, Picture]] = {}
    times = [time - info.times[start] for time in info.times[start:end]]
    with VideoWriter(out / PREVIEW_VIDEO, info, times, Quality(crf=23)) as writer:
        for frame, picture in enumerate(read(info, start, end, skip_broken=options.skip_broken), start=start):
            drawn = picture
            if frame in masks:
                mask = masks[frame].mask()
                drawn = viz.outline(viz.overlay(picture, mask, viz.VISIBLE, 0.4), mask, viz.VISIBLE)
            writer.write(drawn)
            if frame in chosen:
                sheet[frame] = (picture, drawn)
            progress.advance("preview")
    rows = [(name, [each[i] for each in sheet.values()]) for i, name in enumerate(("input", "mask"))]
    crop = viz.around((masks[frame].mask() for frame in sheet), margin=0.4)
    columns = [f"frame {frame}" for frame in sheet]
    write_image(out / PREVIEW_SHEET, viz.contact_sheet(rows, columns, crop=crop))


RECORD = "masks.json"


PREVIEW_VIDEO, PREVIEW_SHEET = Path("preview", "overlay.mp4"), Path("preview", "sheet.png")


def mask_name(frame: int) -> str:
    """Give the file name of a frame's mask."""
    return f"{frame:05d}.png"


@dataclass(frozen=True)
class MaskFolder:
    """An output folder and what stands in it.

    Attributes:
        path: the folder, which need not exist.
        count: frames of the video, each of which gets a mask.
        preview: a preview is to be written, too.
        request: what the run is made from; two runs with the same request give the same masks.
        record: what masks.json says there, if it is one of ours.
    """

    path: Path
    count: int
    preview: bool
    request: dict[str, Any]
    record: dict[str, Any] | None

    @staticmethod
    def look(path: Path, count: int, preview: bool, request: dict[str, Any]) -> MaskFolder:
        """Look at a folder, and change nothing."""
        request = json.loads(json.dumps(request, default=str))
        return MaskFolder(path, count, preview, request, _load(path / RECORD))

    def is_finished(self) -> bool:
        """Say whether this very run stands here, with all its files."""
        same = self.record is not None and self.record["finished"] and self.record["request"] == self.request
        return same and all((self.path / file).exists() for file in _files(self.count, self.preview))

    def check(self, overwrite: bool) -> None:
        """Refuse a folder in which something else stands.

        Raises:
            OSError: it is a file, holds another run, or pictures that no run wrote: they would be read as masks.
        """
        if self.path.exists() and not self.path.is_dir():
            raise FileRefusal(f"{self.path} is a file", "the output must be a folder", "choose another name")
        others = self.record is not None and self.record["finished"] and self.record["request"] != self.request
        if self.record is not None and others and not overwrite:
            told = ", ".join(differences(self.record["request"], self.request)[:4])
            raise FileRefusal(
                f"{self.path} holds other masks{f' (other {told})' if told else ''}",
                "each run needs a folder of its own",
                "choose another one, or use --overwrite to replace them",
            )
        own = set(self._own())
        there = sorted(self.path.iterdir()) if self.path.is_dir() else []
        found = [each for each in there if each.suffix.lower() in FRAME_SUFFIXES]
        strange = next((each.name for each in found if Path(each.name) not in own), None)
        if strange is None and Path(RECORD) not in own and (self.path / RECORD).exists():
            strange = RECORD
        if strange is not None:
            raise FileRefusal(
                f"{self.path} holds {strange}, which voin mask did not write",
                "masks need a folder of their own",
                "choose another one",
            )

    def begin(self) -> None:
        """Remove what an earlier run has written, and note that this one works here."""
        for file in self._own():
            (self.path / file).unlink(missing_ok=True)
        with suppress(OSError):  # not there, or something else is in it
            (self.path / PREVIEW_SHEET).parent.rmdir()
        self.path.mkdir(parents=True, exist_ok=True)
        self._write({"finished": False})

    def finish(self, record: dict[str, Any]) -> dict[str, Any]:
        """Write the record of a finished run; gives what stands in it."""
        return self._write({"finished": True} | record)

    def _write(self, record: dict[str, Any]) -> dict[str, Any]:
        whole = record | {"frames": self.count, "preview": self.preview, "request": self.request}
        write_json(self.path / RECORD, whole)
        return whole

    def _own(self) -> Iterator[Path]:
        if self.record is not None:
            yield from _files(int(self.record["frames"]), True)
            yield Path(RECORD)


def _files(count: int, preview: bool) -> Iterator[Path]:
    yield from (Path(mask_name(frame)) for frame in range(count))
    if preview:
        yield from (PREVIEW_VIDEO, PREVIEW_SHEET)


def _load(path: Path) -> dict[str, Any] | None:
    """Read a record, if it is one of ours."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    fits = isinstance(found, dict) and isinstance(found.get("frames"), int) and isinstance(found.get("request"), dict)
    return found if fits and isinstance(found.get("finished"), bool) else None
