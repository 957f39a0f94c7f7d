"""One trial of the benchmark: a method, or a folder of somebody else's results, on one clip in one setting.

Whatever a method does wrong ends here: it becomes a failure with its reason, and never stops an evaluation.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from voin.benchmark.options import SETTINGS, Setting
from voin.benchmark.scores import PerFrame
from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.types import to_kind
from voin.io.images import list_pictures, read_picture
from voin.method.pipeline import Completion

Pictures = UInt8[np.ndarray, "t h w 3"]
Stack = Bool[np.ndarray, "t h w"]

# The version of a method that states neither settings nor version: its scores are kept until `--overwrite`.
UNVERSIONED = 0
# The folder of masks beside the clips' folders of frames, in a folder of results.
AMODAL = "amodal"


@dataclass(frozen=True)
class Outcome:
    """What a trial gave, as `voin.benchmark.scores.score_clip` takes it; all is None where it failed."""

    frames: PerFrame | None = None
    amodal: PerFrame | None = None
    forward: np.ndarray | None = None
    backward: np.ndarray | None = None
    seconds: float | None = None  # that the method took; None for results out of a folder
    error: str = ""  # why it failed
    trace: str = ""  # the traceback of that


@dataclass(frozen=True)
class MethodEntry:
    """A row of the tables that is computed, by a callable with the pipeline's signature."""

    name: str
    method: Callable[..., Completion]

    @property
    def content(self) -> bool:
        """Whether it gives pixels; a method that completes the shape alone says `content = False`."""
        return bool(getattr(self.method, "content", True))

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings it can be tried in: where the shape is given, a shape says nothing."""
        return SETTINGS if self.content else ("end to end",)

    def identity(self, clip: str) -> dict[str, Any]:
        """Return what its result depends on, as far as it says: `settings()`, else `version`, else version 0."""
        del clip
        kind = self.method if hasattr(self.method, "__qualname__") else type(self.method)
        settings = getattr(self.method, "settings", None)
        said = settings() if settings else {"version": getattr(self.method, "version", UNVERSIONED)}
        return {"method": f"{kind.__module__}.{kind.__qualname__}", "settings": said}  # pyright: ignore[reportAttributeAccessIssue]

    def run(self, clip: str, frames: Pictures, visible: Stack, amodal: Stack | None, category: str | None) -> Outcome:
        """Run the method on a clip; a failure is an outcome, too."""
        del clip
        try:
            began = time.perf_counter()
            done = self.method(
                torch.from_numpy(frames).permute(0, 3, 1, 2)[None].float().div_(255),
                _to_masks(visible),
                amodal=None if amodal is None else _to_masks(amodal),
                occluder=None,
                category=category,
            )
            return _outcome(done, frames.shape[:3], time.perf_counter() - began)
        except Exception as error:
            return _failure(error)


@dataclass(frozen=True)
class FolderEntry:
    """A row of the tables that was computed elsewhere: `FOLDER/<clip>/00000.png`, PNG or JPEG, of the set's size.

    With `FOLDER/amodal/<clip>/00000.png` (any value but 0 is the object) it counts as end to end, otherwise the frames
    count as made with the true mask. A folder with `amodal` alone gives shapes and no pixels.
    """

    name: str
    folder: Path

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            remedy = f"check --results {self.name}=FOLDER"
            raise FileRefusal(f"{self.folder} is no folder", "results are FOLDER/<clip>/00000.png", remedy)

    @property
    def content(self) -> bool:
        """Whether it holds frames."""
        return any(path.is_dir() and path.name != AMODAL and path.name[0] != "." for path in self.folder.iterdir())

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The one setting that it belongs to."""
        return ("end to end",) if (self.folder / AMODAL).is_dir() else ("given",)

    def identity(self, clip: str) -> dict[str, Any]:
        """Return what the scores of a clip depend on: its files, with their sizes and times."""
        files = []
        for folder in (self.folder / clip, self.folder / AMODAL / clip):
            for path in list_pictures(folder) if folder.is_dir() else ():
                files.append([str(path), path.stat().st_size, path.stat().st_mtime_ns])
        return {"folder": str(self.folder.resolve()), "files": files}

    def run(self, clip: str, frames: Pictures, visible: Stack, amodal: Stack | None, category: str | None) -> Outcome:
        """Read the results of a clip; absent frames are None, an absent clip is a failure."""
        del visible, amodal, category
        try:
            pictures = _read_frames(self.folder / clip, frames.shape[:3]) if self.content else None
            if self.settings == ("given",):
                return Outcome(pictures)
            masks = _read_frames(self.folder / AMODAL / clip, frames.shape[:3])
            return Outcome(pictures, [None if mask is None else np.any(mask, axis=2) for mask in masks])
        except Exception as error:
            return _failure(error)


