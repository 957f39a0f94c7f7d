"""Masks as LabelMe's files: one JSON a frame that has a mask."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from voin.core.files import write_whole
from voin.io.masks.export.content import Content
from voin.io.masks.export.outlines import numbers_of, trace

_VERSION = "5.4.1"  # of LabelMe, the first ones with masks


def write_labelme(content: Content, out: Path) -> None:
    """Write the shapes of each frame; `group_id` is the object's id."""
    h, w = content.info.size
    for _, name, label in content.labels():
        shapes = [
            {"label": content.category(number), "group_id": number, "description": "", "flags": {}} | shape
            for number, mask in content.seen(label)
            for shape in (_outlines(mask) if content.polygons else [_mask(mask)])
        ]
        about = {"version": _VERSION, "flags": {}, "shapes": shapes, "imagePath": f"{name}.png", "imageData": None}
        write_whole(out / f"{name}.json", json.dumps(about | {"imageHeight": h, "imageWidth": w}).encode())


def _outlines(mask: np.ndarray) -> list[dict[str, Any]]:
    return [{"shape_type": "polygon", "points": numbers_of(ring), "mask": None} for ring in trace(mask)]


def _mask(mask: np.ndarray) -> dict[str, Any]:
    x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
    data = io.BytesIO()
    Image.fromarray(mask[y : y + h, x : x + w]).save(data, "PNG")
    letters = base64.b64encode(data.getvalue()).decode()
    return {"shape_type": "mask", "points": [[x, y], [x + w - 1, y + h - 1]], "mask": letters}
