"""Ways to let work overlap: a generator or a function that runs ahead in threads, and one that follows behind in one.

They hold a bounded number of items, hand errors over to the main thread, and stop within a fraction of a second.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Generic, TypeVar

S, T = TypeVar("S"), TypeVar("T")
_LOOK_SECONDS = 0.1


class Prefetcher(Generic[T]):
    """Iterate over `items` in a thread, at most `ahead` items before they are asked for, and one in the making."""

    def __init__(self, items: Iterator[T], ahead: int, name: str) -> None:
        self._items = items
        self._pool = ThreadPoolExecutor(1, name)
        self._ready = deque(self._pool.submit(next, items) for _ in range(max(1, ahead) + 1))

    def __next__(self) -> T:
        """Return the next item, or raise what the generator raised; `StopIteration` at its end."""
        item = result_of(self._ready[0])  # what it raises stays there, for whoever asks again
        self._ready.popleft()
        self._ready.append(self._pool.submit(next, self._items))
        return item

    def close(self) -> None:
        """Stop the thread and drop what it has prepared."""
        while self._ready:
            self._ready.pop().cancel()
        if isinstance(self._items, Generator):
            self._pool.submit(self._items.close)
        self._pool.shutdown()


def map_ahead(function: Callable[[S], T], items: Iterable[S], threads: int, name: str) -> Generator[T]:
    """Yield what `function` makes of each item, in their order, while threads work on twice as many of those after it.

    Close it where it is left before its end.
    """
    pool, ready, rest = ThreadPoolExecutor(threads, name), deque[Future[T]](), iter(items)
    try:
        while True:
            for item in islice(rest, 2 * threads - len(ready)):
                ready.append(pool.submit(function, item))
            if not ready:
                return
            yield result_of(ready.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


class BackgroundWriter(Generic[T]):
    """Give items to `work` one after the other, in a thread; none waits, so that there are never more than two.

    `work` gets the item and an event; once that is set it should return soon, and what it did does not count.
    """

    def __init__(self, work: Callable[[T, threading.Event], object], name: str) -> None:
        self._work = work
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(1, name)
        self._last: Future[object] | None = None

    def put(self, item: T) -> None:
        """Hand over the next item once the one before is worked off. Raises what `work` raised before."""
        self.finish()
        self._last = self._pool.submit(self._work, item, self._stopped)

    def finish(self) -> None:
        """Wait until all items are worked off; raises what `work` raised."""
        if self._last is not None:
            result_of(self._last)

    def close(self) -> None:
        """Stop the thread, in the middle of its work if need be."""
        self._stopped.set()
        self._pool.shutdown()


def result_of(future: Future[T]) -> T:
    """Wait for what a thread gives or raises, in small steps: one long wait cannot be interrupted on every system."""
    while not future.done():
        wait([future], timeout=_LOOK_SECONDS)
    return future.result()
