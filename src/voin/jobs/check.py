"""Look at everything a job is given before it starts: a mistake is refused here, while nothing is written yet."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voin.core.errors import FileRefusal, ValueRefusal, count_of
from voin.core.progress import Progress
from voin.data.categories import known_category
from voin.io.colour.codecs import choose_codec
from voin.io.colour.exr import openexr
from voin.io.images import shown
from voin.io.masks.kept import KeptMasks
from voin.io.masks.source import MaskPaths, MaskSource, list_paths, open_masks
from voin.io.shots import read_cuts
from voin.io.timelines import SUFFIXES, Edit, read_edit
from voin.io.video import VideoInfo, probe
from voin.jobs.options import CompleteOptions, FrameOptions

_SMALLEST = 32  # pixels; nothing can be tracked in less

# Bytes for a pixel in each kind of file, on the safe side.
_PNG_BYTES, _VIDEO_BYTES, _LOSSLESS_BYTES, _LAYER_BYTES, _FLOW_BYTES = 2.5, 0.15, 2.0, 1.5, 10.0
_EXR_BYTES = 24.0  # an object's own channels
_EMPTY_BYTES = 0.02  # transparent pixels and label maps
_HIDDEN_SHARE = 2.0  # the whole object over its visible part


@dataclass(frozen=True)
class Inputs:
    """The checked input of a job: the frames `start` to `end`, exclusive, of a video, with their masks.

    Attributes:
        ids: objects that are seen in the range, from front to back.
        cuts: frames that begin a shot, where the user says so; None where they are to be found.
        cuts_line: how an edit was read that says so, for people.
    """

    info: VideoInfo
    options: CompleteOptions
    masks: MaskSource
    amodal: MaskSource | None
    occluder: MaskSource | None
    ids: tuple[int, ...]
    start: int
    end: int
    cuts: tuple[int, ...] | None
    cuts_line: str = ""

    @property
    def count(self) -> int:
        """Frames in the range."""
        return self.end - self.start

    @property
    def nearer_hide(self) -> bool:
        """Whether nearer objects are all that hides the farther ones: the user has said which is which."""
        return len(self.options.order) > 1

    def category(self, number: int) -> str | None:
        """Return what an object is: as the user says, else as the masks' file does, where methods know the word."""
        said = self.masks.reading.categories.get(number, "").lower().replace(" ", "_")
        return self.options.category or known_category(said)

    def notes(self) -> Iterator[str]:
        """Say how the masks were understood."""
        yield self.masks.reading.line
        if self.cuts_line:
            yield self.cuts_line
        known = {number: self.category(number) for number in sorted(self.ids)}
        if not self.options.category and any(known.values()):
            words = ", ".join(f"object {number} is {word}" for number, word in known.items() if word)
            yield f"Category, from the masks' file: {words} (--category decides)"
        if self.occluder is not None:
            reading, seen = self.occluder.reading, self.occluder.areas[:, self.start : self.end].any(axis=0)
            files, empty = count_of(reading.count, reading.unit), self.count - int(seen.sum())
            frames = count_of(self.count, "frame")
            yield f"In front: {files}, matched {reading.matched}; nothing in {empty} of {frames}"
        if self.nearer_hide:
            yield f"Order: {', '.join(map(str, self.ids))}; an object is hidden only by those before it" + (
                " and what is in front" if self.occluder else ""
            )

    def boxes(self, number: int) -> np.ndarray:
        """Return the boxes of an object in all frames of the video, (t, 4): of all that is known of its place."""
        boxes = self.masks.boxes[self.masks.ids.index(number)]
        if self.amodal is None:
            return boxes
        whole = self.amodal.boxes[self.amodal.ids.index(number)]
        both = np.concatenate([np.minimum(boxes[:, :2], whole[:, :2]), np.maximum(boxes[:, 2:], whole[:, 2:])], axis=1)
        visible_there = boxes.any(axis=1, keepdims=True)
        return np.where(whole.any(axis=1, keepdims=True), np.where(visible_there, both, whole), boxes)

    def areas(self, number: int) -> np.ndarray:
        """Return the visible pixels of an object in all frames of the video, (t,)."""
        return self.masks.areas[self.masks.ids.index(number)]


