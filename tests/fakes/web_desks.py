"""Parts of the page for its tests: readers and a queue that work here and now, and a workspace on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from voin.app.gate.sessions import Sessions
from voin.app.options import Limits
from voin.app.queue import Job, Jobs, Work
from voin.app.readers import Readers
from voin.app.workspace import Services, Workspace
from voin.core.processes.apart import answer, value_of
from voin.core.progress import Silent


class HereReaders(Readers):
    """Calls functions in this process."""

    def __init__(self) -> None:
        super().__init__(count=1)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return value_of(*answer(function, *arguments))


class HereJobs(Jobs):
    """Does a job as soon as it is put in."""

    def put(self, owner: str, title: str, work: Work) -> Job:
        job = Job(owner, title, work)
        ending, content = answer(work.run, Silent())
        if ending == "value":
            job.state, job.result = "done", content
        else:
            job.state, job.parts = "refused", content.parts if ending == "refused" else [content]
        job.done.set()
        return job


def workspace_of(sessions: Sessions, root: Path | None = None, limits: Limits | None = None) -> Workspace:
    """Make a workspace in a session of its own."""
    services = Services(HereJobs(), HereReaders(), limits or Limits(), sessions.folder, root)
    session = sessions.enter("", "page")
    session.state = Workspace(session, services)
    return session.state
