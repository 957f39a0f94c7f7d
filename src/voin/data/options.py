"""What users may choose about sets and packs; nothing heavy is imported, as the command line makes its help of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.io.quality import parse_size, shown

Layout = Literal["youtube-vos", "davis", "folder"]
Split = Literal["train", "validation"]


LEARNED = "What it learns from"  # the group of options

# Of a field of `FilterConfig` that is a share.
_SHARE: Any = {"least": 0, "most": 1, "must": "it must lie in 0..1", "panel": "Which objects are kept"}


@dataclass(frozen=True, kw_only=True)
class ObjectPacks(Checked):
    """Packs of objects that networks learn from, beside that of films."""

    cutouts: Path | None = setting(
        None, "Photographed objects, from `voin data cutouts`.", metavar="FILE", panel=LEARNED
    )
    sprites: Path | None = setting(
        None, "Moving objects with soft masks, from `voin data sprites`.", metavar="FILE", panel=LEARNED
    )


@dataclass(frozen=True)
class FilterConfig(Checked):
    """Which objects are kept; made for clips of about 384x216, and chosen by eye on the sequences of DAVIS.

    Args:
        least_size: (h, w) of the source's own frames, whichever side is the longer one.
        border: pixels on the border, over the width and height of the object's box, from which on it is cut off.
        jump: the area jumps where its logarithm lies so far from the mean of those before and after, for each frame
            that these are apart. Steady growth is no jump, going and coming is.
        piece: share of its area that the largest piece of the object must have.
    """

    least_size: tuple[int, int] | None = setting(
        None,
        "Frames of the source that are smaller are left out; the paper takes those over 640x480.",
        least=1,
        read=parse_size,
        write=shown,
        metavar="WIDTHxHEIGHT",
        panel="Which objects are kept",
    )
    least_frames: int = setting(8, "Frames that must show the object.", least=1, panel="Which objects are kept")
    least_area: float = setting(0.005, "Share of the frame that it must take, median.", **_SHARE)
    border: float = setting(0.1, **_SHARE)
    most_border: float = setting(0.25, "Share of frames in which the border may cut it off.", **_SHARE)
    jump: float = setting(0.1, **_SHARE)
    most_jumps: float = setting(0.03, "Share of frames in which its area may jump.", **_SHARE)
    piece: float = setting(0.8, **_SHARE)
    most_pieces: float = setting(0.1, "Share of frames in which it may be in pieces.", **_SHARE)


@dataclass(frozen=True)
class LayersOptions(Checked):
    """What a set is made of in which things pass behind objects, too."""

    clips: int = setting(40, "Clips; in every other pair of them things pass only behind.", least=1, panel="Output")
    frames: int = setting(24, "Frames of a clip.", least=2, panel="Output")
    seed: int = setting(0, "The same seed gives the same set.", panel="Output")
    split: Split = setting("validation", "Films of this split of the set.", panel="Which clips")


@dataclass(frozen=True)
class BuildOptions(Checked):
    """What a set is made of, as far as users choose it."""

    layout: Layout = setting(
        help="How the source is laid out; `folder` is VIDEO/frames and VIDEO/masks.", panel="Source"
    )
    seed: int = setting(0, "The same seed gives the same set.", panel="Output")
    size: tuple[int, int] = setting(
        (216, 384),
        "Size that all clips are scaled to.",
        read=parse_size,
        write=shown,
        metavar="WIDTHxHEIGHT",
        panel="Output",
    )
    share_validation: float = setting(
        0.1,
        "Share of the videos for validation, one at least, where the source has no split of its own; 0 for none.",
        least=0,
        below=1,
        panel="Output",
    )
    # Occluders come from the training videos all the same.
    split: Split | None = setting(
        None,
        "Build only one split.",
        choices={"both": None, "train": "train", "validation": "validation"},
        panel="Output",
    )
    composites: bool = setting(False, "Also write the input frames as PNGs, for other programs.", panel="Output")
    most_frames: int = setting(200, "Longer clips end after so many frames.", panel="Which objects are kept")
    filters: FilterConfig = setting(factory=FilterConfig)

    def check(self) -> None:
        """Refuse frames that are too small, and too few of them."""
        if min(self.size) < 32:
            raise ValueRefusal(f"size is {shown(self.size)}", "it must be at least 32x32", "use 384x216")
        if self.most_frames < self.filters.least_frames:
            must = f"it must be at least least_frames, {self.filters.least_frames}"
            raise ValueRefusal(f"most_frames is {self.most_frames}", must, "leave it out for 200")
