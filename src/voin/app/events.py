"""What happens on the page: each event is a verb of `web_studio.py`, then what it changed is shown anew."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import gradio as gr

from voin.app.layout import BRUSH, CUTS, DEVICES, FLOWS, METHODS, Layout, legend
from voin.app.marks import as_data_url
from voin.app.queue import Job
from voin.app.render import ViewKind
from voin.app.sessions import Sessions, list_videos
from voin.app.text import files_html, jobs_html, marked_text, message_html, result_html
from voin.app.work import Track
from voin.app.workspace import Workspace
from voin.core.errors import ValueRefusal, count_of, is_fault, parts_of

log = logging.getLogger("voin.serve")
Update = dict[Any, Any]
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
_LATEST: dict[str, Any] = {"trigger_mode": "always_last"}
# The secret of the session stays in the browser's tab, so that the page can be loaded again.
_RECALL = "() => [window.sessionStorage.getItem('voin') || '']"
_REMEMBER = "(token) => { window.sessionStorage.setItem('voin', token); }"


class Events:
    """Connects the components with what they do.

    Args:
        page: the components; made inside the same `gr.Blocks`.
        sessions: of all users.
        blocks: the page.
    """

    def __init__(self, page: Layout, sessions: Sessions, blocks: gr.Blocks) -> None:
        self.page, self._sessions = page, sessions
        self._all = page.changing()
        entered = blocks.load(self._enter, page.token, self._all, js=_RECALL, **_QUIET)
        entered.then(None, page.token, None, js=_REMEMBER, **_QUIET)
        blocks.unload(self._leave)
        self._connect_video()
        self._connect_object()
        self._connect_jobs()
        self._connect_result()

    # --- connections

    def _on(self, listen: Callable[..., Any], do: Callable[..., Update], *inputs: Any, **more: Any) -> None:
        """Let an event do something with the studio of its session; what it raises becomes a message for people."""

        def event(*given: Any) -> Update:
            return self._answer(do, *given)

        listen(event, [self.page.token, *inputs], self._all, **{**_QUIET, **more})

    def _answer(self, do: Callable[..., Update], token: object, *given: Any) -> Update:
        plain = str
        try:
            session = self._sessions.find(token)
            plain = session.state.plain
            with session.lock:
                return do(session.state, *given) or {self.page.token: gr.skip()}
        except Exception as error:
            raise told(error, plain) from None

    def _connect_video(self) -> None:
        page = self.page
        self._on(page.upload.upload, self._upload, page.upload, show_progress="full", show_progress_on=page.upload)
        for name, button in page.samples.items():
            self._on(button.click, lambda studio, name=name: self._sample(studio, name))
        self._on(page.open_below.click, self._open, page.below)
        self._on(page.frame.change, self._go, page.frame, page.tool, page.brush, **_LATEST)
        # Each field by itself: what the other holds may be about to change.
        for field, verb in ((page.start, self._trim_start), (page.end, self._trim_end)):
            for event in (field.submit, field.blur):
                self._on(event, verb, field)
        self._on(page.start_here.click, lambda studio: self._trim_start(studio, studio.frame, show=True))
        self._on(page.end_here.click, lambda studio: self._trim_end(studio, studio.frame + 1, show=True))

    def _connect_object(self) -> None:
        page, pens = self.page, (self.page.tool, self.page.brush)

        def draw(token: str, tool: str, brush: float, event: gr.EventData) -> Update:
            return self._answer(self._draw, token, tool, brush, event._data)

        page.stage.input(draw, [page.token, *pens], self._all, trigger_mode="multiple", **_QUIET)
        for event in (page.tool.change, page.brush.release):
            self._on(event, self._stage, *pens)
        for button, verb in (
            (page.undo, lambda studio: studio.board.undo()),
            (page.clear, lambda studio: studio.board.clear(studio.frame)),
            (page.clear_all, lambda studio: studio.board.clear()),
        ):
            self._on(button.click, lambda studio, *pens, verb=verb: self._change(studio, verb, *pens), *pens)
        typed = (page.box, page.points, page.negative)
        for event in (page.apply.click, *(each.submit for each in typed)):
            self._on(event, self._type, *pens, *typed)
        self._on(page.masks.upload, self._take_masks, *pens, page.masks, show_progress_on=page.masks)
        self._on(page.sample_masks.click, self._take_sample_masks, *pens)

    def _connect_jobs(self) -> None:
        page = self.page
        self._on(page.track.click, self._track, page.tracker, page.device, page.cuts)
        chosen = (page.method, page.flow, page.device, page.crf, page.category, page.cuts)
        kinds = (page.layer, page.confidence, page.save_flow, page.png)
        self._on(page.complete.click, self._complete, *chosen, *kinds)
        self._on(page.timer.tick, self._tick, page.tool, page.brush, page.view)
        self._on(page.cancel.click, self._cancel, page.job)

    def _connect_result(self) -> None:
        page = self.page
        self._on(page.result.input, self._look, page.result, page.view)
        for event in (page.view.change, page.result_frame.change):
            self._on(event, self._pair, page.result_frame, page.view, **_LATEST)
        # By keyboard, too; the picture's own divider is for pointers.
        self._on(page.divider.change, lambda studio, at: {page.pair: gr.ImageSlider(slider_position=at)}, page.divider)

    # --- the page itself

    def _enter(self, token: str, request: gr.Request) -> Update:
        session = self._sessions.enter(str(token), str(request.session_hash))
        studio: Workspace = session.state
        with session.lock:
            # Nothing can be done before the page has a session.
            shown = {self.page.token: session.token, self.page.choose: gr.Accordion(visible=True)}
            if studio.desk.root is not None:
                shown[self.page.below] = gr.Dropdown(choices=list_videos(studio.desk.root))
            if studio.info is None:
                return shown
            try:
                shown |= self._video(studio) | self._stage(studio, "box", BRUSH) | self._jobs(studio)
                return shown | (self._outcome(studio, "result") if studio.chosen is not None else {})
            except Exception as error:  # a video of the server that is gone; the page goes on without it
                tell(error, studio.plain)
                return shown

    def _leave(self, request: gr.Request) -> None:
        self._sessions.leave(str(request.session_hash))

    # --- the video

    def _upload(self, studio: Workspace, path: object) -> Update:
        try:
            studio.choose_upload(path)
        except Exception as error:
            # What was refused does not stay in the box, as if it had been taken.
            tell(error, studio.plain)
            return {self.page.upload: None}
        return self._chosen(studio) | {self.page.upload: None}

    def _sample(self, studio: Workspace, name: str) -> Update:
        studio.choose_sample(name)
        # As the demo does: the networks fill what is open, such as a bicycle's frame.
        return self._chosen(studio) | {self.page.method: "classical"}

    def _open(self, studio: Workspace, name: object) -> Update:
        studio.choose_below_root(name)
        return self._chosen(studio)

    def _chosen(self, studio: Workspace) -> Update:
        return self._video(studio) | self._stage(studio, "box", BRUSH) | {self.page.tool: "box"}

    def _video(self, studio: Workspace) -> Update:
        page, last = self.page, studio.video.count - 1
        return {
            page.choose: gr.Accordion(label=f"Video: {studio.about()}", open=False, visible=True),
            page.work: gr.Column(visible=True),
            page.frame: gr.Slider(maximum=max(last, 1), value=studio.frame),
            page.start: gr.Number(value=studio.start),
            page.end: gr.Number(value=studio.end),
            page.sample_masks: gr.Button(visible=studio.is_sample()),
            page.jobs: jobs_html(studio.jobs, studio.desk.jobs, studio.plain),
        }

    def _go(self, studio: Workspace, frame: object, tool: str, brush: float) -> Update:
        if studio.info is None or frame == studio.frame:
            return {}
        studio.go(frame)
        return self._stage(studio, tool, brush)

    def _trim_start(self, studio: Workspace, start: object, show: bool = False) -> Update:
        return self._trim(studio, lambda: studio.trim_start(start), show)

    def _trim_end(self, studio: Workspace, end: object, show: bool = False) -> Update:
        return self._trim(studio, lambda: studio.trim_end(end), show)

    def _trim(self, studio: Workspace, verb: Callable[[], object], show: bool) -> Update:
        page, before = self.page, (studio.start, studio.end)
        try:
            verb()
        except ValueError as error:
            tell(error, studio.plain)
            show = True
        after = (studio.start, studio.end)
        # A field that a user may still type into is left alone, but where both had to change.
        both = before[0] != after[0] and before[1] != after[1]
        fields = {page.start: studio.start, page.end: studio.end} if show or both else {}
        return fields | {
            page.sample_masks: gr.Button(visible=studio.is_sample()),
            page.marked: marked_text(sorted(studio.board.frames), studio.start, studio.end),
        }

    # --- the object

    def _stage(self, studio: Workspace, tool: str, brush: float) -> Update:
        """Show the frame with all that is drawn on it."""
        if studio.info is None:
            return {}
        page, marks = self.page, studio.marks
        data, area = studio.picture()
        h, w = studio.video.size
        found = "" if area is None else f", the object takes {count_of(area, 'pixel')}"
        box = dict(zip("xywh", marks.box, strict=True)) if marks.box else None
        value = {
            "image": f"data:image/jpeg;base64,{base64.b64encode(data).decode()}",
            "width": w,
            "height": h,
            "frame": studio.frame,
            "tool": tool,
            "brush": brush,
            "box": box,
            "points": [list(at) for at in marks.points],
            "negative": [list(at) for at in marks.negative],
            "painted": as_data_url(marks.mask),
            "says": f"Frame {studio.frame} of {studio.name}{found}.",
        }
        typed = dict(zip((page.box, page.points, page.negative), marks.texts(), strict=True))
        return typed | {
            page.stage: value,
            page.brush: gr.Slider(visible=tool in ("paint", "erase")),
            page.marked: marked_text(sorted(studio.board.frames), studio.start, studio.end),
            page.mask_state: _mask_text(studio, area),
        }

    def _draw(self, studio: Workspace, tool: str, brush: float, event: dict[str, Any]) -> Update:
        try:
            studio.draw(event)
        except ValueError as error:
            tell(error, studio.plain)  # and show what is marked, without what was refused
        return self._stage(studio, tool, brush)

    def _change(self, studio: Workspace, verb: Callable[[Workspace], object], tool: str, brush: float) -> Update:
        verb(studio)
        return self._stage(studio, tool, brush)

    def _type(self, studio: Workspace, tool: str, brush: float, box: str, points: str, negative: str) -> Update:
        studio.type(box, points, negative)
        return self._stage(studio, tool, brush)

    def _take_masks(self, studio: Workspace, tool: str, brush: float, path: object) -> Update:
        try:
            studio.take_masks(path)
        except Exception as error:
            tell(error, studio.plain)
            return {self.page.masks: None}
        return self._stage(studio, tool, brush) | {self.page.masks: None}

    def _take_sample_masks(self, studio: Workspace, tool: str, brush: float) -> Update:
        studio.take_sample_masks()
        return self._stage(studio, tool, brush)

    # --- jobs

    def _track(self, studio: Workspace, tracker: str, device: str, cuts: str) -> Update:
        studio.track(tracker=tracker, device=device, cuts=_one_of(cuts, CUTS))
        return self._jobs(studio)

    def _complete(
        self,
        studio: Workspace,
        method: str,
        flow: str,
        device: str,
        crf: object,
        category: str | None,
        cuts: str,
        layer: str,
        confidence: bool,
        save_flow: bool,
        png: bool,
    ) -> Update:
        options = {"layer": layer, "save_confidence": bool(confidence), "save_flow": bool(save_flow), "png": bool(png)}
        options |= {"category": category or None, "cuts": _one_of(cuts, CUTS)}
        chosen = _one_of(method, METHODS), _one_of(flow, FLOWS), _one_of(device, DEVICES)
        studio.complete(*chosen, crf, **options)
        return self._jobs(studio)

    def _jobs(self, studio: Workspace) -> Update:
        page = self.page
        open_jobs = [(job.title, at) for at, job in enumerate(studio.jobs, start=1) if not job.is_over]
        latest = open_jobs[-1][1] if open_jobs else None
        return {
            page.jobs: jobs_html(studio.jobs, studio.desk.jobs, studio.plain),
            page.job: gr.Dropdown(choices=open_jobs, value=latest, visible=len(open_jobs) > 1),
            page.cancel: gr.Button(visible=bool(open_jobs)),
            page.timer: gr.Timer(active=bool(open_jobs)),
        }

    def _tick(self, studio: Workspace, tool: str, brush: float, view: ViewKind) -> Update:
        """Show how far the jobs are, and what those have made that ended."""
        ended = studio.collect()
        if not ended:
            return {self.page.jobs: jobs_html(studio.jobs, studio.desk.jobs, studio.plain)}
        shown = self._jobs(studio)
        for job in ended:
            if job.state != "done":
                continue
            shown |= self._stage(studio, tool, brush) if isinstance(job.work, Track) else self._outcome(studio, view)
        return shown

    def _cancel(self, studio: Workspace, number: object) -> Update:
        studio.desk.jobs.cancel(studio.job(number))
        studio.collect()
        return self._jobs(studio)

    # --- the result

    def _look(self, studio: Workspace, number: object, view: ViewKind) -> Update:
        studio.look(number)
        return self._outcome(studio, view)

    def _outcome(self, studio: Workspace, view: ViewKind) -> Update:
        """Show a result: what it holds, one frame of it, the videos, the files, the command."""
        page = self.page
        work, record = studio.result
        results = [(job.title, studio.jobs.index(job) + 1) for job in studio.results()]
        frame = studio.most_hidden()
        rate = record["input"]["frames_per_second"]
        return {
            page.outcome: gr.Column(visible=True),
            page.result: gr.Dropdown(
                choices=results, value=studio.jobs.index(_chosen(studio)) + 1, visible=len(results) > 1
            ),
            page.about: result_html(record),
            page.result_frame: gr.Slider(minimum=record["start"], maximum=record["end"] - 1, value=frame),
            page.player: {
                "before": _url(work.before),
                "after": _url(work.after),
                "frames": record["end"] - record["start"],
                "first": record["start"],
                "rate": rate,
            },
            page.files: files_html([(path, _url(path)) for path in work.files()]),
            page.command: work.command(),
        } | self._pair(studio, frame, view, again=True)

    def _pair(self, studio: Workspace, frame: object, view: ViewKind, again: bool = False) -> Update:
        # The slider that is moved by us says so, too.
        if studio.chosen is None or (not again and studio.shows(frame, view)):
            return {}
        before, after = studio.pair(frame, view)
        return {self.page.pair: (str(before), str(after)), self.page.legend: legend(view)}


def _chosen(studio: Workspace) -> Job:
    assert studio.chosen is not None
    return studio.chosen


def _one_of(value: object, choices: list[tuple[str, str]]) -> str:
    """Take a choice that comes from a browser."""
    known = [each for _, each in choices]
    if value not in known:
        raise ValueRefusal(
            f"{str(value)[:40]!r} is no choice", f"it must be one of {', '.join(known)}", "choose one of them"
        )
    return str(value)


def _mask_text(studio: Workspace, area: int | None) -> str:
    """Say whether there are masks, and what is wrong with what is drawn."""
    if area == 0 and studio.marks:
        return "**Nothing was found here.** Draw the box around the whole object, or click on it or paint it."
    if studio.masks is None:
        return ""
    if studio.tracked is not None:
        return "**The object is tracked.** Move through the frames; where it is wrong, mark it again and track anew."
    return "**There are masks.** Move through the frames to see them."


def _url(path: Any) -> str:
    return f"gradio_api/file={quote(str(path))}"


def parts_for(error: Exception, plain: Callable[[str], str] = str) -> list[str]:
    """Say in parts what went wrong; faults of ours go to the log with their traceback.

    Args:
        error: what was raised.
        plain: leaves out of a text what is not for users.
    """
    if is_fault(error):
        log.error("a fault in voin", exc_info=error)
        return ["a fault in voin", "this is not your input", "please report it, with what the server printed"]
    return [plain(part) for part in parts_of(error)]


def tell(error: Exception, plain: Callable[[str], str] = str) -> None:
    """Show an error and go on."""
    gr.Warning(message_html(parts_for(error, plain)), duration=None, title="Refused")


def told(error: Exception, plain: Callable[[str], str] = str) -> gr.Error:
    """Make an error that the page shows."""
    return gr.Error(message_html(parts_for(error, plain)), duration=None, title="Refused", print_exception=False)
