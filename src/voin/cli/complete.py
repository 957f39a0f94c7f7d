"""The command `voin complete`. What is heavy is imported when it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from voin.cli.console import Bars, err, out, report_errors
from voin.cli.options import (
    INPUT,
    OBJECT,
    OUTPUT,
    RANGE,
    DeviceOption,
    FlowOption,
    MethodOption,
    ModelOption,
    OverwriteOption,
    QuietOption,
    TracebackOption,
    WeightsOption,
)
from voin.core.errors import ValueRefusal, count_of

COMPLETE_EXAMPLES = """[bold]Examples[/bold]

voin complete video.mp4 masks/ -o out

[dim]Frames as PNG, bit-equal to the input outside the hidden part:[/dim]
voin complete video.mp4 masks/ -o out --png

[dim]Without trained networks:[/dim]
voin complete video.mp4 masks/ -o out --method classical

[dim]Object 2 lies in front of object 1:[/dim]
voin complete video.mp4 masks/ -o out --ids 1,2 --order 2,1

[dim]The object can be hidden only behind what occluder/ shows:[/dim]
voin complete video.mp4 masks/ -o out --occluder occluder/

[dim]An interrupted run goes on when the same command is given again.[/dim]"""


def complete(
    video: Annotated[
        Path,
        typer.Argument(
            help="A video file, a folder of frames (PNG, JPEG), or a GIF.", metavar="VIDEO", show_default=False
        ),
    ],
    masks: Annotated[
        Path,
        typer.Argument(
            help="The visible part of the object: a folder of PNGs (object ids, or white on black), a mask video, or "
            ".npz. One mask a frame, or fewer with names that say the frame.",
            metavar="MASKS",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the result.", rich_help_panel=OUTPUT, show_default=False)
    ],
    method: MethodOption = "voin",
    model: ModelOption = None,
    preset: Annotated[
        Literal["small", "paper"],
        typer.Option(
            help="Work in a window that follows the object, or on the whole frame, as the paper does (with --model).",
            rich_help_panel=OBJECT,
        ),
    ] = "small",
    category: Annotated[
        str | None,
        typer.Option(
            help="What the object is, such as `person`; helps methods that were trained with categories.",
            metavar="NAME",
            rich_help_panel=OBJECT,
        ),
    ] = None,
    ids: Annotated[
        str | None,
        typer.Option(help="Objects to complete, such as 1,2; all by default.", metavar="IDS", rich_help_panel=OBJECT),
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(
            help="Depth order of the objects, front-most first, such as 2,1; as numbered by default.",
            metavar="IDS",
            rich_help_panel=OBJECT,
        ),
    ] = None,
    amodal: Annotated[
        Path | None,
        typer.Option(
            help="Whole masks of the object, if you have them: any form that MASKS may have.",
            metavar="PATH",
            rich_help_panel=OBJECT,
        ),
    ] = None,
    occluder: Annotated[
        Path | None,
        typer.Option(
            help="Masks of what is in front: only there can the object be hidden.",
            metavar="PATH",
            rich_help_panel=OBJECT,
        ),
    ] = None,
    flow: FlowOption = "dis",
    raft_weights: WeightsOption = None,
    device: DeviceOption = "auto",
    png: Annotated[
        bool,
        typer.Option(
            "--png", help="Write completed/00000.png ... instead of a video: exact pixels.", rich_help_panel=OUTPUT
        ),
    ] = False,
    layer: Annotated[
        Literal["png", "mov", "webm", "none"],
        typer.Option(
            help="The whole object with alpha: pictures, a video for editing (mov) or for the web (webm), or not at "
            "all.",
            rich_help_panel=OUTPUT,
        ),
    ] = "png",
    save_flow: Annotated[
        bool, typer.Option("--save-flow", help="Write the completed motion to flow/.", rich_help_panel=OUTPUT)
    ] = False,
    save_confidence: Annotated[
        bool,
        typer.Option(
            "--save-confidence",
            help="Write how sure each pixel of the object is to confidence/: white was seen, black is invented.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    crf: Annotated[int, typer.Option(help="Quality of the video: 0 is best, 51 worst.", rich_help_panel=OUTPUT)] = 18,
    x264_preset: Annotated[
        str,
        typer.Option(
            "--x264-preset",
            help="Speed of x264, ultrafast to veryslow: slower makes smaller files.",
            metavar="NAME",
            rich_help_panel=OUTPUT,
        ),
    ] = "veryfast",
    lossless: Annotated[
        bool,
        typer.Option(
            "--lossless", help="Keep every pixel value in the video (large; not for browsers).", rich_help_panel=OUTPUT
        ),
    ] = False,
    start: Annotated[int, typer.Option(help="First frame to complete.", metavar="FRAME", rich_help_panel=RANGE)] = 0,
    end: Annotated[
        int | None,
        typer.Option(help="Frame to stop before; the last one by default.", metavar="FRAME", rich_help_panel=RANGE),
    ] = None,
    cuts: Annotated[
        str,
        typer.Option(
            help="Scene cuts: auto finds them, none says there are none, a text file lists the frames that start a "
            "shot.",
            metavar="auto|none|FILE",
            rich_help_panel=RANGE,
        ),
    ] = "auto",
    resize_masks: Annotated[
        bool,
        typer.Option("--resize-masks", help="Scale masks of another size to the video's.", rich_help_panel=INPUT),
    ] = False,
    mask_frames: Annotated[
        str | None,
        typer.Option(
            help="Frames that the masks belong to, such as 0,5,10 or 0-70:5.", metavar="FRAMES", rich_help_panel=INPUT
        ),
    ] = None,
    absent: Annotated[
        Literal["invisible", "error"],
        typer.Option(
            help="What a frame without a mask means: the object is not visible there, or it is a mistake.",
            rich_help_panel=INPUT,
        ),
    ] = "invisible",
    skip_broken: Annotated[
        bool,
        typer.Option(
            "--skip-broken", help="Show the frame before in place of one that does not decode.", rich_help_panel=INPUT
        ),
    ] = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
    show_traceback: TracebackOption = False,
) -> None:
    """Complete a partly hidden object: its whole mask, its hidden pixels, the video with them."""
    with report_errors(show_traceback, f"finished parts are kept in {output}; run the same command again to go on"):
        from voin.io.video import Quality
        from voin.jobs.complete import complete as run
        from voin.jobs.options import CompleteOptions
        from voin.method.load import load

        options = CompleteOptions(
            category=category,
            amodal=amodal,
            occluder=occluder,
            ids=_numbers("--ids", ids),
            order=_numbers("--order", order),
            png=png,
            layer=layer,
            save_flow=save_flow,
            save_confidence=save_confidence,
            start=start,
            end=end,
            cuts=cuts if cuts in ("auto", "none") else Path(cuts),
            quality=Quality(crf=crf, preset=x264_preset, lossless=lossless),
            resize_masks=resize_masks,
            mask_frames=mask_frames,
            absent=absent,
            skip_broken=skip_broken,
            overwrite=overwrite,
        )
        inpainter = load(method, model=model, preset=preset, flow=flow, raft_weights=raft_weights, device=device)
        with Bars(quiet) as bars:
            record = run(video, masks, output, options, inpainter=inpainter, progress=bars)
        if not quiet:
            _say_done(output, record)


def _numbers(option: str, text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise ValueRefusal(f"{option} is {text!r}", "it must be object ids with commas between", "write 1,2") from None


def _say_done(output: Path, record: dict[str, Any]) -> None:
    """Say where the result is: one line for logs, some more for people."""
    frames = count_of(record["end"] - record["start"], "frame")
    speed = "finished before" if record["finished_before"] else f"{record['frames_per_second']:.1f} frames/s"
    if out.is_terminal:
        hidden = record["totals"]["occluded"]
        sources = (
            f", of which {record['totals']['propagated'] / hidden:.0%} were seen in other frames" if hidden else ""
        )
        out.print(f"{frames}, {speed}; {count_of(hidden, 'hidden pixel')}{sources}", soft_wrap=True)
        out.print(f"Result in [bold]{escape(str(output))}[/bold]; look at preview.png first", soft_wrap=True)
    else:
        out.print(f"{escape(str(output))}: {frames}, {speed}", soft_wrap=True)
    if record["broken"]:
        shown = ", ".join(map(str, record["broken"][:10])) + (" ..." if len(record["broken"]) > 10 else "")
        err.print(f"Did not decode, the frame before stands in its place: {shown}", style="yellow", soft_wrap=True)
