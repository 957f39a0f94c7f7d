"""Calls in processes apart: a file that a stranger gives may hang or kill the process that reads it, not the server."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any, TypeVar

from voin.core.errors import ValueRefusal
from voin.core.processes.apart import Caller, DiedError

T = TypeVar("T")
MOST_BYTES = 8 * 2**30  # of address space; what is shown and checked here needs far less


class Readers:
    """Runs `count` short calls at a time, each of `seconds` at most, in processes that are replaced when they die."""

    def __init__(self, count: int = 2, seconds: float = 60.0) -> None:
        self.seconds = seconds
        self._closed = False
        self._free: queue.LifoQueue[Caller] = queue.LifoQueue()
        self._all = [Caller("voin-reader", MOST_BYTES) for _ in range(count)]
        for reader in self._all:
            self._free.put(reader)

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function of some module there; it and its arguments must pickle.

        Raises:
            Refusal: the function refuses, takes too long, or its process dies.
            FaultError: any other exception of the function.
        """
        reader = self._free.get()
        try:
            if self._closed:
                raise ValueRefusal("the server is stopping", "nothing new is begun", "start it again")
            return reader.call(function, arguments, self.seconds)
        except TimeoutError as error:
            what = f"this file takes longer than {self.seconds:.0f} s to look at"
            must, remedy = "it may be damaged, or made to be a burden", "convert it with ffmpeg, or give a shorter one"
            raise ValueRefusal(what, must, remedy) from error
        except DiedError as error:
            what, remedy = "the process that reads this file died", "convert it with ffmpeg, or give a smaller one"
            must = "the file may be damaged, or need more memory than there is"
            raise ValueRefusal(what, must, remedy) from error
        finally:
            self._free.put(reader)

    def close(self) -> None:
        """End the processes."""
        self._closed = True
        for reader in self._all:
            reader.close()
