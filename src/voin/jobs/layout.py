"""The output folder: what its files are called, which run they belong to, and how far that run is.

An unfinished run keeps `.voin/` there: `state.json` says what the run is, and `parts/` holds finished chunks, each
complete once its record `00012.json` stands there. A finished run leaves `run.json`, which says the same, and more.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from filelock import FileLock, Timeout

from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.files import differences, write_json
from voin.jobs.options import Layer
from voin.jobs.plan import Chunk

RECORD = "run.json"
STATE = ".voin"
PREVIEW = "preview.png"


@dataclass(frozen=True)
class Layout:
    """The names of all files that a run writes, relative to its folder.

    Attributes:
        names: of the frames, in order; file stems.
        ids: objects.
        png: completed frames are PNGs, not a video.
        layer: kind of the objects' layers.
        flow: completed flow is written.
        confidence: so is how sure each pixel is.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...]
    png: bool
    layer: Layer
    flow: bool
    confidence: bool = False

    @staticmethod
    def from_json(given: dict[str, Any]) -> Layout:
        """Read what `dataclasses.asdict` and JSON have made of a layout."""
        names, ids = tuple(map(str, given["names"])), tuple(map(int, given["ids"]))
        if any(Path(name).name != name for name in names) or given["layer"] not in get_args(Layer):
            raise ValueRefusal("names of frames are file names", "layers are of a known kind", "remove the file")
        confidence = bool(given.get("confidence"))
        return Layout(names, ids, bool(given["png"]), given["layer"], bool(given["flow"]), confidence)

    def completed(self, name: str) -> Path:
        """Give the PNG of a completed frame."""
        return Path("completed", f"{name}.png")

    def amodal(self, name: str) -> Path:
        """Give the label map of the whole objects in a frame."""
        return Path("amodal", f"{name}.png")

    def confidence_picture(self, name: str) -> Path:
        """Give the grey PNG that says how sure the objects' pixels are in a frame."""
        return Path("confidence", f"{name}.png")

    def layer_picture(self, number: int, name: str) -> Path:
        """Give the PNG of an object alone."""
        return Path("object", *([str(number)] if len(self.ids) > 1 else []), f"{name}.png")

    def layer_video(self, number: int) -> Path:
        """Give the video of an object alone."""
        return Path(f"object-{number}.{self.layer}" if len(self.ids) > 1 else f"object.{self.layer}")

    def flow_arrays(self, number: int, name: str) -> Path:
        """Give the flow of an object in a frame."""
        return Path("flow", str(number), f"{name}.npz")

    def flow_picture(self, number: int, name: str) -> Path:
        """Give the picture of the flow of an object in a frame; frames without any have none."""
        return Path("flow", str(number), f"{name}.png")

    def videos(self) -> list[Path]:
        """List the videos, the completed one first."""
        videos = [] if self.png else [Path("completed.mp4")]
        return videos + ([self.layer_video(number) for number in self.ids] if self.layer in ("mov", "webm") else [])

    def frame_files(self, names: Sequence[str]) -> Iterator[Path]:
        """List the files of some frames that are always there."""
        for name in names:
            yield self.amodal(name)
            if self.png:
                yield self.completed(name)
            if self.confidence:
                yield self.confidence_picture(name)
            if self.layer == "png":
                yield from (self.layer_picture(number, name) for number in self.ids)
            if self.flow:
                yield from (self.flow_arrays(number, name) for number in self.ids)

    def files(self) -> Iterator[Path]:
        """List all files but the record itself."""
        yield from self.videos()
        yield Path(PREVIEW)
        yield from self.frame_files(self.names)

    def everything(self) -> Iterator[Path]:
        """List all files that may be there, the record last."""
        yield from self.files()
        if self.flow:
            yield from (self.flow_picture(number, name) for number in self.ids for name in self.names)
        yield Path(RECORD)

    def folders(self) -> list[Path]:
        """List the folders, inner ones first."""
        one = replace(self, names=self.names[:1])
        found = {parent for path in one.everything() for parent in path.parents} - {Path()}
        return sorted(found, key=lambda path: (-len(path.parts), path))


