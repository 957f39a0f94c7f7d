"""The commands `voin masks ...`: look at masks, and convert them. What is heavy is imported when it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from voin.cli.console import Bars, out
from voin.cli.options import Json, Quiet, VideoArgument, argument, command, option
from voin.core.errors import count_of
from voin.io.limits import VideoLimits
from voin.io.masks.export.options import ConvertOptions

masks_app = typer.Typer(name="masks", no_args_is_help=True, help="Look at masks, and convert them, without a run.")


@masks_app.command(
    epilog="""[bold]Examples[/bold]

voin masks check video.mp4 masks/

[dim]With a contact sheet:[/dim]
voin masks check video.mp4 instances.json -o sheet.png"""
)
@command()
def check(
    video: VideoArgument,
    limits: VideoLimits,
    masks: Annotated[list[Path], argument("Masks in any form that `voin complete` takes, or several.", "MASKS")],
    output: Annotated[
        Path | None,
        option("Output", "Also write a contact sheet: frames with outlines.", "--output", "-o", metavar="SHEET.png"),
    ] = None,
    mask_frames: Annotated[
        str | None, option("Input", "Frames that the masks belong to, such as 0,5,10 or 0-70:5.", metavar="FRAMES")
    ] = None,
    resize_masks: Annotated[
        bool, option("Input", "Scale masks of another size to the video's.", "--resize-masks")
    ] = False,
    invert_masks: Annotated[bool, option("Input", "Take what is black for the object.", "--invert-masks")] = False,
    as_json: Json = False,
) -> None:
    """Print how masks are understood: how they match the frames, ids and their shares, frames without one."""
    import json

    from voin.io.masks.check import check_masks
    from voin.io.masks.frames import write_frames

    with Bars(as_json) as bars:
        found = check_masks(
            video,
            masks,
            output,
            frames=mask_frames,
            resize=resize_masks,
            invert=invert_masks,
            limits=limits,
            progress=bars,
        )
    if as_json:
        out.out(json.dumps(found, indent=2))
        return
    out.print(escape(found["line"]), soft_wrap=True)
    for number, about in found["objects"].items():
        name = f" {about['category']}" if about["category"] else ""
        seen = f"seen in {count_of(about['frames'], 'frame')}, {about['share']:.1%} of the frame there"
        out.print(escape(f"  object {number}{name}: {seen}"), soft_wrap=True)
    if found["missing"]:
        out.print(f"  without a mask: {write_frames(found['missing'])}", soft_wrap=True)
    if output is not None:
        out.print(f"  sheet: {escape(str(output))}", soft_wrap=True)


@masks_app.command(
    epilog="""[bold]Examples[/bold]

[dim]A folder of PNGs as COCO, with run lengths:[/dim]
voin masks convert masks/ -o instances.json

[dim]A COCO file as a folder of indexed PNGs:[/dim]
voin masks convert instances.json -o masks

[dim]For CVAT, as polygons that can be edited; the video says how many frames there are:[/dim]
voin masks convert masks/ -o annotations.xml --polygons --video video.mp4

[dim]Two objects as a folder each:[/dim]
voin masks convert person.mkv dog.mkv -o both --to folders"""
)
@command("nothing was written")
def convert(
    masks: Annotated[list[Path], argument("Masks in any form that `voin complete` takes, or several.", "MASKS")],
    output: Annotated[Path, option("Output", "File or folder to write; it must not exist.", "--output", "-o")],
    options: ConvertOptions,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write masks in another form, read them back, and say what was kept."""
    import json

    from voin.io.masks.export.convert import convert_masks

    with Bars(quiet or as_json) as bars:
        found = convert_masks(masks, output, options, bars)
    if as_json:
        out.out(json.dumps(found, indent=2))
    elif not quiet:
        out.print(escape(found["masks"]["line"]), soft_wrap=True)
        out.print(f"{escape(str(output))}: {found['format']}, {count_of(found['frames'], 'frame')}", soft_wrap=True)
        out.print(escape(found["line"]), soft_wrap=True)
