"""Pictures for the page: a frame with its mask, input beside result, and clips that browsers play.

The functions here run in processes apart (`voin.app.readers`), as they read what strangers give.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from voin.core import draw as viz
from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.progress import Progress
from voin.core.types import Label, Mask, Picture
from voin.io.images import read_picture
from voin.io.video import Quality, VideoInfo, VideoWriter, probe, read
from voin.jobs.mask import mask_of_prompt
from voin.tracking.prompts import Prompt

ViewKind = Literal["result", "whole", "confidence"]
LONGEST = 1280  # pixels of the longer side of what is shown
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 88]
_CLIP = Quality(crf=21, preset="veryfast")


def draw_frame(info: VideoInfo, frame: int, masks: Path | None, prompt: Prompt | None) -> tuple[bytes, int | None]:
    """Draw a frame with the object tinted: as its prompt cuts it out, else as the masks have it, PNGs in a folder.

    Returns:
        JPEG, and how many pixels the object has; None where nothing says where it is.
    """
    picture = _frame(info, frame)
    if prompt is not None:
        label = mask_of_prompt(info, prompt).astype(np.uint8)
    else:
        label = read_label(masks, frame) if masks else None
    if label is None:
        return jpeg(picture), None
    seen = label > 0
    return jpeg(viz.outline(viz.overlay(picture, seen, viz.VISIBLE, 0.45), seen, viz.VISIBLE)), int(seen.sum())


def draw_pair(
    info: VideoInfo, masks: Path, result: Path, frame: int, start: int, kind: ViewKind
) -> tuple[bytes, bytes]:
    """Draw a frame of the input, and beside it what came out.

    Args:
        info: the input.
        masks: its visible masks.
        result: the output folder of `voin complete`.
        frame: number in the input.
        start: the first frame that was completed.
        kind: "result" is the completed frame; "whole" the visible and the whole mask; "confidence" how sure each pixel
            is, from dark (invented) to bright (seen).
    """
    before = _frame(info, frame)
    if kind not in get_args(ViewKind):
        raise ValueRefusal(
            f"the view is {kind!r}", f"it must be one of {', '.join(get_args(ViewKind))}", "choose one of them"
        )
    if kind == "result":
        after = completed_frame(info, result, frame, start)
    elif kind == "whole":
        after = _whole(before, read_label(masks, frame), _read_label(result / "amodal" / f"{info.names[frame]}.png"))
    else:
        path = result / "confidence" / f"{info.names[frame]}.png"
        if not path.exists():
            raise FileRefusal("this job wrote no confidence", "it must be asked for", "start it again with it ticked")
        whole = _read_label(result / "amodal" / f"{info.names[frame]}.png") > 0
        after = _sure(before, read_picture(path)[..., 0], whole)
    return jpeg(before), jpeg(after)


def completed_frame(info: VideoInfo, result: Path, frame: int, start: int) -> Picture:
    """Read a completed frame, from the video or from the pictures."""
    video = result / "completed.mp4"
    if video.exists():
        return _frame(_probed(video, video.stat().st_mtime_ns), frame - start)
    return read_picture(result / "completed" / f"{info.names[frame]}.png")


def read_label(masks: Path, frame: int) -> Label | None:
    """Read the object ids of a frame; None where it has no mask."""
    path = masks / f"{frame:05d}.png"
    return _read_label(path) if path.exists() else None


def _read_label(path: Path) -> Label:
    with Image.open(path, formats=("PNG",)) as picture:
        return np.asarray(picture).astype(np.uint8)


def jpeg(picture: Picture) -> bytes:
    """Encode a picture for the page, made smaller where it is large."""
    good, data = cv2.imencode(".jpg", fit(picture)[..., ::-1], _JPEG)
    if not good:
        raise FileRefusal(
            f"a picture of shape {picture.shape} cannot be encoded", "it must be small enough", "report it"
        )
    return data.tobytes()


def fit(picture: Picture, even: bool = False) -> UInt8[np.ndarray, "shown_h shown_w 3"]:
    """Make a picture as small as it is shown; with `even` sides, which videos for browsers must have."""
    h, w = shown_size((picture.shape[0], picture.shape[1]), even)
    same = (h, w) == picture.shape[:2]
    return picture if same else cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)


def shown_size(size: tuple[int, int], even: bool = False) -> tuple[int, int]:
    """Return the (h, w) at which frames of `size` are shown."""
    scale = min(1.0, LONGEST / max(size))
    h, w = (max(2, round(side * scale)) for side in size)
    return (h // 2 * 2, w // 2 * 2) if even else (h, w)


def _whole(picture: Picture, seen: Label | None, whole: Label) -> Picture:
    visible = np.zeros(whole.shape, bool) if seen is None else seen > 0
    drawn = viz.overlay(picture, visible & (whole > 0), viz.VISIBLE, 0.3)
    drawn = viz.overlay(drawn, (whole > 0) & ~visible, viz.AMODAL, 0.5)
    for number in np.unique(whole[whole > 0]):
        drawn = viz.outline(drawn, whole == number, viz.AMODAL)
    return drawn


def _sure(picture: Picture, confidence: np.ndarray, whole: Mask) -> Picture:
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    drawn = (grey.astype(np.uint16) // 2 + 60).astype(np.uint8)
    drawn[whole] = viz.heat(confidence.astype(np.float32) / 255)[whole]
    return drawn


def write_clips(
    info: VideoInfo, result: Path, start: int, end: int, before: Path, after: Path, progress: Progress
) -> None:
    """Write the input, and what was completed in the folder `result`, as two videos of one length that browsers play.

    Progress counts the frames of both, as stage "clips".
    """
    progress.stage("clips", 2 * (end - start))
    _write_clip(before, info, read(info, start, end), start, end, progress)
    video = result / "completed.mp4"
    frames: Iterator[Picture]
    if video.exists():
        frames = read(probe(video))
    else:
        frames = (read_picture(result / "completed" / f"{name}.png") for name in info.names[start:end])
    _write_clip(after, info, frames, start, end, progress)


def _write_clip(
    path: Path, info: VideoInfo, frames: Iterator[Picture], start: int, end: int, progress: Progress
) -> None:
    # Frames are upright already.
    shown = replace(info, kind="video", size=shown_size(info.size, even=True), rotation=0, mirrored=False, audio=False)
    shown = replace(shown, aspect=Fraction(1))
    times = [time - info.times[start] for time in info.times[start:end]]
    with VideoWriter(path, shown, times, _CLIP) as writer:
        for frame in frames:
            writer.write(fit(frame, even=True))
            progress.advance("clips")


def _frame(info: VideoInfo, frame: int) -> Picture:
    return next(read(info, frame, frame + 1, skip_broken=True))


@lru_cache(maxsize=8)
def _probed(path: Path, version: int) -> VideoInfo:
    return probe(path)
