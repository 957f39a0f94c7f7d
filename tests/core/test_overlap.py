from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from voin.core.overlap import BackgroundWriter, Prefetcher, map_ahead


def test_a_feed_gives_all_items_in_order_and_then_ends() -> None:
    feed = Prefetcher(iter(range(20)), 3, "feed")
    assert [next(feed) for _ in range(20)] == list(range(20))
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(feed)
    feed.close()


def test_a_feed_runs_only_so_far_ahead_and_stops_when_told() -> None:
    made, closed = [], threading.Event()

    def items() -> Iterator[int]:
        try:
            for i in range(1000):
                made.append(i)
                yield i
        finally:
            closed.set()

    feed = Prefetcher(items(), 4, "feed")
    assert next(feed) == 0
    time.sleep(0.1)
    assert len(made) <= 1 + 4 + 1
    feed.close()
    assert closed.is_set()


def test_what_a_feed_raises_surfaces_where_it_is_read() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("broken")

    feed = Prefetcher(items(), 4, "feed")
    assert next(feed) == 1
    with pytest.raises(OSError, match="broken"):
        next(feed)
    feed.close()


def test_items_that_are_mapped_ahead_come_in_their_order() -> None:
    def slow(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return 10 * item

    assert list(map_ahead(slow, range(20), 3, "mapped")) == [10 * item for item in range(20)]
    assert list(map_ahead(slow, [], 3, "mapped")) == []


def test_mapping_runs_only_so_far_ahead_and_stops_when_it_is_closed() -> None:
    made: list[int] = []
    mapped = map_ahead(made.append, range(1000), 2, "mapped")
    next(mapped)
    time.sleep(0.1)
    assert len(made) <= 1 + 2 * 2
    mapped.close()
    done = len(made)
    time.sleep(0.1)
    assert len(made) == done
    assert not any(thread.name.startswith("mapped") for thread in threading.enumerate())


def test_what_mapping_raises_surfaces_where_its_item_is_due() -> None:
    def invert(item: int) -> float:
        return 1 / item

    mapped = map_ahead(invert, [1, 2, 0, 4], 2, "mapped")
    assert [next(mapped), next(mapped)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(mapped)


def test_a_follower_works_all_items_off_in_order() -> None:
    done: list[int] = []
    follower = BackgroundWriter[int](lambda item, stopped: done.append(item), "follower")
    for i in range(10):
        follower.put(i)
    follower.finish()
    follower.close()
    assert done == list(range(10))


def test_a_follower_holds_two_items_at_most() -> None:
    free = threading.Event()
    follower = BackgroundWriter(lambda item, stopped: free.wait(5), "follower")
    follower.put(1)
    threading.Timer(0.2, free.set).start()
    began = time.monotonic()
    follower.put(2)
    assert time.monotonic() - began > 0.1
    follower.finish()
    follower.close()


def test_what_a_follower_raises_surfaces_at_the_next_item() -> None:
    def work(item: int, stopped: threading.Event) -> None:
        raise OSError("full")

    follower = BackgroundWriter(work, "follower")
    follower.put(1)
    with pytest.raises(OSError, match="full"):
        follower.put(2)
    with pytest.raises(OSError, match="full"):
        follower.finish()
    follower.close()


def test_closing_a_follower_stops_its_work() -> None:
    follower = BackgroundWriter(lambda item, stopped: stopped.wait(5), "follower")
    follower.put(1)
    began = time.monotonic()
    follower.close()
    assert time.monotonic() - began < 1
