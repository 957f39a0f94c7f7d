"""What a user may choose about a job over files, and how a job tells how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from voin.core.errors import ValueRefusal
from voin.io.video import Quality

Layer = Literal["png", "mov", "webm", "none"]
Absent = Literal["invisible", "error"]


@dataclass(frozen=True)
class CompleteOptions:
    """What to do with which frames and objects.

    Args:
        category: What the object is, for methods that know classes; None if unknown.
        amodal: Masks of the whole objects, in files like the visible masks and with the same ids; else they are found.
        occluder: Masks of what is in front, any value but 0; objects are hidden only there.
        ids: Objects to complete; none named: all.
        order: All these objects from front to back; none named: as numbered, the lowest id in front.
        png: Write the completed frames as PNGs, exact to the bit, not as a video. Folders and GIFs always do.
        layer: The objects alone, with alpha: PNGs, a video (mov: ProRes 4444, webm: VP9), or none.
        save_flow: Also write the completed flow.
        save_confidence: Also write how sure each pixel of the objects is.
        start: First frame.
        end: Frame after the last one; None for all.
        cuts: Where shots begin: "auto" finds hard cuts, "none" takes it all for one shot, a file lists frame numbers.
        quality: How to encode the completed video.
        resize_masks: Scale masks of another size to the video's.
        mask_frames: Frames that the visible masks belong to, such as "0,5,10" or "0-70:5"; else their names say it.
        absent: What a frame without a mask means: the object is not visible there, or it is an error.
        skip_broken: Show the frame before in place of one that does not decode.
        overwrite: Replace another run in the output folder.
        chunk_frames: Frames completed at once, at most; large windows get fewer.
        context_frames: Frames looked at before and after these, at most.
    """

    category: str | None = None
    amodal: Path | None = None
    occluder: Path | None = None
    ids: tuple[int, ...] = ()
    order: tuple[int, ...] = ()
    png: bool = False
    layer: Layer = "png"
    save_flow: bool = False
    save_confidence: bool = False
    start: int = 0
    end: int | None = None
    cuts: str | Path = "auto"
    quality: Quality = field(default_factory=Quality)
    resize_masks: bool = False
    mask_frames: str | None = None
    absent: Absent = "invisible"
    skip_broken: bool = False
    overwrite: bool = False
    chunk_frames: int = 64
    context_frames: int = 32

    def __post_init__(self) -> None:
        for name, kind in (("layer", Layer), ("absent", Absent)):
            value, known = getattr(self, name), get_args(kind)
            if value not in known:
                raise ValueRefusal(f"{name} is {value!r}", f"it must be one of {', '.join(known)}", f"take {known[0]}")
        for name, numbers in (("ids", self.ids), ("order", self.order)):
            if len(set(numbers)) < len(numbers) or any(not 1 <= number <= 255 for number in numbers):
                raise ValueRefusal(
                    f"{name} is {', '.join(map(str, numbers))}",
                    "object ids are 1 to 255, each named once",
                    "correct it",
                )
        if self.chunk_frames < 1 or self.context_frames < 0:
            raise ValueRefusal(
                f"chunk_frames is {self.chunk_frames} and context_frames {self.context_frames}",
                "they must be at least 1 and 0",
                "leave them out for 64 and 32",
            )