def check_inputs(
    video: Path, masks: MaskPaths, options: CompleteOptions, progress: Progress, kept: KeptMasks | None = None
) -> Inputs:
    """Open the video and all masks, and check that they fit each other and the options.

    Masks that are `kept` and did not change are not read again.

    Raises:
        OSError: a file cannot be read.
        ValueError: something does not fit.
    """
    if options.layer == "exr":
        openexr()
    info, start, end = check_video(video, options)
    cuts, cuts_line = asked_cuts(options.cuts, info, start, end)
    shared, named = _reading(options, progress, kept), ", ".join(map(str, list_paths(masks)))
    visible = open_masks(
        masks, info, frames=options.mask_frames, ids=options.ids or None, invert=options.invert_masks, **shared
    )
    if not (options.ids or options.amodal or options.invert_masks):
        _check_surrounding(named, visible)
    ids = _seen(visible, named, start, end, options)
    amodal, occluder = check_further_masks(info, options, ids, progress, kept)
    return Inputs(info, options, visible, amodal, occluder, check_order(ids, options), start, end, cuts, cuts_line)


def check_further_masks(
    info: VideoInfo, options: CompleteOptions, ids: tuple[int, ...], progress: Progress, kept: KeptMasks | None = None
) -> tuple[MaskSource | None, MaskSource | None]:
    """Open the masks of the whole objects `ids` and those of what is in front, where they are given.

    Raises:
        OSError: a file cannot be read.
        ValueError: they do not fit the video.
    """
    shared = _reading(options, progress, kept)
    amodal = open_masks(options.amodal, info, ids=ids, **shared) if options.amodal else None
    return amodal, open_masks(options.occluder, info, empty=True, **shared) if options.occluder else None


def _reading(options: CompleteOptions, progress: Progress, kept: KeptMasks | None) -> dict[str, Any]:
    """Return how all masks are read."""

    def step(done: int, total: int) -> None:
        if done == 1:
            progress.stage("masks", total)
        progress.advance("masks")

    how: dict[str, Any] = {"resize": options.resize_masks, "absent": options.absent, "limits": options.limits}
    return how | {"progress": step, "kept": kept}


def _check_surrounding(path: str, masks: MaskSource) -> None:
    """Refuse masks in which what surrounds the objects has the id of one."""
    reading = masks.reading
    taken = [number for number in reading.surrounding if number in masks.ids]
    if taken and reading.black_and_white:
        raise ValueRefusal(
            f"{path} is white in most of the frame and at all four sides ({reading.line})",
            "the object must be white, and all else black",
            "use --invert-masks if black is the object, or --ids 1 if the object is that large",
        )
    if taken:
        others = ",".join(str(number) for number in masks.ids if number not in taken)
        raise ValueRefusal(
            f"{path} has object {taken[0]} in most of the frame and at all four sides ({reading.line})",
            "what surrounds the objects must be 0",
            f"use --ids {others or taken[0]} to say which are objects",
        )


def check_video(video: Path, options: FrameOptions) -> tuple[VideoInfo, int, int]:
    """Open a video and check that it has the frames that are asked for; return it, their start and their end.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too small or larger than the limits, or has other frames.
    """
    how: dict[str, Any] = {name: getattr(options, name) for name in ("limits", "linear", "deinterlace", "hwaccel")}
    info = probe(video, **how)
    if min(info.size) < _SMALLEST:
        raise ValueRefusal(
            f"{video} is {shown(info.size)}", f"frames must be at least {_SMALLEST}x{_SMALLEST}", "give a larger video"
        )
    start, end = options.start, info.count if options.end is None else options.end
    if not 0 <= start < end <= info.count:
        raise ValueRefusal(
            f"frames {start} to {end} are asked of {info.path}",
            f"it has the frames 0 to {info.count} (the last number is not included)",
            "choose a start below the end, both within these",
        )
    return info, start, end


def asked_cuts(cuts: str | Path, info: VideoInfo, start: int, end: int) -> tuple[tuple[int, ...] | None, str]:
    """Return the frames that begin a shot within the range, as the user says; None where they are to be found.

    With them how they were read, where there was anything to understand, else "".
    """
    if cuts in ("auto", "none"):
        return (None if cuts == "auto" else ()), ""
    path = Path(cuts)
    is_edit = path.suffix.lower() in SUFFIXES
    found = read_edit(path, info) if is_edit else Edit(read_cuts(path, info.count), "")
    return tuple(cut for cut in found.cuts if start < cut < end), found.line


