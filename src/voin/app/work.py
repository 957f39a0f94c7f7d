"""What the jobs of the page do, and the commands that do the same: the page has no way of its own to do anything."""

from __future__ import annotations

import shlex
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voin.app.render import read_label, write_clips
from voin.core.files import write_whole
from voin.core.progress import Progress
from voin.io.images import write_image
from voin.io.masks.source import write_label
from voin.io.video import probe
from voin.jobs.describe import command_words
from voin.jobs.layout import OTHER_LAYERS, find_completed
from voin.jobs.mask import mask
from voin.jobs.options import CompleteOptions, MaskOptions, MethodOptions
from voin.tracking.prompts import Prompt


@dataclass(frozen=True)
class Track:
    """Makes the visible masks of an object out of prompts, into the folder `out`, as `voin mask` does."""

    video: Path
    prompts: tuple[Prompt, ...]
    out: Path
    options: MaskOptions
    target: str = "1"  # number of the object, or "front" for what hides it

    def run(self, progress: Progress) -> dict[str, Any]:
        """Track, and return the record."""
        return mask(self.video, self.prompts, self.out, self.options, progress)

    @property
    def painted(self) -> str:
        """The folder of painted masks, where the command runs."""
        return "painted_occluder" if self.target == "front" else "painted"

    def command(self, video: str, masks: str = "masks") -> str:
        """Return the command line that does the same; painted masks lie in the folder `painted`."""
        words = ["voin", "mask", _argument(video), "-o", masks]
        only = self.prompts[0]
        if len(self.prompts) == 1 and only.mask is None:
            words += ["--frame", str(only.frame)]
            words += ["--box", _numbers(only.box)] if only.box is not None else []
            words += [word for at in only.points for word in ("--point", _numbers(at))]
            words += [word for at in only.negative for word in ("--negative", _numbers(at))]
        else:
            words += [word for prompt in self.prompts for word in ("--prompt", prompt_text(prompt, self.painted))]
        return shlex.join([*words, *command_words(self.options)])


