from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason='Gradio is not installed; run pip install "voin[web]"')

from voin.app.gate.guard import Guard, host_of
from voin.app.options import is_loopback


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Frame-Options", b"ALLOWALL")]})
    await send({"type": "http.response.body", "body": b"hello"})


def ask(
    guard: Guard,
    path: str,
    host: str = "127.0.0.1:7860",
    length: str | None = "0",
    body: bytes = b"{}",
    origin: str = "",
    method: str = "",
    more: dict[str, str] | None = None,
    client: str = "127.0.0.1",
) -> tuple[int, dict[bytes, bytes]]:
    sent: list[Any] = []
    parts = [body[:5], body[5:]]

    async def receive() -> Any:
        if not parts:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", host.encode())]
    headers += [(b"content-length", length.encode())] if length is not None else []
    headers += [(b"origin", origin.encode())] if origin else []
    headers += [(name.encode(), value.encode()) for name, value in (more or {}).items()]
    posts = path.startswith(("/gradio_api/queue/join", "/gradio_api/upload", "/gradio_api/call/"))
    method = method or ("POST" if posts else "GET")
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "client": (client, 1)}
    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    (folder / "secret-name").mkdir(parents=True)
    (folder / "upload-secret").mkdir()
    (folder / "upload-secret" / "100%20 done.mp4").write_text("mine")
    (folder / "owner.txt").write_text("mine")
    (folder / "secret-name" / "a b.mp4").write_text("mine")
    (tmp_path / "outside.txt").write_text("secret")
    (folder / "secret-name" / "link").symlink_to(tmp_path / "outside.txt")
    (folder / "up").symlink_to(tmp_path)
    return folder


@pytest.fixture
def guard(folder: Path) -> Guard:
    return Guard(hello, folder, frozenset({"127.0.0.1", "localhost", "::1"}), 1000)


@pytest.mark.parametrize("path", ["/", "/config", "/theme.css", "/assets/a.js", "/gradio_api/queue/join", "/login"])
def test_what_the_page_needs_is_let_through(guard: Guard, path: str) -> None:
    assert ask(guard, path)[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/gradio_api/proxy=http://example.org", "/gradio_api/stream/a/b/c/playlist.m3u8", "/monitoring", "/docs"),
        *("/gradio_api/runs", "/gradio_api/run-history/buckets", "/gradio_api/file/etc/passwd", "/pwa_icon", "/x"),
        *("/gradio_api/deep_link", "/gradio_api/vibe-edit", "/gradio_api/run/x", "/gradio_api/process_recording"),
    ],
)
def test_everything_else_is_not_there(guard: Guard, path: str) -> None:
    assert ask(guard, path)[0] == 404


def test_files_of_sessions_are_served(guard: Guard, folder: Path) -> None:
    assert ask(guard, f"/gradio_api/file={folder}/secret-name/a b.mp4")[0] == 200


@pytest.mark.parametrize(
    "text",
    [
        *("/etc/passwd", "{folder}/../outside.txt", "{folder}/secret-name/../secret-name/a b.mp4", "{folder}"),
        *("{folder}/secret-name/link", "{folder}/up/outside.txt", "{folder}/absent", "{folder}/secret-name", ""),
        *("http://example.org/a.png", "file:///etc/passwd", "{folder}/secret-name/a%20b.mp4", "{folder}/a\0", "."),
        *("secret-name/a b.mp4", "//etc/passwd", "{folder}/secret-name/..%2f..%2foutside.txt", "{folder}/owner.txt"),
    ],
)
def test_no_other_file_is_served(guard: Guard, folder: Path, text: str) -> None:
    assert ask(guard, "/gradio_api/file=" + text.replace("{folder}", str(folder)))[0] == 403


def event(path: object) -> bytes:
    return json.dumps({"data": ["token", [{"deep": {"path": path, "meta": {}}}]], "fn_index": 3}).encode()


