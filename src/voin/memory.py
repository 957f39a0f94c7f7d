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


# Parameters of glibc's mallopt, and what they are set to.
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
_ALONE_BYTES, _ARENAS = 8 * 2**20, 4


def keep_small() -> None:
    """Let large arrays go back to the system as soon as they are freed.

    glibc learns to keep them, up to 32 MB each and for every thread; at 1080p that was 180 MB, and more the longer a
    job ran. Costs a twentieth of the computing time.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # no glibc
        return
    mallopt(_MMAP_THRESHOLD, _ALONE_BYTES)
    mallopt(_ARENA_MAX, _ARENAS)


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
