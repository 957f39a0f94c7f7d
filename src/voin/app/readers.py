"""Calls in processes apart: a file that a stranger gives may hang or kill the process that reads it, not the server.

A call ends in one of three ways: with its value, refused with the three parts of a message, or with a fault of ours.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal, TypeVar

from voin.core.errors import ValueRefusal, is_fault, parts_of

T = TypeVar("T")
Ending = Literal["value", "refused", "fault"]
MOST_BYTES = 8 * 2**30  # of address space; what is shown and checked here needs far less
_STOP_SECONDS = 5.0
_SPAWN = multiprocessing.get_context("spawn")  # a forked child would inherit threads that are not there


class FaultError(RuntimeError):
    """A fault of ours in another process; its text is the traceback there."""


def answer(function: Callable[..., Any], *arguments: Any) -> tuple[Ending, Any]:
    """Call a function and say how it ended: its value, the parts of a refusal, or a traceback."""
    try:
        return "value", function(*arguments)
    except MemoryError:
        return "refused", ["this needs more memory than there is", "give a smaller video, or fewer frames"]
    except Exception as error:
        if is_fault(error):
            return "fault", "".join(traceback.format_exception(error))
        return "refused", parts_of(error)


def value_of(ending: Ending, content: Any) -> Any:
    """Give the value, or raise what a call ended with.

    Raises:
        ValueRefusal: what the user gave does not fit.
        FaultError: ours.
    """
    if ending == "refused":
        raise ValueRefusal(*content)
    if ending == "fault":
        raise FaultError(content)
    return content


def stop(process: BaseProcess) -> None:
    """End a process: politely, then at once."""
    process.terminate()
    process.join(_STOP_SECONDS)
    if process.is_alive():
        process.kill()
        process.join(_STOP_SECONDS)


def die_with(parent: int) -> None:
    """Let this process end as soon as its parent is gone, however that went; Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        wait = threading.Event()
        while os.getppid() == parent:
            wait.wait(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Readers:
    """Runs short calls in a few processes, which are started when needed and replaced when they die.

    Args:
        count: calls at a time; others wait.
        seconds: that a call may take.
    """

    def __init__(self, count: int = 2, seconds: float = 60.0) -> None:
        self.seconds = seconds
        self._free: queue.LifoQueue[_Reader] = queue.LifoQueue()
        self._all = [_Reader() for _ in range(count)]
        for reader in self._all:
            self._free.put(reader)

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function of some module there; it and its arguments must pickle.

        Raises:
            ValueRefusal: the function refuses, takes too long, or its process dies.
            FaultError: any other exception of the function.
        """
        reader = self._free.get()
        try:
            return value_of(*reader.call(function, arguments, self.seconds))
        finally:
            self._free.put(reader)

    def close(self) -> None:
        """End the processes."""
        for reader in self._all:
            reader.close()


class _Reader:
    """One process that answers calls, one after the other."""

    def __init__(self) -> None:
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._closed = False

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...], seconds: float) -> tuple[Ending, Any]:
        pipe = self._started()
        try:
            pipe.send((function, arguments))
            if not pipe.poll(seconds):
                self._end()
                return "refused", [
                    f"this file takes longer than {seconds:.0f} s to look at",
                    "it may be damaged, or made to be a burden",
                    "convert it with ffmpeg, or give a shorter one",
                ]
            return pipe.recv()
        except (EOFError, ConnectionError):
            self._end()
            return "refused", [
                "the process that reads this file died",
                "the file may be damaged, or need more memory than there is",
                "convert it with ffmpeg, or give a smaller one",
            ]

    def close(self) -> None:
        self._closed = True
        self._end()

    def _started(self) -> Connection:
        if self._closed:
            raise ValueRefusal("the server is stopping", "nothing new is begun", "start it again")
        if self._process is None or self._pipe is None or not self._process.is_alive():
            self._end()
            self._pipe, theirs = _SPAWN.Pipe()
            self._process = _SPAWN.Process(target=_serve, args=(theirs, os.getpid()), daemon=True, name="voin-reader")
            self._process.start()
            theirs.close()
        return self._pipe

    def _end(self) -> None:
        if self._process is not None:
            stop(self._process)
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None


def _serve(pipe: Connection, parent: int) -> None:
    """Answer calls until the pipe closes."""
    die_with(parent)
    _limit_memory()
    while True:
        try:
            function, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(answer(function, *arguments))


def _limit_memory() -> None:
    if sys.platform == "win32":
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_AS)
    least = MOST_BYTES if most == resource.RLIM_INFINITY else min(MOST_BYTES, most)
    resource.setrlimit(resource.RLIMIT_AS, (least, most))
