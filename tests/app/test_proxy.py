"""The page behind a reverse proxy: below a path, with HTTPS, by another name."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from typer.testing import CliRunner

pytest.importorskip("gradio", reason='Gradio is not installed; run pip install "voin[web]"')

from fakes.web_proxies import Proxied, behind_proxy
from fakes.web_servers import Client, Served, serving
from scenes.video_clips import encode, pictures
from voin.cli import app as cli

PREFIX = "/tools/voin"


def login(proxied: Proxied, password: str) -> tuple[int, str]:
    """Log in; gives the status and the cookie."""
    connection = http.client.HTTPSConnection("127.0.0.1", proxied.port, context=ssl._create_unverified_context())
    body = urlencode({"username": "me", "password": password})
    connection.request("POST", f"{PREFIX}/login", body, {"content-type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    answer.read()
    cookies = answer.headers.get_all("set-cookie") or []
    connection.close()
    return answer.status, "; ".join(cookie.partition(";")[0] for cookie in cookies)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("temporary"), "--auth", "me:secret word", "--root-path", PREFIX) as served:
        yield served


# Each from an address of its own, as wrong passwords are counted.
@pytest.mark.parametrize(("strip", "asker"), [(True, "192.0.2.7"), (False, "192.0.2.8")])
def test_all_goes_through_a_proxy(served: Served, tmp_path: Path, strip: bool, asker: str) -> None:
    clip = encode(tmp_path / "clip.mp4", pictures(size=(96, 128)))
    with behind_proxy(served, tmp_path, PREFIX, strip, asker) as proxied:
        assert proxied.ask("/config")[0] == 401
        status, cookie = login(proxied, "secret word")
        assert status == 200
        client = Client(proxied, f"page-{strip}", {"cookie": cookie})
        # Where the browser asks for all the rest.
        config = json.loads(proxied.ask("/config", headers={"cookie": cookie})[1])
        assert config["root"] == f"https://127.0.0.1:{proxied.port}{PREFIX}"
        answer = client.do("upload", "upload", client.token, client.upload(clip))
        assert "clip.mp4: 128x96" in str(answer["choose"])
        evil = {"cookie": cookie, "origin": "https://evil.example.org"}
        assert proxied.ask("/gradio_api/reset", "POST", b"{}", evil)[0] == 403
        # The proxy says who asks, so that others are not slowed.
        assert [login(proxied, "wrong")[0] for _ in range(6)] == [400] * 5 + [429]
        assert login(proxied, "secret word")[0] == 429
        assert served.ask("/login", "POST", b"", {"content-type": "application/x-www-form-urlencoded"})[0] == 422


@pytest.mark.parametrize("text", ["voin", "/a b", "ftp://example.org", "https://", "/x?y", "https://example.org/#x"])
def test_a_root_path_that_is_none_is_refused(text: str) -> None:
    done = CliRunner().invoke(cli.app, ["serve", "--root-path", text])
    assert done.exit_code == 2
    assert "it must be a path such as /voin, or a URL" in " ".join(done.output.split())
