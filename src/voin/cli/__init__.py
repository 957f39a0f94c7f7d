"""The command `voin`. Only typer and rich are imported at the start; what is heavy when a command needs it."""


def main() -> None:
    """Run the command line; the entry point of `voin` and `python -m voin`."""
    from voin.core.system import prepare_torch

    prepare_torch()  # before anything loads torch
    from voin.cli.app import app

    app(prog_name="voin")
