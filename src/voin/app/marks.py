"""What a user has marked on frames, by boxes, points or paint: it becomes prompts."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from voin.core.errors import ValueRefusal
from voin.core.types import Mask
from voin.io.images import shown
from voin.tracking.prompts import Box, Point, Prompt, parse_box, parse_point

_MOST_STEPS = 50  # to go back
_MOST_POINTS = 200
_MOST_LETTERS = 10_000  # that are typed
_PNG_HEAD = "data:image/png;base64,"


@dataclass(frozen=True, eq=False)
class Marks:
    """What is marked on one frame; the fields are those of a prompt, and all may be missing."""

    box: Box | None = None
    points: tuple[Point, ...] = ()
    negative: tuple[Point, ...] = ()
    mask: Mask | None = None

    def __bool__(self) -> bool:
        return self.box is not None or bool(self.points) or bool(self.negative) or self.mask is not None

    def prompt(self, frame: int) -> Prompt | None:
        """Make a prompt of them, or None where nothing says what the object is."""
        if self.box is None and not self.points and self.mask is None:
            return None
        return Prompt(frame, self.box, self.points, self.negative, self.mask)

    def texts(self) -> tuple[str, str, str]:
        """Write box, points and negative points as they can be typed."""
        box = ",".join(map(str, self.box)) if self.box else ""
        on, off = (" ".join(f"{x},{y}" for x, y in points) for points in (self.points, self.negative))
        return box, on, off


@dataclass
class MarkedFrames:
    """The marks of all frames that have any, with a way back."""

    frames: dict[int, Marks] = field(default_factory=dict)
    _past: list[dict[int, Marks]] = field(default_factory=list)

    def on(self, frame: int) -> Marks:
        """Return the marks of a frame."""
        return self.frames.get(frame, Marks())

    def put(self, frame: int, marks: Marks) -> None:
        """Replace the marks of a frame; those that contradict themselves are refused."""
        if len(marks.points) + len(marks.negative) > _MOST_POINTS:
            what = f"frame {frame} has more than {_MOST_POINTS} points"
            raise ValueRefusal(what, "fewer say as much", "clear the frame")
        marks.prompt(frame)  # refuses what cannot be
        self._change({**self.frames, frame: marks})

    def add(self, frame: int, point: Point, on: bool) -> None:
        """Add a point on the object, or beside it; one that is marked already changes sides."""
        marks = self.on(frame)
        sides = [tuple(known for known in points if known != point) for points in (marks.negative, marks.points)]
        sides[on] = (*sides[on], point)
        self.put(frame, replace(marks, negative=sides[False], points=sides[True]))

    def clear(self, frame: int | None = None) -> None:
        """Remove the marks of a frame, or all."""
        self._change({} if frame is None else {**self.frames, frame: Marks()})

    def undo(self) -> None:
        """Go back one step."""
        if self._past:
            self.frames = self._past.pop()

    def prompts(self, start: int, end: int) -> tuple[Prompt, ...]:
        """Make prompts of what is marked in the frames start..end-1, of one at least."""
        found = [marks.prompt(frame) for frame, marks in sorted(self.frames.items()) if start <= frame < end]
        prompts = tuple(prompt for prompt in found if prompt is not None)
        if not prompts:
            what = f"no frame from {start} to {end - 1} says what the object is"
            raise ValueRefusal(what, "one at least must have a box, a point on it or paint", "draw one")
        return prompts

    def _change(self, frames: dict[int, Marks]) -> None:
        self._past = [*self._past[1 - _MOST_STEPS :], self.frames]
        self.frames = {number: marks for number, marks in frames.items() if marks}


def marks_of_texts(box: str, points: str, negative: str, mask: Mask | None, size: tuple[int, int]) -> Marks:
    """Read marks as they are typed: "x,y,w,h" and "x,y x,y ..."; they must lie in a frame of `size` (h, w)."""
    if len(box) + len(points) + len(negative) > _MOST_LETTERS:
        raise ValueRefusal("what is typed is too long", f"{_MOST_POINTS} points say enough", "type fewer")
    on, off = (tuple(parse_point(word) for word in text.replace(";", " ").split()) for text in (points, negative))
    marks = Marks(parse_box(box) if box.strip() else None, on, off, mask)
    check_marks(marks, size)
    return marks


def check_marks(marks: Marks, size: tuple[int, int]) -> None:
    """Refuse marks that do not lie in a frame of `size` (h, w)."""
    if marks:
        (marks.prompt(0) or Prompt(0, points=marks.negative)).check(size)


def painted_mask(text: object, size: tuple[int, int]) -> Mask | None:
    """Read a mask that was painted on a canvas: a PNG of `size` (h, w) as a data URL, opaque where the object is.

    What comes from the browser may be anything; None where nothing is opaque.
    """
    must = f"it must be a picture of {shown(size)}"
    refusal = ValueRefusal("what was painted cannot be read", must, "paint it again")
    if not isinstance(text, str) or not text.startswith(_PNG_HEAD):
        raise refusal
    try:
        data = base64.b64decode(text.removeprefix(_PNG_HEAD), validate=True)
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            # Before anything is decoded: a small file can hold a huge picture.
            if (picture.height, picture.width) != size:
                raise refusal
            mask = np.asarray(picture.convert("RGBA"))[..., 3] > 127
    except Exception as error:  # Pillow raises SyntaxError, struct.error, zlib.error and more on garbage.
        raise refusal from error
    return mask if mask.any() else None


def as_data_url(mask: Mask | None) -> str:
    """Write a mask as the browser paints it; "" for none."""
    if mask is None:
        return ""
    picture = np.repeat(mask[..., None], 4, axis=2).astype(np.uint8) * 255
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "PNG", compress_level=1)
    return _PNG_HEAD + base64.b64encode(data.getvalue()).decode()
