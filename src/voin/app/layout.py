"""What stands on the page: its components, in order. What they do stands in `voin.app.events`."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.blocks import Block

from voin.app.controls import COMPLETE_OPTIONS, TRACK_OPTIONS
from voin.app.gate.limits import MASK_SUFFIXES, VIDEO_SUFFIXES
from voin.app.options import Limits, ServeConfig
from voin.app.text import ASSETS, form
from voin.app.workspace import BRUSH
from voin.data.categories import CATEGORIES
from voin.io.masks.reading import FILE_FORMS
from voin.jobs.demo import SHOTS
from voin.jobs.describe import Option

_TOOLS = [("Box", "box"), ("On the object", "point"), ("Not the object", "not"), ("Paint", "paint"), ("Erase", "erase")]
_TARGETS = [("Object", "1"), ("2nd", "2"), ("3rd", "3"), ("4th", "4"), ("What hides it", "front")]
VIEWS = [("Completed", "result"), ("Whole mask", "whole"), ("Confidence", "confidence")]
_HEAD = """<div class="head-line"><h1>voin</h1><p>Shows the hidden part of an object in a video.
Your files stay on this server, for you alone, and are removed when you leave.</p></div>"""


def make_control(option: Option, kind: Any = gr.Dropdown, **more: Any) -> Any:
    """Make the control of an option; `kind` is that of choices, and `more` goes before what the option says."""
    said = {"label": option.label, "value": option.default, **option.more.get("page", {}), **more}
    if option.kind is bool:
        return gr.Checkbox(**said)
    if option.kind is int:
        return _slider(**{"minimum": option.limits.least, "maximum": option.limits.most, **said})
    words = option.more.get("words", {})
    if option.is_text and not words:
        return gr.Textbox(**{**said, "value": option.write(option.default) or ""})
    return kind(**{"choices": [(text, word) for word, text in words.items()], **said})


def _slider(*given: Any, **more: Any) -> gr.Slider:
    return gr.Slider(*given, **{"step": 1, "buttons": [], **more})


def _small_button(text: str, min_width: int, **more: Any) -> gr.Button:
    return gr.Button(text, size="sm", min_width=min_width, **more)


def _scripted(name: str) -> gr.HTML:
    """Make the component whose form and script are assets of this name."""
    form, script = ((ASSETS / f"{name}.{suffix}").read_text() for suffix in ("html", "js"))
    return gr.HTML(None, html_template=form, js_on_load=script, elem_id=name)


def _heading(number: int, text: str) -> None:
    gr.HTML(f'<h2><span class="number">{number}</span>{text}</h2>')


def _soft(text: str) -> str:
    return f'<p class="soft">{text}</p>'


class Layout:
    """All components; made inside a `gr.Blocks`. `below`: videos that lie on the server; None if it shows none."""

    def __init__(self, config: ServeConfig, below: list[str] | None, sample: bool) -> None:
        self.controls: dict[str, Any] = {}  # of the options of commands, by name
        self.token = gr.Textbox(visible="hidden", elem_id="token")
        self.timer = gr.Timer(1.0, active=False)
        gr.HTML(_HEAD)
        self._choose(config.limits, below, sample)
        self._models = config.models
        # Laid out by page.css: beside each other where there is room.
        with gr.Column(visible=False, elem_id="desk") as self.work:
            steps = {"draw": self._draw, "object": self._object, "options": self._complete, "queue": self._queue}
            for name, fill in steps.items():
                with gr.Column(elem_classes="step", elem_id=name):
                    fill()
        with gr.Column(visible=False, elem_classes="step", elem_id="result") as self.outcome:
            self._result()

    def changing(self) -> list[Any]:
        """List the components that events may change."""
        return [component for component in vars(self).values() if isinstance(component, Block)]

    def _choose(self, limits: Limits, below: list[str] | None, sample: bool) -> None:
        choose = gr.Accordion("Choose a video", open=True, visible=False, elem_id="choose")
        with choose as self.choose, gr.Row(equal_height=False):
            with gr.Column(min_width=280):
                label = f"Upload one: at most {limits.megabytes} MB and {limits.frames} frames"
                kinds = ["video", *VIDEO_SUFFIXES]
                self.upload = gr.File(label=label, file_types=kinds, height=164, elem_id="upload")
            with gr.Column(min_width=280, visible=sample):
                gr.HTML(_soft("Or look at a sample, a real clip with masks that come with it:"))
                shots = SHOTS.values()
                self.samples = {shot.name: gr.Button(shot.title, elem_id=f"sample-{shot.name}") for shot in shots}
            with gr.Column(min_width=280, visible=below is not None):
                label = "Or take one that lies on the server"
                self.below = gr.Dropdown([*(below or [])], value=None, label=label, elem_id="below")
                self.open_below = gr.Button("Open", elem_id="open-below")

    def _draw(self) -> None:
        self.tool = gr.Radio(_TOOLS, value="box", label="Draw on the frame", container=False, elem_id="tool")
        self.brush = _slider(2, 120, BRUSH, step=2, label="Brush, in pixels", visible=False)
        self.stage = _scripted("stage")
        self.frame = _slider(0, 1, 0, label="Frame", elem_id="frame")
        with gr.Row():
            self.start = gr.Number(0, label="Start frame", precision=0, min_width=110, elem_id="start")
            self.end = gr.Number(1, label="End frame, not included", precision=0, min_width=110, elem_id="end")
        with gr.Row():
            self.start_here = _small_button("Start at this frame", 130)
            self.end_here = _small_button("End with this frame", 130)

    def _object(self) -> None:
        _heading(2, "Mark the object")
        self.target = gr.Radio(_TARGETS, value="1", label="What is marked", container=False, elem_id="target")
        self.marked = gr.Markdown(elem_id="marked")
        with gr.Row():
            self.undo = _small_button("Undo", 70)
            self.clear = _small_button("Clear this frame", 110)
            self.clear_all = _small_button("Clear all", 80)
        self.track = gr.Button("Track through the video", variant="primary", elem_id="track")
        self.mask_state = gr.Markdown(elem_id="mask-state")
        with gr.Accordion("Type it instead", open=False, elem_id="type"):
            self.box = gr.Textbox(label="Box: x,y,width,height", placeholder="120,40,80,160", elem_id="box")
            self.points = gr.Textbox(label="Points on the object: x,y x,y ...", placeholder="160,90 170,150")
            label = "Points that are not the object"
            self.negative = gr.Textbox(label=label, placeholder="110,150", elem_id="negative")
            self.apply = gr.Button("Mark this frame so", size="sm", elem_id="apply")
        with gr.Accordion("Upload masks instead", open=False, elem_id="upload-masks"):
            # As a label it would lie over the field's own words.
            gr.HTML(_soft(f"A zip of PNGs, a mask video, {FILE_FORMS}; several show an object each:"))
            self.masks = gr.File(label="Masks", file_count="multiple", file_types=[*MASK_SUFFIXES], height=164)
        self.sample_masks = gr.Button("Use the sample's masks", size="sm", visible=False, elem_id="sample-masks")
        with gr.Accordion("How to track", open=False):
            self.controls["tracker"] = make_control(TRACK_OPTIONS["tracker"])

    def _complete(self) -> None:
        _heading(3, "Show the hidden part")
        left = dict(COMPLETE_OPTIONS)
        self.method = make_control(left.pop("method"), gr.Radio, elem_id="method")
        classes = [("I do not know", ""), *((name.replace("_", " "), name) for name in CATEGORIES)]
        category = make_control(left.pop("category"), choices=classes, value="")
        networks = [("Small, which ships with voin", ""), *((name, name) for name in self._models)]
        model = make_control(left.pop("model"), choices=networks, value="", visible=bool(self._models))
        self.controls |= {"method": self.method, "category": category, "model": model}
        with gr.Accordion("More options", open=False):
            # What is chosen from a list first, switches last.
            for name, option in sorted(left.items(), key=lambda item: (item[1].kind is bool, item[1].kind is int)):
                self.controls[name] = make_control(option)
            label = "Whole masks, if you have them"
            self.amodal = gr.File(label=label, file_types=[*MASK_SUFFIXES], height=164, elem_id="amodal")
            self.amodal_state = gr.Markdown(elem_id="amodal-state")
        self.complete = gr.Button("Complete the object", variant="primary", elem_id="complete")

    def _queue(self) -> None:
        _heading(4, "Queue")
        self.jobs = gr.HTML(elem_id="jobs")
        with gr.Row(equal_height=True):
            self.job = gr.Dropdown([], label="Unfinished job", visible=False, min_width=200, scale=3)
            more: dict[str, Any] = {"variant": "stop", "visible": False, "min_width": 110}
            self.cancel = gr.Button("Cancel the job", elem_id="cancel", **more)

    def _result(self) -> None:
        _heading(5, "Look at the result")
        self.result = gr.Dropdown([], label="Result", visible=False)
        self.about = gr.HTML(elem_id="about")
        with gr.Tabs():
            with gr.Tab("Compare"):
                self.view = gr.Radio(VIEWS, value="result", label="At the right", elem_id="view")
                self.legend = gr.HTML(form("legend", kind="result"))
                look: dict[str, Any] = {"interactive": False, "buttons": ["fullscreen"], "max_height": 620}
                self.pair = gr.ImageSlider(label="Input and result", show_label=False, elem_id="pair", **look)
                self.result_frame = _slider(0, 1, 0, label="Frame of the result", elem_id="result-frame")
                self.divider = _slider(
                    0, 100, 50, label="Divider, also to be dragged in the picture", elem_id="divider"
                )
            # Rendered at once: a video in a tab that is not there yet cannot load.
            with gr.Tab("Play", render_children=True):
                self.player = _scripted("player")
            with gr.Tab("Download"):
                self.files = gr.HTML(elem_id="files")
                gr.HTML(_soft("The same on the command line, where the video and the unpacked masks.zip lie:"))
                look = {"interactive": False, "lines": 3, "buttons": ["copy"]}
                self.command = gr.Textbox(label="Command", elem_id="command", **look)
