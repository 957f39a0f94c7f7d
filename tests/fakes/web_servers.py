"""A server of the page as users start it, and a client without a browser: for tests over the loopback."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.processes import INTERRUPTIBLE

STOP_SECONDS = 120
# Bounds, not measures: what is waited for is gone on with at once, and other programs may take the machine.
_START_SECONDS, _ANSWER_SECONDS = 300, 120


@dataclass
class Served:
    """A running server.

    Attributes:
        port: where it listens.
        process: of it.
        folder: the temporary folder that holds its own.
    """

    port: int
    process: subprocess.Popen[str]
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def own(self) -> Path:
        """The server's own folder."""
        (found,) = self.folder.glob("voin-serve-*")
        return found

    def children(self) -> list[int]:
        """The processes that it has begun."""
        found = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(each) for path in found for each in path.read_text().split()]

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send a path as it stands, dots and all."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_ANSWER_SECONDS)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Served]:
    """Start a server; its temporary files lie in `folder`."""
    if not Path("/proc/self/task").exists():
        pytest.skip("the processes of a server are looked up in /proc, which this system has not")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "voin", "serve", "--port", str(port), *options]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(words, env=environment, **pipes, **INTERRUPTIBLE)
    served = Served(port, process, folder)
    try:
        wait_until(lambda: _answers(served), _START_SECONDS)
        yield served
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _answers(served: Served) -> bool:
    if served.process.poll() is not None:
        raise RuntimeError(served.process.stdout.read() if served.process.stdout else "")
    try:
        return served.ask("/")[0] > 0
    except OSError:
        return False


def memory(served: Served) -> float:
    """Megabytes of the server and of all that it has begun."""
    total = 0
    for process in (served.process.pid, *served.children()):
        try:
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
        except OSError:
            continue  # ended meanwhile
        total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return total / 1e3


def wait_until(ready: Any, seconds: float = _ANSWER_SECONDS) -> Any:
    """Wait until something is true, and give it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = ready()
        if value:
            return value
        time.sleep(0.1)
    raise TimeoutError(f"waited {seconds} s for {ready}")


class Client:
    """Does what the page does, without a browser.

    Args:
        served: the server.
        page: the name of this page.
        headers: sent with everything.
    """

    def __init__(self, served: Served, page: str, headers: dict[str, str] | None = None) -> None:
        self._served, self._page, self._headers = served, page, headers or {}
        self._config = json.loads(self._get("/config"))
        self._ids = {each["props"].get("elem_id"): each["id"] for each in self._config["components"]}
        self.token = ""
        entered = self.do("load", None, "")
        self.token = entered["token"]

    def do(self, event: str, element: str | None, *given: Any, data: Any = None) -> dict[str, Any]:
        """Let an event happen; gives what it changed, by the names of elements.

        Raises:
            RuntimeError: the page shows an error instead.
        """
        found = [
            each
            for each in self._config["dependencies"]
            if any(name == event and (element is None or at == self._ids[element]) for at, name in each["targets"])
        ]
        event_data = {"event_data": data} if data is not None else {}
        body = {"data": list(given), "fn_index": found[0]["id"], "session_hash": self._page, **event_data}
        status, text = self._served.ask(
            "/gradio_api/queue/join",
            "POST",
            json.dumps(body).encode(),
            {"content-type": "application/json", **self._headers},
        )
        if status != 200:
            raise RuntimeError(text.decode())
        names = {at: name for name, at in self._ids.items()}
        for line in self._get(f"/gradio_api/queue/data?session_hash={self._page}").splitlines():
            message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
            if message.get("msg") == "process_completed":
                if not message["success"]:
                    raise RuntimeError(message["output"].get("error") or message["output"])
                changed = zip(found[0]["outputs"], message["output"]["data"], strict=True)
                return {str(names.get(at)): value for at, value in changed if not _is_skipped(value)}
        raise RuntimeError("the server gave no answer")

    def upload(self, path: Path) -> dict[str, Any]:
        """Upload a file as the page does."""
        border = "----voin"
        head = f'--{border}\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'
        body = head.encode() + path.read_bytes() + f"\r\n--{border}--\r\n".encode()
        headers = {"content-type": f"multipart/form-data; boundary={border}", **self._headers}
        status, text = self._served.ask("/gradio_api/upload", "POST", body, headers)
        if status != 200:
            raise RuntimeError(f"{status} {text.decode()}")
        return as_file(json.loads(text)[0])

    def _get(self, path: str) -> str:
        status, text = self._served.ask(path, headers=self._headers)
        if status != 200:
            raise RuntimeError(f"{status} {text.decode()}")
        return text.decode()


def as_file(path: str) -> dict[str, Any]:
    """Name a file as the page names uploads."""
    return {"path": path, "orig_name": Path(path).name, "meta": {"_type": "gradio.FileData"}}


def _is_skipped(value: Any) -> bool:
    return isinstance(value, dict) and value.get("__type__") == "update" and len(value) == 1
