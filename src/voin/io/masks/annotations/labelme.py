"""LabelMe: one JSON file a frame, with polygons or rectangles; objects go by `group_id`, else by label."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from voin.core.errors import ValueRefusal
from voin.io.images import natural
from voin.io.masks.annotations.objects import AnnotatedFrame, AnnotatedFrames, Outline
from voin.io.masks.annotations.parse import frame_size, listed, mapping, read_json, whole
from voin.io.masks.annotations.shapes import fill_polygon

_HEAD = 65_536  # bytes of a file in which its shapes begin


def list_labelme(folder: Path) -> list[Path]:
    """List the JSON files of a folder in natural order, if the first of them is one of LabelMe's."""
    paths = sorted(folder.glob("[!.]*.json"), key=lambda path: natural(path.stem))
    if not paths:
        return []
    with paths[0].open("rb") as file:
        return paths if b'"shapes"' in file.read(_HEAD) else []


def is_labelme(found: dict[str, Any]) -> bool:
    """Return whether JSON looks like a frame of LabelMe."""
    return "shapes" in found


def read_labelme(path: Path, paths: list[Path]) -> AnnotatedFrames:
    """Make a frame of each file. Raises OSError or ValueError where one is something else."""
    frames, grouped = [], True
    for file in paths:
        found = read_json(file)
        size = frame_size(found.get("imageHeight"), found.get("imageWidth"), str(file))
        frame = AnnotatedFrame(file.stem, size, [])
        for place, shape in enumerate(listed(found.get("shapes"), f"shapes of {file}")):
            where = f"shape {place} of {file}"
            label = str(mapping(shape, where).get("label") or "")[:100]
            group = shape.get("group_id")
            grouped &= group is not None
            key = whole(group, f"group_id of {where}") if group is not None else _number(label)
            corners = _corners(shape, where)
            frame.outlines.append(Outline(key, label, partial(fill_polygon, corners, size, where)))
        frames.append(frame)
    return AnnotatedFrames(path, frames, "group ids" if grouped else "labels")


def _number(label: str) -> int | str:
    return int(label) if label.isdecimal() and len(label) < 10 else label


def _corners(shape: dict[str, Any], where: str) -> list[Any]:
    points, kind = listed(shape.get("points"), f"points of {where}"), shape.get("shape_type") or "polygon"
    if kind == "rectangle" and len(points) == 2 and all(isinstance(at, list) and len(at) == 2 for at in points):
        (x0, y0), (x1, y1) = points
        return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    if kind != "polygon":
        what = f"{where} is a {str(kind)[:20]}"
        raise ValueRefusal(what, "it must be a polygon or a rectangle", "outline the object, or remove it")
    return points
