from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from typer.testing import CliRunner

from fakes.web_servers import STOP_SECONDS, Client, Served, as_file, memory, serving, wait_until
from scenes.video_clips import encode, pictures
from voin.app import server as web
from voin.app.gate.limits import MOST_SETS
from voin.app.options import ServeConfig, parse_auth
from voin.cli import app as cli

pytest.importorskip("gradio", reason='Gradio is not installed; run pip install "voin[web]"')
SIZE = (96, 128)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a root, and a secret beside it."""
    place = tmp_path_factory.mktemp("place")
    for name in ("root", "temporary"):
        (place / name).mkdir()
    frames = pictures(size=SIZE)
    for i, frame in enumerate(frames):
        frame[20:60, 25 + i : 65 + i] = (230, 40, 30)
    encode(place / "root" / "clip.mp4", frames)
    encode(place / "secret.mp4", frames)
    (place / "root" / "link.mp4").symlink_to(place / "secret.mp4")
    return place


@pytest.fixture(scope="module")
def served(place: Path) -> Iterator[Served]:
    options = ("--root", str(place / "root"), "--max-mb", "1", "--keep-minutes", "0.01", "--max-pixels", "500000")
    with serving(place / "temporary", *options) as served:
        yield served


def refuse(*words: str) -> str:
    done = CliRunner().invoke(cli.app, ["serve", *words])
    assert done.exit_code == 2, done.output
    return " ".join(done.output.split())


# --- settings


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--host 0.0.0.0", "can be reached from other machines .* ask for a password add --auth user:password"),
        ("--host example.org", "can be reached from other machines"),
        ("--auth user", "the user and password are not both given they must be like user:password"),
        ("--root absent", "absent is no folder"),
        ("--port 0", "the port is 0"),
        ("--jobs 0", "jobs is 0"),
        ("--max-mb 0", "megabytes is 0"),
        ("--keep-minutes -1", "keep_minutes is -1.0"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_is_served(words: str, text: str) -> None:
    assert re.search(text, refuse(*words.split()))


def test_without_gradio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "find_spec", lambda name: None)
    assert 'run: pip install "voin[web]"' in refuse()


WITHOUT_THE_EXTRA = """
import sys
class Hide:
    def find_spec(name, *more):
        if name.partition(".")[0] in ("gradio", "starlette", "fastapi", "uvicorn"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hide)
