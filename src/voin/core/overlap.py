"""Two ways to let work overlap: a generator that runs ahead in a thread, and a function that follows behind in one.

Both hold a bounded number of items, hand errors over to the main thread, and stop within a fraction of a second.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_LOOK_SECONDS = 0.1  # how often a waiting thread looks whether it is to stop


class Prefetcher(Generic[T]):
    """Iterate over `items` in a thread, at most `ahead` items before they are asked for."""

    def __init__(self, items: Iterator[T], ahead: int, name: str) -> None:
        self._items = items
        self._ready: queue.Queue[tuple[bool, Any]] = queue.Queue(max(1, ahead))
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def __next__(self) -> T:
        """Return the next item, or raise what the generator raised; `StopIteration` at its end."""
        good, item = _patient(self._ready.get)
        if not good:
            self._ready.put((False, item))  # for whoever asks again
            raise item
        return item

    def close(self) -> None:
        """Stop the thread and drop what it has prepared."""
        self._stopped.set()
        self._thread.join()
        while not self._ready.empty():
            self._ready.get()

    def _run(self) -> None:
        last: BaseException = StopIteration()
        try:
            for item in self._items:
                self._put((True, item))
                del item  # the next one is made while this one is in other hands
                if self._stopped.is_set():
                    break
        except BaseException as error:
            last = error
        finally:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
        self._put((False, last))

    def _put(self, entry: tuple[bool, Any]) -> None:
        while not self._stopped.is_set():
            try:
                self._ready.put(entry, timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return


class BackgroundWriter(Generic[T]):
    """Return items to `work` one after the other, in a thread; none waits, so that there are never more than two.

    `work` gets the item and an event; once that is set it should return soon, and what it did does not count.
    """

    def __init__(self, work: Callable[[T, threading.Event], object], name: str) -> None:
        self._work = work
        self._waiting: queue.Queue[T | None] = queue.Queue(1)
        self._idle = threading.Semaphore(1)
        self._stopped = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T | None) -> None:
        """Hand over the next item once the one before is worked off. Raises what `work` raised before."""
        while not self._idle.acquire(timeout=_LOOK_SECONDS):
            self._check()
        self._waiting.put(item)

    def finish(self) -> None:
        """Wait until all items are worked off; raises what `work` raised."""
        self.put(None)
        while self._thread.is_alive():
            self._thread.join(_LOOK_SECONDS)
        self._check()

    def close(self) -> None:
        """Stop the thread, in the middle of its work if need be."""
        self._stopped.set()
        self._thread.join()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                item = self._waiting.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            if item is None:
                return
            try:
                self._work(item, self._stopped)
            except BaseException as error:
                self._failure = error
                return
            del item
            self._idle.release()


def _patient(get: Callable[..., Any]) -> Any:
    """Wait for a queue in small steps: one long wait cannot be interrupted on every system."""
    while True:
        try:
            return get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            continue
