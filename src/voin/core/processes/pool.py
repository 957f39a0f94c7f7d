"""The same work for many tasks: here, in processes, or by Ray on many machines.

Tasks are taken as workers get free and results handed on as they come, so that memory does not grow with the number of
tasks. What a task gives must depend on the task alone: then all ways give the same.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from typing import Any, TypeVar

from voin.core.errors import FileRefusal, PackageRefusal, ValueRefusal
from voin.core.processes.spawn import SPAWN, die_with_parent, stop
from voin.core.system import prepare_torch

T = TypeVar("T")
R = TypeVar("R")
IN_FLIGHT = 2  # tasks for each worker of a pool: the one it does and the next
_KNOCK_SECONDS = 10.0


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
    pool = ProcessPoolExecutor(workers, mp_context=SPAWN, initializer=_begin_worker, initargs=(data,))
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
        stop(set(multiprocessing.active_children()) - before)


def _begin_worker(data: bytes) -> None:
    global _work
    die_with_parent()
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
