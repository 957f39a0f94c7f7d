"""The whole method, on one page: window, motion, shape, flow, propagation, blend, fill, paste.

Read this file first. `Inpainter` holds the stages as parts; trained networks and classical parts have the same
signatures and can stand in for each other. `voin.load` makes one (`load.py`); calling it works on tensors,
`voin.complete` works on files.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from voin.core.morphology import grow, shrink
from voin.core.types import Flows, Frames, Masks, check_clip
from voin.method.flow.paint_over import paint_over
from voin.method.motion import Motion
from voin.method.paste import add_flow, correction_maps, make_patch, native_masks
from voin.method.propagation.blend import BlendConfig
from voin.method.propagation.propagate import Propagated, propagate
from voin.method.propagation.tracks import PropagationConfig
from voin.method.window import CompletedBox, ObjectClip, WholeFrame, WindowConfig, cut_clip, to_working


@runtime_checkable
class Shape(Protocol):
    """Shape completion (paper 3.1)."""

    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        allowed: Masks,
        forward: Flows,
        backward: Flows,
        category: str | None,
    ) -> Masks:
        """Give the amodal mask (b, t, 1, h, w) in [0, 1]; hidden pixels can lie only where `allowed` is 1."""
        ...


@runtime_checkable
class Flow(Protocol):
    """Flow completion (paper 3.2)."""

    def __call__(
        self,
        frames: Frames,
        forward: Flows,
        backward: Flows,
        visible: Masks,
        amodal: Masks,
        given: Bool[Tensor, " b"] | None = None,
    ) -> tuple[Flows, Flows]:
        """Complete both flows inside the amodal mask; `given` says whose masks are known, not completed."""
        ...


@runtime_checkable
class Fill(Protocol):
    """Filling of what is missing (paper 3.3.1)."""

    def __call__(
        self, frames: Frames, visible: Masks, amodal: Masks, confidence: Masks, category: str | None
    ) -> Frames:
        """Fill hidden pixels whose confidence is 0; others may be mended."""
        ...


@dataclass(frozen=True)
class PipelineConfig:
    """The numbers of the pipeline itself; the stages hold their own.

    Args:
        window: how windows follow the object.
        propagation: when tracks are believed.
        blend: how propagated pixels are fitted in.
        paint: paint the hidden part over smoothly before motion is estimated, so that the occluder's stays out. DIS
            gains by it; RAFT, which keeps motions apart by itself, is put off.
        whole_frame: work on whole frames, as the paper does; of `window` only the size counts then.
    """

    window: WindowConfig = field(default_factory=WindowConfig)
    propagation: PropagationConfig = field(default_factory=PropagationConfig)
    blend: BlendConfig = field(default_factory=BlendConfig)
    paint: bool = True
    whole_frame: bool = False

    def window_of(self, frame: tuple[int, int]) -> WindowConfig:
        """Say how windows lie in frames of size (h, w)."""
        return WholeFrame(self.window.size, frame=frame) if self.whole_frame else self.window


@dataclass(frozen=True)
class Completion:
    """What comes back for a clip of tensors, on the clip's own grid and device.

    Attributes:
        frames: (b, t, 3, h, w); equal to the input but where `occluded`.
        amodal: (b, t, 1, h, w), 0 or 1; holds `visible`.
        occluded: (b, t, 1, h, w), 0 or 1; `amodal` without `visible`.
        missing: (b, t, 1, h, w), 0 or 1; the part of `occluded` that was invented.
        confidence: (b, t, 1, h, w) in [0, 1]; 1 where visible, 0 where missing or not the object.
        forward: (b, t-1, 2, h, w), the completed motion around the object, 0 elsewhere; None where a method has none.
        backward: (b, t-1, 2, h, w), likewise.
    """

    frames: Frames
    amodal: Masks
    occluded: Masks
    missing: Masks
    confidence: Masks
    forward: Flows | None = None
    backward: Flows | None = None


@dataclass(frozen=True)
class _View:
    """One object's clip on the working grid."""

    frames: Frames
    visible: Masks
    amodal: Masks  # 0 or 1
    hidden: Masks  # 0 or 1


