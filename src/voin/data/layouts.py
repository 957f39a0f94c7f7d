"""Where data sets keep their videos: the folders of YouTube-VOS and DAVIS, and plain folders, as `EXPECTED` has them.

Masks of YouTube-VOS hold the ids of `meta.json`, those of DAVIS 2017 ids, those of 2016 one object; those of plain
folders hold ids, or are white on black.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voin.core.config import from_older
from voin.core.errors import FileRefusal, ValueRefusal
from voin.data.categories import known_category
from voin.data.manifest import MOST_ID
from voin.data.options import Layout, Split
from voin.data.schema import read_table, reason_of
from voin.io.images import list_pictures

EXPECTED: dict[str, str] = {
    "youtube-vos": "train/JPEGImages/VIDEO/00000.jpg, train/Annotations/VIDEO/00000.png and train/meta.json",
    "davis": "JPEGImages/480p/VIDEO/00000.jpg, Annotations/480p/VIDEO/00000.png and ImageSets/2017/train.txt",
    "folder": "VIDEO/frames/00000.jpg and VIDEO/masks/00000.png",
}
# YouTube-VOS publishes the validation masks only where an object appears first; more a video are real masks.
_FEWEST_MASKS = 5


@dataclass(frozen=True)
class SourceVideo:
    """A video's folders, which may be missing, and what the source says about it.

    Attributes:
        name: of the video.
        frames: folder of the frames.
        masks: folder of the masks.
        split: None where the source has none.
        merged: all that is marked in a mask is one object.
        objects: category of each object, and the stems of frames that show it; None where the source is silent.
    """

    name: str
    frames: Path
    masks: Path
    split: Split | None = None
    merged: bool = False
    objects: dict[int, tuple[str | None, tuple[str, ...]]] | None = None


def list_videos(root: Path, layout: Layout) -> list[SourceVideo]:
    """List the videos of a source, in no order; refusals are those of `sources.open_source`."""
    readers = {"youtube-vos": _youtube_vos, "davis": _davis, "folder": _folder}
    if layout not in readers:
        raise ValueRefusal(
            f"the layout is {layout!r}", f"it must be one of {', '.join(readers)}", "choose the source's"
        )
    if not root.is_dir():
        raise FileRefusal(f"{root} is not a folder", "a source is the folder of the data set", "check the path")
    videos = list(readers[layout](root))
    if not videos:
        raise _wrong_layout(root, layout, "no video")
    return videos


def _youtube_vos(root: Path) -> Iterator[SourceVideo]:
    parts = {part: root / part for part in ("train", "valid") if (root / part).is_dir()}
    if (root / "JPEGImages").is_dir() or (root / "Annotations").is_dir():
        parts = {"valid" if root.name == "valid" else "train": root}
    if not parts:
        raise _wrong_layout(root, "youtube-vos", "neither train/ nor valid/ nor JPEGImages/")
    for place in (folder / kind for folder in parts.values() for kind in ("JPEGImages", "Annotations")):
        if not place.is_dir():
            raise _wrong_layout(root, "youtube-vos", f"no {place.relative_to(root)}/")
    masks = {part: _folders(folder / "Annotations") for part, folder in parts.items()}
    # The source has a split only where both parts show objects over time.
    counts = [len(list_pictures(folder)) for folder in masks.get("valid", ())]
    is_split = len(parts) == 2 and bool(counts) and statistics.median(counts) >= _FEWEST_MASKS
    for part, folder in parts.items():
        objects = _youtube_objects(folder / "meta.json")
        split: Split | None = "validation" if part == "valid" else "train" if is_split else None
        for video in masks[part]:
            name = video.name
            yield SourceVideo(name, folder / "JPEGImages" / name, video, split, objects=objects.get(name))


def _youtube_objects(path: Path) -> dict[str, dict[int, tuple[str | None, tuple[str, ...]]]]:
    if not path.is_file():
        raise _wrong_layout(path.parent, "youtube-vos", f"no {path.name}")
    try:
        found = {}
        for name, video in _table(read_table(path).get("videos"), "videos").items():
            objects = _table(_table(video, name).get("objects"), f"{name}.objects")
            found[name] = {_object_id(number): _object(entry, f"{name}.{number}") for number, entry in objects.items()}
    except ValueError as error:
        raise FileRefusal(
            f"{path} is not the meta.json of YouTube-VOS ({reason_of(error)})",
            "it must have videos: {NAME: {objects: {ID: {category, frames}}}}",
            "restore it",
        ) from error
    return found


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no table")
    return value


def _object_id(number: str) -> int:
    if not number.isdecimal() or not 0 < int(number) <= MOST_ID:
        raise ValueError(f"the id {number[:20]!r}, where masks have 1 to {MOST_ID}")
    return int(number)


@dataclass(frozen=True)
class _Object:
    category: str | None = None
    frames: tuple[str, ...] = ()


def _object(entry: object, where: str) -> tuple[str | None, tuple[str, ...]]:
    known = {name: value for name, value in _table(entry, where).items() if name in ("category", "frames")}
    read = from_older(_Object, known, where)
    return known_category(read.category), read.frames


def _davis(root: Path) -> Iterator[SourceVideo]:
    lists = _davis_lists(root)
    frames, masks = _resolution(root, "JPEGImages"), _resolution(root, "Annotations")
    if frames.name != masks.name:
        masks = root / "Annotations" / frames.name if (root / "Annotations" / frames.name).is_dir() else masks
    seen: set[str] = set()
    files: dict[Path, Split] = {lists / "train.txt": "train", lists / "val.txt": "validation"}
    for file, split in files.items():
        for name in _listed(file) if file.is_file() else ():
            if name in seen:
                raise ValueRefusal(
                    f"{file} lists {name}, which is listed before", "a video is in one split, once", "remove it"
                )
            seen.add(name)
            yield SourceVideo(name, frames / name, masks / name, split, merged=lists.name != "2017")


def _davis_lists(root: Path) -> Path:
    for name in ("2017", "2016", "480p", "1080p", "Full-Resolution"):
        folder = root / "ImageSets" / name
        if (folder / "train.txt").is_file() or (folder / "val.txt").is_file():
            return folder
    raise _wrong_layout(root, "davis", "no ImageSets/2017/ or ImageSets/2016/ with train.txt or val.txt")


def _listed(path: Path) -> list[str]:
    """Read the sequences of a list; the lists of DAVIS 2016 name each frame's file instead."""
    lines = [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return list(dict.fromkeys(Path(line).parent.name if "/" in line else line for line in lines))


def _resolution(root: Path, kind: str) -> Path:
    """Find the folder of one resolution, the smallest if there are several: 480p is large enough."""
    folder = root / kind
    if not folder.is_dir():
        raise _wrong_layout(root, "davis", f"no {kind}/")
    found = [resolution.name for resolution in _folders(folder)]
    if not found:
        raise _wrong_layout(root, "davis", f"nothing in {kind}/")
    return folder / ("480p" if "480p" in found else found[0])


def _folder(root: Path) -> Iterator[SourceVideo]:
    kinds = ("frames", "masks")
    is_video = any((root / kind).is_dir() for kind in kinds)
    for folder in [root] if is_video else _folders(root):
        lacks = [kind for kind in kinds if not (folder / kind).is_dir()]
        if len(lacks) == 1:
            raise _wrong_layout(folder, "folder", f"no {lacks[0]}/")
        if not lacks:
            name = root.resolve().name if is_video else folder.name
            yield SourceVideo(name, folder / "frames", folder / "masks")


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _wrong_layout(root: Path, layout: str, lack: str) -> OSError:
    holds = sorted(path.name + ("/" if path.is_dir() else "") for path in root.iterdir())
    listed = ", ".join(holds[:6]) + (" ..." if len(holds) > 6 else "") or "nothing"
    return FileRefusal(
        f"{root} has {lack} (it holds {listed})",
        f"the layout {layout} has {EXPECTED[layout]}",
        "give the folder that holds these, or another --layout",
    )
