"""Attack the page: start `voin serve` with a password, send it what a stranger might, and count what comes of it.

    python recipes/attack_page.py [KIND ...] [--attempts 1000] [--seed 0] [--only SEED]

Half of the attempts come from somebody without the password, half from a user who has it and wants what is another's.
Each is drawn from its seed, which is printed where it succeeds. These count as successes:

    leaked    an answer holds what only the server or another user knows: planted files, the password, their upload
    let in    somebody without the password gets in, by a wrong one or none
    escaped   a file appears outside the server's own folder, or a planted one has changed
    fault     an answer of 500 and above, or a traceback through voin in the server's log
    down      the server does not answer a user within 30 s afterwards

Memory of the server, with all processes that it has begun, is looked at all along. It runs on Linux.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import voin
from voin.jobs.speed import BenchConfig, make_clip

CANARY, PASSWORD, USER = "voin-canary-3141592653", "correct horse battery staple", "me"
OUTCOMES = ("refused", "answered", "leaked", "let in", "escaped", "fault", "down")
GOOD = ("refused", "answered")
API = "/gradio_api"
SECONDS = 30.0
ROUTES = (
    *("/", "/config", "/login", "/logout", "/theme.css", "/docs", "/openapi.json", "/monitoring", "/pwa_icon"),
    *(f"{API}/{name}" for name in ("info", "queue/join", "queue/data", "queue/status", "upload", "cancel", "reset")),
    *(f"{API}/{name}" for name in ("call/complete", "heartbeat/x", "file=/etc/passwd", "stream/a/b/c", "proxy=http://x")),
    *(f"{API}/{name}" for name in ("upload_progress", "component_server", "custom_component/a/b", "api/0", "run/0")),
    *("/static/../voin", "/assets/..%2f..%2fetc/passwd", "/svelte/../../etc/passwd", "/gradio_api", "/queue/join"),
)  # fmt: skip
NAMES = (
    *("../../{}", "..\\..\\{}", "/tmp/{}", "{}\0.mp4", "%2e%2e%2f{}", "CON", "a" * 300, "é" * 200, "{}.", "-rf {}"),
    *(
        "$(touch {})",
        "`touch {}`.mp4",
        "\r\nSet-Cookie: a=b",
        '"; filename="../{}',
        "",
        ".",
        "..",
        ".htaccess",
        "a/b/{}",
    ),
)


@dataclass
class Target:
    """A server under attack.

    Attributes:
        planted: files that must neither be told nor changed, with their content.
        cookie: of the user who attacks.
        victim: the upload of another user.
        token: the secret of the attacker's own session.
    """

    port: int
    process: subprocess.Popen[bytes]
    place: Path
    log: Path
    planted: dict[Path, bytes]
    cookie: str = ""
    victim: str = ""
    token: str = ""
    own: str = ""
    dependencies: list[dict[str, Any]] = field(default_factory=list)

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        seconds: float = SECONDS,
    ) -> tuple[int, bytes, str]:
        """Send a request; return status, body and headers, 0 where the server hangs up."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            # As it stands: what the library refuses to send is what is tried here.
            connection._validate_path = lambda url: None  # type: ignore[attr-defined]
            connection._encode_request = lambda request: request.encode("utf-8", "surrogateescape")  # type: ignore[attr-defined]
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(2_000_000), str(answer.headers)
        except (OSError, http.client.HTTPException, ValueError):
            return 0, b"", ""
        finally:
            connection.close()

    def raw(self, data: bytes, more: Iterable[bytes] = (), seconds: float = SECONDS) -> tuple[int, bytes, str]:
        """Send bytes, and go on until the server answers or hangs up."""
        answer = b""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), seconds) as line:
            line.sendall(data)
            for part in more:
                line.sendall(part)
            line.shutdown(socket.SHUT_WR)
            line.settimeout(2.0)
            while len(answer) < 2_000_000 and (part := line.recv(65536)):
                answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        words = head.split(b" ", 2)
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0, body, head.decode("latin-1")

    def memory(self) -> tuple[float, float]:
        """Megabytes of the server, and of all that it has begun."""
        found, waiting = {}, [self.process.pid]
        while waiting:
            pid = waiting.pop()
            with suppress(OSError):
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                found[pid] = sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1e3
                for children in Path(f"/proc/{pid}/task").glob("*/children"):
                    waiting += [int(word) for word in children.read_text().split()]
        own = found.pop(self.process.pid, 0.0)
        return own, sum(found.values())

    def event(self, body: dict[str, Any], page: str) -> tuple[int, bytes, str]:
        """Send an event of the page as the attacker; return what it answers."""
        headers = {"content-type": "application/json", "cookie": self.cookie}
        status, text, head = self.ask(f"{API}/queue/join", "POST", json.dumps(body).encode(), headers)
        if status != 200:
            return status, text, head
        return self.ask(f"{API}/queue/data?session_hash={page}", headers={"cookie": self.cookie})

    def upload(self, name: str, data: bytes, cookie: str | None = None) -> tuple[int, bytes, str]:
        """Upload a file."""
        border = "----voin"
        head = f'--{border}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        body = head.encode("utf-8", "surrogateescape") + data + f"\r\n--{border}--\r\n".encode()
        headers = {"content-type": f"multipart/form-data; boundary={border}"}
        cookies = self.cookie if cookie is None else cookie
        return self.ask(f"{API}/upload", "POST", body, headers | ({"cookie": cookies} if cookies else {}))


