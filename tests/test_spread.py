from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
import torch

from voin.spread import spread


def double(number: int) -> tuple[int, int, int]:
    return 2 * number, os.getpid(), torch.get_num_threads()


def fails(number: int) -> int:
    if number == 1:
        raise OSError("no such file; here")
    return number


def dies(number: int) -> int:
    os._exit(number)


def test_one_worker_works_here_and_in_order() -> None:
    found = list(spread(double, [3, 1, 2], 1))
    assert [(item, result[0]) for item, result in found] == [(3, 6), (1, 2), (2, 4)]
    assert {result[1] for _, result in found} == {os.getpid()}


def test_several_workers_do_the_same_elsewhere_on_one_thread_each() -> None:
    found = list(spread(double, [3, 1, 2, 4], 2))
    assert sorted((item, result[0]) for item, result in found) == [(1, 2), (2, 4), (3, 6), (4, 8)]
    assert os.getpid() not in {result[1] for _, result in found}
    assert {result[2] for _, result in found} == {1}


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_come_through_and_no_process_is_left(workers: int) -> None:
    with pytest.raises(OSError, match="no such file; here"):
        list(spread(fails, [0, 1, 2], workers))
    for process in multiprocessing.active_children():
        process.join(5)
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_a_killed_worker_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(OSError, match=r"was killed .*; use fewer --workers"):
        list(spread(dies, [1, 2], 2))


def test_work_that_cannot_be_sent_is_refused(tmp_path: Path) -> None:
    with (
        (tmp_path / "file").open("w") as file,
        pytest.raises(ValueError, match=r"cannot be sent .*; define them in one, or use one worker"),
    ):
        list(spread(lambda item: file, [1, 2], 2))


def test_nothing_to_do_is_done() -> None:
    assert list(spread(double, [], 2)) == []