class Inpainter:
    """Shows the hidden part of objects: the stages of the method, put together.

    Args:
        shape: completes the mask.
        flow: completes the motion.
        fill: invents what no frame shows.
        motion: estimates the flow that pixels follow.
        coarse_motion: estimates flow that need not be fine: what shapes are completed by, and where nothing is hidden.
        config: numbers of the pipeline.
        device: where the stages run.
        name: what to call this method in tables and in run.json.
        model: where its networks come from, if it has some; for run.json.
    """

    def __init__(
        self,
        shape: Shape,
        flow: Flow,
        fill: Fill,
        motion: Motion,
        coarse_motion: Motion,
        config: PipelineConfig = PipelineConfig(),
        device: torch.device | str = "cpu",
        name: str = "classical",
        model: str | None = None,
    ) -> None:
        self.shape, self.flow, self.fill, self.motion, self.coarse_motion = shape, flow, fill, motion, coarse_motion
        self.config, self.device, self.name, self.model = config, torch.device(device), name, model

    @torch.inference_mode()
    def complete_object(
        self,
        clip: ObjectClip,
        wanted: range,
        *,
        category: str | None = None,
        with_flow: bool = False,
        clock: dict[str, float] | None = None,
    ) -> list[CompletedBox]:
        """Complete one object in the `wanted` frames of a clip; the other frames help.

        Args:
            clip: the object's native windows.
            wanted: frames to complete; consecutive.
            category: of the object, where it is known.
            with_flow: put the completed flow into the patches.
            clock: seconds per stage are added here.
        """
        clock = {} if clock is None else clock
        size = self.config.window.size
        frames = to_working(clip.frames, size)[None].to(self.device)
        visible = to_working(clip.visible, size)[None].to(self.device)
        with _timed(clock, "motion"):
            forward, backward = self.coarse_motion(frames)
        if clip.amodal is None:
            with _timed(clock, "shape"):
                allowed = torch.ones_like(visible)
                if clip.occluder is not None:
                    allowed = to_working(clip.occluder, size)[None].to(self.device)
                amodal = self.shape(frames, visible, allowed, forward, backward, category)
        else:
            amodal = to_working([a | v for a, v in zip(clip.amodal, clip.visible, strict=True)], size)[None]
        view = _view(frames, visible, amodal.to(self.device), opened=clip.amodal is None)
        masks = {i: native_masks(clip, view.amodal, view.hidden, i) for i in wanted}
        if not any(occluded.any() for _, occluded in masks.values()):
            return [make_patch(clip, i, *masks[i]) for i in wanted]
        with _timed(clock, "motion"):
            forward, backward = self._object_motion(view, forward, backward)
        with _timed(clock, "flow"):
            given = torch.tensor([clip.amodal is not None])
            forward, backward = self.flow(view.frames, forward, backward, view.visible, view.amodal, given)
        with _timed(clock, "propagation"):
            found = self._propagate(view, forward, backward, wanted)
        with _timed(clock, "fill"):
            part = slice(wanted.start, wanted.stop)
            frames, visible, amodal = (x[:, part] for x in (view.frames, view.visible, view.amodal))
            filled = self.fill(found.place(frames), visible, amodal, found.confidence, category)
        with _timed(clock, "propagation"):
            maps = correction_maps(found.picture, filled, found.confidence, amodal)
            patches = [make_patch(clip, i, *masks[i], found.tracks, maps[i - wanted.start]) for i in wanted]
        if with_flow:
            patches = [add_flow(patch, clip, i, forward, backward) for patch, i in zip(patches, wanted, strict=True)]
        return patches

    def _object_motion(self, view: _View, forward: Flows, backward: Flows) -> tuple[Flows, Flows]:
        """Estimate flow anew where something is hidden."""
        touched = view.hidden[0].flatten(1).any(dim=1)
        again = (touched[1:] | touched[:-1]).nonzero()[:, 0]
        frames = self._paint(view, touched.nonzero()[:, 0]) if self.config.paint else view.frames[0]
        there, back = self.motion(torch.stack([frames[again], frames[again + 1]], dim=1))
        forward, backward = forward.clone(), backward.clone()
        forward[0, again], backward[0, again] = there[:, 0], back[:, 0]
        return forward, backward

    def _paint(self, view: _View, here: Int[Tensor, " n"]) -> Float[Tensor, "t 3 h w"]:
        """Paint the hidden part over in the frames `here`, with the object's own colours."""
        frames = view.frames[0].clone()
        frames[here] = paint_over(frames[here], view.visible[0, here], view.amodal[0, here])
        return frames

    def _propagate(self, view: _View, forward: Flows, backward: Flows, wanted: range) -> Propagated:
        """Fetch hidden pixels from other frames (paper 3.3)."""
        config = self.config
        masks = (view.visible, view.amodal, view.hidden)
        return propagate(view.frames, *masks, forward, backward, wanted, config.propagation, config.blend)

    def __call__(
        self,
        frames: Frames,
        visible: Masks,
        *,
        amodal: Masks | None = None,
        occluder: Masks | None = None,
        category: str | None = None,
    ) -> Completion:
        """Complete the object in clips of tensors.

        Args:
            frames: (b, t, 3, h, w) in [0, 1].
            visible: (b, t, 1, h, w); above 0.5 the object is visible.
            amodal: (b, t, 1, h, w), where the whole object is known.
            occluder: (b, t, 1, h, w): only there can the object be hidden.
            category: of the object, where it is known.

        Raises:
            ValueError: a tensor has a wrong shape, dtype or range, a clip no visible pixel, or frames are too small.
        """
        check_clip(frames, visible)
        for name, extra in (("amodal", amodal), ("occluder", occluder)):
            if extra is not None:
                check_clip(frames, extra, name)
        result = frames.clone()
        masks = [torch.zeros_like(visible) for _ in range(4)]
        b, t, _, h, w = frames.shape
        flows = [frames.new_zeros(b, t - 1, 2, h, w) for _ in range(2)]
        for i, j, patch in self._patches(frames, visible, amodal, occluder, category):
            change = torch.from_numpy(patch.occluded).to(frames.device)
            colours = torch.from_numpy(patch.colours).permute(2, 0, 1).to(frames)
            box = result[i, j, :, patch.rows, patch.columns]
            box.copy_(torch.where(change, colours, box))
            values = (patch.amodal, patch.occluded, patch.missing, patch.confidence / 255.0)
            for mask, value in zip(masks, values, strict=True):
                mask[i, j, 0, patch.rows, patch.columns] = torch.from_numpy(value).to(mask)
            for flow, value, link in zip(flows, (patch.forward, patch.backward), (j, j - 1), strict=True):
                if value is not None:
                    flow[i, link, :, patch.rows, patch.columns] = torch.from_numpy(value).permute(2, 0, 1).to(flow)
        return Completion(result, *masks, *flows)

    def _patches(
        self, frames: Frames, visible: Masks, amodal: Masks | None, occluder: Masks | None, category: str | None
    ) -> Iterator[tuple[int, int, CompletedBox]]:
        """Complete every clip of a batch; yields (clip, frame, patch)."""
        for i in range(len(frames)):
            pictures = [np.ascontiguousarray(x) for x in frames[i].float().permute(0, 2, 3, 1).cpu().numpy()]
            seen, whole, front = (
                None if x is None else [m > 0.5 for m in x[i, :, 0].cpu().numpy()] for x in (visible, amodal, occluder)
            )
            assert seen is not None
            window = self.window_of((frames.shape[-2], frames.shape[-1]))
            clip = cut_clip(pictures, seen, whole, front, window)
            patches = self.complete_object(clip, range(len(clip)), category=category, with_flow=True)
            yield from ((i, j, patch) for j, patch in enumerate(patches))

    def window_of(self, frame: tuple[int, int]) -> WindowConfig:
        """Return how windows lie in frames of size (h, w)."""
        return self.config.window_of(frame)

    def settings(self) -> dict[str, Any]:
        """Tell what this inpainter is made of, as JSON can hold it."""
        stages = {
            "shape": self.shape,
            "flow": self.flow,
            "fill": self.fill,
            "motion": self.motion,
            "coarse_motion": self.coarse_motion,
        }
        return {
            "method": self.name,
            "model": self.model,
            "device": str(self.device),
            "pipeline": asdict(self.config),
            **{name: {"kind": type(stage).__name__, **describe(stage)} for name, stage in stages.items()},
        }


def describe(stage: object) -> dict[str, Any]:
    """Give the numbers of a stage: its plain attributes, and the fields of its configs, its networks' among them."""
    own, found = getattr(stage, "config", None), {}
    for name, value in getattr(stage, "__dict__", {}).items():
        config = value if is_dataclass(value) else getattr(value, "config", None)
        if isinstance(value, (int, float, str)):
            found[name] = value
        elif is_dataclass(config) and not isinstance(config, type) and (name == "config" or config is not own):
            found |= asdict(config) if name == "config" else {name: asdict(config)}
    return found


def _view(frames: Frames, visible: Masks, amodal: Masks, opened: bool) -> _View:
    """Part the object into seen and hidden; specks along its outline, which completed masks have, are not hidden."""
    seen = visible[0, :, 0] > 0.5
    hidden = (amodal[0, :, 0] > 0.5) & ~seen
    if opened:
        hidden = grow(shrink(hidden, 1), 2) & hidden
    whole = (hidden | seen).to(visible)[None, :, None]
    return _View(frames, visible, whole, hidden.to(visible)[None, :, None])


@contextmanager
def _timed(clock: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    clock[stage] = clock.get(stage, 0.0) + time.perf_counter() - start
