"""The window: a square that follows the object, in which all stages work; or, as in the paper, the whole frame.

Not in the paper: it works on whole 320x180 frames; we follow the object, because then the cost does not depend on the
video's resolution, the object is roughly stabilised, and small objects get all the pixels they have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.core.types import Frame, Mask, largest
from voin.method.memory import Place

Boxes = Int[np.ndarray, "t 4"]  # x0 y0 x1 y1, end exclusive; all 0 where there is none
Spans = Float[np.ndarray, " t"]


@dataclass(frozen=True)
class WindowConfig(Checked):
    """How windows follow boxes."""

    size: int = setting(256, "Side of the working picture; a multiple of 8.", unit="working pixels", least=32)
    enlarge: float = setting(1.5, "Side of the window over the object's longer side: room for what is hidden.", least=1)
    smooth_frames: float = setting(6.0, "Standard deviation of the smoothing over time.", above=0)
    reach_frames: int = setting(24, "An object is taken to be as large as it was seen so many frames around.", least=0)

    def check(self) -> None:
        """Refuse sizes that coarse grids do not divide."""
        if self.size % 8:
            raise ValueRefusal(f"window size is {self.size}", "it must be a multiple of 8", "use 192 or 256")

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the working picture."""
        return self.size, self.size


# Height and width of whole frames, as 216x384: paper 4.1.
ASPECT = (9, 16)


@dataclass(frozen=True)
class WholeFrame(WindowConfig):
    """Windows that do not follow boxes: one centred over the whole frame, 16:9 and `size` pixels wide.

    Paper 4.1: "resize video frames to 384 x 216". Frames that are higher or wider are bordered, not distorted. A class
    of its own, because sets and packs say in their manifests what a `WindowConfig` holds.
    """

    frame: tuple[int, int] = (0, 0)  # (h, w) of the frames

    @property
    def shape(self) -> tuple[int, int]:  # noqa: D102
        return self.size * ASPECT[0] // ASPECT[1], self.size

    def check(self) -> None:
        """Refuse frames without pixels, and a width of which the height would be no whole number."""
        super().check()
        if self.size % ASPECT[1]:
            must = f"it must be a multiple of {ASPECT[1]} for whole frames"
            raise ValueRefusal(f"window size is {self.size}", must, "use 384")
        if min(self.frame) < 1:
            raise ValueRefusal(f"frame is {self.frame}", "it must be the (h, w) of the frames", "use (180, 320)")


