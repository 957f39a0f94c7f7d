"""`voin demo` and `voin bench`: the main job on clips of ours. What is heavy is imported when they run."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any, Literal

from rich.markup import escape

from voin.cli.console import Bars, out
from voin.cli.options import Json, Output, Overwrite, Quiet, Show, command, option
from voin.core.errors import count_of
from voin.jobs.options import BenchConfig, MethodOptions

DEMO_EXAMPLES = """[bold]Examples[/bold]

voin demo

voin demo --clip bicycle -o bicycle-demo

[dim]With the networks, which fill the bicycle's open frame:[/dim]
voin demo --method voin"""
BENCH_EXAMPLES = """[bold]Examples[/bold]

voin bench

voin bench --method classical --size 1280x720 --frames 300 --json

[dim]How much is left of it beside two busy programs:[/dim]
voin bench --size 640x360 --beside 2

[dim]Where the time goes; open the file at ui.perfetto.dev or chrome://tracing:[/dim]
voin bench --size 640x360 --profile trace.json"""


@command("finished parts are kept in {output}; run the same command again to go on")
def demo(
    output: Output = Path("demo-out"),
    clip: Annotated[
        Literal["bicycle", "cyclist", "all"],
        option("Input", "Which shot: a parked bicycle, a waiting cyclist, or both."),
    ] = "all",
    # The shape network fills what is open, such as a bicycle's frame.
    method: Annotated[MethodOptions, Show(without=("preset", "certainty"))] = MethodOptions(method="classical"),
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Complete two objects of a real clip and write a page with before and after."""
    from voin.jobs.demo import choose_shots, find_clip, run_demo

    shots = choose_shots([clip])
    find_clip()  # before the imports that take long
    inpainter = method.load()
    began = time.perf_counter()
    with Bars(quiet) as bars:
        page = run_demo(output, inpainter, shots, overwrite=overwrite, progress=bars, begin=bars.part)
    if not quiet:
        frames = count_of(sum(shot.end - shot.start for shot in shots), "frame")
        out.print(f"{frames} in {time.perf_counter() - began:.0f} s")
        out.print(f"Open [bold]{escape(str(page.resolve()))}[/bold] in a browser: before and after")


@command("nothing is kept of a benchmark", "close other programs, or give a smaller --size")
def bench(
    config: Annotated[BenchConfig, Show(without=("preset", "certainty"))], as_json: Json = False, quiet: Quiet = False
) -> None:
    """Measure the main job on a synthetic clip: seconds per stage, frames a second, peak memory."""
    from voin.jobs.speed import bench as measure

    with Bars(quiet) as bars:
        found = measure(config, bars)
    if as_json:
        out.out(json.dumps(found, indent=2))
    else:
        _show_bench(found)


def _show_bench(found: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    for stage, seconds in found["stages"].items():
        table.add_row(stage, f"{seconds:.2f} s", f"{1000 * seconds / found['frames']:.1f} ms a frame")
    table.add_section()
    table.add_row("end to end", f"{found['seconds']:.2f} s", "stages may overlap")
    table.add_row("frames a second", f"{found['frames_per_second']:.1f}")
    table.add_row("first frame", f"{found['first_frame_seconds']:.2f} s", "from the start of the job's process")
    limit = found["limit_seconds"]
    table.add_row(
        "limit", f"{limit:.2f} s", f"decoding and encoding alone: {found['frames'] / limit:.1f} frames a second"
    )
    if beside := found["beside"]:
        left = f"{beside['ratio']:.2f} of that, beside {count_of(beside['processes'], 'busy program')}"
        table.add_row("beside others", f"{beside['frames_per_second']:.1f}", left)
    peak = found["peak_memory"]
    table.add_row("peak memory", "unknown" if peak is None else f"{peak / 1e6:.0f} MB", "of the job's process")
    share = f"{100 * found['share']:.3g} % of the frame"
    what = f"{found['method']}, {found['frames']} frames of {found['size']}, object {share}"
    out.print(f"{what}, {found['flow']}, {found['cores']} cores")
    out.print(table, soft_wrap=False)
    if found["functions"]:
        out.print(_function_table(found["functions"]), soft_wrap=False)


def _function_table(functions: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), caption="While profilers watch, small functions seem slower.")
    table.add_column("function", style="bold", no_wrap=True)
    for title in ("calls", "own seconds", "with what it calls"):
        table.add_column(title, justify="right")
    for row in functions[:25]:
        table.add_row(
            escape(row["function"]), f"{row['calls']:,}", f"{row['own_seconds']:.2f}", f"{row['seconds']:.2f}"
        )
    return table
