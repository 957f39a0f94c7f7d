"""How much memory the process has had, and giving back what it no longer needs."""

from __future__ import annotations

import ctypes
import sys


def peak_memory() -> int | None:
    """Give the most memory that this process has had at a time, in bytes; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def give_back() -> None:
    """Return freed memory to the system.

    glibc keeps what each thread has freed for that thread. Here threads take turns with large arrays, so that what they
    keep adds up: at 1080p about 200 MB.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):  # no glibc
        return
    trim(0)
