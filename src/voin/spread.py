"""Work through items in this process or in several, each of which computes on one thread."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import cv2
import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

# What this process does, where it is a worker.
_work: Callable[[Any], Any] | None = None


def spread(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[tuple[Item, Result]]:
    """Yield each item with its result as soon as it is there; with one worker in order, in this process.

    Args:
        work: with several workers it is sent to each of them once, so it must be picklable, and what it needs to load
            it should load when it is first called.
        items: may be worked on in any order.
        workers: processes.

    Raises:
        ValueError: the work cannot be sent to other processes.
        OSError: one of them was killed.
        Exception: what `work` raises; what was not begun is then left.
    """
    if workers <= 1 or len(items) <= 1:
        for item in items:
            yield item, work(item)
        return
    data = _packed(work)
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        min(workers, len(items)), multiprocessing.get_context("spawn"), initializer=_begin, initargs=(data,)
    )
    try:
        futures = {pool.submit(_do, item): item for item in items}
        for future in as_completed(futures):
            # Results are dropped once they are used.
            yield futures.pop(future), future.result()
        pool.shutdown()
    except BrokenProcessPool as error:
        raise OSError(
            f"one of {workers} processes was killed ({error}); each needs memory of its own; use fewer --workers"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()


def _packed(work: Callable[..., Any]) -> bytes:
    try:
        return pickle.dumps(work)
    except Exception as error:
        raise ValueError(
            f"the work cannot be sent to other processes ({error}); what it holds must be picklable, such as classes "
            "and functions of a module; define them in one, or use one worker"
        ) from error


def _begin(data: bytes) -> None:
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None
    # A killed parent cannot end its workers: they look after it themselves.
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    _work = pickle.loads(data)


def _do(item: Any) -> Any:
    assert _work is not None
    return _work(item)
