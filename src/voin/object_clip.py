"""What the pipeline takes and gives: an object's windows cut out of a run of frames, and patches that complete it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8

from voin.clip import Frame, Mask
from voin.window import WindowConfig, Windows, box_of, cut, fit_windows

# Windows have sizes of their own, so their sides bind no axis.
_Cut = Shaped[np.ndarray, "_ _ 3"]
_CutMask = Bool[np.ndarray, "_ _"]


@dataclass(frozen=True)
class ObjectClip:
    """One object, in a run of frames without a cut: the native pixels of its windows.

    Attributes:
        windows: t squares; they may reach outside the frame.
        size: (h, w) of the whole frames.
        frames: t pictures (side, side, 3), uint8 or float32 in [0, 1]; outside the frame the border repeats.
        visible: t masks (side, side); outside the frame False, as all masks.
        amodal: t masks of the whole object where the user gives them, else None.
        occluder: t masks of what is in front where the user gives them, else None.
    """

    windows: Windows
    size: tuple[int, int]
    frames: Sequence[_Cut]
    visible: Sequence[_CutMask]
    amodal: Sequence[_CutMask] | None = None
    occluder: Sequence[_CutMask] | None = None

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True)
class Patch:
    """The completed object in one frame: a box of native pixels that lies wholly inside the frame.

    The box holds all of the amodal mask; it has no pixels (shape (0, 0)) where the object is not there.

    Attributes:
        left: column of the box in the frame.
        top: row of the box in the frame.
        amodal: (h, w); the whole object.
        occluded: (h, w); `amodal` without `visible`: the only pixels that a paste may change.
        missing: (h, w); the part of `occluded` that was invented.
        colours: (h, w, 3), of the frames' dtype: the input with the occluded pixels replaced.
        confidence: (h, w), 0..255: 255 where visible, 0 where missing, between where propagated.
        forward: (h, w, 2) completed flow to the next frame, native pixels, where it was asked for and there is a next.
        backward: (h, w, 2) completed flow to the frame before, likewise.
    """

    left: int
    top: int
    amodal: Mask
    occluded: Mask
    missing: Mask
    colours: Frame
    confidence: UInt8[np.ndarray, "h w"]
    forward: Float[np.ndarray, "h w 2"] | None = None
    backward: Float[np.ndarray, "h w 2"] | None = None

    @property
    def rows(self) -> slice:
        """The box's rows in the frame."""
        return slice(self.top, self.top + self.amodal.shape[0])

    @property
    def columns(self) -> slice:
        """The box's columns in the frame."""
        return slice(self.left, self.left + self.amodal.shape[1])


def paste(frame: Frame, patches: Sequence[Patch]) -> Frame:
    """Compose completed objects into a copy of a frame; only pixels occluded in some patch can change.

    Args:
        frame: (h, w, 3).
        patches: of this frame, in depth order, the front-most first. A hidden pixel is shown unless a patch before it
            in the order covers it: what lies in front stays in front.
    """
    result = frame.copy()
    taken = np.zeros(frame.shape[:2], bool)
    for patch in patches:
        free = taken[patch.rows, patch.columns]
        show = patch.occluded & ~free
        result[patch.rows, patch.columns][show] = patch.colours[show]
        free |= patch.amodal
    return result


def cut_clip(
    frames: Sequence[Frame],
    visible: Sequence[Mask],
    amodal: Sequence[Mask] | None = None,
    occluder: Sequence[Mask] | None = None,
    config: WindowConfig = WindowConfig(),  # noqa: B008 - frozen
) -> ObjectClip:
    """Fit windows to an object and cut them out of whole frames.

    Args:
        frames: t frames (h, w, 3).
        visible: t masks (h, w).
        amodal: t masks of the whole object; windows are fitted to them where they are given.
        occluder: t masks of what is in front.
        config: of the windows.

    Raises:
        ValueError: nothing is visible in any frame, or the frames are smaller than 32 pixels.
    """
    h, w = frames[0].shape[:2]
    if min(h, w) < 32:
        raise ValueError(f"the frames are {w}x{h}; they must be at least 32x32; enlarge them first")
    whole = visible if amodal is None else [a | v for a, v in zip(amodal, visible, strict=True)]
    if not any(mask.any() for mask in visible):
        raise ValueError("visible marks no pixel in any frame; it must mark the object in at least one; check the mask")
    windows = fit_windows(np.array([box_of(mask) for mask in whole]), config)

    def every(pictures: Sequence[np.ndarray] | None) -> list[np.ndarray] | None:
        return None if pictures is None else [cut(picture, windows, i) for i, picture in enumerate(pictures)]

    pictures, seen = every(frames), every(visible)
    assert pictures is not None
    assert seen is not None
    return ObjectClip(windows, (h, w), pictures, seen, every(amodal), every(occluder))
