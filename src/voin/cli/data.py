"""The commands `voin data ...`: build, check, show and pack VOI sets; what is heavy is imported when it is needed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from voin.cli import FAULT
from voin.cli.console import Bars, err, out
from voin.cli.options import Output, OutputFile, Overwrite, Quiet, SetArgument, argument, command, option
from voin.core.errors import FileRefusal, count_of
from voin.data.options import BuildOptions, LayersOptions

if TYPE_CHECKING:
    from voin.data.packs.pack import Pack

data_app = typer.Typer(
    name="data",
    no_args_is_help=True,
    help="Build and check VOI sets: videos of whole objects with occluders put before them; the truth is known.",
)

_MOST_FAULTS = 50  # shown
Transport = Annotated[
    Path | None, option("Output", "Also write it small, as JPEG and PNG in a zip file.", metavar="FILE")
]
JpegQuality = Annotated[int, option("Output", "JPEG quality of that file, 1 to 100.")]


@data_app.command(
    epilog="""[bold]Examples[/bold]

voin data build DAVIS -o voi-davis --layout davis --seed 0

voin data build YouTube-VOS -o youtube-voi --layout youtube-vos --seed 0 --workers 16

[dim]On many machines that see the same folders:[/dim]
voin data build YouTube-VOS -o youtube-voi --layout youtube-vos --seed 0 --ray auto

[dim]An interrupted build goes on when the same command is given again.[/dim]"""
)
@command(
    "finished clips are kept in {output}; run the same command again to go on",
    "close other programs, or use fewer --workers; finished clips are kept",
)
def build(
    source: Annotated[Path, argument("The folder of the data set.", "SOURCE")],
    output: Output,
    options: BuildOptions,
    workers: Annotated[int, option("Run", "Processes; each holds one clip.")] = 1,
    ray: Annotated[
        str | None,
        option(
            "Run",
            "Work on a Ray cluster: `local` for one on this machine with as many CPUs as --workers, `auto`, or an "
            "address.",
            metavar="ADDRESS",
        ),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Build a set from videos with masks: frames, whole and visible masks, occluders, and a manifest."""
    from voin.data.build import build as build_set
    from voin.data.build import empty_splits, reasons
    from voin.data.build_clip import BuildConfig

    began, config = time.perf_counter(), BuildConfig(**vars(options))
    with Bars(quiet) as bars:
        manifest = build_set(source, output, config, workers=workers, ray=ray, overwrite=overwrite, progress=bars)
    if quiet:
        return
    for name in ("train", "validation") if options.split is None else (options.split,):
        clips = [clip for clip in manifest.clips if clip.split == name]
        frames = count_of(sum(clip.count for clip in clips), "frame")
        videos = count_of(len({clip.video for clip in clips}), "video")
        out.print(f"{name}: {count_of(len(clips), 'clip')} of {videos}, {frames}")
    for name in empty_splits(manifest, options.split):
        # A set without one of its splits cannot be trained on, or not judged; both are noticed late.
        err.print(f"There is no {name} clip in this set", style="yellow")
    if manifest.skipped:
        out.print(f"left out: {escape(reasons(manifest))}")
    out.print(f"Set in [bold]{escape(str(output))}[/bold], {time.perf_counter() - began:.0f} s")


