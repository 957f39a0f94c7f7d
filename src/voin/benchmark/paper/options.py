"""What users may choose about the paper's tables and figures; nothing heavy is imported, for the help's sake."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from voin.benchmark.options import ReferenceOptions, read_clips
from voin.core.config import Checked, setting
from voin.data.options import LEARNED, ObjectPacks

What = Literal[
    *("table1", "table2", "table3", "table4", "own-shape", "own-fill"),
    *("figure6", "figure7", "figure8", "figure9", "figure10", "figure11"),
]
WHAT: tuple[What, ...] = get_args(What)


def _read_names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


_SCENE: Any = {"panel": "The clip of figure11"}


@dataclass(frozen=True)
class SceneOptions(Checked):
    """A real clip, for the figure that shows one."""

    video: Path | None = setting(None, "A video or a folder of frames.", metavar="PATH", **_SCENE)
    masks: Path | None = setting(None, "What is visible of the object in it.", metavar="PATH", **_SCENE)
    occluder: Path | None = setting(None, "What is in front of it, which is taken away.", metavar="PATH", **_SCENE)
    category: str | None = setting(None, "What the object is, such as `person`.", metavar="NAME", **_SCENE)


@dataclass(frozen=True, kw_only=True)
class ReproduceOptions(ObjectPacks):
    """What to reproduce, and with what."""

    what: What = setting(help="A table or a figure of the paper.", flag="WHAT", metavar="|".join(WHAT))
    voi_set: Path | None = setting(
        None,
        "A set that `voin data build` made; its validation clips are judged. All but figure11 need it.",
        flag="--set",
        metavar="SET",
        panel="What is judged",
    )
    pack: Path | None = setting(
        None, "Clips to train on, from `voin data pack`; without it nothing is trained.", metavar="FILE", panel=LEARNED
    )
    validation: Path | None = setting(
        None,
        "A pack of videos that are not trained on, by which the best weights are chosen.",
        metavar="FILE",
        panel=LEARNED,
    )
    budget: float = setting(
        60.0,
        "Of each row, for all its networks together: core-minutes, or on a GPU minutes by the clock.",
        above=0,
        metavar="MINUTES",
        must="it must be above 0",
        panel="Run",
    )
    models: Path | None = setting(
        None,
        "Networks that are trained already, DIR/NAME/best or DIR/NAME; NAME as in OUT/runs.",
        metavar="DIR",
        panel="Run",
    )
    rows: tuple[str, ...] = setting(
        (), "These rows alone; the others stand as not trained.", metavar="A,B,...", read=_read_names, panel="Run"
    )
    seeds: int = setting(
        1,
        "Train and judge every row so often; with two or more a difference counts only if all agree in its sign.",
        least=1,
        must="there must be at least 1",
        panel="Run",
    )
    preset: Literal["small", "paper"] = setting("small", "Sizes of networks and batches.", panel="Run")
    device: Literal["auto", "cpu", "cuda", "mps"] = setting("auto", "Where to compute.", panel="Run")
    workers: int = setting(1, "Processes that judge, each on one thread.", least=1, panel="Run")
    clips: tuple[str, ...] | int | None = setting(
        None,
        "The first N clips, or these, such as bear,dog; all by default.",
        read=read_clips,
        metavar="N|NAMES",
        panel="Which clips",
    )
    changes: list[str] | None = setting(
        None,
        "Change a setting of every run, such as sampler.cutouts=0.4; may be repeated.",
        flag="--change",
        metavar="A.B=V",
        panel="Run",
    )
    plan: bool = setting(False, "Print what would be trained, and for how long, and stop.", panel="Run")
    scene: SceneOptions = setting(factory=SceneOptions)
    references: ReferenceOptions = setting(factory=ReferenceOptions)
