"""`voin evaluate`: compare methods on a VOI set. What is heavy is imported when the command runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from voin.cli.console import FAULT, Bars, err, out, report_errors
from voin.core.errors import ValueRefusal, count_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from voin.method.pipeline import Completion

METHODS, JUDGED, OUTPUT, CLIPS, RUN = "Methods", "What is judged", "Output", "Which clips", "Run"
EXAMPLES = """[bold]Examples[/bold]

voin evaluate VOI-DAVIS --methods telea,copy,classical,visible,hull -o out

[dim]A look at three clips, on two cores:[/dim]
voin evaluate VOI-DAVIS --clips 3 --workers 2 -o out

[dim]What each network is worth: `voin` with one of them exchanged for its classical part:[/dim]
voin evaluate VOI-DAVIS --methods voin,voin-classical-shape,voin-classical-flow,voin-classical-fill -o out

[dim]Your own method, class Mine in my_method.py of this folder, beside ours:[/dim]
voin evaluate VOI-DAVIS --methods classical,mine=my_method:Mine -o out

[dim]Frames that another program wrote, theirs/CLIP/00000.png:[/dim]
voin evaluate VOI-DAVIS --methods telea --results theirs=theirs -o out

[dim]With damaged visible masks, too:[/dim]
voin evaluate VOI-DAVIS --methods telea,classical --degrade -o out

