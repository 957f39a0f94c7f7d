"""Options that several commands have, and the panels that help sorts them into. Only typer is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

OBJECT, MOTION, OUTPUT, RANGE, INPUT, RUN = "Object", "Motion", "Output", "Which frames", "Input", "Run"
Flow = Literal["dis", "raft-small", "raft-large"]
MethodOption = Annotated[
    str,
    typer.Option(
        help="How to complete: `voin` with trained networks, or `classical`, which needs no weights.",
        metavar="NAME",
        rich_help_panel=OBJECT,
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        help="Networks of `voin`: small, which ships, a folder, or owner/name on the Hugging Face hub.",
        metavar="NAME|DIR",
        rich_help_panel=OBJECT,
    ),
]
FlowOption = Annotated[
    Flow,
    typer.Option(help="Optical flow: DIS is fast on a CPU; RAFT wants a GPU.", rich_help_panel=MOTION),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        help="Weights of RAFT as a file; torchvision downloads them otherwise.", metavar="FILE", rich_help_panel=MOTION
    ),
]
DeviceOption = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    typer.Option(help="Where to compute; auto takes the best there is.", rich_help_panel=MOTION),
]
TracebackOption = Annotated[
    bool, typer.Option("--traceback", help="Show where an error comes from.", rich_help_panel=RUN)
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.", rich_help_panel=RUN)]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace another run in the output folder.", rich_help_panel=RUN)
]
