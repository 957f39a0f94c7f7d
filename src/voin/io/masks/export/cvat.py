"""Masks as CVAT for video 1.1: a track an object, with a shape in each frame that has a mask."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import cv2
import numpy as np

from voin.core.files import write_whole
from voin.io.masks.annotations.shapes import runs_of
from voin.io.masks.export.content import Content
from voin.io.masks.export.outlines import joined, trace


def write_cvat(content: Content, out: Path) -> None:
    """Write tracks; where an object is no longer seen, its last shape is `outside`."""
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    _describe(content, SubElement(SubElement(root, "meta"), "task"))
    tracks: dict[int, Element] = {}
    last: dict[int, tuple[str, dict[str, str]]] = {}
    for number in content.masks.ids:
        tracks[number] = SubElement(root, "track", id=str(number), label=content.category(number), source="file")
    for frame, _, label in content.labels():
        seen = dict(content.seen(label))
        for number, track in tracks.items():
            if number in seen:
                last[number] = _shape(seen[number], content.polygons)
                _put(track, last[number], frame, outside=False)
            elif number in last:
                _put(track, last.pop(number), frame, outside=True)
    write_whole(out, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _describe(content: Content, task: Element) -> None:
    h, w = content.info.size
    count = content.info.count
    said = {"name": content.info.path.stem, "size": count, "mode": "interpolation", "start_frame": 0}
    for tag, text in (said | {"stop_frame": count - 1, "frame_filter": ""}).items():
        SubElement(task, tag).text = str(text)
    labels = SubElement(task, "labels")
    for name in content.categories:
        SubElement(SubElement(labels, "label"), "name").text = name
    size = SubElement(task, "original_size")
    SubElement(size, "width").text, SubElement(size, "height").text = str(w), str(h)


def _shape(mask: np.ndarray, polygons: bool) -> tuple[str, dict[str, str]]:
    if polygons:
        return "polygon", {"points": ";".join(f"{x:.2f},{y:.2f}" for x, y in joined(trace(mask)))}
    x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
    runs = ", ".join(map(str, runs_of(mask[y : y + h, x : x + w].ravel())))
    return "mask", {"rle": runs, "left": str(x), "top": str(y), "width": str(w), "height": str(h)}


def _put(track: Element, shape: tuple[str, dict[str, str]], frame: int, outside: bool) -> None:
    tag, where = shape
    said = {"frame": str(frame), "keyframe": "1", "outside": str(int(outside)), "occluded": "0", "z_order": "0"}
    SubElement(track, tag, said | where)
