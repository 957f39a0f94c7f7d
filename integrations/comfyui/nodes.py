"""The four nodes: load an inpainter, complete an object, track its mask, and make the mask of what hides it."""

# What ComfyUI looks for has names of its own.
# ruff: noqa: N802

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from voin.core.errors import ValueRefusal, count_of
from voin.core.morphology import grow as widen
from voin.jobs.describe import describe_options
from voin.jobs.mask import choose_tracker, load_tracker
from voin.jobs.options import CompleteOptions, MaskOptions, MethodOptions, PromptOptions
from voin.method.load import load
from voin.method.parts import MOST_BYTES, ObjectCompleter, complete_parts
from voin.tracking.prompts import Prompt, check_prompts
from voin.tracking.shot import steps_of, track_shot

from .batches import check_images, colours_of, empty, find_cuts, fitting, masks_of, pictures_of
from .hooks import Run, StageClock, device_name, free_bytes

INPAINTER = "VOIN_INPAINTER"  # the type of what `Load inpainter` gives
_CUTS = (["find", "none"], {"tooltip": "Scene cuts in the images: find them, or there are none."})
_log = logging.getLogger("voin")


def _help(settings: type, name: str) -> str:
    """Return what the commands say of an option."""
    return next(option.help for option in describe_options(settings) if option.name == name)


def _choice(settings: type, name: str) -> tuple[list[str], dict[str, Any]]:
    """Declare an input by the option of the commands that it is."""
    option = next(option for option in describe_options(settings) if option.name == name)
    return list(option.choices), {"default": option.default, "tooltip": option.help}


def _line(help: str, **more: Any) -> tuple[str, dict[str, Any]]:
    """Declare an input of text."""
    return "STRING", {"default": "", "tooltip": help, **more}


