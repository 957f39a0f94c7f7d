"""What stands on the page: its components, in order. What they do stands in `voin.app.events`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block

from voin.app.controls import COMPLETE_OPTIONS, TRACK_OPTIONS
from voin.app.limits import MASK_SUFFIXES, VIDEO_SUFFIXES
from voin.app.options import Limits
from voin.data.categories import CATEGORIES
from voin.jobs.demo import SHOTS
from voin.jobs.describe import Option

ASSETS = Path(__file__).parent / "assets"
BRUSH = 24  # pixels of the video, to begin with
TOOLS = [("Box", "box"), ("On the object", "point"), ("Not the object", "not"), ("Paint", "paint"), ("Erase", "erase")]
VIEWS = [("Completed", "result"), ("Whole mask", "whole"), ("Confidence", "confidence")]
_STAGE = '<div class="stage" hidden tabindex="0" role="application"><img alt=""><canvas></canvas></div>'
_PLAYER = """<div class="player" hidden role="group" aria-label="Input and result, played together">
<div class="videos"><figure><video muted playsinline preload="auto"></video><figcaption>Input</figcaption></figure>
<figure><video muted playsinline preload="auto"></video><figcaption>Completed</figcaption></figure></div>
<div class="bar"><button type="button">Play both</button>
<input type="range" min="0" max="0" step="1" value="0" aria-label="Frame of both videos">
<output></output></div></div>"""
_HEAD = """<div class="head-line"><h1>voin</h1><p>Shows the hidden part of an object in a video.
Your files stay on this server, for you alone, and are removed when you leave.</p></div>"""
_LEGENDS = {
    "result": "Left of the divider is the input, right of it the completed frame.",
    "whole": "Blue is the part that is seen, pink the part that was hidden; the pink line is the whole object.",
    "confidence": "Yellow was seen, green and blue come from other frames, ever less sure; dark violet is invented.",
}


def legend(kind: str) -> str:
    """Return what the right picture shows, in words."""
    return f'<p class="soft">{_LEGENDS.get(kind, "")}</p>'


def make_control(option: Option, kind: Any = gr.Dropdown, **more: Any) -> Any:
    """Make the control of an option; `kind` is that of choices, and `more` goes before what the option says."""
    said = {"label": option.label, "value": option.default, **option.more.get("page", {}), **more}
    if option.kind is bool:
        return gr.Checkbox(**said)
    if option.kind is int:
        return _slider(**{"minimum": option.limits.least, "maximum": option.limits.most, **said})
    words = option.more.get("words", {})
    return kind(**{"choices": [(text, word) for word, text in words.items()], **said})


def _slider(*given: Any, **more: Any) -> gr.Slider:
    return gr.Slider(*given, **{"step": 1, "buttons": [], **more})


class Layout:
    """All components; made inside a `gr.Blocks`.

    Args:
        limits: to be named where uploads are.
        below: videos of the folder that the server shows; None if it shows none.
        sample: whether this machine has the demo's clip.
    """

    def __init__(self, limits: Limits, below: list[str] | None, sample: bool) -> None:
        self.controls: dict[str, Any] = {}  # of the options of commands, by name
        self.token = gr.Textbox(visible="hidden", elem_id="token")
        self.timer = gr.Timer(1.0, active=False)
        gr.HTML(_HEAD)
        self._choose(limits, below, sample)
        # Laid out by page.css: beside each other where there is room.
        with gr.Column(visible=False, elem_id="desk") as self.work:
            self._draw()
            self._object()
            self._complete()
            self._queue()
        with gr.Column(visible=False, elem_classes="step", elem_id="result") as self.outcome:
            self._result()

    def changing(self) -> list[Any]:
        """List the components that events may change."""
        return [component for component in vars(self).values() if isinstance(component, Block)]

    def _choose(self, limits: Limits, below: list[str] | None, sample: bool) -> None:
        choose = gr.Accordion("Choose a video", open=True, visible=False, elem_id="choose")
        with choose as self.choose, gr.Row(equal_height=False):
            with gr.Column(min_width=280):
                self.upload = gr.File(
                    label=f"Upload one: at most {limits.megabytes} MB and {limits.frames} frames",
                    file_types=["video", *VIDEO_SUFFIXES],
                    height=164,
                    elem_id="upload",
                )
            with gr.Column(min_width=280, visible=sample):
                gr.HTML('<p class="soft">Or look at a sample, a real clip with masks that come with it:</p>')
                self.samples = {
                    shot.name: gr.Button(shot.title, elem_id=f"sample-{shot.name}") for shot in SHOTS.values()
                }
            with gr.Column(min_width=280, visible=below is not None):
                self.below = gr.Dropdown(
                    [*(below or [])], value=None, label="Or take one that lies on the server", elem_id="below"
                )
                self.open_below = gr.Button("Open", elem_id="open-below")

    def _draw(self) -> None:
        with gr.Column(elem_classes="step", elem_id="draw"):
            self.tool = gr.Radio(TOOLS, value="box", label="Draw on the frame", container=False, elem_id="tool")
            self.brush = _slider(2, 120, BRUSH, step=2, label="Brush, in pixels", visible=False)
            self.stage = gr.HTML(
                None, html_template=_STAGE, js_on_load=(ASSETS / "stage.js").read_text(), elem_id="stage"
            )
            self.frame = _slider(0, 1, 0, label="Frame", elem_id="frame")
            with gr.Row():
                self.start = gr.Number(0, label="Start frame", precision=0, min_width=110, elem_id="start")
                self.end = gr.Number(1, label="End frame, not included", precision=0, min_width=110, elem_id="end")
            with gr.Row():
                self.start_here = gr.Button("Start at this frame", size="sm", min_width=130)
                self.end_here = gr.Button("End with this frame", size="sm", min_width=130)

    def _object(self) -> None:
        with gr.Column(elem_classes="step", elem_id="object"):
            gr.HTML('<h2><span class="number">2</span>Mark the object</h2>')
            self.marked = gr.Markdown(elem_id="marked")
            with gr.Row():
                self.undo = gr.Button("Undo", size="sm", min_width=70)
                self.clear = gr.Button("Clear this frame", size="sm", min_width=110)
                self.clear_all = gr.Button("Clear all", size="sm", min_width=80)
            self.track = gr.Button("Track through the video", variant="primary", elem_id="track")
            self.mask_state = gr.Markdown(elem_id="mask-state")
            with gr.Accordion("Type it instead", open=False, elem_id="type"):
                self.box = gr.Textbox(label="Box: x,y,width,height", placeholder="120,40,80,160", elem_id="box")
                self.points = gr.Textbox(label="Points on the object: x,y x,y ...", placeholder="160,90 170,150")
                self.negative = gr.Textbox(
                    label="Points that are not the object", placeholder="110,150", elem_id="negative"
                )
                self.apply = gr.Button("Mark this frame so", size="sm", elem_id="apply")
            with gr.Accordion("Upload masks instead", open=False, elem_id="upload-masks"):
                self.masks = gr.File(
                    label="A zip of PNGs, a mask video, or .npz: white where the object is seen",
                    file_types=[*MASK_SUFFIXES],
                    height=164,
                )
            self.sample_masks = gr.Button("Use the sample's masks", size="sm", visible=False, elem_id="sample-masks")
            with gr.Accordion("How to track", open=False):
                self.controls["tracker"] = make_control(TRACK_OPTIONS["tracker"])

    def _complete(self) -> None:
        with gr.Column(elem_classes="step", elem_id="options"):
            gr.HTML('<h2><span class="number">3</span>Show the hidden part</h2>')
            left = dict(COMPLETE_OPTIONS)
            self.method = make_control(left.pop("method"), gr.Radio, elem_id="method")
            classes = [("I do not know", ""), *((name.replace("_", " "), name) for name in CATEGORIES)]
            category = make_control(left.pop("category"), choices=classes, value="")
            self.controls |= {"method": self.method, "category": category}
            with gr.Accordion("More options", open=False):
                # What is chosen from a list first, switches last.
                for name, option in sorted(left.items(), key=lambda item: (item[1].kind is bool, item[1].kind is int)):
                    self.controls[name] = make_control(option)
            self.complete = gr.Button("Complete the object", variant="primary", elem_id="complete")

    def _queue(self) -> None:
        with gr.Column(elem_classes="step", elem_id="queue"):
            gr.HTML('<h2><span class="number">4</span>Queue</h2>')
            self.jobs = gr.HTML(elem_id="jobs")
            with gr.Row(equal_height=True):
                self.job = gr.Dropdown([], label="Unfinished job", visible=False, min_width=200, scale=3)
                self.cancel = gr.Button(
                    "Cancel the job", variant="stop", visible=False, min_width=110, elem_id="cancel"
                )

    def _result(self) -> None:
        gr.HTML('<h2><span class="number">5</span>Look at the result</h2>')
        self.result = gr.Dropdown([], label="Result", visible=False)
        self.about = gr.HTML(elem_id="about")
        with gr.Tabs():
            with gr.Tab("Compare"):
                self.view = gr.Radio(VIEWS, value="result", label="At the right", elem_id="view")
                self.legend = gr.HTML(legend("result"))
                self.pair = gr.ImageSlider(
                    label="Input and result",
                    show_label=False,
                    interactive=False,
                    buttons=["fullscreen"],
                    max_height=620,
                    elem_id="pair",
                )
                self.result_frame = _slider(0, 1, 0, label="Frame of the result", elem_id="result-frame")
                self.divider = _slider(
                    0, 100, 50, label="Divider, also to be dragged in the picture", elem_id="divider"
                )
            # Rendered at once: a video in a tab that is not there yet cannot load.
            with gr.Tab("Play", render_children=True):
                self.player = gr.HTML(
                    None, html_template=_PLAYER, js_on_load=(ASSETS / "player.js").read_text(), elem_id="player"
                )
            with gr.Tab("Download"):
                self.files = gr.HTML(elem_id="files")
                gr.HTML(
                    '<p class="soft">The same on the command line, where the video and the unpacked masks.zip lie:</p>'
                )
                self.command = gr.Textbox(
                    label="Command", interactive=False, lines=3, buttons=["copy"], elem_id="command"
                )