Attack = Callable[[Target, random.Random, dict[str, str]], tuple[int, bytes, str]]


def routes(target: Target, draw: random.Random, who: dict[str, str]) -> tuple[int, bytes, str]:
    """Call routes by all methods, with odd headers."""
    path = draw.choice(ROUTES) + draw.choice(
        ("", "", "/", "?x=1", "?__theme=dark", "//", "/..", "%00", "?session_hash=a")
    )
    odd = ("host", "origin", "x-forwarded-host", "x-forwarded-for", "authorization", "range", "upgrade", "expect")
    values = (
        "evil.example",
        "http://evil.example",
        "null",
        "127.0.0.1",
        "Basic bWU6eA==",
        "bytes=0-999999999",
        "websocket",
    )
    headers = {draw.choice(odd): draw.choice(values) for _ in range(draw.choice((0, 1, 2)))}
    method = draw.choice(("GET", "GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"))
    body = draw.choice((None, b"{}", b"x" * 1000)) if method in ("POST", "PUT", "PATCH") else None
    if path.startswith("/logout"):
        who = {}  # it does what it says
    if path.startswith(f"{API}/heartbeat") or "queue/data" in path:
        return target.ask(path, method, body, {**headers, **who}, seconds=1.0)  # they stay open
    return target.ask(path, method, body, {**headers, **who})


def paths(target: Target, draw: random.Random, who: dict[str, str]) -> tuple[int, bytes, str]:
    """Ask for files of the server and of others."""
    secret = draw.choice([*map(str, target.planted), "/etc/passwd", "/proc/self/environ", str(target.log)])
    own = target.own
    forms = (
        secret, f"{own}/../../../../../../../{secret}", f"{Path(own).parent}/../owner.json",
        str(Path(own).parent.parent),
        secret.replace("/", "%2f"), secret.replace("/", "%252f"), f"/{secret}", f"//{secret}", f".{secret}",
        f"{own}%00{secret}", f"{own}/.{secret}", f"file://{secret}", f"\\\\?\\{secret}", f"{Path(own).parent.parent}/*",
        "".join(f"%{ord(letter):02x}" for letter in secret), secret + "#", secret + "?x", secret.upper(), "~/" + secret,
    )  # fmt: skip
    prefix = draw.choice((f"{API}/file=", f"{API}/file/", "/file=", f"{API}/stream/", "/static/..", "/assets/..", "/"))
    return target.ask(prefix + draw.choice(forms), headers=who)


