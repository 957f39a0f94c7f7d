"""`voin batch`: complete many clips. What is heavy is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from voin.cli import FAULT, REFUSED
from voin.cli.console import Bars, NotingBars, err, out
from voin.cli.options import Output, Quiet, argument, command, option
from voin.core.errors import count_of
from voin.jobs.options import CompleteOptions, MethodOptions, PromptOptions

BATCH_EXAMPLES = """[bold]Examples[/bold]

[dim]A table with a line for each clip: video,masks,name,start,end,order,box ...[/dim]
voin batch clips.csv -o out --workers 4

[dim]All clips that a pattern finds; in --masks each * stands for what it stood for there:[/dim]
voin batch "videos/*.mp4" --masks "masks/*" -o out

[dim]Once more what was refused, with what was mended:[/dim]
voin batch clips.csv -o out --retry-failed

[dim]The same command goes on with an interrupted batch.[/dim]"""


@command(
    "finished clips and parts are kept in {output}; run the same command again to go on",
    "close other programs, or use fewer --workers; finished clips are kept",
)
def batch(
    table: Annotated[
        str,
        argument(
            "The clips: a CSV file with a column `video` (and `masks`, `name`, options of `voin complete`), JSON lines "
            "with these as keys, or a pattern such as 'videos/*.mp4'.",
            "TABLE",
        ),
    ],
    output: Output,
    method: MethodOptions,
    options: CompleteOptions,
    marked: PromptOptions,
    masks: Annotated[
        str | None, option("Input", "With a pattern: the masks of each clip, such as 'masks/*'.", metavar="PATTERN")
    ] = None,
    workers: Annotated[int, option("Run", "Processes; each completes one clip at a time.")] = 1,
    ray: Annotated[
        str | None,
        option("Run", "Work on a Ray cluster: `local`, `auto`, or an address. (extra ray)", metavar="ADDRESS"),
    ] = None,
    retry_failed: Annotated[
        bool, option("Run", "Do again what was refused or failed before.", "--retry-failed")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Complete many clips, each into a folder of the output, with a summary of what became of them.

    Options hold for all clips; what stands in the table comes before them.
    The exit code is 2 if a clip was refused, 1 if one failed by a fault in voin.
    """
    from voin.core.errors import ValueRefusal
    from voin.jobs.batch import TABLE, counts_of, read_pattern, read_table
    from voin.jobs.batch import batch as run

    if "*" in table:
        clips = read_pattern(table, masks, options, marked)
    elif masks is not None or marked != PromptOptions():
        raise ValueRefusal(
            "masks or marks are given for a whole table",
            "each clip has its own, in the columns `masks`, `box`, `point`, ...",
            "write them there",
        )
    else:
        clips = read_table(Path(table), options)
    with Bars(quiet) if quiet else NotingBars() as bars:
        found = run(clips, output, method, workers=workers, ray=ray, retry_failed=retry_failed, progress=bars)
    counts = counts_of(found)
    if not quiet:
        _print_summary(output, found)
    if counts["refused"] or counts["failed"]:
        text = f"{escape(str(output / TABLE))} says why; mend that, then run the command again with --retry-failed"
        err.print(text, style="yellow", soft_wrap=True)
        raise typer.Exit(FAULT if counts["failed"] else REFUSED)


def _print_summary(output: Path, found: dict[str, dict[str, Any]]) -> None:
    """Print what became of each clip for people, the counts for logs."""
    from voin.jobs.batch import TABLE, counts_of

    if out.is_terminal:
        from rich.table import Table

        table = Table(box=None, padding=(0, 2, 0, 0))
        for title in ("clip", "state", "frames", "hidden pixels", "seconds", "why"):
            table.add_column(title, justify="left" if title in ("clip", "state", "why") else "right", overflow="fold")
        for name, outcome in found.items():
            colour = "green" if outcome["state"] == "done" else "red"
            numbers = (f"{outcome['frames']:,}", f"{outcome['hidden_pixels']:,}", f"{outcome['seconds']:.1f}")
            why = escape(outcome["why"][0]) if outcome["why"] else ""
            table.add_row(escape(name), f"[{colour}]{outcome['state']}[/{colour}]", *numbers, why)
        out.print(table, soft_wrap=False)
    counts = counts_of(found)
    what = ", ".join(f"{counts[state]} {state}" for state in ("done", "refused", "failed") if counts[state])
    out.print(f"{escape(str(output))}: {count_of(len(found), 'clip')}, {what}; {TABLE} lists them")
