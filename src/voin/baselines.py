"""Methods to compare with, behind the pipeline's signature: fills without motion, and shapes without pixels.

Two settings: with `amodal` the whole mask is known and only pixels are completed; without it the shape is completed,
too. Only the object's own visible pixels are ever used to fill (paper 3.3: hidden regions get no background colours).
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8

from voin.clip import Frames, Masks, check_clip, to_kind
from voin.methods import STAGES, load
from voin.pipeline import Completion

Stack = Bool[np.ndarray, "t h w"]
Pictures = UInt8[np.ndarray, "t h w 3"]
_MARGIN = 2  # unknown pixels put around a picture that is inpainted


@runtime_checkable
class Method(Protocol):
    """What can be evaluated; `voin.pipeline.Inpainter` is one.

    Two more attributes are looked at where they exist: `content` (False: it completes the shape alone, so no pixels are
    judged) and `settings()` (what the result depends on, as JSON can hold it: other settings are evaluated anew).
    """

    name: str

    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        *,
        amodal: Masks | None = None,
        occluder: Masks | None = None,
        category: str | None = None,
    ) -> Completion:
        """Complete the object; see `voin.pipeline.Inpainter.__call__`."""
        ...


class _ShapeRow(ABC):
    """A method that completes the shape alone: the frames come back unchanged."""

    content = False

    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        *,
        amodal: Masks | None = None,
        occluder: Masks | None = None,
        category: str | None = None,
    ) -> Completion:
        """Give the whole mask that the class names; `amodal`, `occluder` and `category` are not used."""
        del amodal, occluder, category
        check_clip(frames, visible)
        seen = visible > 0.5
        return _completion(frames, seen, self._whole(seen), frames.clone(), torch.zeros_like(visible))

    @abstractmethod
    def _whole(self, seen: torch.Tensor) -> torch.Tensor:
        """Give whole masks for visible ones, both (b, t, 1, h, w) bool."""
        ...


class VisibleShape(_ShapeRow):
    """Completes nothing: the whole object is what is seen of it."""

    name = "visible"

    def _whole(self, seen: torch.Tensor) -> torch.Tensor:
        return seen


class HullShape(_ShapeRow):
    """Takes each frame's convex hull of the visible mask for the whole object; fills nothing."""

    name = "hull"

    def _whole(self, seen: torch.Tensor) -> torch.Tensor:
        return _hulls(seen)


class _Fill(ABC):
    """A method that paints the hidden pixels of one clip after the other; its shape is given, or the convex hull."""

    content = True

    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        *,
        amodal: Masks | None = None,
        occluder: Masks | None = None,
        category: str | None = None,
    ) -> Completion:
        """Fill the hidden part; see the class. `occluder` and `category` are not used.

        Args:
            frames: (b, t, 3, h, w) in [0, 1].
            visible: (b, t, 1, h, w); above 0.5 the object is visible.
            amodal: (b, t, 1, h, w), where the whole object is known; else each frame's convex hull of `visible`.
            occluder: not used.
            category: not used.

        Raises:
            ValueError: a tensor has a wrong shape, dtype or range, or a clip no visible pixel.
        """
        del occluder, category
        check_clip(frames, visible)
        if amodal is not None:
            check_clip(frames, amodal, "amodal")
        seen = visible > 0.5
        whole = _hulls(seen) if amodal is None else (amodal > 0.5) | seen
        filled, trust = frames.clone(), torch.zeros_like(visible)
        for b in range(len(frames)):
            # One by one: as floats they take much memory.
            pictures = np.stack(
                [to_kind(x.float().permute(1, 2, 0).cpu().numpy(), np.dtype(np.uint8)) for x in frames[b]]
            )
            known, hidden = seen[b, :, 0].cpu().numpy(), (whole & ~seen)[b, :, 0].cpu().numpy()
            if not known.any():
                raise ValueError(
                    "visible has no pixel in a clip; a fill needs some of the object's own; leave such a clip out"
                )
            painted, confidence = self._paint(pictures, known, hidden)
            colours = torch.from_numpy(painted).permute(0, 3, 1, 2).to(frames).div_(255)
            filled[b] = torch.where((whole & ~seen)[b], colours, frames[b])
            trust[b, :, 0] = torch.from_numpy(confidence).to(trust)
        return _completion(frames, seen, whole, filled, trust)

    @abstractmethod
    def _paint(self, pictures: Pictures, known: Stack, hidden: Stack) -> tuple[Pictures, np.ndarray]:
        """Give pictures with `hidden` painted, and how sure that is, (t, h, w) in [0, 1]: 0 is invented."""
        ...


