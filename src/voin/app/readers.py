"""Calls in processes apart: a file that a stranger gives may hang or kill the process that reads it, not the server."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any, TypeVar

from voin.core.errors import ValueRefusal
from voin.core.processes import Caller, DiedError

T = TypeVar("T")
MOST_BYTES = 8 * 2**30  # of address space; what is shown and checked here needs far less


class Readers:
    """Runs short calls in a few processes, which are started when needed and replaced when they die.

    Args:
        count: calls at a time; others wait.
        seconds: that a call may take.
    """

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
            raise ValueRefusal(
                f"this file takes longer than {self.seconds:.0f} s to look at",
                "it may be damaged, or made to be a burden",
                "convert it with ffmpeg, or give a shorter one",
            ) from error
        except DiedError as error:
            raise ValueRefusal(
                "the process that reads this file died",
                "the file may be damaged, or need more memory than there is",
                "convert it with ffmpeg, or give a smaller one",
            ) from error
        finally:
            self._free.put(reader)

    def close(self) -> None:
        """End the processes."""
        self._closed = True
        for reader in self._all:
            reader.close()
