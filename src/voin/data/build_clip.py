"""One clip of a VOI set: read a whole object, put an occluder before it, write what came out.

What comes out depends on the source's files, the settings and the clip's name alone, not on what else is built where.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from voin.core.config import from_older, setting, to_json
from voin.core.files import write_whole
from voin.core.processes.pool import one_thread
from voin.data.manifest import ClipRecord, Skipped, mean_rate, rates_of
from voin.data.occluders.occlude import Material, OccluderConfig, Occlusion, occlude
from voin.data.options import BuildOptions, Split
from voin.data.quality import reason_to_skip
from voin.data.schema import read_table
from voin.data.sets import write_clip
from voin.data.sources import SourceClip, check_sizes, frame_size, load_frames, load_masks, resize_masks, working_size
from voin.method.window import WindowConfig, box_of, cut, fit_windows, to_working

STATE = ".build"
UNREADABLE, LOW_RESOLUTION = "missing or broken files", "too low a resolution"
Pictures = TypeVar("Pictures")
# Not the files' fault: the disk, or what the system grants to a process.
_OURS = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS}


@dataclass(frozen=True)
class BuildConfig(BuildOptions):
    """All that a set is made of; two builds with the same settings give the same bytes."""

    occluder: OccluderConfig = setting(help="What hides the objects.", factory=OccluderConfig)
    donor: WindowConfig = setting(
        help="How the objects that serve as occluders are cut out.", factory=lambda: WindowConfig(size=192, enlarge=1.1)
    )

    def settings(self) -> dict[str, Any]:
        """Return all but the seed, as JSON has it."""
        settings = {name: value for name, value in to_json(self).items() if name != "seed"}
        # Off, it changes nothing: sets from before it was there are the same.
        if settings["filters"]["least_size"] is None:
            del settings["filters"]["least_size"]
        return settings


@dataclass(frozen=True)
class ClipTask:
    """A clip to be built."""

    clip: SourceClip
    split: Split
    donors: tuple[SourceClip, ...]  # of other training videos; the first that passes the filter serves
    source: Path  # left out of messages
    out: Path
    config: BuildConfig


def seed_of(*words: object) -> int:
    """Make a seed of 48 bits out of words: the same on every machine and in every version of Python."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, words)).encode()).digest()[:6], "big")


def _record_path(out: Path, name: str) -> Path:
    return out / STATE / "clips" / f"{name}.json"


def read_record(out: Path, name: str) -> ClipRecord | Skipped | None:
    """Read what became of a clip; None if it is not finished."""
    try:
        table = read_table(_record_path(out, name))
        return from_older(Skipped if "reason" in table else ClipRecord, table)
    except (OSError, ValueError):
        return None


def build_clip(task: ClipTask) -> ClipRecord | Skipped:
    """Build one clip, whole or not at all, and note it as finished.

    Raises:
        OSError: it cannot be written. What cannot be read is no error: the clip is skipped.
    """
    with one_thread():
        result = _built(task)
    note_record(task.out, result)
    return result


def sift_clip(task: ClipTask) -> tuple[str, bool]:
    """Return a clip's name and whether its masks let it serve, and note that; one that does not is finished."""
    name = task.clip.name
    record, kept = read_record(task.out, name), task.out / STATE / "kept" / f"{name}.json"
    if record is None and not kept.exists():
        with one_thread():
            masks = _read(task, partial(_whole_masks, task.clip.first(task.config.most_frames), task.config))
        if isinstance(masks, Skipped):
            record = masks
            note_record(task.out, record)
        else:
            _note(kept, {})
    return name, not isinstance(record, Skipped)


def note_record(out: Path, record: ClipRecord | Skipped) -> None:
    """Note a clip as finished, or as left out."""
    _note(_record_path(out, record.name), asdict(record))


def _note(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content).encode())


class _UnfitError(Exception):
    """A clip cannot serve; the text is the reason."""


