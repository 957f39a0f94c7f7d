"""Refusals in three parts: what it is, what it must be, what to do; and which errors are faults of voin's own."""

from __future__ import annotations

import errno
from typing import Any

# What must be and what to do about errors that come from the operating system and carry no advice of their own.
_FULL = "free some {} and run the same command again: it goes on where it stopped"
ADVICE = {
    errno.ENOSPC: ("the disk must have room", _FULL.format("room on the disk")),
    errno.EDQUOT: ("your quota must leave room", _FULL.format("room in your quota")),
    errno.EFBIG: (
        "files must be allowed to be as large as it gets (ulimit -f)",
        "raise the limit, or use another disk",
    ),
    errno.EMFILE: ("more files must be allowed to be open at once (ulimit -n)", "raise the limit"),
    errno.ENFILE: ("more files must be allowed to be open at once", "close other programs"),
    errno.EACCES: ("voin must be allowed to use it", "change the permissions, or choose another folder"),
    errno.EPERM: ("voin must be allowed to use it", "change the permissions, or choose another folder"),
    errno.EROFS: ("it must be on a disk that can be written to", "choose a folder that can be written to"),
    errno.ENAMETOOLONG: ("names may have 255 bytes at most on most disks", "choose a shorter name"),
    errno.ENOENT: ("it must be there", "check the spelling, and where links lead"),
    errno.ELOOP: ("links must lead somewhere", "remove the link, or choose another name"),
    errno.ENOTDIR: ("all of the path but its end must be folders", "check the path"),
    errno.EISDIR: ("it must be a file", "choose another name"),
    errno.EEXIST: ("nothing may stand there", "remove it, or choose another name"),
}


class Refusal(Exception):
    """What was given cannot be used, and nothing is wrong with voin; raise one of the kinds below.

    Each kind is also the built-in error of its family, so that callers may catch either. `what` says what it is, `must`
    what it must be (empty where `what` says so), `remedy` what to do.
    """

    def __init__(self, what: str, must: str = "", remedy: str = "") -> None:
        self.parts = [part for part in (what, must, remedy) if part]
        self.what, self.must, self.remedy = what, must, remedy
        super().__init__("; ".join(self.parts))

    def __reduce__(self) -> tuple[Any, ...]:  # whole through pipes between processes
        return type(self), (self.what, self.must, self.remedy)


class ValueRefusal(Refusal, ValueError):
    """A value, an option or a tensor does not fit."""


class FileRefusal(Refusal, OSError):
    """A file or folder is absent, unreadable or something else."""


class PackageRefusal(Refusal, ImportError):
    """An optional package is absent or too old."""


def is_fault(error: Exception) -> bool:
    """Return whether an exception is a fault of voin's own, not a refusal nor a complaint of the operating system."""
    return not isinstance(error, Refusal | ImportError | OSError)


def parts_of(error: BaseException) -> list[str]:
    """Split an error into what it is, what it must be, and what to do."""
    if isinstance(error, Refusal):
        return error.parts
    if isinstance(error, OSError) and error.errno in ADVICE:
        return [": ".join(filter(None, (error.strerror, str(error.filename or "")))), *ADVICE[error.errno]]
    said = [str(error) or type(error).__name__]
    return [*said, "`voin doctor` shows what is installed"] if isinstance(error, ImportError) else said


def count_of(number: int, what: str) -> str:
    """Write a number of things: "1 frame", "12,000 frames"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
