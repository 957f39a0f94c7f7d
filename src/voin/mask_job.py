"""Make the visible masks of an object in a video out of prompts: files in, files out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from voin import __version__, viz
from voin.clip import Mask, Picture
from voin.cuts import CutDetector, read_cuts
from voin.frame_blocks import FrameBlocks
from voin.mask_files import write_label
from voin.mask_shot import PackedMask, mark, steps_of, track_shot
from voin.mask_track import FlowTracker
from voin.options import Progress, Silent
from voin.outputs import write_json
from voin.pictures import shown, write_image
from voin.prompts import Prompt, check_prompts
from voin.video import Quality, VideoInfo, VideoWriter, probe, read

TrackerName = Literal["auto", "grabcut", "sam2"]
RECORD = "masks.json"
PREVIEW_VIDEO, PREVIEW_SHEET = Path("preview", "overlay.mp4"), Path("preview", "sheet.png")
_SMALLEST = 32
_COLUMNS = 8


@dataclass(frozen=True)
class MaskOptions:
    """How to track.

    Args:
        tracker: "grabcut" needs no weights; "sam2" is SAM 2 (extra `sam2`); "auto" takes SAM 2 where its weights are on
            this machine.
        model: weights of SAM 2: a folder, or owner/name on the Hugging Face hub; None for its own choice.
        device: where SAM 2 runs: auto, cpu, cuda or mps.
        start: First frame to track.
        end: Frame after the last one; None for all.
        cuts: Where shots begin: "auto" finds hard cuts, "none" takes it all for one shot, a file lists frame numbers.
        preview: Also write a video with the masks drawn in, and a contact sheet.
        skip_broken: Show the frame before in place of one that does not decode.
        overwrite: Replace another run in the output folder.
    """

    tracker: TrackerName = "auto"
    model: str | None = None
    device: str = "auto"
    start: int = 0
    end: int | None = None
    cuts: str | Path = "auto"
    preview: bool = False
    skip_broken: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.tracker not in get_args(TrackerName):
            known = ", ".join(get_args(TrackerName))
            raise ValueError(f"tracker is {self.tracker!r}; it must be one of {known}; take auto")


def mask_of_prompt(video: Path | VideoInfo, prompt: Prompt) -> Mask:
    """Show what a prompt takes for the object on its own frame, at once; the embedded tracker starts there.

    Raises:
        OSError: the video cannot be read.
        ValueError: the prompt does not fit it.
    """
    info = video if isinstance(video, VideoInfo) else probe(video)
    check_prompts([prompt], info.size, 0, info.count)
    return mark(FlowTracker(), FrameBlocks(info, 0, info.count).__getitem__, prompt, 0, info.count)


def run_masks(
    video: Path,
    prompts: Sequence[Prompt],
    out: Path,
    options: MaskOptions = MaskOptions(),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Track the object that `prompts` mark, and write its visible mask in every frame of the video into `out`.

    All input is checked before anything is written. A prompt counts for its own shot; in shots without one, and outside
    `options.start` to `options.end`, masks are empty.

    Args:
        video: a video file, a GIF or a folder of frames.
        prompts: at most one a frame.
        out: the output folder; it is made if need be.
        options: see there.
        progress: told how far the job is; stages are "cuts", "track", "write" and "preview".

    Returns:
        The content of masks.json.

    Raises:
        OSError: a file cannot be read or written, or the folder holds something else.
        ValueError: video, prompts and options do not fit each other.
        ImportError: SAM 2 without the extra `sam2`.
    """
    began = time.perf_counter()
    video, out, progress = Path(video), Path(out), progress or Silent()
    info, start, end, cuts = _check(video, options)
    given = check_prompts(prompts, info.size, start, end)
    tracker = FlowTracker()
    if cuts is None:
        cuts = _find_cuts(info, start, end, options, progress)
    shots = [
        (first, last, [prompt for prompt in given if first <= prompt.frame < last])
        for first, last in pairwise([start, *cuts, end])
    ]
    shots = [shot for shot in shots if shot[2]]
    masks: dict[int, PackedMask] = {}
    progress.stage("track", sum(steps_of(marked, first, last) for first, last, marked in shots))
    for first, last, marked in shots:
        blocks = FrameBlocks(info, first, last, options.skip_broken)
        found = track_shot(
            tracker, blocks.__getitem__, marked, first, last, lambda count: progress.advance("track", count)
        )
        masks |= dict(zip(range(first, last), found, strict=True))
    out.mkdir(parents=True, exist_ok=True)
    progress.stage("write", info.count)
    areas = []
    for frame in range(info.count):
        mask = masks[frame].mask() if frame in masks else np.zeros(info.size, bool)
        write_label(out / f"{frame:05d}.png", mask.astype(np.uint8))
        areas.append(int(mask.sum()))
        progress.advance("write")
    if options.preview:
        _preview(info, masks, out, start, end, options, progress)
    seconds = time.perf_counter() - began
    record = {
        "voin": __version__,
        "video": str(video.resolve()),
        "tracker": tracker.name,
        "frames": info.count,
        "start": start,
        "end": end,
        "cuts": list(cuts),
        "prompts": [prompt.frame for prompt in given],
        "areas": areas,
        "seconds": seconds,
    }
    write_json(out / RECORD, record)
    return record


def _check(video: Path, options: MaskOptions) -> tuple[VideoInfo, int, int, tuple[int, ...] | None]:
    info = probe(video)
    if min(info.size) < _SMALLEST:
        raise ValueError(
            f"{video} is {shown(info.size)}; frames must be at least {_SMALLEST}x{_SMALLEST}; give a larger video"
        )
    end = info.count if options.end is None else options.end
    if not 0 <= options.start < end <= info.count:
        raise ValueError(
            f"frames {options.start} to {end} are asked of {info.path}; it has the frames 0 to {info.count} (the last "
            "number is not included); choose a start below the end, both within these"
        )
    if options.cuts == "auto":
        cuts = None
    elif options.cuts == "none":
        cuts = ()
    else:
        cuts = tuple(cut for cut in read_cuts(Path(options.cuts), info.count) if options.start < cut < end)
    return info, options.start, end, cuts


def _find_cuts(info: VideoInfo, start: int, end: int, options: MaskOptions, progress: Progress) -> tuple[int, ...]:
    progress.stage("cuts", end - start)
    detector, found = CutDetector(), []
    for index, frame in enumerate(read(info, start, end, skip_broken=options.skip_broken), start=start):
        if detector.is_cut(frame):
            found.append(index)
        progress.advance("cuts")
    return tuple(found)


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
    write_image(out / PREVIEW_SHEET, viz.contact_sheet(rows, columns=[f"frame {frame}" for frame in sheet]))
