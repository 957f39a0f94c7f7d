"""The contact sheet of a run: a few frames in which something is hidden, each as input, with its masks, and as result.

Chunks offer candidates while they are written, small enough to be kept on the disk; the sheet is made at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, repeat
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from voin.core import draw as viz
from voin.core.types import Picture
from voin.io.images import write_image
from voin.jobs.check import Inputs
from voin.jobs.layout import PREVIEW, Folder
from voin.jobs.plan import Chunk, Plan
from voin.method.window import CompletedBox

COLUMNS = 6
ROWS = ("input", "masks", "result")
_LONGEST = 400  # pixels of a stored picture's longer side
_MARGIN = 1.6  # what is shown over the largest object, so that its surroundings are seen
_SHARE = 0.3  # of the most that is hidden in a frame; frames with less show little
_CANDIDATES = 96  # about as many are kept, however long the video is


Column = UInt8[np.ndarray, "column_h column_w 3"]


@dataclass(frozen=True)
class View:
    """The part of each frame that is shown: as large in all, and always around the objects."""

    h: int
    w: int

    @staticmethod
    def around(inputs: Inputs, plan: Plan) -> View:
        """Choose a size that holds the objects of every frame."""
        h, w = inputs.info.size
        boxes = np.stack([inputs.boxes(number)[inputs.start : inputs.end] for number in inputs.ids]).astype(float)
        boxes[(boxes[..., 2:] <= boxes[..., :2]).any(axis=-1)] = np.nan
        some = boxes[:, np.isfinite(boxes).all(axis=-1).any(axis=0)]
        spans = np.nanmax(some[..., 2:], axis=0) - np.nanmin(some[..., :2], axis=0)  # (t, 2), x and y
        sides = [float(windows.side.max()) for shot in plan.shots for windows in shot.windows.values()]
        wide, high = (max(float(span) * _MARGIN, min(sides)) for span in spans.max(axis=0))
        return View(min(h, max(32, round(high))), min(w, max(32, round(wide))))

    def of(self, patches: Sequence[CompletedBox], size: tuple[int, int]) -> tuple[slice, slice]:
        """Return the rows and columns to show of a frame."""
        h, w = size
        some = [patch for patch in patches if patch.amodal.size]
        y = [edge for patch in some for edge in (patch.rows.start, patch.rows.stop)] or [0, h]
        x = [edge for patch in some for edge in (patch.columns.start, patch.columns.stop)] or [0, w]
        top = min(max((min(y) + max(y) - self.h) // 2, 0), h - self.h)
        left = min(max((min(x) + max(x) - self.w) // 2, 0), w - self.w)
        return slice(top, top + self.h), slice(left, left + self.w)


def candidates(hidden: Sequence[int], chunk: Chunk, chunks: int) -> list[int]:
    """Choose frames of a chunk that may be shown; `hidden` pixels are occluded in each of its frames."""
    worth = [chunk.start + i for i in _worth_showing(hidden)]
    if not worth:
        return [(chunk.start + chunk.end) // 2]
    return [worth[place] for place in viz.spread(len(worth), max(2, min(COLUMNS, _CANDIDATES // chunks)))]


def _worth_showing(hidden: Sequence[int]) -> list[int]:
    """Choose the places at which about as much is hidden as anywhere."""
    return [i for i, pixels in enumerate(hidden) if pixels and pixels >= _SHARE * max(hidden)]


def column(frame: Picture, result: Picture, patches: Sequence[CompletedBox], view: View) -> Column:
    """Draw one frame: input, masks and result below each other."""
    rows, columns = view.of(patches, (frame.shape[0], frame.shape[1]))
    # Made small before anything is drawn on it, which takes half of the time for large frames.
    before, after = (_smaller(picture[rows, columns]) for picture in (frame, result))
    masked = before
    for patch in patches:
        whole = np.zeros(frame.shape[:2], np.uint8)
        hidden = whole.copy()
        whole[patch.rows, patch.columns] = 255 * patch.amodal
        hidden[patch.rows, patch.columns] = 255 * patch.occluded
        whole, hidden = (_smaller(mask[rows, columns]) > 127 for mask in (whole, hidden))
        masked = viz.overlay(masked, whole & ~hidden, viz.VISIBLE, 0.4)
        masked = viz.overlay(masked, hidden, viz.AMODAL, 0.6)
    return np.concatenate([before, masked, after])


def write_preview(folder: Folder, chunks: Sequence[Chunk]) -> None:
    """Make the sheet out of what the chunks offer."""
    offered: list[tuple[int, int, Path, int]] = []
    for chunk in chunks:
        path = folder.previews_of(chunk)
        with np.load(path) as one:
            offered += zip(one["frames"].tolist(), one["hidden"].tolist(), repeat(path), count())
    best = _worth_showing([hidden for _, hidden, _, _ in offered]) or range(len(offered))
    shown = [offered[best[place]] for place in viz.spread(len(best), COLUMNS)]
    pictures = []
    for _, _, path, i in shown:
        with np.load(path) as one:
            pictures.append(np.split(one["pictures"][i], len(ROWS)))
    rows = [(label, [column[i] for column in pictures]) for i, label in enumerate(ROWS)]
    write_image(folder.path / PREVIEW, viz.contact_sheet(rows, [f"frame {frame}" for frame, *_ in shown]))


def save_candidates(path: Path, frames: Sequence[int], hidden: Sequence[int], pictures: Sequence[Column]) -> None:
    """Keep a chunk's candidates, with what is hidden in each."""
    np.savez(path, frames=np.array(frames), hidden=np.array(hidden), pictures=np.stack(pictures))


def _smaller(picture: UInt8[np.ndarray, "h w ..."]) -> UInt8[np.ndarray, "h2 w2 ..."]:
    h, w = picture.shape[:2]
    scale = min(1.0, _LONGEST / max(h, w))
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if scale < 1 else picture
