from __future__ import annotations

import errno
import resource
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.processes.apart import answer
from voin.core.system import memory_refusal

GONE = 10**15  # bytes that no machine has


def raised(function) -> BaseException:
    with pytest.raises(BaseException) as caught:
        function()
    return caught.value


@pytest.mark.parametrize(
    "ask",
    [
        lambda: np.empty(GONE, np.uint8),
        lambda: torch.empty(GONE, dtype=torch.uint8),
        lambda: cv2.resize(np.zeros((2, 2, 4), np.float64), (2**16 - 1, 2**16 - 1), interpolation=cv2.INTER_NEAREST),
    ],
    ids=["numpy", "torch", "opencv"],
)
def test_what_libraries_raise_when_they_get_no_memory_is_understood_with_how_much_was_asked_for(ask) -> None:
    limit = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (60 * 10**9, limit[1]))
    try:
        error = raised(ask)
        refusal = memory_refusal(error, "give less")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)
    assert refusal is not None, error
    what, must, remedy = refusal.parts
    assert "this needs more memory than there is: " in what
    assert "GB more were asked for" in what
    assert "the limit of 60.0 GB of this process" in must
    assert remedy == "give less"


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (MemoryError(), None),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has 79.11 GiB in all"), "21.0 MB"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000 bytes."), "4.0 GB"),
        (RuntimeError("std::bad_alloc"), None),
        (RuntimeError("can't start new thread"), None),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), None),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), None),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), None),
    ],
)
def test_other_words_for_it_are_understood(error: Exception, asked: str | None) -> None:
    refusal = memory_refusal(error)
    assert refusal is not None
    assert ("were asked for" in refusal.what) == (asked is not None)
    assert asked is None or f"{asked} more were asked for" in refusal.what


def test_what_a_refusal_was_raised_from_counts() -> None:
    def read() -> None:
        try:
            raise MemoryError
        except MemoryError as error:
            raise FileRefusal("a.mov cannot be read", "it must decode", "restore it") from error

    assert memory_refusal(raised(read)) is not None


@pytest.mark.parametrize(
    "error",
    [
        ValueError("shapes do not fit"),
        OSError(errno.ENOSPC, "No space left"),
        ValueRefusal("out of memory.png", "", ""),
    ],
)
def test_other_errors_are_left_alone(error: Exception) -> None:
    assert memory_refusal(error) is None


def test_a_call_in_another_process_is_refused_likewise() -> None:
    kind, content = answer(lambda: torch.empty(GONE, dtype=torch.uint8))
    assert kind == "refused"
    assert "GB more were asked for" in str(content)


@pytest.mark.skipif(sys.platform != "linux", reason="needs limits that hold")
def test_a_command_without_memory_ends_with_the_refusal(tmp_path) -> None:
    code = (
        "import resource; from voin.cli.console import report_errors\n"
        "resource.setrlimit(resource.RLIMIT_AS, (400 * 10**6,) * 2)\n"
        "with report_errors(less='give less'):\n    bytearray(10**9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Error: this needs more memory than there is: " in done.stderr
    assert "the limit of 0.4 GB of this process (ulimit -v) must be enough\n  give less" in done.stderr
