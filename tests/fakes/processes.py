"""Processes that SIGINT stops as a terminal does, even where the test run ignores it (as `nohup ... &` does)."""

from __future__ import annotations

import os
import signal
from typing import Any


def _take_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


# For `subprocess.Popen`: Python leaves a signal alone that is ignored when it starts.
INTERRUPTIBLE: dict[str, Any] = {"preexec_fn": _take_interrupts} if os.name == "posix" else {}