class Telea(_Fill):
    """Per-frame fast-marching inpainting (Telea 2004, `cv2.inpaint`); a frame that shows no pixel of the object gets
    the mean colour of the nearest one that does.

    Args:
        radius: neighbourhood that a pixel is made from.
    """

    name = "telea"

    def __init__(self, radius: int = 3) -> None:
        self.radius = radius

    def settings(self) -> dict[str, Any]:
        """Tell what the result depends on."""
        return {"radius": self.radius}

    def _paint(self, pictures: Pictures, known: Stack, hidden: Stack) -> tuple[Pictures, np.ndarray]:
        return paint_frames(pictures, known, hidden, self.radius), np.zeros(hidden.shape, np.float32)


class Copy(_Fill):
    """Takes a hidden pixel from the frame nearest in time that shows the object at that very position: no motion.
    Of two frames as near, the earlier. What no frame shows is painted in as `Telea` does.

    Args:
        radius: see `Telea`.
    """

    name = "copy"

    def __init__(self, radius: int = 3) -> None:
        self.radius = radius

    def settings(self) -> dict[str, Any]:
        """Tell what the result depends on."""
        return {"radius": self.radius}

    def _paint(self, pictures: Pictures, known: Stack, hidden: Stack) -> tuple[Pictures, np.ndarray]:
        source = nearest_showing(known)
        found = hidden & (source >= 0)
        frame, row, column = np.nonzero(found)
        painted = pictures.copy()
        painted[found] = pictures[source[found], row, column]
        trust = np.zeros(hidden.shape, np.float32)
        trust[found] = 1 / (1 + np.abs(source[found] - frame))
        return paint_frames(painted, known | found, hidden & ~found, self.radius), trust


