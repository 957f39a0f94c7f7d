"""Check a VOI set: its files are those that were built, and the laws of a benchmark hold.

Visible is amodal without the occluder; the occluder has colours only where its alpha, 0 or 255, is set; rates are those
of the masks; no video is in both splits; no occluder comes from the video it hides, nor from a validation video.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from voin.core.errors import parts_of
from voin.core.progress import Progress, Silent
from voin.data.categories import CATEGORIES
from voin.data.manifest import COMPOSITE, KINDS, OCCLUDER, SPLITS, ClipRecord, file_name, mean_rate, rates_of, sum_of
from voin.data.sets import VoiClip, VoiSet, open_set, read_occluder
from voin.io.images import read_picture


def verify(root: Path, progress: Progress | None = None) -> tuple[str, ...]:
    """Check a set, and return what is wrong with it: a sentence a fault.

    The stage of `progress` is "verify", in frames; refusals are those of `read_manifest`.
    """
    voi, progress = open_set(root), progress or Silent()
    progress.stage("verify", sum(record.count for record in voi.records()))
    faults = [*_split_faults(voi), *_stray_folders(voi)]
    for record in voi.records():
        faults += [f"{record.split}/{record.name}: {fault}" for fault in _clip_faults(voi, record)]
        progress.advance("verify", record.count)
    return tuple(faults)


def _split_faults(voi: VoiSet) -> Iterator[str]:
    records = voi.records()
    videos = {split: {record.video for record in voi.records(split)} for split in SPLITS}
    for video in sorted(videos["train"] & videos["validation"]):
        yield f"the video {video} is in both splits"
    for name, count in sorted(Counter(record.name for record in records).items()):
        if count > 1:
            yield f"the clip {name} is listed more than once"
    by_name = {record.name: record for record in records}
    for record in records:
        donor = by_name.get(record.donor or "")
        occluder = f"{record.split}/{record.name}: its occluder comes from"
        if record.donor is not None and record.donor_video is None:
            yield f"{occluder} {record.donor} of an unknown video"
        if record.donor_video == record.video or (donor is not None and donor.video == record.video):
            yield f"{occluder} its own video"
        if record.donor_video in videos["validation"] or (donor is not None and donor.split == "validation"):
            yield f"{occluder} the validation video {record.donor_video}"
    for skipped in voi.manifest.skipped:
        if skipped.name in by_name:
            yield f"the clip {skipped.name} is listed and skipped"


def _stray_folders(voi: VoiSet) -> Iterator[str]:
    for split in SPLITS:
        known = {record.name for record in voi.records(split)}
        for kind in (*KINDS, COMPOSITE):
            for name in sorted(_names(voi.root / split / kind) - known):
                yield f"{split}/{kind}/{name} is not in the manifest"


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _clip_faults(voi: VoiSet, record: ClipRecord) -> Iterator[str]:
    if record.category is not None and record.category not in CATEGORIES:
        yield f"its category is {record.category!r}, which is none of the 65"
    if len(record.rates) != record.count:
        yield f"it has {record.count} frames and {len(record.rates)} rates"
    if not set(KINDS) <= set(record.sums) <= {*KINDS, COMPOSITE}:
        yield f"it has the folders {', '.join(sorted(record.sums))}; it must have {', '.join(KINDS)}"
        return
    whole = True
    for kind, known in record.sums.items():
        folder = voi.folder(record, kind)
        wanted, found = {file_name(kind, index) for index in range(record.count)}, _names(folder)
        for name in sorted(wanted ^ found)[:3]:
            yield f"{kind}/{name} {'is missing' if name in wanted else 'does not belong there'}"
            whole = False
        if found == wanted and sum_of(folder) != known:
            yield f"the files in {kind} are not those that were built"
    if not whole:
        return
    try:
        clip = voi.load(record)
    except OSError as error:
        yield ", ".join(parts_of(error))
        return
    yield from _law_faults(voi, clip)


def _law_faults(voi: VoiSet, clip: VoiClip) -> Iterator[str]:
    record = clip.record
    broken = {
        "visible reaches beyond amodal": clip.visible & ~clip.amodal,
        "visible is not amodal without the occluder": clip.visible != (clip.amodal & ~clip.occluder),
        "the occluder has colours where it is not": (clip.pixels != 0).any(axis=-1) & ~clip.occluder,
    }
    for law, pixels in broken.items():
        frames = np.flatnonzero(pixels.any(axis=(1, 2)))
        if len(frames):
            yield f"{law} in {len(frames)} frames, first in {file_name(OCCLUDER, int(frames[0]))}"
    for path in sorted(voi.folder(record, OCCLUDER).iterdir()):
        if not np.isin(read_occluder(path)[..., 3], (0, 255)).all():
            yield f"the alpha of {OCCLUDER}/{path.name} is not only 0 and 255"
            break
    rates = rates_of(clip.amodal, clip.occluder)
    if rates != record.rates or mean_rate(rates) != record.rate:
        yield "its rates are not those of its masks"
    composites = sorted(voi.folder(record, COMPOSITE).iterdir()) if COMPOSITE in record.sums else []
    for path, frame in zip(composites, clip.frames, strict=False):
        if not np.array_equal(read_picture(path), frame):
            yield f"{COMPOSITE}/{path.name} is not the occluder before the true frame"
            break
