"""What users may choose about the jobs; nothing heavy is imported, as the command line makes its help of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.io.quality import Quality, parse_size, shown

if TYPE_CHECKING:
    from voin.method.pipeline import Inpainter

Flow = Literal["dis", "raft-small", "raft-large"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Layer = Literal["png", "mov", "webm", "none"]
TrackerName = Literal["auto", "grabcut", "sam2"]


_DEVICE: Any = {
    "default": "auto",
    "help": "Where to compute; auto takes the best there is.",
    "panel": "Motion",
    "label": "Device",
    "words": {"auto": "Automatic", "cpu": "Processor", "cuda": "CUDA", "mps": "Apple GPU"},
}


def _read_cuts(text: str) -> str | Path:
    return text if text in ("auto", "none") else Path(text)


@dataclass(frozen=True)
class MethodOptions(Checked):
    """What completes: the arguments of `voin.method.load.load`."""

    method: str = setting(
        "voin",
        "How to complete: `voin` with trained networks, or `classical`, which needs no weights.",
        metavar="NAME",
        panel="Object",
        label="Method",
        words={"voin": "Trained networks", "classical": "Classical, without networks"},
    )
    model: str | None = setting(
        None,
        "Networks of `voin`: small, which ships, a folder, or owner/name on the Hugging Face hub.",
        metavar="NAME|DIR",
        panel="Object",
    )
    preset: Literal["small", "paper"] = setting(
        "small",
        "Work in a window that follows the object, or on the whole frame, as the paper does (with --model).",
        panel="Object",
    )
    flow: Flow = setting(
        "dis",
        "Optical flow: DIS is fast on a CPU; RAFT wants a GPU.",
        panel="Motion",
        label="Optical flow",
        words={"dis": "DIS, fast", "raft-small": "RAFT small", "raft-large": "RAFT large, slow without a GPU"},
    )
    raft_weights: Path | None = setting(
        None, "Weights of RAFT as a file; torchvision downloads them otherwise.", metavar="FILE", panel="Motion"
    )
    device: Device = setting(**_DEVICE)

    def load(self) -> Inpainter:
        """Make the inpainter."""
        from voin.method.load import load  # brings torch

        chosen: dict[str, Any] = {declared.name: getattr(self, declared.name) for declared in fields(MethodOptions)}
        return load(chosen.pop("method"), **chosen)


@dataclass(frozen=True)
class FrameOptions(Checked):
    """Which frames of a video a job works on, and what may stand in its way."""

    start: int = setting(0, "First frame to work on.", metavar="FRAME", panel="Which frames")
    end: int | None = setting(
        None, "Frame to stop before; the last one by default.", metavar="FRAME", panel="Which frames"
    )
    cuts: str | Path = setting(
        "auto",
        "Scene cuts: auto finds them, none says there are none, a text file lists the frames that start a shot.",
        read=_read_cuts,
        metavar="auto|none|FILE",
        panel="Which frames",
        label="Scene cuts",
        words={"auto": "Find them", "none": "There are none"},
    )
    skip_broken: bool = setting(False, "Show the frame before in place of one that does not decode.", panel="Input")
    overwrite: bool = setting(False, "Replace another run in the output folder.", panel="Run")


@dataclass(frozen=True)
class CompleteOptions(FrameOptions):
    """What to do with which frames and objects."""

    category: str | None = setting(
        None,
        "What the object is, such as `person`; helps methods that were trained with categories.",
        metavar="NAME",
        panel="Object",
        label="What the object is",
    )
    amodal: Path | None = setting(
        None,
        "Whole masks of the object, if you have them: any form that MASKS may have.",
        metavar="PATH",
        panel="Object",
    )
    occluder: Path | None = setting(
        None, "Masks of what is in front: only there can the object be hidden.", metavar="PATH", panel="Object"
    )
    ids: tuple[int, ...] = setting(
        (), "Objects to complete, such as 1,2; all by default.", metavar="IDS", panel="Object"
    )
    order: tuple[int, ...] = setting(
        (),
        "Depth order of the objects, front-most first, such as 2,1; as numbered by default.",
        metavar="IDS",
        panel="Object",
    )
    png: bool = setting(
        False,
        "Write completed/00000.png ... instead of a video: exact pixels.",
        panel="Output",
        label="Frames as PNG instead of a video, exact to the bit",
    )
    layer: Layer = setting(
        "png",
        "The whole object with alpha: pictures, a video for editing (mov) or for the web (webm), or not at all.",
        panel="Output",
        label="The object alone, with alpha",
        words={"png": "PNG pictures", "mov": "ProRes video, for editing", "webm": "WebM video", "none": "None"},
    )
    save_flow: bool = setting(
        False, "Write the completed motion to flow/.", panel="Output", label="Write the completed motion"
    )
    save_confidence: bool = setting(
        False,
        "Write how sure each pixel of the object is to confidence/: white was seen, black is invented.",
        panel="Output",
        label="Write how sure each pixel is",
        page={"value": True},
    )
    quality: Quality = setting(factory=Quality)
    resize_masks: bool = setting(False, "Scale masks of another size to the video's.", panel="Input")
    invert_masks: bool = setting(False, "Take what is black in MASKS for the object, not what is white.", panel="Input")
    mask_frames: str | None = setting(
        None, "Frames that the masks belong to, such as 0,5,10 or 0-70:5.", metavar="FRAMES", panel="Input"
    )
    absent: Literal["invisible", "error"] = setting(
        "invisible",
        "What a frame without a mask means: the object is not visible there, or it is a mistake.",
        panel="Input",
    )
    chunk_frames: int = setting(64, "Frames completed at once, at most; large windows get fewer.", least=1, flag="")
    context_frames: int = setting(32, "Frames looked at before and after these, at most.", least=0, flag="")

    def check(self) -> None:
        """Refuse ids that cannot be."""
        for name, numbers in (("ids", self.ids), ("order", self.order)):
            if len(set(numbers)) < len(numbers) or any(not 1 <= number <= 255 for number in numbers):
                raise ValueRefusal(
                    f"{name} is {', '.join(map(str, numbers))}",
                    "object ids are 1 to 255, each named once",
                    "correct it",
                )


@dataclass(frozen=True)
class MaskOptions(FrameOptions):
    """How to track. "auto" takes SAM 2 (extra `sam2`) where it and its weights are on this machine, else "grabcut"."""

    tracker: TrackerName = setting(
        "auto",
        "grabcut needs no weights; sam2 is SAM 2; auto takes SAM 2 where its weights are on this machine.",
        panel="Tracking",
        label="Tracker",
        words={"auto": "Automatic", "grabcut": "GrabCut and flow, no weights", "sam2": "SAM 2"},
    )
    model: str | None = setting(
        None, "Weights of SAM 2: a folder, or owner/name on the Hugging Face hub.", metavar="NAME|DIR", panel="Tracking"
    )
    device: Device = setting(**_DEVICE)
    preview: bool = setting(False, "Also write preview/overlay.mp4 and preview/sheet.png.", panel="Output")

    def check(self) -> None:
        """Refuse a model for the tracker that has none."""
        if self.model is not None and self.tracker == "grabcut":
            raise ValueRefusal(
                f"the model is {self.model!r} and the tracker grabcut",
                "that one has no weights, so it must be alone",
                "leave one of them out",
            )


@dataclass(frozen=True)
class BenchConfig(MethodOptions):
    """What to measure: a method, on a clip of this size (h, w) and length."""

    size: tuple[int, int] = setting(
        (1080, 1920), "Size of the clip.", read=parse_size, write=shown, metavar="WIDTHxHEIGHT", panel="Input"
    )
    frames: int = setting(100, "Length of the clip.", panel="Input")
    share: float = setting(0.1, "Area of the object over that of the frame.", least=0.001, most=0.2, panel="Input")
    beside: int = setting(
        0, "Measure it again beside so many busy processes, of one core each.", metavar="N", least=0, panel="Run"
    )

    def check(self) -> None:
        """Refuse clips that cannot be made."""
        if not all(64 <= side <= 8192 for side in self.size):
            raise ValueRefusal(f"the size is {shown(self.size)}", "both sides must lie in 64 to 8192", "give 1920x1080")
        if not 2 <= self.frames <= 1_000_000:
            raise ValueRefusal(f"the clip has {self.frames} frames", "it must have 2 to 1000000", "give 100")
