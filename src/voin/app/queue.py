"""The queue of the page: jobs wait for one of a few places, and each runs in a process of its own.

So a job that crashes takes nothing with it, and one that is cancelled has really stopped. What a job is stands in
`voin.app.work`; here it is something with a `run(progress)`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from voin.core.errors import ValueRefusal, parts_of
from voin.core.processes import DiedError, JobApart
from voin.core.progress import Progress

JobState = Literal["waiting", "running", "done", "refused", "failed", "cancelled"]


@runtime_checkable
class Work(Protocol):
    """What a job does; it must pickle."""

    def run(self, progress: Progress) -> Any:
        """Do it, and return what is to be known of it; that must pickle, too."""
        ...


@dataclass
class Stage:
    """How far a stage of a job is.

    Attributes:
        total: steps.
        done: of these.
        began: by `time.monotonic`.
    """

    total: int
    done: int = 0
    began: float = field(default_factory=time.monotonic)

    def seconds_left(self, now: float) -> float | None:
        """Return how long it will take at its pace so far; None while that cannot be known."""
        if self.done <= 0:
            return None if self.total else 0.0
        return (now - self.began) / self.done * max(self.total - self.done, 0)


@dataclass(eq=False)
class Job:
    """A job in the queue.

    Attributes:
        owner: the session that it belongs to.
        title: for its owner.
        work: what it does.
        state: where it is.
        stages: by name, in the order in which they began.
        result: what the work gave.
        parts: why it was refused or failed, in parts.
        trace: the traceback of a fault of ours, for the server's log.
        began: by `time.monotonic`.
        ended: by `time.monotonic`.
    """

    owner: str
    title: str
    work: Work
    state: JobState = "waiting"
    stages: dict[str, Stage] = field(default_factory=dict)
    result: Any = None
    parts: list[str] = field(default_factory=list)
    trace: str = ""
    began: float | None = None
    ended: float | None = None
    done: threading.Event = field(default_factory=threading.Event)
    _process: JobApart | None = None

    def stage(self, name: str, total: int) -> None:
        """Begin a stage."""
        self.stages[name] = Stage(total)

    def advance(self, name: str, count: int = 1) -> None:
        """Take `count` more steps of a stage."""
        self.stages[name].done += count

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state not in ("waiting", "running")

    def seconds_left(self) -> float | None:
        """Return how long the stages that have begun will take; None while that cannot be known."""
        now = time.monotonic()
        left = [stage.seconds_left(now) for stage in self.stages.values() if stage.done < stage.total]
        estimates = [seconds for seconds in left if seconds is not None]
        return max(estimates) if estimates and len(estimates) == len(left) else None


class Jobs:
    """The queue.

    Args:
        places: jobs at a time.
        most_waiting: jobs that one owner may have unfinished.
        failed: told of each job that ends by a fault of ours or by a crash.
    """

    def __init__(
        self, places: int = 1, most_waiting: int = 8, failed: Callable[[Job], object] = lambda job: None
    ) -> None:
        if places < 1:
            raise ValueRefusal(f"jobs is {places}", "at least one job must run at a time", "leave --jobs out for 1")
        self._most_waiting, self._failed = most_waiting, failed
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._change = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._run, daemon=True, name="voin-jobs") for _ in range(places)]
        for thread in self._threads:
            thread.start()

    def put(self, owner: str, title: str, work: Work) -> Job:
        """Let a job wait for its turn.

        Raises:
            ValueError: the owner has too many unfinished ones already.
        """
        with self._change:
            mine = sum(job.owner == owner for job in (*self._waiting, *self._running))
            if mine >= self._most_waiting or self._closed:
                raise ValueRefusal(
                    f"{mine} of your jobs are unfinished", f"at most {self._most_waiting} may be", "wait, or cancel one"
                )
            job = Job(owner, title, work)
            self._waiting.append(job)
            self._change.notify()
            return job

    def position(self, job: Job) -> int:
        """Return how many jobs are to be begun before this one."""
        with self._change:
            return self._waiting.index(job) if job in self._waiting else 0

    def cancel(self, job: Job) -> None:
        """Stop a job; when this returns it does nothing more."""
        with self._change:
            if job in self._waiting:
                self._waiting.remove(job)
                self._finish(job, "cancelled")
                return
            if job.state != "running":
                return
            job.state = "cancelled"
            process = job._process
        if process is not None:
            process.stop()
        job.done.wait()

    def forget(self, owner: str) -> None:
        """Stop all jobs of an owner."""
        with self._change:
            mine = [job for job in (*self._waiting, *self._running) if job.owner == owner]
        for job in mine:
            self.cancel(job)

    def close(self) -> None:
        """Stop everything."""
        with self._change:
            self._closed = True
            mine = [*self._waiting, *self._running]
            self._change.notify_all()
        for job in mine:
            self.cancel(job)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._change:
                while not self._waiting and not self._closed:
                    self._change.wait()
                if self._closed:
                    return
                job = self._waiting.popleft()
                self._running.append(job)
                job.state, job.began = "running", time.monotonic()
                # Begun while nobody can cancel it: what has not begun cannot be stopped.
                try:
                    job._process = JobApart(job.work.run, "voin-job")
                except OSError as error:  # no memory, or too many processes
                    job.parts = parts_of(error)
            state: JobState = "failed"
            if job._process is not None:
                with closing(job._process) as process:
                    state = _follow(job, process)
            with self._change:
                self._running.remove(job)
                self._finish(job, "cancelled" if job.state == "cancelled" else state)
            if job.state == "failed":
                self._failed(job)

    def _finish(self, job: Job, state: JobState) -> None:
        job.state, job.ended = state, time.monotonic()
        job.done.set()


def _follow(job: Job, process: JobApart) -> JobState:
    """Note what a job tells until it ends; return the state that it ends in."""
    try:
        ending, content = process.follow(job)
    except DiedError as death:
        job.parts = [
            f"the job's process died ({death})",
            "it may have needed more memory than there is",
            "try fewer frames or a smaller video, or start the server with fewer --jobs",
        ]
        return "failed"
    if ending == "value":
        job.result = content
        return "done"
    if ending == "refused":
        job.parts = content.parts
        return "refused"
    job.trace = content
    job.parts = [
        f"a fault in voin: {content.strip().splitlines()[-1]}",
        "this is not your input",
        "please report it, with what the server printed",
    ]
    return "failed"
