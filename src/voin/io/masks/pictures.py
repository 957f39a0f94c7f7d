"""Masks as pictures: a folder of them, or a single one; each becomes a plane of raw values.

What the values of a folder mean can only be said when all of them have been seen: see `voin.io.masks.values`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from voin.core.errors import ValueRefusal
from voin.core.overlap import map_ahead
from voin.io.animation import is_animation
from voin.io.colour.picture_kinds import read_frame
from voin.io.images import FRAME_SUFFIXES, list_pictures, no_pictures, opened
from voin.io.masks.values import MOST_COLOURS, Kind, RawMask

_THREADS = 2  # that decode pictures


class PictureMasks:
    """Pictures named like the frames they belong to; indexed, grey, coloured, or cut-outs with alpha."""

    size = None  # each picture says its own

    def __init__(self, path: Path) -> None:
        self._paths = list_pictures(path) if path.is_dir() else [path]
        if not self._paths:
            raise no_pictures(path, "masks")
        self.names = [picture.stem for picture in self._paths]

    @staticmethod
    def takes(path: Path) -> bool:
        """Return whether a path is a folder or a single picture."""
        return path.is_dir() or (path.suffix.lower() in FRAME_SUFFIXES and not is_animation(path))

    def masks(self, colours: dict[int, int]) -> Iterator[RawMask]:
        """Read one picture after the other; some that follow are decoded meanwhile."""
        reader = MaskReader(colours)
        with closing(map_ahead(_decode, self._paths, _THREADS, "masks")) as pictures:
            for path, picture in zip(self._paths, pictures, strict=True):
                yield RawMask(str(path), *reader.understand(path, picture))


@dataclass(frozen=True, eq=False)
class _Picture:
    """A decoded mask: its Pillow `mode`, "deep" where its samples have more bits, and the greys of its palette."""

    mode: str
    values: np.ndarray
    palette: np.ndarray | None = None


def _decode(path: Path) -> _Picture:
    suffix = path.suffix.lower()
    if suffix in (".exr", ".dpx") or (suffix in (".tif", ".tiff") and not _is_shallow(path)):
        return _Picture("deep", read_frame(path, linear=False).values)
    with opened(path) as picture:
        mode = picture.mode
        palette = _palette(picture) if mode == "P" else None
        values = np.asarray(picture.convert("RGBA") if mode == "PA" else picture)
        if mode == "P" and palette is None and _is_background_elsewhere(picture, values):
            return _Picture("RGB", np.asarray(picture.convert("RGB")))
    if mode.startswith("I"):
        return _Picture("deep", np.repeat(values[..., None], 3, axis=2))
    return _Picture(mode, values, palette)


@dataclass
class MaskReader:
    """Turns one mask picture after the other into values in 0..255 and what kind they are.

    `colours` are those met in colour masks, in order of appearance: the first one is value 1.
    """

    colours: dict[int, int] = field(default_factory=dict)

    def picture(self, path: Path) -> tuple[np.ndarray, Kind]:
        """Read a mask from a picture: (uint8 (h, w), kind).

        Raises OSError where it cannot be decoded, ValueError where it is no mask (ids above 255, too many colours).
        """
        return self.understand(path, _decode(path))

    def understand(self, path: Path, picture: _Picture) -> tuple[np.ndarray, Kind]:
        """Do what `picture` does with one that is decoded."""
        mode, values, palette = picture.mode, picture.values, picture.palette
        if mode == "deep":
            return self._deep(path, values)
        if mode == "1":
            return values.astype(np.uint8) * 255, "grey"
        if mode == "L":
            return values, "grey"
        if mode == "P":
            # A palette of greys is a grey picture saved thriftily; one with colours goes with object ids.
            return (values, "ids") if palette is None else (palette[values], "grey")
        if mode not in ("LA", "PA", "RGB", "RGBA"):
            raise ValueRefusal(
                f"{path} is of the kind {mode!r}", "a mask must be indexed, grey or RGB", "convert it to a PNG"
            )
        if mode != "RGB" and values[..., -1].min() < 255:
            return np.ascontiguousarray(values[..., -1]), "grey"  # a cut-out object: its alpha is the mask
        if mode == "LA":
            return np.ascontiguousarray(values[..., 0]), "grey"
        return self._colours(path, values[..., :3])

    def _deep(self, path: Path, values: np.ndarray) -> tuple[np.ndarray, Kind]:
        """Reduce samples of 16 or more bits (h, w, 3 or 4): ids as they are, shades and floats to 0..255."""
        if values.dtype.kind == "f":
            values = np.nan_to_num(values.astype(np.float32))
            whole = bool((values[..., :3] == np.rint(values[..., :3])).all())
            values = np.rint(values if whole and values[..., :3].max() > 1 else values.clip(0, 1) * 255).astype(int)
        elif values.max() > 255 and values.max() == np.iinfo(np.uint16).max:  # black and white, and shades between
            values = values >> 8
        if values[..., :3].max() > 255 or values.min() < 0:
            raise ValueRefusal(
                f"{path} has the value {int(values[..., :3].max())} (16-bit)",
                "object ids are 0 to 255, and white is the most that there can be",
                "convert it to an indexed PNG with object ids in 1 to 255",
            )
        values = values.astype(np.uint8)
        if values.shape[2] == 4 and values[..., 3].min() < 255 and values[..., 3].any():
            return np.ascontiguousarray(values[..., 3]), "grey"
        return self._colours(path, values[..., :3])

    def _colours(self, path: Path, rgb: np.ndarray) -> tuple[np.ndarray, Kind]:
        red, green, blue = cv2.split(np.ascontiguousarray(rgb))
        if (red == green).all() and (green == blue).all():
            return red, "grey"
        codes = (np.uint32(1 << 16) * red) + (np.uint32(1 << 8) * green) + blue
        values = np.zeros(codes.shape, np.uint8)
        x, y, w, h = cv2.boundingRect((codes > 0).astype(np.uint8))
        inside = codes[y : y + h, x : x + w]
        for code in _distinct(inside, MOST_COLOURS + 1):
            if code == 0:
                continue
            value = self.colours.setdefault(code, len(self.colours) + 1)
            if value > MOST_COLOURS:
                raise ValueRefusal(
                    f"{path} has more than {MOST_COLOURS} colours",
                    "a colour mask has one an object and hard edges",
                    "save it as an indexed PNG with object ids, or as black and white",
                )
            values[y : y + h, x : x + w][inside == code] = value
        return values, "colour"


def _is_shallow(path: Path) -> bool:
    """Return whether a TIFF has 8 bits or fewer a sample, and so a mode in which its ids can be told from shades."""
    try:
        with Image.open(path, formats=("TIFF",)) as picture:
            bits = cast(TiffImageFile, picture).tag_v2.get(258, (1,))
            return picture.mode in ("1", "L", "P", "LA", "PA", "RGB", "RGBA") and max(bits) <= 8
    except Exception:  # of kinds that Pillow does not know
        return False


def _distinct(codes: np.ndarray, most: int) -> list[int]:
    """List the distinct values, at most `most` of them, in rising order: cheap where there are few."""
    rest, found = codes.ravel(), []
    while rest.size and len(found) < most:
        found.append(int(rest[0]))
        rest = rest[rest != rest[0]]
    return sorted(found)


def _is_background_elsewhere(picture: Image.Image, values: np.ndarray) -> bool:
    """Return whether an adaptive palette has its black, which most of the picture is, at another index than 0."""
    colours = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
    most = int(np.bincount(values.ravel(), minlength=1).argmax())
    return 0 < most < len(colours) and bool(colours[0].any()) and not colours[most].any()


def _palette(picture: Image.Image) -> np.ndarray | None:
    """Return the grey value of each index, or None if the palette has colours."""
    palette = np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    if len(palette) == 0 or (palette != palette[:, :1]).any():
        return None
    return np.pad(palette[:, 0], (0, 256 - len(palette)))
