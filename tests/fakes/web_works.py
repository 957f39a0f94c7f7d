"""Works for the tests of the page's queue; in a module of their own, so that other processes can import them."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from voin.core.progress import Progress


@dataclass(frozen=True)
class Steps:
    """Takes some steps, and says whose process they ran in."""

    count: int = 3
    seconds: float = 0.0

    def run(self, progress: Progress) -> int:
        progress.stage("complete", self.count)
        for _ in range(self.count):
            time.sleep(self.seconds)
            progress.advance("complete")
        return os.getpid()


@dataclass(frozen=True)
class Ticks:
    """Writes to a file for ever."""

    file: Path

    def run(self, progress: Progress) -> None:
        progress.stage("complete", 10)
        while True:
            with self.file.open("a") as file:
                file.write(f"{os.getpid()}\n")
            time.sleep(0.02)


@dataclass(frozen=True)
class Crash:
    """Dies as by a fault in a library."""

    def run(self, progress: Progress) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Refusal:
    """Refuses its input."""

    def run(self, progress: Progress) -> None:
        raise OSError("the video is blue; it must be green; paint it")


@dataclass(frozen=True)
class Bug:
    """Fails by a fault of ours."""

    def run(self, progress: Progress) -> None:
        raise KeyError("absent")


def nap(seconds: float) -> str:
    """Take a while."""
    time.sleep(seconds)
    return "rested"


def crash() -> None:
    """Die as by a fault in a decoder: of reading memory that is not there."""
    ctypes.string_at(0)


def die() -> None:
    """Die as by a fault in a library."""
    os.kill(os.getpid(), signal.SIGKILL)


def abort(*given: object) -> None:
    """Die as by a crash in native code."""
    os.abort()


def refuse() -> None:
    """Refuse."""
    raise OSError("the file is broken; it must be whole; copy it again")


def bug() -> None:
    """Fail by a fault of ours."""
    raise KeyError("absent")


def pid() -> int:
    """Say which process this is."""
    return os.getpid()