@dataclass(frozen=True)
class Windows:
    """One window a frame: its upper left corner and its width, in native pixels, and the working picture's.

    Windows are squares unless the working picture has fewer or more `rows` than columns.
    """

    left: Spans
    top: Spans
    side: Spans
    size: int
    rows: int | None = None

    def __len__(self) -> int:
        return len(self.side)

    def __getitem__(self, part: slice) -> Windows:
        return Windows(self.left[part], self.top[part], self.side[part], self.size, self.rows)

    @property
    def scale(self) -> Spans:
        """Native pixels in one working pixel, (t,)."""
        return self.side / self.size

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the working picture."""
        return self.rows or self.size, self.size

    @property
    def height(self) -> Spans:
        """Native pixels from top to bottom, (t,)."""
        return self.side if self.rows is None else np.round(self.side * self.rows / self.size)

    @property
    def area(self) -> Spans:
        """Native pixels in each window, (t,)."""
        return self.side * self.height


def fit_windows(boxes: Boxes, config: WindowConfig = WindowConfig()) -> Windows:
    """Fit smooth squares around the boxes of an object's visible part; with `WholeFrame` they follow nothing.

    The object's size is the largest seen nearby in time, since occlusion only shrinks boxes; frames in which little
    of it is seen count little for the centre; each window holds its own box whatever the smoothing says.

    Raises:
        ValueError: no frame has a box.
    """
    present = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    if not present.any():
        raise ValueRefusal(
            "the mask has no object in any frame", "a visible part must be marked in at least one", "check the id"
        )
    if isinstance(config, WholeFrame):
        (h, w), ones = config.frame, np.ones(len(boxes))
        # In whole multiples of the aspect, so that a working pixel is as high as it is wide.
        unit = max(-(-h // ASPECT[0]), -(-w // ASPECT[1]))
        height, side = unit * ASPECT[0], unit * ASPECT[1]
        return Windows((w - side) // 2 * ones, (h - height) // 2 * ones, side * ones, config.size, config.shape[0])
    x0, y0, x1, y1 = boxes.astype(float).T
    longer = np.where(present, np.maximum(x1 - x0, y1 - y0), 0)
    seen = _running_max(longer, config.reach_frames)
    seen = np.interp(np.arange(len(boxes)), np.nonzero(seen)[0], seen[seen > 0])
    area = np.where(present, (x1 - x0) * (y1 - y0), 0) / seen**2
    weight = area**4 + 1e-9 * present
    centre_x = _smooth((x0 + x1) / 2, weight, config.smooth_frames)
    centre_y = _smooth((y0 + y1) / 2, weight, config.smooth_frames)
    side = config.enlarge * _smooth(seen, np.ones(len(boxes)), config.smooth_frames)
    # The box itself plus a rim of a twelfth must fit, also where the object jumps.
    reach = np.stack([centre_x - x0, x1 - centre_x, centre_y - y0, y1 - centre_y]).max(axis=0)
    side = np.maximum(np.maximum(side, np.where(present, 2 * reach * 7 / 6, 0)), 32)
    side = np.ceil(_running_max(side, 1))
    return Windows(np.round(centre_x - side / 2), np.round(centre_y - side / 2), side, config.size)


def _running_max(values: Spans, reach: int) -> Spans:
    padded = np.pad(values, reach, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=-1)


def _smooth(values: Spans, weight: Spans, width: float) -> Spans:
    """Smooth by straight lines fitted around each frame (Gaussian weights), so that steady motion is kept as it is."""
    result = np.empty(len(values))
    for i in range(len(values)):
        spread = width
        while True:
            # Farther frames weigh less than a millionth, and a shot may be hours long.
            first, last = max(i - int(6 * spread), 0), i + int(6 * spread) + 1
            t = np.arange(first, min(last, len(values)))
            local = weight[first:last] * np.exp(-0.5 * ((t - i) / spread) ** 2)
            # Where nothing is seen nearby, the span widens until something is.
            if local.sum() > 0.5 or spread > 4 * len(values):
                break
            spread *= 2
        near = values[first:last]
        local = local / max(local.sum(), 1e-30)
        mean_t, mean_v = (local * t).sum(), (local * near).sum()
        variance = (local * (t - mean_t) ** 2).sum()
        slope = (local * (t - mean_t) * (near - mean_v)).sum() / (variance + 1)
        result[i] = mean_v + slope * np.clip(i - mean_t, -spread, spread)
    return result


def window_box(windows: Windows, frame: int) -> tuple[int, int, int, int]:
    """Return the window as whole pixels x0 y0 x1 y1 (may reach outside the frame)."""
    x0, y0 = int(windows.left[frame]), int(windows.top[frame])
    return x0, y0, x0 + int(windows.side[frame]), y0 + int(windows.height[frame])


def cut(picture: np.ndarray, windows: Windows, frame: int) -> np.ndarray:
    """Copy one frame's window out of a picture (h, w, 3) or a mask (h, w) at native resolution, (height, side, ...).

    Outside the frame a picture repeats its border and a mask is False.
    """
    h, w = picture.shape[:2]
    x0, y0, x1, y1 = window_box(windows, frame)
    inner = picture[min(max(y0, 0), h) : max(y1, 0), min(max(x0, 0), w) : max(x1, 0)]
    above, left = max(min(-y0, y1 - y0), 0), max(min(-x0, x1 - x0), 0)
    pads = [(above, y1 - y0 - above - inner.shape[0]), (left, x1 - x0 - left - inner.shape[1])]
    if not any(a or b for a, b in pads):
        return inner.copy()
    mode = "edge" if picture.ndim == 3 and inner.size else "constant"
    return np.pad(inner, pads + [(0, 0)] * (picture.ndim - 2), mode=mode)


def to_working(cuts: Sequence[np.ndarray], shape: int | tuple[int, int]) -> Float[torch.Tensor, "t c h w"]:
    """Resample cut windows to the working size, the side of a square or (h, w), with anti-aliasing.

    Pictures become colours in [0, 1]; masks the covered share of each working pixel, one channel.
    """
    shape = (shape, shape) if isinstance(shape, int) else shape
    channels = cuts[0].shape[2] if cuts[0].ndim == 3 else 1
    result = torch.empty(len(cuts), channels, *shape)
    for picture, part in zip(cuts, result, strict=True):
        part.copy_(_resample(picture, shape))
    return result


def _resample(picture: np.ndarray, shape: tuple[int, int]) -> torch.Tensor:
    # Resampled as floats, so that all kinds of input give the same; brought to [0, 1] when it has become small.
    most = largest(picture.dtype)
    # Networks know no light above white.
    picture = np.minimum(picture, np.float32(1)) if picture.dtype.kind == "f" else picture.astype(np.float32)
    if picture.shape[:2] != shape:
        # The mean over each working pixel's area where it shrinks, which leaves no alias.
        method = cv2.INTER_AREA if picture.shape[0] > shape[0] else cv2.INTER_LINEAR
        picture = cv2.resize(picture, (shape[1], shape[0]), interpolation=method)
    return torch.from_numpy(picture.reshape(*shape, -1).transpose(2, 0, 1) / np.float32(most))


def box_of(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    """Return the box x0 y0 x1 y1 (end exclusive) around a mask; all 0 for an empty one."""
    x0, y0, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return x0, y0, x0 + width, y0 + height


# Windows have sizes of their own, so their sides bind no axis.
_Cut = Shaped[np.ndarray, "_ _ 3"]
_CutMask = Bool[np.ndarray, "_ _"]


@dataclass(frozen=True)
class ObjectClip:
    """One object, in a run of t frames without a cut: the native pixels of its windows, (height, side)."""

    windows: Windows  # they may reach outside the frame
    size: tuple[int, int]  # (h, w) of the whole frames
    frames: Sequence[_Cut]  # uint8, uint16 or float32 in [0, peak]; outside the frame the border repeats
    visible: Sequence[_CutMask]  # outside the frame False, as all masks
    amodal: Sequence[_CutMask] | None = None  # of the whole object where the user gives them
    occluder: Sequence[_CutMask] | None = None  # of what is in front where the user gives them
    peak: float = 1.0  # the brightest that float frames may be; what is above 1 is fetched, never invented
    place: Place | None = None  # in the shot of which this is a part; None: it is all of it
    seam: int = 0  # native pixels of the visible part, along the hidden one, that are made anew with it

    def __len__(self) -> int:
        return len(self.frames)

    def cut_time(self, first: int, last: int) -> ObjectClip:
        """Return the frames first..last-1, as a clip by itself."""
        part = slice(first, last)
        amodal, occluder = (None if masks is None else masks[part] for masks in (self.amodal, self.occluder))
        shown = self.frames[part], self.visible[part]
        return ObjectClip(self.windows[part], self.size, *shown, amodal, occluder, self.peak, seam=self.seam)


@dataclass(frozen=True)
class SoftMask:
    """How sure a pixel is the object's, 0 to 255, in a window of native pixels that lies wholly inside the frame."""

    left: int
    top: int
    values: UInt8[np.ndarray, "_ _"]


