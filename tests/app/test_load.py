"""Many jobs of several users at once: all finish, and memory returns. `pytest -s` shows what was measured."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fakes.web_servers import Client, memory, serving, wait_until
from scenes.video_clips import encode, pictures
from voin.app.controls import COMPLETE_OPTIONS

pytest.importorskip("gradio", reason='Gradio is not installed; run pip install "voin[web]"')
CLIENTS, JOBS = 4, 5


def prepare(client: Client) -> None:
    client.do("click", "open-below", client.token, "clip.mp4")
    box = {"kind": "box", "frame": 0, "x": 20, "y": 12, "w": 60, "h": 56}
    client.do("input", "stage", client.token, data=box)
    client.do("click", "track", client.token, "none", "grabcut", "cpu")
    wait_until(lambda: "tracked" in str(tick(client).get("mask-state")), 120)


def tick(client: Client) -> dict[str, object]:
    return client.do("tick", None, client.token)


def start(client: Client, count: int) -> None:
    for _ in range(count):
        given = {
            "method": "classical",
            "flow": "dis",
            "device": "cpu",
            "quality.crf": 18,
            "category": "",
            "cuts": "none",
        }
        given |= {
            "model": "",
            "ids": "",
            "order": "",
            "layer": "png",
            "save_confidence": True,
            "save_flow": False,
            "png": False,
        }
        client.do("click", "complete", client.token, *(given[name] for name in COMPLETE_OPTIONS))


def finished(client: Client) -> int:
    return str(tick(client).get("jobs")).count("Look at the result")


@pytest.mark.slow
def test_twenty_jobs_of_four_users_finish_and_memory_returns(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "temporary").mkdir()
    frames = pictures(size=(96, 128))
    for i, frame in enumerate(frames):
        frame[20:60, 25 + i : 65 + i] = (230, 40, 30)
    encode(tmp_path / "root" / "clip.mp4", frames)
    with serving(tmp_path / "temporary", "--root", str(tmp_path / "root"), "--jobs", "2") as served:
        clients = [Client(served, f"page-{i}") for i in range(CLIENTS)]
        for client in clients:
            prepare(client)
        start(clients[0], 1)  # so that what is loaded once is loaded
        wait_until(lambda: finished(clients[0]) == 1, 120)
        before, began = memory(served), time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda client: start(client, JOBS), clients))
        most = before
        for number, client in enumerate(clients):
            expected = JOBS + (number == 0)
            while finished(client) < expected:
                most = max(most, memory(served))
                assert time.monotonic() - began < 900
                time.sleep(0.5)
        seconds = time.monotonic() - began
        time.sleep(1)
        after = memory(served)
        print(  # noqa: T201 - what docs/results.md shows
            f"{CLIENTS * JOBS} jobs of {CLIENTS} users in {seconds:.0f} s; memory {before:.0f} MB before, "
            f"{most:.0f} MB at most, {after:.0f} MB after"
        )
        assert after < before + 50