import voin.app.server
"""


def test_without_the_extra_the_server_can_be_asked_for() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", WITHOUT_THE_EXTRA], check=True, env=environment)


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        text = refuse("--port", str(taken.getsockname()[1]))
    assert "cannot be listened at (Address already in use)" in text
    assert "choose another --port" in text


def test_a_password_may_hold_anything() -> None:
    assert parse_auth("me:a:b c") == ("me", "a:b c")
    assert ServeConfig(host="0.0.0.0", auth=("me", "x")).auth == ("me", "x")


# --- files, over HTTP


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/passwd", "{place}/secret.mp4", "{place}/root/clip.mp4", "{place}/root/link.mp4", "{own}/../x"),
        *("{own}/../../../secret.mp4", "{own}/%2e%2e/%2e%2e/secret.mp4", "{own}", "{own}/", "pyproject.toml"),
        *("README.md", "http://example.org/", "{own}/aa/..%2f..%2f..%2fsecret.mp4", "{own}/link", "{sys}"),
    ],
)
def test_no_file_of_the_server_is_served(served: Served, place: Path, path: str) -> None:
    link = served.own / "link"
    if not link.is_symlink():
        link.symlink_to(place / "secret.mp4")
    text = path.replace("{place}", str(place)).replace("{own}", str(served.own)).replace("{sys}", sys.executable)
    for route in ("/gradio_api/file=", "/file=", "/gradio_api/file/", "/gradio_api/proxy=", "/static/../../../../"):
        status, body = served.ask(route + text)
        assert status in (403, 404), (route, text)
        assert b"root:" not in body
        assert len(body) < 300


def test_a_request_may_not_claim_a_file_as_its_upload(served: Served, place: Path) -> None:
    client = Client(served, "page-forged")
    for path in ("/etc/passwd", str(place / "secret.mp4"), str(served.own / "link"), "../secret.mp4"):
        with suppress(RuntimeError):
            assert "choose" not in client.do("upload", "upload", client.token, as_file(path))
        # Nor where no file is expected: Gradio would copy it all the same.
        with pytest.raises(RuntimeError, match="names a file that is no upload"):
            client.do("click", "apply", client.token, as_file(path), "", "")
    with pytest.raises(RuntimeError, match="no video"):
        client.do("click", "apply", client.token, "1,1,20,20", "", "")


@pytest.mark.parametrize("name", ["../secret.mp4", "link.mp4", "/etc/passwd", "../../etc/passwd"])
def test_a_request_may_not_leave_the_root(served: Served, name: str) -> None:
    client = Client(served, f"page-root-{abs(hash(name))}")
    with pytest.raises(RuntimeError):
        client.do("click", "open-below", client.token, name)


def test_uploads_that_are_too_large_are_refused(served: Served, tmp_path: Path) -> None:
    (tmp_path / "large.mp4").write_bytes(bytes(1_050_000))
    client = Client(served, "page-large")
    answer = client.do("upload", "upload", client.token, client.upload(tmp_path / "large.mp4"))
    assert "choose" not in answer
    (tmp_path / "large.mp4").write_bytes(bytes(1_150_000))
    with pytest.raises(RuntimeError, match="413 this is too large; at most 1 MB are taken here; cut or convert it"):
        client.upload(tmp_path / "large.mp4")
    (tmp_path / "larger.mp4").write_bytes(bytes(3_000_000))
    with pytest.raises((RuntimeError, OSError)):
        client.upload(tmp_path / "larger.mp4")
    assert not [path for path in served.own.rglob("*") if path.is_file() and path.stat().st_size > 1_100_000]


@pytest.mark.parametrize("name", ["100%20done.mp4", "50%.mp4", "\u4e2d\u6587 (1)&#39;.mp4", "x" * 251 + ".mp4"])
def test_a_video_of_any_name_is_uploaded_and_found(served: Served, place: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes((place / "root" / "clip.mp4").read_bytes())
    client = Client(served, f"page-name-{abs(hash(name))}")
    answer = client.do("upload", "upload", client.token, client.upload(tmp_path / name))
    assert f"{name}: 128x96" in str(answer["choose"])


def test_what_is_no_form_with_a_file_or_few_is_no_upload(served: Served) -> None:
    form = {"content-type": "multipart/form-data; boundary=b"}
    head = b'--b\r\nContent-Disposition: form-data; name="files"'
    for headers, body in (
        ({"content-type": "text/plain"}, b"x"),
        ({"content-type": "multipart/form-data"}, b"x"),
        (form, b"garbage"),
        (form, head + b"\r\n\r\nno file\r\n--b--\r\n"),
        (form, (MOST_SETS + 1) * (head + b'; filename="a.mp4"\r\n\r\nx\r\n') + b"--b--\r\n"),
    ):
        status, text = served.ask("/gradio_api/upload", "POST", body, headers)
        assert (status, text.count(b"; ")) == (400, 2), text
    assert not list(served.own.glob("upload-*/*"))


def test_bodies_that_break_off_leave_nothing(served: Served) -> None:
    def send(route: str, head: bytes) -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
            connection.sendall(b"POST /gradio_api/" + route.encode() + b" HTTP/1.1\r\nHost: localhost\r\n" + head)
            for _ in range(60):
                connection.sendall(b"80000\r\n" + bytes(0x80000) + b"\r\n")

    chunked = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    send("reset", chunked)  # so that what is loaded once is loaded
    before = memory(served)
    for route in ("reset", "cancel", "queue/join", "call/complete") * 2:
        send(route, chunked)
    form = b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n"
    form += b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\nbegun'
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\n" + form)
        wait_until(lambda: list(served.own.glob("upload-*/*")))
    wait_until(lambda: not list(served.own.glob("upload-*")))
    assert memory(served) < before + 60  # of the 240 MB that were sent


def test_other_names_of_the_server_are_refused(served: Served) -> None:
    assert served.ask("/", headers={"Host": "evil.example.org"})[0] == 421


# --- sessions, over HTTP


def draw_and_track(client: Client) -> None:
    client.do("click", "open-below", client.token, "clip.mp4")
    box = {"kind": "box", "frame": 0, "x": 20, "y": 12, "w": 60, "h": 56}
    client.do("input", "stage", client.token, data=box)
    client.do("click", "track", client.token, "none", "grabcut", "cpu")


def test_two_users_do_not_see_each_others_files(served: Served, place: Path) -> None:
    first, second = Client(served, "page-a"), Client(served, "page-b")
    assert first.token != second.token
    taken = first.do("upload", "upload", first.token, first.upload(place / "root" / "clip.mp4"))
    assert "clip.mp4: 128x96" in str(taken["choose"])
    # Nothing of the first is known to the second, which has no video.
    with pytest.raises(RuntimeError, match="no video"):
        second.do("click", "apply", second.token, "1,1,20,20", "", "")
    with pytest.raises(RuntimeError, match="session has ended"):
        second.do("click", "apply", "guessed", "1,1,20,20", "", "")
    # Its files lie in a folder with a name that nobody can guess, and that no page lists.
    names = {path.parent.name for path in served.own.rglob("*.mp4")}
    assert names
    assert all(len(name) >= 40 for name in names)
    assert served.ask(f"/gradio_api/file={served.own}/")[0] == 403


def test_a_session_that_is_left_is_removed_with_its_files(served: Served, tmp_path: Path) -> None:
    client = Client(served, "page-leaving")
    before = set(served.own.iterdir())
    given = client.upload(encode(tmp_path / "mine.mp4", pictures(size=SIZE, seed=1)))
    client.do("upload", "upload", client.token, given)
    assert set(served.own.iterdir()) != before
    # As a browser does: the heartbeat ends when the page is closed.
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.request("GET", "/gradio_api/heartbeat/page-leaving")
    connection.getresponse().read(10)
    connection.close()

    def is_gone() -> bool:
        try:
            client.do("click", "apply", client.token, "", "", "")
        except RuntimeError as error:
            return "session has ended" in str(error)
        return False

    wait_until(is_gone, 40)
    assert not Path(given["path"]).exists()


def test_a_huge_video_in_a_small_file_is_refused_with_what_to_do(served: Served, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.mp4"
    encode(bomb, [np.zeros((2160, 3840, 3), np.uint8)] * 2, options={"preset": "ultrafast"})
    client = Client(served, "page-bomb")
    answer = client.do("upload", "upload", client.token, client.upload(bomb))
    assert "choose" not in answer  # told by a message, and nothing chosen
    with pytest.raises(RuntimeError, match="no video"):
        client.do("click", "apply", client.token, "1,1,20,20", "", "")


# --- passwords, and its end


@pytest.fixture(scope="module")
def locked(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(
        tmp_path_factory.mktemp("locked"), "--auth", "me:secret word", "--root", str(place / "root")
    ) as served:
        yield served


def test_with_a_password_nothing_is_shown_without_it(locked: Served) -> None:
    for path in ("/config", "/gradio_api/info", f"/gradio_api/file={locked.own}", "/gradio_api/queue/data"):
        assert locked.ask(path)[0] in (401, 403), path
    assert locked.ask("/gradio_api/queue/join", "POST", b"{}", {"content-type": "application/json"})[0] == 401
    assert locked.ask("/gradio_api/upload", "POST", b"", {"content-type": "multipart/form-data"})[0] == 401
    assert login(locked, "wrong")[0] == 400


def login(served: Served, password: str) -> tuple[int, str]:
    """Log in; gives the status and the cookie."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    body = urlencode({"username": "me", "password": password})
    connection.request("POST", "/login", body, {"content-type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    answer.read()
    cookies = answer.headers.get_all("set-cookie") or []
    connection.close()
    return answer.status, "; ".join(each.partition(";")[0] for each in cookies)


def test_a_stopped_server_leaves_nothing(locked: Served) -> None:
    status, cookie = login(locked, "secret word")
    assert status == 200
    client = Client(locked, "page", {"cookie": cookie})
    draw_and_track(client)
    with pytest.raises(RuntimeError):
        client.do("click", "apply", client.token)  # an event that the page does not send: Gradio refuses it
    children = wait_until(locked.children)
    locked.process.send_signal(signal.SIGINT)
    assert locked.process.wait(STOP_SECONDS) == 0
    assert list(locked.folder.iterdir()) == []
    # The last of them, a watch over shared memory, ends by itself.
    wait_until(lambda: not [child for child in children if _is_alive(child)], 30)
    said = locked.process.stdout.read() if locked.process.stdout else ""
    assert "Traceback" not in said
    assert len([line for line in said.splitlines() if line.startswith("an event that is none of the page's: ")]) == 1


@pytest.mark.slow
def test_a_killed_server_takes_its_jobs_with_it(tmp_path: Path, place: Path) -> None:
    with serving(tmp_path, "--root", str(place / "root")) as served:
        draw_and_track(Client(served, "page"))
        children, left = wait_until(served.children), served.own
        served.process.kill()
        wait_until(lambda: not [child for child in children if _is_alive(child)], 20)
    assert left.exists()
    with serving(tmp_path) as served:  # and the next one removes its files
        assert served.own != left


def _is_alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
