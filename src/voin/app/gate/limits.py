"""What is let in: the size of uploads, of videos and of masks, looked up in headers before anything is decoded."""

from __future__ import annotations

import shutil
import stat
import zipfile
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np

from voin.app.options import Limits
from voin.core.errors import FileRefusal, ValueRefusal
from voin.io.images import header_size, list_pictures, shown
from voin.io.masks.npz import ArrayMasks
from voin.io.masks.source import open_masks, write_label
from voin.io.video import VideoInfo, probe
from voin.io.video_info import FFMPEG_ERRORS
from voin.io.video_read import open_video

MASK_SUFFIXES = (".zip", ".npz", ".png", ".mp4", ".mov", ".mkv", ".webm", ".avi")
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".gif")
_LOOSE_FILES = 16  # in an archive of masks, beside the pictures


def check_video(path: Path, limits: Limits) -> VideoInfo:
    """Return what a video is, if it is within the limits; headers and packets are looked at first, frames last."""
    if path.is_dir():
        pictures = list_pictures(path)
        check_frames(path, len(pictures), limits)
        if pictures:
            check_pixels(path, header_size(pictures[0]), limits)
    else:
        check_bytes(path, limits)
        with open_video(path) as (container, stream):
            # What decoders would make room for, by the header's word.
            context = stream.codec_context
            check_pixels(path, (context.height or 1, context.width or 1), limits)
            check_frames(path, max(stream.frames, len(stream.index_entries)), limits)
            packets = (packet for packet in container.demux(stream) if packet.size)
            try:
                count = sum(1 for _ in islice(packets, limits.frames + 1))
            except FFMPEG_ERRORS:
                count = 0  # what is broken is for `probe` to say
            check_frames(path, count, limits)
    info = probe(path)
    check_pixels(path, info.size, limits)
    check_frames(path, info.count, limits)
    return info


def check_bytes(path: Path, limits: Limits) -> None:
    """Refuse a file that is larger than an upload may be."""
    size = path.stat().st_size if path.exists() else 0
    if size > limits.bytes:
        raise _too_much(
            f"{path.name} has {size / 1e6:.0f} MB", f"at most {limits.megabytes} MB", "cut or convert it", "--max-mb"
        )


def check_pixels(path: Path, size: tuple[int, int], limits: Limits) -> None:
    """Refuse frames of `size` (h, w) that are too large."""
    if size[0] * size[1] > limits.pixels:
        what, most = f"{path.name} has frames of {shown(size)}", f"at most {limits.pixels:,} pixels a frame"
        raise _too_much(what, most, "scale it down", "--max-pixels")


def check_frames(path: Path, count: int, limits: Limits) -> None:
    """Refuse a video of too many frames."""
    if count > limits.frames:
        raise _too_much(f"{path.name} has more than {limits.frames} frames", "no more", "cut it", "--max-frames")


def _too_much(what: str, most: str, remedy: str, flag: str) -> ValueRefusal:
    return ValueRefusal(what, f"{most} are taken here", f"{remedy}, or start the server with a larger {flag}")


def take_masks(path: Path, info: VideoInfo, limits: Limits, scratch: Path, out: Path) -> int:
    """Write uploaded masks of a video to the new folder `out`, an indexed PNG a frame; return how many there are.

    They are a zip of PNGs, which is unpacked into `scratch` for a while, an .npz, a mask video or one PNG.
    """
    if path.suffix.lower() not in MASK_SUFFIXES:
        must = "they must be a zip of PNGs, an .npz, a mask video or a PNG"
        raise ValueRefusal(f"{path.name} is no form of masks", must, "convert them")
    check_bytes(path, limits)
    try:
        source = open_masks(_opened(path, info, limits, scratch), info)
        out.mkdir(parents=True)
        given = [frame for frame in range(info.count) if source.given(frame)]
        for frame in given:
            write_label(out / f"{frame:05d}.png", source.label(frame))
        return len(given)
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
        check_pixels(path, header_size(path), limits)
    elif suffix == ".npz":
        arrays = ArrayMasks(path)
        check_frames(path, arrays.names, limits)
        check_pixels(path, arrays.size, limits)
        if any(dtype.itemsize > np.dtype(np.int64).itemsize for dtype in arrays.dtypes.values()):
            what = f"{path.name} has values of more than 8 bytes"
            raise ValueRefusal(what, "masks are bool or object ids", "convert them")
    else:
        check_video(path, limits)
    return path


def unpack_pictures(path: Path, out: Path, info: VideoInfo, limits: Limits) -> None:
    """Unpack the PNGs of an archive into the folder `out`, whatever folders they lie in, and nothing else."""
    out.mkdir(parents=True)
    try:
        with zipfile.ZipFile(path) as archive:
            for name, member in _pictures(path, archive, limits).items():
                # Of a file no more is unpacked than the archive claims.
                with archive.open(member) as source, (out / name).open("wb") as file:
                    shutil.copyfileobj(source, file)
                size = header_size(out / name)
                if size != info.size:
                    what = f"{member.filename} in {path.name} is {shown(size)} for a video of {shown(info.size)}"
                    raise ValueRefusal(what, "masks must have the video's size", "scale them")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise FileRefusal(
            f"{path.name} cannot be unpacked ({error})", "it must be a whole zip without a password", "pack it again"
        ) from error


def _pictures(path: Path, archive: zipfile.ZipFile, limits: Limits) -> dict[str, zipfile.ZipInfo]:
    """List the PNGs of an archive by their names; one that is too large, or names what lies elsewhere, is refused."""
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > limits.frames + _LOOSE_FILES:
        raise ValueRefusal(f"{path.name} holds {len(members)} files", "a mask a frame is enough", "pack only the masks")
    total, most = sum(member.file_size for member in members), f"at most {limits.megabytes} MB are taken here"
    if total > limits.bytes:
        raise ValueRefusal(f"{path.name} unpacks to {total / 1e6:.0f} MB", most, "pack only the masks, as indexed PNGs")
    found: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        place = PurePosixPath(member.filename.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts or stat.S_ISLNK(member.external_attr >> 16):
            what = f"{path.name} names {member.filename!r}, which lies elsewhere"
            raise ValueRefusal(what, "an archive must hold its files itself", "pack the folder of masks again")
        if place.suffix.lower() != ".png" or place.name.startswith(".") or "__MACOSX" in place.parts:
            continue
        if place.name in found:
            what = f"{path.name} has {place.name} twice"
            raise ValueRefusal(what, "a frame must have one mask", "pack one folder of masks")
        found[place.name] = member
    if not found:
        what = f"{path.name} holds no PNG"
        raise ValueRefusal(what, "it must hold a mask a frame as PNGs", "pack the folder of masks")
    return found
