"""Track an object through a shot: from each prompt forwards and backwards, and one mask a frame out of that."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

from voin.core.types import Mask, Picture
from voin.io.shots import CutDetector
from voin.tracking.prompts import Prompt

REACH = 4  # frames around a prompt's that are looked at for motion, at most; of these ...
_NEAR = (1, REACH)  # ... only those so far away


@runtime_checkable
class Tracker(Protocol):
    """Follows an object from a prompt on."""

    name: str

    def mark(self, frame: Picture, prompt: Prompt, near: Sequence[Picture]) -> Mask:
        """Return the object's mask on the frame of its prompt; `near` are frames shortly before or after, if any."""
        ...

    def follow(self, frames: Iterable[Picture], mask: Mask) -> Iterator[Mask]:
        """Follow the object through `frames`, of which the first has this mask; gives a mask for each."""
        ...


@dataclass(frozen=True)
class PackedMask:
    """A mask in a few kilobytes."""

    size: tuple[int, int]
    box: tuple[int, int, int, int]  # x, y, w, h
    data: bytes

    @staticmethod
    def of(mask: Mask) -> PackedMask:
        """Pack a mask."""
        x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
        bits = np.packbits(mask[y : y + h, x : x + w])
        return PackedMask((mask.shape[0], mask.shape[1]), (x, y, w, h), zlib.compress(bits.tobytes(), 1))

    def mask(self) -> Mask:
        """Unpack it."""
        x, y, w, h = self.box
        bits = np.frombuffer(zlib.decompress(self.data), np.uint8)
        mask = np.zeros(self.size, bool)
        mask[y : y + h, x : x + w] = np.unpackbits(bits, count=h * w).reshape(h, w)
        return mask


def track_shot(
    tracker: Tracker,
    frame_of: Callable[[int], Picture],
    prompts: Sequence[Prompt],
    start: int,
    end: int,
    advance: Callable[[int], object] = lambda count: None,
) -> list[PackedMask]:
    """Track an object through the frames start..end-1, which are one shot.

    Before the first prompt the object is followed backwards, after the last one forwards. Between two prompts it is
    followed from both; where the two tracks agree best, the one gives way to the other. So a prompt where the track was
    lost corrects the frames before it, too.

    Args:
        tracker: follows the object.
        frame_of: gives a frame by its number.
        prompts: by frame, all in the shot.
        start: first frame.
        end: frame after the last one.
        advance: told of frames that are done, of `steps_of` in all.
    """
    marked = {prompt.frame: mark(tracker, frame_of, prompt, start, end) for prompt in prompts}

    def follow(prompt: Prompt, last: int) -> list[PackedMask]:
        step = 1 if last >= prompt.frame else -1
        frames = (frame_of(i) for i in range(prompt.frame, last + step, step))
        masks = []
        for mask in tracker.follow(frames, marked[prompt.frame]):
            masks.append(PackedMask.of(mask))
            if len(masks) > 1:
                advance(1)
        return masks

    found = follow(prompts[0], start)[::-1]
    advance(1)
    for first, second in pairwise(prompts):
        onward, back = follow(first, second.frame), follow(second, first.frame)[::-1]
        change = _change(onward, back)
        found += (onward[:change] + back[change:])[1:]
    return found + follow(prompts[-1], end - 1)[1:]


def mark(tracker: Tracker, frame_of: Callable[[int], Picture], prompt: Prompt, start: int, end: int) -> Mask:
    """Return the object's mask on the frame of its prompt; frames start..end-1 may be looked at, too."""
    after = _near(frame_of, prompt.frame, 1, start, end)
    before = _near(frame_of, prompt.frame, -1, start, end) if len(after) < len(_NEAR) else []
    return tracker.mark(frame_of(prompt.frame), prompt, before if len(before) > len(after) else after)


def _near(frame_of: Callable[[int], Picture], frame: int, order: int, start: int, end: int) -> list[Picture]:
    """Return the frames of one shot shortly before (`order` -1) or after (1) a frame."""
    detector, near = CutDetector(), []
    for away in range(_NEAR[-1] + 1):
        number = frame + order * away
        if not start <= number < end or detector.is_cut(frame_of(number)):
            break
        if away in _NEAR:
            near.append(frame_of(number))
    return near


def steps_of(prompts: Sequence[Prompt], start: int, end: int) -> int:
    """Return the number of frames that `track_shot` looks at."""
    return end - start + prompts[-1].frame - prompts[0].frame


def _change(onward: Sequence[PackedMask], back: Sequence[PackedMask]) -> int:
    """Choose the first frame that is taken from the track backwards: where both agree best, nearest to the middle."""
    agreement = [_iou(one.mask(), other.mask()) for one, other in zip(onward, back, strict=True)]
    best = max(agreement[1:-1], default=0.0)
    middle = len(onward) / 2
    good = [i for i in range(1, len(onward) - 1) if agreement[i] >= best - 0.02]
    return min(good, key=lambda i: abs(i - middle), default=1)


def _iou(one: Mask, other: Mask) -> float:
    either = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / either if either else 1.0
