"""Where one shot ends and the next begins.

A hard cut changes the colours of the picture everywhere at once, much more than the frames just before it did. Both
halves matter: the first alone fires on a fast pan, the second alone on a still scene that starts to move.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

import cv2
import numpy as np

from voin.core.errors import ValueRefusal
from voin.core.text_files import read_text
from voin.core.types import Picture

# Measured over 40 DAVIS sequences (2,736 pairs) and all 1,560 joins of two of them: the largest excess inside a shot is
# 0.07 (0.20 when only every second frame is kept), the smallest at a join 0.48 (in grey 0.15: 6 joins are missed).
THRESHOLD = 0.2
# What the frames before a shot are taken to have scored: fast motion scores up to 0.3, cuts from 0.5.
PRIOR_SCORE = 0.2
MEMORY_FRAMES = 4
# Rows of the reduced picture; cost does not depend on the size of the video.
REDUCED_ROWS = 64


class CutDetector:
    """Finds out, frame by frame and without looking ahead, whether a new shot starts.

    The score of a frame is the total variation distance, in [0, 1], between its joint colour histograms and those of
    the frame before, averaged over the four quarters of the picture. A frame is a cut when its score exceeds the
    highest of the last few scores by more than `threshold`.

    Dissolves are not cuts, and one bright frame (a flash) is taken for one: telling it apart needs the frames after it.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        if not 0 < threshold < 1:
            remedy = f"leave it out for {THRESHOLD}"
            raise ValueRefusal(f"threshold is {threshold}", "it must lie between 0 and 1", remedy)
        self.threshold = threshold
        self._scores: deque[float] = deque([PRIOR_SCORE], maxlen=MEMORY_FRAMES)
        self._before: np.ndarray | None = None

    def is_cut(self, frame: Picture) -> bool:
        """Return whether `frame` (uint8 RGB) starts a new shot; the first frame does not."""
        return self.excess(frame) > self.threshold

    def excess(self, frame: Picture) -> float:
        """Take the next frame in and return its score above the highest of the last few; what `is_cut` compares."""
        now = _histograms(frame)
        before, self._before = self._before, now
        if before is None:
            return 0.0
        score = float(np.abs(now - before).sum(axis=1).mean() / 2)
        excess = score - max(self._scores)
        if excess > self.threshold:
            # The cut itself says nothing about the motion of the shot that it starts.
            self._scores.clear()
            score = PRIOR_SCORE
        self._scores.append(score)
        return excess


def thinning(size: tuple[int, int]) -> int:
    """Return of which step in pixels `CutDetector` looks at frames of (h, w): those that are thinned by it will do."""
    return max(1, min(size) // (2 * REDUCED_ROWS))


def read_cuts(path: Path, count: int) -> tuple[int, ...]:
    """Read the frames that start a new shot from a text file: one a line, or with commas between; `#` starts a comment.

    They are counted from 0, which may stand there and is left out, and come in rising order, all in 1..count-1. Raises
    OSError where the file cannot be read, ValueError where it holds anything else.
    """
    text = read_text(path, "a text file of frame numbers", "give its path, or use --cuts auto or --cuts none")
    words = [word for line in text.splitlines() for word in line.partition("#")[0].replace(",", " ").split()]
    wrong = next((word for word in words if not (word.isascii() and word.isdigit() and len(word) < 10)), None)
    if wrong is not None:
        raise ValueRefusal(
            f"{path} holds {wrong[:40]!r}",
            "it must hold frame numbers, one a line or with commas between",
            "correct it, or use --cuts auto",
        )
    cuts = sorted({int(word) for word in words} - {0})
    if cuts and cuts[-1] >= count:
        raise ValueRefusal(
            f"{path} names frame {cuts[-1]} of a video of {count} frames",
            f"numbers must lie in 1..{count - 1} (the first frame is 0)",
            "correct the file, or use --cuts auto",
        )
    return tuple(cuts)


def _histograms(frame: np.ndarray) -> np.ndarray:
    """Count the colours of each quarter of `frame`: (4, bins), each row of sum 1."""
    # Slicing first keeps the cost of a large frame down; halving by area then takes out half of the noise.
    step = thinning((frame.shape[0], frame.shape[1]))
    coarse = np.ascontiguousarray(frame[::step, ::step])
    h, w = (max(2, size // 2) for size in coarse.shape[:2])
    picture = cv2.cvtColor(cv2.resize(coarse, (w, h), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2YCrCb)
    # Chroma of real footage lies in the middle of its range: the ends share a bin with their neighbours.
    picture[..., 1:] = picture[..., 1:].clip(64, 191)
    histograms = []
    for quarter in (
        part for half in np.array_split(picture, [h // 2]) for part in np.array_split(half, [w // 2], axis=1)
    ):
        counts = cv2.calcHist(
            [np.ascontiguousarray(quarter)], [0, 1, 2], None, [16, 16, 16], [0, 256, 64, 192, 64, 192]
        )
        histograms.append(counts.ravel() / (quarter.shape[0] * quarter.shape[1]))
    return np.stack(histograms)
