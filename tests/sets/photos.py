"""Photographs of one whole object each, with its mask, in the layout of `voin data cutouts`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def write_photo(folder: Path, name: str, size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    for part in ("img", "mask"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    x0, y0, x1, y1 = box
    picture, mask = np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)
    picture[y0:y1, x0:x1], mask[y0:y1, x0:x1] = (0, 0, 250), 255  # red, in OpenCV's order
    cv2.imwrite(str(folder / "img" / f"{name}.jpg"), picture)
    cv2.imwrite(str(folder / "mask" / f"{name}.png"), mask)
