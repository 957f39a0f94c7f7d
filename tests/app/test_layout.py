from __future__ import annotations

from typing import Any, get_args

import pytest

from voin.app.controls import COMPLETE_OPTIONS, TRACK_OPTIONS, read_controls
from voin.app.text import ASSETS, form
from voin.core.errors import ValueRefusal
from voin.core.system import choose_device
from voin.jobs.options import CompleteOptions, Device, Flow, Layer, MaskOptions, MethodOptions, TrackerName

pytest.importorskip("gradio", reason='Gradio is not installed; run pip install "voin[web]"')

import gradio as gr

from voin.app import layout as web_layout


def values(choices: list[tuple[str, str]]) -> set[str]:
    return {value for _, value in choices}


def control(name: str) -> Any:
    """Make the page's control of an option."""
    with gr.Blocks():
        return web_layout.make_control({**COMPLETE_OPTIONS, **TRACK_OPTIONS}[name])


def test_the_choices_of_the_page_are_those_of_the_commands() -> None:
    for name, kind in (("flow", Flow), ("layer", Layer), ("tracker", TrackerName), ("device", Device)):
        assert values(control(name).choices) == set(get_args(kind))
    for device in values(control("device").choices) - {"cuda", "mps"}:
        assert choose_device(device)
    with pytest.raises(ValueError, match="it must be auto, cpu, cuda or mps"):
        choose_device("other")
    assert CompleteOptions().cuts in values(control("cuts").choices)
    assert values(control("method").choices) == {"voin", "classical"}


def test_controls_say_what_they_are_and_begin_with_the_default_of_the_command() -> None:
    # The page always makes pictures of it.
    others = {"save_confidence": True, "ids": "", "order": ""}
    for name, option in {**COMPLETE_OPTIONS, **TRACK_OPTIONS}.items():
        assert (control(name).label, control(name).value) == (option.label, others.get(name, option.default))
    crf = control("quality.crf")
    assert (crf.minimum, crf.maximum, crf.step) == (0, 40, 1)


def test_what_controls_give_becomes_options() -> None:
    given = {"method": "classical", "flow": "raft-small", "category": "", "quality.crf": 20.0, "png": 1, "cuts": "none"}
    assert read_controls(MethodOptions, given) == MethodOptions(method="classical", flow="raft-small")
    options = read_controls(CompleteOptions, given)
    assert (options.category, options.quality.crf, options.png, options.cuts) == (None, 20, True, "none")
    numbers = read_controls(CompleteOptions, {"ids": " 2,1 ", "order": ""})
    assert (numbers.ids, numbers.order) == ((2, 1), ())
    assert read_controls(MethodOptions, {"model": ""}).model is None
    assert read_controls(MaskOptions, {"tracker": "grabcut"}) == MaskOptions(tracker="grabcut")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ids", "1,x", "--ids is '1,x'; it must be whole numbers"),
        ("order", "1,1", "order is 1, 1; object ids are 1 to 255, each named once"),
        ("order", "1," * 600, "order is too long; it may have 1000 letters"),
        ("layer", ["png"], "is no choice"),
        ("layer", "gif", "'gif' is no choice; it must be one of png, mov, webm, exr, none"),
        ("cuts", "/etc/passwd", "'/etc/passwd' is no choice"),
        ("cuts", None, "'None' is no choice"),
        ("quality.crf", "high", "it must be a whole number"),
        ("quality.crf", 1e400, "it must be a whole number"),
        ("quality.crf", 99, "crf is 99"),
    ],
)
def test_what_no_control_gives_is_refused(name: str, value: object, said: str) -> None:
    with pytest.raises(ValueRefusal, match=said):
        read_controls(CompleteOptions, {name: value})


def test_every_view_has_a_legend() -> None:
    legends = [form("legend", kind=view) for view in values(web_layout.VIEWS)]
    assert len(set(legends)) == len(legends)
    assert all(len(text) > 40 for text in legends)


def test_the_scripts_and_the_style_are_there() -> None:
    forms = {f"{name}.html" for name in ("files", "jobs", "legend", "message", "player", "refusal", "result", "stage")}
    assert {path.name for path in ASSETS.iterdir()} == {"stage.js", "player.js", "page.css", *forms}
    texts = [path.read_text() for path in ASSETS.iterdir()]
    assert not any("http:" in text or "https:" in text for text in texts)  # nothing comes from elsewhere
