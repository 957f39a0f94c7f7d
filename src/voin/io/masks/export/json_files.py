"""Masks in one JSON file: COCO, YouTube-VIS and Label Studio."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from voin.core.files import write_whole
from voin.io.masks.annotations.brush import pack_brush
from voin.io.masks.annotations.shapes import compress
from voin.io.masks.export.content import Content
from voin.io.masks.export.outlines import joined, numbers_of, trace


def write_coco(content: Content, out: Path) -> None:
    """Write an image a frame that has a mask, and annotations with `track_id`."""
    h, w = content.info.size
    images, annotations = [], []
    for frame, name, label in content.labels():
        images.append({"id": frame, "file_name": f"{name}.png", "height": h, "width": w})
        for number, mask in content.seen(label):
            about = {"id": len(annotations) + 1, "image_id": frame, "track_id": number, "iscrowd": 0}
            annotations.append(about | _described(content, number, mask))
    _save(out, {"images": images, "annotations": annotations, "categories": _categories(content)})


def write_youtube_vis(content: Content, out: Path) -> None:
    """Write one video, and an annotation an object, with a segmentation a frame that has a mask, or null."""
    (h, w), shapes, names = content.info.size, {number: [] for number in content.masks.ids}, []
    for _, name, label in content.labels():
        names.append(f"{content.info.path.stem}/{name}.png")
        seen = {number: _described(content, number, mask) for number, mask in content.seen(label)}
        for number, found in shapes.items():
            found.append(seen.get(number))
    annotations = []
    for number, found in shapes.items():
        columns = {"segmentations": "segmentation", "bboxes": "bbox", "areas": "area"}
        lists = {to: [shape and shape[key] for shape in found] for to, key in columns.items()}
        category = content.categories.index(content.category(number)) + 1
        annotations.append({"id": number, "video_id": 1, "category_id": category, "iscrowd": 0} | lists)
    videos = [{"id": 1, "height": h, "width": w, "length": len(names), "file_names": names}]
    _save(out, {"videos": videos, "annotations": annotations, "categories": _categories(content)})


def write_label_studio(content: Content, out: Path) -> None:
    """Write a task a frame that has a mask; the note of a region is its object's id."""
    tasks = []
    for frame, name, label in content.labels():
        regions = [_region(content, number, mask, f"{frame}-{number}") for number, mask in content.seen(label)]
        annotation = {"id": frame + 1, "result": regions, "was_cancelled": False}
        tasks.append({"id": frame + 1, "data": {"image": f"{name}.png"}, "annotations": [annotation]})
    write_whole(out, json.dumps(tasks).encode())


def _region(content: Content, number: int, mask: np.ndarray, name: str) -> dict[str, Any]:
    h, w = mask.shape
    if content.polygons:
        ring = joined(trace(mask)) * np.array([100 / w, 100 / h], np.float32)
        kind, value = "polygonlabels", {"points": [[round(float(x), 4), round(float(y), 4)] for x, y in ring]}
    else:
        kind, value = "brushlabels", {"format": "rle", "rle": pack_brush(mask)}
    return {
        **{"id": name, "type": kind, "from_name": "tag", "to_name": "image", "image_rotation": 0},
        **{"original_width": w, "original_height": h, "meta": {"text": [str(number)]}},
        "value": value | {kind: [content.category(number)]},
    }


def _described(content: Content, number: int, mask: np.ndarray) -> dict[str, Any]:
    """Return an object in a frame as COCO describes it."""
    shape: Any = {"size": [*mask.shape], "counts": ""}
    if content.polygons:
        shape = [[value for point in numbers_of(ring) for value in point] for ring in trace(mask)]
    else:
        shape["counts"] = compress(mask)
    return {
        "category_id": content.categories.index(content.category(number)) + 1,
        "segmentation": shape,
        "bbox": [*cv2.boundingRect(mask.view(np.uint8))],
        "area": int(np.count_nonzero(mask)),
    }


def _categories(content: Content) -> list[dict[str, Any]]:
    return [{"id": place, "name": name} for place, name in enumerate(content.categories, start=1)]


def _save(out: Path, found: dict[str, Any]) -> None:
    write_whole(out, json.dumps({"info": {"description": "written by voin"}} | found).encode())
