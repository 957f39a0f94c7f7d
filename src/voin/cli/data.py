"""The commands `voin data ...`: build, check, show and pack VOI sets; what is heavy is imported when it is needed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from voin.cli.console import FAULT, Bars, err, out, report_errors
from voin.core.errors import FileRefusal, count_of

if TYPE_CHECKING:
    from voin.data.pack import Pack

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
    with report_errors(show_traceback, f"finished clips are kept in {output}; run the same command again to go on"):
        from voin.data.build import build as build_set
        from voin.data.build import reasons
        from voin.data.build_clip import BuildConfig
        from voin.data.quality import FilterConfig
        from voin.jobs.speed import parse_size

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
    with report_errors(show_traceback, "nothing was changed"):
        from voin.data.verify import verify as check

        with Bars(quiet) as bars:
            faults = check(folder, bars)
        for fault in faults[:_MOST_FAULTS]:
            err.print(escape(fault), style="red", soft_wrap=True)
        if faults:
            err.print(f"{count_of(len(faults), 'fault')} in {escape(str(folder))}", style="red", soft_wrap=True)
            raise typer.Exit(FAULT)
        if not quiet:
            out.print(f"{escape(str(folder))}: all is well", soft_wrap=True)


SetArgument = Annotated[
    Path, typer.Argument(help="A set that `voin data build` made.", metavar="SET", show_default=False)
]


FileOption = Annotated[Path, typer.Option("--output", "-o", help="File to write.", show_default=False)]


QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


TracebackOption = Annotated[bool, typer.Option("--traceback", help="Show where an error comes from.")]


@data_app.command(
    epilog="""[bold]Examples[/bold]

voin data pack voi-davis -o davis.pack

[dim]To send it to another machine, a tenth as large; `voin data unpack` makes the pack there:[/dim]
voin data pack voi-davis -o davis.pack --transport davis.zip"""
)
def pack(
    voi_set: SetArgument,
    output: FileOption,
    size: Annotated[int, typer.Option(help="Side of the windows, pixels.")] = 192,
    split: Annotated[Literal["train", "validation"], typer.Option(help="Clips of this split.")] = "train",
    transport: Annotated[
        Path | None,
        typer.Option(help="Also write it small, as JPEG and PNG in a zip file.", metavar="FILE", show_default=False),
    ] = None,
    quality: Annotated[int, typer.Option(help="JPEG quality of that file, 1 to 100.")] = 95,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    quiet: QuietOption = False,
    show_traceback: TracebackOption = False,
) -> None:
    """Cut the windows around a set's objects into one file for training: true frames and whole masks."""
    with report_errors(show_traceback, "nothing was written"):
        from voin.data.pack import make_pack, write_transport
        from voin.data.sets import open_set

        for path in (output, transport):
            _refuse_to_replace(path, overwrite)
        with Bars(quiet) as bars:
            made = make_pack(open_set(voi_set), output, size, split, progress=_counter(bars, "pack"))
            if transport is not None:
                write_transport(made, transport, quality, _counter(bars, "transport"))
        if not quiet:
            _say(made)
            if transport is not None:
                out.print(f"{escape(str(transport))}: {_mebibytes(transport)}", soft_wrap=True)


@data_app.command()
def unpack(
    transport: Annotated[
        Path, typer.Argument(help="What `voin data pack --transport` wrote.", metavar="FILE", show_default=False)
    ],
    output: FileOption,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
    quiet: QuietOption = False,
    show_traceback: TracebackOption = False,
) -> None:
    """Make the pack again from its small form."""
    with report_errors(show_traceback, "nothing was written"):
        from voin.data.pack import read_transport

        _refuse_to_replace(output, overwrite)
        with Bars(quiet) as bars:
            made = read_transport(transport, output, _counter(bars, "unpack"))
        if not quiet:
            _say(made)


@data_app.command(
    epilog="""[bold]Examples[/bold]

voin data cutouts photos/cats photos/people -o cutouts.pack"""
)
def cutouts(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Folders with `img/NAME.jpg`, photos of one whole object each, and `mask/NAME.png`.",
            metavar="FOLDER...",
            show_default=False,
        ),
    ],
    output: FileOption,
    size: Annotated[int, typer.Option(help="Side of the pictures, pixels.")] = 128,
    transport: Annotated[
        Path | None,
        typer.Option(help="Also write it small, as JPEG and PNG in a zip file.", metavar="FILE", show_default=False),
    ] = None,
    quality: Annotated[int, typer.Option(help="JPEG quality of that file, 1 to 100.")] = 95,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    quiet: QuietOption = False,
    show_traceback: TracebackOption = False,
) -> None:
    """Cut photographed objects out into one file for training, which sets them in motion."""
    with report_errors(show_traceback, "nothing was written"):
        from voin.data.cutouts import pack_cutouts
        from voin.data.pack import write_transport

        for path in (output, transport):
            _refuse_to_replace(path, overwrite)
        with Bars(quiet) as bars:
            made = pack_cutouts(folders, output, size, _counter(bars, "cut out"))
            if transport is not None:
                write_transport(made, transport, quality, _counter(bars, "transport"))
        if not quiet:
            _say(made)
            if transport is not None:
                out.print(f"{escape(str(transport))}: {_mebibytes(transport)}", soft_wrap=True)


@data_app.command()
def show(
    voi_set: SetArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the page.", show_default=False)],
    split: Annotated[Literal["both", "train", "validation"], typer.Option(help="Clips of this split.")] = "both",
    quiet: QuietOption = False,
    show_traceback: TracebackOption = False,
) -> None:
    """Draw a set: contact sheets, and how much is hidden, how large the objects are, and what they are."""
    with report_errors(show_traceback, "nothing was changed but the page's own files"):
        from voin.data.sets import open_set
        from voin.data.show import show_set

        with Bars(quiet) as bars:
            page = show_set(open_set(voi_set), output, None if split == "both" else split, bars)
        if not quiet:
            out.print(f"Open [bold]{escape(str(page))}[/bold] in a browser", soft_wrap=True)


def _refuse_to_replace(path: Path | None, overwrite: bool) -> None:
    if path is not None and path.exists() and not overwrite:
        raise FileRefusal(
            f"{path} is there already", "a pack is written to a new file", "name another, or use --overwrite"
        )


def _counter(bars: Bars, stage: str) -> Callable[[int, int], None]:
    def count(done: int, total: int) -> None:
        if done <= 1:
            bars.stage(stage, total)
        bars.advance(stage)

    return count


def _say(made: Pack) -> None:
    frames = count_of(sum(clip.count for clip in made.clips), "frame")
    text = f"{count_of(len(made), 'clip')}, {frames} of {made.size}x{made.size}, {_mebibytes(made.path)}"
    out.print(f"{escape(str(made.path))}: {text}", soft_wrap=True)


def _mebibytes(path: Path) -> str:
    return f"{path.stat().st_size / 2**20:.1f} MiB"