[dim]The same command goes on with an interrupted evaluation; one with a method more does that one.[/dim]"""


def evaluate(
    voi_set: Annotated[
        Path, typer.Argument(help="A set that `voin data build` made.", metavar="SET", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the result.", rich_help_panel=OUTPUT, show_default=False)
    ],
    methods: Annotated[
        str,
        typer.Option(
            help="Methods, with commas between: telea, copy, visible, hull, voin, voin-classical-shape (-flow, -fill), "
            "classical, or your own as module:attribute. NAME=METHOD names the row; '' is none.",
            metavar="A,B,...",
            rich_help_panel=METHODS,
        ),
    ] = "telea,copy,classical,visible,hull",
    results: Annotated[
        list[str] | None,
        typer.Option(
            help="Somebody else's results: DIR/CLIP/00000.png, and DIR/amodal/CLIP/00000.png if they are end to end. "
            "May be given several times.",
            metavar="NAME=DIR",
            rich_help_panel=METHODS,
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Networks of `voin` and its variants: small, which ships, a folder, or owner/name on the hub.",
            metavar="NAME|DIR",
            rich_help_panel=METHODS,
        ),
    ] = None,
    flow: Annotated[
        Literal["dis", "raft-small", "raft-large"],
        typer.Option(help="Optical flow of `voin` and `classical`.", rich_help_panel=METHODS),
    ] = "dis",
    raft_weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights of that RAFT as a file; torchvision downloads them otherwise.",
            metavar="FILE",
            rich_help_panel=METHODS,
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        typer.Option(help="Where `voin` and `classical` compute.", rich_help_panel=METHODS),
    ] = "auto",
    setting: Annotated[
        Literal["given", "end-to-end", "both"],
        typer.Option(help="Whether the whole mask is given to the methods.", rich_help_panel=JUDGED),
    ] = "both",
    degrade: Annotated[
        bool,
        typer.Option(
            "--degrade", help="Repeat it with damaged visible masks: 16 times the work.", rich_help_panel=JUDGED
        ),
    ] = False,
    flow_truth: Annotated[
        Literal["none", "raft-small", "raft-large"],
        typer.Option(
            help="What estimates the true motion, for flow error and warp error; none leaves them out.",
            rich_help_panel=JUDGED,
        ),
    ] = "none",
    flow_truth_weights: Annotated[
        Path | None,
        typer.Option(
            help="Its weights as a file; torchvision downloads them otherwise.", metavar="FILE", rich_help_panel=JUDGED
        ),
    ] = None,
    lpips: Annotated[
        bool,
        typer.Option("--lpips", help="Scorer LPIPS, with weights that torchvision downloads.", rich_help_panel=JUDGED),
    ] = False,
    lpips_weights: Annotated[
        Path | None,
        typer.Option(help="Scorer LPIPS, with AlexNet's weights from a file.", metavar="FILE", rich_help_panel=JUDGED),
    ] = None,
    split: Annotated[
        Literal["train", "validation", "all"], typer.Option(help="Clips of this split.", rich_help_panel=CLIPS)
    ] = "validation",
    clips: Annotated[
        str | None,
        typer.Option(
            help="The first N clips, or these, such as bear,dog; all by default.",
            metavar="N|NAMES",
            rich_help_panel=CLIPS,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the damaged masks.", rich_help_panel=JUDGED)] = 0,
    workers: Annotated[int, typer.Option(help="Processes, each on one thread.", rich_help_panel=RUN)] = 1,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Make pictures and videos.", rich_help_panel=OUTPUT)
    ] = True,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Score everything again.", rich_help_panel=RUN)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but errors.", rich_help_panel=RUN)
    ] = False,
    show_traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where an error comes from.", rich_help_panel=RUN)
    ] = False,
) -> None:
    """Compare methods on a VOI set: tables, curves, a page with pictures and videos.

    `given`: the true whole mask goes in, and the pixels are judged.
    `end-to-end`: only the visible mask goes in, and shape and pixels are judged.
    The exit code is 1 if a method failed on a clip; it then counts as nothing done.
    """
    with report_errors(show_traceback, f"finished scores are kept in {output}; run the same command again to go on"):
        from voin.baselines.load import load_method
        from voin.benchmark.corrupt import standard
        from voin.benchmark.evaluate import EvaluateOptions
        from voin.benchmark.evaluate import evaluate as compare
        from voin.benchmark.scoring import References
        from voin.data.sets import open_set

        options = EvaluateOptions(
            settings=("given", "end to end") if setting == "both" else (setting.replace("-", " "),),
            split=None if split == "all" else split,
            clips=_clips(clips),
            damages=standard() if degrade else (),
            seed=seed,
            workers=workers,
            references=References(lpips or lpips_weights is not None, lpips_weights, flow_truth, flow_truth_weights),
            pictures=pictures,
            overwrite=overwrite,
        )
        chosen: dict[str, Callable[..., Completion]] = {}
        for name, method in _named("--methods", methods.split(",") if methods else []).items():
            chosen[name] = load_method(method, model=model, flow=flow, raft_weights=raft_weights, device=device)
        folders = {name: Path(folder) for name, folder in _named("--results", results or [], named=True).items()}
        with Bars(quiet) as bars:
            found = compare(open_set(voi_set), chosen, output, options, results=folders, progress=bars)
        if not quiet:
            _say_done(output, found)
        if found["failures"]:
            _say_failures(output, found)
            raise typer.Exit(FAULT)


def _clips(text: str | None) -> tuple[str, ...] | int | None:
    if text is None:
        return None
    return int(text) if text.isdecimal() else tuple(name.strip() for name in text.split(",") if name.strip())


def _named(option: str, words: list[str], named: bool = False) -> dict[str, str]:
    """Read NAME=VALUE; without a name, the value or what stands behind its colon is the name."""
    found: dict[str, str] = {}
    for word in (word.strip() for word in words):
        name, equals, value = word.partition("=")
        if not word or not name or (named and not value) or (equals and not value):
            form = "NAME=DIR" if named else "names with commas between, or NAME=METHOD"
            raise ValueRefusal(f"{option} has {word!r}", f"it must be {form}", "correct it")
        if not equals:
            name, value = word.rpartition(":")[2], word
        if name in found:
            raise ValueRefusal(f"{option} has {name} twice", "each row needs a name of its own", f"write OTHER={value}")
        found[name] = value
    return found


def _say_done(output: Path, found: dict[str, Any]) -> None:
    """Show the tables to people, one line to logs."""
    own = found["set"]
    what = f"{count_of(own['clips'], 'clip')}, {count_of(own['frames'], 'frame')}"
    if not out.is_terminal:
        out.print(f"{escape(str(output))}: {what}, {count_of(found['failures'], 'failure')}", soft_wrap=True)
        return
    from rich.table import Table

    from voin.benchmark.tables import AVERAGES, HEADINGS, main_grid

    average = next(iter(AVERAGES))
    for setting in found["tables"]:
        grid = main_grid(found, setting, average)
        table = Table(box=None, padding=(0, 2, 0, 0), title=f"{HEADINGS[setting]}, {AVERAGES[average]}")
        table.title_justify = "left"
        for i, text in enumerate(grid.head):
            table.add_column(escape(text), justify="right" if i else "left", vertical="bottom")
        for i, row in enumerate(grid.rows):
            table.add_row(
                *(f"[bold]{escape(t)}[/bold]" if (i, j) in grid.best else escape(t) for j, t in enumerate(row))
            )
        out.print(table)
        out.print()
    for note in found["notes"]:
        out.print(escape(note), style="dim", soft_wrap=True)
    out.print(f"{what}; open [bold]{escape(str(output / 'index.html'))}[/bold] in a browser", soft_wrap=True)


def _say_failures(output: Path, found: dict[str, Any]) -> None:
    """Say what failed, where it is not the data but the method."""
    from voin.benchmark.tables import failures_of

    lines = failures_of(found)
    err.print(f"A method failed {count_of(found['failures'], 'time')}; it counts as nothing done:", style="yellow")
    for line in lines[:5]:
        err.print(f"  {escape(line)}", soft_wrap=True)
    err.print(f"All of them, with their tracebacks, are in {escape(str(output / '.scores'))}", soft_wrap=True)
