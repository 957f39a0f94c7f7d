"""Pictures for the page: a frame with its mask, input beside result, and clips that browsers play.

The functions here run in processes apart (`voin.app.readers`), as they read what strangers give.
"""

from __future__ import annotations

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
from voin.io.limits import LARGEST
from voin.io.video import Quality, VideoInfo, VideoWriter, probe, read
from voin.jobs.layout import find_completed
from voin.jobs.mask import mask_of_prompt
from voin.tracking.prompts import Prompt

ViewKind = Literal["result", "whole", "confidence"]
LONGEST = 1280  # pixels of the longer side of what is shown
_JPEG_QUALITY = 88
_CLIP = Quality(crf=21, preset="veryfast")


def draw_frame(info: VideoInfo, frame: int, masks: Path | None, prompt: Prompt | None) -> tuple[bytes, int | None]:
    """Draw a frame with the object tinted: as its prompt cuts it out, else as the masks have it, PNGs in a folder.

    Returns:
        JPEG, and how many pixels the object has; None where nothing says where it is.
    """
    picture = _frame(info, frame)
    if prompt is not None:
        label = mask_of_prompt(info, prompt)
    else:
        label = read_label(masks, frame) if masks else None
    if label is None:
        return _jpeg(picture), None
    seen = label > 0
    return _jpeg(viz.outline(viz.overlay(picture, seen, viz.VISIBLE, 0.45), seen, viz.VISIBLE)), int(seen.sum())


def draw_pair(
    info: VideoInfo, masks: Path, result: Path, frame: int, start: int, kind: ViewKind
) -> tuple[bytes, bytes]:
    """Draw a frame of the input, and beside it what came out, as JPEG.

    Args:
        info: the input.
        masks: its visible masks.
        result: the output folder of `voin complete`.
        frame: number in the input.
        start: the first frame that was completed.
        kind: the completed frame, the visible and the whole mask, or how sure each pixel is: dark is invented.
    """
    before, name = _frame(info, frame), f"{info.names[frame]}.png"
    if kind == "result":
        after = _completed_frame(info, result, frame, start)
    elif kind == "whole":
        after = _whole(before, read_label(masks, frame), _read_label(result / "amodal" / name))
    elif kind == "confidence":
        if not (result / "confidence" / name).exists():
            raise FileRefusal("this job wrote no confidence", "it must be asked for", "start it again with it ticked")
        confidence = read_picture(result / "confidence" / name)[..., 0]
        after = _sure(before, confidence, _read_label(result / "amodal" / name) > 0)
    else:
        must = f"it must be one of {', '.join(get_args(ViewKind))}"
        raise ValueRefusal(f"the view is {kind!r}", must, "choose one of them")
    return _jpeg(before), _jpeg(after)


def read_label(masks: Path, frame: int) -> Label | None:
    """Read the object ids of a frame; None where it has no mask."""
    path = masks / f"{frame:05d}.png"
    return _read_label(path) if path.exists() else None


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


def write_clips(
    info: VideoInfo, result: Path, start: int, end: int, paths: tuple[Path, Path], progress: Progress
) -> None:
    """Write the input, and what was completed in the folder `result`, as two videos of one length that browsers play.

    Progress counts the frames of both, as stage "clips".
    """
    progress.stage("clips", 2 * (end - start))
    frames = read(probe(find_completed(result), limits=LARGEST))
    # Frames are upright already.
    size = shown_size(info.size, even=True)
    shown = replace(info, kind="video", size=size, rotation=0, mirrored=False, aspect=Fraction(1), audio=False)
    times = [time - info.times[start] for time in info.times[start:end]]
    for path, clip in zip(paths, (read(info, start, end), frames), strict=True):
        with VideoWriter(path, shown, times, _CLIP) as writer:
            for frame in clip:
                writer.write(fit(frame, even=True))
                progress.advance("clips")


def _completed_frame(info: VideoInfo, result: Path, frame: int, start: int) -> Picture:
    video = find_completed(result)
    return _frame(_probed(video, video.stat().st_mtime_ns), frame - start)


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


def _jpeg(picture: Picture) -> bytes:
    return viz.encode_jpeg(fit(picture), _JPEG_QUALITY)


def _read_label(path: Path) -> Label:
    with Image.open(path, formats=("PNG",)) as picture:
        return np.asarray(picture).astype(np.uint8)


def _frame(info: VideoInfo, frame: int) -> Picture:
    return next(read(info, frame, frame + 1, skip_broken=True))


@lru_cache(maxsize=8)
def _probed(path: Path, version: int) -> VideoInfo:
    return probe(path, limits=LARGEST)