@dataclass(frozen=True)
class CompletedBox:
    """The completed object in one frame: a box of native pixels that lies wholly inside the frame.

    The box holds all of the amodal mask; it has no pixels (shape (0, 0)) where the object is not there.
    """

    left: int  # column of the box in the frame
    top: int  # row of the box in the frame
    amodal: Mask  # the whole object
    occluded: Mask  # `amodal` without `visible`, and the clip's seam: the only pixels that a paste may change
    missing: Mask  # the part of `occluded` that was invented
    colours: Frame  # the input, of its dtype, with the occluded pixels replaced
    confidence: UInt8[np.ndarray, "h w"]  # 255 where visible, 0 where missing, between where propagated
    # Completed flow to the next frame and to the one before, native pixels, where it was asked for and there is one.
    forward: Float[np.ndarray, "h w 2"] | None = None
    backward: Float[np.ndarray, "h w 2"] | None = None
    soft: SoftMask | None = None  # how sure each pixel around is the object's, where it was asked for

    @property
    def rows(self) -> slice:
        """The box's rows in the frame."""
        return slice(self.top, self.top + self.amodal.shape[0])

    @property
    def columns(self) -> slice:
        """The box's columns in the frame."""
        return slice(self.left, self.left + self.amodal.shape[1])


def paste(frame: Frame, boxes: Sequence[CompletedBox]) -> Frame:
    """Compose completed objects into a copy of a frame; only pixels occluded in some box can change.

    The boxes are in depth order, the front-most first. A hidden pixel is shown unless a box before it in the order
    covers it: what lies in front stays in front.
    """
    result = frame.copy()
    for box, show in _shown(frame.shape[:2], boxes):
        result[box.rows, box.columns][show] = box.colours[show]
    return result


