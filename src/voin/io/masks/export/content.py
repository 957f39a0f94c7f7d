"""What is written: the masks of a video, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from voin.io.masks.labels import MaskSource
from voin.io.video_info import VideoInfo

UNKNOWN = "object"  # the category of what no file says more of


class NamedLabel(NamedTuple):
    """A frame that has a mask: its number, counted from 0, its name and its object ids, uint8 (h, w)."""

    frame: int
    name: str
    label: np.ndarray


@dataclass(frozen=True)
class Content:
    """Masks of a video, as all forms write them.

    Attributes:
        polygons: whether objects are to be outlined, where a form has both outlines and exact masks.
        step: called after each frame.
    """

    info: VideoInfo
    masks: MaskSource
    polygons: bool
    step: Callable[[], object]

    @property
    def frames(self) -> list[int]:
        """Frames that have a mask, be it an empty one."""
        return [frame for frame in range(self.info.count) if self.masks.given(frame)]

    def labels(self) -> Iterator[NamedLabel]:
        """Give the frames that have a mask, one after the other."""
        for frame in self.frames:
            yield NamedLabel(frame, self.info.names[frame], self.masks.label(frame))
            self.step()

    def all_labels(self) -> Iterator[np.ndarray]:
        """Give the object ids of all frames; those without a mask are empty."""
        for frame in range(self.info.count):
            yield self.masks.label(frame)
            self.step()

    def seen(self, label: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Give each object that is seen in a frame: its id, and its mask, bool (h, w)."""
        for number in self.masks.ids:
            mask = label == number
            if mask.any():
                yield number, mask

    def category(self, number: int) -> str:
        """Return what an object is."""
        return self.masks.reading.categories.get(number) or UNKNOWN

    @property
    def categories(self) -> list[str]:
        """All categories, each once, in the order of the objects."""
        return list(dict.fromkeys(map(self.category, self.masks.ids)))
