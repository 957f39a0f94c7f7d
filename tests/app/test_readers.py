from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from multiprocessing import active_children
from pathlib import Path

import pytest

import voin
from fakes import web_works
from voin.app.readers import Readers
from voin.core.errors import ValueRefusal
from voin.core.processes.apart import FaultError


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


@pytest.mark.parametrize("end", [web_works.die, web_works.crash])
def test_a_process_that_dies_is_replaced(readers: Readers, end: Callable[[], None]) -> None:
    first = readers.call(web_works.pid)
    with pytest.raises(ValueRefusal, match=r"died; the file may be damaged.*; convert it"):
        readers.call(end)
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


def test_what_decodes_files_of_users_is_known_to_modules_alone_whose_functions_run_apart() -> None:
    """The server's own modules hand these functions to readers, or to jobs."""
    decoding = r"from voin\.io\.(video|images|masks\.\w+|video_read) import .*\b(probe|read\w*|open_\w+|ArrayMasks)\b"
    app = Path(voin.__file__).parent / "app"
    modules = {str(path.relative_to(app)) for path in app.rglob("*.py") if re.search(decoding, path.read_text())}
    assert modules == {"gate/limits.py", "render.py", "work.py"}
    names = "check_video|take_masks|unpack_pictures|draw_frame|draw_pair|write_clips|join_masks|painted_mask"
    called = rf"(?<!\.)(?<!def )\b({names})\("
    for path in set(app.rglob("*.py")) - {app / name for name in (*modules, "marks.py")}:
        assert not re.search(called, path.read_text()), path.name
