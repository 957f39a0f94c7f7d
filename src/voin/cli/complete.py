"""The command `voin complete`. What is heavy is imported when it is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from rich.markup import escape

from voin.cli.console import Bars, NotingBars, err, out
from voin.cli.options import Output, Quiet, Show, VideoArgument, argument, command, option
from voin.core.errors import count_of
from voin.io.masks.reading import FILE_FORMS
from voin.jobs.options import CompleteOptions, MethodOptions, PromptOptions

COMPLETE_EXAMPLES = """[bold]Examples[/bold]

voin complete video.mp4 masks/ -o out

[dim]Without masks: the object is marked by a box on the first frame, and tracked:[/dim]
voin complete video.mp4 -o out --box 120,40,80,160

[dim]Frames as PNG, bit-equal to the input outside the hidden part:[/dim]
voin complete video.mp4 masks/ -o out --png

[dim]Without trained networks:[/dim]
voin complete video.mp4 masks/ -o out --method classical

[dim]Two objects, each with masks of its own:[/dim]
voin complete video.mp4 person/ dog/ -o out

[dim]Object 2 lies in front of object 1:[/dim]
voin complete video.mp4 masks/ -o out --ids 1,2 --order 2,1

[dim]The object can be hidden only behind what occluder/ shows:[/dim]
voin complete video.mp4 masks/ -o out --occluder occluder/

[dim]An interrupted run goes on when the same command is given again.[/dim]"""


@command(
    "finished parts are kept in {output}; run the same command again to go on",
    "close other programs, give a smaller video, or fewer objects at once with --ids",
)
def complete(
    video: VideoArgument,
    output: Output,
    method: Annotated[MethodOptions, Show(without=("model",))],
    options: CompleteOptions,
    marked: PromptOptions,
    masks: Annotated[
        list[Path] | None,
        argument(
            "The visible part of the object: a folder of PNGs (object ids, or white on black; or a folder an object), "
            f"a mask video, {FILE_FORMS}. One mask a "
            "frame, or fewer with names that say the frame. Several MASKS show an object each, the front-most first.",
            "MASKS",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        option(
            "Object",
            "Networks of `voin` or of a baseline: small, which ships, a folder, or owner/name on the Hugging Face hub. "
            "For a baseline of several networks it may be given several times.",
            metavar="NAME|DIR",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Complete a partly hidden object: its whole mask, its hidden pixels, the video with them."""
    from voin.jobs.complete import complete as run

    prompts = marked.read(options.start)
    given = masks[0] if masks and len(masks) == 1 else masks or None
    first, *more = model or [None]
    inpainter = replace(method, model=first).load([name for name in more if name])
    with Bars(quiet) if quiet else NotingBars() as bars:
        record = run(video, given, output, options, prompts=prompts, inpainter=inpainter, progress=bars)
    if not quiet:
        _print_done(output, record)


def _print_done(output: Path, record: dict[str, Any]) -> None:
    """Print where the result is: one line for logs, some more for people."""
    frames = count_of(record["end"] - record["start"], "frame")
    speed = "finished before" if record["finished_before"] else f"{record['frames_per_second']:.1f} frames/s"
    if out.is_terminal:
        hidden = record["totals"]["occluded"]
        sources = (
            f", of which {record['totals']['propagated'] / hidden:.0%} were seen in other frames" if hidden else ""
        )
        out.print(f"{frames}, {speed}; {count_of(hidden, 'hidden pixel')}{sources}")
        out.print(f"Result in [bold]{escape(str(output))}[/bold]; look at preview.png first")
    else:
        out.print(f"{escape(str(output))}: {frames}, {speed}")
    if record["broken"]:
        shown = ", ".join(map(str, record["broken"][:10])) + (" ..." if len(record["broken"]) > 10 else "")
        err.print(f"Did not decode, the frame before stands in its place: {shown}", style="yellow", soft_wrap=True)
