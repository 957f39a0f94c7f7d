"""A video in the place of one that is not at hand: as many frames as masks tell of, and called like these."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from voin.core.errors import FileRefusal, ValueRefusal
from voin.io.images import natural
from voin.io.masks.frames import FrameNumbers, Moments
from voin.io.masks.joined import list_object_folders
from voin.io.masks.source import FORMATS
from voin.io.masks.values import MaskFile
from voin.io.video_info import Colour, VideoInfo

_RATE = Fraction(25)  # where nothing says how fast masks are shown


def stand_in(paths: Sequence[Path], size: tuple[int, int] | None = None, count: int | None = None) -> VideoInfo:
    """Return the video that masks of no video at hand belong to.

    Args:
        paths: the masks.
        size: (h, w) of its frames; None for that of the masks.
        count: its frames; None for as many as the masks tell of.

    Raises:
        OSError: a file cannot be read.
        ValueError: the masks do not say the same.
    """
    lost = next((path for path in paths if not path.exists()), None)
    if lost is not None:
        raise FileRefusal(f"{lost} does not exist", "it must hold masks", "check the spelling")
    files = [file for path in paths for file in list_object_folders(path) or [path]]
    stored = [next(form for form in FORMATS if form.takes(file))(file) for file in files]
    sizes = {_size(masks) for masks in stored} if size is None else {size}
    if len(sizes) > 1:
        raise ValueRefusal("the masks have different sizes", "all must have one", "say it with --size WIDTHxHEIGHT")
    names = _names(stored) if count is None else None
    if names is None:
        count = count or max(_count(masks) for masks in stored)
        kind, names = "video", tuple(f"{frame:05d}" for frame in range(count))
    else:
        kind = "folder"
    return VideoInfo(
        path=paths[0],
        kind=kind,
        size=sizes.pop(),
        count=len(names),
        rate=_RATE,
        time_base=1 / _RATE,
        times=tuple(range(len(names))),
        rotation=0,
        colour=Colour(),
        audio=False,
        names=names,
        duration=len(names),
    )


def _names(stored: Sequence[MaskFile]) -> tuple[str, ...] | None:
    """Return the names of all frames, if masks are called by names alone."""
    found = set()
    for masks in stored:
        if isinstance(masks.names, int | Moments | FrameNumbers):
            return None
        found |= set(masks.names)
    return tuple(sorted(found, key=natural))


def _count(masks: MaskFile) -> int:
    if isinstance(masks.names, int):
        return masks.names
    if isinstance(masks.names, FrameNumbers):
        return max(masks.names.numbers) + 1
    return len(masks.names.seconds if isinstance(masks.names, Moments) else masks.names)


def _size(masks: MaskFile) -> tuple[int, int]:
    if masks.size is not None:
        return masks.size
    h, w = next(masks.masks({})).values.shape
    return h, w