def _whole_masks(clip: SourceClip, config: BuildConfig) -> np.ndarray:
    """Read the masks of a clip that can serve, else raise why it cannot."""
    check_sizes(clip)
    least = config.filters.least_size
    if least is not None and len(clip):
        (short, long), (least_short, least_long) = sorted(frame_size(clip)), sorted(least)
        if short < least_short or long < least_long:
            raise _UnfitError(LOW_RESOLUTION)
    masks = load_masks(clip, config.size)
    reason = reason_to_skip(masks, config.filters, clip.stride_frames)
    if reason is not None:
        raise _UnfitError(reason)
    return masks


def _read(task: ClipTask, read: Callable[[], Pictures]) -> Pictures | Skipped:
    """Read what a clip consists of; where the clip is at fault, it is skipped."""
    try:
        return read()
    except _UnfitError as reason:
        return Skipped(task.clip.name, str(reason))
    except OSError as error:
        if error.errno in _OURS:
            raise
        return Skipped(task.clip.name, f"{UNREADABLE}: {str(error).replace(f'{task.source}/', '')}")


def _built(task: ClipTask) -> ClipRecord | Skipped:
    config = task.config
    clip = task.clip.first(config.most_frames)
    pictures = _read(task, lambda: (_whole_masks(clip, config), load_frames(clip, config.size)))
    if isinstance(pictures, Skipped):
        return pictures
    amodal, truth = pictures
    donor, material = _find_donor(task, len(clip))
    hidden = occlude(
        torch.from_numpy(truth).permute(0, 3, 1, 2)[None].contiguous().float().div_(255),
        torch.from_numpy(amodal)[None, :, None].float(),
        material,
        config.occluder,
        seed=[seed_of(config.seed, clip.name, "occluder")],
    )
    return _write(task, clip, truth, amodal, hidden, donor)


def _find_donor(task: ClipTask, count: int) -> tuple[SourceClip | None, Material | None]:
    """Cut the first donor that will do out of its video, `count` frames of it at most."""
    filters = task.config.filters
    filters = replace(filters, least_frames=min(filters.least_frames, count))
    for donor in task.donors:
        part = donor.first(count)
        try:
            check_sizes(part)
            masks = load_masks(part, working_size(part, task.config.size))
            if reason_to_skip(resize_masks(masks, task.config.size), filters, donor.stride_frames) is None:
                return donor, material_of(part, masks, task.config.donor)
        except OSError as error:
            if error.errno in _OURS:
                raise
    return None, None


def material_of(donor: SourceClip, masks: np.ndarray, config: WindowConfig) -> Material:
    """Cut an object's windows out of its video at the resolution of the masks, frame by frame."""
    size = (masks.shape[1], masks.shape[2])
    windows = fit_windows(np.array([box_of(mask) for mask in masks]), config)
    pictures = [cut(load_frames(donor, size, [i])[0], windows, i) for i in range(len(donor))]
    shapes = [cut(mask, windows, i) for i, mask in enumerate(masks)]
    return Material(to_working(pictures, config.size)[None], to_working(shapes, config.size)[None])


def _write(
    task: ClipTask, clip: SourceClip, truth: np.ndarray, amodal: np.ndarray, hidden: Occlusion, donor: SourceClip | None
) -> ClipRecord:
    occluder = hidden.occluder[0, :, 0].numpy() > 0.5
    pixels = (hidden.pixels[0].permute(0, 2, 3, 1) * 255 + 0.5).clamp(0, 255).to(torch.uint8).numpy()
    draft = task.out / STATE / "draft" / clip.name
    place = task.out / task.split
    sums = write_clip(place, clip.name, draft, truth, amodal, occluder, pixels, clip.frames, task.config.composites)
    rates = rates_of(amodal, occluder)
    return ClipRecord(
        name=clip.name,
        video=clip.video,
        object_id=clip.object_id,
        category=clip.category,
        split=task.split,
        count=len(clip),
        size=task.config.size,
        kind=hidden.kinds[0],
        donor=donor.name if donor else None,
        donor_video=donor.video if donor else None,
        rates=rates,
        rate=mean_rate(rates),
        sums=sums,
    )
