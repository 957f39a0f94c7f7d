"""`voin mask`: the visible mask of an object, from a box or clicks. What is heavy is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from rich.markup import escape

from voin.cli.console import Bars, NotingBars, out
from voin.cli.options import Quiet, VideoArgument, command, option
from voin.core.errors import count_of
from voin.jobs.options import MaskOptions, PromptOptions

MASK_EXAMPLES = """[bold]Examples[/bold]

voin mask video.mp4 -o masks --box 120,40,80,160

[dim]Two clicks on the object in frame 30, one beside it:[/dim]
voin mask video.mp4 -o masks --frame 30 --point 160,90 --point 170,150 --negative 110,150

[dim]Correct the track on frame 52:[/dim]
voin mask video.mp4 -o masks --box 120,40,80,160 --prompt "52: box 200,60,80,150"

[dim]Then:[/dim]
voin complete video.mp4 masks -o out

[dim]Or say first what hides the object, and that nothing else does:[/dim]
voin mask video.mp4 -o front --what occluder --box 60,20,40,200
voin complete video.mp4 masks -o out --occluder front"""


@command("no mask is finished in {output}; run the same command again")
def mask(
    video: VideoArgument,
    output: Annotated[Path, option("Output", "Folder for the masks, one PNG a frame.", "--output", "-o")],
    options: MaskOptions,
    marked: PromptOptions,
    quiet: Quiet = False,
) -> None:
    """Make the visible masks of an object from a box or clicks: the input of `voin complete`."""
    from voin.jobs.mask import mask as run

    with Bars(quiet) if quiet else NotingBars() as bars:
        record = run(video, marked.read(options.start), output, options, bars)
    if not quiet:
        _print_done(output, record)


def _print_done(output: Path, record: dict[str, Any]) -> None:
    """Print where the masks are, which tracker made them, and what to do next."""
    seen = sum(area > 0 for area in record["areas"])
    speed = "finished before" if record["finished_before"] else f"{record['seconds_a_frame']:.2f} s a frame"
    if "cuts_read" in record:
        out.print(escape(record["cuts_read"]))
    what, masks = record["request"].get("what", "object"), escape(str(output))
    out.print(
        f"{masks}: {count_of(record['frames'], 'mask')}, {record['tracker']}, the {what} is seen in "
        f"{count_of(seen, 'frame')}, {speed}"
    )
    if out.is_terminal:
        looked = "" if record["preview"] else "; --preview shows them"
        words = f"{masks} -o out" if what == "object" else f"MASKS -o out --occluder {masks}"
        out.print(f"Next: [bold]voin complete VIDEO {words}[/bold]{looked}")
