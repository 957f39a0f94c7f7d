"""What happens on the page: each event is a verb of `voin.app.workspace`, then what it changed is shown anew."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import gradio as gr

from voin.app.controls import COMPLETE_OPTIONS, TRACK_OPTIONS, read_controls
from voin.app.layout import BRUSH, Layout, legend
from voin.app.marks import as_data_url
from voin.app.queue import Job
from voin.app.render import ViewKind
from voin.app.sessions import Sessions, list_videos
from voin.app.text import files_html, jobs_html, marked_text, message_html, result_html
from voin.app.work import Track
from voin.app.workspace import Workspace
from voin.core.errors import count_of, is_fault, parts_of
from voin.jobs.options import CompleteOptions, MaskOptions, MethodOptions

log = logging.getLogger("voin.serve")
Update = dict[Any, Any]
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
_LATEST: dict[str, Any] = {"trigger_mode": "always_last"}
# The secret of the session stays in the browser's tab, so that the page can be loaded again.
_RECALL = "() => [window.sessionStorage.getItem('voin') || '']"
_REMEMBER = "(token) => { window.sessionStorage.setItem('voin', token); }"


class Events:
    """Connects the components with what they do; made inside the same `blocks`."""

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
        """Let an event do something with the workspace of its session; what it raises becomes a message for people."""

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
            raise page_error(error, plain) from None

    def _connect_video(self) -> None:
        page = self.page
        self._on(page.upload.upload, self._upload, page.upload, show_progress="full", show_progress_on=page.upload)
        for name, button in page.samples.items():
            self._on(button.click, lambda work, name=name: self._sample(work, name))
        self._on(page.open_below.click, self._open, page.below)
        self._on(page.frame.change, self._go, page.frame, page.tool, page.brush, **_LATEST)
        # Each field by itself: what the other holds may be about to change.
        for field, verb in ((page.start, Workspace.trim_start), (page.end, Workspace.trim_end)):
            for event in (field.submit, field.blur):
                self._on(event, lambda work, at, verb=verb: self._trim(work, lambda: verb(work, at)), field)
        for button, verb in (
            (page.start_here, lambda work: work.trim_start(work.frame)),
            (page.end_here, lambda work: work.trim_end(work.frame + 1)),
        ):
            self._on(button.click, lambda work, verb=verb: self._trim(work, lambda: verb(work), show=True))

    def _connect_object(self) -> None:
        page, pens = self.page, (self.page.tool, self.page.brush)

        def draw(token: str, tool: str, brush: float, event: gr.EventData) -> Update:
            return self._answer(self._draw, token, tool, brush, event._data)

        page.stage.input(draw, [page.token, *pens], self._all, trigger_mode="multiple", **_QUIET)
        for event in (page.tool.change, page.brush.release):
            self._on(event, self._stage, *pens)
        typed = (page.box, page.points, page.negative)
        for listen, verb, inputs in (
            (page.undo.click, lambda work: work.marked.undo(), ()),
            (page.clear.click, lambda work: work.marked.clear(work.frame), ()),
            (page.clear_all.click, lambda work: work.marked.clear(), ()),
            (page.sample_masks.click, Workspace.take_sample_masks, ()),
            *((listen, Workspace.type, typed) for listen in (page.apply.click, *(field.submit for field in typed))),
        ):
            self._on(listen, lambda work, *given, verb=verb: self._change(work, verb, *given), *pens, *inputs)
        self._on(page.masks.upload, self._take_masks, *pens, page.masks, show_progress_on=page.masks)

    def _connect_jobs(self) -> None:
        page = self.page
        for button, verb, options in (
            (page.track, self._track, TRACK_OPTIONS),
            (page.complete, self._complete, COMPLETE_OPTIONS),
        ):
            controls = {name: page.controls[name] for name in options}

            def start(work: Workspace, *values: Any, names: Any = tuple(controls), verb: Any = verb) -> Update:
                verb(work, dict(zip(names, values, strict=True)))
                return self._jobs(work)

            self._on(button.click, start, *controls.values())
        self._on(page.timer.tick, self._tick, page.tool, page.brush, page.view)
        self._on(page.cancel.click, self._cancel, page.job)

    def _connect_result(self) -> None:
        page = self.page
        self._on(page.result.input, self._look, page.result, page.view)
        for event in (page.view.change, page.result_frame.change):
            self._on(event, self._pair, page.result_frame, page.view, **_LATEST)
        # By keyboard, too; the picture's own divider is for pointers.
        self._on(page.divider.change, lambda work, at: {page.pair: gr.ImageSlider(slider_position=at)}, page.divider)

    # --- the page itself

    def _enter(self, token: str, request: gr.Request) -> Update:
        session = self._sessions.enter(str(token), str(request.session_hash))
        work: Workspace = session.state
        with session.lock:
            # Nothing can be done before the page has a session.
            shown = {self.page.token: session.token, self.page.choose: gr.Accordion(visible=True)}
            if work.services.root is not None:
                shown[self.page.below] = gr.Dropdown(choices=list_videos(work.services.root))
            if work.info is None:
                return shown
            try:
                shown |= self._video(work) | self._stage(work, "box", BRUSH) | self._jobs(work)
                return shown | (self._outcome(work, "result") if work.chosen is not None else {})
            except Exception as error:  # a video of the server that is gone; the page goes on without it
                warn(error, work.plain)
                return shown

    def _leave(self, request: gr.Request) -> None:
        self._sessions.leave(str(request.session_hash))

    # --- the video

    def _upload(self, work: Workspace, path: object) -> Update:
        # What was refused does not stay in the box, as if it had been taken.
        return self._try(work, lambda: work.choose_upload(path), self._chosen) | {self.page.upload: None}

    def _try(self, work: Workspace, verb: Callable[[], object], show: Callable[[Workspace], Update]) -> Update:
        """Do something and show what it changed, or a warning."""
        try:
            verb()
        except Exception as error:
            warn(error, work.plain)
            return {}
        return show(work)

    def _sample(self, work: Workspace, name: str) -> Update:
        work.choose_sample(name)
        # As the demo does: the networks fill what is open, such as a bicycle's frame.
        return self._chosen(work) | {self.page.method: "classical"}

    def _open(self, work: Workspace, name: object) -> Update:
        work.choose_below_root(name)
        return self._chosen(work)

    def _chosen(self, work: Workspace) -> Update:
        return self._video(work) | self._stage(work, "box", BRUSH) | {self.page.tool: "box"}

    def _video(self, work: Workspace) -> Update:
        page, last = self.page, work.video.count - 1
        return {
            page.choose: gr.Accordion(label=f"Video: {work.about()}", open=False, visible=True),
            page.work: gr.Column(visible=True),
            page.frame: gr.Slider(maximum=max(last, 1), value=work.frame),
            page.start: gr.Number(value=work.start),
            page.end: gr.Number(value=work.end),
            page.sample_masks: gr.Button(visible=work.is_sample()),
            page.jobs: _jobs_text(work),
        }

    def _go(self, work: Workspace, frame: object, tool: str, brush: float) -> Update:
        if work.info is None or frame == work.frame:
            return {}
        work.go(frame)
        return self._stage(work, tool, brush)

    def _trim(self, work: Workspace, verb: Callable[[], object], show: bool = False) -> Update:
        page, before = self.page, (work.start, work.end)
        try:
            verb()
        except ValueError as error:
            warn(error, work.plain)
            show = True
        # A field that a user may still type into is left alone, but where both had to change.
        both = before[0] != work.start and before[1] != work.end
        fields = {page.start: work.start, page.end: work.end} if show or both else {}
        return fields | {page.sample_masks: gr.Button(visible=work.is_sample()), page.marked: _marked_text(work)}

    # --- the object

    def _stage(self, work: Workspace, tool: str, brush: float) -> Update:
        """Show the frame with all that is drawn on it."""
        if work.info is None:
            return {}
        page, marks = self.page, work.marks
        data, area = work.picture()
        h, w = work.video.size
        found = "" if area is None else f", the object takes {count_of(area, 'pixel')}"
        value = {
            "image": f"data:image/jpeg;base64,{base64.b64encode(data).decode()}",
            "width": w,
            "height": h,
            "frame": work.frame,
            "tool": tool,
            "brush": brush,
            "box": dict(zip("xywh", marks.box, strict=True)) if marks.box else None,
            "points": [list(at) for at in marks.points],
            "negative": [list(at) for at in marks.negative],
            "painted": as_data_url(marks.mask),
            "says": f"Frame {work.frame} of {work.name}{found}.",
        }
        typed = dict(zip((page.box, page.points, page.negative), marks.texts(), strict=True))
        return typed | {
            page.stage: value,
            page.brush: gr.Slider(visible=tool in ("paint", "erase")),
            page.marked: _marked_text(work),
            page.mask_state: _mask_text(work, area),
        }

    def _draw(self, work: Workspace, tool: str, brush: float, event: dict[str, Any]) -> Update:
        try:
            work.draw(event)
        except ValueError as error:
            warn(error, work.plain)  # and show what is marked, without what was refused
        return self._stage(work, tool, brush)

    def _change(self, work: Workspace, verb: Callable[..., object], tool: str, brush: float, *given: Any) -> Update:
        verb(work, *given)
        return self._stage(work, tool, brush)

    def _take_masks(self, work: Workspace, tool: str, brush: float, path: object) -> Update:
        show = self._try(work, lambda: work.take_masks(path), lambda work: self._stage(work, tool, brush))
        return show | {self.page.masks: None}

    # --- jobs

    def _track(self, work: Workspace, given: dict[str, Any]) -> None:
        work.track(read_controls(MaskOptions, given))

    def _complete(self, work: Workspace, given: dict[str, Any]) -> None:
        work.complete(read_controls(MethodOptions, given), read_controls(CompleteOptions, given))

    def _jobs(self, work: Workspace) -> Update:
        page = self.page
        open_jobs = [(job.title, number) for number, job in enumerate(work.jobs, start=1) if not job.is_over]
        latest = open_jobs[-1][1] if open_jobs else None
        return {
            page.jobs: _jobs_text(work),
            page.job: gr.Dropdown(choices=open_jobs, value=latest, visible=len(open_jobs) > 1),
            page.cancel: gr.Button(visible=bool(open_jobs)),
            page.timer: gr.Timer(active=bool(open_jobs)),
        }

    def _tick(self, work: Workspace, tool: str, brush: float, view: ViewKind) -> Update:
        """Show how far the jobs are, and what those have made that ended."""
        ended = work.collect()
        if not ended:
            return {self.page.jobs: _jobs_text(work)}
        shown = self._jobs(work)
        for job in ended:
            if job.state == "done":
                is_track = isinstance(job.work, Track)
                shown |= self._stage(work, tool, brush) if is_track else self._outcome(work, view)
        return shown

    def _cancel(self, work: Workspace, number: object) -> Update:
        work.services.jobs.cancel(work.job(number))
        work.collect()
        return self._jobs(work)

    # --- the result

    def _look(self, work: Workspace, number: object, view: ViewKind) -> Update:
        work.look(number)
        return self._outcome(work, view)

    def _outcome(self, work: Workspace, view: ViewKind) -> Update:
        """Show a result: what it holds, one frame of it, the videos, the files, the command."""
        page = self.page
        done, record = work.result
        numbers = {job: number for number, job in enumerate(work.jobs, start=1)}
        results = [(job.title, numbers[job]) for job in work.results()]
        frame = work.most_hidden()
        return {
            page.outcome: gr.Column(visible=True),
            page.result: gr.Dropdown(choices=results, value=numbers[_chosen(work)], visible=len(results) > 1),
            page.about: result_html(record),
            page.result_frame: gr.Slider(minimum=record["start"], maximum=record["end"] - 1, value=frame),
            page.player: {
                "before": _url(done.before),
                "after": _url(done.after),
                "frames": record["end"] - record["start"],
                "first": record["start"],
                "rate": record["input"]["frames_per_second"],
            },
            page.files: files_html([(path, _url(path)) for path in done.files()]),
            page.command: done.command(),
        } | self._pair(work, frame, view, again=True)

    def _pair(self, work: Workspace, frame: object, view: ViewKind, again: bool = False) -> Update:
        # The slider that is moved by us says so, too.
        if work.chosen is None or (not again and work.shows(frame, view)):
            return {}
        before, after = work.pair(frame, view)
        return {self.page.pair: (str(before), str(after)), self.page.legend: legend(view)}


def _chosen(work: Workspace) -> Job:
    assert work.chosen is not None
    return work.chosen


def _jobs_text(work: Workspace) -> str:
    return jobs_html(work.jobs, work.services.jobs, work.plain)


def _marked_text(work: Workspace) -> str:
    return marked_text(sorted(work.marked.frames), work.start, work.end)


def _mask_text(work: Workspace, area: int | None) -> str:
    """Return whether there are masks, and what is wrong with what is drawn."""
    if area == 0 and work.marks:
        return "**Nothing was found here.** Draw the box around the whole object, or click on it or paint it."
    if work.masks is None:
        return ""
    if work.tracked is not None:
        return "**The object is tracked.** Move through the frames; where it is wrong, mark it again and track anew."
    return "**There are masks.** Move through the frames to see them."


def _url(path: Any) -> str:
    return f"gradio_api/file={quote(str(path))}"


def message_parts(error: Exception, plain: Callable[[str], str] = str) -> list[str]:
    """Return in parts what went wrong; faults of ours go to the log. `plain` drops what is not for users."""
    if is_fault(error):
        log.error("a fault in voin", exc_info=error)
        return ["a fault in voin", "this is not your input", "please report it, with what the server printed"]
    return [plain(part) for part in parts_of(error)]


def warn(error: Exception, plain: Callable[[str], str] = str) -> None:
    """Show an error and go on."""
    gr.Warning(message_html(message_parts(error, plain)), duration=None, title="Refused")


def page_error(error: Exception, plain: Callable[[str], str] = str) -> gr.Error:
    """Make an error that the page shows."""
    return gr.Error(message_html(message_parts(error, plain)), duration=None, title="Refused", print_exception=False)
