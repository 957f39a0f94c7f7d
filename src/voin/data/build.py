"""Build a VOI set: split a source by video, give each object an occluder from another video, write clips and manifest.

The paper builds YouTube-VOI from YouTube-VOS: 5,305 videos, 4,774 for training and 531 for evaluation (4.1).
An unfinished build keeps `SET/.build/`: `state.json` says what is being built, and `clips/NAME.json` stands there once
a clip is whole. The same call goes on where it stopped. The manifest is written last.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from voin.core import __version__
from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.files import JobFolder, read_json, write_json
from voin.core.processes.pool import check_workers, run_all
from voin.core.progress import Progress, Silent
from voin.data.build_clip import STATE, BuildConfig, ClipTask, build_clip, read_record, seed_of, sift_clip
from voin.data.layouts import Split
from voin.data.manifest import (
    MANIFEST,
    SPLITS,
    VERSION,
    ClipRecord,
    Manifest,
    Skipped,
    ranked,
    read_manifest,
    write_manifest,
)
from voin.data.sources import SourceClip, open_source

DONORS = 8  # tried for a clip, one after the other
_DRAWS = 64
_NAMED = 3  # clips without which there is no set whose files are named
# Bytes a pixel of a frame's files, measured on DAVIS at 384x216: truth, masks and occluder; the composite besides.
_BYTES, _COMPOSITE_BYTES = 1.0, 2.0


def build(
    source: Path,
    out: Path,
    config: BuildConfig,
    *,
    workers: int = 1,
    ray: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Build a set, or go on with it; return its manifest.

    Args:
        source: folder of the data set.
        out: the set's folder; it is made, or empty, or holds this very build.
        config: what is built.
        workers: processes; see `voin.core.processes.pool.run_all`.
        ray: "local" or the address of a Ray cluster whose machines all see `source` and `out` under these paths.
        overwrite: replace another set in `out`.
        progress: gets a stage "build", counted in frames; before it "filter", where the split is to be drawn.

    Raises:
        OSError: `source` is not laid out so, `out` holds something else, has no room, or cannot be written.
        ValueError: no clip of the source can be used.
        ImportError: Ray is asked for and not installed.
    """
    check_workers(workers, ray)
    source, out, progress = source.resolve(), out.resolve(), progress or Silent()
    clips = open_source(source, config.layout)
    folder = SetFolder(out, _request(source, clips, config))
    folder.check(overwrite)
    if folder.is_finished() and folder.state is None:
        return read_manifest(out)
    _check_room(out, folder.left(_chosen(clips, split_videos(clips, config), config)), config)
    with folder.held(overwrite):
        if not folder.is_finished():
            folder.begin(folder.request)
            lost = _lost_videos(clips, source, out, config, workers, ray, progress)
            splits = split_videos(clips, config, lost)
            chosen = _chosen(clips, splits, config)
            pool = [clip for clip in clips if splits[clip.video] == "train"]
            left = folder.left(chosen)
            lengths = {clip.name: len(clip.first(config.most_frames)) for clip in left}
            progress.stage("build", sum(lengths.values()))
            tasks = (
                ClipTask(clip, splits[clip.video], find_donors(clip, pool, config.seed), source, out, config)
                for clip in left
            )
            for result in run_all(build_clip, tasks, workers, ray):
                progress.advance("build", lengths[result.name])
            finish_set(folder, [clip.name for clip in chosen], str(source))
        folder.forget()
    return read_manifest(out)


def _chosen(clips: Sequence[SourceClip], splits: dict[str, Split], config: BuildConfig) -> list[SourceClip]:
    return [clip for clip in clips if config.split in (None, splits[clip.video])]


def _lost_videos(
    clips: Sequence[SourceClip],
    source: Path,
    out: Path,
    config: BuildConfig,
    workers: int,
    ray: str | None,
    progress: Progress,
) -> set[str]:
    """Find the videos without any clip that can serve, of those whose split is drawn: they belong to none."""
    free = {clip.name: clip for clip in clips if clip.split is None}
    if not free:
        return set()
    lengths = {name: len(clip.first(config.most_frames)) for name, clip in free.items()}
    progress.stage("filter", sum(lengths.values()))
    lost = {clip.video for clip in free.values()}
    tasks = (ClipTask(clip, "train", (), source, out, config) for clip in free.values())
    for name, serves in run_all(sift_clip, tasks, workers, ray):
        progress.advance("filter", lengths[name])
        if serves:
            lost.discard(free[name].video)
    return lost


def finish_set(folder: SetFolder, names: Sequence[str], source: str) -> None:
    """Write the manifest of a set whose clips are all built."""
    results = [read_record(folder.path, name) for name in names]
    clips = tuple(result for result in results if isinstance(result, ClipRecord))
    skipped = tuple(result for result in results if isinstance(result, Skipped))
    manifest = Manifest(**folder.request, clips=clips, skipped=skipped)
    if not clips:
        # The first file that is at fault in each clip: where all fail alike, one shows why.
        faults = [(clip.name, clip.reason.partition(": ")[2].partition(";")[0]) for clip in skipped]
        files = "".join(f"; {name}: {fault}" for name, fault in faults[:_NAMED] if fault)
        alike = ", and each mask of it a frame of the same name" if files else ""
        raise ValueRefusal(
            f"none of the {len(names)} clips of {source} can be used ({reasons(manifest)}{files})",
            f"a set needs one at least{alike}",
            "give another source, or keep more with --least-size, --least-frames, --least-area, --most-border, "
            "--most-jumps and --most-pieces",
        )
    write_manifest(folder.path, manifest)


