"""Pictures for people: masks drawn over frames, flow and confidence as colours, contact sheets, charts.

Everything here is uint8 RGB, (h, w, 3), and nothing is drawn into the arrays that are passed in.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from voin.core.errors import FileRefusal, PackageRefusal, ValueRefusal
from voin.core.files import write_whole
from voin.core.types import Mask, Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RGB = tuple[int, int, int]

# Told apart by colour-blind readers too, and seldom found in footage.
VISIBLE: RGB = (64, 220, 255)
AMODAL: RGB = (255, 80, 200)
PAPER: RGB = (250, 250, 250)
INK: RGB = (40, 40, 40)

# Steps of hue from red to yellow, green, cyan, blue, magenta and red: Middlebury's wheel (Baker et al., IJCV 2011).
WHEEL_STEPS = (15, 6, 4, 11, 13, 6)


def overlay(picture: Picture, mask: Mask, colour: RGB = AMODAL, alpha: float = 0.5) -> Picture:
    """Tint `picture` where `mask` is set; `alpha` 0 shows the picture alone, 1 the colour."""
    result = picture.copy()
    result[mask] = (picture[mask] * (1 - alpha) + np.array(colour) * alpha + 0.5).astype(np.uint8)
    return result


def outline(picture: Picture, mask: Mask, colour: RGB = AMODAL, width: int = 2) -> Picture:
    """Draw the inner rim of `mask`, `width` pixels wide, and a thin dark line inside it: it shows on any ground."""
    result = picture.copy()
    rim, shade = _rim(mask, width), _rim(mask, width + 1)
    result[shade] = result[shade] // 3
    result[rim] = colour
    return result


def readable_ground(colour: RGB) -> RGB:
    """Return that of `INK` and `PAPER` on which text of a colour is read better."""
    light, dark, text = (_luminance(ground) for ground in (PAPER, INK, colour))
    # Contrast as WCAG 2 has it.
    return PAPER if (light + 0.05) / (text + 0.05) > (text + 0.05) / (dark + 0.05) else INK


def flow_colours(flow: Float[np.ndarray, "h w 2"], longest: float | None = None) -> Picture:
    """Show `flow`, pixels (dx, dy): the direction as hue, the length as saturation; no motion is white.

    Args:
        flow: values that are not finite come out black.
        longest: the length that gets the full colour; longer ones are darkened. By default the longest in `flow`.
    """
    finite = np.all(np.isfinite(flow), axis=-1, keepdims=True)
    dx, dy = np.moveaxis(np.where(finite, flow, 0), -1, 0)
    length = np.hypot(dx, dy)
    unit = (length.max(initial=0.0) if longest is None else longest) or 1.0
    radius = (length / unit)[..., None]
    wheel = _wheel()
    # Angle -pi..pi onto the wheel, between two neighbouring colours.
    at = (np.arctan2(-dy, -dx) / np.pi + 1) / 2 * (len(wheel) - 1)
    low = np.floor(at).astype(int)
    share = (at - low)[..., None]
    full = wheel[low] * (1 - share) + wheel[(low + 1) % len(wheel)] * share
    colours = np.where(radius <= 1, 1 - radius * (1 - full), full * 0.75)
    return (colours * finite * 255 + 0.5).astype(np.uint8)


def heat(confidence: Float[np.ndarray, "h w"]) -> Picture:
    """Show values in [0, 1] as colours from dark violet (0) to yellow (1); others are clipped, NaN is 0."""
    grey = (np.nan_to_num(confidence).clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1].copy()


def spread(count: int, columns: int) -> list[int]:
    """Choose up to `columns` numbers out of 0..count-1, evenly, with the first and the last among them."""
    if columns == 1:
        return [count // 2] if count else []
    return sorted({round(i * (count - 1) / (columns - 1)) for i in range(columns)}) if count else []


def around(masks: Iterable[Mask], margin: float = 0.25) -> tuple[slice, slice]:
    """Return the rows and columns that hold all `masks`, with `margin` of their size around; if empty, everything."""
    seen = np.logical_or.reduce(list(masks))
    spans = []
    for axis in (1, 0):
        places = np.flatnonzero(seen.any(axis=axis))
        if places.size == 0:
            return slice(None), slice(None)
        first, last = int(places[0]), int(places[-1]) + 1
        more = round((last - first) * margin) + 4
        spans.append(slice(max(0, first - more), min(seen.shape[1 - axis], last + more)))
    return spans[0], spans[1]


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[Picture]]],
    columns: Sequence[str] = (),
    width: int = 1600,
    crop: tuple[slice, slice] | None = None,
) -> UInt8[np.ndarray, "sheet_h sheet_w 3"]:
    """Lay pictures out as a table: one row a label, one column a frame.

    Args:
        rows: label and pictures of each row; all rows have as many pictures, all pictures the same size.
        columns: what stands above each column, usually "frame 12".
        width: of the sheet, about; pictures are made smaller to fit, and at most twice as large.
        crop: the rows and columns of each picture to show; see `around`.
    """
    counts = {len(row) for _, row in rows} | ({len(columns)} if columns else set())
    sizes = {picture.shape for _, row in rows for picture in row}
    if len(counts) != 1 or 0 in counts or len(sizes) != 1:
        raise ValueRefusal(
            f"the rows have {sorted(counts)} pictures of the sizes {sorted(sizes)}",
            "each row needs one picture a column, all of one size",
            "choose the same frames for every row",
        )
    pictures = [[picture[crop] if crop else picture for picture in row] for _, row in rows]
    h, w = pictures[0][0].shape[:2]
    count = len(pictures[0])
    gap, margin, head = 6, 24, 24 if columns else 6
    scale = min(2.0, (width - margin - gap * count) / (count * w))
    cell_h, cell_w = max(1, round(h * scale)), max(1, round(w * scale))
    smoothing = cv2.INTER_AREA if cell_h < h else cv2.INTER_CUBIC
    sheet = np.full((head + len(rows) * (cell_h + gap), margin + count * (cell_w + gap), 3), PAPER, np.uint8)
    for j, text in enumerate(columns):
        _write(sheet, text, x=margin + j * (cell_w + gap), y=0, room=(cell_w, head))
    for i, ((label, _), row) in enumerate(zip(rows, pictures, strict=True)):
        top = head + i * (cell_h + gap)
        # Labels run upwards along the left edge, so that they take no room from the pictures.
        side = np.full((margin, cell_h, 3), PAPER, np.uint8)
        _write(side, label, x=0, y=0, room=(cell_h, margin))
        sheet[top : top + cell_h, :margin] = np.rot90(side)
        for j, picture in enumerate(row):
            left = margin + j * (cell_w + gap)
            sheet[top : top + cell_h, left : left + cell_w] = cv2.resize(
                picture, (cell_w, cell_h), interpolation=smoothing
            )
    return sheet


def encode_jpeg(picture: Picture, quality: int = 85) -> bytes:
    """Return a picture as the bytes of a JPEG file, for a page."""
    good, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not good:
        what = f"a picture of shape {picture.shape} cannot be encoded as JPEG"
        raise FileRefusal(what, "it must be small enough", "report it")
    return data.tobytes()


def need_matplotlib(what: str, remedy: str = "") -> None:
    """Refuse work that plots `what` where matplotlib is missing, before it starts."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise PackageRefusal(
            f"{what} need matplotlib, which does not import ({error})",
            remedy=f"install it with: pip install 'voin[eval]'{remedy}",
        ) from error


