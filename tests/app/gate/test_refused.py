from __future__ import annotations

import logging

import pytest

pytest.importorskip("gradio", reason='Gradio is not installed; run pip install "voin[web]"')

from gradio import queueing, routes

from voin.app.gate.refused import log_in_lines
from voin.core.errors import ValueRefusal
from voin.io.quality import parse_size


@pytest.fixture(autouse=True)
def logged(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (queueing, routes):
        monkeypatch.setattr(module, "traceback", module.traceback)
    log_in_lines()


@pytest.mark.parametrize("module", [queueing, routes])
def test_what_gradio_refuses_is_one_line(
    module: object, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        raise ValueError("too\nfew inputs " + "x" * 999)
    except ValueError:
        module.traceback.print_exc()  # pyright: ignore
    (line,) = caplog.text.splitlines()
    assert "an event that is none of the page's: ValueError('too\\nfew inputs" in line
    assert len(line) < 500
    assert capsys.readouterr().err == ""


def test_a_fault_of_ours_keeps_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    try:
        parse_size("none")
    except ValueRefusal:
        queueing.traceback.print_exc()  # pyright: ignore
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "Traceback" in caplog.text
