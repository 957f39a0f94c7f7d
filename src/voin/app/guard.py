"""What stands before Gradio's own server: only the routes that the page needs, and no file but those of sessions.

The browser is told to load nothing from elsewhere, so that the page is the same without a network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_API = "/gradio_api"
_FILE = f"{_API}/file="
_AROUND = 100_000  # bytes of a request around a file
# Everything else that Gradio offers (proxies, downloads of URLs, histories, recordings) is not for this page.
_OPEN = (
    *("/static/", "/assets/", "/svelte/", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt"),
    *("/config", "/login", "/logout"),
    *(f"{_API}/{name}" for name in ("queue/", "heartbeat/", "info", "app_id", "user", "login_check", "token")),
    *(f"{_API}/{name}" for name in ("upload", "cancel", "reset", "startup-events", "theme.css")),
)
_POLICY = (
    "default-src 'self'; "
    # Gradio's page is made of scripts and styles in line.
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'self'; object-src 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)


class Guard:
    """Lets through what the page needs; a middleware of ASGI.

    Args:
        app: what answers.
        folder: the only one from which files are served.
        hosts: names by which the server may be called; None for any. A page elsewhere could point a name of its own at
            this machine, and so talk to a server that is for this machine alone.
        most_bytes: of an upload.
    """

    def __init__(self, app: ASGIApp, folder: Path, hosts: frozenset[str] | None, most_bytes: int) -> None:
        self._app, self._folder, self._hosts, self._most = app, folder.resolve(), hosts, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        if scope["type"] != "http":
            return  # the page has no web sockets

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = {name for name, _ in _HEADERS}
                kept = [(name, value) for name, value in message.get("headers", []) if name.lower() not in ours]
                message["headers"] = [*kept, *_HEADERS]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None and scope["path"].startswith(f"{_API}/queue/join"):
            body = await _body(receive, self._most + _AROUND)
            if body is None or not self._names_uploads(body):
                refusal = 403, "this names a file that is no upload; choose the file again"
            else:
                receive = _again(body, receive)
        if refusal is None:
            await self._app(scope, receive, guarded)
        else:
            status, text = refusal
            await PlainTextResponse(text, status)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        path, headers = scope["path"], {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if self._hosts is not None and host_of(headers.get(b"host", "")) not in self._hosts:
            return 421, "this server answers on this machine alone; call it 127.0.0.1 or localhost"
        length = headers.get(b"content-length", "" if path == f"{_API}/upload" else "0")
        if not length.isdecimal():
            return 411, "this does not say how large it is; an upload must; send it with its length"
        if int(length) > self._most + _AROUND:
            return 413, (
                f"this is too large; at most {self._most // 1_000_000} MB are taken here; cut or convert it, or start "
                "the server with a larger --max-mb"
            )
        origin = headers.get(b"origin")
        if origin is not None and origin.partition("://")[2] != headers.get(b"host"):
            return 403, "another page may not use this one; open it by itself"
        if path.startswith(_FILE):
            return None if self.is_served(path.removeprefix(_FILE)) else (403, "no such file; load the page again")
        if path != "/" and not path.startswith(_OPEN):
            return 404, "there is nothing here; the page is at /"
        return None

    def _names_uploads(self, body: bytes) -> bool:
        """Return whether all files that an event names are ones of sessions: Gradio would copy any other, too."""
        try:
            return all(isinstance(path, str) and self.is_served(path) for path in _paths(json.loads(body)))
        except (ValueError, RecursionError):
            return False

    def is_served(self, text: str) -> bool:
        """Return whether a path leads to a file of a session, links and dots followed."""
        path = Path(text)
        if "\0" in text or unquote(text) != text or not path.is_absolute() or ".." in path.parts:
            return False
        try:
            found = path.resolve(strict=True)
        except (OSError, RuntimeError):
            return False
        return found.is_relative_to(self._folder) and found.is_file()


def _paths(content: Any) -> Iterator[Any]:
    """Yield all that JSON calls a path."""
    if isinstance(content, dict):
        if "path" in content:
            yield content["path"]
        content = list(content.values())
    if isinstance(content, list):
        for value in content:
            yield from _paths(value)


async def _body(receive: Receive, most: int) -> bytes | None:
    """Read a request's body; None where it is too large or breaks off."""
    data, more = bytearray(), True
    while more:
        message = await receive()
        data += message.get("body", b"")
        if message["type"] != "http.request" or len(data) > most:
            return None
        more = message.get("more_body", False)
    return bytes(data)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what receives a body again that was read already."""
    left = [body]

    async def replay() -> Message:
        return {"type": "http.request", "body": left.pop(), "more_body": False} if left else await receive()

    return replay


def host_of(header: str) -> str:
    """Return the name in a Host header: "[::1]:7860" is "::1"."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()
