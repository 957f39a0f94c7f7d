from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing import active_children

import pytest

from fakes import web_works
from voin.app.readers import Readers
from voin.core.errors import ValueRefusal
from voin.core.processes import FaultError


@pytest.fixture
def readers() -> Iterator[Readers]:
    readers = Readers(count=1, seconds=20.0)
    yield readers
    readers.close()


def test_a_call_runs_in_another_process_and_gives_its_value(readers: Readers) -> None:
    first = readers.call(web_works.pid)
    assert first != os.getpid()
    assert readers.call(web_works.pid) == first  # which stays for the next call


def test_refusals_and_faults_are_told_apart(readers: Readers) -> None:
    with pytest.raises(ValueRefusal, match="the file is broken; it must be whole; copy it again"):
        readers.call(web_works.refuse)
    with pytest.raises(FaultError, match=r"(?s)Traceback.*KeyError: 'absent'"):
        readers.call(web_works.bug)


def test_a_process_that_dies_is_replaced(readers: Readers) -> None:
    first = readers.call(web_works.pid)
    with pytest.raises(ValueRefusal, match=r"died; the file may be damaged.*; convert it"):
        readers.call(web_works.die)
    assert readers.call(web_works.pid) not in (first, os.getpid())


def test_a_call_that_takes_too_long_is_stopped(readers: Readers) -> None:
    first = readers.call(web_works.pid)
    readers.seconds = 0.3
    with pytest.raises(ValueRefusal, match="longer than 0 s"):
        readers.call(web_works.nap, 30.0)
    assert first not in [child.pid for child in active_children()]


def test_nothing_is_left_after_closing() -> None:
    readers = Readers(count=1)
    process = readers.call(web_works.pid)
    readers.close()
    assert process not in [child.pid for child in active_children()]
    with pytest.raises(ValueRefusal, match="stopping"):
        readers.call(web_works.pid)