def split_videos(clips: Sequence[SourceClip], config: BuildConfig, lost: Collection[str] = ()) -> dict[str, Split]:
    """Return to which split each video goes: as the source says, else drawn so that the shares are met.

    A source with one video alone gives a training video. Videos that are `lost` have no clip that can serve: they are
    not drawn, and go with those for training.
    """
    splits: dict[str, Split | None] = {clip.video: clip.split for clip in clips}
    free = [video for video, split in splits.items() if split is None and video not in lost]
    # The order that the seed gives to a video does not depend on the others.
    order = sorted(free, key=lambda video: (seed_of(config.seed, video, "split"), video))
    some = bool(free) and config.share_validation > 0
    count = min(max(1, round(config.share_validation * len(free))), len(free) - 1) if some else 0
    drawn = set(order[:count])
    return {video: split or ("validation" if video in drawn else "train") for video, split in splits.items()}


def find_donors(clip: SourceClip, pool: Sequence[SourceClip], seed: int) -> tuple[SourceClip, ...]:
    """Draw the clips of a pool that may serve as a clip's occluder, in order of preference, at most `DONORS`."""
    found: dict[str, SourceClip] = {}
    for draw in range(_DRAWS if pool else 0):
        donor = pool[seed_of(seed, clip.name, "donor", draw) % len(pool)]
        if donor.video != clip.video and len(donor):
            found.setdefault(donor.name, donor)
        if len(found) == DONORS:
            break
    return tuple(found.values())


def empty_splits(manifest: Manifest, split: Split | None = None) -> list[str]:
    """Name the splits, of those that were to be built, in which there is no clip."""
    asked = SPLITS if split is None else (split,)
    return [name for name in asked if not any(clip.split == name for clip in manifest.clips)]


def reasons(manifest: Manifest) -> str:
    """Return how many clips were left out for which reason, the most frequent first."""
    counts = ranked(clip.reason.partition(":")[0] for clip in manifest.skipped)
    return ", ".join(f"{count} {reason}" for reason, count in counts.items())


def _request(source: Path, clips: Sequence[SourceClip], config: BuildConfig) -> dict[str, Any]:
    """Return what a build is made from: two builds with the same request give the same set."""
    digest = hashlib.sha256()
    for clip in clips:
        entry = [clip.name, clip.video, clip.object_id, clip.category, clip.split, clip.frame_names, clip.mask_names]
        digest.update(json.dumps(entry).encode())
    return {
        "version": VERSION,
        "voin": __version__,
        "seed": config.seed,
        "settings": config.settings(),
        # No path: the same source in another place gives the same bytes.
        "source": {
            "layout": config.layout,
            "videos": len({clip.video for clip in clips}),
            "clips": len(clips),
            "frames": sum(map(len, clips)),
            "listing": digest.hexdigest(),
        },
    }


class SetFolder(JobFolder):
    """The folder of a set; its manifest is the record of its build, and holds the request under keys of its own."""

    RECORD, STATE = MANIFEST, STATE
    KIND, MUST = "set", "a set is a folder"

    def read(self, path: Path) -> dict[str, Any] | None:
        """Read a manifest or a state; an empty one where the file is of no use."""
        return (read_json(path) or {}) if path.is_file() else None

    def request_of(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return what a set was made from, as far as it is said."""
        return {key: content[key] for key in self.request if key in content}

    def left(self, chosen: Sequence[SourceClip]) -> list[SourceClip]:
        """Return the clips that are still to be built."""
        return [clip for clip in chosen if not self.is_begun() or read_record(self.path, clip.name) is None]

    def others(self) -> list[dict[str, Any]]:
        """Return what another build has left; the manifest alone counts where there is one."""
        content = self.record if self.record is not None else self.state
        return [] if content is None or self.is_same(content) else [content]

    def stranger(self, overwrite: bool) -> str | None:
        """Return something in a folder that holds no set."""
        if self.record is not None or self.state is not None or not self.path.is_dir():
            return None
        state = self.path / self.STATE
        ours = {self.path / self.lock_name(), *([state] if state.is_dir() and not any(state.iterdir()) else [])}
        name = min((entry.name for entry in self.path.iterdir() if entry not in ours), default=None)
        return None if name is None else f"{name}, but no set and no unfinished build"

    def remove(self, content: dict[str, Any]) -> None:
        """Remove the clips of a set."""
        # Until all is gone, the folder is an unfinished build and no set.
        (self.path / self.STATE).mkdir(exist_ok=True)
        write_json(self.path / self.STATE / "state.json", self.request_of(content))
        self.state = self.state or {}
        for name in (MANIFEST, *SPLITS):
            path = self.path / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _check_room(out: Path, left: Sequence[SourceClip], config: BuildConfig) -> None:
    place = next(place for place in (out, *out.parents) if place.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        raise FileRefusal(f"{place} cannot be written to", "a set needs a folder that can", "choose another one")
    pixels = config.size[0] * config.size[1] * sum(len(clip.first(config.most_frames)) for clip in left)
    needed = pixels * (_BYTES + (_COMPOSITE_BYTES if config.composites else 0))
    free = shutil.disk_usage(place).free
    if free < needed:
        raise FileRefusal(
            f"{place} has room for {free / 1e9:.2f} GB",
            f"the set needs about {needed / 1e9:.2f} GB",
            "make room, choose another folder, a smaller --size, or one --split",
        )