class LoadInpainter:
    """Make what completes objects."""

    TITLE = "Load inpainter"
    CATEGORY = "voin"
    DESCRIPTION = "Loads what shows the hidden part of objects: trained networks, or a method without weights."
    RETURN_TYPES, RETURN_NAMES = (INPAINTER,), ("inpainter",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        """Declare the inputs."""
        certainty: dict[str, Any] = {"default": 0.0, "min": 0.0, "max": 0.99, "step": 0.01}
        certainty["tooltip"] = f"{_help(MethodOptions, 'certainty')} 0 stands for it."
        return {
            "required": {
                "method": (["voin", "classical"], {"tooltip": "Trained networks, or classical parts without weights."}),
                "model": _line(f"{_help(MethodOptions, 'model')} Empty for small."),
                "flow": _choice(MethodOptions, "flow"),
                "device": _choice(MethodOptions, "device"),
                "certainty": (
                    "FLOAT",
                    {**certainty, "tooltip": f"{_help(MethodOptions, 'certainty')} 0 stands for it."},
                ),
            }
        }

    def load(self, method: str, model: str, flow: str, device: str, certainty: float) -> tuple[ObjectCompleter]:
        """Load it on the device that ComfyUI computes on, unless another is named."""
        chosen = {"model": model.strip() or None, "flow": flow, "device": device_name(device)}
        return (load(method, **chosen, certainty=certainty or None),)


class CompleteObject:
    """Show the hidden part of one object."""

    TITLE = "Complete object"
    CATEGORY = "voin"
    DESCRIPTION = (
        "Shows the hidden part of an object in the frames of a video. The masks mark what is visible of it, one for "
        "each image; several objects are completed by nodes in a row, the nearest first."
    )
    RETURN_TYPES = ("IMAGE", "MASK", "MASK", "IMAGE", "MASK")
    RETURN_NAMES = ("completed", "amodal", "occluded", "object", "confidence")
    OUTPUT_TOOLTIPS = (
        "The images with the hidden part shown; all else is as it was.",
        "The whole object.",
        "The part of it that was hidden.",
        "The whole object alone, with alpha.",
        "How sure each of its pixels is: 1 was seen, 0 was invented.",
    )
    FUNCTION = "complete"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        """Declare the inputs."""
        return {
            "required": {
                "inpainter": (INPAINTER,),
                "images": ("IMAGE", {"tooltip": "The frames of the video, in their order."}),
                "masks": ("MASK", {"tooltip": "What is visible of the object in each of them."}),
                "category": _line(_help(CompleteOptions, "category")),
                "cuts": _CUTS,
            },
            "optional": {
                "occluder": ("MASK", {"tooltip": "What is in front: only there can the object be hidden."}),
                "seam": (
                    "INT",
                    {
                        "default": -1,
                        "min": -1,
                        "max": 64,
                        "tooltip": f"{_help(CompleteOptions, 'seam')} -1 stands for it.",
                    },
                ),
            },
        }

    def complete(
        self,
        inpainter: ObjectCompleter,
        images: Tensor,
        masks: Tensor,
        category: str = "",
        cuts: str = "find",
        occluder: Tensor | None = None,
        seam: int = -1,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Complete the object part by part, so that a batch may be long."""
        check_images(images)
        masks = fitting(masks, images, "masks")
        front = None if occluder is None else masks_of(fitting(occluder, images, "occluder", one=True))
        _check_memory(images)
        b, h, w = images.shape[:3]
        run = Run(2 * b if cuts == "find" else b)
        found = find_cuts(images, run) if cuts == "find" else ()
        completed = images.clone()
        amodal, occluded, confidence, layer = empty(b, h, w), empty(b, h, w), empty(b, h, w), empty(b, h, w, 4)
        parts = complete_parts(
            inpainter,
            colours_of(images),
            masks_of(masks),
            occluder=front,
            category=category.strip() or None,
            cuts=found,
            clock=StageClock(run),
            seam=CompleteOptions(seam=None if seam < 0 else seam).seam_of((h, w)),
            sample_bytes=1,  # parts as long as those of files of 8 bits, which `voin complete` reads
        )
        done = hidden = 0
        for part, boxes in parts:
            for i, box in zip(part, boxes, strict=True):
                place = (i, box.rows, box.columns)
                shown, whole, colours = (torch.from_numpy(x) for x in (box.occluded, box.amodal, box.colours))
                completed[place][shown, :3] = colours[shown].to(completed)
                completed[place][shown, 3:] = 1  # with alpha, the hidden part is there now
                amodal[place], occluded[place] = whole.float(), shown.float()
                confidence[place] = torch.from_numpy(box.confidence) / 255
                layer[place] = torch.cat([colours, torch.ones_like(colours[..., :1])], dim=-1) * whole[..., None]
                hidden += int(shown.sum())
            run.advance(part.stop - done)
            done = part.stop
        run.advance(b - done)
        shots = count_of(len(found) + 1, "shot")
        _log.info("voin: %s in %s, %s pixels were hidden", count_of(b, "frame"), shots, f"{hidden:,}")
        return completed, amodal, occluded, layer, confidence


class TrackMask:
    """Follow an object that is marked on a frame through the images."""

    TITLE = "Track mask"
    CATEGORY = "voin"
    DESCRIPTION = "Marks an object on one frame, by a box, by points or by a painted mask, and follows it."
    RETURN_TYPES, RETURN_NAMES = ("MASK",), ("masks",)
    FUNCTION = "track"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        """Declare the inputs."""
        return {
            "required": {
                "images": ("IMAGE", {"tooltip": "The frames of the video, in their order."}),
                "frame": ("INT", {"default": 0, "min": 0, "max": 10**6, "tooltip": "The marked image, from 0."}),
                "box": _line(
                    f"{_help(PromptOptions, 'box')} Written x,y,width,height.", placeholder="x,y,width,height"
                ),
                "points": _line("Pixels on the object, such as 160,90 180,95.", placeholder="x,y x,y"),
                "not_points": _line("Pixels that do not belong to it.", placeholder="x,y x,y"),
                "more": _line(
                    "Marks on further images, a line each, such as 52: box 200,60,80,150 not 190,70. They correct the "
                    "track.",
                    multiline=True,
                ),
                "tracker": _choice(MaskOptions, "tracker"),
                "model": _line(_help(MaskOptions, "model")),
                "cuts": _CUTS,
            },
            "optional": {"mask": ("MASK", {"tooltip": "The object, painted on that image."})},
        }

    def track(
        self,
        images: Tensor,
        frame: int = 0,
        box: str = "",
        points: str = "",
        not_points: str = "",
        more: str = "",
        tracker: Any = "auto",
        model: str = "",
        cuts: str = "find",
        mask: Tensor | None = None,
    ) -> tuple[Tensor]:
        """Track it through those shots in which it is marked; in others there is no mask."""
        check_images(images)
        b, h, w = images.shape[:3]
        lines = [line for line in more.splitlines() if line.strip()]
        marks = PromptOptions(box.strip() or None, points.split(), not_points.split(), frame, lines).read(frame)
        prompts = check_prompts(_with_mask(marks, mask, frame, b), (h, w), 0, b)
        named = model.strip() or None
        follower = load_tracker(choose_tracker(tracker, named), named, device_name("auto"))
        pictures, looking = pictures_of(images), Run(b)
        found = find_cuts(images, looking) if cuts == "find" else ()
        shots = {
            (start, end): marked
            for start, end in pairwise([0, *found, b])
            if (marked := [prompt for prompt in prompts if start <= prompt.frame < end])
        }
        run = Run(sum(steps_of(marked, *shot) for shot, marked in shots.items()))
        masks = empty(b, h, w)
        for (start, end), marked in shots.items():
            tracked = track_shot(follower, pictures.__getitem__, marked, start, end, run.advance)
            for i, packed in zip(range(start, end), tracked, strict=True):
                masks[i] = torch.from_numpy(packed.mask()).float()
        seen, looked_at = int(masks.flatten(1).any(dim=1).sum()), sum(end - start for start, end in shots)
        frames = count_of(looked_at, "frame")
        _log.info("voin: tracked (%s) through %s of %d, seen in %d", follower.name, frames, b, seen)
        return (masks,)


class OccluderFromMask:
    """Make the mask of what hides an object."""

    TITLE = "Occluder from mask"
    CATEGORY = "voin"
    DESCRIPTION = (
        "Turns masks of the thing in front into what `Complete object` takes: one for each image (one alone is held), "
        "grown a little so that no seam stays between it and the object, and without the object itself."
    )
    RETURN_TYPES, RETURN_NAMES = ("MASK",), ("occluder",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        """Declare the inputs."""
        return {
            "required": {
                "masks": ("MASK", {"tooltip": "The thing in front, in each image, or once where nothing moves."}),
                "images": ("IMAGE", {"tooltip": "The frames of the video."}),
                "grow": ("INT", {"default": 2, "min": 0, "max": 64, "tooltip": "Pixels by which it is widened."}),
                "invert": ("BOOLEAN", {"default": False, "tooltip": "What is black is in front, not what is white."}),
            },
            "optional": {"object_masks": ("MASK", {"tooltip": "What is visible of the object: it is never in front."})},
        }

    def make(
        self, masks: Tensor, images: Tensor, grow: int = 2, invert: bool = False, object_masks: Tensor | None = None
    ) -> tuple[Tensor]:
        """Make it frame by frame."""
        check_images(images)
        masks, run = fitting(masks, images, "masks", one=True), Run(len(images))
        seen = None if object_masks is None else fitting(object_masks, images, "object_masks")
        occluder = empty(*images.shape[:3])
        for i in range(len(images)):
            front = ((masks[i] > 0.5) ^ invert).cpu()
            front = widen(front[None], grow)[0]
            occluder[i] = (front if seen is None else front & (seen[i] <= 0.5).cpu()).float()
            run.advance()
        return (occluder,)


NODES = (LoadInpainter, CompleteObject, TrackMask, OccluderFromMask)


def _with_mask(prompts: list[Prompt], mask: Tensor | None, frame: int, count: int) -> list[Prompt]:
    """Add a painted mask to what is marked on its frame; of a mask for each image that of the frame is taken."""
    if mask is None:
        return prompts
    masks = mask.reshape(-1, *mask.shape[-2:])
    if len(masks) not in (1, count):
        what = f"mask has {len(masks)} masks for {count_of(count, 'image')}"
        raise ValueRefusal(what, "it must be one, that of the marked image", "paint it there")
    painted = masks[min(frame, len(masks) - 1)]
    known = painted.cpu().numpy() > 0.5
    others = [prompt for prompt in prompts if prompt.frame != frame]
    here = [replace(prompt, mask=known) for prompt in prompts if prompt.frame == frame]
    return others + (here or [Prompt(frame, mask=known)])


def _check_memory(images: Tensor) -> None:
    """Refuse a batch whose copy does not fit into memory with the windows of a part: the system would end ComfyUI."""
    free, copy = free_bytes(), images.numel() * images.element_size()
    # A part is as long as if a sample took one byte.
    windows = min(copy, MOST_BYTES * images.element_size())
    if free is not None and free < copy + windows:
        raise ValueRefusal(
            f"the images take {copy / 1e9:.1f} GB, what is looked at of them at a time {windows / 1e9:.1f} GB, and "
            f"{free / 1e9:.1f} GB of memory are free",
            "the completed ones must fit in, too",
            "give fewer or smaller images at a time, or use `voin complete`, which needs no more for long videos",
        )