def bodies(target: Target, draw: random.Random, who: dict[str, str]) -> tuple[int, bytes, str]:
    """Send bodies that are not what they say: too long, cut off, deeply nested, of another type."""
    path = f"{API}/" + draw.choice(("queue/join", "call/complete", "cancel", "reset", "upload"))
    length = draw.choice((0, -1, 10**12, 2**63, 5, "abc", "1,1", ""))
    text = draw.choice(
        (b"[" * 100_000, b'{"data":' * 20_000, b"\xff\xfe" * 5000, b"null", b"[]", b'"x"', b"9" * 100_000)
    )
    kind = draw.choice(
        ("application/json", "multipart/form-data; boundary=x", "multipart/form-data", "text/plain", "\x01")
    )
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n"
    if draw.random() < 0.5:
        return target.ask(path, "POST", text, {"content-type": kind.replace("\x01", "x"), **who})
    head += "".join(f"{name}: {value}\r\n" for name, value in who.items())
    return target.raw((head + "\r\n").encode("latin-1") + text)


def chunked(target: Target, draw: random.Random, who: dict[str, str]) -> tuple[int, bytes, str]:
    """Send long bodies in chunks, which say no length, and break off."""
    path = draw.choice(
        (f"{API}/cancel", f"{API}/reset", f"{API}/queue/join", f"{API}/upload", "/login", f"{API}/call/x")
    )
    lines = "".join(f"{name}: {value}\r\n" for name, value in who.items())
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n{lines}\r\n"
    part = b"%x\r\n%b\r\n" % (2**20, b"x" * 2**20)
    if draw.random() < 0.1:
        part = b"%x\r\n" % 2**62 + b"x" * 2**16
    return target.raw(head.encode("latin-1"), iter([part] * draw.choice((1, 8, 40, 80))), seconds=20.0)


def names(target: Target, draw: random.Random, who: dict[str, str]) -> tuple[int, bytes, str]:
    """Upload files by names that lead elsewhere, and choose them."""
    name = draw.choice(NAMES).replace("{}", f"planted-{draw.randrange(10**6)}")
    status, text, head = target.upload(name, os.urandom(200), who.get("cookie", ""))
    if status == 200 and text.startswith(b"["):
        given = json.loads(text)[0]
        if not Path(given).resolve().is_relative_to(target.place / "temporary"):
            return 599, text, head  # counted as a fault
        return choose(target, {"path": given, "meta": {"_type": "gradio.FileData"}}, draw)
    return status, text, head


def events(target: Target, draw: random.Random, who: dict[str, str]) -> tuple[int, bytes, str]:
    """Send events that no page would: other users' files, wrong types, functions that are not there."""
    page = f"attack-{draw.randrange(10**9)}"
    wrong = [
        None,
        -1,
        1e308,
        "x" * 10_000,
        "../../etc/passwd",
        [],
        {},
        {"path": "/etc/passwd"},
        [[[[]]]],
        True,
        "\0",
        2**70,
    ]
    wrong += [{"path": target.victim, "meta": {"_type": "gradio.FileData"}}, {"path": str(next(iter(target.planted)))}]
    wrong += [
        {"kind": "box", "frame": 0, "x": float("inf"), "y": "a", "w": [], "h": {}},
        {"url": "http://127.0.0.1:22/"},
    ]
    found = draw.choice(target.dependencies)
    data: list[Any] = [draw.choice(wrong) for _ in found["inputs"]]
    if data and draw.random() < 0.7:
        data[0] = draw.choice((target.token, target.token[:-1] + "x", "a" * 43))
    body = {"data": data, "fn_index": found["id"], "session_hash": page}
    if draw.random() < 0.3:
        body["event_data"] = draw.choice(wrong)
    if draw.random() < 0.15:
        body["fn_index"] = draw.choice((-1, 10**6, "0", None, 1.5))
    if who:
        return target.event(body, page)
    return target.ask(f"{API}/queue/join", "POST", json.dumps(body).encode(), {"content-type": "application/json"})


