"""LabelMe: one JSON file a frame, with polygons, masks or rectangles; objects go by `group_id`, else by label."""

from __future__ import annotations

import base64
import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

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
            if shape.get("shape_type") == "mask":
                draw = partial(_unpack, shape, size, where)
            else:
                draw = partial(fill_polygon, _corners(shape, where), size, where)
            frame.outlines.append(Outline(key, label, draw))
        frames.append(frame)
    return AnnotatedFrames(path, frames, "group ids" if grouped else "labels")


def _number(label: str) -> int | str:
    return int(label) if label.isdecimal() and len(label) < 10 else label


def _unpack(shape: dict[str, Any], size: tuple[int, int], where: str) -> np.ndarray:
    """Return the mask, bool (h, w), that a shape holds as a PNG in letters; the first point is its upper left pixel."""
    mask = np.zeros(size, bool)
    try:
        (left, top), *_ = [(round(x), round(y)) for x, y in shape["points"]]
        with Image.open(io.BytesIO(base64.b64decode(shape["mask"])), formats=("PNG",)) as picture:
            w, h = picture.size
            if not (0 <= left <= size[1] - w and 0 <= top <= size[0] - h):
                raise ValueError("it lies outside the frame")
            mask[top : top + h, left : left + w] = np.asarray(picture.convert("L")) > 0
    except Exception as error:  # Pillow raises SyntaxError, struct.error, zlib.error and more on garbage.
        what = f"{where} has a mask that cannot be read ({str(error)[:100]})"
        raise ValueRefusal(what, "it must be a PNG that lies in the frame", "export the file again") from error
    return mask


def _corners(shape: dict[str, Any], where: str) -> list[Any]:
    points, kind = listed(shape.get("points"), f"points of {where}"), shape.get("shape_type") or "polygon"
    if kind == "rectangle" and len(points) == 2 and all(isinstance(at, list) and len(at) == 2 for at in points):
        (x0, y0), (x1, y1) = points
        return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    if kind != "polygon":
        what = f"{where} is a {str(kind)[:20]}"
        raise ValueRefusal(what, "it must be a polygon, a mask or a rectangle", "outline the object, or remove it")
    return points
