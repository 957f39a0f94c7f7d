"""Masks as TIFF, BMP, WebP, EXR, DPX and PNG of 16 bits."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from scenes.video_clips import SIZE, described
from voin.io.colour.picture_kinds import write_frame
from voin.io.colour.samples import PictureFrame
from voin.io.masks.source import open_masks

LABEL = np.zeros(SIZE, np.uint8)
LABEL[10:30, 8:24] = 1
LABEL[12:40, 34:50] = 2
WHITE = np.where(LABEL == 1, np.uint8(255), np.uint8(0))


def _paletted(path: Path) -> None:
    picture = Image.fromarray(LABEL)
    picture.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0])
    picture.save(path)


def _by_opencv(path: Path, values: np.ndarray) -> None:
    path.write_bytes(cv2.imencode(path.suffix, values, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes())


def _frame(path: Path, values: np.ndarray, rest: object = None) -> None:
    write_frame(path, PictureFrame(np.dstack([values] * 3), rest=rest))


KINDS = {
    "white.tif": lambda path: _by_opencv(path, WHITE),
    "white.bmp": lambda path: _by_opencv(path, WHITE),
    "white.webp": lambda path: _by_opencv(path, np.dstack([WHITE] * 3)),
    "white16.png": lambda path: _by_opencv(path, WHITE.astype(np.uint16) * 257),
    "white16.tif": lambda path: _by_opencv(path, WHITE.astype(np.uint16) * 257),
    "white.dpx": lambda path: _frame(path, WHITE.astype(np.uint16) * 257, 10),
    "white.exr": lambda path: _frame(path, (WHITE / 255).astype(np.float16)),
    "ids.tif": _paletted,
    "ids.bmp": _paletted,
    "ids16.png": lambda path: _by_opencv(path, LABEL.astype(np.uint16)),
    "ids16.tif": lambda path: _by_opencv(path, LABEL.astype(np.uint16)),
    "ids.exr": lambda path: _frame(path, LABEL.astype(np.float32)),
}


@pytest.mark.parametrize("name", KINDS)
def test_masks_of_every_kind_are_read(tmp_path: Path, name: str) -> None:
    if name.endswith(".exr"):
        pytest.importorskip("OpenEXR")
    for index in range(2):
        KINDS[name](tmp_path / f"{index:05d}{Path(name).suffix}")
    masks = open_masks(tmp_path, described(count=2))
    assert (masks.label(1) == (LABEL if name.startswith("ids") else LABEL == 1)).all()
