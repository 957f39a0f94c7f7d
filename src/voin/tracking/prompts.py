"""Prompts: what a user marks of an object on a frame: a box, clicks, or a painted mask."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from voin.core.config import from_older
from voin.core.errors import ValueRefusal
from voin.core.files import check_stored
from voin.core.text_files import read_text
from voin.core.types import Mask
from voin.io.images import read_picture, shown

Point = tuple[int, int]
Box = tuple[int, int, int, int]

_LEAST_SIDE = 4  # pixels; in a smaller box object and surroundings cannot be told apart
_MOST_BYTES = 2**24  # of a file of prompts
_FORM = "FRAME: box X,Y,W,H point X,Y not X,Y mask FILE"
_WORD = re.compile(r"(box|point|not|mask)\s+", re.ASCII)


@dataclass(frozen=True, eq=False)
class Prompt:
    """What is marked on one frame. With a mask the object is known there, and the rest corrects it.

    Args:
        frame: number of the frame, from 0.
        box: x, y, w, h in pixels, around the whole visible object; (x, y) is its upper left pixel.
        points: x, y of pixels on the object.
        negative: x, y of pixels that do not belong to it.
        mask: the object, painted by hand.
    """

    frame: int
    box: Box | None = None
    points: tuple[Point, ...] = ()
    negative: tuple[Point, ...] = ()
    mask: Mask | None = None

    def __post_init__(self) -> None:
        where = f"the prompt on frame {self.frame}"
        if self.frame < 0:
            raise ValueRefusal(
                f"the prompt is for frame {self.frame}", "frames are numbered from 0", "name one of these"
            )
        if self.box is None and not self.points and self.mask is None:
            what = f"{where} marks nothing of the object"
            raise ValueRefusal(what, "it must have a box, a point on the object or a painted mask", "add one of them")
        if self.box is not None and min(self.box[2:]) < _LEAST_SIDE:
            must = f"it must be at least {_LEAST_SIDE}x{_LEAST_SIDE}"
            what = f"{where} has a box of {self.box[2]}x{self.box[3]} pixels"
            raise ValueRefusal(what, must, "draw it around the whole object")
        if self.mask is not None and not self.mask.any():
            raise ValueRefusal(f"{where} has an empty mask", "some of the object must be painted", "paint it")
        both = sorted(set(self.points) & set(self.negative))
        if both:
            what = f"{where} says that {both[0][0]},{both[0][1]} is on the object, and that it is not"
            raise ValueRefusal(what, "a pixel must be one of both", "leave one of them out")

    def check(self, size: tuple[int, int]) -> None:
        """Refuse a prompt that does not lie in a frame of `size` (h, w).

        Raises:
            ValueError: something lies outside, or the mask has another size.
        """
        h, w = size
        where = f"the prompt on frame {self.frame}"
        for x, y in (*self.points, *self.negative):
            if not (0 <= x < w and 0 <= y < h):
                must = f"it must lie in 0,0 to {w - 1},{h - 1}"
                raise ValueRefusal(f"{where} has the point {x},{y}, outside the frame", must, "correct it")
        if self.box is not None:
            left, top, box_w, box_h = self.box
            if left < 0 or top < 0 or left + box_w > w or top + box_h > h:
                what = f"{where} has the box {left},{top},{box_w},{box_h} (x, y, width, height), which leaves the frame"
                raise ValueRefusal(what, f"it must lie within {shown(size)}", "make it smaller")
        if self.mask is not None and self.mask.shape != size:
            what = f"{where} has a mask of {shown(self.mask.shape[:2])} for frames of {shown(size)}"
            raise ValueRefusal(what, "both must have one size", "scale it")


def check_prompts(prompts: Sequence[Prompt], size: tuple[int, int], start: int, end: int) -> tuple[Prompt, ...]:
    """Return the prompts of a video, at most one a frame, in the order of their frames.

    Args:
        prompts: of the video.
        size: (h, w) of its frames.
        start: first frame that is to be tracked.
        end: frame after the last one.

    Raises:
        ValueError: there is none, two are on one frame, or one lies outside.
    """
    if not prompts:
        what = "nothing says what the object is"
        raise ValueRefusal(what, "one frame at least must have a prompt", "give --box, --point, --prompt or --prompts")
    by_frame = sorted(prompts, key=lambda prompt: prompt.frame)
    for first, second in pairwise(by_frame):
        if first.frame == second.frame:
            what = f"frame {first.frame} has two prompts"
            raise ValueRefusal(what, "each frame must have one", "write all that is marked on a frame into one prompt")
    for prompt in by_frame:
        if not start <= prompt.frame < end:
            raise ValueRefusal(
                f"a prompt is on frame {prompt.frame}", f"frames {start} to {end - 1} are tracked", "name one of these"
            )
        prompt.check(size)
    return tuple(by_frame)


def parse_box(text: str) -> Box:
    """Read "x,y,w,h"; all else is refused."""
    x, y, w, h = _numbers(text, 4, "box", "x,y,width,height, such as 120,40,80,160")
    return x, y, w, h


def parse_point(text: str) -> Point:
    """Read "x,y"; all else is refused."""
    x, y = _numbers(text, 2, "point", "x,y, such as 160,90")
    return x, y


def parse_prompt(text: str) -> Prompt:
    """Read "40: box 120,40,80,160 point 160,90 not 130,50"; everything but the frame may be left out or repeated.

    Raises:
        ValueError: it is something else.
        OSError: the file of a painted mask cannot be read.
    """
    head, colon, rest = text.partition(":")
    parts = _WORD.split(rest.strip())
    if not colon or not head.strip().isdecimal() or parts[0].strip() or len(parts) < 3:
        raise ValueRefusal(f"the prompt is {text!r}", f"it must be like {_FORM!r}", "write it so")
    box, points, negative, mask = None, [], [], None
    for word, value in zip(parts[1::2], (part.strip(" ;") for part in parts[2::2]), strict=True):
        if word == "point":
            points += [parse_point(word) for word in value.split()]
        elif word == "not":
            negative += [parse_point(word) for word in value.split()]
        elif (box if word == "box" else mask) is not None:
            raise ValueRefusal(
                f"the prompt is {text!r}, with two {word}s", "a frame must have one", "leave one of them out"
            )
        elif word == "box":
            box = parse_box(value)
        else:
            mask = read_mask(Path(value))
    return Prompt(int(head), box, tuple(points), tuple(negative), mask)


def read_prompts(path: Path) -> tuple[Prompt, ...]:
    """Read prompts from a JSON file: a list of objects with `frame` and some of `box`, `points`, `negative`, `mask`.

    `box` is [x, y, w, h], `points` and `negative` are lists of [x, y], `mask` is the path of a picture, from the file.

    Raises:
        OSError: the file, or a mask that it names, cannot be read.
        ValueError: it holds something else.
    """
    text = read_text(path, "a JSON file of prompts", "check the path", _MOST_BYTES)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueRefusal(f"{path} is not JSON ({error})", "it must be a list of prompts", "correct it") from error
    if not isinstance(content, list):
        what = f"{path} holds something else"
        raise ValueRefusal(what, 'it must be a list such as [{"frame": 0, "box": [120, 40, 80, 160]}]', "correct it")
    return tuple(_prompt(path, number, entry) for number, entry in enumerate(content))


def read_mask(path: Path) -> Mask:
    """Read a painted mask: what is brighter than mid grey in any colour is the object."""
    check_stored(path, "it must be a picture")
    return read_picture(path).max(axis=2) > 127


@dataclass(frozen=True)
class _Entry:
    """A prompt as a file holds it."""

    frame: int
    box: Box | None = None
    points: tuple[Point, ...] = ()
    negative: tuple[Point, ...] = ()
    mask: str | None = None


def _prompt(path: Path, number: int, entry: object) -> Prompt:
    try:
        marked = from_older(_Entry, entry, f"{path}[{number}]")
        if marked.mask and "\0" in marked.mask:
            raise ValueRefusal(f"{path}[{number}].mask is {marked.mask!r}", "it must be the path of a picture")
    except ValueRefusal as error:
        raise ValueRefusal(error.what, error.must, "correct it") from None
    mask = read_mask(path.parent / marked.mask) if marked.mask else None
    return Prompt(marked.frame, marked.box, marked.points, marked.negative, mask)


def _numbers(text: str, count: int, what: str, form: str) -> list[int]:
    words = [word.strip() for word in text.split(",")]
    if len(words) != count or not all(re.fullmatch(r"-?\d{1,6}", word, re.ASCII) for word in words):
        raise ValueRefusal(f"the {what} is {text!r}", f"it must be whole pixels, {form}", "write it so")
    return [int(word) for word in words]