def _seen(source: MaskSource, path: str, start: int, end: int, options: CompleteOptions) -> tuple[int, ...]:
    """Return the objects that are visible in the range."""
    seen = tuple(number for number, areas in zip(source.ids, source.areas, strict=True) if areas[start:end].any())
    lost = sorted(set(options.ids) - set(seen))
    if lost or not seen:
        what = f"no object {', '.join(map(str, lost))}" if lost else "no object"
        raise ValueRefusal(
            f"{path} has {what} in the frames {start} to {end}",
            "what is to be completed must be seen there",
            "choose other frames or other objects",
        )
    return seen


def check_order(ids: tuple[int, ...], options: CompleteOptions) -> tuple[int, ...]:
    """Return the objects `ids` from front to back. Raises ValueError where the options name others."""
    order, lost = options.order, sorted(set(options.ids) - set(ids))
    if lost:
        raise ValueRefusal(
            f"the objects {', '.join(map(str, options.ids))} are asked for",
            f"there is {', '.join(map(str, ids))}",
            "ask for some of these",
        )
    if order and sorted(order) != sorted(ids):
        raise ValueRefusal(
            f"the order is {', '.join(map(str, order))} for the objects {', '.join(map(str, sorted(ids)))}",
            "it must name each of them once, the front-most first",
            "correct it",
        )
    return order or tuple(sorted(ids))


def check_room(inputs: Inputs, out: Path, png: bool, share: float = 1.0) -> None:
    """Refuse a folder without room for the output, of which `share` is still to be written.

    Raises:
        OSError: too little room, or it cannot be written there.
    """
    place = out.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise FileRefusal(f"{place} is a file", "the output must be a folder", "choose another name")
    if not os.access(place, os.W_OK | os.X_OK):
        raise FileRefusal(f"{place} cannot be written to", "the output needs a folder that can", "choose another one")
    needed = share * _output_bytes(inputs, png)
    free = shutil.disk_usage(place).free
    if free < needed:
        raise FileRefusal(
            f"{place} has room for {_size(free)}",
            f"the output needs about {_size(needed)}",
            "make room, choose another folder, or fewer frames with --start and --end",
        )


def _output_bytes(inputs: Inputs, png: bool) -> float:
    """Estimate the size of all output, with what is needed on the way to it."""
    options, pixels = inputs.options, inputs.info.size[0] * inputs.info.size[1] * inputs.count
    seen = sum(float(inputs.areas(number)[inputs.start : inputs.end].sum()) for number in inputs.ids)
    objects = min(pixels * len(inputs.ids), _HIDDEN_SHARE * seen)
    samples = inputs.info.samples
    kept = png or (not samples.plain and choose_codec(samples, options.quality) in ("prores", "ffv1"))
    video = _LOSSLESS_BYTES if options.quality.lossless or kept else _VIDEO_BYTES
    deep = samples.bits / 8 * (4 / 3 if samples.alpha else 1)
    # Videos are there twice when their segments are joined.
    total = pixels * deep * (_PNG_BYTES if png else 2 * video) + pixels * _EMPTY_BYTES + inputs.count * 4096
    if options.layer == "png":
        total += objects * _PNG_BYTES * min(deep, 2) + pixels * len(inputs.ids) * _EMPTY_BYTES
    elif options.layer == "exr":
        total += (objects * _EXR_BYTES + pixels * _PNG_BYTES * 2) * len(inputs.ids)
    elif options.layer != "none":
        total += 2 * (objects * _LAYER_BYTES + pixels * len(inputs.ids) * _EMPTY_BYTES)
    if options.background and options.layer != "none":
        total += pixels * (_PNG_BYTES if options.layer in ("png", "exr") else 2 * _LAYER_BYTES)
    if options.save_confidence:
        total += objects + pixels * _EMPTY_BYTES
    return total + (objects * _FLOW_BYTES if options.save_flow else 0)


def _size(count: float | int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
