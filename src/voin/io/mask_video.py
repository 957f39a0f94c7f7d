"""Masks as a video, white on black, for one object."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2

from voin.core.errors import ValueRefusal
from voin.io.mask_values import RawMask
from voin.io.video import probe, read

_SATURATED = 96  # levels between the strongest and the weakest channel, from which a pixel has a colour


class VideoMasks:
    """A video whose frames are 255 where they are white (half and more), and 0 elsewhere."""

    def __init__(self, path: Path) -> None:
        self._info = probe(path)
        self.names, self.size = self._info.count, self._info.size

    @staticmethod
    def takes(path: Path) -> bool:
        """Return whether a path may be a video: what is nothing else."""
        return True

    def masks(self, colours: dict[int, int]) -> Iterator[RawMask]:
        """Read one frame after the other.

        Raises:
            OSError: a frame does not decode.
            ValueError: it has colours.
        """
        info = self._info
        for index, frame in enumerate(read(info)):
            strongest = cv2.max(cv2.max(frame[..., 0], frame[..., 1]), frame[..., 2])
            mask = cv2.threshold(strongest, 127, 255, cv2.THRESH_BINARY)[1]
            weakest = cv2.min(cv2.min(frame[..., 0], frame[..., 1]), frame[..., 2])
            saturated = cv2.threshold(cv2.subtract(strongest, weakest), _SATURATED, 255, cv2.THRESH_BINARY)[1]
            if cv2.countNonZero(saturated) > 0.5 * max(1, cv2.countNonZero(mask)):
                raise ValueRefusal(
                    f"{info.path} has colours in frame {index}",
                    "a mask video is white on black, for one object",
                    "give several objects as indexed PNGs, one a frame",
                )
            yield RawMask(str(info.path), mask, "grey")
