"""What all annotation files come to: frames, each with the outlines of objects, and the ids of these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voin.core.errors import ValueRefusal
from voin.io.masks.frames import FrameNumbers
from voin.io.masks.values import RawMask
from voin.io.video_info import VideoInfo

_MOST_IDS = 255


@dataclass(frozen=True)
class Outline:
    """A part of an object in a frame.

    Attributes:
        key: what the file calls the object.
        category: in the file's words; "" where it says none.
        draw: makes its mask, bool (h, w).
    """

    key: int | str
    category: str
    draw: Callable[[], np.ndarray]


@dataclass
class AnnotatedFrame:
    """A frame that is annotated, with nothing in it where it has no outlines.

    Attributes:
        name: its file's stem, or its number, counted from 0.
        size: (h, w).
        video: the name of the video that it belongs to; "" where the file says none.
    """

    name: str | int
    size: tuple[int, int]
    outlines: list[Outline]
    video: str = ""


class AnnotatedFrames:
    """Masks from an annotation file, as `MaskFile` asks for them.

    Attributes:
        categories: of each id, in the file's words.
        numbered: how ids were given, in words.
    """

    def __init__(self, path: Path, frames: Sequence[AnnotatedFrame], called: str) -> None:
        if not frames:
            raise ValueRefusal(f"{path} has no frames", "it must annotate some", "export it again")
        self._path, self._frames, self._called = path, list(frames), called
        self._take()

    def choose(self, info: VideoInfo) -> None:
        """Keep the frames of one video, where the file has several: the one that is called like it."""
        videos = sorted({frame.video for frame in self._frames})
        if len(videos) < 2:
            return
        chosen = [video for video in videos if video in (info.path.stem, info.path.name)]
        if len(chosen) != 1:
            named = ", ".join(videos[:5]) + (", ..." if len(videos) > 5 else "")
            raise ValueRefusal(
                f"{self._path} has {len(videos)} videos ({named}), and none is called {info.path.stem}",
                "one of them must be called like the video",
                "name the video like it, or export that video alone",
            )
        self._frames = [frame for frame in self._frames if frame.video == chosen[0]]
        self._take()

    def _take(self) -> None:
        frames = self._frames
        numbers = [frame.name for frame in frames if isinstance(frame.name, int)]
        names = [str(frame.name) for frame in frames]
        several = len({frame.video for frame in frames}) > 1
        twice = next(
            (name for name, after in zip(sorted(names), sorted(names)[1:], strict=False) if name == after), None
        )
        if twice is not None and not several:
            what = f"{self._path} has two frames called {twice}"
            raise ValueRefusal(what, "each must be there once", "export each video on its own")
        self.names: Sequence[str] | FrameNumbers = FrameNumbers(numbers) if numbers else names
        sizes = {frame.size for frame in frames}
        self.size = sizes.pop() if len(sizes) == 1 else None
        self._number(several)

    def _number(self, several: bool) -> None:
        """Keep ids where masks can hold them; number the objects anew otherwise."""
        outlines = [outline for frame in self._frames for outline in frame.outlines]
        keys = list(dict.fromkeys(outline.key for outline in outlines))
        if all(isinstance(key, int) for key in keys):
            keys.sort()
        kept = all(isinstance(key, int) and 1 <= key <= _MOST_IDS for key in keys)
        if len(keys) > _MOST_IDS and not several:
            what = f"{self._path} has {len(keys)} objects"
            raise ValueRefusal(what, f"at most {_MOST_IDS} are understood", "export fewer")
        self.ids: dict[int | str, int] = {key: int(key) if kept else place for place, key in enumerate(keys, start=1)}
        listed = ", ".join(f"{number} is {key}" for key, number in [*self.ids.items()][:8])
        self.numbered = f"ids are {self._called}" if kept else f"ids are {self._called}, numbered anew ({listed})"
        self.categories = {self.ids[outline.key]: outline.category for outline in outlines if outline.category}

    def masks(self, colours: dict[int, int]) -> Iterator[RawMask]:
        """Draw one frame after the other; where objects overlap, the higher id is seen."""
        for frame in self._frames:
            label, overlap = np.zeros(frame.size, np.uint8), False
            for outline in frame.outlines:
                number, seen = self.ids[outline.key], outline.draw()
                overlap |= bool(np.any(seen & (label > 0) & (label != number)))
                label[seen & (label < number)] = number
            yield RawMask(f"{self._path}, frame {frame.name}", label, "ids", overlap)
