"""Errors in three parts: what it is, what it must be, what to do; and which errors are faults of voin's own."""

from __future__ import annotations

import errno

# What to do about errors that come from the operating system and carry no advice of their own.
ADVICE = {
    errno.ENOSPC: "free some room on the disk and run the same command again: it goes on where it stopped",
    errno.EDQUOT: "free some room in your quota and run the same command again: it goes on where it stopped",
    errno.EACCES: "change the permissions, or choose another folder",
    errno.EPERM: "change the permissions, or choose another folder",
    errno.EROFS: "choose a folder that can be written to",
}


def is_fault(error: Exception) -> bool:
    """Say whether an exception is a fault of voin's own, not a refusal of what the user gave.

    Refusals are ImportError, OSError, and ValueError where voin's own code raises it with its parts: one from inside a
    library means that voin called it wrongly.
    """
    if isinstance(error, ImportError | OSError):
        return False
    if not isinstance(error, ValueError) or "; " not in str(error):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return module.partition(".")[0] != "voin"


def parts_of(error: BaseException) -> list[str]:
    """Split a message into what it is, what it must be, and what to do."""
    parts = [part.strip() for part in str(error).split("; ") if part.strip()] or [type(error).__name__]
    if isinstance(error, OSError) and len(parts) == 1 and error.errno in ADVICE:
        parts = [": ".join(filter(None, (error.strerror, str(error.filename or "")))), ADVICE[error.errno]]
    if isinstance(error, ImportError) and len(parts) == 1:
        parts.append("`voin doctor` shows what is installed")
    return parts


def count_of(number: int, what: str) -> str:
    """Say a number of things: "1 frame", "12,000 frames"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
