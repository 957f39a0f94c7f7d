"""Wrong passwords: whoever has given a few must wait, so that none can be found by trying."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict

_MOST = 5  # within the time
_SECONDS = 60.0
_MOST_ADDRESSES = 10_000  # the latest


class WrongPasswords:
    """How often each address has given one lately; at most `most` within `seconds` are answered."""

    def __init__(self, most: int = _MOST, seconds: float = _SECONDS) -> None:
        self._most, self._seconds = most, seconds
        self._times: OrderedDict[str, list[float]] = OrderedDict()

    def note(self, address: str) -> None:
        """Note one that is not known to be right."""
        times = self._lately(address)
        self._times[_network(address)] = [*times, time.monotonic()][-self._most :]
        self._times.move_to_end(_network(address))
        if len(self._times) > _MOST_ADDRESSES:
            self._times.popitem(last=False)

    def forget(self, address: str) -> None:
        """Forget those of an address that has given the right one."""
        self._times.pop(_network(address), None)

    def seconds_to_wait(self, address: str) -> float:
        """Return how long an address must wait; 0 where it may try."""
        times = self._lately(address)
        return times[0] + self._seconds - time.monotonic() if len(times) >= self._most else 0.0

    def _lately(self, address: str) -> list[float]:
        since = time.monotonic() - self._seconds
        return [at for at in self._times.get(_network(address), ()) if at > since]


def _network(address: str) -> str:
    """Return what one user can have addresses of: with IPv6 a network of 64 bits."""
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return address
    return str(ipaddress.ip_network((address, 64), strict=False)) if version == 6 else address
