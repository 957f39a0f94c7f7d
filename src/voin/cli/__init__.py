"""The command `voin`. Only typer and rich are imported at the start; what is heavy when a command needs it."""

import io
import sys


def main() -> None:
    """Run the command line; the entry point of `voin` and `python -m voin`."""
    for stream in (sys.stdout, sys.stderr):  # None where it was closed
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that cannot be shown must not end a run
    from voin.core.system import prepare_torch

    prepare_torch()  # before anything loads torch
    from voin.cli.app import app

    app(prog_name="voin")
