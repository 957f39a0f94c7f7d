"""The whole method, on one page: window, motion, shape, flow, propagation, fill, paste.

Read this file first; `Inpainter.complete_object` is the paper. The stages are parts (`stages.py`): trained networks and
classical parts have the same signatures and can stand in for each other. `voin.load` puts them together (`load.py`);
calling an `Inpainter` works on tensors, `voin.complete` works on files.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voin.core.morphology import grow, shrink
from voin.core.system import trim_heap
from voin.core.types import Flows, Frames, Masks, check_clip
from voin.method.flow.paint_over import paint_over
from voin.method.memory import MOTION, Memory, Place, Stretch, join_flows, part_flows
from voin.method.parts import complete_parts
from voin.method.paste import add_flow, make_box, native_masks, soft_mask
from voin.method.propagation.propagate import propagate
from voin.method.reach import Reach, pairs_of
from voin.method.stages import ClipView, Fill, Flow, Motion, Propagation, Shape, Shown
from voin.method.window import CompletedBox, ObjectClip, WholeFrame, WindowConfig, cut_clip, to_working

_BATCH = 16  # frames or pairs of frames whose motion is estimated at a time


@dataclass(frozen=True)
class PipelineConfig:
    """The numbers of the pipeline itself; the stages hold their own."""

    window: WindowConfig = field(default_factory=WindowConfig)
    # Paint the hidden part over smoothly before motion is estimated, so that the occluder's stays out. DIS gains by it;
    # RAFT, which keeps motions apart by itself, is put off.
    paint: bool = True
    # Work on whole frames, as the paper does; of `window` only the size counts then.
    whole_frame: bool = False
    # What is looked for in other frames; the generator was trained to be given it.
    propagation: Propagation = "rated"
    # What is completed has an outline that moves with it; a background has none.
    outlines: bool = True

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the working picture."""
        size = self.window.size
        return WholeFrame(size, frame=(1, 1)).shape if self.whole_frame else (size, size)


@dataclass(frozen=True)
class Completion:
    """What comes back for a clip of tensors, on the clip's own grid and device; masks are 0 or 1."""

    frames: Frames  # equal to the input but where `occluded`
    amodal: Masks  # holds `visible`
    occluded: Masks  # `amodal` without `visible`
    missing: Masks  # the part of `occluded` that was invented
    confidence: Masks  # in [0, 1]; 1 where visible, 0 where missing or not the object
    forward: Flows | None = None  # the completed motion around the object, 0 elsewhere; None where a method has none
    backward: Flows | None = None  # likewise
    amodal_confidence: Masks | None = None  # in [0, 1]; how sure a pixel is the object's, 1 where visible; likewise


