"""A frame in its source's own samples, and the display-referred copy of it that the method works on.

Samples are never converted where nothing is completed: completed pixels are turned into samples, and only these are
replaced. Display-referred colours are what a screen is sent: as they stand in most files, and by sRGB's curve where
samples are proportional to light (EXR). Above white the curve goes on, so that brighter light is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from jaxtyping import Shaped

from voin.core.types import Frame, Mask, Picture, largest, to_kind, to_unit

# sRGB, IEC 61966-2-1: a power, and a line near black.
_POWER, _OFFSET, _SLOPE, _KNEE = 2.4, 0.055, 12.92, 0.0031308
EIGHT_BITS = np.dtype(np.uint8)
FieldOrder = Literal["", "top", "bottom"]
_MOST = 65504.0  # the largest half float; what is infinite is as bright


@dataclass(frozen=True)
class Samples:
    """How a source holds its colours.

    Attributes:
        bits: of a sample.
        floating: samples are floats, not integers.
        alpha: there is an alpha, too.
        linear: samples are proportional to light.
        layout: a video's own pixel format, by FFmpeg's name; "" for pictures.
        codec: of a video, by FFmpeg's name.
        fields: where the lines of a frame are of two moments, the field of lines that is shown first; else "".
        marked: each frame says by itself whether its lines are.
    """

    bits: int = 8
    floating: bool = False
    alpha: bool = False
    linear: bool = False
    layout: str = ""
    codec: str = ""
    fields: FieldOrder = ""
    marked: bool = False

    @property
    def dtype(self) -> np.dtype:
        """In which display-referred colours keep all that samples hold: uint8, uint16 or float32."""
        if self.floating or self.linear:
            return np.dtype(np.float32)
        return np.dtype(np.uint8 if self.bits <= 8 else np.uint16)

    @property
    def plain(self) -> bool:
        """Whether 8 bits of RGB hold everything."""
        return self.dtype == np.uint8 and not self.alpha

    @property
    def peak(self) -> float:
        """The brightest that display-referred colours may be."""
        return to_display(np.array([_MOST])).item() if self.dtype == np.float32 else 1.0

    @property
    def words(self) -> str:
        """What they are, as users say it: "10 bits with alpha"."""
        kind = f"{self.bits}-bit floats" if self.floating else f"{self.bits} bits"
        return kind + (", linear light" if self.linear else "") + (", with alpha" if self.alpha else "")


PLAIN = Samples()


@dataclass(frozen=True, eq=False)
class PictureFrame:
    """An upright frame as an array, which never changes.

    Attributes:
        values: (h, w, 3) RGB or (h, w, 4) RGBA: uint8, uint16, float16 or float32.
        linear: they are proportional to light.
        rest: what else its file holds, to be written again.
    """

    values: Shaped[np.ndarray, "h w c"]
    linear: bool = False
    rest: Any = None

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        h, w = self.values.shape[:2]
        return h, w

    def shown(self) -> Frame:
        """Return the display-referred colours, of the dtype that `Samples` names; an array of its own."""
        return np.array(self._display(self.values[..., :3]), order="C")

    def eight_bits(self) -> Picture:
        """Return the display-referred colours in 8 bits; an array of its own."""
        return in_bits(self.shown(), EIGHT_BITS)

    def shown_in(self, box: tuple[int, int, int, int]) -> Frame:
        """Return what `shown` does; of the pixels outside the box x0 y0 x1 y1 nothing is promised."""
        return self.shown()

    def thinned(self, step: int) -> Picture:
        """Return every `step`-th pixel of every `step`-th row of it in 8 bits, from the first on."""
        return PictureFrame(self.values[::step, ::step], self.linear).eight_bits()

    def replaced(self, colours: Frame, where: Mask) -> PictureFrame:
        """Return a copy with the pixels `where` replaced by display-referred colours (h, w, 3), and opaque there."""
        values = self.values.copy()
        # To look for them in all of a large frame takes longer than all the rest.
        x, y, w, h = cv2.boundingRect(where.view(np.uint8))
        box = np.s_[y : y + h, x : x + w]
        part, inside = values[box], where[box]
        part[inside, :3] = self._samples(colours[box][inside])
        if values.shape[2] == 4:
            part[inside, 3] = largest(values.dtype)
        return PictureFrame(values, self.linear, self.rest)

    def display_rgba(self) -> Shaped[np.ndarray, "h w c"]:
        """Return display-referred RGB, or straight RGBA where there is alpha, in 8 or 16 bits."""
        colours, alpha = self.shown(), self.values[..., 3:]
        kind = np.dtype(np.uint8 if colours.dtype == np.uint8 else np.uint16)
        return np.concatenate([in_bits(colours, kind), in_bits(alpha, kind)], axis=2)

    def _display(self, samples: np.ndarray) -> np.ndarray:
        if not self.linear and samples.dtype.kind == "u":
            return samples
        colours = to_unit(samples).astype(np.float32, copy=False)
        return to_display(colours) if self.linear else finite(colours)

    def _samples(self, colours: np.ndarray) -> np.ndarray:
        if colours.dtype == self.values.dtype == EIGHT_BITS and not self.linear:
            return colours
        light = to_unit(colours)
        return to_kind(to_light(light) if self.linear else light, self.values.dtype, _MOST)


def in_bits(colours: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return colours in another integer kind, rounded; the same array where they are of it."""
    return colours if colours.dtype == dtype else to_kind(to_unit(colours), dtype)


def finite(values: np.ndarray) -> np.ndarray:
    """Return floats without what is no number, negative or infinite."""
    return np.nan_to_num(values, nan=0.0, posinf=_MOST).clip(0, _MOST)


def to_display(light: np.ndarray) -> np.ndarray:
    """Return light as a screen is sent it, by sRGB's curve, which goes on above 1; float32."""
    light = finite(np.asarray(light, np.float32))
    curved = light ** np.float32(1 / _POWER) * np.float32(1 + _OFFSET) - np.float32(_OFFSET)
    return np.where(light <= _KNEE, light * np.float32(_SLOPE), curved)


def to_light(colours: np.ndarray) -> np.ndarray:
    """Return display-referred colours as light, inverse to `to_display`; float32."""
    colours = np.asarray(colours, np.float32)
    curved = ((colours.clip(0) + np.float32(_OFFSET)) / np.float32(1 + _OFFSET)) ** np.float32(_POWER)
    return np.where(colours <= _KNEE * _SLOPE, colours / np.float32(_SLOPE), curved)
