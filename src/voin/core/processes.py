"""Work in processes apart: calls with a deadline, jobs with progress, items made ahead, and pools, local or by Ray.

Each process is spawned, dies with its parent, leaves Ctrl-C to it, and is ended politely, then at once. A call there
ends in one of three ways: with its value, refused with an error for the user, or with a fault of ours.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import signal
import socket
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Literal, TypeVar

from voin.core.errors import FileRefusal, PackageRefusal, Refusal, ValueRefusal, is_fault, parts_of
from voin.core.progress import Progress
from voin.core.system import memory_refusal, prepare_torch

T = TypeVar("T")
R = TypeVar("R")
Ending = Literal["value", "refused", "fault"]
IN_FLIGHT = 2  # tasks for each worker of a pool: the one it does and the next
_SPAWN = multiprocessing.get_context("spawn")  # a forked child would inherit threads that are not there
_STOP_SECONDS = 5.0
_TELL_SECONDS = 0.1  # between two messages of progress
_KNOCK_SECONDS = 10.0


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
        self._pipe, theirs = _SPAWN.Pipe()
        begin = (theirs, memory, work, arguments)
        self._process: BaseProcess = _SPAWN.Process(target=_begin, args=begin, daemon=True, name=name)
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
        _stop([self._process])

    def close(self) -> None:
        """End it, and its pipe."""
        self.stop()
        self._pipe.close()

    def _how(self) -> str:
        self._process.join(_STOP_SECONDS)
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
    _die_with_parent()
    if memory is not None and sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        work(pipe, *arguments)
    except (EOFError, BrokenPipeError, ConnectionResetError):  # nobody listens any more
        os._exit(0)


def _die_with_parent() -> None:
    """Let this process end as soon as its parent is gone; Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


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


def _stop(processes: Collection[BaseProcess]) -> None:
    """End processes: politely, then at once."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(_STOP_SECONDS)
        if process.is_alive():
            process.kill()
            process.join(_STOP_SECONDS)


# Pools: the same work for many tasks, here, in processes, or by Ray on many machines. Tasks are taken as workers get
# free and results handed on as they come, so that memory does not grow with the number of tasks. What a task gives must
# depend on the task alone: then all ways give the same.


def check_workers(workers: int, ray: str | None) -> None:
    """Refuse, before anything is done, fewer workers than 1 (ValueError) and Ray that is not there (ImportError)."""
    if workers < 1:
        raise ValueRefusal(f"workers is {workers}", "it must be at least 1", "leave it out for 1")
    if ray is not None and find_spec("ray") is None:
        raise PackageRefusal("Ray is not installed", "it is what --ray runs on", 'run: pip install "voin[ray]"')


def run_all(work: Callable[[T], R], tasks: Iterable[T], workers: int = 1, ray: str | None = None) -> Iterator[R]:
    """Return the results of `work` for all tasks, in the order in which they are ready.

    Args:
        work: sent to each process once, so it must pickle, as the tasks must; what it needs it should load when it is
            first called.
        tasks: read lazily.
        workers: processes; 1 works in this one. With `ray="local"` the CPUs that Ray may use.
        ray: None, "local" for a cluster on this machine, or the address of one.

    Raises:
        ValueError: the work cannot be sent to other processes; or as `check_workers`.
        OSError: a worker died, or Ray cannot be reached; else whatever `work` raises. Other processes then end at once:
            what they write must be whole or not there.
    """
    check_workers(workers, ray)
    if ray is not None:
        return _by_ray(work, iter(tasks), workers, ray)
    if workers == 1:
        return map(work, tasks)
    return _by_processes(work, iter(tasks), workers)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and OpenCV use one thread, so that a worker is one core and sums are added up in one order."""
    # Not on top: a worker that does nothing with them starts much faster.
    import cv2
    import torch

    before, before_cv2 = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        cv2.setNumThreads(before_cv2)