class Inpainter:
    """Shows the hidden part of objects: the stages of the method, put together.

    Pixels follow the flow of `motion`; that of `coarse_motion` need not be fine: shapes are completed by it, and it
    stays where nothing is hidden. Tables and run.json call the method `name`, and say which `model` its networks are.
    """

    shares = True  # what it finds in a part of a shot is handed on to the next (memory.py)

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
        with_shape: bool = False,
        clock: dict[str, float] | None = None,
    ) -> list[CompletedBox]:
        """Complete one object in the `wanted` frames, which follow each other, of a clip; the other frames help.

        With flow, the completed motion is in the boxes, too, and with shape how sure it is. Seconds per stage are added
        to the `clock`. What is found of a clip that has a `place` is carried on in the memory there.
        """
        clock = {} if clock is None else clock
        place = clip.place or Place(0, len(clip))
        reach, memory = Reach(place.context), place.memory

        # Window. Not in the paper: a square that follows the object, on a grid of one size (window.py).
        frames, visible = (
            memory.fill(name, place.start, pictures, self._to_grid)
            for name, pictures in (("frames", clip.frames), ("visible", clip.visible))
        )

        # Motion, shape and flow (paper 3.1, 3.2) of all frames around, but for what parts before have found of them.
        near = range(len(clip)) if clip.place is None else place.near(wanted)
        needed = reach.steps(near)
        for step in memory.steps(needed):
            self._find_shape(clip, place, step, frames, visible, category, with_shape, clock)
            if step in needed:
                self._find_flow(place, step, frames, visible, clip.amodal is not None, clock)
        view = _view(memory, near, frames, visible)
        sure = None if memory.sure is None else self._sure(memory.sure[near], clip.occluder is not None)
        following, first = place.start + wanted.stop, near.start - place.start
        memory.forget(reach, following, MOTION)
        del frames, visible

        # From here on frames are those near the wanted ones.
        clip, wanted = clip.cut_time(first, first + len(near)), range(wanted.start - first, wanted.stop - first)
        masks = {i: native_masks(clip, view.amodal, view.hidden, i) for i in wanted}
        soft = {i: soft_mask(clip, sure, i) if with_shape and sure is not None else None for i in wanted}
        if not any(occluded.any() for _, occluded in masks.values()):
            del view
            memory.forget(reach, following)
            return [replace(make_box(clip, i, *masks[i]), soft=soft[i]) for i in wanted]

        # Propagation (paper 3.3): along the completed flow, hidden pixels are found in other frames (propagation/).
        part = slice(wanted.start, wanted.stop)
        with timed(clock, "propagation"):
            found = propagate(view, wanted, self.config.propagation, self.config.outlines)
        around, flows = Shown(view.frames, view.visible), (view.forward, view.backward) if with_flow else None
        frames, visible, amodal = view.frames[:, part], view.visible[:, part], view.amodal[:, part].clone()
        del view  # flow is as large as all pictures, and most often needed no more
        if flows is None:
            memory.forget(reach, following, ("completed",))

        # Fill (paper 3.3.1): what no frame shows is generated (fill/).
        with timed(clock, "fill"):
            placed = found.place(frames)
            tracks, picture, confidence = found.tracks, found.picture, found.confidence
            del found  # its correction is as large as the picture
            filled = self.fill(placed, visible, amodal, confidence, category, around)

        # Paste: back to native pixels; nothing but the hidden part changes (paste.py).
        with timed(clock, "propagation"):
            layers = [x[0].cpu() for x in (picture, filled, confidence, amodal)]
            boxes = [make_box(clip, i, *masks[i], tracks, [x[j] for x in layers]) for j, i in enumerate(wanted)]
            boxes = [replace(box, soft=soft[i]) for box, i in zip(boxes, wanted, strict=True)]
        if flows is not None:
            boxes = [add_flow(box, clip, i, *flows) for box, i in zip(boxes, wanted, strict=True)]
        del around, flows, frames, placed, visible, amodal, filled, tracks, picture, confidence, layers
        memory.forget(reach, following)
        return boxes

    def _find_shape(
        self,
        clip: ObjectClip,
        place: Place,
        step: int,
        frames: Stretch,
        visible: Stretch,
        category: str | None,
        with_shape: bool,
        clock: dict[str, float],
    ) -> None:
        """Complete the masks of a step, and estimate flow anew where the object is hidden."""
        memory, reach = place.memory, Reach(place.context)
        part = reach.shape_of(step, place.length)
        around = reach.around(part, place.length)

        # Motion. Rough optical flow between neighbouring frames (motion.py).
        first = around.start if memory.coarse is None else memory.coarse.stop
        if memory.coarse is None or around.stop - first > 1:
            with timed(clock, "motion"):
                memory.add("coarse", first, join_flows(*self.coarse_motion(frames[range(first, around.stop)])))
        if not part:
            return

        # Shape (paper 3.1): the amodal mask from the visible one (shape/), unless the user gives it.
        if clip.amodal is None:
            with timed(clock, "shape"):
                front = clip.occluder and clip.occluder[around.start - place.start : around.stop - place.start]
                allowed = torch.ones_like(visible[around]) if front is None else self._to_grid(front)
                flows = part_flows(memory.known("coarse")[pairs_of(around)])
                local = range(part.start - around.start, part.stop - around.start)
                amodal = self.shape(frames[around], visible[around], allowed, *flows, category, local)
                amodal = amodal[:, local.start : local.stop]
        else:
            own = slice(part.start - place.start, part.stop - place.start)
            amodal = self._to_grid([a | v for a, v in zip(clip.amodal[own], clip.visible[own], strict=True)])
        if with_shape:
            memory.add("sure", part.start, amodal)
        masks = hidden_part(visible[part], amodal, clip.amodal is None)
        if clip.seam and part:
            scale = clip.windows.scale[part.start - place.start : part.stop - place.start]
            masks = masks[0], widen(*masks, clip.seam / float(scale.mean()))
        for name, mask in zip(("amodal", "hidden"), masks, strict=True):
            memory.add(name, part.start, mask > 0.5)

        # Motion, anew. The pair between two steps by itself: then it plays no part how much was known before.
        with timed(clock, "motion"):
            across = [] if memory.estimated is None else [range(part.start - 1, part.start)]
            for pairs in (*across, pairs_of(part)):
                memory.add("estimated", pairs.start, self._estimate_motion(memory, pairs, frames, visible))

    def _find_flow(
        self, place: Place, step: int, frames: Stretch, visible: Stretch, given: bool, clock: dict[str, float]
    ) -> None:
        """Complete the flow of a step (paper 3.2) inside the amodal mask (flow/)."""
        memory, reach = place.memory, Reach(place.context)
        part = reach.flow_of(step, place.length)
        if not part and memory.completed is not None:
            return
        around = reach.around(part, place.length)
        local = range(part.start - around.start, part.stop - around.start)
        memory.forget_coarse(reach, step)
        with timed(clock, "flow"):
            flows = part_flows(memory.known("estimated")[pairs_of(around)])
            outlines = torch.tensor([given and self.config.outlines])
            shown, seen, amodal = _known(memory, around, frames, visible)[:3]
            flows = self.flow(shown, *flows, seen, amodal, outlines, local)
            completed = join_flows(*(flow[:, local.start : local.stop] for flow in flows))
            del flows, seen, amodal  # before what was known is copied
            trim_heap()
            memory.add("completed", part.start, completed)

    def _sure(self, amodal: Masks, given: bool) -> Masks:
        """Return how sure a mask is that the shape stage made."""
        probability = getattr(self.shape, "probability", None)
        return amodal.clone() if probability is None else probability(amodal, given)

    def _to_grid(self, windows: Any) -> Tensor:
        return to_working(windows, self.config.shape)[None].to(self.device)

    def _estimate_motion(self, memory: Memory, pairs: range, frames: Stretch, visible: Stretch) -> Tensor:
        """Estimate flow anew between frames of which one has a hidden part; elsewhere the rough one stays."""
        result, ends = memory.known("coarse")[pairs].clone(), range(pairs.start, pairs.stop + 1)
        if not pairs:
            return result
        view = [x[0] for x in _known(memory, ends, frames, visible)[:3]]
        touched = memory.known("hidden")[ends][0].flatten(1).any(dim=1)
        for some in (touched[1:] | touched[:-1]).nonzero()[:, 0].split(_BATCH):
            if not len(some):
                break
            both = torch.stack([some, some + 1], dim=1)
            needed, place = both.unique(return_inverse=True)
            pictures = view[0][needed]
            if self.config.paint:
                hidden = touched[needed].nonzero()[:, 0]
                pictures[hidden] = paint_over(*(x[needed[hidden]] for x in view))
            result[:, some] = join_flows(*(flow.transpose(0, 1) for flow in self.motion(pictures[place])))
        return result

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
            frames: in [0, 1].
            visible: above 0.5 the object is visible.
            amodal: where the whole object is known.
            occluder: only there can the object be hidden.
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
        sure = torch.zeros_like(visible)
        b, t, _, h, w = frames.shape
        flows = [frames.new_zeros(b, t - 1, 2, h, w) for _ in range(2)]
        for i in range(b):
            pictures = [np.ascontiguousarray(x) for x in frames[i].float().permute(0, 2, 3, 1).cpu().numpy()]
            seen, whole, front = (
                None if x is None else [mask > 0.5 for mask in x[i, :, 0].cpu().numpy()]
                for x in (visible, amodal, occluder)
            )
            assert seen is not None
            for j, box in self._complete_clip(pictures, seen, whole, front, category):
                place = (slice(None), box.rows, box.columns)
                colours = torch.from_numpy(box.colours).permute(2, 0, 1).to(frames)
                occluded = torch.from_numpy(box.occluded).to(frames.device)
                result[i, j][place] = torch.where(occluded, colours, result[i, j][place])
                values = (box.amodal, box.occluded, box.missing, box.confidence / 255.0)
                for mask, value in zip(masks, values, strict=True):
                    mask[i, j][place] = torch.from_numpy(value).to(mask)
                if soft := box.soft:
                    (rows, columns), values = soft.values.shape, torch.from_numpy(soft.values / 255).to(sure)
                    sure[i, j, :, soft.top : soft.top + rows, soft.left : soft.left + columns] = values
                for flow, value, link in zip(flows, (box.forward, box.backward), (j, j - 1), strict=True):
                    if value is not None:
                        flow[i, link][place] = torch.from_numpy(value).permute(2, 0, 1).to(flow)
        return Completion(result, masks[0], masks[1], masks[2], masks[3], flows[0], flows[1], sure)

    def _complete_clip(
        self,
        pictures: list[np.ndarray],
        visible: list[np.ndarray],
        amodal: list[np.ndarray] | None,
        occluder: list[np.ndarray] | None,
        category: str | None,
    ) -> Iterator[tuple[int, CompletedBox]]:
        """Complete a clip part by part, as files of 8 bits are, and yield each frame's number and box."""
        asked: dict[str, Any] = {"category": category, "with_flow": True, "with_shape": True}
        if not self.shares:
            clip = cut_clip(pictures, visible, amodal, occluder, self.window_of(pictures[0].shape[:2]))
            yield from enumerate(self.complete_object(clip, range(len(clip)), **asked))
            return
        masks = {"amodal": amodal, "occluder": occluder}
        for part, boxes in complete_parts(self, pictures, visible, **masks, **asked, sample_bytes=1):
            yield from zip(part, boxes, strict=True)

    def window_of(self, frame: tuple[int, int]) -> WindowConfig:
        """Return how windows lie in frames of size (h, w)."""
        window = self.config.window
        return WholeFrame(window.size, frame=frame) if self.config.whole_frame else window

    def settings(self) -> dict[str, Any]:
        """Return what this inpainter is made of, as JSON can hold it."""
        stages = {name: getattr(self, name) for name in ("shape", "flow", "fill", "motion", "coarse_motion")}
        return {
            "method": self.name,
            "model": self.model,
            "device": str(self.device),
            "pipeline": asdict(self.config),
            **{name: {"kind": type(stage).__name__, **_describe(stage)} for name, stage in stages.items()},
        }