def save_chart(path: Path, chart: Figure) -> bytes:
    """Write a chart as PNG; return its bytes. The same numbers give the same file, whatever the date and version."""
    data = io.BytesIO()
    chart.savefig(data, format="png", dpi=130, metadata={"Software": None})
    write_whole(path, data.getvalue())
    return data.getvalue()


def _luminance(colour: RGB) -> float:
    """Return the relative luminance of a colour, 0 to 1."""
    red, green, blue = ((level / 255) ** 2.2 for level in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _rim(mask: Bool[np.ndarray, "h w"], width: int) -> Bool[np.ndarray, "h w"]:
    # The frame's own edge is no rim: beyond it the object goes on.
    core = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=width)
    return mask & (core == 0)


def _write(sheet: UInt8[np.ndarray, "h w 3"], text: str, x: int, y: int, room: tuple[int, int]) -> None:
    """Write `text` from the left of the box at (x, y) of size `room`, (w, h); smaller where it does not fit."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    (w, h), _ = cv2.getTextSize(text, font, 1.0, 1)
    scale = min(0.5, (room[0] - 4) / max(w, 1), room[1] / max(h, 1))
    baseline = y + round((room[1] + h * scale) / 2)
    cv2.putText(sheet, text, (x + 2, baseline), font, scale, INK, 1, cv2.LINE_AA)


@cache
def _wheel() -> np.ndarray:
    """The colour wheel as (55, 3) in [0, 1], from red over yellow, green, cyan, blue and magenta."""
    corners = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]], float)
    parts = zip(corners[:-1], corners[1:], WHEEL_STEPS, strict=True)
    return np.concatenate([start + (end - start) * np.arange(n)[:, None] / n for start, end, n in parts])