@dataclass(frozen=True)
class Folder:
    """An output folder and what stands in it.

    Attributes:
        path: the folder, which need not exist.
        layout: what is to be written there.
        request: what the run is made from; two runs with the same request give the same output.
        record: the record of a finished run there, if any.
        state: the state of an unfinished run there, if any.
    """

    path: Path
    layout: Layout
    request: dict[str, Any]
    record: dict[str, Any] | None
    state: dict[str, Any] | None

    @staticmethod
    def look(path: Path, layout: Layout, request: dict[str, Any]) -> Folder:
        """Look at a folder, and change nothing."""
        request = json.loads(json.dumps(request, default=str))
        return Folder(path, layout, request, _load(path / RECORD), _load(path / STATE / "state.json"))

    @property
    def parts(self) -> Path:
        """The folder of the finished chunks."""
        return self.path / STATE / "parts"

    def is_finished(self) -> bool:
        """Say whether this very run stands here, with all its files."""
        return self._same(self.record) and all((self.path / file).exists() for file in self.layout.files())

    def is_begun(self) -> bool:
        """Say whether this very run has begun here."""
        return self._same(self.state)

    def _same(self, known: dict[str, Any] | None) -> bool:
        return known is not None and known["request"] == self.request

    def check(self, overwrite: bool) -> None:
        """Refuse a folder in which something else stands that would be lost.

        Raises:
            OSError: it holds another run, or files where output should go; a run works in it; or it is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise FileRefusal(f"{self.path} is a file", "the output must be a folder", "choose another name")
        others = [known for known in (self.record, self.state) if known is not None and not self._same(known)]
        if others and not overwrite:
            told = ", ".join(differences(others[-1]["request"], self.request)[:4])
            raise FileRefusal(
                f"{self.path} holds another run (other {told})",
                "the output needs a folder of its own",
                "choose another one, or use --overwrite to replace that run",
            )
        own = set(self._own_files())
        if own or overwrite:
            strange = next((f for f in self.layout.everything() if f not in own and _there(self.path / f)), None)
        else:
            strange = next((f for f in self._tops() if _there(self.path / f)), None)
        if (self.path / STATE).is_dir():
            with self.held():
                pass
        if strange is not None:
            raise FileRefusal(
                f"{self.path} holds {strange}, which no run recorded there has written",
                "voin replaces only what it wrote itself",
                "move it away, or choose another folder",
            )

    def clear(self) -> None:
        """Remove what earlier runs have written here, and nothing else."""
        for known in (self.record, self.state):
            layout = Layout.from_json(known["layout"]) if known else None
            for file in layout.everything() if layout else ():
                if file != Path(RECORD):
                    _remove(self.path / file)
            for folder in layout.folders() if layout else ():
                with suppress(OSError):  # something else is in it
                    (self.path / folder).rmdir()
        if self.record is not None:
            (self.path / RECORD).unlink(missing_ok=True)
        if self.state is not None:
            self.forget()

    def begin(self, cuts: Sequence[int]) -> None:
        """Make the folders and note what run this is; from here on it can go on after a stop."""
        if not self.is_begun():
            self.forget()
            (self.path / STATE).mkdir(parents=True)
            state = {"request": self.request, "cuts": list(cuts), "layout": asdict(self.layout)}
            write_json(self.path / STATE / "state.json", state)
        for folder in (self.parts, *(self.path / folder for folder in reversed(self.layout.folders()))):
            folder.mkdir(exist_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out of the folder while this one works in it; a killed run lets go of it by itself.

        Raises:
            OSError: another run works there.
        """
        lock = FileLock(self.path / STATE / "lock", blocking=False)
        try:
            lock.acquire()
        except Timeout as error:
            raise FileRefusal(
                f"{self.path} is being written by another run",
                "each needs a folder of its own",
                "wait until that one is done, or choose another folder",
            ) from error
        try:
            yield
        finally:
            lock.release()

    def finished_frames(self) -> int:
        """Say how many frames this run has finished so far."""
        records = [_load_json(path) for path in self.parts.glob("*.json")] if self.is_begun() else []
        return sum(record["count"] for record in records if record is not None)

    def finished_chunks(self, chunks: Sequence[Chunk], start: int) -> list[dict[str, Any]]:
        """Give the records of the finished chunks, up to the first one of which a record or a file is missing."""
        records = []
        for chunk in chunks:
            record = _load_json(self.record_of(chunk))
            names = self.layout.names[chunk.start - start : chunk.end - start]
            files = [self.path / file for file in self.layout.frame_files(names)]
            files += [self.part_of(chunk, video) for video in self.layout.videos()]
            if record is None or not all(file.exists() for file in files):
                break
            records.append(record)
        return records

    def record_of(self, chunk: Chunk) -> Path:
        """Give the record of a finished chunk."""
        return self.parts / f"{chunk.number:05d}.json"

    def part_of(self, chunk: Chunk, video: Path) -> Path:
        """Give the segment of a video that a chunk makes."""
        return self.parts / f"{chunk.number:05d}-{video.stem}{video.suffix}"

    def previews_of(self, chunk: Chunk) -> Path:
        """Give the pictures that a chunk offers for the preview."""
        return self.parts / f"{chunk.number:05d}.npz"

    def forget(self) -> None:
        """Remove the state: the last thing that a run does."""
        shutil.rmtree(self.path / STATE, ignore_errors=True)

    def _own_files(self) -> Iterator[Path]:
        for known in (self.record, self.state):
            if known is not None:
                yield from Layout.from_json(known["layout"]).everything()

    def _tops(self) -> list[Path]:
        return sorted({Path(file.parts[0]) for file in self.layout.everything()})


def is_output(path: Path) -> bool:
    """Say whether a path relative to an output folder may be something that runs write or remove there."""
    top = Path(path.parts[0])
    return top.name in ("completed", "amodal", "confidence", "flow", PREVIEW, RECORD, STATE) or top.stem.startswith(
        ("completed", "object")
    )


def _load(path: Path) -> dict[str, Any] | None:
    """Read a record or a state; None if it is not there or not ours."""
    known = _load_json(path)
    try:
        if known is None or not isinstance(known["request"], dict):
            return None
        Layout.from_json(known["layout"])
    except (KeyError, TypeError, ValueError):
        return None
    return known


def _load_json(path: Path) -> dict[str, Any] | None:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return known if isinstance(known, dict) else None


def _there(path: Path) -> bool:
    """Say whether a file or a folder that is not empty stands here."""
    return any(path.iterdir()) if path.is_dir() else path.exists()


def _remove(path: Path) -> None:
    for each in (path, path.with_name(f".{path.name}.part"), path.with_name(f".{path.stem}.part{path.suffix}")):
        with suppress(FileNotFoundError, NotADirectoryError):
            each.unlink()
