"""The output folder: what its files are called, which run they belong to, and how far that run is.

An unfinished run keeps `.voin/` there: `state.json` says what the run is, and `parts/` holds finished chunks, each
complete once its record `00012.json` stands there. A finished run leaves `run.json`, which says the same, and more.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from voin.core.errors import ValueRefusal
from voin.core.files import JobFolder, as_json, check_unchanged, fits, read_json, remove_files
from voin.core.system import peak_memory, versions
from voin.io.colour.codecs import CODINGS
from voin.io.colour.picture_kinds import KEPT
from voin.jobs.check import Inputs
from voin.jobs.mask import RECORD as MASKS_RECORD
from voin.jobs.mask import MaskFolder
from voin.jobs.options import Layer
from voin.jobs.plan import Chunk, Plan

RECORD = "run.json"
STATE = JobFolder.STATE
PREVIEW = "preview.png"
CONFIDENCES = ("confidence", "amodal_confidence")  # of a pixel's colour, and that it is an object's
SUFFIXES = ("", ".png", *KEPT.values(), *(coding.suffix for coding in CODINGS.values()))  # of what is completed
OTHER_LAYERS = ("background", "occluder")  # beside those of objects
TRACKED = Path("masks")  # where masks are kept that were tracked


_LONGEST_NAME = 200  # of a frame; file systems allow 255 bytes with all that is added
_NUMBER = (int, float)
_COUNTS = ("occluded", "propagated", "invented")
# What must stand in the files of a run: what is read of them when it goes on, or is said of it when it is finished.
_STATE = {"request": dict, "layout": dict, "cuts": [int]}
_PART = {
    "count": int,
    "objects": {str: dict.fromkeys((*_COUNTS, "confidence"), list)},
    "broken": [int],
    "seconds": {str: _NUMBER},
    "wall": _NUMBER,
}
_RECORD = {
    **{"request": dict, "layout": dict, "masks": {"line": str}, "start": int, "end": int, "broken": [int]},
    **{"frames_per_second": _NUMBER, "totals": dict.fromkeys(_COUNTS, int), "objects": {str: {"occluded": [int]}}},
}


@dataclass(frozen=True)
class Layout:
    """The names of all files that a run writes, relative to its folder.

    Attributes:
        names: of the frames, in order; file stems.
        ids: objects.
        png: completed frames are PNGs, not a video.
        layer: kind of the objects' layers.
        flow: completed flow is written.
        confidence: so is how sure each pixel is, of its colour and of being an object's.
        tracked: masks were tracked, and are kept in a folder of their own.
        completed: suffix of the completed video, or where it is frames (`png`), of these.
        background: what is in front is taken away; background and occluder have layers of their own.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...]
    png: bool
    layer: Layer
    flow: bool
    confidence: bool = False
    tracked: bool = False
    completed: str = ""
    background: bool = False

    @staticmethod
    def from_json(content: dict[str, Any]) -> Layout:
        """Read what `dataclasses.asdict` and JSON have made of a layout."""
        plain = {"names": [str], "ids": [int], "png": bool, "layer": str, "flow": bool}
        if not fits(content, plain):
            raise ValueRefusal("a layout has other entries", f"it must have {', '.join(plain)}", "remove the file")
        names, ids = tuple(content["names"]), tuple(content["ids"])
        usable = all(Path(name).name == name and len(name) < _LONGEST_NAME and "\0" not in name for name in names)
        if not usable or not all(1 <= id <= 255 for id in ids) or content["layer"] not in get_args(Layer):
            raise ValueRefusal("names of frames are file names", "layers are of a known kind", "remove the file")
        later = {name: bool(content.get(name)) for name in ("confidence", "tracked", "background")}
        suffix = content.get("completed") or ""
        if suffix not in SUFFIXES:
            raise ValueRefusal(f"completed frames end in {suffix}", "it must be a known kind", "remove the file")
        return Layout(names, ids, content["png"], content["layer"], content["flow"], **later, completed=suffix)

    @property
    def completed_suffix(self) -> str:
        """The suffix of the completed video or frames; runs that name none have the usual ones."""
        return self.completed or (".png" if self.png else ".mp4")

    @property
    def completed_video(self) -> Path:
        """The completed video, where it is one."""
        return Path(f"completed{self.completed_suffix}")

    def picture(self, folder: str, name: str) -> Path:
        """Return the picture of a frame in `completed`, `amodal` (label maps of objects) or a confidence (grey)."""
        return Path(folder, f"{name}{self.completed_suffix if folder == 'completed' else '.png'}")

    def layer_picture(self, number: int, name: str) -> Path:
        """Return the PNG, or the EXR, of an object alone."""
        return Path("object", *([str(number)] if len(self.ids) > 1 else []), f"{name}.{self.layer}")

    def layer_video(self, number: int) -> Path:
        """Return the video of an object alone."""
        return Path(f"object-{number}.{self.layer}" if len(self.ids) > 1 else f"object.{self.layer}")

    def other_layer(self, name: str) -> Path:
        """Return the video of the background or of the occluder."""
        return Path(f"{name}.{self.layer}")

    def flow_arrays(self, number: int, name: str) -> Path:
        """Return the flow of an object in a frame; a picture of it lies beside it where there is any."""
        return Path("flow", str(number), f"{name}.npz")

    def videos(self) -> list[Path]:
        """List the videos, the completed one first."""
        videos = [] if self.png else [self.completed_video]
        if self.layer not in ("mov", "webm"):
            return videos
        others = [self.other_layer(name) for name in OTHER_LAYERS] if self.background else []
        return videos + [self.layer_video(number) for number in self.ids] + others

    def frame_files(self, names: Sequence[str]) -> Iterator[Path]:
        """List the files of some frames that are always there."""
        folders = ["amodal", *(["completed"] if self.png else []), *(CONFIDENCES if self.confidence else [])]
        folders += OTHER_LAYERS if self.background and self.layer in ("png", "exr") else []
        for name in names:
            yield from (self.picture(folder, name) for folder in folders)
            if self.layer in ("png", "exr"):
                yield from (self.layer_picture(number, name) for number in self.ids)
            if self.flow:
                yield from (self.flow_arrays(number, name) for number in self.ids)

    def files(self) -> Iterator[Path]:
        """List all files but the record itself."""
        yield from self.videos()
        yield Path(PREVIEW)
        if self.tracked:
            yield TRACKED / MASKS_RECORD
        yield from self.frame_files(self.names)

    def everything(self) -> Iterator[Path]:
        """List all files that may be there, the record last."""
        yield from self.files()
        if self.flow:
            yield from (self.flow_arrays(id, name).with_suffix(".png") for id in self.ids for name in self.names)
        yield Path(RECORD)

    def folders(self) -> list[Path]:
        """List the folders, inner ones first."""
        one = replace(self, names=self.names[:1])
        found = {parent for path in one.everything() for parent in path.parents} - {Path()}
        return sorted(found, key=lambda path: (-len(path.parts), path))


class Folder(JobFolder):
    """The output folder of a completion, into which the files of `layout` are written."""

    RECORD = RECORD

    def __init__(self, path: Path, layout: Layout, request: dict[str, Any]) -> None:
        self.layout = layout
        # Of the finished chunks.
        self.parts = path / STATE / "parts"
        self._of_one_input: set[Path] = set()
        super().__init__(path, request)

    def read(self, path: Path) -> dict[str, Any] | None:
        """Read a record or a state; None if it is absent or not one of ours."""
        content = read_json(path)
        if content is None or not fits(content, _RECORD if path.name == RECORD else _STATE):
            return None
        with suppress(ValueError):
            Layout.from_json(content["layout"])
            return content
        return None

    def outputs(self) -> Iterator[Path]:
        """List all files but the record."""
        return self.layout.files()

    def stranger(self, overwrite: bool) -> str | None:
        """Return a file where output should go and which no run recorded there has written."""
        recorded = [content for content in (self.record, self.state) if content is not None]
        written = {file for content in recorded for file in Layout.from_json(content["layout"]).everything()}
        if written or overwrite:
            files = [file for file in self.layout.everything() if file not in written]
        else:
            files = sorted({Path(file.parts[0]) for file in self.layout.everything()})
        stranger = next((file for file in files if _stands(self.path / file)), None)
        return None if stranger is None else f"{stranger}, which no run recorded there has written"

    def remove(self, content: dict[str, Any]) -> None:
        """Remove what a run has written, but for its record and state."""
        layout = Layout.from_json(content["layout"])
        if layout.tracked and not self.layout.tracked:
            MaskFolder(self.path / TRACKED, 0, preview=False, request={}).clear()
        kept = (Path(RECORD), TRACKED / MASKS_RECORD)
        remove_files(self.path / file for file in layout.everything() if file not in kept)
        for folder in layout.folders():
            with suppress(OSError):  # something else is in it
                (self.path / folder).rmdir()

    def start(self, cuts: Sequence[int]) -> None:
        """Make the folders and note what run this is; from here on it can go on after a stop."""
        self.begin({"request": self.request, "cuts": list(cuts), "layout": asdict(self.layout)})
        for folder in (self.parts, *(self.path / folder for folder in reversed(self.layout.folders()))):
            folder.mkdir(exist_ok=True)
        self._of_one_input = set(self.parts.glob("*.json"))

    def check_input(self, now: dict[str, Any]) -> None:
        """Refuse to go on where files are no more those of the request.

        Args:
            now: the part of the request that tells the files, made anew.

        Raises:
            ChangedInput: they were changed; `drop_mixed` is to be called once nothing is written any more.
        """
        check_unchanged(self.request, now)
        self._of_one_input = set(self.parts.glob("*.json"))

    def drop_mixed(self) -> None:
        """Let the chunks be done again that were finished since `check_input` found all as it was."""
        remove_files(set(self.parts.glob("*.json")) - self._of_one_input)

    def finished_frames(self) -> int:
        """Return how many frames this run has finished so far."""
        records = [read_json(path) for path in self.parts.glob("*.json")] if self.is_begun() else []
        return sum(record["count"] for record in records if record is not None and fits(record, _PART))

    def finished_chunks(self, chunks: Sequence[Chunk], start: int) -> list[dict[str, Any]]:
        """Return the records of the finished chunks, up to the first one of which a record or a file is missing."""
        records = []
        for chunk in chunks:
            record = read_json(self.record_of(chunk))
            names = self.layout.names[chunk.start - start : chunk.end - start]
            files = [self.path / file for file in self.layout.frame_files(names)]
            files += [self.part_of(chunk, video) for video in self.layout.videos()]
            if record is None or not fits(record, _PART) or not all(file.exists() for file in files):
                break
            lists = [values for counts in record["objects"].values() for values in counts.values()]
            if record["count"] != chunk.count or any(len(values) != chunk.count for values in lists):
                break
            records.append(record)
        return records

    def record_of(self, chunk: Chunk) -> Path:
        """Return the record of a finished chunk."""
        return self.parts / f"{chunk.number:05d}.json"

    def part_of(self, chunk: Chunk, video: Path) -> Path:
        """Return the segment of a video that a chunk makes."""
        return self.parts / f"{chunk.number:05d}-{video.name}"

    def previews_of(self, chunk: Chunk) -> Path:
        """Return the pictures that a chunk offers for the preview."""
        return self.parts / f"{chunk.number:05d}.npz"


def find_completed(folder: Path) -> Path:
    """Return what a run has completed: a video or a folder of frames, which `probe` opens."""
    videos = [folder / f"completed{suffix}" for suffix in SUFFIXES if suffix]
    return next((path for path in videos if path.is_file()), folder / "completed")


def is_output(path: Path) -> bool:
    """Return whether a path relative to an output folder may be something that runs write or remove there."""
    top = Path(path.parts[0])
    names = ("completed", "amodal", *CONFIDENCES, "flow", PREVIEW, RECORD, STATE)
    return top.name in names or top.stem in OTHER_LAYERS or top.stem.startswith(("completed", "object"))


def _stands(path: Path) -> bool:
    """Return whether a file or a folder that is not empty stands here."""
    return any(path.iterdir()) if path.is_dir() else path.exists()


def make_record(inputs: Inputs, plan: Plan, folder: Folder, seconds: dict[str, float], wall: float) -> dict[str, Any]:
    """Make the record out of the chunks' records.

    Args:
        inputs: of the job.
        plan: of the job.
        folder: holds the chunks' records.
        seconds: what it took besides the chunks, by stage.
        wall: seconds in all; less than the sum of the stages, as they overlap.
    """
    info = inputs.info
    stages = Counter(seconds)
    objects = {str(number): {key: [] for key in (*_COUNTS, "confidence")} for number in sorted(inputs.ids)}
    broken: list[int] = []
    for chunk in plan.chunks:
        record = json.loads(folder.record_of(chunk).read_text(encoding="utf-8"))
        stages.update(record["seconds"])
        broken += record["broken"]
        for number, lists in objects.items():
            entry = record["objects"].get(number, {})
            for key, values in lists.items():
                values += entry.get(key, [None if key == "confidence" else 0] * chunk.count)
    return {
        "request": folder.request,
        "versions": versions(),
        "input": {
            "path": str(info.path),
            "kind": info.kind,
            "width": info.size[1],
            "height": info.size[0],
            "frames": info.count,
            "frames_per_second": round(float(info.rate), 4),
            "audio": info.audio,
            "interlaced": info.samples.fields,
            "deinterlaced": info.deinterlace,
        },
        "masks": inputs.masks.reading.record(),
        "skip_broken": inputs.options.skip_broken,
        "start": inputs.start,
        "end": inputs.end,
        "cuts": [shot.start for shot in plan.shots[1:]],
        "shots": [[shot.start, shot.end] for shot in plan.shots],
        "chunks": len(plan.chunks),
        "seconds": {stage: round(value, 3) for stage, value in stages.items()} | {"total": round(wall, 3)},
        "frames_per_second": round(inputs.count / wall, 3),
        "peak_memory_bytes": peak_memory(),
        "broken": broken,
        "totals": {key: sum(sum(lists[key]) for lists in objects.values()) for key in _COUNTS},
        "objects": objects,
        "layout": as_json(asdict(folder.layout)),
    }
