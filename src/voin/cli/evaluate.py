"""`voin evaluate`: compare methods on a VOI set. What is heavy is imported when the command runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from voin.benchmark.options import EvaluateOptions
from voin.cli import FAULT
from voin.cli.console import Bars, err, out
from voin.cli.options import Output, Quiet, SetArgument, Show, command, option
from voin.core.errors import ValueRefusal, count_of
from voin.jobs.options import MethodOptions

EXAMPLES = """[bold]Examples[/bold]

voin evaluate VOI-DAVIS --methods telea,copy,classical,visible,hull -o out

[dim]A look at three clips, on two cores:[/dim]
voin evaluate VOI-DAVIS --clips 3 --workers 2 -o out

[dim]What each network is worth: `voin` with one of them exchanged for its classical part:[/dim]
voin evaluate VOI-DAVIS --methods voin,voin-classical-shape,voin-classical-flow,voin-classical-fill -o out

[dim]A baseline of the paper, trained by `voin train sttn`, beside ours:[/dim]
voin evaluate VOI-DAVIS --methods sttn,voin --baseline-model runs/sttn/best -o out

[dim]Networks of the paper's size, on whole frames as they were trained:[/dim]
voin evaluate VOI --methods voin --model runs/joint/best --preset paper -o out

[dim]Your own method, class Mine in my_method.py of this folder, beside ours:[/dim]
voin evaluate VOI-DAVIS --methods classical,mine=my_method:Mine -o out

[dim]Frames that another program wrote, theirs/CLIP/00000.png:[/dim]
voin evaluate VOI-DAVIS --methods telea --results theirs=theirs -o out

[dim]With damaged visible masks, too:[/dim]
voin evaluate VOI-DAVIS --methods telea,classical --degrade -o out

[dim]The same command goes on with an interrupted evaluation; one with a method more does that one.[/dim]"""


@command(
    "finished scores are kept in {output}; run the same command again to go on",
    "close other programs, or use fewer --workers; finished scores are kept",
)
def evaluate(
    voi_set: SetArgument,
    output: Output,
    loading: Annotated[MethodOptions, Show(without=("method",), panel="Methods")],
    options: EvaluateOptions,
    methods: Annotated[
        str,
        option(
            "Methods",
            "Methods, with commas between: telea, copy, visible, hull, the trained sttn, lgtsm, dfvi, fgvc, pcnet, "
            "pcnet-m, pcnet-c, pcnet-mc, voin, voin-classical-shape (-flow, -fill), classical, or your own as "
            "module:attribute. NAME=METHOD names the row; '' is none.",
            metavar="A,B,...",
        ),
    ] = "telea,copy,classical,visible,hull",
    results: Annotated[
        list[str] | None,
        option(
            "Methods",
            "Somebody else's results: DIR/CLIP/00000.png, and DIR/amodal/CLIP/00000.png if they are end to end. "
            "May be given several times.",
            metavar="NAME=DIR",
        ),
    ] = None,
    baseline_model: Annotated[
        list[str] | None,
        option(
            "Methods",
            "Networks of the trained baselines, from `voin train`: each takes its own from the first folder that has "
            "them. May be given several times.",
            metavar="DIR",
        ),
    ] = None,
    degrade: Annotated[
        bool, option("What is judged", "Repeat it with damaged visible masks: 16 times the work.", "--degrade")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Compare methods on a VOI set: tables, curves, a page with pictures and videos.

    `given`: the true whole mask goes in, and the pixels are judged.
    `end-to-end`: only the visible mask goes in, and shape and pixels are judged.
    The exit code is 1 if a method failed on a clip; it then counts as nothing done.
    """
    from voin.baselines.load import load_method
    from voin.baselines.method import Resources
    from voin.benchmark.corrupt import standard
    from voin.benchmark.evaluate import evaluate as compare
    from voin.data.sets import open_set

    if options.references.lpips_weights is not None:
        options = replace(options, references=replace(options.references, lpips=True))
    if degrade:
        options = replace(options, corruptions=standard())
    resources = Resources(
        model=loading.model,
        baseline_models=tuple(baseline_model or ()),
        preset=loading.preset,
        flow=loading.flow,
        raft_weights=loading.raft_weights,
        device=loading.device,
        certainty=loading.certainty,
    )
    named = _named("--methods", methods.split(",") if methods else [])
    chosen = {name: load_method(method, resources) for name, method in named.items()}
    folders = {name: Path(folder) for name, folder in _named("--results", results or [], named=True).items()}
    with Bars(quiet) as bars:
        found = compare(open_set(voi_set), chosen, output, options, results=folders, progress=bars)
    if not quiet:
        _print_done(output, found)
    if found["failures"]:
        _print_failures(output, found)
        raise typer.Exit(FAULT)


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


def _print_done(output: Path, found: dict[str, Any]) -> None:
    """Print the tables for people, one line for logs."""
    what = f"{count_of(found['set']['clips'], 'clip')}, {count_of(found['set']['frames'], 'frame')}"
    if not out.is_terminal:
        out.print(f"{escape(str(output))}: {what}, {count_of(found['failures'], 'failure')}")
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
        out.print(table, soft_wrap=False)
        out.print()
    for note in found["notes"]:
        out.print(escape(note), style="dim")
    out.print(f"{what}; open [bold]{escape(str(output / 'index.html'))}[/bold] in a browser")


def _print_failures(output: Path, found: dict[str, Any]) -> None:
    """Print what failed, where it is not the data but the method."""
    from voin.benchmark.tables import failures_of

    lines = failures_of(found)
    err.print(f"A method failed {count_of(found['failures'], 'time')}; it counts as nothing done:", style="yellow")
    for line in lines[:5]:
        err.print(f"  {escape(line)}", soft_wrap=True)
    err.print(f"All of them, with their tracebacks, are in {escape(str(output / '.scores'))}", soft_wrap=True)
