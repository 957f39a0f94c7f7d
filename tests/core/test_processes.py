"""The same work here, in processes and by Ray."""

from __future__ import annotations

import errno
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import torch

from voin.core.processes import pool as workers
from voin.core.processes.pool import IN_FLIGHT, one_thread, run_all


def test_one_worker_works_here_and_takes_tasks_one_by_one() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(5):
            taken.append(number)
            yield number

    results = run_all(lambda number: (number, os.getpid()), tasks())
    assert next(iter(results)) == (0, os.getpid())
    assert taken == [0]


def test_processes_give_all_results_with_few_tasks_in_flight_and_pass_errors_on() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(-20, 0):
            taken.append(number)
            yield number

    results = run_all(abs, tasks(), workers=2)
    assert next(iter(results)) in range(1, 21)
    assert len(taken) <= 2 * IN_FLIGHT
    assert len(list(results)) == 19
    with pytest.raises(FileNotFoundError) as caught:
        list(run_all(os.listdir, ["/no/such/folder"], workers=2))
    assert caught.value.errno == errno.ENOENT


def test_a_worker_that_dies_is_told() -> None:
    with pytest.raises(OSError, match=r"worker processes died .*, perhaps for lack of memory; .*; use fewer --workers"):
        list(run_all(os._exit, [1], workers=2))


def test_several_workers_do_the_same_elsewhere_on_one_thread_each() -> None:
    found = list(run_all(_tell, [3, 1, 2, 4], workers=2))
    assert sorted(result for result, _, _ in found) == [2, 4, 6, 8]
    assert os.getpid() not in {process for _, process, _ in found}
    assert {threads for _, _, threads in found} == {1}


@pytest.mark.parametrize("count", [1, 2])
def test_errors_come_through_and_no_process_is_left(count: int) -> None:
    with pytest.raises(OSError, match="no such file; here"):
        list(run_all(_fail, [0, 1, 2], count))
    # The pool's own thread waits for the same processes: for a moment it may know of an end that this one has not seen.
    until = time.monotonic() + 5
    while multiprocessing.active_children() and time.monotonic() < until:
        time.sleep(0.01)
    assert multiprocessing.active_children() == []


def test_work_that_cannot_be_sent_is_refused(tmp_path: Path) -> None:
    with (
        (tmp_path / "file").open("w") as file,
        pytest.raises(ValueError, match=r"cannot be sent .*; define them in one, or use one worker"),
    ):
        list(run_all(lambda item: file, [1, 2], 2))


def test_nothing_to_do_is_done() -> None:
    assert list(run_all(_double, [], 2)) == []


def test_no_workers_are_refused() -> None:
    with pytest.raises(ValueError, match="workers is 0; it must be at least 1"):
        run_all(abs, [1], workers=0)


def test_ray_that_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r'Ray is not installed; .*; run: pip install "voin\[ray\]"'):
        run_all(abs, [1], ray="local")


def test_inside_one_thread_there_is_one_and_before_and_after_as_many_as_before() -> None:
    before = torch.get_num_threads(), cv2.getNumThreads()
    with one_thread():
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == before


@pytest.mark.slow
def test_ray_gives_all_results_and_passes_errors_on() -> None:
    pytest.importorskip("ray")
    assert sorted(run_all(_double, range(20), workers=2, ray="local")) == [2 * number for number in range(20)]
    with pytest.raises(FileNotFoundError):
        list(run_all(_listed, ["/no/such/folder"], workers=1, ray="local"))
    with pytest.raises(OSError, match=r"Ray cannot be reached at '127\.0\.0\.1:1'"):
        list(run_all(_double, [1], ray="127.0.0.1:1"))


def _double(number: int) -> int:
    return 2 * number


def _listed(path: str) -> list[Path]:
    return list(Path(path).iterdir())


def _tell(number: int) -> tuple[int, int, int]:
    return 2 * number, os.getpid(), torch.get_num_threads()


def _fail(number: int) -> int:
    if number == 1:
        raise OSError("no such file; here")
    return number
