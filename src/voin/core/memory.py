"""Too little memory, in whatever words libraries or the system say it: a refusal that says how much was needed."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator

from voin.core.errors import Refusal, ValueRefusal
from voin.core.system import peak_memory

LESS = "close other programs, or give a smaller video or fewer frames"
_UNITS = {"": 1, "bytes": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
# What was asked for, in the words of numpy, torch (CPU, then CUDA) and OpenCV.
_ASKED = re.compile(r"(?:allocate|alloc)\D{0,20}?([\d.]+) ?(bytes|[KMGT]iB)", re.IGNORECASE)
_WORDS = (
    *("can't allocate memory", "cannot allocate memory", "out of memory", "insufficient memory", "unable to allocate"),
    *("bad_alloc", "can't start new thread", "failed to map segment", "not enough memory"),
)


def memory_refusal(error: BaseException, less: str = LESS) -> Refusal | None:
    """Return what to tell a user about an error that means too little memory; None where it means something else.

    Args:
        error: what was raised; what it was raised from counts, too.
        less: what makes it less.
    """
    found = next((cause for cause in _causes(error) if _is_memory(cause)), None)
    if found is None:
        return None
    asked, used = _asked(str(found)), peak_memory()
    parts = [f"{_size(used)} were in use" if used else "", f"{_size(asked)} more were asked for" if asked else ""]
    total = f": {' and '.join(filter(None, parts))}" if any(parts) else ""
    return ValueRefusal(f"this needs more memory than there is{total}", f"{_there()} must be enough", less)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    if isinstance(error, BlockingIOError):  # no further process
        return error.errno == errno.EAGAIN
    # A refusal of ours may quote any words; what it was raised from is looked at by itself.
    return not isinstance(error, Refusal) and any(word in str(error).lower() for word in _WORDS)


def _asked(text: str) -> float | None:
    match = _ASKED.search(text)
    return float(match[1].rstrip(".")) * _UNITS[match[2].lower()] if match else None


def _there() -> str:
    """Say how much memory there is for this process."""
    if sys.platform != "win32":
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            return f"the limit of {_size(limit)} of this process (ulimit -v)"
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:  # noqa: PTH123 - no path of ours
            known = dict(line.split(":", 1) for line in lines)
        return f"the {_size(int(known['MemAvailable'].split()[0]) * 1024)} that are free"
    except (OSError, KeyError, ValueError):
        return "the memory of this machine"


def _size(count: float | int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
