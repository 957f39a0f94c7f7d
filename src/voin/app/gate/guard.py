"""What stands before Gradio's own server: only the routes that the page needs, for those who may use them.

Whoever has to log in is asked first, and no body is read that is larger than its route needs. The browser is told to
load nothing from elsewhere, so that the page is the same without a network.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voin.app.gate.logins import WrongPasswords
from voin.app.gate.sessions import is_upload

log = logging.getLogger("voin.serve")
API = "/gradio_api"
_FILE = f"{API}/file="
_UPLOAD = f"{API}/upload"
_AROUND = 100_000  # bytes of an upload around the file
_EVENT_BYTES = 24_000_000  # of an event: what is painted on the largest frame takes less
# What the page needs before anybody has logged in; nothing of users' is there.
_PUBLIC = (
    *("/static/", "/assets/", "/svelte/", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt"),
    *("/login", "/logout", *(f"{API}/{name}" for name in ("app_id", "user", "login_check", "token", "theme.css"))),
)
# Everything else that Gradio offers (proxies, downloads of URLs, histories, recordings) is not for this page.
_OPEN = (
    *(*_PUBLIC, "/config", f"{API}/startup-events", f"{API}/info", f"{API}/heartbeat/", f"{API}/queue/"),
    *(f"{API}/{name}" for name in ("call/", "upload", "cancel", "reset")),
)
# Routes that take a body, with its largest size in bytes; that of an upload is for the owner to say.
_BODIES = {f"{API}/queue/join": _EVENT_BYTES, f"{API}/call": _EVENT_BYTES, _UPLOAD: 0}
_BODIES |= {"/login": 10_000, f"{API}/cancel": 10_000, f"{API}/reset": 10_000}
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
        is_known: whether a request comes from somebody who has logged in.
        root_path: path or URL under which a proxy serves the page; a proxy may leave the path in requests, or not.
    """

    def __init__(
        self,
        app: ASGIApp,
        folder: Path,
        hosts: frozenset[str] | None,
        most_bytes: int,
        is_known: Callable[[Scope], bool] = lambda scope: True,
        root_path: str = "",
    ) -> None:
        self._app, self._folder, self._hosts, self._most = app, folder.resolve(), hosts, most_bytes
        self._is_known, self._root, self._wrong = is_known, urlsplit(root_path), WrongPasswords()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        if scope["type"] != "http":
            return  # the page has no web sockets
        prefix = self._root.path
        if prefix and (scope["path"] + "/").startswith(f"{prefix}/"):
            scope = {**scope, "path": scope["path"].removeprefix(prefix)}
        is_login, address = _route(scope["path"]) == "/login", str((scope.get("client") or ("",))[0])
        is_broken = takes_events = False

        async def guarded(message: Message) -> None:
            nonlocal is_broken
            is_broken = is_broken or (takes_events and message.get("status", 0) >= 500)
            if is_broken:
                return
            if message["type"] == "http.response.start":
                ours = {name for name, _ in _HEADERS}
                kept = [(name, value) for name, value in message.get("headers", []) if name.lower() not in ours]
                message["headers"] = [*kept, *_HEADERS]
                if is_login and message["status"] < 400:
                    self._wrong.forget(address)
            await send(message)

        refusal = self._refusal(scope, address)
        if refusal is None and scope["method"] == "POST" and _route(scope["path"]) != _UPLOAD:
            body = await _body(receive, _BODIES[_route(scope["path"])])
            if body is None:
                return  # it broke off: nobody is there to be answered
            refusal = self._refused_body(scope, body)
            receive = _again(body, receive)
        if refusal is not None:
            await refusal(scope, receive, guarded)
            return
        if is_login and scope["method"] == "POST":
            self._wrong.note(address)  # until it is right: many may be tried at once
        # Gradio stumbles over what an event says of itself: what the page does comes later, and is told otherwise.
        takes_events = scope["method"] == "POST" and _route(scope["path"]) in _BODIES.keys() - {_UPLOAD, "/login"}
        try:
            await self._app(scope, receive, guarded)
        except Exception as error:
            if not is_broken:
                raise
            log.warning("an event that is none of the page's: %r", error)
        if is_broken:
            is_broken = False
            await _no(400, "this is no event of this page; load it again")(scope, receive, guarded)

    def _refusal(self, scope: Scope, address: str) -> Response | None:
        """Look at all but the body."""
        path, headers = scope["path"], {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        if self._hosts is not None and host_of(host) not in self._hosts:
            return _no(421, "this server answers on this machine alone; call it 127.0.0.1 or localhost")
        # A page elsewhere cannot make a browser send a header of a proxy.
        names = {host, headers.get(b"x-forwarded-host", host).partition(",")[0].strip(), self._root.netloc or host}
        if origin is not None and origin.partition("://")[2] not in names:
            return _no(403, "another page may not use this one; open it by itself")
        if path == "":
            return RedirectResponse(f"{self._root.path}/")
        if path.startswith(_FILE):
            if not self._is_known(scope) or not self.is_served(path.removeprefix(_FILE)):
                return _no(403, "no such file; load the page again")
        elif path != "/" and not path.startswith(_OPEN):
            return _no(404, "there is nothing here; the page is at /")
        elif path != "/" and not path.startswith(_PUBLIC) and not self._is_known(scope):
            return _no(401, "this page is for those who have a password; log in")
        if scope["method"] in ("GET", "HEAD"):
            return None
        if scope["method"] != "POST" or _route(path) not in _BODIES:
            return _no(405, "this can only be read; use GET")
        if _route(path) == "/login" and self._wrong.seconds_to_wait(address) > 0:
            return _no(429, "too many wrong passwords came from here; wait a minute and try again")
        return self._refused_length(_route(path), headers.get(b"content-length"))

    def _refused_length(self, route: str, length: str | None) -> Response | None:
        most = self._most + _AROUND if route == _UPLOAD else _BODIES[route]
        if length is None and route != _UPLOAD:
            return None  # it is counted as it comes
        if length is None or not length.isdecimal():
            return _no(411, "this does not say how large it is; an upload must; send it with its length")
        return self._too_large() if int(length) > most else None

    def _too_large(self) -> Response:
        return _no(
            413,
            f"this is too large; at most {self._most // 1_000_000} MB are taken here; cut or convert it, or start the "
            "server with a larger --max-mb",
        )

    def _refused_body(self, scope: Scope, body: bytes) -> Response | None:
        route = _route(scope["path"])
        if len(body) > _BODIES[route]:
            return self._too_large()
        if _BODIES[route] == _EVENT_BYTES and not self._names_uploads(body):
            return _no(403, "this names a file that is no upload; choose the file again")
        return None

    def _names_uploads(self, body: bytes) -> bool:
        """Return whether all files that an event names are uploads: Gradio would copy any other, too."""
        try:
            paths = list(_paths(json.loads(body)))
            return all(isinstance(path, str) and self.is_served(path) and is_upload(Path(path)) for path in paths)
        except (ValueError, RecursionError):
            return False

    def is_served(self, text: str) -> bool:
        """Return whether a path leads to a file of a session, links and dots followed."""
        path = Path(text)
        if "\0" in text or not path.is_absolute() or ".." in path.parts:
            return False
        try:
            found = path.resolve(strict=True)
        except (OSError, RuntimeError):
            return False
        return found.is_relative_to(self._folder) and found.parent != self._folder and found.is_file()


def _no(status: int, text: str) -> Response:
    return PlainTextResponse(text, status)


def _route(path: str) -> str:
    """Return a path without what stands behind the route."""
    return f"{API}/call" if path.startswith(f"{API}/call/") else path.rstrip("/")


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
    """Read a request's body, and not on once it is larger than `most`; None where it breaks off."""
    data, more = bytearray(), True
    while more and len(data) <= most:
        message = await receive()
        if message["type"] != "http.request":
            return None
        data += message.get("body", b"")
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
