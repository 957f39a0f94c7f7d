"""What happens on the page: each event is a verb of `voin.app.workspace`, then what it changed is shown anew."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from typing import Any

import gradio as gr

from voin.app.controls import read_controls, shown_options
from voin.app.gate.sessions import Sessions, list_videos
from voin.app.layout import Layout
from voin.app.marks import as_data_url
from voin.app.render import ViewKind
from voin.app.text import file_url, form, jobs_html, marked_text
from voin.app.work import Track
from voin.app.workspace import BRUSH, Workspace
from voin.core.errors import count_of, is_fault, parts_of
from voin.jobs.options import CompleteOptions, MaskOptions, MethodOptions

log = logging.getLogger("voin.serve")
Update = dict[Any, Any]
Show = Callable[[Workspace], Update]
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
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

    def _let(self, listen: Any, verb: Callable[..., object], show: Show, *inputs: Any, **more: Any) -> None:
        """Let an event do something, and then show what that changed."""

        def do(work: Workspace, *given: Any) -> Update:
            verb(work, *given)
            return show(work)

        self._on(listen, do, *inputs, **more)

    def _take(self, field: gr.File, verb: Callable[..., object], show: Show, **more: Any) -> None:
        """Let an upload be taken; what is refused does not stay in its box, as if it had been taken."""

        def do(work: Workspace, path: object) -> Update:
            done = self._try(work, lambda: verb(work, path))
            return (show(work) if done else {}) | {field: None}

        self._on(field.upload, do, field, show_progress_on=field, **more)

    def _connect_video(self) -> None:
        page = self.page
        self._take(page.upload, Workspace.choose_upload, self._chosen, show_progress="full")
        for name, button in page.samples.items():
            self._let(button.click, lambda work, name=name: work.choose_sample(name), self._chosen)
        self._let(page.open_below.click, Workspace.choose_below_root, self._chosen, page.below)
        self._on(page.frame.change, self._go, page.frame, trigger_mode="always_last")
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
        page = self.page

        def draw(token: str, event: gr.EventData) -> Update:
            return self._answer(self._draw, token, event._data)

        page.stage.input(draw, page.token, self._all, trigger_mode="multiple", **_QUIET)
        for event in (page.tool.change, page.brush.release):
            self._let(event, Workspace.take_pen, self._stage, page.tool, page.brush)
        self._let(page.undo.click, lambda work: work.marked.undo(), self._stage)
        self._let(page.clear.click, lambda work: work.marked.clear(work.frame), self._stage)
        self._let(page.clear_all.click, lambda work: work.marked.clear(), self._stage)
        self._let(page.sample_masks.click, Workspace.take_sample_masks, self._stage)
        self._let(page.target.input, Workspace.take_target, self._stage, page.target)
        typed = (page.box, page.points, page.negative)
        for event in (page.apply.click, *(field.submit for field in typed)):
            self._let(event, Workspace.type, self._stage, *typed)
        self._take(page.masks, Workspace.take_masks, self._marking)
        self._take(page.amodal, Workspace.take_amodal, self._stage)

    def _connect_jobs(self) -> None:
        page = self.page
        self._let(page.method.input, Workspace.take_method, lambda work: {}, page.method)
        self._connect_start(page.track, Workspace.track, MaskOptions)
        self._connect_start(page.complete, Workspace.complete, MethodOptions, CompleteOptions)
        self._on(page.timer.tick, self._tick)
        self._let(page.cancel.click, Workspace.cancel, self._jobs, page.job)

    def _connect_start(self, button: gr.Button, verb: Callable[..., object], *kinds: type) -> None:
        names = [*shown_options(*kinds)]

        def start(work: Workspace, *values: Any) -> None:
            given = dict(zip(names, values, strict=True))
            verb(work, *(read_controls(kind, given) for kind in kinds))

        self._let(button.click, start, self._jobs, *(self.page.controls[name] for name in names))

    def _connect_result(self) -> None:
        page = self.page
        self._let(page.result.input, Workspace.look, self._outcome, page.result)
        for event in (page.view.change, page.result_frame.change):
            self._on(event, self._pair, page.result_frame, page.view, trigger_mode="always_last")
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
            work.tool, work.brush, work.view = "box", BRUSH, "result"  # as the controls begin
            try:
                shown |= self._chosen(work) | self._jobs(work)
                return shown | (self._outcome(work) if work.chosen is not None else {})
            except Exception as error:  # a video of the server that is gone; the page goes on without it
                warn(error, work.plain)
                return shown

    def _leave(self, request: gr.Request) -> None:
        self._sessions.leave(str(request.session_hash))

    def _try(self, work: Workspace, verb: Callable[[], object]) -> bool:
        """Do something, or show a warning; return whether it was done."""
        try:
            verb()
        except Exception as error:
            warn(error, work.plain)
            return False
        return True

    # --- the video

    def _chosen(self, work: Workspace) -> Update:
        return self._video(work) | self._marking(work) | {self.page.method: work.method}

    def _marking(self, work: Workspace) -> Update:
        return self._stage(work) | {self.page.tool: work.tool, self.page.target: work.target}

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

    def _go(self, work: Workspace, frame: object) -> Update:
        if work.info is None or frame == work.frame:
            return {}
        work.go(frame)
        return self._stage(work)

    def _trim(self, work: Workspace, verb: Callable[[], object], show: bool = False) -> Update:
        page, before = self.page, (work.start, work.end)
        show = not self._try(work, verb) or show
        # A field that a user may still type into is left alone, but where both had to change.
        both = before[0] != work.start and before[1] != work.end
        fields = {page.start: work.start, page.end: work.end} if show or both else {}
        return fields | {page.sample_masks: gr.Button(visible=work.is_sample()), page.marked: _marked_text(work)}

    # --- the object

    def _stage(self, work: Workspace) -> Update:
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
            "tool": work.tool,
            "brush": work.brush,
            "box": dict(zip("xywh", marks.box, strict=True)) if marks.box else None,
            "points": marks.points,
            "negative": marks.negative,
            "painted": as_data_url(marks.mask),
            "says": f"Frame {work.frame} of {work.name}{found}.",
        }
        return dict(zip((page.box, page.points, page.negative), marks.texts(), strict=True)) | {
            page.stage: value,
            page.brush: gr.Slider(visible=work.tool in ("paint", "erase")),
            page.marked: _marked_text(work),
            page.mask_state: _mask_text(work, area),
            page.amodal_state: "" if work.amodal is None else "**There are whole masks**, which are used as they are.",
        }

    def _draw(self, work: Workspace, event: object) -> Update:
        self._try(work, lambda: work.draw(event))
        # What is marked is shown anew, without what was refused.
        return self._stage(work)

    # --- jobs

    def _jobs(self, work: Workspace) -> Update:
        page = self.page
        unfinished = [(job.title, number) for number, job in enumerate(work.jobs, start=1) if not job.is_over]
        latest = unfinished[-1][1] if unfinished else None
        return {
            page.jobs: _jobs_text(work),
            page.job: gr.Dropdown(choices=unfinished, value=latest, visible=len(unfinished) > 1),
            page.cancel: gr.Button(visible=bool(unfinished)),
            page.timer: gr.Timer(active=bool(unfinished)),
        }

    def _tick(self, work: Workspace) -> Update:
        """Show how far the jobs are, and what those have made that ended."""
        ended = work.collect()
        if not ended:
            return {self.page.jobs: _jobs_text(work)}
        shown = self._jobs(work)
        for job in ended:
            if job.state == "done":
                shown |= self._stage(work) if isinstance(job.work, Track) else self._outcome(work)
        return shown

    # --- the result

    def _outcome(self, work: Workspace) -> Update:
        """Show a result: what it holds, one frame of it, the videos, the files, the command."""
        page = self.page
        done, record = work.result
        results = work.results()
        (number,) = (number for number, job in results.items() if job is work.chosen)
        choices = [(job.title, number) for number, job in results.items()]
        frame = work.most_hidden()
        return {
            page.outcome: gr.Column(visible=True),
            page.result: gr.Dropdown(choices=choices, value=number, visible=len(results) > 1),
            page.about: form("result", **record),
            page.result_frame: gr.Slider(minimum=record["start"], maximum=record["end"] - 1, value=frame),
            page.player: {
                "before": file_url(done.clips[0]),
                "after": file_url(done.clips[1]),
                "frames": record["end"] - record["start"],
                "first": record["start"],
                "rate": record["input"]["frames_per_second"],
            },
            page.files: form("files", files=[(path, file_url(path)) for path in done.files()]),
            page.command: done.command(),
        } | self._pair(work, frame, work.view, again=True)

    def _pair(self, work: Workspace, frame: object, view: ViewKind, again: bool = False) -> Update:
        # The slider that is moved by us says so, too.
        if work.chosen is None or (not again and work.shows(frame, view)):
            return {}
        return {self.page.pair: tuple(map(str, work.pair(frame, view))), self.page.legend: form("legend", kind=view)}


def _jobs_text(work: Workspace) -> str:
    return jobs_html(work.jobs, work.services.jobs, work.plain)


def _marked_text(work: Workspace) -> str:
    return marked_text(sorted(work.marked.frames), work.start, work.end, work.target == "front")


def _mask_text(work: Workspace, area: int | None) -> str:
    """Return whether there are masks, and what is wrong with what is drawn."""
    if area == 0 and work.marks:
        return "**Nothing was found here.** Draw the box around the whole object, or click on it or paint it."
    if work.shown_masks is None:
        return ""
    if work.target == "front":
        known = "What hides it is tracked" if "front" in work.others else "There are masks of what hides it"
        return f"**{known}.** Only behind that the object is completed."
    if work.tracked is not None or work.target != "1":
        return "**The object is tracked.** Move through the frames; where it is wrong, mark it again and track anew."
    return "**There are masks.** Move through the frames to see them."


def message(error: Exception, plain: Callable[[str], str] = str) -> str:
    """Write what went wrong in parts; faults of ours go to the log. `plain` drops what is not for users."""
    parts = [plain(part) for part in parts_of(error)]
    if is_fault(error):
        log.error("a fault in voin", exc_info=error)
        parts = ["a fault in voin", "this is not your input", "please report it, with what the server printed"]
    return form("refusal", parts=parts)


def warn(error: Exception, plain: Callable[[str], str] = str) -> None:
    """Show an error and go on."""
    gr.Warning(message(error, plain), duration=None, title="Refused")


def page_error(error: Exception, plain: Callable[[str], str] = str) -> gr.Error:
    """Make an error that the page shows."""
    return gr.Error(message(error, plain), duration=None, title="Refused", print_exception=False)
