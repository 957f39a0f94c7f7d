"""`voin mask`: the visible mask of an object, from a box or clicks. What is heavy is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from voin.cli.console import Bars, out
from voin.cli.options import Quiet, VideoArgument, command
from voin.core.errors import count_of
from voin.jobs.options import MaskOptions

if TYPE_CHECKING:
    from voin.tracking.prompts import Prompt

MASK_EXAMPLES = """[bold]Examples[/bold]

voin mask video.mp4 -o masks --box 120,40,80,160

[dim]Two clicks on the object in frame 30, one beside it:[/dim]
voin mask video.mp4 -o masks --frame 30 --point 160,90 --point 170,150 --negative 110,150

[dim]Correct the track on frame 52:[/dim]
voin mask video.mp4 -o masks --box 120,40,80,160 --prompt "52: box 200,60,80,150"

[dim]Then:[/dim]
voin complete video.mp4 masks -o out"""


@command("no mask is finished in {output}; run the same command again")
def mask(
    video: VideoArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the masks, one PNG a frame.", rich_help_panel="Output")
    ],
    options: MaskOptions,
    box: Annotated[
        str | None,
        typer.Option(
            help="A box around the whole visible object: its upper left pixel, its width and height.",
            metavar="X,Y,W,H",
            rich_help_panel="Object",
        ),
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(help="A pixel on the object; may be repeated.", metavar="X,Y", rich_help_panel="Object"),
    ] = None,
    negative: Annotated[
        list[str] | None,
        typer.Option(
            help="A pixel that does not belong to the object; may be repeated.", metavar="X,Y", rich_help_panel="Object"
        ),
    ] = None,
    frame: Annotated[
        int | None,
        typer.Option(
            help="The frame of --box, --point and --negative; the first one tracked by default.",
            metavar="FRAME",
            rich_help_panel="Object",
        ),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            help="All that is marked on another frame, such as '52: box 200,60,80,150 not 190,70'; corrects the track. "
            "May be repeated.",
            metavar="PROMPT",
            rich_help_panel="Object",
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="Prompts as a JSON file: a list such as [{'frame': 52, 'box': [200, 60, 80, 150]}].",
            metavar="FILE",
            rich_help_panel="Object",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Make the visible masks of an object from a box or clicks: the input of `voin complete`."""
    from voin.jobs.mask import mask as run

    first = options.start if frame is None else frame
    given = _prompts(box, point or [], negative or [], first, prompt or [], prompts)
    with Bars(quiet) as bars:
        record = run(video, given, output, options, bars)
    if not quiet:
        _print_done(output, record)


def _prompts(
    box: str | None, points: list[str], negative: list[str], frame: int, texts: list[str], path: Path | None
) -> list[Prompt]:
    """Return what all options mark, together."""
    from voin.tracking.prompts import Prompt, parse_box, parse_point, parse_prompt, read_prompts

    found = []
    if box is not None or points or negative:
        on, off = (tuple(parse_point(text) for text in given) for given in (points, negative))
        found.append(Prompt(frame, parse_box(box) if box is not None else None, on, off))
    return [*found, *(parse_prompt(text) for text in texts), *(read_prompts(path) if path is not None else ())]


def _print_done(output: Path, record: dict[str, Any]) -> None:
    """Print where the masks are, which tracker made them, and what to do next."""
    seen = sum(area > 0 for area in record["areas"])
    speed = "finished before" if record["finished_before"] else f"{record['seconds_a_frame']:.2f} s a frame"
    out.print(
        f"{escape(str(output))}: {count_of(record['frames'], 'mask')}, {record['tracker']}, the object is seen in "
        f"{count_of(seen, 'frame')}, {speed}",
        soft_wrap=True,
    )
    if out.is_terminal:
        looked = "" if record["preview"] else "; --preview shows them"
        out.print(f"Next: [bold]voin complete VIDEO {escape(str(output))} -o out[/bold]{looked}", soft_wrap=True)
