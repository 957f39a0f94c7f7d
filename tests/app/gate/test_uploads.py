from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("gradio", reason='Gradio is not installed; run pip install "voin[web]"')

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from voin.app.gate.limits import MOST_SETS
from voin.app.gate.uploads import uploader


def test_each_file_of_a_form_lies_in_a_folder_of_its_own_and_too_many_are_refused(tmp_path: Path) -> None:
    client = TestClient(Starlette(routes=[Route("/upload", uploader(tmp_path), methods=["POST"])]))
    answer = client.post("/upload", files=[("files", ("masks.zip", b"one")), ("files", ("masks.zip", b"two"))])
    paths = [Path(text) for text in answer.json()]
    assert [path.read_bytes() for path in paths] == [b"one", b"two"]
    assert [path.name for path in paths] == ["masks.zip"] * 2
    assert sorted(path.parent for path in paths) == sorted(tmp_path.iterdir())
    answer = client.post("/upload", files=[("files", (f"{place}.zip", b"")) for place in range(MOST_SETS + 1)])
    assert answer.status_code == 400
    assert "it must be a form with few files" in answer.text
    assert len(list(tmp_path.iterdir())) == 2
