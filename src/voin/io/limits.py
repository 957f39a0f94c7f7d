"""How large a video may be that is looked at: what a file only claims is not believed, and no room is made for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.io.quality import shown

ABOVE_0: Any = {"above": 0, "must": "a limit must be above 0", "panel": "Limits"}


@dataclass(frozen=True)
class VideoLimits(Checked):
    """The largest video that is read; both are looked up in headers and packets before anything is decoded."""

    frames: int = setting(1_000_000, "Most frames that a video may have.", flag="--max-frames", **ABOVE_0)
    pixels: int = setting(2**26, "Most pixels that a frame may have.", flag="--max-pixels", **ABOVE_0)
    # How its owner is to raise a limit.
    raised_by: ClassVar[str] = "use a larger"

    def check_pixels(self, path: Path, size: tuple[int, int]) -> None:
        """Refuse frames of `size` (h, w) that are too large."""
        if size[0] * size[1] > self.pixels:
            what, most = f"{path.name} has frames of {shown(size)}", f"at most {self.pixels:,} pixels a frame"
            raise self.too_much(what, most, "scale it down", "--max-pixels")

    def check_frames(self, path: Path, count: int) -> None:
        """Refuse a video of too many frames."""
        if count > self.frames:
            raise self.too_much(f"{path.name} has more than {self.frames} frames", "no more", "cut it", "--max-frames")

    def too_much(self, what: str, most: str, remedy: str, flag: str) -> ValueRefusal:
        """Return the refusal of what is too large, with the option that would allow it."""
        return ValueRefusal(what, f"{most} are taken here", f"{remedy}, or {self.raised_by} {flag}")


# For files that voin wrote itself, or that were let in before: more is a garbled header.
LARGEST = VideoLimits(10_000_000, 2**27)
