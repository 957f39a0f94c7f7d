"""`voin data pack`, `unpack`, `cutouts` and `show`: what is made from a finished VOI set, and of photos.

Heavy imports wait until they run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from voin.cli_data import data_app
from voin.terminal import Bars, count_of, out, told

if TYPE_CHECKING:
    from voin.pack import Pack

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
    with told(show_traceback, "nothing was written"):
        from voin.dataset import open_set
        from voin.pack import make_pack, write_transport

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
    with told(show_traceback, "nothing was written"):
        from voin.pack import read_transport

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
    with told(show_traceback, "nothing was written"):
        from voin.cutouts import pack_cutouts
        from voin.pack import write_transport

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
    with told(show_traceback, "nothing was changed but the page's own files"):
        from voin.dataset import open_set
        from voin.show import show_set

        with Bars(quiet) as bars:
            page = show_set(open_set(voi_set), output, None if split == "both" else split, bars)
        if not quiet:
            out.print(f"Open [bold]{escape(str(page))}[/bold] in a browser", soft_wrap=True)


def _refuse_to_replace(path: Path | None, overwrite: bool) -> None:
    if path is not None and path.exists() and not overwrite:
        raise OSError(f"{path} is there already; a pack is written to a new file; name another, or use --overwrite")


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
