"""The commands `voin data ...`: build a VOI set and check one. What is heavy is imported when a command needs it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from voin.terminal import FAULT, Bars, count_of, err, out, told

data_app = typer.Typer(
    name="data",
    no_args_is_help=True,
    help="Build and check VOI sets: videos of whole objects with occluders put before them; the truth is known.",
)

OUTPUT, SOURCE, KEEP, RUN = "Output", "Source", "Which objects are kept", "Run"
_MOST_FAULTS = 50  # shown


@data_app.command(
    epilog="""[bold]Examples[/bold]

voin data build DAVIS -o voi-davis --layout davis --seed 0

voin data build YouTube-VOS -o youtube-voi --layout youtube-vos --seed 0 --workers 16

[dim]On many machines that see the same folders:[/dim]
voin data build YouTube-VOS -o youtube-voi --layout youtube-vos --seed 0 --ray auto

[dim]An interrupted build goes on when the same command is given again.[/dim]"""
)
def build(
    source: Annotated[
        Path,
        typer.Argument(help="The folder of the data set.", metavar="SOURCE", show_default=False),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the set.", rich_help_panel=OUTPUT, show_default=False)
    ],
    layout: Annotated[
        Literal["youtube-vos", "davis", "folder"],
        typer.Option(
            help="How the source is laid out; `folder` is VIDEO/frames and VIDEO/masks.",
            rich_help_panel=SOURCE,
            show_default=False,
        ),
    ],
    seed: Annotated[int, typer.Option(help="The same seed gives the same set.", rich_help_panel=OUTPUT)] = 0,
    size: Annotated[
        str, typer.Option(help="Size that all clips are scaled to.", metavar="WIDTHxHEIGHT", rich_help_panel=OUTPUT)
    ] = "384x216",
    split: Annotated[
        Literal["both", "train", "validation"], typer.Option(help="Build only one split.", rich_help_panel=OUTPUT)
    ] = "both",
    share_validation: Annotated[
        float,
        typer.Option(
            help="Share of the videos for validation, where the source has no split of its own.",
            rich_help_panel=OUTPUT,
        ),
    ] = 0.1,
    composites: Annotated[
        bool,
        typer.Option(
            "--composites", help="Also write the input frames as PNGs, for other programs.", rich_help_panel=OUTPUT
        ),
    ] = False,
    most_frames: Annotated[
        int, typer.Option(help="Longer clips end after so many frames.", rich_help_panel=KEEP)
    ] = 200,
    least_frames: Annotated[int, typer.Option(help="Frames that must show the object.", rich_help_panel=KEEP)] = 8,
    least_area: Annotated[
        float, typer.Option(help="Share of the frame that it must take, median.", rich_help_panel=KEEP)
    ] = 0.005,
    most_border: Annotated[
        float, typer.Option(help="Share of frames in which the border may cut it off.", rich_help_panel=KEEP)
    ] = 0.25,
    most_jumps: Annotated[
        float, typer.Option(help="Share of frames in which its area may jump.", rich_help_panel=KEEP)
    ] = 0.03,
    most_pieces: Annotated[
        float, typer.Option(help="Share of frames in which it may be in pieces.", rich_help_panel=KEEP)
    ] = 0.1,
    workers: Annotated[int, typer.Option(help="Processes; each holds one clip.", rich_help_panel=RUN)] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            help="Work on a Ray cluster: `local` for one on this machine with as many CPUs as --workers, `auto`, or an "
            "address.",
            metavar="ADDRESS",
            rich_help_panel=RUN,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another set in the output folder.", rich_help_panel=RUN)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but errors.", rich_help_panel=RUN)
    ] = False,
    show_traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where an error comes from.", rich_help_panel=RUN)
    ] = False,
) -> None:
    """Build a set from videos with masks: frames, whole and visible masks, occluders, and a manifest."""
    with told(show_traceback, f"finished clips are kept in {output}; run the same command again to go on"):
        from voin.bench import parse_size
        from voin.build import build as build_set
        from voin.build import reasons
        from voin.clip_build import BuildConfig
        from voin.clip_filter import FilterConfig

        config = BuildConfig(
            layout=layout,
            seed=seed,
            size=parse_size(size),
            share_validation=share_validation,
            split=None if split == "both" else split,
            composites=composites,
            most_frames=most_frames,
            filters=FilterConfig(
                least_frames=least_frames,
                least_area=least_area,
                most_border=most_border,
                most_jumps=most_jumps,
                most_pieces=most_pieces,
            ),
        )
        began = time.perf_counter()
        with Bars(quiet) as bars:
            manifest = build_set(source, output, config, workers=workers, ray=ray, overwrite=overwrite, progress=bars)
        if not quiet:
            for name in ("train", "validation") if split == "both" else (split,):
                clips = [clip for clip in manifest.clips if clip.split == name]
                frames = count_of(sum(clip.count for clip in clips), "frame")
                videos = count_of(len({clip.video for clip in clips}), "video")
                out.print(f"{name}: {count_of(len(clips), 'clip')} of {videos}, {frames}", soft_wrap=True)
            if manifest.skipped:
                out.print(f"left out: {escape(reasons(manifest))}", soft_wrap=True)
            out.print(f"Set in [bold]{escape(str(output))}[/bold], {time.perf_counter() - began:.0f} s", soft_wrap=True)


@data_app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="The folder of a set.", metavar="SET", show_default=False)],
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but faults.", rich_help_panel=RUN)
    ] = False,
    show_traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where an error comes from.", rich_help_panel=RUN)
    ] = False,
) -> None:
    """Check that a set's files are those that were built, and that the laws of a benchmark hold."""
    with told(show_traceback, "nothing was changed"):
        from voin.verify import verify as check

        with Bars(quiet) as bars:
            faults = check(folder, bars)
        for fault in faults[:_MOST_FAULTS]:
            err.print(escape(fault), style="red", soft_wrap=True)
        if faults:
            err.print(f"{count_of(len(faults), 'fault')} in {escape(str(folder))}", style="red", soft_wrap=True)
            raise typer.Exit(FAULT)
        if not quiet:
            out.print(f"{escape(str(folder))}: all is well", soft_wrap=True)
