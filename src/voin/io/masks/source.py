"""Masks in files, whatever they are stored as: opened, matched to the frames of a video, and checked.

All masks are read once, on opening: that finds every mistake before work starts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from voin.core.errors import FileRefusal, ValueRefusal, count_of
from voin.core.files import check_stored, identity
from voin.io.images import shown
from voin.io.limits import VideoLimits
from voin.io.masks.annotations.formats import AnnotationMasks
from voin.io.masks.frames import Moments, frames_of
from voin.io.masks.joined import Part, check_no_frames, join_masks, list_object_folders
from voin.io.masks.kept import KeptMasks, ReadMasks
from voin.io.masks.labels import MaskSource, Origin, davis_palette, write_label
from voin.io.masks.npz import ArrayMasks
from voin.io.masks.pictures import PictureMasks
from voin.io.masks.planes import Plane, take_rims
from voin.io.masks.reading import FILE_FORMS
from voin.io.masks.values import Kind, MaskFile, MaskFormat, NamedObjects, ids_of_values
from voin.io.masks.video import VideoMasks
from voin.io.video_info import VideoInfo

__all__ = ["FORMATS", "MaskPaths", "MaskSource", "davis_palette", "identify", "list_paths", "open_masks", "write_label"]

MaskPaths = str | Path | Sequence[str | Path]

# How masks may be stored: the first that takes a path opens it. Another way is a file of its own, and a line here.
FORMATS: list[MaskFormat] = [AnnotationMasks(), PictureMasks, ArrayMasks, VideoMasks]


def open_masks(
    path: MaskPaths,
    info: VideoInfo,
    *,
    resize: bool = False,
    frames: str | Sequence[int] | None = None,
    absent: Literal["invisible", "error"] = "invisible",
    ids: Sequence[int] | None = None,
    invert: bool = False,
    empty: bool = False,
    limits: VideoLimits = VideoLimits(),  # noqa: B008 - frozen
    progress: Callable[[int, int], object] | None = None,
    kept: KeptMasks | None = None,
) -> MaskSource:
    """Read masks of the objects in a video, and check that they fit it.

    Masks are a folder of PNGs (indexed: object ids; grey: see `ids_of_values`; or coloured), a single such PNG, a mask
    video (white on black), an .npz or .npy (one array (t, h, w) of bool or ids, or one bool array an object),
    annotations (COCO, YouTube-VIS, CVAT for video, LabelMe, Label Studio), or a folder with a folder of pictures an
    object.

    Args:
        path: The masks; of several, each shows other objects, from the front to the back: ids are kept where no two
            are alike, and numbered anew in this order otherwise.
        info: The video.
        resize: Scale masks of another size to the video's (nearest pixel).
        frames: Frames that the masks belong to, such as "0,5,10" or "0-70:5"; otherwise the file names say it.
        absent: What a frame without a mask means: the object is not visible there, or it is an error.
        ids: Objects to take; each must occur. None for all.
        invert: Take what is black in masks of white on black for the object.
        empty: Accept masks that show nothing in any frame.
        limits: The largest mask video that is read.
        progress: Called with (masks read, masks in all).
        kept: Where masks that did not change need not be read again; what is read anew is noted there.

    Raises:
        OSError: a file cannot be read.
        ValueError: number, sizes, names or values of the masks do not fit.
    """
    paths = list_paths(path)
    folders = list_object_folders(paths[0]) if len(paths) == 1 else []
    how: dict[str, Any] = {
        **{"resize": resize, "frames": frames, "absent": absent, "invert": invert},
        **{"limits": limits, "progress": progress, "kept": kept},
    }
    if len(paths) > 1:
        check_no_frames(paths)
        parts = [Part(part, open_masks(part, info, **how)) for part in paths]
        source = join_masks(info, parts, False, ids)
    elif folders:
        parts = [Part(folder, _open_one(folder, info, ids=None, **how)) for folder in folders]
        source = join_masks(info, parts, True, ids)
    else:
        source = _open_one(paths[0], info, ids=ids, **how)
    named = ", ".join(map(str, paths))
    lost = sorted(set(ids or ()) - set(source.found))
    if lost:
        raise ValueRefusal(
            f"{named} has no object {', '.join(map(str, lost))} in any frame, of those asked for",
            "each must occur",
            f"ask for some of {', '.join(map(str, source.found))}",
        )
    if not (source.ids or empty):
        raise ValueRefusal(
            f"{named} has no object in any frame: all masks are empty",
            "at least one must show the object",
            "check that the object is white or has an id above 0",
        )
    return source


def list_paths(path: MaskPaths) -> list[Path]:
    """List masks that are given as one or several paths. Raises ValueError where there are none, or one twice."""
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(part) for part in path]
    if not paths or len({part.resolve() for part in paths}) < len(paths):
        have = ", ".join(map(str, paths)) or "nothing"
        raise ValueRefusal(f"masks are {have}", "each must be given once", "correct it")
    return paths


def identify(path: MaskPaths) -> dict[str, Any] | list[dict[str, Any]]:
    """Return what tells masks from others, as JSON can hold it: one entry a file or folder of pictures."""
    files = [file for part in list_paths(path) for file in list_object_folders(part) or [part]]
    return identity(files[0]) if len(files) == 1 else [identity(file) for file in files]


def _open_one(
    path: Path,
    info: VideoInfo,
    *,
    resize: bool,
    frames: str | Sequence[int] | None,
    absent: Literal["invisible", "error"],
    ids: Sequence[int] | None,
    invert: bool,
    limits: VideoLimits,
    progress: Callable[[int, int], object] | None,
    kept: KeptMasks | None,
) -> MaskSource:
    must = f"it must be a folder of PNGs, a mask video, {FILE_FORMS}"
    if not path.exists():
        raise FileRefusal(f"{path} does not exist", must, "check the spelling")
    check_stored(path, must)
    form = next(form for form in FORMATS if form.takes(path))
    stored = _open_video(path, limits) if form is VideoMasks else form(path)
    objects = stored if isinstance(stored, NamedObjects) else None
    if objects is not None:
        objects.choose(info)
    matched = frames_of(path, stored.names, info, frames)
    if stored.size is not None:
        limits.check_pixels(path, stored.size)
    if stored.size is not None and stored.size != info.size and not resize:
        raise _size_refusal(str(path), stored.size, info)
    missing = sorted(set(range(info.count)) - set(matched.frames))
    if absent == "error" and missing:
        have = f"{path} has {len(matched.frames)} masks for a video of {info.count} frames"
        raise ValueRefusal(
            f"{have}, and none for frame {missing[0]}",
            "every frame must have one",
            "add it, empty if the object is not visible there",
        )
    name = "" if kept is None else kept.name(path, matched.frames, info)
    read = None if kept is None else kept.find(name, info)
    if read is None:
        read = _read(stored, matched.frames, info, resize, progress)
        if kept is not None:
            kept.note(name, read)
    planes, counts, colours, overlapping = read.planes, read.counts, read.colours, read.overlapping
    # Outlines have hard edges: what is thin in them is an object.
    planes, rims = (planes, 0) if objects else take_rims(planes, counts, colours, ids)
    tables = ids_of_values(path, counts, colours, davis_palette())
    if invert:
        if set(counts) != {"grey"} or tables["grey"].max() > 1:
            raise ValueRefusal(
                f"{path} has object ids or colours",
                "only masks of white on black can be inverted",
                "leave out --invert-masks, and choose objects with --ids",
            )
        planes = {frame: plane.inverted(tables["grey"], info.size) for frame, plane in planes.items()}
        tables["grey"] = np.arange(256, dtype=np.uint8)
    unit = "annotated frame" if objects else "mask frame" if isinstance(stored.names, int | Moments) else "file"
    overlaps = f"objects overlap in {count_of(overlapping, 'frame')}: the higher id is seen" if overlapping else ""
    origin = Origin(
        count=len(matched.frames),
        unit=unit,
        matched=matched.how,
        may_be_void=unit == "file",  # arrays name their objects, so that in them 255 is one like any other
        rims=rims,
        categories={} if objects is None else objects.categories,
        numbered="" if objects is None else objects.numbered,
        overlaps=overlaps,
    )
    return MaskSource(info, planes, tables, ids, origin)


def _read(
    stored: MaskFile,
    frames: Sequence[int | None],
    info: VideoInfo,
    resize: bool,
    progress: Callable[[int, int], object] | None,
) -> ReadMasks:
    """Decode all masks that belong to a frame."""
    colours: dict[int, int] = {}
    counts: dict[Kind, np.ndarray] = {}
    planes: dict[int, Plane] = {}
    overlapping = 0
    for done, (frame, (where, values, kind, overlap)) in enumerate(
        zip(frames, stored.masks(colours), strict=True), start=1
    ):
        if progress is not None:
            progress(done, len(frames))
        if frame is None:
            continue
        overlapping += overlap
        if values.shape != info.size:
            h, w = info.size
            if not resize:
                raise _size_refusal(where, values.shape[:2], info)
            values = cv2.resize(values, (w, h), interpolation=cv2.INTER_NEAREST_EXACT)
        plane = Plane.of(np.ascontiguousarray(values), kind)
        counts[kind] = counts.get(kind, 0) + np.bincount(plane.values().ravel(), minlength=256)
        planes[frame] = plane
    return ReadMasks(planes, counts, colours, overlapping)


def _open_video(path: Path, limits: VideoLimits) -> VideoMasks:
    """Open what is of no other form as a video; where it is none, all forms are named."""
    try:
        return VideoMasks(path, limits)
    except FileRefusal as error:
        others = f"masks of another form: a folder of PNGs, {FILE_FORMS}"
        raise FileRefusal(error.what, f"{error.must or 'it must be a video'}, or {others}", error.remedy) from error


def _size_refusal(where: str, size: tuple[int, ...], info: VideoInfo) -> ValueRefusal:
    turned = f" (a viewer turns it by {info.rotation} degrees)" if info.rotation and size == info.stored_size else ""
    what = f"{where} is {shown((size[0], size[1]))} for a video of {shown(info.size)}{turned}"
    return ValueRefusal(what, "masks must have the video's size", "scale them, or use --resize-masks")
