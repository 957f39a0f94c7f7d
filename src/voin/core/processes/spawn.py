"""How processes begin and end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Collection
from multiprocessing.process import BaseProcess

SPAWN = multiprocessing.get_context("spawn")  # a forked child would inherit threads that are not there
STOP_SECONDS = 5.0  # of patience, before a process is killed


def die_with_parent() -> None:
    """Let this process end as soon as its parent is gone; Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def stop(processes: Collection[BaseProcess]) -> None:
    """End processes: politely, then at once."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(STOP_SECONDS)
        if process.is_alive():
            process.kill()
            process.join(STOP_SECONDS)
