"""What users may choose about the jobs; nothing heavy is imported, as the command line makes its help of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.io.limits import VideoLimits
from voin.io.quality import Acceleration, Quality, VideoCodec, parse_size, shown
from voin.method.reach import CONTEXT_FRAMES, Reach

if TYPE_CHECKING:
    from voin.method.pipeline import Inpainter
    from voin.tracking.prompts import Prompt

Flow = Literal["dis", "raft-small", "raft-large"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Layer = Literal["png", "mov", "webm", "exr", "none"]
TrackerName = Literal["auto", "grabcut", "sam2"]

SEAM_LINES = 240  # of a video, for each pixel of the seam


# One for each group of the help.
_object, _tracking, _motion = (partial(setting, panel=panel) for panel in ("Object", "Tracking", "Motion"))
_frames, _input, _output = (partial(setting, panel=panel) for panel in ("Which frames", "Input", "Output"))
_run = partial(setting, panel="Run")
_DEVICE: Any = {
    "default": "auto",
    "help": "Where to compute; auto takes the best there is.",
    "label": "Device",
    "words": {"auto": "Automatic", "cpu": "Processor", "cuda": "CUDA", "mps": "Apple GPU"},
}


def _read_cuts(text: str) -> str | Path:
    return text if text in ("auto", "none") else Path(text)


@dataclass(frozen=True)
class MethodOptions(Checked):
    """What completes: the arguments of `voin.method.load.load`."""

    method: str = _object(
        "voin",
        "How to complete: `voin` with trained networks, `classical`, which needs no weights, or with --model a "
        "baseline of the paper: sttn, lgtsm, dfvi, fgvc, pcnet, pcnet-m, pcnet-c, pcnet-mc.",
        metavar="NAME",
        label="Method",
        words={"voin": "Trained networks", "classical": "Classical, without networks"},
    )
    model: str | None = _object(
        None,
        "Networks of `voin` or of a baseline: small, which ships, a folder, or owner/name on the Hugging Face hub. "
        "For a baseline of several networks it may be given several times.",
        metavar="NAME|DIR",
        label="Networks",
    )
    preset: Literal["small", "paper"] = _object(
        "small", "Work in a window that follows the object, or on the whole frame, as the paper does (with --model)."
    )
    certainty: float | None = _object(
        None,
        "How sure of a pixel the shape network must be, between 0 and 1: less finds more of the hidden part, and "
        "paints more background over. By default what the model was tuned to.",
        above=0,
        below=1,
    )
    flow: Flow = _motion(
        "dis",
        "Optical flow: DIS is fast on a CPU; RAFT wants a GPU.",
        label="Optical flow",
        words={"dis": "DIS, fast", "raft-small": "RAFT small", "raft-large": "RAFT large, slow without a GPU"},
    )
    raft_weights: Path | None = _motion(
        None, "Weights of RAFT as a file; torchvision downloads them otherwise.", metavar="FILE"
    )
    device: Device = _motion(**_DEVICE)
    runtime: Literal["torch", "onnx"] = _run(
        "torch", "What computes the networks: torch, or ONNX Runtime, with a --model that `voin export` wrote."
    )

    def load(self, more: Sequence[str] = ()) -> Inpainter:
        """Make the inpainter; `more` are further models, for a baseline whose networks lie in several."""
        from voin.baselines.trained.models import ROWS, load_baseline  # brings torch
        from voin.method.load import load

        chosen: dict[str, Any] = {declared.name: getattr(self, declared.name) for declared in fields(MethodOptions)}
        method, model = chosen.pop("method"), chosen["model"]
        if method in ROWS:
            if self.runtime != "torch":
                raise ValueRefusal(
                    f"the runtime is {self.runtime} and the method {method}",
                    "a baseline's networks run in torch alone",
                    "leave --runtime out",
                )
            del chosen["model"], chosen["runtime"]
            return load_baseline(method, () if model is None else (model, *more), **chosen)
        if more:
            raise ValueRefusal(
                f"there are {len(more) + 1} models",
                f"{method} must have all its networks in one",
                "give one --model; several are for baselines of several networks",
            )
        return load(method, **chosen)


@dataclass(frozen=True)
class FrameOptions(Checked):
    """Which frames of a video a job works on, and what may stand in its way."""

    start: int = _frames(0, "First frame to work on.", metavar="FRAME")
    end: int | None = _frames(None, "Frame to stop before; the last one by default.", metavar="FRAME")
    cuts: str | Path = _frames(
        "auto",
        "Scene cuts: auto finds them, none says there are none, a text file lists the frames that start a shot, and an "
        "edit (.edl, or .otio with the extra otio) has them as record times.",
        read=_read_cuts,
        metavar="auto|none|FILE",
        label="Scene cuts",
        words={"auto": "Find them", "none": "There are none"},
    )
    skip_broken: bool = _input(False, "Show the frame before in place of one that does not decode.")
    linear: bool | None = _input(
        None,
        "Samples of pictures are proportional to light, or ready for a screen. By default floats (EXR) are linear.",
    )
    deinterlace: bool = _input(
        False,
        "Make whole frames of an interlaced video (FFmpeg's bwdif), as many as it has. By default frames stay as they "
        "are, with their tag.",
    )
    hwaccel: Acceleration = _input(
        "none",
        "With cuda a graphics card of NVIDIA decodes the video (NVDEC), where it can. --codec says what encodes it.",
    )
    overwrite: bool = _run(False, "Replace another run in the output folder.")
    limits: VideoLimits = setting(factory=VideoLimits)


@dataclass(frozen=True)
class CompleteOptions(FrameOptions):
    """What to do with which frames and objects."""

    category: str | None = _object(
        None,
        "What the object is, such as `person`; helps methods that were trained with categories.",
        metavar="NAME",
        label="What the object is",
    )
    amodal: Path | None = _object(
        None, "Whole masks of the object, if you have them: any form that MASKS may have.", metavar="PATH"
    )
    occluder: Path | None = _object(
        None, "Masks of what is in front: only there can the object be hidden.", metavar="PATH"
    )
    ids: tuple[int, ...] = _object(
        (), "Objects to complete, such as 1,2; all by default.", metavar="IDS", label="Only these objects, such as 1,2"
    )
    order: tuple[int, ...] = _object(
        (),
        "Depth order of the objects, front-most first, such as 2,1; as numbered by default.",
        metavar="IDS",
        label="Order of the objects, front-most first, such as 2,1",
    )
    seam: int | None = _object(
        None,
        "Pixels of the visible part that are made anew where it meets the hidden one: there colours mix, and masks are "
        "seldom exact. 0 keeps all that the masks show. By default 1 for 240 lines of the video.",
        metavar="PIXELS",
        least=0,
        most=64,
    )
    background: bool = _object(
        False,
        "Take away what is in front (--occluder), too: what is behind it is found in other frames or made up, and "
        "background, object and occluder are written apart.",
        label="Without what is in front, which must be marked, too",
    )
    background_model: str | None = _object(
        None,
        "With --background: a model with an sttn network, which makes up what no frame shows; without one the colours "
        "around it are spread smoothly.",
        metavar="NAME|DIR",
    )
    png: bool = _output(
        False,
        "Write completed/00000.png ... instead of a video: exact pixels.",
        label="Frames as PNG instead of a video, exact to the bit",
    )
    layer: Layer = _output(
        "png",
        "The whole object: pictures with straight alpha, a video for editing (mov) or for the web (webm), EXR pictures "
        "with all layers for compositing (premultiplied, scene-linear), or not at all.",
        label="The object alone, with alpha",
        words={
            "png": "PNG pictures",
            "mov": "ProRes video, for editing",
            "webm": "WebM video",
            "exr": "EXR layers",
            "none": "None",
        },
    )
    save_flow: bool = _output(False, "Write the completed motion to flow/.", label="Write the completed motion")
    save_confidence: bool = _output(
        False,
        "Write how sure each pixel is: its colour to confidence/ (white was seen, black is invented), and that it "
        "belongs to the object to amodal_confidence/.",
        label="Write how sure each pixel is",
        page={"value": True},
    )
    quality: Quality = setting(factory=Quality)
    audio: bool = setting(True, "Keep the video's sound.", panel="Output")
    resize_masks: bool = _input(False, "Scale masks of another size to the video's.")
    invert_masks: bool = _input(False, "Take what is black in MASKS for the object, not what is white.")
    mask_frames: str | None = _input(
        None, "Frames that the masks belong to, such as 0,5,10 or 0-70:5.", metavar="FRAMES"
    )
    absent: Literal["invisible", "error"] = _input(
        "invisible", "What a frame without a mask means: the object is not visible there, or it is a mistake."
    )
    track_between: bool | None = _input(
        None,
        "Where masks stand on some frames only, track the objects between them, or count them as hidden there. By "
        "default tracked if masks stand on a regular grid of frames or on the first one only.",
    )
    tracker: TrackerName = _input("auto", "What tracks them, as in `voin mask`.")
    chunk_frames: int = setting(
        Reach().step, "Frames completed at once, at most; large windows get fewer.", least=1, flag=""
    )
    context_frames: int = setting(CONTEXT_FRAMES, "Frames looked at before and after these, at most.", least=0, flag="")

    def seam_of(self, size: tuple[int, int]) -> int:
        """Return the seam in pixels for frames of size (h, w)."""
        return round(min(size) / SEAM_LINES) if self.seam is None else self.seam

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

    what: Literal["object", "occluder"] = _object(
        "object", "What is marked: the object, or what hides it, whose masks `voin complete --occluder` takes."
    )
    tracker: TrackerName = _tracking(
        "auto",
        "grabcut needs no weights; sam2 is SAM 2; auto takes SAM 2 where its weights are on this machine.",
        label="Tracker",
        words={"auto": "Automatic", "grabcut": "GrabCut and flow, no weights", "sam2": "SAM 2"},
    )
    model: str | None = _tracking(
        None, "Weights of SAM 2: a folder, or owner/name on the Hugging Face hub.", metavar="NAME|DIR"
    )
    device: Device = _motion(**_DEVICE)
    preview: bool = _output(False, "Also write preview/overlay.mp4 and preview/sheet.png.")

    def check(self) -> None:
        """Refuse a model for the tracker that has none."""
        if self.model is not None and self.tracker == "grabcut":
            raise ValueRefusal(
                f"the model is {self.model!r} and the tracker grabcut",
                "that one has no weights, so it must be alone",
                "leave one of them out",
            )


@dataclass(frozen=True)
class PromptOptions(Checked):
    """What marks an object in a video, as users write it."""

    box: str | None = _object(
        None, "A box around the whole visible object: its upper left pixel, its width and height.", metavar="X,Y,W,H"
    )
    point: list[str] | None = _object(None, "A pixel on the object; may be repeated.", metavar="X,Y")
    negative: list[str] | None = _object(
        None, "A pixel that does not belong to the object; may be repeated.", metavar="X,Y"
    )
    frame: int | None = _object(
        None, "The frame of --box, --point and --negative; the first one tracked by default.", metavar="FRAME"
    )
    prompt: list[str] | None = _object(
        None,
        "All that is marked on another frame, such as '52: box 200,60,80,150 not 190,70'; corrects the track. May be "
        "repeated.",
        metavar="PROMPT",
    )
    prompts: Path | None = _object(
        None, "Prompts as a JSON file: a list such as [{'frame': 52, 'box': [200, 60, 80, 150]}].", metavar="FILE"
    )

    def read(self, first: int) -> list[Prompt]:
        """Return what all of them mark; the frame `first` is meant where none is given."""
        from voin.tracking.prompts import Prompt, parse_box, parse_point, parse_prompt, read_prompts

        found = []
        if self.box is not None or self.point or self.negative:
            on, off = (tuple(parse_point(text) for text in given or ()) for given in (self.point, self.negative))
            box = None if self.box is None else parse_box(self.box)
            found.append(Prompt(first if self.frame is None else self.frame, box, on, off))
        found += [parse_prompt(text) for text in self.prompt or ()]
        return found + (list(read_prompts(self.prompts)) if self.prompts is not None else [])


@dataclass(frozen=True)
class BenchConfig(MethodOptions):
    """What to measure: a method, on a clip of this size (h, w) and length."""

    size: tuple[int, int] = _input(
        (1080, 1920), "Size of the clip.", read=parse_size, write=shown, metavar="WIDTHxHEIGHT"
    )
    frames: int = _input(100, "Length of the clip.")
    share: float = _input(0.1, "Area of the object over that of the frame.", least=0.001, most=0.2)
    hwaccel: Acceleration = _run("none", "What decodes the clip, as in `voin complete`.")
    codec: VideoCodec = _run("auto", "What encodes the result, as there.")
    beside: int = _run(0, "Measure it again beside so many busy processes, of one core each.", metavar="N", least=0)
    profile: Path | None = _run(
        None,
        "Write a flame chart (a Chrome trace, for ui.perfetto.dev), and list the functions that take longest.",
        metavar="FILE",
    )

    def check(self) -> None:
        """Refuse clips that cannot be made."""
        if not all(64 <= side <= 8192 for side in self.size):
            raise ValueRefusal(f"the size is {shown(self.size)}", "both sides must lie in 64 to 8192", "give 1920x1080")
        if not 2 <= self.frames <= 1_000_000:
            raise ValueRefusal(f"the clip has {self.frames} frames", "it must have 2 to 1000000", "give 100")
