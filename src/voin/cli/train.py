"""`voin train`: train the networks. Heavy imports wait until it runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from voin.cli.console import out, report_errors

TRAIN_EXAMPLES = """[bold]Examples[/bold]

voin train shape --pack davis.pack --cutouts cutouts.pack --minutes 40 -o runs/shape

[dim]Go on with the weights that ship, and with a run that was interrupted:[/dim]
voin train fill --pack davis.pack --init small --minutes 60 -o runs/fill --resume

[dim]An ablation: no dice loss, and only half of the layers:[/dim]
voin train shape --pack davis.pack --set loss.dice_occluded=0 --set shape.depth=2 -o runs/shallow"""

RUN, DATA = "The run", "What it learns from"


STAGES = ("shape", "flow", "fill", "joint")


def _stage(word: str) -> str:
    """Read the name of a stage; `inpaint` is an older one of `fill`."""
    if word not in (*STAGES, "inpaint"):
        raise typer.BadParameter(f"{word!r} is not one of {', '.join(map(repr, STAGES))}.")
    return "fill" if word == "inpaint" else word


def train(
    stage: Annotated[
        Literal["shape", "flow", "fill", "joint"],
        typer.Argument(
            help="The network to train; `joint` is all three, in a chain.",
            metavar="|".join(STAGES),
            parser=_stage,
            show_default=False,
        ),
    ],
    pack: Annotated[
        Path,
        typer.Option(help="Clips, from `voin data pack`.", metavar="FILE", rich_help_panel=DATA, show_default=False),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the run.", rich_help_panel=RUN, show_default=False)
    ],
    cutouts: Annotated[
        Path | None,
        typer.Option(
            help="Photographed objects, from `voin data cutouts`.",
            metavar="FILE",
            rich_help_panel=DATA,
            show_default=False,
        ),
    ] = None,
    sprites: Annotated[
        Path | None,
        typer.Option(
            help="Moving objects with soft masks, from `voin data sprites`.",
            metavar="FILE",
            rich_help_panel=DATA,
            show_default=False,
        ),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(
            help="A pack of videos that are not trained on; without it, a fixed part of --pack.",
            metavar="FILE",
            rich_help_panel=DATA,
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        Literal["small", "paper"], typer.Option(help="Sizes of networks and batches.", rich_help_panel=RUN)
    ] = "small",
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a setting, such as shape.depth=8 or loss.dice_occluded=0; may be repeated.",
            metavar="A.B=V",
            rich_help_panel=RUN,
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option(help="Length of the run by the clock; 0 for the preset's steps.", rich_help_panel=RUN)
    ] = 0.0,
    init: Annotated[
        str | None,
        typer.Option(
            help="Start from a model's networks: small, a folder, or owner/name on the hub.",
            metavar="MODEL",
            rich_help_panel=RUN,
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder, exactly.", rich_help_panel=RUN)
    ] = False,
    pause: Annotated[
        float,
        typer.Option(
            help="Stop after so many minutes, to go on later with --resume; 0 for never.", rich_help_panel=RUN
        ),
    ] = 0.0,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to train.", rich_help_panel=RUN)
    ] = "auto",
    devices: Annotated[int, typer.Option(help="How many of them; they share each batch.", rich_help_panel=RUN)] = 1,
    raft_weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights of RAFT, where it is asked for; torchvision's own by default.",
            metavar="FILE",
            rich_help_panel=DATA,
            show_default=False,
        ),
    ] = None,
    lpips_weights: Annotated[
        Path | None,
        typer.Option(
            help="AlexNet's weights, where loss.perceptual counts; torchvision's own by default.",
            metavar="FILE",
            rich_help_panel=DATA,
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Processes that make batches; 0 for a thread of this one.", rich_help_panel=RUN)
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    show_traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error comes from.")] = False,
) -> None:
    """Train the networks of the method, by themselves or jointly."""
    with report_errors(show_traceback, f"its state is kept in {output}; go on with --resume"):
        from voin.training.config import PRESETS, TrainOptions, change_settings
        from voin.training.train import train as run

        config = change_settings(PRESETS[preset], [*(changes or []), *([f"minutes={minutes}"] if minutes else [])])
        options = TrainOptions(
            stage=stage,
            pack=pack,
            out=output,
            cutouts=cutouts,
            sprites=sprites,
            validation=validation,
            init=init,
            resume=resume,
            device=device,
            devices=devices,
            raft_weights=raft_weights,
            lpips_weights=lpips_weights,
            workers=workers,
            pause_minutes=pause,
            command=_command(sys.argv[1:]),
        )
        best = run(options, config, None if quiet else _say)
        if not quiet:
            out.print(f"Best weights in [bold]{escape(str(best))}[/bold]", soft_wrap=True)


def _command(words: list[str]) -> str:
    """Tell the command without folders: weights are passed on, and where somebody keeps files is nobody's business."""
    return shlex.join(["voin", *(Path(word).name if "/" in word else word for word in words)])


def _say(text: str) -> None:
    out.print(text, soft_wrap=True, highlight=False, markup=False)
