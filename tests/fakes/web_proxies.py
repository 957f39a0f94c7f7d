"""A reverse proxy with HTTPS before a server of the page, as nginx or Caddy would be: for tests over the loopback."""

from __future__ import annotations

import http.client
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from fakes.web_servers import Served, wait_until


@dataclass
class Proxied(Served):
    """A running server behind a proxy, which answers with HTTPS on a port of its own, below a path."""

    prefix: str = ""
    inner: Served | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}{self.prefix}/"

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        context = ssl._create_unverified_context()  # signed by itself
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)
        origin = {"origin": f"https://127.0.0.1:{self.port}"}  # as a browser says
        try:
            connection.request(method, self.prefix + path, body, {**origin, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextmanager
def behind_proxy(served: Served, folder: Path, prefix: str, strip: bool, asker: str) -> Iterator[Proxied]:
    """Start a proxy, which is asked by `asker`; with `strip` it leaves its path out of what it asks the server."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes the proxy's certificate")
    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    words = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    words += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", key, "-out", certificate]
    subprocess.run(words, check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = _proxy(served.port, port, prefix if strip else "", asker)
    config = uvicorn.Config(
        app, port=port, log_level="error", ssl_keyfile=key, ssl_certfile=certificate, lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield Proxied(port, served.process, served.folder, prefix, served)
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)


def _proxy(to: int, port: int, strip: str, asker: str) -> Any:
    """Make the proxy as a program of ASGI; the server hears its own name, and the proxy's in headers."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
        headers += [(b"x-forwarded-host", f"127.0.0.1:{port}".encode()), (b"x-forwarded-proto", b"https")]
        headers += [(b"x-forwarded-for", asker.encode())]
        path = scope["raw_path"].decode().removeprefix(strip) + f"?{scope['query_string'].decode()}"
        async with (
            httpx.AsyncClient(timeout=60) as client,
            client.stream(scope["method"], f"http://127.0.0.1:{to}{path}", headers=headers, content=body) as answer,
        ):
            kept = [(name, value) for name, value in answer.headers.raw if name.lower() != b"transfer-encoding"]
            await send({"type": "http.response.start", "status": answer.status_code, "headers": kept})
            async for part in answer.aiter_raw():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    return app
