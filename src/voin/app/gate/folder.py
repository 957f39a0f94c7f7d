"""The server's own folder of users' files; what a server that was killed has left is removed by the next one."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

_PREFIX = "voin-serve-"
_OWNER = "owner.txt"


class OwnFolder:
    """A new temporary folder that is this server's as long as it lives.

    Its file `owner.txt` says which process that is and since when, and is locked by it: the lock ends with the process,
    however that ends, also where a process of the same number follows, or one in another container looks.
    """

    def __init__(self) -> None:
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            _remove_if_left(folder)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
        self._lock = _hold(self.path / _OWNER)
        os.write(self._lock, f"process {os.getpid()}, since {time.strftime('%Y-%m-%d %H:%M:%S %z')}\n".encode())

    def close(self) -> None:
        """Remove it."""
        os.close(self._lock)
        shutil.rmtree(self.path, ignore_errors=True)


def _remove_if_left(folder: Path) -> None:
    owner = folder / _OWNER
    try:
        # One that is just being made has no owner yet; that of another user cannot be opened.
        handle = _hold(owner) if owner.is_file() else None
    except OSError:
        return
    if handle is not None:
        for path in folder.iterdir():
            if path != owner:
                shutil.rmtree(path, ignore_errors=True)
        os.close(handle)  # before the last: Windows does not remove open files
        shutil.rmtree(folder, ignore_errors=True)


def _hold(path: Path) -> int:
    """Open and lock a file. Raises OSError where another process has locked it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle
