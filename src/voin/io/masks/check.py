"""Look at masks without a run: what they were taken for, and a sheet of frames with their outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from voin.core import draw
from voin.core.errors import FileRefusal
from voin.core.progress import Progress, Silent
from voin.io.images import write_image
from voin.io.limits import VideoLimits
from voin.io.masks.source import MaskPaths, MaskSource, davis_palette, open_masks
from voin.io.video import VideoInfo, probe, read

_COLUMNS, _ROWS = 4, 3
_WIDTH = 1600  # of the sheet, pixels


def check_masks(
    video: Path,
    masks: MaskPaths,
    sheet: Path | None = None,
    *,
    frames: str | None = None,
    resize: bool = False,
    ids: Sequence[int] = (),
    invert: bool = False,
    limits: VideoLimits = VideoLimits(),  # noqa: B008 - frozen
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Read masks as `voin complete` reads them, and say how they were understood.

    Args:
        video: a video file or a folder of frames.
        masks: in any form that masks may have; several are read as one.
        sheet: a PNG or JPEG to write: frames with the outlines of objects.
        frames: frames that the masks belong to, such as "0-70:5".
        resize: scale masks to the video's size.
        ids: objects to take; all by default.
        invert: take what is black for the object.
        limits: the largest video, and mask video, that is read.
        progress: told how far it is.

    Returns:
        The entry `masks` of run.json, with `objects`: of each id its `category` (or none), `frames` in which it is
        seen and `share` of the frame there.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: masks and video do not fit each other.
    """
    progress = progress or Silent()
    if sheet is not None and (sheet.suffix.lower() not in (".png", ".jpg", ".jpeg") or not sheet.parent.is_dir()):
        raise FileRefusal(
            f"{sheet} is to be the sheet", "it must be a .png or .jpg in a folder that exists", "name it so"
        )

    def step(done: int, total: int) -> None:
        if done == 1:
            progress.stage("masks", total)
        progress.advance("masks")

    info = probe(video, limits=limits)
    source = open_masks(
        masks, info, frames=frames, resize=resize, ids=list(ids) or None, invert=invert, limits=limits, progress=step
    )
    if sheet is not None:
        write_image(sheet, draw_sheet(info, source))
    # As a run does by default.
    reading = replace(source.reading, tracked=source.on_keyframes(source.ids, 0, info.count))
    objects = {
        str(number): {
            "category": reading.categories.get(number),
            "frames": int((source.areas[place] > 0).sum()),
            "share": round(reading.shares[number], 5),
        }
        for place, number in enumerate(source.ids)
    }
    return reading.record() | {"objects": objects}


def draw_sheet(info: VideoInfo, source: MaskSource) -> np.ndarray:
    """Draw frames spread over those with a mask, uint8 (h, w, 3); objects are outlined in brighter colours of DAVIS.

    Each has its id beside it.
    """
    given = [frame for frame in range(info.count) if source.given(frame)]
    chosen = [given[place] for place in draw.spread(len(given), min(_COLUMNS * _ROWS, len(given)))]
    columns = min(_COLUMNS, len(chosen))
    colours, pictures = davis_palette(), []
    width = max(2, min(info.size) // 150)
    for frame in chosen:
        picture = next(iter(read(info, frame, frame + 1)))
        label = source.label(frame)
        for number in np.unique(label[label > 0]):
            red, green, blue = (min(255, 2 * int(level)) for level in colours[number])
            picture = draw.outline(picture, label == number, (red, green, blue), width)
            _write_id(picture, int(number), label == number, (red, green, blue))
        pictures.append(picture)
    strips, titles = [], [f"frame {frame}" for frame in chosen]
    # A sheet has as many pictures in each row; behind the last one it is left empty.
    empty = -len(chosen) % columns
    pictures += [np.full_like(pictures[0], draw.PAPER)] * empty
    titles += [""] * empty
    for first in range(0, len(titles), columns):
        named = titles[first : first + columns]
        strips.append(draw.contact_sheet([("", pictures[first : first + columns])], named, _WIDTH))
    return np.concatenate(strips)


def _write_id(picture: np.ndarray, number: int, mask: np.ndarray, colour: draw.RGB) -> None:
    """Write an object's id into a picture, over the upper left corner of its mask, as large as the sheet needs."""
    scale = max(0.3, 0.8 * picture.shape[1] * _COLUMNS / _WIDTH)
    thick = max(1, round(2 * scale))
    (w, h), _ = cv2.getTextSize(str(number), cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    x, y, *_ = cv2.boundingRect(mask.view(np.uint8))
    left, base = min(x, max(0, picture.shape[1] - w - 2 * thick)), max(h + 2 * thick, y - 2 * thick)
    # On a plate, as objects and grounds have any colour.
    plate = draw.readable_ground(colour)
    cv2.rectangle(picture, (left, base - h - 2 * thick), (left + w + 2 * thick, base + 2 * thick), plate, -1)
    cv2.putText(picture, str(number), (left + thick, base), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thick, cv2.LINE_AA)
