"""A method whose result depends on one frame alone and is known: what the tests of jobs complete objects with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from voin.core.types import largest
from voin.io.images import write_image
from voin.io.masks.source import write_label
from voin.jobs.complete import complete
from voin.jobs.options import CompleteOptions
from voin.method.window import CompletedBox, ObjectClip, SoftMask, WindowConfig, cut, window_box

REACH = 3  # pixels by which the whole object is larger than its visible part
WINDOW = WindowConfig(size=32, enlarge=2.0)


def whole_of(visible: np.ndarray) -> np.ndarray:
    return cv2.dilate(visible.astype(np.uint8), np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)) > 0


class Fake:
    """Inverts the colours of what it takes to be hidden, a rim around the visible part; notes what it is asked.

    Args:
        fail_at: the call that raises `failure`, counted from 0.
        failure: what it raises.
    """

    def __init__(self, fail_at: int | None = None, failure: BaseException | None = None) -> None:
        self.fail_at, self.failure = fail_at, failure or RuntimeError("fails on purpose")
        self.clips: list[tuple[int, range]] = []
        self.given: list[dict[str, Any]] = []
        self.made_of: dict[str, Any] = {"method": "fake"}

    def window_of(self, frame: tuple[int, int]) -> WindowConfig:
        return WINDOW

    def settings(self) -> dict[str, Any]:
        return self.made_of

    def complete_object(
        self,
        clip: ObjectClip,
        wanted: range,
        *,
        category: str | None,
        with_flow: bool,
        with_shape: bool,
        clock: dict[str, float],
    ) -> list[CompletedBox]:
        if len(self.clips) == self.fail_at:
            raise self.failure
        self.clips.append((len(clip), wanted))
        given = {"category": category, "amodal": clip.amodal is not None, "occluder": clip.occluder is not None}
        self.given.append(given)
        clock["motion"] = clock.get("motion", 0.0) + 0.25
        patches = [self._patch(clip, i, with_flow) for i in wanted]
        return [replace(patch, soft=_soft(patch)) for patch in patches] if with_shape else patches

    def _patch(self, clip: ObjectClip, i: int, with_flow: bool) -> CompletedBox:
        x0, y0, _, _ = window_box(clip.windows, i)
        # Nothing can be outside the frame.
        inside = cut(np.ones(clip.size, np.uint8), _shifted(clip, i), 0).astype(bool)
        whole = (whole_of(clip.visible[i]) if clip.amodal is None else clip.amodal[i]) & inside
        rows, columns = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
        if len(rows) == 0:
            nothing = np.zeros((0, 0), bool)
            return CompletedBox(
                0, 0, nothing, nothing, nothing, np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0), np.uint8)
            )
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        amodal, visible, colours = whole[box], clip.visible[i][box], clip.frames[i][box].copy()
        occluded = amodal & ~visible
        colours[occluded] = largest(colours.dtype) - colours[occluded]
        missing = occluded.copy()
        missing[::2] = False
        confidence = np.where(missing, 0, np.where(occluded, 51, 255)).astype(np.uint8)
        flow = np.full((*amodal.shape, 2), 1.5, np.float32)
        return CompletedBox(
            left=int(x0 + columns[0]),
            top=int(y0 + rows[0]),
            amodal=amodal,
            occluded=occluded,
            missing=missing,
            colours=colours,
            confidence=confidence,
            forward=flow if with_flow and i + 1 < len(clip) else None,
            backward=-flow if with_flow and i > 0 else None,
        )


def _soft(patch: CompletedBox) -> SoftMask:
    values = np.where(patch.occluded, 153, np.where(patch.amodal, 255, 0)).astype(np.uint8)
    return SoftMask(patch.left, patch.top, values)


def _shifted(clip: ObjectClip, i: int):
    return clip.windows[i : i + 1]


def expected(frame: np.ndarray, label: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """What a completed frame must be: computed on the whole frame, in another way."""
    result = frame.copy()
    covered = np.zeros(label.shape, bool)
    for number in order:
        visible = label == number
        hidden = whole_of(visible) & ~visible if visible.any() else visible
        shown = hidden & ~covered
        result[shown] = 255 - frame[shown]
        covered |= hidden | visible
    return result


def expected_label(label: np.ndarray, order: Sequence[int]) -> np.ndarray:
    result = np.zeros_like(label)
    for number in reversed(order):
        visible = label == number
        if visible.any():
            result[whole_of(visible)] = number
    return result


def labels(count: int, size: tuple[int, int], objects: int = 1) -> list[np.ndarray]:
    """Boxes that drift through the picture and out of it, one for each object, side by side."""
    h, w = size
    found = []
    for i in range(count):
        label = np.zeros(size, np.uint8)
        for number in range(1, objects + 1):
            x, y = 2 * i + 14 * number - 10, 8 + i + 2 * number
            label[max(0, min(y, h)) : min(y + 13, h), max(0, min(x, w)) : min(x + 12, w)] = number
        found.append(label)
    return found


def save_labels(folder: Path, masks: Sequence[np.ndarray]) -> Path:
    folder.mkdir(parents=True)
    for i, mask in enumerate(masks):
        write_label(folder / f"{i:05d}.png", mask)
    return folder


def save_frames(folder: Path, frames: Sequence[np.ndarray], names: Sequence[str] | None = None) -> Path:
    folder.mkdir(parents=True)
    for name, frame in zip(names or [f"{i:05d}" for i in range(len(frames))], frames, strict=True):
        write_image(folder / f"{name}.png", frame)
    return folder


def run(video: Path, masks: Path, out: Path, method: Fake | None = None, progress: Any = None, **options: Any):
    method = method or Fake()
    method.made_of = options.pop("settings", method.made_of)
    return complete(video, masks, out, CompleteOptions(**options), inpainter=method, progress=progress)


def contents(folder: Path) -> dict[str, bytes]:
    """All files in a folder, without the record, which holds times."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "run.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def listing(place: Path) -> list[tuple[str, int]]:
    """All there is in a folder, and when it was written."""
    return sorted((str(path), path.stat().st_mtime_ns) for path in place.rglob("*"))
