"""The command `voin`. Only typer and rich are imported at the start; what is heavy when a command needs it.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a fault of voin's own; with a traceback |
| 2 | the input or an option does not fit, or a file cannot be read or written |
| 130 | stopped by Ctrl-C or a signal; the same command goes on |
| 141 | what read the output has closed it, as `head` does |
"""

import io
import sys

FAULT, REFUSED, STOPPED, CLOSED = 1, 2, 130, 141


def main() -> None:
    """Run the command line; the entry point of `voin` and `python -m voin`."""
    try:
        _run()
    except KeyboardInterrupt:  # while it loads; later on a command says what it leaves
        sys.exit(STOPPED)
    except SystemExit as end:
        # As other programs end there; typer and rich would end it as a fault.
        raise SystemExit(CLOSED if isinstance(end.__context__, BrokenPipeError) else end.code) from None


def _run() -> None:
    for stream in (sys.stdout, sys.stderr):  # None where it was closed
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that cannot be shown must not end a run
    from voin.core.system import prepare_torch

    prepare_torch()  # before anything loads torch
    from voin.cli.app import app

    app(prog_name="voin")
