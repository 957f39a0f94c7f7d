"""Masks as pictures: a folder of indexed PNGs, or a folder an object of PNGs, white on black."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voin.io.images import write_image
from voin.io.masks.export.content import Content
from voin.io.masks.labels import write_label


def write_pictures(content: Content, out: Path) -> None:
    """Write a PNG a frame that has a mask, with the ids of its objects."""
    for _, name, label in content.labels():
        write_label(out / f"{name}.png", label)


def write_folders(content: Content, out: Path) -> None:
    """Write a folder an object, named by its id, with a PNG a frame that has a mask of it."""
    for number in content.masks.ids:
        (out / str(number)).mkdir()
    for frame, name, label in content.labels():
        for number in content.masks.ids:
            if content.masks.given(frame, number):
                write_image(out / str(number) / f"{name}.png", (label == number) * np.uint8(255))
