"""What Gradio refuses of an event by itself: one line in the log, where Gradio would write a traceback."""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace

from gradio import queueing, routes

import voin

log = logging.getLogger("voin.serve")
_OURS = str(Path(voin.__file__).parent)


def log_in_lines() -> None:
    """Let Gradio write its refusals into the log of voin."""
    # It offers no setting for that: where an event ends, it writes a traceback for whatever is not shown to a user.
    said = SimpleNamespace(**{**vars(traceback), "print_exc": _log_error})
    for module in (queueing, routes):
        module.traceback = said  # pyright: ignore[reportAttributeAccessIssue]


def _log_error() -> None:
    """Log the error at hand: a fault of ours with its traceback, what Gradio refuses by itself as one line."""
    error = sys.exc_info()[1]
    if any(frame.filename.startswith(_OURS) for frame in traceback.extract_tb(error.__traceback__ if error else None)):
        log.error("a fault in voin", exc_info=error)
    else:
        log.warning("an event that is none of the page's: %.300r", error)
