from __future__ import annotations

import logging
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason='Gradio is not installed; run pip install "voin[web]"')

from voin.app.events import message, page_error
from voin.core.errors import ValueRefusal
from voin.core.processes.apart import FaultError
from voin.io.images import read_picture


def test_a_refusal_is_told_in_its_parts(caplog: pytest.LogCaptureFixture) -> None:
    error = ValueRefusal("the video is <b>blue</b>", "it must be green", "paint it")
    shown = page_error(error)
    assert message(error) == shown.message
    assert "<b>The video is &lt;b&gt;blue&lt;/b&gt;.</b><br>It must be green.<br>Paint it." in shown.message
    assert not shown.print_exception
    assert caplog.records == []


def test_an_error_of_the_system_is_told_with_advice(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent") as caught:
        read_picture(tmp_path / "absent.png")
    assert "absent.png" in message(caught.value)


@pytest.mark.parametrize("error", [KeyError("secret"), FaultError("Traceback: secret"), ValueError("secret")])
def test_a_fault_is_logged_and_not_shown(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "voin.serve"):
        text = page_error(error).message
    assert "secret" not in text
    assert "A fault in voin." in text
    assert "Please report it" in text
    assert "secret" in caplog.text
