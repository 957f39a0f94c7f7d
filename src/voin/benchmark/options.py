"""What users may choose about an evaluation; nothing heavy is imported, as the command line makes its help of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal

Setting = Literal["given", "end to end"]
SETTINGS: tuple[Setting, ...] = get_args(Setting)


def read_clips(text: str) -> tuple[str, ...] | int:
    """Read how many clips, or which."""
    return int(text) if text.isdecimal() else tuple(name.strip() for name in text.split(",") if name.strip())


@dataclass(frozen=True)
class ReferenceOptions(Checked):
    """The networks that score; each is left out unless asked for, as its weights are not part of voin."""

    lpips: bool = setting(False, "Judge LPIPS, with weights that torchvision downloads.", panel="What is judged")
    lpips_weights: Path | None = setting(
        None, "Judge LPIPS, with AlexNet's weights from a file.", metavar="FILE", panel="What is judged"
    )
    flow_truth: Literal["none", "raft-small", "raft-large"] = setting(
        "none",
        "What estimates the true motion, for flow error and warp error; none leaves them out.",
        panel="What is judged",
    )
    flow_truth_weights: Path | None = setting(
        None, "Its weights as a file; torchvision downloads them otherwise.", metavar="FILE", panel="What is judged"
    )
    flow_folder: Path | None = None  # where the true motion is kept; None for the evaluation's own folder


@dataclass(frozen=True)
class EvaluateOptions(Checked):
    """What to evaluate, and how.

    Args:
        corruptions: Repeat it with visible masks corrupted so; `voin.benchmark.corrupt.standard()` makes them all.
    """

    settings: tuple[str, ...] = setting(
        SETTINGS,
        "Whether the whole mask is given to the methods.",
        choices={"given": ("given",), "end-to-end": ("end to end",), "both": SETTINGS},
        flag="--setting",
        panel="What is judged",
    )
    split: str | None = setting(
        "validation",
        "Clips of this split.",
        choices={"train": "train", "validation": "validation", "all": None},
        panel="Which clips",
    )
    clips: tuple[str, ...] | int | None = setting(
        None,
        "The first N clips, or these, such as bear,dog; all by default.",
        read=read_clips,
        metavar="N|NAMES",
        panel="Which clips",
    )
    corruptions: tuple[
        Any, ...
    ] = ()  # of `voin.benchmark.corrupt.Corruption`, which brings more than help can wait for
    seed: int = setting(0, "Of the damaged masks.", panel="What is judged")
    workers: int = setting(1, "Processes, each on one thread.", least=1, must="there must be at least 1", panel="Run")
    references: ReferenceOptions = setting(factory=ReferenceOptions)
    pictures: bool = setting(True, "Make pictures and videos.", panel="Output")
    overwrite: bool = setting(False, "Score everything again.", panel="Run")

    def check(self) -> None:
        """Refuse settings that there are not, and no clips."""
        if not self.settings or not set(self.settings) <= set(SETTINGS):
            raise ValueRefusal(
                f"the settings are {', '.join(map(repr, self.settings)) or 'none'}",
                f"they must be among {', '.join(map(repr, SETTINGS))}",
                "take both",
            )
        if self.clips == () or (isinstance(self.clips, int) and self.clips < 1):
            raise ValueRefusal(f"the clips are {self.clips!r}", "there must be at least one", "leave it out for all")