def test_events_may_name_files_of_sessions_alone(folder: Path) -> None:
    seen: list[bytes] = []

    async def reads(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        seen.append(message["body"])
        await hello(scope, receive, send)

    guard = Guard(reads, folder, None, 1000)
    good = event(f"{folder}/upload-secret/100%20 done.mp4")
    for route in ("/gradio_api/queue/join", "/gradio_api/call/complete"):
        assert ask(guard, route, body=good)[0] == 200
        assert seen.pop() == good  # and it is passed on whole
        # What a session has taken is its own, by whatever secret it is named.
        for path in ("/etc/passwd", f"{folder}/secret-name/a b.mp4", f"{folder}/secret-name/link", f"{folder}/..", 3):
            assert ask(guard, route, body=event(path))[0] == 403
        for body in (event(None), event("http://example.org/a"), b"no json", b"[" * 100_000):
            assert ask(guard, route, body=body)[0] == 403
        assert ask(guard, route, body=b'"' + b"x" * 24_000_000 + b'"')[0] == 413
    assert seen == []


def test_pages_elsewhere_cannot_use_the_server(guard: Guard) -> None:
    assert ask(guard, "/gradio_api/upload", origin="http://127.0.0.1:7860")[0] == 200
    for origin in ("http://example.org", "null", "http://127.0.0.1:7861", "http://localhost:7860"):
        assert ask(guard, "/gradio_api/upload", origin=origin)[0] == 403


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org:7860", "", "localhost.example.org"])
def test_names_of_others_are_refused(guard: Guard, folder: Path, host: str) -> None:
    assert ask(guard, "/", host=host)[0] == 421
    assert ask(Guard(hello, folder, None, 1000), "/", host=host)[0] == 200


@pytest.mark.parametrize(("length", "status"), [("101000", 200), ("101001", 413), ("-1", 411), ("x", 411), ("", 411)])
def test_requests_are_only_so_large(guard: Guard, length: str, status: int) -> None:
    assert ask(guard, "/gradio_api/upload", length=length)[0] == status


@pytest.mark.parametrize("path", ["/gradio_api/reset", "/gradio_api/cancel", "/gradio_api/cancel/", "/login"])
def test_a_body_that_is_too_large_is_not_read_on(folder: Path, path: str) -> None:
    guard = Guard(hello, folder, None, 1_000_000)
    assert ask(guard, path, method="POST", body=bytes(9_000), length=None)[0] == 200
    assert ask(guard, path, method="POST", length="10001")[0] == 413
    # In chunks it says no length; what comes after the limit stays where it is.
    taken = 0

    async def receive() -> Any:
        nonlocal taken
        taken += 4_000
        return {"type": "http.request", "body": bytes(4_000), "more_body": True}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": [(b"host", b"x")], "client": ("1.2.3.4", 1)}
    asyncio.run(guard(scope, receive, send))
    assert (sent[0]["status"], taken) == (413, 12_000)


def test_what_needs_no_body_takes_none(guard: Guard) -> None:
    for method, path in (("POST", "/config"), ("PUT", "/gradio_api/upload"), ("DELETE", "/"), ("OPTIONS", "/login")):
        assert ask(guard, path, method=method)[0] == 405


def test_who_has_not_logged_in_is_refused_before_a_body_is_read(folder: Path) -> None:
    guard = Guard(hello, folder, None, 1000, is_known=lambda scope: False)

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    for path in ("queue/join", "upload", "cancel", "reset", "call/complete"):
        sent: list[Any] = []
        headers = [(b"host", b"x"), (b"content-length", b"10")]
        scope = {"type": "http", "method": "POST", "path": f"/gradio_api/{path}", "headers": headers}
        asyncio.run(guard(scope, receive, send))
        assert sent[0]["status"] == 401
    for path in ("/config", "/gradio_api/info", "/gradio_api/heartbeat/x", "/gradio_api/queue/data"):
        assert ask(guard, path)[0] == 401
    assert ask(guard, f"/gradio_api/file={folder}/secret-name/a b.mp4")[0] == 403
    for path in ("/", "/assets/a.js", "/theme.css", "/login"):
        assert ask(guard, path)[0] == 200


def test_passwords_cannot_be_tried_for_long(folder: Path) -> None:
    async def wrong(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guard, status = Guard(wrong, folder, None, 1000), 400
    attempts = [ask(guard, "/login", method="POST", client="10.0.0.1")[0] for _ in range(7)]
    assert attempts == [400] * 5 + [429] * 2
    assert ask(guard, "/login", client="10.0.0.1")[0] == 400  # the page itself is shown
    status = 200
    assert ask(guard, "/login", method="POST", client="10.0.0.1")[0] == 429  # though it is right by now
    assert [ask(guard, "/login", method="POST", client="10.0.0.2")[0] for _ in range(9)] == [200] * 9


# --- behind a proxy


@pytest.mark.parametrize("root", ["/tools/voin", "https://example.org/tools/voin"])
def test_a_proxy_may_leave_its_path_in_requests_or_not(folder: Path, root: str) -> None:
    seen: list[str] = []

    async def notes(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await hello(scope, receive, send)

    guard = Guard(notes, folder, None, 1000, root_path=root)
    for path in ("/config", "/tools/voin/config", "/tools/voin/"):
        assert ask(guard, path)[0] == 200
    assert seen == ["/config", "/config", "/"]
    status, headers = ask(guard, "/tools/voin")
    assert (status, headers[b"location"]) == (307, b"/tools/voin/")
    assert ask(guard, "/tools/voin2/config")[0] == 404


def test_the_page_behind_a_proxy_may_use_the_server(folder: Path) -> None:
    for guard, more in (
        (Guard(hello, folder, None, 1000), {"x-forwarded-host": "example.org"}),
        (Guard(hello, folder, None, 1000, root_path="https://example.org/voin"), {}),
    ):
        for origin, status in (("https://example.org", 200), ("https://evil.org", 403), ("null", 403)):
            assert ask(guard, "/gradio_api/upload", origin=origin, more=more)[0] == status


@pytest.mark.parametrize("path", ["/", "/absent"])
def test_the_browser_is_told_to_load_nothing_from_elsewhere(guard: Guard, path: str) -> None:
    _, headers = ask(guard, path)
    policy = headers[b"content-security-policy"].decode()
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert headers[b"x-frame-options"] == b"DENY"
    assert b"X-Frame-Options" not in headers


def test_hosts_are_taken_out_of_headers() -> None:
    assert [host_of(text) for text in ("a:80", "[::1]:80", "LOCALHOST", "")] == ["a", "::1", "localhost", ""]


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("example.org", False),
    ],
)
def test_only_loopback_is_this_machine_alone(host: str, local: bool) -> None:
    assert is_loopback(host) == local


async def broken(scope: Any, receive: Any, send: Any) -> None:
    """Answer as a framework does that stumbles: an error, and then the exception."""
    await send({"type": "http.response.start", "status": 500, "headers": []})
    await send({"type": "http.response.body", "body": b"Internal Server Error"})
    raise KeyError(-1)


def test_an_event_that_gradio_stumbles_over_is_refused_and_other_faults_are_not_hidden(folder: Path) -> None:
    guard = Guard(broken, folder, None, 1000)
    for path in ("/gradio_api/queue/join", "/gradio_api/cancel"):
        assert ask(guard, path, body=b'{"fn_index": -1}', method="POST")[0] == 400
    for path, method in (("/config", "GET"), ("/gradio_api/upload", "POST"), ("/login", "POST")):
        with pytest.raises(KeyError):
            ask(guard, path, method=method)
