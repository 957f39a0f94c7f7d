"""Decode mask files one by one: pictures and mask videos, each mask as a plane of raw values.

What the values of a folder mean can only be said when all of them have been seen: see `ids_of_values`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from voin.core.errors import ValueRefusal
from voin.io.images import opened, shown
from voin.io.video import read
from voin.io.video_info import VideoInfo

Kind = Literal["ids", "grey", "colour"]

_MOST_GREY_IDS = 63  # grey values up to here are object ids as they are
_MOST_COLOURS = 64
_EDGE_SHARE = 0.1  # of the object's pixels; soft edges hold less, objects more
_FEW = 8
_SATURATED = 96


@dataclass
class Reader:
    """Turns one mask after the other into values in 0..255 and what kind they are.

    Args:
        colours: Colours met in colour masks, in order of appearance: the first one is value 1.
    """

    colours: dict[int, int] = field(default_factory=dict)

    def picture(self, path: Path) -> tuple[np.ndarray, Kind]:
        """Read a mask from a PNG or JPEG: (uint8 (h, w), kind).

        Raises:
            OSError: it cannot be decoded.
            ValueError: it is no mask (16 bits, too many colours).
        """
        with opened(path) as picture:
            mode = picture.mode
            palette = _palette(picture) if mode == "P" else None
            values = np.asarray(picture.convert("RGBA") if mode == "PA" else picture)
        if mode == "1":
            return values.astype(np.uint8) * 255, "grey"
        if mode == "L":
            return values, "grey"
        if mode == "P":
            # A palette of greys is a grey picture saved thriftily; one with colours goes with object ids.
            return (values, "ids") if palette is None else (palette[values], "grey")
        if mode not in ("LA", "PA", "RGB", "RGBA"):
            raise ValueRefusal(
                f"{path} is of the kind {mode!r} (16-bit or CMYK)",
                "a mask must be an indexed or 8-bit grey PNG",
                "convert it, with object ids in 1 to 255",
            )
        if mode != "RGB" and values[..., -1].min() < 255:
            return np.ascontiguousarray(values[..., -1]), "grey"  # a cut-out object: its alpha is the mask
        if mode == "LA":
            return np.ascontiguousarray(values[..., 0]), "grey"
        return self._colours(path, values[..., :3])

    def _colours(self, path: Path, rgb: np.ndarray) -> tuple[np.ndarray, Kind]:
        red, green, blue = cv2.split(np.ascontiguousarray(rgb))
        if (red == green).all() and (green == blue).all():
            return red, "grey"
        codes = (np.uint32(1 << 16) * red) + (np.uint32(1 << 8) * green) + blue
        values = np.zeros(codes.shape, np.uint8)
        x, y, w, h = cv2.boundingRect((codes > 0).astype(np.uint8))
        inside = codes[y : y + h, x : x + w]
        for code in _distinct(inside, _MOST_COLOURS + 1):
            if code == 0:
                continue
            value = self.colours.setdefault(code, len(self.colours) + 1)
            if value > _MOST_COLOURS:
                raise ValueRefusal(
                    f"{path} has more than {_MOST_COLOURS} colours",
                    "a colour mask has one an object and hard edges",
                    "save it as an indexed PNG with object ids, or as black and white",
                )
            values[y : y + h, x : x + w][inside == code] = value
        return values, "colour"


def _distinct(codes: np.ndarray, most: int) -> list[int]:
    """List the distinct values, at most `most` of them, in rising order: cheap where there are few."""
    rest, found = codes.ravel(), []
    while rest.size and len(found) < most:
        found.append(int(rest[0]))
        rest = rest[rest != rest[0]]
    return sorted(found)


def _palette(picture: Image.Image) -> np.ndarray | None:
    """Give the grey value of each index, or None if the palette has colours."""
    palette = np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    if len(palette) == 0 or (palette != palette[:, :1]).any():
        return None
    return np.pad(palette[:, 0], (0, 256 - len(palette)))


def ids_of_values(
    where: Path, counts: dict[Kind, np.ndarray], colours: dict[int, int], known: np.ndarray
) -> dict[Kind, np.ndarray]:
    """Say which object id each raw value of a set of masks means.

    Indexed PNGs: the index. Grey: values up to 63 are ids; one larger value besides 0 is object 1; of several, 128 and
    more is object 1 (soft edges). Colour: the index in the DAVIS palette if all are in it, otherwise numbered as they
    appear.

    Args:
        where: The masks' path, for messages.
        counts: Pixels of each raw value, (256,), for each kind that occurs.
        colours: Raw value of each colour (as 0xRRGGBB).
        known: The DAVIS palette, (256, 3).

    Returns:
        For each kind an array (256,): the id of each raw value.

    Raises:
        ValueError: the masks are ambiguous.
    """
    kinds = [kind for kind in counts if counts[kind][1:].any()]
    if "grey" in kinds and "colour" in kinds:
        # A frame in which only white or grey objects are seen, among coloured ones.
        for value in np.flatnonzero(counts["grey"][1:]) + 1:
            colours.setdefault(int(value) * 0x010101, len(colours) + 1)
        if len(colours) > _MOST_COLOURS:
            raise ValueRefusal(
                f"{where} mixes grey and colour masks", "all must be of one kind", "save them as indexed PNGs"
            )
    elif len(kinds) > 1:
        raise ValueRefusal(
            f"{where} mixes {' and '.join(sorted(kinds))} masks", "all must be of one kind", "save all as indexed PNGs"
        )
    tables: dict[Kind, np.ndarray] = {kind: np.zeros(256, np.uint8) for kind in counts}
    if "ids" in kinds:
        tables["ids"] = np.arange(256, dtype=np.uint8)
    if "colour" in kinds:
        table = _ids_of_colours(colours, known)
        tables["colour"] = table
        for value in range(256):
            if "grey" in tables:
                tables["grey"][value] = table[colours.get(value * 0x010101, 0)]
    elif "grey" in kinds:
        tables["grey"] = _ids_of_greys(where, counts["grey"])
    return tables


def _ids_of_colours(colours: dict[int, int], known: np.ndarray) -> np.ndarray:
    index = {(int(r) << 16) | (int(g) << 8) | int(b): i for i, (r, g, b) in reversed(list(enumerate(known)))}
    named = all(code in index for code in colours)
    table = np.zeros(256, np.uint8)
    for code, value in colours.items():
        table[value] = index[code] if named else value
    return table


def _ids_of_greys(where: Path, counts: np.ndarray) -> np.ndarray:
    values = np.flatnonzero(counts[1:]) + 1
    if values[-1] <= _MOST_GREY_IDS:
        return np.arange(256, dtype=np.uint8)
    if len(values) > 1 and len(values) <= _FEW:
        strongest = max(int(counts[value]) for value in values)
        if strongest < (1 - _EDGE_SHARE) * int(counts[1:].sum()):
            raise ValueRefusal(
                f"{where} has the grey values {', '.join(map(str, values))}",
                f"black and white or object ids 1 to {_MOST_GREY_IDS} are understood",
                "save the ids in indexed PNGs",
            )
    table = np.zeros(256, np.uint8)
    table[128 if len(values) > 1 else values[0] :] = 1
    return table


def video_masks(info: VideoInfo) -> Iterator[np.ndarray]:
    """Read a mask video: 255 where a frame is white (half and more), 0 elsewhere.

    Raises:
        OSError: a frame does not decode.
        ValueError: it has colours.
    """
    for index, frame in enumerate(read(info)):
        strongest = cv2.max(cv2.max(frame[..., 0], frame[..., 1]), frame[..., 2])
        mask = cv2.threshold(strongest, 127, 255, cv2.THRESH_BINARY)[1]
        weakest = cv2.min(cv2.min(frame[..., 0], frame[..., 1]), frame[..., 2])
        saturated = cv2.threshold(cv2.subtract(strongest, weakest), _SATURATED, 255, cv2.THRESH_BINARY)[1]
        if cv2.countNonZero(saturated) > 0.5 * max(1, cv2.countNonZero(mask)):
            raise ValueRefusal(
                f"{info.path} has colours in frame {index}",
                "a mask video is white on black, for one object",
                "give several objects as indexed PNGs, one a frame",
            )
        yield mask


def size_error(where: str, size: tuple[int, int], info: VideoInfo) -> ValueError:
    """Say that masks have the wrong size."""
    turned = f" (a viewer turns it by {info.rotation} degrees)" if info.rotation and size == info.stored_size else ""
    return ValueRefusal(
        f"{where} is {shown(size)} for a video of {shown(info.size)}{turned}",
        "masks must have the video's size",
        "scale them, or use --resize-masks",
    )
