"""Frames of a video in any order: what is near the last one asked for is in memory, nothing else."""

from __future__ import annotations

from voin.core.types import Picture
from voin.io.video import VideoInfo, read

_MOST_BYTES = 96 * 2**20
_MOST_FRAMES = 64


class FrameBlocks:
    """Frames of a video by their number, also backwards, which video files cannot do by themselves.

    Two blocks of frames are kept. Reading backwards decodes each block from the key frame before it. `skip_broken`
    shows the frame before in place of one that does not decode.
    """

    def __init__(self, info: VideoInfo, start: int, end: int, skip_broken: bool = False) -> None:
        self.info, self.start, self.end, self.skip_broken = info, start, end, skip_broken
        h, w = info.size
        self.length = min(max(_MOST_BYTES // (2 * h * w * 3), 2), _MOST_FRAMES)
        self._blocks: dict[int, list[Picture]] = {}

    def __getitem__(self, frame: int) -> Picture:
        """Return a frame, uint8 RGB (h, w, 3); not to be written into."""
        number = (frame - self.start) // self.length
        block = self._blocks.pop(number, None)
        if block is None:
            while len(self._blocks) > 1:
                self._blocks.pop(next(iter(self._blocks)))
            first = self.start + number * self.length
            last = min(first + self.length, self.end)
            block = list(read(self.info, first, last, skip_broken=self.skip_broken))
        self._blocks[number] = block  # the last one asked for is the last one dropped
        return block[frame - self.start - number * self.length]
