"""Work in processes apart: calls with a deadline, jobs with progress, items made ahead.

A call there ends in one of three ways: with its value, refused with an error for the user, or with a fault of ours.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Literal, TypeVar

from voin.core.errors import Refusal, ValueRefusal, is_fault, parts_of
from voin.core.processes.spawn import SPAWN, STOP_SECONDS, die_with_parent, stop
from voin.core.progress import Progress
from voin.core.system import memory_refusal, prepare_torch

T = TypeVar("T")
Ending = Literal["value", "refused", "fault"]
_TELL_SECONDS = 0.1  # between two messages of progress


class FaultError(RuntimeError):
    """A fault of ours in another process; its text is the traceback there."""


class DiedError(RuntimeError):
    """A process ended without an answer; the text says how: "signal 9", "exit code 1"."""


def answer(function: Callable[..., Any], *arguments: Any) -> tuple[Ending, Any]:
    """Call a function and return how it ended: its value, a refusal, or the traceback of a fault."""
    try:
        return "value", function(*arguments)
    except Exception as error:
        if refusal := memory_refusal(error):
            return "refused", refusal
        if isinstance(error, Refusal):
            return "refused", error
        if is_fault(error):
            return "fault", "".join(traceback.format_exception(error))
        return "refused", ValueRefusal(*parts_of(error))


def value_of(ending: Ending, content: Any) -> Any:
    """Return the value, or raise what a call ended with: a `Refusal` for the user, or a `FaultError` of ours."""
    if ending == "refused":
        raise content
    if ending == "fault":
        raise FaultError(content)
    return content


class Apart:
    """A process apart, in which `work` is called with an end of a pipe and `arguments`; all must pickle.

    `memory` is the bytes of address space that it may take; None for no limit.
    """

    def __init__(self, work: Callable[..., object], *arguments: Any, name: str, memory: int | None = None) -> None:
        prepare_torch()  # there: it inherits the environment
        self._pipe, theirs = SPAWN.Pipe()
        begin = (theirs, memory, work, arguments)
        self._process: BaseProcess = SPAWN.Process(target=_begin, args=begin, daemon=True, name=name)
        try:
            self._process.start()
        finally:
            theirs.close()

    def is_alive(self) -> bool:
        """Return whether it still runs."""
        return self._process.is_alive()

    def send(self, content: Any) -> None:
        """Send something to it. Raises DiedError where it is gone."""
        try:
            self._pipe.send_bytes(_packed(content))
        except OSError as error:
            raise DiedError(self._how()) from error

    def receive(self, seconds: float | None = None) -> Any:
        """Wait for what is sent from there, at most so long.

        Raises:
            TimeoutError: nothing came.
            DiedError: nothing will ever come.
        """
        # Waits for its end, too: what a process sent last is received, though it is gone.
        ready = connection.wait([self._pipe, self._process.sentinel], seconds)
        if not ready:
            raise TimeoutError
        try:
            if self._pipe.poll():
                return pickle.loads(self._pipe.recv_bytes())
            raise EOFError
        except (EOFError, OSError) as error:
            raise DiedError(self._how()) from error

    def stop(self) -> None:
        """End it; any thread may ask for that."""
        stop([self._process])

    def close(self) -> None:
        """End it, and its pipe."""
        self.stop()
        self._pipe.close()

    def _how(self) -> str:
        self._process.join(STOP_SECONDS)
        code = self._process.exitcode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


class Caller:
    """A process that answers calls one after the other; it is started when needed, and again when it has died."""

    def __init__(self, name: str, memory: int | None = None) -> None:
        self._name, self._memory = name, memory
        self._apart: Apart | None = None

    def call(self, function: Callable[..., T], arguments: tuple[Any, ...], seconds: float) -> T:
        """Call a function of some module there; it and its arguments must pickle.

        Raises:
            TimeoutError: it takes longer than `seconds`; the process is ended.
            DiedError: the process died; else as `value_of`.
        """
        if self._apart is not None and not self._apart.is_alive():
            self.close()
        self._apart = self._apart or Apart(_answer_calls, name=self._name, memory=self._memory)
        try:
            self._apart.send((function, arguments))
            return value_of(*self._apart.receive(seconds))
        except (DiedError, TimeoutError):
            self.close()
            raise

    def close(self) -> None:
        """End the process."""
        if self._apart is not None:
            self._apart.close()
        self._apart = None


class JobApart(Apart):
    """A job in a process apart, called there with the progress that it tells; it and its value must pickle."""

    def __init__(self, job: Callable[[Progress], Any], name: str) -> None:
        super().__init__(_do_job, job, name=name)

    def follow(self, progress: Progress) -> tuple[Ending, Any]:
        """Hand its progress on until it ends; return how it ended. Raises DiedError where its process died."""
        while True:
            kind, *content = self.receive()
            if kind not in ("stage", "advance"):
                return kind, content[0]
            getattr(progress, kind)(*content)


class Ahead(Apart, Generic[T]):
    """Endless items, which `items` makes in a process apart; while one waits to be taken, the next is made."""

    def __init__(self, items: Callable[..., Iterable[T]], *arguments: Any, name: str) -> None:
        super().__init__(_make_items, items, arguments, name=name)

    def take(self) -> T:
        """Return the next item. Raises DiedError where the process died, else as `value_of`."""
        return value_of(*self.receive())


# What runs in a process apart.


def _begin(pipe: Connection, memory: int | None, work: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    die_with_parent()
    if memory is not None and sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        work(pipe, *arguments)
    except (EOFError, BrokenPipeError, ConnectionResetError):  # nobody listens any more
        os._exit(0)


def _packed(content: Any) -> bytes:
    # The latest protocol copies arrays once less; and torch's own way for pipes would keep tensors in shared memory.
    return pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)


def _send_answer(pipe: Connection, function: Callable[..., Any], *arguments: Any) -> bool:
    """Send how a call ended; return whether it was with a value."""
    ending, content = answer(lambda: _packed(("value", function(*arguments))))
    pipe.send_bytes(content if ending == "value" else _packed((ending, content)))
    return ending == "value"


def _answer_calls(pipe: Connection) -> None:
    while True:
        function, arguments = pickle.loads(pipe.recv_bytes())
        _send_answer(pipe, function, *arguments)


def _do_job(pipe: Connection, job: Callable[[Progress], Any]) -> None:
    sender = _Sender(pipe)

    def run() -> Any:
        try:
            return job(sender)
        finally:
            sender.flush()

    _send_answer(pipe, run)


def _make_items(pipe: Connection, items: Callable[..., Iterable[Any]], arguments: tuple[Any, ...]) -> None:
    def made() -> Iterator[Any]:  # so that what fails at the start of it is answered, too
        yield from items(*arguments)

    iterator = made()
    while _send_answer(pipe, next, iterator):
        pass


class _Sender:
    """Progress that is sent through a pipe, not too often."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._lock = pipe, threading.RLock()
        self._waiting: Counter[str] = Counter()
        self._sent = 0.0

    def stage(self, name: str, total: int) -> None:
        with self._lock:
            self.flush()
            self._pipe.send_bytes(_packed(("stage", name, total)))

    def advance(self, name: str, count: int = 1) -> None:
        with self._lock:
            self._waiting[name] += count
            if time.monotonic() - self._sent > _TELL_SECONDS:
                self.flush()

    def flush(self) -> None:
        with self._lock:
            for name, count in self._waiting.items():
                self._pipe.send_bytes(_packed(("advance", name, count)))
            self._waiting.clear()
            self._sent = time.monotonic()
