"""`voin train`: train the networks. Heavy imports wait until it runs."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from rich.markup import escape

from voin.cli.console import out
from voin.cli.options import Quiet, command, option
from voin.training.options import TrainOptions

TRAIN_EXAMPLES = """[bold]Examples[/bold]

voin train shape --pack davis.pack --cutouts cutouts.pack --minutes 40 -o runs/shape

[dim]Go on with the weights that ship, and with a run that was interrupted:[/dim]
voin train fill --pack davis.pack --init small --minutes 60 -o runs/fill --resume

[dim]An ablation: no dice loss, and only half of the layers:[/dim]
voin train shape --pack davis.pack --set loss.dice_occluded=0 --set shape.depth=2 -o runs/shallow"""


@command("its state is kept in {output}; go on with --resume")
def train(
    options: TrainOptions,
    preset: Annotated[Literal["small", "paper"], option("Run", "Sizes of networks and batches.")] = "small",
    changes: Annotated[
        list[str] | None,
        option(
            "Run",
            "Change a setting, such as shape.depth=8 or loss.dice_occluded=0; may be repeated.",
            "--set",
            metavar="A.B=V",
        ),
    ] = None,
    minutes: Annotated[
        float, option("Run", "Length of the run in core-minutes, on a GPU in minutes; 0 for the preset's steps.")
    ] = 0.0,
    quiet: Quiet = False,
) -> None:
    """Train the networks of the method, by themselves or jointly."""
    from voin.training.config import PRESETS, change_settings
    from voin.training.train import train as run

    config = change_settings(PRESETS[preset], [*(changes or []), *([f"minutes={minutes}"] if minutes else [])])
    best = run(replace(options, command=_command(sys.argv[1:])), config, None if quiet else _say)
    if not quiet:
        out.print(f"Best weights in [bold]{escape(str(best))}[/bold]", soft_wrap=True)


def _command(words: list[str]) -> str:
    """Tell the command without folders: weights are passed on, and where somebody keeps files is nobody's business."""
    return shlex.join(["voin", *(Path(word).name if "/" in word else word for word in words)])


def _say(text: str) -> None:
    out.print(text, soft_wrap=True, highlight=False, markup=False)
