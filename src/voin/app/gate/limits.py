"""What is let in: the size of uploads, of videos and of masks, looked up in headers before anything is decoded."""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from voin.app.options import Limits
from voin.core.errors import FileRefusal, Refusal, ValueRefusal
from voin.io.images import header_size, shown
from voin.io.masks.archives import open_archive
from voin.io.masks.npz import ArrayMasks
from voin.io.masks.reading import FILE_FORMS
from voin.io.masks.source import MaskPaths, list_paths, open_masks, write_label
from voin.io.video import VideoInfo, probe

MASK_SUFFIXES = (".zip", ".npz", ".npy", ".png", ".json", ".xml", ".mp4", ".mov", ".mkv", ".webm", ".avi")
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".gif")
_LOOSE_FILES = 16  # in an archive of masks, beside the pictures
MOST_SETS = 16  # of masks, each of other objects


def check_video(path: Path, limits: Limits) -> VideoInfo:
    """Return what a video is, if it is within the limits; headers and packets are looked at first, frames last."""
    if not path.is_dir():
        check_bytes(path, limits)
    return probe(path, limits=limits)


def check_bytes(path: Path, limits: Limits) -> None:
    """Refuse a file that is larger than an upload may be."""
    size = path.stat().st_size if path.exists() else 0
    if size > limits.bytes:
        what, most = f"{path.name} has {size / 1e6:.0f} MB", f"at most {limits.megabytes} MB"
        raise limits.too_much(what, most, "cut or convert it", "--max-mb")


def take_masks(given: MaskPaths, info: VideoInfo, limits: Limits, scratch: Path, out: Path) -> int:
    """Write uploaded masks of a video to the new folder `out`, an indexed PNG a frame; return how many there are.

    They are a zip of PNGs (in a folder an object, if in several), which is unpacked into `scratch` for a while, an
    .npz or .npy, a mask video, an annotation file or one PNG; or several of these, of other objects each.
    """
    paths = list_paths(given)
    if len(paths) > MOST_SETS:
        what = f"there are {len(paths)} files of masks"
        raise ValueRefusal(what, f"at most {MOST_SETS} are taken, an object each", "pack masks of frames into a zip")
    for path in paths:
        if path.suffix.lower() not in MASK_SUFFIXES:
            must = f"they must be a zip of PNGs, a PNG, a mask video, {FILE_FORMS}"
            raise ValueRefusal(f"{path.name} is no form of masks", must, "convert them")
        check_bytes(path, limits)
    try:
        places = [scratch / str(place) for place in range(len(paths))] if len(paths) > 1 else [scratch]
        opened = [_opened(path, info, limits, place) for path, place in zip(paths, places, strict=True)]
        source = open_masks(opened, info, limits=limits)
        out.mkdir(parents=True)
        frames = [frame for frame in range(info.count) if source.given(frame)]
        for frame in frames:
            write_label(out / f"{frame:05d}.png", source.label(frame))
        return len(frames)
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _opened(path: Path, info: VideoInfo, limits: Limits, scratch: Path) -> Path:
    """Check the size of what is inside; return what `open_masks` can read."""
    suffix = path.suffix.lower()
    if suffix == ".zip":
        unpack_pictures(path, scratch, info, limits)
        return scratch
    if suffix == ".png":
        limits.check_pixels(path, header_size(path))
    elif ArrayMasks.takes(path):
        arrays = ArrayMasks(path)
        limits.check_frames(path, arrays.names)
        limits.check_pixels(path, arrays.size)
        if any(dtype.itemsize > np.dtype(np.int64).itemsize for dtype in arrays.dtypes.values()):
            what = f"{path.name} has values of more than 8 bytes"
            raise ValueRefusal(what, "masks are bool or object ids", "convert them")
    elif suffix not in (".json", ".xml"):  # which are checked as they are read
        check_video(path, limits)
    return path


def unpack_pictures(path: Path, out: Path, info: VideoInfo, limits: Limits) -> None:
    """Unpack the PNGs of an archive into `out`, in a folder an object where they lie so, and nothing else."""
    out.mkdir(parents=True)
    try:
        with open_archive(path, limits.frames + _LOOSE_FILES) as archive:
            for name, member in _pictures(path, archive, limits).items():
                (out / name).parent.mkdir(exist_ok=True)
                # Of a file no more is unpacked than the archive claims.
                with archive.open(member) as source, (out / name).open("wb") as file:
                    shutil.copyfileobj(source, file)
                size = header_size(out / name)
                if size != info.size:
                    what = f"{member.filename} in {path.name} is {shown(size)} for a video of {shown(info.size)}"
                    raise ValueRefusal(what, "masks must have the video's size", "scale them")
    except Refusal:
        raise
    except Exception as error:  # zipfile raises zlib.error, struct.error, LZMAError and more on garbage
        raise FileRefusal(
            f"{path.name} cannot be unpacked ({error})", "it must be a whole zip without a password", "pack it again"
        ) from error


def _pictures(path: Path, archive: zipfile.ZipFile, limits: Limits) -> dict[str, zipfile.ZipInfo]:
    """List the PNGs of an archive by where they go; one that is too large, or names what lies elsewhere, is refused."""
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > limits.frames + _LOOSE_FILES:
        raise ValueRefusal(f"{path.name} holds {len(members)} files", "a mask a frame is enough", "pack only the masks")
    total, most = sum(member.file_size for member in members), f"at most {limits.megabytes} MB are taken here"
    if total > limits.bytes:
        raise ValueRefusal(f"{path.name} unpacks to {total / 1e6:.0f} MB", most, "pack only the masks, as indexed PNGs")
    found: list[tuple[PurePosixPath, zipfile.ZipInfo]] = []
    for member in members:
        place = PurePosixPath(member.filename.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts or stat.S_ISLNK(member.external_attr >> 16):
            what = f"{path.name} names {member.filename!r}, which lies elsewhere"
            raise ValueRefusal(what, "an archive must hold its files itself", "pack the folder of masks again")
        if place.suffix.lower() != ".png" or place.name.startswith(".") or "__MACOSX" in place.parts:
            continue
        found.append((place, member))
    if not found:
        what = f"{path.name} holds no PNG"
        raise ValueRefusal(
            what, "it must hold a mask a frame as PNGs", "pack the folder of masks; annotations need no zip"
        )
    return _placed(path, found)


def _placed(path: Path, found: Sequence[tuple[PurePosixPath, zipfile.ZipInfo]]) -> dict[str, zipfile.ZipInfo]:
    """Say where PNGs go: into one folder, or where their folders are objects into one folder each."""
    folders = {place.parent for place, _ in found}
    numbers = {number for folder in folders if (number := "".join(re.findall(r"\d+", folder.name)[-1:]))}
    repeated = len({place.name for place, _ in found}) < len(found)
    apart = len(folders) > 1 and (repeated or len(numbers) == len(folders))
    if apart and len(folders) > MOST_SETS:
        what = f"{path.name} has {len(folders)} folders of masks"
        raise ValueRefusal(what, f"at most {MOST_SETS} are taken, an object each", "pack masks with an id an object")
    placed: dict[str, zipfile.ZipInfo] = {}
    for place, member in found:
        name = f"{place.parent.name}/{place.name}" if apart else place.name
        if name in placed or (apart and not place.parent.name):
            what = f"{path.name} has {name.lstrip('/')} twice" if name in placed else f"{name[1:]} lies beside folders"
            must = "a frame must have one mask, or one in the folder of each object"
            raise ValueRefusal(what, must, "pack one folder of masks, or a folder with a folder an object")
        placed[name] = member
    return placed