# What this process does, where it is a worker.
_work: Callable[[Any], Any] | None = None


def _by_processes(work: Callable[[T], R], tasks: Iterator[T], workers: int) -> Iterator[R]:
    try:
        data = pickle.dumps(work)
    except Exception as error:
        raise ValueRefusal(
            f"the work cannot be sent to other processes ({error})",
            "what it holds must be picklable, such as classes and functions of a module",
            "define them in one, or use one worker",
        ) from error
    prepare_torch()  # there: they inherit the environment
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=_SPAWN, initializer=_begin_worker, initargs=(data,))
    running: set[Future[R]] = set()
    try:
        while True:
            running |= {pool.submit(_do, task) for task in islice(tasks, IN_FLIGHT * workers - len(running))}
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
        pool.shutdown()
    except BrokenProcessPool as error:
        raise FileRefusal(
            f"one of {workers} worker processes died ({error}), perhaps for lack of memory",
            "each needs memory of its own",
            "use fewer --workers and run the same command again: it goes on where it stopped",
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        _stop(set(multiprocessing.active_children()) - before)


def _begin_worker(data: bytes) -> None:
    global _work
    _die_with_parent()
    _work = pickle.loads(data)
    # A worker is one core. What the work has not imported it does not use, and need not wait for.
    for module, limit in (("torch", "set_num_threads"), ("cv2", "setNumThreads")):
        if module in sys.modules:
            getattr(sys.modules[module], limit)(1)


def _do(task: Any) -> Any:
    assert _work is not None
    return _work(task)


def _by_ray(work: Callable[[T], R], tasks: Iterator[T], workers: int, address: str) -> Iterator[R]:
    # By name: type checkers know it only where the extra is installed.
    ray: Any = import_module("ray")
    failed: Any = import_module("ray.exceptions")
    ours = not ray.is_initialized()
    if ours:
        _join(ray, workers, address)
    # Ray takes functions, and the work may be any object that can be called: it is sent to each machine once.
    remote, sent = ray.remote(num_cpus=1)(_do_there), ray.put(work)
    most = IN_FLIGHT * max(1, int(ray.cluster_resources().get("CPU", 1)))
    running: list[Any] = []
    try:
        while True:
            running += [remote.remote(sent, task) for task in islice(tasks, most - len(running))]
            if not running:
                return
            done, running = ray.wait(running, num_returns=1)
            yield ray.get(done[0])
    except failed.RayTaskError as error:
        raise error.cause from None
    except failed.RayError as error:
        raise FileRefusal(
            f"a machine or process of the Ray cluster was lost ({str(error).strip().splitlines()[0]})",
            "it must stay there, and have memory enough",
            "run the same command again: it goes on where it stopped",
        ) from error
    finally:
        if running:
            ray.wait(running, num_returns=len(running), timeout=60)
        if ours:
            ray.shutdown()


def _do_there(work: Callable[[T], R], task: T) -> R:
    return work(task)


def _join(ray: Any, workers: int, address: str) -> None:
    # So that nothing of a run leaves the machine.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    settings = {"address": address, "log_to_driver": False, "logging_level": "error"}
    settings["runtime_env"] = {"env_vars": {"OMP_NUM_THREADS": "1"}}
    if address == "local":
        settings |= {"num_cpus": workers, "include_dashboard": False}
    try:
        match = re.fullmatch(r"(?:ray://)?([^:/]+):(\d+)", address)
        if match is not None:  # where nobody listens, Ray itself would wait for minutes
            socket.create_connection((match[1], int(match[2])), timeout=_KNOCK_SECONDS).close()
        ray.init(**settings)
    except (OSError, ValueError, RuntimeError) as error:
        raise FileRefusal(
            f"Ray cannot be reached at {address!r} ({error})",
            "--ray takes `local`, `auto` or an address such as ray://head:10001",
            "start it with: ray start --head",
        ) from error
