"""What the machine is and offers: memory, devices, versions, waiting threads. Light: the command begins with it."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from voin.core import __version__
from voin.core.errors import Refusal, ValueRefusal

if TYPE_CHECKING:
    import torch

_LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"  # torch's; read when it takes memory for the first time
_WAIT_POLICIES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # of OpenMP, of GCC's and of LLVM's


def prepare_torch() -> None:
    """Set what torch reads once, unless the user has set it: how its threads wait, and that it takes large pages.

    It holds for processes started from here, and for this one if torch is not loaded yet.
    """
    wait_passively()
    # Arrays of many megabytes come and go, and Linux hands them out in pages of 4 kB. With pages of 2 MB a machine that
    # is busy with other things, too, takes a fifth less computing time; one that is not, as much as before.
    os.environ.setdefault(_LARGE_PAGES, "1")


def wait_passively() -> None:
    """Let torch's threads sleep while they wait, unless the user has said how they wait.

    Threads of OpenMP else spin, and take from each other and from other programs the cores that they wait for. It holds
    for processes started from here, and for this one if torch is not loaded yet.
    """
    if not any(name in os.environ for name in _WAIT_POLICIES):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


@contextmanager
def sound_kernels() -> Iterator[None]:
    """Compute without oneDNN on processors that have AVX2 and no more.

    Gradients of deep networks with strides, such as those of `dfvi`, write past their memory there about every second
    time (torch 2.14): the process is aborted sooner or later.
    """
    import torch

    sound = torch.backends.mkldnn.enabled and torch.backends.cpu.get_cpu_capability() != "AVX2"
    with torch.backends.mkldnn.flags(enabled=sound):  # pyright: ignore[reportArgumentType]
        yield


def peak_memory() -> int | None:
    """Return the most memory that this process has had at a time, in bytes; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


# Parameters of glibc's mallopt, and what they are set to.
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
_ALONE_BYTES, _ARENAS = 8 * 2**20, 1


def limit_arenas() -> None:
    """Let large arrays go back to the system as soon as they are freed.

    glibc learns to keep them, up to 32 MB each and for every thread; at 1080p that was 180 MB, and more the longer a
    job ran. Costs a twentieth of the computing time. One arena for all threads costs no more:
    few arrays are small.
    """
    with suppress(OSError, TypeError, AttributeError):  # no glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _ALONE_BYTES)
        mallopt(_ARENA_MAX, _ARENAS)


def trim_heap() -> None:
    """Return freed memory to the system.

    glibc keeps what each thread has freed for that thread. Here threads take turns with large arrays, so that what they
    keep adds up: at 1080p about 200 MB.
    """
    with suppress(OSError, TypeError, AttributeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)


def versions() -> dict[str, str]:
    """Return the versions of all that the output may depend on."""
    import av
    import cv2
    import torch

    packages = {"torch": torch, "opencv": cv2, "av": av}
    found = {name: package.__version__ for name, package in packages.items()}
    return {"voin": __version__, "python": platform.python_version(), **found}


def choose_device(name: str) -> torch.device:
    """Return the device called `auto` (the best at hand), `cpu`, `cuda` or `mps`."""
    import torch

    works = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, found in works.items() if found)
    if name not in works:
        raise ValueRefusal(f"device is {name!r}", "it must be auto, cpu, cuda or mps", "choose one with --device")
    if not works[name]:
        raise ValueRefusal(f"device {name} is not to be had here", "torch finds none", "use --device cpu")
    return torch.device(name)


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device computes in bfloat16 by itself; imitated, it is slower than float32."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    # Private functions, so that they may be gone one day: then float32 it is.
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(ask() for ask in asked if ask is not None)


# Too little memory, in whatever words libraries or the system say it.

LESS = "close other programs, or give a smaller video or fewer frames"
_UNITS = {"": 1, "bytes": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
# What was asked for, in the words of numpy, torch (CPU, then CUDA) and OpenCV.
_ASKED = re.compile(r"(?:allocate|alloc)\D{0,20}?([\d.]+) ?(bytes|[KMGT]iB)", re.IGNORECASE)
_WORDS = (
    *("can't allocate memory", "cannot allocate memory", "out of memory", "insufficient memory", "unable to allocate"),
    *("bad_alloc", "can't start new thread", "failed to map segment", "not enough memory"),
)


def memory_refusal(error: BaseException, less: str = LESS) -> Refusal | None:
    """Return what to tell a user about an error that means too little memory; None where it means something else.

    Args:
        error: what was raised; what it was raised from counts, too.
        less: what makes it less.
    """
    found = next((cause for cause in _causes(error) if _is_memory(cause)), None)
    if found is None:
        return None
    asked, used = _asked(str(found)), peak_memory()
    parts = [f"{_size(used)} were in use" if used else "", f"{_size(asked)} more were asked for" if asked else ""]
    total = f": {' and '.join(filter(None, parts))}" if any(parts) else ""
    return ValueRefusal(f"this needs more memory than there is{total}", f"{_there()} must be enough", less)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    if isinstance(error, BlockingIOError):  # no further process
        return error.errno == errno.EAGAIN
    # A refusal of ours may quote any words; what it was raised from is looked at by itself.
    return not isinstance(error, Refusal) and any(word in str(error).lower() for word in _WORDS)


def _asked(text: str) -> float | None:
    match = _ASKED.search(text)
    return float(match[1].rstrip(".")) * _UNITS[match[2].lower()] if match else None


def _there() -> str:
    """Say how much memory there is for this process."""
    if sys.platform != "win32":
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            return f"the limit of {_size(limit)} of this process (ulimit -v)"
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:  # noqa: PTH123 - no path of ours
            known = dict(line.split(":", 1) for line in lines)
        return f"the {_size(int(known['MemAvailable'].split()[0]) * 1024)} that are free"
    except (OSError, KeyError, ValueError):
        return "the memory of this machine"


def _size(count: float | int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


class ComputeClock:
    """Counts what a run costs: on processors their time, so that other work makes no difference; else the clock's.

    Args:
        device: that computes.
        processes: how many there are like this one; they are taken to cost alike.

    Attributes:
        beside: number of a process that helps this one to the seconds of processor time that it took so far.
    """

    def __init__(self, device: torch.device, processes: int = 1) -> None:
        self._processors, self._processes = device.type == "cpu", processes
        self.beside: dict[int, float] = {}
        self._last = self._now()

    def take(self) -> float:
        """Return the seconds since the last call, or since it was made: of all threads and processes together."""
        last, self._last = self._last, self._now()
        return self._last - last

    def _now(self) -> float:
        if not self._processors:
            return time.perf_counter()
        return self._processes * (time.process_time() + sum(self.beside.values()))
