"""The queue of the page: jobs wait for one of a few places, and each runs in a process of its own.

So a job that crashes takes nothing with it, and one that is cancelled has really stopped.
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
from voin.core.processes.apart import DiedError, JobApart
from voin.core.progress import Progress

_LATELY = 10  # jobs that say how long one usually takes
JobState = Literal["waiting", "running", "done", "refused", "failed", "cancelled"]


@runtime_checkable
class Work(Protocol):
    """What a job does; it must pickle, as must what it returns."""

    def run(self, progress: Progress) -> Any:
        """Do it, and return what is to be known of it."""
        ...


@dataclass
class Stage:
    """How far a stage of a job is, in steps; it began at this `time.monotonic`."""

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
    """A job in the queue; it takes the progress of its work. Times are those of `time.monotonic`."""

    owner: str  # the session that it belongs to
    title: str  # for its owner
    work: Work
    state: JobState = "waiting"
    stages: dict[str, Stage] = field(default_factory=dict)  # in the order in which they began
    result: Any = None  # what the work gave
    parts: list[str] = field(default_factory=list)  # why it was refused or failed
    trace: str = ""  # of a fault of ours, for the server's log
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

    def seconds_run(self) -> float:
        """Return how long it has run so far, or did."""
        return 0.0 if self.began is None else (self.ended or time.monotonic()) - self.began

    def seconds_left(self) -> float | None:
        """Return how long the stages that have begun will take; None while that cannot be known."""
        now = time.monotonic()
        left = [stage.seconds_left(now) for stage in self.stages.values() if stage.done < stage.total]
        known = [seconds for seconds in left if seconds is not None]
        return max(known) if known and len(known) == len(left) else None


class Jobs:
    """The queue: so many places at a time; `failed` is told of each job that ends by a fault of ours or a crash."""

    def __init__(
        self, places: int = 1, most_waiting: int = 8, failed: Callable[[Job], object] = lambda job: None
    ) -> None:
        if places < 1:
            raise ValueRefusal(f"jobs is {places}", "at least one job must run at a time", "leave --jobs out for 1")
        self._most_waiting, self._failed = most_waiting, failed
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._lately: deque[float] = deque(maxlen=_LATELY)  # seconds that jobs took which were done
        self._change = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._run, daemon=True, name="voin-jobs") for _ in range(places)]
        for thread in self._threads:
            thread.start()

    def put(self, owner: str, title: str, work: Work) -> Job:
        """Let a job wait for its turn; refused where the owner has too many unfinished ones."""
        with self._change:
            mine = len(self._unfinished(owner))
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

    def seconds_until(self, job: Job) -> float | None:
        """Return how long a waiting job will wait, as jobs lately took; None while that cannot be known."""
        with self._change:
            ahead, running = self._waiting.index(job) if job in self._waiting else 0, list(self._running)
        usual = sum(self._lately) / len(self._lately) if self._lately else None
        left = [job.seconds_left() or (usual and max(usual - job.seconds_run(), 0.0)) for job in running]
        left += [usual] * ahead
        known = [seconds for seconds in left if seconds is not None]
        return sum(known) / len(self._threads) if len(known) == len(left) else None

    def cancel(self, job: Job) -> None:
        """Stop a job; when this returns it does nothing more."""
        with self._change:
            if job in self._waiting:
                self._waiting.remove(job)
                self._finish(job, "cancelled")
            if job.state != "running":
                return
            job.state = "cancelled"
            process = job._process
        if process is not None:
            process.stop()
        job.done.wait()

    def forget(self, owner: str | None = None) -> None:
        """Stop all jobs of an owner, or of everybody."""
        with self._change:
            unfinished = self._unfinished(owner)
        for job in unfinished:
            self.cancel(job)

    def close(self) -> None:
        """Stop everything."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self.forget()
        for thread in self._threads:
            thread.join()

    def _unfinished(self, owner: str | None) -> list[Job]:
        return [job for job in (*self._waiting, *self._running) if owner in (None, job.owner)]

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closed)
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
        if state == "done":
            self._lately.append(job.seconds_run())
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
    job.trace, last = content, content.strip().splitlines()[-1]
    job.parts = [f"a fault in voin: {last}", "this is not your input", "please report it, with what the server printed"]
    return "failed"