def paint_frames(pictures: Pictures, known: Stack, hole: Stack, radius: int) -> Pictures:
    """Inpaint `hole` in each frame from that frame's `known` pixels alone; nothing else can leak in.

    A frame without a known pixel gets the mean colour of the nearest frame with one, of which there must be some.
    """
    painted = pictures.copy()
    counts = known.sum(axis=(1, 2))
    for i in np.flatnonzero(hole.any(axis=(1, 2))):
        if counts[i] == 0:
            some = np.flatnonzero(counts)
            other = some[np.abs(some - i).argmin()]
            painted[i][hole[i]] = (pictures[other][known[other]].mean(axis=0) + 0.5).astype(np.uint8)
            continue
        x, y, w, h = cv2.boundingRect((hole[i] | known[i]).astype(np.uint8))
        box = slice(y, y + h), slice(x, x + w)
        # All that is not known is inpainted along with the hole, and is not for use: so it cannot be a source. With a
        # margin, since OpenCV takes slopes along the edge of the picture from unknown pixels, too.
        unknown = np.pad((~known[i][box]).astype(np.uint8), _MARGIN, constant_values=1)
        picture = np.pad(pictures[i][box], ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0)))
        result = cv2.inpaint(picture, unknown, radius, cv2.INPAINT_TELEA)[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        painted[i][box][hole[i][box]] = result[hole[i][box]]
    return painted


def nearest_showing(known: Stack) -> Int[np.ndarray, "t h w"]:
    """Give for each pixel the frame nearest in time in which it is `known` (the earlier of two), or -1."""
    t = len(known)
    index = np.arange(t).reshape(-1, 1, 1)
    before = np.maximum.accumulate(np.where(known, index, -t), axis=0)
    after = np.minimum.accumulate(np.where(known, index, 2 * t)[::-1], axis=0)[::-1]
    nearest = np.where(index - before <= after - index, before, after)
    return np.where((nearest >= 0) & (nearest < t), nearest, -1)


def hull(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Fill the convex hull of all pixels that are set; it holds `mask`."""
    points = cv2.findNonZero(mask.astype(np.uint8))
    if points is None:
        return mask.copy()
    filled = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(points), 1)
    return (filled > 0) | mask


def _hulls(seen: torch.Tensor) -> torch.Tensor:
    """Hull each frame of (b, t, 1, h, w) bool."""
    pictures = seen.flatten(0, 2).cpu().numpy()
    return torch.from_numpy(np.stack([hull(picture) for picture in pictures])).to(seen.device).view(seen.shape)


def _completion(
    frames: torch.Tensor, seen: torch.Tensor, whole: torch.Tensor, filled: torch.Tensor, trust: torch.Tensor
) -> Completion:
    """Put a completion together out of bool masks and the confidence of hidden pixels."""
    occluded = whole & ~seen
    return Completion(
        frames=filled,
        amodal=whole.to(frames),
        occluded=occluded.to(frames),
        missing=(occluded & (trust <= 0)).to(frames),
        confidence=torch.where(occluded, trust, seen.to(trust)),
    )


BASELINES: dict[str, Callable[[], Method]] = {
    "telea": Telea,
    "copy": Copy,
    "visible": VisibleShape,
    "hull": HullShape,
}


# Methods of `voin.load`: name -> the stages that do without their network, None for all; so a table can say what each
# network is worth.
LOADED: dict[str, tuple[str, ...] | None] = {
    "voin": (),
    **{f"voin-classical-{stage}": (stage,) for stage in STAGES},
    "classical": None,
}


def load_method(
    name: str,
    *,
    model: str | Path | None = None,
    flow: str = "dis",
    raft_weights: Path | None = None,
    device: str = "auto",
) -> Callable[..., Completion]:
    """Make a method by name: a baseline, one of `voin.load`, or your own as `module:attribute`.

    Args:
        name: a key of `BASELINES` or of `LOADED`, or `module:attribute`, found in the working folder or where Python
            finds modules. A class is called without arguments; anything else is the method itself.
        model: for `voin` and its variants; see `voin.load`.
        flow: for the methods of `voin.load`; see there.
        raft_weights: likewise.
        device: likewise.

    Raises:
        ValueError: no such method or model.
        OSError: weights that are not there or cannot be read.
        ImportError: no such module.
    """
    if name in BASELINES:
        return BASELINES[name]()
    if name in LOADED:
        exchanged = LOADED[name]
        if exchanged is None:
            return load("classical", flow=flow, raft_weights=raft_weights, device=device)
        return load("voin", model=model, classical=exchanged, flow=flow, raft_weights=raft_weights, device=device)
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        known = ", ".join([*BASELINES, *LOADED])
        raise ValueError(f"the method is {name!r}; it must be one of {known}, or module:attribute; choose one of these")
    return _imported(module, attribute)


def _imported(module: str, attribute: str) -> Callable[..., Completion]:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does; the program `voin` does not
    try:
        found: Any = getattr(import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0] and error.name != module:
            raise  # what the module itself lacks
        raise ImportError(
            f"there is no module {module!r}; {module}.py must lie in this folder or be installed; "
            "run the command where it lies"
        ) from None
    if not callable(found):
        raise ValueError(
            f"{module} has no method {attribute!r}; it must be a class or a callable with the pipeline's signature; "
            "check its name"
        )
    method: Any = found() if isinstance(found, type) else found
    return method
