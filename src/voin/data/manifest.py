"""The manifest of a VOI set, `manifest.json`: what the set was made from, what each clip is, and what was left out.

    SET/manifest.json
    SET/<split>/JPEGImages/<clip>/00000.jpg   the true frames
    SET/<split>/Amodal/<clip>/00000.png       the whole object: indexed PNG, 0 or 1
    SET/<split>/Visible/<clip>/00000.png      its visible part: indexed PNG, 0 or 1
    SET/<split>/Occluder/<clip>/00000.png     RGBA: the occluder's pixels where alpha is 255, 0 elsewhere
    SET/<split>/Occluded/<clip>/00000.png     the input frames, for other programs; only if asked for

`<split>` is `train` or `validation`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool

from voin.core.config import Checked, from_older, setting
from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.files import write_whole
from voin.data.schema import read_table, reason_of

VERSION = 1
MANIFEST = "manifest.json"
SPLITS = ("train", "validation")
TRUTH, AMODAL, VISIBLE, OCCLUDER, COMPOSITE = "JPEGImages", "Amodal", "Visible", "Occluder", "Occluded"
_HEAD = ("version", "voin", "seed", "settings", "source")  # of the manifest, before the clips
MOST_FRAMES = 100_000  # of a clip: the names of files have five digits
MOST_SIDE = 2**15  # of a frame, pixels
MOST_ID = 255  # of an object: masks have a byte a pixel
KINDS = (TRUTH, AMODAL, VISIBLE, OCCLUDER)  # in every set; COMPOSITE besides where it was asked for


@dataclass(frozen=True)
class ClipRecord(Checked):
    """What the manifest says about a clip.

    Attributes:
        name: of the clip, and of its folders.
        video: that it was cut from; splits go by it.
        object_id: the object's value in the source's masks; 0 for all that is marked.
        category: one of `categories.CATEGORIES`, or None.
        split: that it belongs to.
        count: number of frames.
        size: (h, w) of the frames.
        kind: of the occluder: "object", "strokes" or "blob"; "none" where nothing passes before the object.
        donor: the clip that the occluder's pixels come from, or None; likewise its video.
        rates: as `rates_of` gives them.
        rate: as `mean_rate` gives it.
        sums: for each folder of files `sum_of` it.
        behind: what passes behind the object (`voin.data.layers`), or None; left out of the file where it is None.
    """

    name: str
    video: str
    object_id: int = setting(least=0, most=MOST_ID)
    category: str | None = setting()
    split: Literal["train", "validation"] = setting()
    count: int = setting(least=1, most=MOST_FRAMES)
    size: tuple[int, int] = setting(least=1, most=MOST_SIDE)
    kind: str = setting()
    donor: str | None = setting()
    donor_video: str | None = setting()
    rates: tuple[float | None, ...] = setting(least=0, most=1)
    rate: float = setting(least=0, most=1)
    sums: dict[str, str] = setting(factory=dict)
    behind: str | None = None

    @property
    def behind_only(self) -> bool:
        """Whether things pass behind the object and none before it: whatever a method adds to it is wrong."""
        return self.behind is not None and self.kind == "none"

    def check(self) -> None:
        """Refuse a name that is no folder's: it could lead out of the set."""
        if Path(self.name).name != self.name or self.name in ("", ".", "..") or "\0" in self.name:
            raise ValueRefusal(f"{self.name!r} is no clip", "its name must be that of a folder", "build the set again")


@dataclass(frozen=True)
class Skipped(Checked):
    """A clip of the source that is not in the set, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Manifest(Checked):
    """All that is known about a set: versions of its layout and of voin, what it was made with, what it was made from.

    Settings and source are as JSON has them; clips and skipped ones are sorted by name.
    """

    version: int
    voin: str
    seed: int
    settings: dict[str, Any]
    source: dict[str, Any]
    clips: tuple[ClipRecord, ...]
    skipped: tuple[Skipped, ...]


def clip_folder(root: Path, split: str, kind: str, name: str) -> Path:
    """Return the folder of one kind of a clip's files."""
    return root / split / kind / name


def file_name(kind: str, index: int) -> str:
    """Return the name of a frame's file."""
    return f"{index:05d}.jpg" if kind == TRUTH else f"{index:05d}.png"


def sum_of(folder: Path) -> str:
    """Sum up the files of a folder in the order of their names: SHA-256 over each one's name, length and bytes."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        digest.update(f"{path.name} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def rates_of(amodal: Bool[np.ndarray, "t h w"], occluder: Bool[np.ndarray, "t h w"]) -> tuple[float | None, ...]:
    """Return the share of the object that is hidden in each frame, to 4 decimals; None where there is no object."""
    whole, hidden = amodal.sum(axis=(1, 2)), (amodal & occluder).sum(axis=(1, 2))
    return tuple(round(float(part / all_), 4) if all_ else None for part, all_ in zip(hidden, whole, strict=True))


def mean_rate(rates: Sequence[float | None]) -> float:
    """Return the mean of the rates of frames that have an object, to 4 decimals; 0 if none has."""
    known = [rate for rate in rates if rate is not None]
    return round(sum(known) / len(known), 4) if known else 0.0


def ranked(names: Iterable[str]) -> dict[str, int]:
    """Count names: the most frequent first, and what is as frequent in the order of the alphabet."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


def read_manifest(root: Path) -> Manifest:
    """Read the manifest of a set.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is of another version, or damaged.
    """
    path = root / MANIFEST
    if not path.is_file():
        state = "a build there is not finished" if (root / ".build").is_dir() else "it is no VOI set"
        raise FileRefusal(
            f"{root} has no {MANIFEST}: {state}", "a set is made by `voin data build`", "run it, or check the path"
        )
    try:
        table = read_table(path)
        version = table.get("version", VERSION)
        if version == VERSION:
            clips = table.get("clips")
            if isinstance(clips, list):  # what is None in a clip is left out where it came later
                table["clips"] = [{"behind": None, **clip} if isinstance(clip, dict) else clip for clip in clips]
            return from_older(Manifest, table)
    except ValueError as error:
        what = f"{path} is damaged ({reason_of(error)})"
        raise ValueRefusal(what, "it must be as voin wrote it", "restore it, or build the set again") from error
    must = f"this voin reads version {VERSION}"
    raise ValueRefusal(f"{path} is of version {version}", must, "build the set again, or install the voin that made it")


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Write the manifest as a whole file; the same manifest gives the same bytes. A clip is a line."""
    entries = [f"{json.dumps(key)}: {_line(getattr(manifest, key))}" for key in _HEAD]
    for key in ("skipped", "clips"):
        rows = ",\n    ".join(_line(_entry_of(entry)) for entry in getattr(manifest, key))
        entries.append(f'"{key}": [' + (f"\n    {rows}\n  " if rows else "") + "]")
    write_whole(root / MANIFEST, ("{\n  " + ",\n  ".join(entries) + "\n}\n").encode())


def _entry_of(record: ClipRecord | Skipped) -> dict[str, Any]:
    entry = asdict(record)
    if entry.get("behind", "") is None:
        del entry["behind"]
    return entry


def _line(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False)