def pasted_pixels(size: tuple[int, int], boxes: Sequence[CompletedBox]) -> tuple[Frame, Mask]:
    """Return the colours that `paste` puts into a frame (h, w), 0 elsewhere, and where it does; of one box at least."""
    colours, part = np.zeros((*size, 3), boxes[0].colours.dtype), np.zeros(size, bool)
    for box, show in _shown(size, boxes):
        colours[box.rows, box.columns][show] = box.colours[show]
        part[box.rows, box.columns] |= show
    return colours, part


def _shown(size: tuple[int, ...], boxes: Sequence[CompletedBox]) -> Iterator[tuple[CompletedBox, Mask]]:
    """Return with each box which of its pixels come into the picture."""
    covered = np.zeros(size, bool)
    for box in boxes:
        taken = covered[box.rows, box.columns]
        yield box, box.occluded & ~taken
        taken |= box.amodal


def cut_clip(
    frames: Sequence[Frame],
    visible: Sequence[Mask],
    amodal: Sequence[Mask] | None = None,
    occluder: Sequence[Mask] | None = None,
    config: WindowConfig = WindowConfig(),
) -> ObjectClip:
    """Fit windows to an object, the whole of it where `amodal` is given, and cut them out of whole frames.

    Raises:
        ValueError: nothing is visible in any frame, or the frames are smaller than 32 pixels.
    """
    h, w = frames[0].shape[:2]
    check_object((h, w), any(mask.any() for mask in visible))
    whole = visible if amodal is None else [a | v for a, v in zip(amodal, visible, strict=True)]
    windows = fit_windows(np.array([box_of(mask) for mask in whole]), config)

    def every(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [cut(picture, windows, i) for i, picture in enumerate(pictures)]

    cut_out = every(frames), every(visible)
    front = None if occluder is None else every(occluder)
    return ObjectClip(windows, (h, w), *cut_out, None if amodal is None else every(amodal), front)


def check_object(size: tuple[int, int], seen: bool) -> None:
    """Refuse (ValueError) frames of a `size` (h, w) below 32 pixels, and an object that is not `seen` in any."""
    h, w = size
    if min(h, w) < 32:
        raise ValueRefusal(f"the frames are {w}x{h}", "they must be at least 32x32", "enlarge them first")
    if not seen:
        raise ValueRefusal(
            "visible marks no pixel in any frame", "it must mark the object in at least one", "check the mask"
        )
