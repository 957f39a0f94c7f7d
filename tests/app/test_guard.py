from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason='Gradio is not installed; run pip install "voin[web]"')

from voin.app.guard import Guard, host_of
from voin.app.options import is_loopback


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Frame-Options", b"ALLOWALL")]})
    await send({"type": "http.response.body", "body": b"hello"})


def ask(
    guard: Guard, path: str, host: str = "127.0.0.1:7860", length: str = "0", body: bytes = b"{}", origin: str = ""
) -> tuple[int, dict[bytes, bytes]]:
    sent: list[Any] = []
    parts = [body[:5], body[5:]]

    async def receive() -> Any:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", host.encode()), (b"content-length", length.encode())]
    headers += [(b"origin", origin.encode())] if origin else []
    asyncio.run(guard({"type": "http", "path": path, "headers": headers}, receive, send))  # pyright: ignore[reportArgumentType]
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    (folder / "secret-name").mkdir(parents=True)
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
        *("/gradio_api/deep_link", "/gradio_api/vibe-edit", "/gradio_api/call/x", "/gradio_api/process_recording", ""),
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
        *("secret-name/a b.mp4", "//etc/passwd", "{folder}/secret-name/..%2f..%2foutside.txt"),
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
    good = event(f"{folder}/secret-name/a b.mp4")
    assert ask(guard, "/gradio_api/queue/join", body=good)[0] == 200
    assert seen == [good]  # and it is passed on whole
    for path in ("/etc/passwd", f"{folder}/secret-name/link", "http://example.org/a", f"{folder}/..", 3, None):
        assert ask(guard, "/gradio_api/queue/join", body=event(path))[0] == 403
    for body in (b"no json", b"[" * 100_000, b'"' + b"x" * 101_001 + b'"'):
        assert ask(guard, "/gradio_api/queue/join", body=body)[0] == 403
    assert len(seen) == 1


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