def logins(target: Target, draw: random.Random, who: dict[str, str]) -> tuple[int, bytes, str]:
    """Log in with wrong passwords, or with cookies that were made up."""
    if draw.random() < 0.5:
        user = draw.choice((USER, "admin", "", USER + "\0", "me' or '1'='1", USER.upper()))
        word = draw.choice(("", PASSWORD[:-1], PASSWORD.upper(), "x" * 9000, "' or 1=1 --", PASSWORD + "\0", "%00"))
        body = urllib.parse.urlencode({"username": user, "password": word}).encode()
        near = {"x-forwarded-for": ".".join(str(draw.randrange(256)) for _ in range(4))}
        kind = {"content-type": "application/x-www-form-urlencoded"}
        status, text, head = target.ask("/login", "POST", body, {**kind, **near})
        return (598 if status < 400 and status and "access-token" in head.lower() else status), text, head
    value = draw.choice(("", "x", "a" * 43, base64.b64encode(os.urandom(32)).decode(), "None", "undefined", USER))
    name = target.cookie.split("=")[0]
    cookies = {"cookie": f"{draw.choice((name, 'access-token', name.upper()))}={value}"}
    status, text, head = target.ask(draw.choice((f"{API}/info", f"{API}/queue/data?session_hash=x")), headers=cookies)
    return (598 if status == 200 else status), text, head


KINDS: dict[str, Attack] = {
    attack.__name__: attack for attack in (routes, paths, bodies, chunked, names, events, logins)
}


def choose(target: Target, file: dict[str, Any], draw: random.Random) -> tuple[int, bytes, str]:
    """Choose an upload as the attacker's video or masks."""
    found = [each for each in target.dependencies if any(event == "upload" for _, event in each["targets"])]
    chosen, page = draw.choice(found), f"attack-{draw.randrange(10**9)}"
    data = [target.token, file][: len(chosen["inputs"])]
    return target.event({"data": data, "fn_index": chosen["id"], "session_hash": page}, page)


