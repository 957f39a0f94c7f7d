from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from voin.app.gate.folder import OwnFolder

SERVE = """
import sys, time
from voin.app.gate.folder import OwnFolder
folder = OwnFolder()
(folder.path / "session-x").mkdir()
(folder.path / "session-x" / "clip.mp4").write_text("mine")
print(folder.path, flush=True)
time.sleep(60)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def begin(temporary: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that has such a folder, and a file of a user in it."""
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", SERVE], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_server_has_left_is_removed_by_the_next_one(temporary: Path) -> None:
    process, left = begin(temporary)
    assert f"process {process.pid}, since " in (left / "owner.txt").read_text()
    first = OwnFolder()
    assert (left / "session-x" / "clip.mp4").exists()  # it lives
    process.kill()
    process.wait()
    second = OwnFolder()
    assert not left.exists()
    assert first.path.exists()  # of this process
    for folder in (first, second):
        folder.close()
    assert list(temporary.iterdir()) == []


def test_folders_of_others_stay(temporary: Path) -> None:
    (temporary / "voin-serve-new").mkdir()  # of one that is just starting
    (temporary / "voin-serve-file").write_text("x")
    (temporary / "other").mkdir()
    OwnFolder().close()
    assert len(list(temporary.iterdir())) == 3