@dataclass(frozen=True)
class Complete:
    """Completes an object, as `voin complete` does, and packs the result for the page, all in `folder`."""

    video: Path
    name: str  # what its owner calls the video
    masks: Path
    folder: Path
    options: CompleteOptions
    method: MethodOptions = MethodOptions()
    tracked: Track | None = None  # what made the masks, if the page did
    others: tuple[tuple[int, Path], ...] = ()  # further objects: their numbers, and their masks
    front: Track | None = None  # what made the masks of what hides the object

    @property
    def result(self) -> Path:
        """The output folder of the command."""
        return self.folder / "result"

    @property
    def all_masks(self) -> Path:
        """The masks of all objects."""
        return self.folder / "masks" if self.others else self.masks

    @property
    def clips(self) -> tuple[Path, Path]:
        """The clips of input and result, to be played."""
        return self.folder / "play" / "input.mp4", self.folder / "play" / "completed.mp4"

    def run(self, progress: Progress) -> dict[str, Any]:
        """Complete, pack, and return the record."""
        from voin.jobs.complete import complete  # brings torch, which the server itself does without

        inpainter = self.method.load()
        if self.others:
            join_masks(self.all_masks, {1: self.masks, **dict(self.others)})
        record = complete(self.video, self.all_masks, self.result, self.options, inpainter=inpainter, progress=progress)
        (self.folder / "play").mkdir(exist_ok=True)
        write_clips(
            probe(self.video, limits=self.options.limits),
            self.result,
            record["start"],
            record["end"],
            self.clips,
            progress,
        )
        self._pack(progress)
        return record

    def command(self) -> str:
        """Return the command lines that do the same, where the video and the unpacked masks lie."""
        words = ["voin", "complete", _argument(self.name), "masks", "-o", "result"]
        given = replace(self.options, **{name: Path(name) for name in self._given()})
        words += [*command_words(self.method), *command_words(given)]
        # The masks of several objects are joined in what is downloaded.
        first = [self.tracked.command(self.name)] if self.tracked is not None and not self.others else []
        first += [self.front.command(self.name, "occluder")] if self.front is not None else []
        return "\n".join([*first, shlex.join(words)])

    def files(self) -> list[Path]:
        """List what can be downloaded, the video first."""
        result, packed = self.result, self.folder / "files"
        layers = [path for name in ("object*", *OTHER_LAYERS) for path in sorted(result.glob(f"{name}.*"))]
        found = [find_completed(result), *(path for path in layers if path.suffix in (".mov", ".webm"))]
        found += [*sorted(packed.glob("*.zip")), result / "preview.png", packed / "run.json", packed / "command.txt"]
        return [path for path in found if path.is_file()]

    def _pack(self, progress: Progress) -> None:
        names = ("completed", "amodal", "object", "background", "occluder", "confidence", "flow")
        written = [self.result / name for name in names if (self.result / name).is_dir()]
        progress.stage("pack", len(written) + 1)
        packed = self.folder / "files"
        packed.mkdir(exist_ok=True)
        for folder in written:
            pack(packed / f"{folder.name}.zip", _below(folder, folder.name))
            progress.advance("pack")
        self._pack_masks()
        # The server's own folders are nobody's business, and mean nothing elsewhere.
        text = (self.result / "run.json").read_text(encoding="utf-8")
        secret = {self.video.resolve(): self.name, self.video: self.name, self.all_masks.resolve(): "masks"}
        secret |= {path.resolve(): name for name, path in self._given().items()}
        for path, name in secret.items():
            text = text.replace(str(path), name)
        write_whole(packed / "run.json", text.encode())
        write_whole(packed / "command.txt", (self.command() + "\n").encode())
        progress.advance("pack")

    def _given(self) -> dict[str, Path]:
        """Return further masks that the command names."""
        given = {"amodal": self.options.amodal, "occluder": self.options.occluder}
        return {name: path for name, path in given.items() if path is not None}

    def _pack_masks(self) -> None:
        """Pack the visible masks, and what was painted, where the command expects it."""
        packed = self.folder / "files"
        folders = {"masks": self.all_masks, **self._given()}
        files = [file for name, folder in folders.items() for file in _below(folder, name) if file[1].suffix == ".png"]
        tracks = [track for track in (self.tracked, self.front) if track is not None]
        for track in tracks:
            for prompt in track.prompts:
                if prompt.mask is not None:
                    path = packed / track.painted / f"{prompt.frame:05d}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_image(path, prompt.mask.astype(np.uint8) * 255)
                    files.append((f"{track.painted}/{path.name}", path))
        packed.mkdir(exist_ok=True)
        pack(packed / "masks.zip", files)


def join_masks(out: Path, masks: Mapping[int, Path]) -> None:
    """Write the masks of several objects as one folder; where they overlap, the first one is in front."""
    out.mkdir()
    for name in sorted({path.name for folder in masks.values() for path in folder.glob("*.png")}):
        label: np.ndarray | None = None
        for number, folder in masks.items():
            seen = read_label(folder, int(Path(name).stem))
            if seen is not None:
                label = np.zeros(seen.shape, np.uint8) if label is None else label
                label[(seen > 0) & (label == 0)] = number
        if label is not None:
            write_label(out / name, label)


def prompt_text(prompt: Prompt, painted: str = "painted") -> str:
    """Write a prompt as `voin mask --prompt` reads it."""
    parts = [f"box {_numbers(prompt.box)}"] if prompt.box is not None else []
    for word, points in (("point", prompt.points), ("not", prompt.negative)):
        parts += [f"{word} {' '.join(map(_numbers, points))}"] if points else []
    parts += [f"mask {painted}/{prompt.frame:05d}.png"] if prompt.mask is not None else []
    return f"{prompt.frame}: {' '.join(parts)}"


def pack(path: Path, files: Iterable[tuple[str, Path]]) -> None:
    """Write a zip of files, by their names in it, without compressing pictures anew."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, file in files:
            archive.write(file, name)


def _below(folder: Path, name: str) -> list[tuple[str, Path]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(f"{name}/{path.relative_to(folder).as_posix()}", path) for path in files]


def _argument(name: str) -> str:
    """Keep a file's name from being taken for an option."""
    return f"./{name}" if name.startswith("-") else name


def _numbers(values: Sequence[int]) -> str:
    return ",".join(map(str, values))
