from __future__ import annotations

from typing import get_args

import pytest

from voin.cli.options import Flow
from voin.core.system import choose_device
from voin.jobs.mask import TrackerName
from voin.jobs.options import CompleteOptions, Layer

pytest.importorskip("gradio", reason='Gradio is not installed; run pip install "voin[web]"')

from voin.app import layout as web_layout


def values(choices: list[tuple[str, str]]) -> set[str]:
    return {value for _, value in choices}


def test_the_choices_of_the_page_are_those_of_the_commands() -> None:
    assert values(web_layout.FLOWS) == set(get_args(Flow))
    assert values(web_layout.LAYERS) == set(get_args(Layer))
    assert values(web_layout.TRACKERS) == set(get_args(TrackerName))
    for device in values(web_layout.DEVICES) - {"cuda", "mps"}:
        assert choose_device(device)
    with pytest.raises(ValueError, match="it must be auto, cpu, cuda or mps"):
        choose_device("other")
    assert CompleteOptions().cuts in values(web_layout.CUTS)


def test_every_view_has_a_legend() -> None:
    legends = [web_layout.legend(view) for view in values(web_layout.VIEWS)]
    assert len(set(legends)) == len(legends)
    assert all(len(text) > 40 for text in legends)


def test_the_scripts_and_the_style_are_there() -> None:
    assert {path.name for path in web_layout.ASSETS.iterdir()} == {"stage.js", "player.js", "page.css"}
    texts = [path.read_text() for path in web_layout.ASSETS.iterdir()]
    assert not any("http:" in text or "https:" in text for text in texts)  # nothing comes from elsewhere