def hidden_part(visible: Masks, amodal: Masks, completed: bool) -> tuple[Masks, Masks]:
    """Return the whole object and its hidden part, 0 or 1.

    Specks along the outline, which masks have that were completed, are not hidden.
    """
    seen = visible[0, :, 0] > 0.5
    hidden = (amodal[0, :, 0] > 0.5) & ~seen
    if completed:
        hidden = grow(shrink(hidden, 1), 2) & hidden
    return (hidden | seen).to(visible)[None, :, None], hidden.to(visible)[None, :, None]


def widen(amodal: Masks, hidden: Masks, pixels: float) -> Masks:
    """Widen the hidden part within the object by so many pixels of the working grid, one at least.

    Not in the paper, whose masks are exact: at the edge of what hides an object colours mix, by the lens and by motion,
    and masks that are drawn or tracked are a pixel or two aside.
    """
    grown = grow(hidden[0, :, 0] > 0.5, max(round(pixels), 1)) & (amodal[0, :, 0] > 0.5)
    return grown.to(hidden)[None, :, None]


def _known(memory: Memory, near: range, frames: Stretch, visible: Stretch) -> tuple[Frames, Masks, Masks, Masks]:
    """Return pictures and masks of some frames: what is visible of the object, all of it, and what is hidden."""
    shown, seen = frames[near], visible[near]
    amodal, hidden = (memory.known(name)[near].to(shown) for name in ("amodal", "hidden"))
    # Only a seam is both; a copy is as large as all masks.
    both = (hidden > 0.5) & (seen > 0.5)
    return shown, seen.masked_fill(both, 0) if both.any() else seen, amodal, hidden


def _view(memory: Memory, near: range, frames: Stretch, visible: Stretch) -> ClipView:
    """Return all that is known of some frames."""
    flows = part_flows(memory.known("completed")[pairs_of(near)])
    return ClipView(*_known(memory, near, frames, visible), *flows)


def _describe(stage: object) -> dict[str, Any]:
    """List the numbers of a stage: its plain attributes, and the fields of its configs, its networks' among them."""
    own_config, found = getattr(stage, "config", None), {}
    for name, value in getattr(stage, "__dict__", {}).items():
        config = value if is_dataclass(value) else getattr(value, "config", None)
        if isinstance(value, (int, float, str)):
            found[name] = value
        elif is_dataclass(config) and not isinstance(config, type) and (name == "config" or config is not own_config):
            found |= asdict(config) if name == "config" else {name: asdict(config)}
    return found


@contextmanager
def timed(clock: dict[str, float], stage: str) -> Iterator[None]:
    """Add the seconds that a stage takes to a clock, and give back what it has freed."""
    start = time.perf_counter()
    with torch.profiler.record_function(stage):
        yield
        # What a stage has freed must not lie there while the next one takes memory.
        trim_heap()
    clock[stage] = clock.get(stage, 0.0) + time.perf_counter() - start
