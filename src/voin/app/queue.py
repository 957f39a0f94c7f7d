"""The queue of the page: jobs wait for one of a few places, and each runs in a process of its own.

So a job that crashes takes nothing with it, and one that is cancelled has really stopped. What a job is stands in
`web_work.py`; here it is something with a `run(progress)`.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal, Protocol, runtime_checkable

from voin.app.readers import answer, die_with, stop
from voin.core.errors import ValueRefusal, parts_of
from voin.core.progress import Progress

JobState = Literal["waiting", "running", "done", "refused", "failed", "cancelled"]
_SPAWN = multiprocessing.get_context("spawn")
_TELL_SECONDS = 0.2  # between two messages of progress
_POLL_SECONDS = 0.25


@runtime_checkable
class Work(Protocol):
    """What a job does; it must pickle."""

    def run(self, progress: Progress) -> Any:
        """Do it, and give what is to be known of it; that must pickle, too."""
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
        """Say how long it will take at its pace so far; None while that cannot be known."""
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
        ended: likewise.
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
    _process: BaseProcess | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state not in ("waiting", "running")

    def seconds_left(self) -> float | None:
        """Say how long the stages that have begun will take; None while that cannot be known."""
        now = time.monotonic()
        left = [stage.seconds_left(now) for stage in self.stages.values() if stage.done < stage.total]
        known = [seconds for seconds in left if seconds is not None]
        return max(known) if known and len(known) == len(left) else None


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
        """Say how many jobs are to be begun before this one."""
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
            stop(process)
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
                ours, theirs = _SPAWN.Pipe(duplex=False)
                job._process = _SPAWN.Process(
                    target=_work, args=(theirs, job.work, os.getpid()), daemon=True, name="voin-job"
                )
                # Begun while nobody can cancel it: what has not begun cannot be stopped.
                try:
                    job._process.start()
                except OSError as error:  # no memory, or too many processes
                    job._process, job.parts = None, parts_of(error)
            theirs.close()
            try:
                state = _follow(job, ours) if job._process is not None else "failed"
            finally:
                ours.close()
                if job._process is not None:
                    stop(job._process)
            with self._change:
                self._running.remove(job)
                self._finish(job, "cancelled" if job.state == "cancelled" else state)
            if job.state == "failed":
                self._failed(job)

    def _finish(self, job: Job, state: JobState) -> None:
        job.state, job.ended = state, time.monotonic()
        job.done.set()


def _follow(job: Job, pipe: Connection) -> JobState:
    """Note what the process tells until it ends; gives the state that the job ends in."""
    while True:
        try:
            # Asked before the pipe is looked into: what a process told last is read, though it is gone.
            alive = job._process is not None and job._process.is_alive()
            if not pipe.poll(_POLL_SECONDS):
                if alive:
                    continue
                break
            kind, content = pipe.recv()
        except (EOFError, OSError):
            break
        if kind == "stages":
            for name, (total, done) in content.items():
                stage = job.stages.get(name)
                if stage is None or stage.total != total or stage.done > done:
                    stage = job.stages[name] = Stage(total)
                stage.done = done
        elif kind == "value":
            job.result = content
            return "done"
        elif kind == "refused":
            job.parts = content
            return "refused"
        else:
            job.trace = content
            job.parts = [
                f"a fault in voin: {content.strip().splitlines()[-1]}",
                "this is not your input",
                "please report it, with what the server printed",
            ]
            return "failed"
    if job._process is not None:
        job._process.join()
    code = job._process.exitcode if job._process is not None else None
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    job.parts = [
        f"the job's process died ({how})",
        "it may have needed more memory than there is",
        "try fewer frames or a smaller video, or start the server with fewer --jobs",
    ]
    return "failed"


def _work(pipe: Connection, work: Work, parent: int) -> None:
    """Do the work of a job, in its own process."""
    die_with(parent)
    told = _Told(pipe)
    ending = answer(work.run, told)
    told.tell(now=True)
    pipe.send(ending)
    pipe.close()


class _Told:
    """Progress that is told through a pipe, not too often; it fits `voin.core.progress.Progress`."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._lock = pipe, threading.Lock()
        self._stages: dict[str, tuple[int, int]] = {}
        self._last = 0.0

    def stage(self, name: str, total: int) -> None:
        with self._lock:
            self._stages[name] = (total, 0)
        self.tell(now=True)

    def advance(self, name: str, count: int = 1) -> None:
        with self._lock:
            total, done = self._stages[name]
            self._stages[name] = (total, done + count)
        self.tell()

    def tell(self, now: bool = False) -> None:
        with self._lock:
            if now or time.monotonic() - self._last >= _TELL_SECONDS:
                self._pipe.send(("stages", dict(self._stages)))
                self._last = time.monotonic()
