"""The commands of `voin`, put together."""

from __future__ import annotations

from typing import Annotated

import typer

from voin.cli.batch import BATCH_EXAMPLES, batch
from voin.cli.complete import COMPLETE_EXAMPLES, complete
from voin.cli.console import out
from voin.cli.data import data_app
from voin.cli.demo import BENCH_EXAMPLES, DEMO_EXAMPLES, bench, demo
from voin.cli.doctor import doctor
from voin.cli.evaluate import EXAMPLES, evaluate
from voin.cli.export import EXPORT_EXAMPLES, export
from voin.cli.mask import MASK_EXAMPLES, mask
from voin.cli.masks import masks_app
from voin.cli.reproduce.command import REPRODUCE_EXAMPLES, reproduce
from voin.cli.serve import SERVE_EXAMPLES, serve
from voin.cli.train import TRAIN_EXAMPLES, train
from voin.core import __version__

app = typer.Typer(
    name="voin",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="A first look: [bold]voin demo[/bold]. What this machine offers: [bold]voin doctor[/bold].",
)


def _version(asked: bool) -> bool:
    if asked:
        out.print(f"voin {__version__}")
        raise typer.Exit
    return asked


@app.callback()
def _voin(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Show the hidden part of an object in a real video.

    A video and the visible mask of a partly hidden object go in;
    the object's whole (amodal) mask and its hidden pixels come out.
    """


app.command(epilog=COMPLETE_EXAMPLES)(complete)
app.command(epilog=BATCH_EXAMPLES)(batch)
app.command(epilog=MASK_EXAMPLES)(mask)
app.add_typer(masks_app, name="masks")
app.command(epilog=SERVE_EXAMPLES)(serve)
app.command(epilog=DEMO_EXAMPLES)(demo)
app.command(epilog=BENCH_EXAMPLES)(bench)
app.command()(doctor)
app.add_typer(data_app, name="data")
app.command(epilog=EXAMPLES)(evaluate)
app.command(epilog=TRAIN_EXAMPLES)(train)
app.command(epilog=REPRODUCE_EXAMPLES)(reproduce)
app.command(epilog=EXPORT_EXAMPLES)(export)