@contextmanager
def served(place: Path) -> Iterator[Target]:
    """Start a server with planted files around it, a user who attacks, and another one with an upload."""
    for name in ("root", "temporary", "beside"):
        (place / name).mkdir()
    make_clip(place / "beside", BenchConfig(size=(64, 96), frames=5))
    (place / "root" / "clip.mp4").write_bytes((place / "beside" / "video.mp4").read_bytes())
    planted = {place / name: f"{CANARY} {name}\n".encode() for name in ("secret.txt", "beside/secret.json", "root.mp4")}
    for path, data in planted.items():
        path.write_bytes(data)
    (place / "root" / "link").symlink_to(place / "secret.txt")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = place / "log.txt"
    words = [
        sys.executable,
        "-m",
        "voin",
        "serve",
        "--port",
        str(port),
        "--root",
        str(place / "root"),
        "--max-mb",
        "50",
    ]
    around = {
        **os.environ,
        "TMPDIR": str(place / "temporary"),
        "VOIN_AUTH": f"{USER}:{PASSWORD}",
        "OMP_NUM_THREADS": "1",
    }
    with log.open("wb") as file:
        process = subprocess.Popen(words, env=around, stdout=file, stderr=file, start_new_session=True)
    target = Target(port, process, place, log, planted)
    try:
        end = time.monotonic() + 120
        while target.ask("/", seconds=1.0)[0] == 0:
            if time.monotonic() > end or process.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.2)
        target.cookie, other = log_in(target), log_in(target)
        status, text, _ = target.upload("victim.mp4", f"{CANARY} victim".encode(), other)
        assert status == 200, text
        target.victim = json.loads(text)[0]
        target.own = json.loads(target.upload("own.mp4", (place / "root" / "clip.mp4").read_bytes())[1])[0]
        config = json.loads(target.ask("/config", headers={"cookie": target.cookie})[1])
        target.dependencies = config["dependencies"]
        (load,) = (each for each in target.dependencies if any(event == "load" for _, event in each["targets"]))
        _, text, _ = target.event({"data": [""], "fn_index": load["id"], "session_hash": "attacker"}, "attacker")
        target.token = next(word for word in text.decode().split('"') if len(word) == 43)
        yield target
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def log_in(target: Target) -> str:
    """Log in; return the cookie."""
    body = urllib.parse.urlencode({"username": USER, "password": PASSWORD}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    status, _, head = target.ask("/login", "POST", body, headers)
    assert status == 200, head
    lines = [line.partition(":")[2].strip() for line in head.splitlines() if line.lower().startswith("set-cookie")]
    return next(line.split(";")[0] for line in lines if "unsecure" in line)


def outcome(target: Target, answer: tuple[int, bytes, str], known: bool) -> str:
    """Return which of `OUTCOMES` an attempt came to."""
    status, body, head = answer
    if CANARY.encode() in body or PASSWORD.encode() in body or b"root:x:0" in body or b"VOIN_AUTH=" in body:
        return "leaked"
    if status == 598:
        return "let in"
    if not known and target.token.encode() in body:
        return "leaked"
    if any(not path.exists() or path.read_bytes() != data for path, data in target.planted.items()):
        return "escaped"
    ours = {target.place / name for name in ("root", "temporary", "beside", "log.txt", "secret.txt", "root.mp4")}
    if set(target.place.iterdir()) != ours or {path.name for path in (target.place / "root").iterdir()} != {
        "clip.mp4",
        "link",
    }:
        return "escaped"
    # Gradio writes what it refuses itself into the log, with a traceback; ours are those that lead through voin.
    if status >= 500 or str(Path(voin.__file__).parent) in target.log.read_text(errors="replace"):
        return "fault"
    return "answered" if 200 <= status < 400 and head else "refused"


def main() -> int:
    """Attack and count; return 1 where anything succeeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all by default")
    parser.add_argument("--attempts", type=int, default=1000, help="in all")
    parser.add_argument("--seed", type=int, default=0, help="of the first attempt; the next ones have the next numbers")
    parser.add_argument("--only", type=int, help="do this seed alone, and show the answer")
    options = parser.parse_args()
    chosen = options.kinds or [*KINDS]
    table: dict[str, Counter[str]] = {name: Counter() for name in chosen}
    seeds = range(options.seed, options.seed + options.attempts) if options.only is None else [options.only]
    with tempfile.TemporaryDirectory() as place, served(Path(place).resolve()) as target:
        levels = [target.memory()]
        for number, seed in enumerate(seeds):
            name, draw = chosen[seed % len(chosen)], random.Random(seed)
            known = draw.random() < 0.5
            answer = KINDS[name](target, draw, {"cookie": target.cookie} if known else {})
            found = outcome(target, answer, known)
            if (
                found in GOOD
                and number % 10 == 9
                and target.ask("/config", headers={"cookie": target.cookie})[0] != 200
            ):
                found = "down"
            table[name][found] += 1
            levels.append(target.memory())
            if found not in GOOD or options.only is not None:
                print(f"{name} seed {seed}: {found}; {answer[0]} {answer[1][:300]!r}", flush=True)
                if found == "fault":
                    print(target.log.read_text(errors="replace")[-3000:])
                    target.log.write_bytes(b"")
        time.sleep(2.0)
        levels.append(target.memory())
    print(f"{'kind':10}" + "".join(f"{word:>10}" for word in OUTCOMES))
    for name, counts in table.items():
        print(f"{name:10}" + "".join(f"{counts[word]:10}" for word in OUTCOMES))
    print(f"seeds {seeds[0]} to {seeds[-1]}; memory in MB, before, at most and after, and means of the four quarters:")
    for name, level in zip(("the server", "its processes"), zip(*levels, strict=True), strict=True):
        parts = [level[len(level) * i // 4 : len(level) * (i + 1) // 4] or level for i in range(4)]
        means = ", ".join(f"{sum(part) / len(part):.0f}" for part in parts)
        print(f"{name}: {level[0]:.0f}, {max(level):.0f}, {level[-1]:.0f}; {means}")
    return int(any(counts[word] for counts in table.values() for word in OUTCOMES if word not in GOOD))


if __name__ == "__main__":
    sys.exit(main())
