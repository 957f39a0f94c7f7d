"""Do the same work for many tasks: here, in several processes, or on many machines by Ray.

Tasks are taken as workers get free and results handed on as they come, so that memory does not grow with the number of
tasks. What a task gives must depend on the task alone: then all three ways give the same.
"""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
_ANSWER_SECONDS = 10.0
IN_FLIGHT = 2  # tasks for each worker: the one it does and the next


def check_workers(workers: int, ray: str | None) -> None:
    """Refuse what `run_all` would refuse, before anything is done.

    Raises:
        ValueError: `workers` is not positive.
        ImportError: Ray is asked for and not installed.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}; it must be at least 1; leave it out for 1")
    if ray is not None and find_spec("ray") is None:
        raise ImportError('Ray is not installed; it is what --ray runs on; run: pip install "voin[ray]"')


def run_all(work: Callable[[T], R], tasks: Iterable[T], workers: int = 1, ray: str | None = None) -> Iterator[R]:
    """Give the results of `work` for all tasks, in the order in which they are ready.

    Args:
        work: a function of a module, without state; it and the tasks must pickle.
        tasks: read lazily.
        workers: processes; 1 works in this one. With `ray="local"` the CPUs that Ray may use.
        ray: None, "local" for a cluster on this machine, or the address of one.

    Raises:
        ValueError: `workers` is not positive.
        ImportError: Ray is asked for and not installed.
        OSError: a worker died, or Ray cannot be reached; else whatever `work` raises. What is under way is finished.
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


def _by_processes(work: Callable[[T], R], tasks: Iterator[T], workers: int) -> Iterator[R]:
    # Spawned: a forked child would inherit threads of torch and OpenCV that are not there.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_leave_signals)
    running: set[Future[R]] = set()
    try:
        while True:
            for task in islice(tasks, IN_FLIGHT * workers - len(running)):
                running.add(pool.submit(work, task))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise OSError(
            "a worker process died, perhaps for lack of memory; each worker holds a whole clip; "
            "use fewer --workers and run the same command again: it goes on where it stopped"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_signals() -> None:
    """Leave Ctrl-C to the main process, which lets the workers finish what they have begun."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _by_ray(work: Callable[[T], R], tasks: Iterator[T], workers: int, address: str) -> Iterator[R]:
    # By name: type checkers know it only where the extra is installed.
    ray: Any = import_module("ray")
    failed: Any = import_module("ray.exceptions")
    ours = not ray.is_initialized()
    if ours:
        _join(ray, workers, address)
    remote = ray.remote(num_cpus=1)(work)
    most = IN_FLIGHT * max(1, int(ray.cluster_resources().get("CPU", 1)))
    running: list[Any] = []
    try:
        while True:
            running += [remote.remote(task) for task in islice(tasks, most - len(running))]
            if not running:
                return
            done, running = ray.wait(running, num_returns=1)
            yield ray.get(done[0])
    except failed.RayTaskError as error:
        raise error.cause from None
    finally:
        if running:
            ray.wait(running, num_returns=len(running), timeout=60)
        if ours:
            ray.shutdown()


def _join(ray: Any, workers: int, address: str) -> None:
    # So that nothing of a run leaves the machine.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    settings = {"log_to_driver": False, "logging_level": "error"}
    settings["runtime_env"] = {"env_vars": {"OMP_NUM_THREADS": "1"}}
    try:
        _knock(address)
        if address == "local":
            ray.init(address="local", num_cpus=workers, include_dashboard=False, **settings)
        else:
            ray.init(address=address, **settings)
    except (OSError, ValueError, RuntimeError) as error:
        told = str(error).replace("; ", ", ")
        raise OSError(
            f"Ray cannot be reached at {address!r} ({told}); --ray takes `local`, `auto` or an address such as "
            "ray://head:10001; start it with: ray start --head"
        ) from error


def _knock(address: str) -> None:
    """Refuse an address at which nobody listens: Ray itself would wait for minutes.

    Raises:
        OSError: nobody answers.
    """
    match = re.fullmatch(r"(?:ray://)?([^:/]+):(\d+)", address)
    if match is not None:
        socket.create_connection((match[1], int(match[2])), timeout=_ANSWER_SECONDS).close()
