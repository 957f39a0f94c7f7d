"""What users may choose when masks are converted; nothing heavy is imported, as the command makes its help of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.io.quality import parse_size, shown

FormName = Literal["png", "folders", "npz", "video", "coco", "youtube-vis", "cvat", "labelme", "label-studio"]


@dataclass(frozen=True)
class ConvertOptions(Checked):
    """How masks are read and written anew."""

    to: FormName | None = setting(
        None,
        "The form to write; by default what the ending of the output means: .json COCO, .xml CVAT, .npz an array, .mkv "
        "a lossless mask video, none a folder of indexed PNGs.",
        panel="Output",
    )
    polygons: bool = setting(
        False, "Outline objects by polygons, which can be edited; exact masks by default.", panel="Output"
    )
    ids: tuple[int, ...] = setting((), "Objects to take, such as 1,2; all by default.", metavar="IDS", panel="Object")
    video: Path | None = setting(
        None,
        "The video of the masks. Without it they must tell of all frames themselves.",
        metavar="VIDEO",
        panel="Input",
    )
    size: tuple[int, int] | None = setting(
        None,
        "Scale masks to this size, without a video (nearest pixel).",
        read=parse_size,
        write=shown,
        metavar="WIDTHxHEIGHT",
        panel="Input",
    )
    frames: int | None = setting(
        None, "How many frames there are, without a video.", metavar="N", least=1, most=10**6, panel="Input"
    )
    mask_frames: str | None = setting(
        None, "Frames that the masks belong to, such as 0,5,10 or 0-70:5.", metavar="FRAMES", panel="Input"
    )
    resize_masks: bool = setting(False, "Scale masks of another size to the video's.")
    invert_masks: bool = setting(False, "Take what is black for the object.", panel="Input")

    def check(self) -> None:
        """Refuse what says the same twice, and sizes that no frame has."""
        if self.video is not None and (self.size, self.frames) != (None, None):
            what = "a video is given, and its size or its number of frames, too"
            raise ValueRefusal(what, "one of both must say it", "leave out --size and --frames")
        if self.size is not None and not all(1 <= side <= 16_384 for side in self.size):
            raise ValueRefusal(f"the size is {shown(self.size)}", "both sides must lie in 1 to 16384", "correct it")
