"""Threads sleep while they wait, and torch takes large pages, in every process of voin; or what the user says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch

from voin.core.processes.apart import Ahead, Caller
from voin.core.processes.pool import run_all
from voin.core.system import prepare_torch, sound_kernels, wait_passively

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
# What the environment says in the moment in which torch starts to load.
WATCH = """
import os, sys
from importlib.abc import MetaPathFinder

class Watch(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("torch loads:", [os.environ.get(name) for name in {names}])
            sys.stdout.flush()
            os._exit(0)

sys.meta_path.insert(0, Watch())
sys.argv = ["voin", "doctor"]
from voin.cli import main
main()
""".replace("{names}", str(NAMES))


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that what a test sets is undone
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["PASSIVE", None, None]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", None, None]),
        ({"GOMP_SPINCOUNT": "1000"}, [None, "1000", None]),
        ({"KMP_BLOCKTIME": "5"}, [None, None, "5"]),
    ],
)
def test_the_command_sets_it_before_torch_loads_and_keeps_the_users(
    given: dict[str, str], expected: list[str | None]
) -> None:
    environment = {**os.environ, **given}
    done = subprocess.run(
        [sys.executable, "-c", WATCH], capture_output=True, text=True, env=environment, timeout=120, check=True
    )
    assert f"torch loads: {expected}" in done.stdout


def test_it_is_set_once_and_a_users_value_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    wait_passively()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    wait_passively()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_torch_takes_large_pages_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "")
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE")
    prepare_torch()
    assert (os.environ["THP_MEM_ALLOC_ENABLE"], os.environ["OMP_WAIT_POLICY"]) == ("1", "PASSIVE")
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    prepare_torch()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"


@pytest.mark.skipif(sys.platform != "linux", reason="pages are Linux's")
def test_a_process_apart_asks_for_large_pages_for_large_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is given depends on how memory lies at the moment; the kernel keeps what was asked for as a flag."""
    if not Path("/sys/kernel/mm/transparent_hugepage/enabled").is_file():
        pytest.skip("this system has no large pages")
    with closing(Caller("test")) as caller:
        assert "hg" in caller.call(flags_of_an_array, (), 60.0)
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    with closing(Caller("test")) as caller:
        assert "hg" not in caller.call(flags_of_an_array, (), 60.0)


def flags_of_an_array() -> list[str]:
    import torch

    array, within = torch.ones(64 * 2**20 // 4), False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split()
        if "-" in first and not first.endswith(":"):
            start, end = (int(edge, 16) for edge in first.split("-"))
            within = start <= array.data_ptr() < end
        elif first == "VmFlags:" and within:
            return rest
    raise AssertionError("the array lies in no mapping")


def policy() -> str | None:
    return os.environ.get("OMP_WAIT_POLICY")


def policies() -> Iterator[str | None]:
    while True:
        yield policy()


def test_processes_apart_makers_of_batches_and_workers_of_pools_inherit_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Caller("test")) as caller:
        assert caller.call(policy, (), 60.0) == "PASSIVE"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    with closing(Ahead(policies, name="test")) as maker:
        assert maker.take() == "PASSIVE"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    assert list(run_all(os.getenv, ["OMP_WAIT_POLICY"], workers=2)) == ["PASSIVE"]


def test_processes_apart_keep_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")
    assert list(run_all(os.getenv, ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"], workers=2)).count(None) == 1


@pytest.mark.parametrize(("processor", "kept"), [("AVX2", False), ("AVX512", True), ("DEFAULT", True)])
def test_onednn_is_left_out_where_its_gradients_are_faulty(
    processor: str, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: processor)
    before = torch.backends.mkldnn.enabled
    with sound_kernels():
        assert torch.backends.mkldnn.enabled == (before and kept)
    assert torch.backends.mkldnn.enabled == before
