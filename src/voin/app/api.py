"""The page for programs: one call leads from a video, and its masks or marks, to the files of the result."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

import gradio as gr
from gradio.data_classes import ListFiles
from pydantic import field_validator

from voin.app.controls import read_controls, shown_options
from voin.app.gate.sessions import Sessions
from voin.app.queue import Job
from voin.app.text import file_url
from voin.app.workspace import Workspace
from voin.core.errors import ValueRefusal, is_fault, parts_of
from voin.jobs.options import CompleteOptions, MaskOptions, MethodOptions

_POLL_SECONDS = 0.5
_MARKS = ("box", "points", "negative")
_FURTHER = ("occluder", "amodal")  # options that are files of masks
_KINDS = (MethodOptions, CompleteOptions, MaskOptions)


class _Files(ListFiles):
    """Files; a single one may stand alone."""

    @field_validator("root", mode="before")
    @classmethod
    def _listed(cls, given: Any) -> Any:
        return given if isinstance(given, list) else [given]


class Api:
    """The call `complete`; made inside the `gr.Blocks` of the page. Who breaks it off cancels what it has begun."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        masks = gr.File(visible=False, file_count="multiple")
        masks.data_model = _Files
        inputs = [gr.File(visible=False), masks, gr.JSON(visible=False)]
        more: dict[str, Any] = {"api_name": "complete", "api_visibility": "public", "concurrency_limit": None}
        gr.Button(visible=False).click(self._complete, inputs, gr.JSON(visible=False), **more)

    async def _complete(self, video: str, masks: list[str] | None, options: Any) -> AsyncIterator[dict[str, Any]]:
        """Complete an object of a video.

        Args:
            video: an upload.
            masks: another one, or several of other objects: a zip of PNGs, a mask video, .npz, .npy or annotations;
                None where `options` mark the object.
            options: what `voin complete` and `voin mask` take, by name, with uploads for "occluder" and "amodal", one
                or a list of them; and "start", "end", and "marks", a list of
                {"frame": 52, "box": "200,60,80,150", "points": "240,90", "negative": ""}.
        """
        page = f"api-{secrets.token_hex(8)}"
        session = self._sessions.enter("", page)
        work: Workspace = session.state
        begun: list[Job] = []
        try:
            await asyncio.to_thread(_prepare, work, video, masks, options)
            if not masks:
                begun.append(work.track(read_controls(MaskOptions, options)))
                async for status in _follow(work, begun[-1]):
                    yield status
            method, chosen = read_controls(MethodOptions, options), read_controls(CompleteOptions, options)
            begun.append(work.complete(method, chosen))
            async for status in _follow(work, begun[-1]):
                yield status
            done, record = work.result
            files = [{"name": path.name, "url": file_url(path)} for path in done.files()]
            yield {"state": "done", "files": files, "totals": record["totals"]}
        except Exception as error:
            if is_fault(error):
                raise
            raise gr.Error("; ".join(work.plain(part) for part in parts_of(error)), print_exception=False) from None
        finally:
            for job in begun:
                await asyncio.to_thread(work.services.jobs.cancel, job)
            self._sessions.leave(page)


def _prepare(work: Workspace, video: str, masks: list[str] | None, options: Any) -> None:
    """Choose what is worked on; all is looked at before anything is begun."""
    known = {*shown_options(*_KINDS), *_FURTHER, "start", "end", "marks"}
    if not isinstance(options, Mapping) or not known.issuperset(options):
        wrong = ", ".join(sorted({*map(str, options)} - known)) if isinstance(options, Mapping) else str(options)[:40]
        must = f"they must be an object with some of {', '.join(sorted(known))}"
        raise ValueRefusal(f"the options are {wrong}", must, "correct them; {} takes all as it is by default")
    for kind in _KINDS:
        read_controls(kind, options)
    work.choose_upload(video)
    work.trim(options.get("start", 0), options.get("end", work.video.count))
    if masks:
        work.take_masks(masks)
    for name, take in zip(_FURTHER, (work.take_occluder, work.take_amodal), strict=True):
        if options.get(name) is not None:
            take(_uploads(options[name]))
    marks = options.get("marks", [])
    for mark in marks if isinstance(marks, list) else [marks]:
        if not isinstance(mark, Mapping) or "frame" not in mark:
            must = 'it must be like {"frame": 52, "box": "200,60,80,150"}'
            raise ValueRefusal(f"a mark is {str(mark)[:40]}", must, "correct it")
        work.go(mark["frame"])
        work.type(*(str(mark.get(name, "")) for name in _MARKS))


def _uploads(given: Any) -> list[object]:
    """List the uploads that an option names, as Gradio hands them on: one file or several, each with its path."""
    files = given if isinstance(given, list) else [given]
    return [file.get("path") if isinstance(file, Mapping) else file for file in files]


async def _follow(work: Workspace, job: Job) -> AsyncIterator[dict[str, Any]]:
    """Yield how far a job is, until it is over; one that does not end well is refused."""
    jobs, last = work.services.jobs, None
    while not job.is_over:
        stages = {name: [stage.done, stage.total] for name, stage in job.stages.copy().items()}
        status = {"state": job.state, "job": work.plain(job.title), "ahead": jobs.position(job), "stages": stages}
        status["seconds"] = jobs.seconds_until(job) if job.state == "waiting" else job.seconds_left()
        if status != last:
            yield status
        last = status
        await asyncio.sleep(_POLL_SECONDS)
    if job.state != "done":
        what, must, remedy = [*job.parts, "", "", ""][:3]
        raise ValueRefusal(what or f"the job was {job.state}", must, remedy)
    work.collect()
