"""What a run is given besides its config; nothing heavy is imported, as the command line makes its options of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from voin.core.config import setting
from voin.core.errors import ValueRefusal
from voin.data.options import LEARNED, ObjectPacks

_Ours = Literal["shape", "flow", "fill", "joint"]
_Baselines = Literal["sttn", "lgtsm", "deepfill", "dfvi", "edges", "pcnet", "pcnet-m", "pcnet-c"]
Stage = Literal[_Ours, _Baselines]
STAGES: tuple[Stage, ...] = get_args(Stage)
OLD_STAGES = {"inpaint": "fill"}  # names that older commands and run folders have


def read_stage(word: str) -> str:
    """Read the name of a stage, an older one too."""
    stage = OLD_STAGES.get(word, word)
    if stage not in STAGES:
        known = ", ".join(map(repr, STAGES))
        raise ValueRefusal(f"{word!r} is not one of {known}", "the stage must be one of them", "choose one")
    return stage


@dataclass(frozen=True, kw_only=True)
class TrainOptions(ObjectPacks):
    """What a run is given besides its config; `command`, as typed, goes into the checkpoints."""

    stage: Stage = setting(
        help="The network to train; `joint` is all three, in a chain; the rest are baselines and parts of them.",
        flag="STAGE",
        metavar="|".join(STAGES),
        choices={},  # any word may be read, as some are older ones
        read=read_stage,
    )
    pack: Path = setting(help="Clips, from `voin data pack`.", metavar="FILE", panel=LEARNED)
    out: Path = setting(help="Folder of the run.", flag="--output -o", panel="Output")
    validation: Path | None = setting(
        None,
        "A pack of videos that are not trained on; without it, a fixed part of --pack.",
        metavar="FILE",
        panel=LEARNED,
    )
    init: str | None = setting(
        None, "Start from a model's networks: small, a folder, or owner/name on the hub.", metavar="MODEL", panel="Run"
    )
    resume: bool = setting(False, "Go on with the run in the folder, exactly.", panel="Run")
    pause_minutes: float = setting(
        0.0,
        "Stop after so many minutes, to go on later with --resume; 0 for never.",
        least=0,
        flag="--pause",
        panel="Run",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = setting("auto", "Where to train.", panel="Run")
    devices: int = setting(1, "How many of them; they share each batch.", least=1, panel="Run")
    raft_weights: Path | None = setting(
        None, "Weights of RAFT, where it is asked for; torchvision's own by default.", metavar="FILE", panel=LEARNED
    )
    truth_cache: Path | None = setting(
        None,
        "Keep the flow that is taken for true here, a megabyte a clip, for runs on the same batches (ablations).",
        metavar="DIR",
        panel=LEARNED,
    )
    batch_cache: Path | None = setting(
        None,
        "Keep prepared batches here, some megabytes each, with `pool`: motion and propagation are computed once.",
        metavar="DIR",
        panel=LEARNED,
    )
    lpips_weights: Path | None = setting(
        None,
        "AlexNet's weights, where loss.perceptual counts; torchvision's own by default.",
        metavar="FILE",
        panel=LEARNED,
    )
    workers: int = setting(0, "Processes that make batches; 0 for a thread of this one.", least=0, panel="Run")
    command: str = ""
