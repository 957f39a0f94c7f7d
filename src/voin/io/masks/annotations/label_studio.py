"""Label Studio: a list of tasks, one an image, with brushes or polygons; objects go by a region's note, else by label.

Boxes are refused, those of videos too: what is in a box is no mask.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from voin.core.errors import ValueRefusal
from voin.io.images import natural
from voin.io.masks.annotations.brush import unpack_brush
from voin.io.masks.annotations.objects import AnnotatedFrame, AnnotatedFrames, Outline
from voin.io.masks.annotations.parse import frame_size, listed, mapping
from voin.io.masks.annotations.shapes import fill_polygon

# What is said of a whole picture, not of a part of it.
_OF_ALL = ("choices", "taxonomy", "rating", "textarea", "number", "datetime", "pairwise", "ranker")


def read_label_studio(path: Path, tasks: list[Any]) -> AnnotatedFrames:
    """Make a frame of each task. Raises ValueError where something does not fit."""
    frames: list[tuple[str, str, list[tuple[dict[str, Any], tuple[int, int], int | None]]]] = []
    sizes: list[tuple[int, int]] = []
    notes: list[bool] = []
    for place, task in enumerate(tasks):
        where = f"task {mapping(task, f'task {place} of {path}').get('id', place)} of {path}"
        if "annotations" not in task:
            what = f"{where} has no annotations"
            raise ValueRefusal(what, "it must be Label Studio's JSON, not JSON-MIN", "export it as JSON")
        done = [
            annotation
            for annotation in listed(task["annotations"], f"annotations of {where}")
            if not mapping(annotation, f"an annotation of {where}").get("was_cancelled")
        ]
        if len(done) > 1:
            what = f"{where} has {len(done)} annotations"
            raise ValueRefusal(what, "one must say where the objects are", "keep one of them")
        regions = listed(done[0].get("result"), f"the result of {where}") if done else []
        regions = [region for region in regions if mapping(region, f"a region of {where}").get("type") not in _OF_ALL]
        outlines = []
        for region in regions:
            size = frame_size(region.get("original_height"), region.get("original_width"), where)
            sizes.append(size)
            note = _note(region)
            notes.append(note is not None)
            outlines.append((region, size, note))
        frames.append((_name(task, where), where, outlines))
    if not sizes:
        raise ValueRefusal(f"{path} has no regions", "it must show an object", "mark the objects, and export it again")
    made = []
    for name, where, outlines in frames:
        size = outlines[0][1] if outlines else max(set(sizes), key=sizes.count)
        made.append(AnnotatedFrame(name, size, [_outline(*outline, all(notes), where) for outline in outlines]))
    made.sort(key=lambda frame: natural(str(frame.name)))
    said = "the regions' notes" if all(notes) else "labels; all that has the same label is one object"
    return AnnotatedFrames(path, made, said)


def _name(task: dict[str, Any], where: str) -> str:
    """Return an image's file stem, without what Label Studio puts before it."""
    data = mapping(task.get("data"), f"the data of {where}")
    places = [data.get(key) for key in ("image", "img", "ocr", "video")] + [*data.values()]
    file = next((text for text in places if isinstance(text, str) and text), "")
    name = PurePosixPath(re.split(r"[?&]d=", file)[-1].replace("\\", "/")).name
    stem = PurePosixPath(re.sub(r"^[0-9a-f]{8}-(?=.)", "", name)).stem
    if not stem:
        raise ValueRefusal(f"{where} has no image", "its data must name one", "export the file again")
    return stem


def _note(region: dict[str, Any]) -> int | None:
    """Return the number that is a region's note, if it is one."""
    meta = region.get("meta")
    text = meta.get("text") if isinstance(meta, dict) else None
    text = text[0] if isinstance(text, list) and text else text
    return int(text) if isinstance(text, str) and text.isdecimal() and len(text) < 10 else None


def _outline(region: dict[str, Any], size: tuple[int, int], note: int | None, noted: bool, where: str) -> Outline:
    kind = str(region.get("type") or "")
    value = mapping(region.get("value"), f"a region of {where}")
    labels = value.get(kind) if isinstance(value.get(kind), list) else []
    label = str(labels[0])[:100] if labels else ""
    if "brush" in kind and value.get("format") == "rle":
        draw = partial(unpack_brush, listed(value.get("rle"), f"rle of {where}"), size, where)
    elif "polygon" in kind:
        points = listed(value.get("points"), f"points of {where}")
        draw = partial(_fill_percents, points, size, where)
    else:
        raise ValueRefusal(f"{where} has a region of type {kind[:30]!r}", *_remedy(kind, region, value))
    return Outline(note if noted and note is not None else label, label, draw)


def _fill_percents(points: list[Any], size: tuple[int, int], where: str) -> Any:
    if not all(isinstance(point, list) and len(point) == 2 for point in points):
        points = []
    try:
        scaled = [(x * size[1] / 100, y * size[0] / 100) for x, y in points]
    except TypeError:
        scaled = []
    return fill_polygon(scaled, size, where)


def _remedy(kind: str, region: dict[str, Any], value: dict[str, Any]) -> tuple[str, str]:
    if "rectangle" not in kind:
        return "it must be a brush or a polygon", "outline the object"
    keyframes = value.get("sequence") if "video" in kind else [value]
    box = ""
    if isinstance(keyframes, list) and keyframes and isinstance(keyframes[0], dict):
        first, width, height = keyframes[0], region.get("original_width"), region.get("original_height")
        sides = [
            (first.get(side), of) for side, of in zip(("x", "y", "width", "height"), (width, height) * 2, strict=True)
        ]
        if all(isinstance(share, int | float) and isinstance(of, int) for share, of in sides):
            box = ",".join(str(round(share * of / 100)) for share, of in sides)  # type: ignore[operator]
            frame = first.get("frame") if "video" in kind else None
            box += f" --frame {frame - 1}" if isinstance(frame, int) and frame > 0 else ""
    must = "it must be a brush or a polygon, as a box does not say which pixels are the object's"
    return must, f"let voin track what is in the box: voin mask VIDEO -o masks --box {box or 'X,Y,W,H'}"