Entry = MethodEntry | FolderEntry


def check_name(name: str) -> str:
    """Refuse names that do not fit tables and file names."""
    if not name or not all(letter.isalnum() or letter in "-_.+" for letter in name) or name[0] == ".":
        raise ValueRefusal(
            f"a method is called {name!r}", "it must be letters, digits and -_.+ alone", "write NAME=what to name it"
        )
    return name


def _to_masks(masks: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(masks)[None, :, None].float()


def _outcome(done: Any, size: tuple[int, ...], seconds: float) -> Outcome:
    """Turn a method's completion into pictures and masks; refuse what does not fit the clip."""
    t, h, w = size
    shapes = {"frames": (1, t, 3, h, w), "amodal": (1, t, 1, h, w)}
    motion = [name for name in ("forward", "backward") if getattr(done, name, None) is not None]
    arrays = {}
    for name, shape in (shapes | dict.fromkeys(motion, (1, t - 1, 2, h, w))).items():
        tensor = getattr(done, name, None)
        if not isinstance(tensor, torch.Tensor) or tensor.shape != shape:
            shaped = isinstance(tensor, torch.Tensor)
            what = f"of shape {tuple(tensor.shape)}" if shaped else f"a {type(tensor).__name__}"
            remedy = "give a voin.method.pipeline.Completion on the clip's own grid"
            raise ValueRefusal(f"the method's {name} is {what}", f"it must be a tensor of shape {shape}", remedy)
        if not torch.isfinite(tensor).all():
            what = f"the method's {name} has values that are NaN or infinite"
            raise ValueRefusal(what, "all must be finite", "mend it")
        arrays[name] = tensor[0].detach().float().cpu().numpy()
    return Outcome(
        # One by one: as floats they take much memory.
        frames=np.stack([to_kind(frame.transpose(1, 2, 0), np.dtype(np.uint8)) for frame in arrays["frames"]]),
        amodal=arrays["amodal"][:, 0] > 0.5,
        forward=arrays.get("forward"),
        backward=arrays.get("backward"),
        seconds=seconds,
    )


def _failure(error: Exception) -> Outcome:
    trace = "".join(traceback.format_exception(error, limit=-8))
    return Outcome(error=f"{type(error).__name__}: {error}".strip(": "), trace=trace)


def _read_frames(folder: Path, size: tuple[int, ...]) -> list[np.ndarray | None]:
    """Read one picture a frame; the number in each name says which frame it is."""
    t, h, w = size
    if not folder.is_dir():
        raise FileRefusal(f"{folder} is not there", "results are one folder a clip", "add it")
    pictures: list[np.ndarray | None] = [None] * t
    for path in list_pictures(folder):
        number = int(path.stem) if path.stem.isdecimal() else -1
        if not 0 <= number < t:
            raise ValueRefusal(f"{path} is no frame of the clip", f"names must be 00000 to {t - 1:05d}", "rename it")
        picture = read_picture(path)
        if picture.shape[:2] != (h, w):
            what = f"{path} is {picture.shape[1]}x{picture.shape[0]}"
            raise ValueRefusal(what, f"it must be {w}x{h} as the set is", "nothing is resized, give that size")
        pictures[number] = picture
    return pictures
