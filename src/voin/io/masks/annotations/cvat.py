"""CVAT for video 1.1: tracks with a polygon or a mask in each frame, and `outside` where the object is not seen.

Frames between two keyframes of a track that are not listed have no mask: CVAT lists all that it interpolates.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from voin.core.errors import ValueRefusal, count_of
from voin.io.masks.annotations.objects import AnnotatedFrame, AnnotatedFrames, Outline
from voin.io.masks.annotations.parse import frame_size, read_xml, whole
from voin.io.masks.annotations.shapes import fill_polygon, fill_runs

_MOST_FRAMES = 1_000_000


def read_cvat(path: Path) -> AnnotatedFrames:
    """Make frames of the tracks of an XML file. Raises OSError or ValueError where it is something else."""
    root = read_xml(path)
    tracks, original = root.findall("track"), root.find(".//original_size")
    if root.tag != "annotations" or not tracks or original is None:
        have = f"{path} has {count_of(len(tracks), 'track')}{'' if original is not None else ' and no original_size'}"
        raise ValueRefusal(have, "it must be CVAT for video 1.1 with tracks", "export it from CVAT in this format")
    size = frame_size(original.findtext("height"), original.findtext("width"), str(path))
    shown: dict[int, list[Outline]] = {}
    spans: list[list[tuple[int, bool]]] = []
    for track in tracks:
        number = whole(track.get("id"), f"the id of a track of {path}")
        span = []
        for shape in track:
            frame = whole(shape.get("frame"), f"a frame of track {number} of {path}", 0, _MOST_FRAMES)
            outside = shape.get("outside") == "1"
            span.append((frame, outside))
            if not outside:
                where = f"frame {frame} of track {number} of {path}"
                draw = partial(_draw, shape, size, where)
                shown.setdefault(frame, []).append(Outline(number, (track.get("label") or "")[:100], draw))
        spans.append(sorted(span))
    frames = [AnnotatedFrame(frame, size, shown.get(frame, [])) for frame in _annotated(root, spans)]
    return AnnotatedFrames(path, frames, "track ids")


def _annotated(root: Element, spans: list[list[tuple[int, bool]]]) -> list[int]:
    """List the frames in which each track is known: listed, or not begun, or gone."""
    step = (root.findtext(".//frame_filter") or "").partition("step=")[2].strip()
    grid = whole(step, "the step of frame_filter", 1) if step else 1
    known = {frame for span in spans for frame, _ in span}
    first, last = (
        whole(root.findtext(f".//{end}_frame") or 0, f"{end}_frame", 0, _MOST_FRAMES) for end in ("start", "stop")
    )
    last = max(last, *known) if known else last
    every = np.zeros(last + 1, bool)
    every[first::grid] = True
    every[sorted(known)] = True
    for span in spans:
        for (frame, outside), (following, _) in zip(span, [*span[1:], (last + 1, True)], strict=True):
            if not outside:
                every[frame + 1 : following] = False
    return [int(frame) for frame in np.flatnonzero(every)]


def _draw(shape: Element, size: tuple[int, int], where: str) -> np.ndarray:
    if shape.tag == "polygon":
        pairs = [pair.split(",") for pair in (shape.get("points") or "").split(";")]
        return fill_polygon(pairs, size, where)
    if shape.tag == "mask":
        left, top = (whole(shape.get(side), f"{side} in {where}", 0, max(size)) for side in ("left", "top"))
        height, width = (whole(shape.get(side), f"{side} in {where}", 1, max(size)) for side in ("height", "width"))
        if top + height > size[0] or left + width > size[1]:
            what = f"{where} has a mask of {width}x{height} at {left}, {top}"
            raise ValueRefusal(what, f"it must lie in the frame of {size[1]}x{size[0]}", "export the file again")
        mask = np.zeros(size, bool)
        runs = (shape.get("rle") or "").split(",")
        mask[top : top + height, left : left + width] = fill_runs(runs, (height, width), where, by_columns=False)
        return mask
    raise ValueRefusal(f"{where} is a {shape.tag}", "it must be a polygon or a mask", "outline the object")