@data_app.command(
    epilog="""[bold]Examples[/bold]

voin data layers voi-davis -o voi-layers --sprites held-back.pack

[dim]It has the form of any set: `voin evaluate voi-layers` compares methods on it.[/dim]"""
)
@command("finished clips are kept in {output}; run the same command again to go on")
def layers(
    voi_set: SetArgument,
    output: Output,
    sprites: Annotated[
        Path,
        option("Source", "A pack of `voin data sprites`, of things that no network was trained on.", metavar="FILE"),
    ],
    options: LayersOptions,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Build a set in which things also pass behind the objects: what a method adds there is wrong."""
    from voin.data.layers import build_layers
    from voin.data.packs.pack import open_pack
    from voin.data.sets import open_set

    with Bars(quiet) as bars:
        manifest = build_layers(open_set(voi_set), open_pack(sprites), output, options, overwrite, bars)
    if not quiet:
        alone = sum(clip.behind_only for clip in manifest.clips)
        text = f"{count_of(len(manifest.clips), 'clip')}, in {alone} of them things pass only behind the object"
        out.print(f"{escape(str(output))}: {text}")


@data_app.command()
@command("nothing was changed")
def verify(folder: Annotated[Path, argument("The folder of a set.", "SET")], quiet: Quiet = False) -> None:
    """Check that a set's files are those that were built, and that the laws of a benchmark hold."""
    from voin.data.verify import verify as check

    with Bars(quiet) as bars:
        faults = check(folder, bars)
    for fault in faults[:_MOST_FAULTS]:
        err.print(escape(fault), style="red", soft_wrap=True)
    if faults:
        err.print(f"{count_of(len(faults), 'fault')} in {escape(str(folder))}", style="red", soft_wrap=True)
        raise typer.Exit(FAULT)
    if not quiet:
        out.print(f"{escape(str(folder))}: all is well")


@data_app.command(
    epilog="""[bold]Examples[/bold]

voin data pack voi-davis -o davis.pack

[dim]To send it to another machine, a tenth as large; `voin data unpack` makes the pack there:[/dim]
voin data pack voi-davis -o davis.pack --transport davis.zip"""
)
@command("nothing was written")
def pack(
    voi_set: SetArgument,
    output: OutputFile,
    size: Annotated[int, option("Output", "Width of the windows, pixels; whole frames: 384, as in the paper.")] = 192,
    whole_frames: Annotated[
        bool, option("Output", "Take frames whole, 16:9, as `--preset paper` is trained.", "--whole-frames")
    ] = False,
    split: Annotated[Literal["train", "validation"], option("Which clips", "Clips of this split.")] = "train",
    transport: Transport = None,
    quality: JpegQuality = 95,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Cut the windows around a set's objects into one file for training: true frames and whole masks."""
    from voin.data.packs.pack import make_pack
    from voin.data.sets import open_set

    _refuse_to_replace(overwrite, output, transport)
    with Bars(quiet) as bars:
        counter = _counter(bars, "pack")
        made = make_pack(open_set(voi_set), output, size, split, progress=counter, whole_frames=whole_frames)
        _finish(made, transport, quality, quiet, bars)


@data_app.command(
    epilog="""[bold]Examples[/bold]

voin data join davis.pack films.pack -o train.pack"""
)
@command("nothing was written")
def join(
    packs: Annotated[list[Path], argument("Packs with windows of one size.", "PACK...")],
    output: OutputFile,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Join packs of several sets to one, for training."""
    from voin.data.packs.join import join_packs
    from voin.data.packs.pack import open_pack

    _refuse_to_replace(overwrite, output)
    with Bars(quiet) as bars:
        made = join_packs([open_pack(pack) for pack in packs], output, _counter(bars, "join"))
        _finish(made, None, 0, quiet, bars)


@data_app.command()
@command("nothing was written")
def unpack(
    transport: Annotated[Path, argument("What `voin data pack --transport` wrote.", "FILE")],
    output: OutputFile,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Make the pack again from its small form."""
    from voin.data.packs.transport import read_transport

    _refuse_to_replace(overwrite, output)
    with Bars(quiet) as bars:
        made = read_transport(transport, output, _counter(bars, "unpack"))
        _finish(made, None, 0, quiet, bars)


@data_app.command(
    epilog="""[bold]Examples[/bold]

voin data cutouts photos/cats photos/people -o cutouts.pack"""
)
@command("nothing was written")
def cutouts(
    folders: Annotated[
        list[Path],
        argument("Folders with `img/NAME.jpg`, photos of one whole object each, and `mask/NAME.png`.", "FOLDER..."),
    ],
    output: OutputFile,
    size: Annotated[int, option("Output", "Side of the pictures, pixels.")] = 128,
    transport: Transport = None,
    quality: JpegQuality = 95,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Cut photographed objects out into one file for training, which sets them in motion."""
    from voin.data.objects.cutouts import pack_cutouts

    _refuse_to_replace(overwrite, output, transport)
    with Bars(quiet) as bars:
        made = pack_cutouts(folders, output, size, _counter(bars, "cut out"))
        _finish(made, transport, quality, quiet, bars)


@data_app.command(
    epilog="""[bold]Examples[/bold]

voin data sprites rendered/creatures rendered/cars -o sprites.pack"""
)
@command("nothing was written")
def sprites(
    folders: Annotated[
        list[Path],
        argument(
            "Folders with whole moving objects: NAME.mp4 and NAME.mask.mkv, videos with alpha, or folders of PNG "
            "or WebP frames with alpha.",
            "FOLDER...",
        ),
    ],
    output: OutputFile,
    size: Annotated[int, option("Output", "Side of the windows, pixels.")] = 128,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Cut moving objects with soft masks into one file for training, which puts them before, behind and upon films."""
    from voin.data.objects.sprites import pack_sprites

    _refuse_to_replace(overwrite, output)
    with Bars(quiet) as bars:
        made, left_out = pack_sprites(folders, output, size, _counter(bars, "sprites"))
        _finish(made, None, 0, quiet, bars)
    if left_out and not quiet:
        out.print(f"left out, cut off by the border or empty: {len(left_out)}")


@data_app.command()
@command("nothing was changed but the page's own files")
def show(
    voi_set: SetArgument,
    output: Output,
    split: Annotated[Literal["both", "train", "validation"], option("Which clips", "Clips of this split.")] = "both",
    quiet: Quiet = False,
) -> None:
    """Draw a set: contact sheets, and how much is hidden, how large the objects are, and what they are."""
    from voin.data.sets import open_set
    from voin.data.show import show_set

    with Bars(quiet) as bars:
        page = show_set(open_set(voi_set), output, None if split == "both" else split, bars)
    if not quiet:
        out.print(f"Open [bold]{escape(str(page))}[/bold] in a browser")


def _refuse_to_replace(overwrite: bool, *paths: Path | None) -> None:
    for path in paths:
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


def _finish(made: Pack, transport: Path | None, quality: int, quiet: bool, bars: Bars) -> None:
    """Write the small form of a pack, and say what was written."""
    from voin.data.packs.transport import write_transport

    if transport is not None:
        write_transport(made, transport, quality, _counter(bars, "transport"))
    if quiet:
        return
    frames = count_of(sum(clip.count for clip in made.clips), "frame")
    text = f"{count_of(len(made), 'clip')}, {frames} of {made.size}x{made.size}, {_mebibytes(made.path)}"
    out.print(f"{escape(str(made.path))}: {text}")
    if transport is not None:
        out.print(f"{escape(str(transport))}: {_mebibytes(transport)}")


def _mebibytes(path: Path) -> str:
    return f"{path.stat().st_size / 2**20:.1f} MiB"
