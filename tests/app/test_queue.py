from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.web_works import Bug, Crash, Refusal, Steps, Ticks
from voin.app.queue import Job, Jobs, Stage


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    jobs = Jobs(places=1, most_waiting=4)
    yield jobs
    jobs.close()


def wait(job: Job) -> Job:
    assert job.done.wait(30)
    return job


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_job_runs_in_its_own_process_and_tells_how_far_it_is(jobs: Jobs) -> None:
    job = wait(jobs.put("me", "steps", Steps(3)))
    assert job.state == "done"
    assert job.result != os.getpid()
    assert (job.stages["complete"].total, job.stages["complete"].done) == (3, 3)
    assert not is_alive(job.result)


@pytest.mark.parametrize(
    ("work", "state", "text"),
    [
        (Refusal(), "refused", "the video is blue; it must be green; paint it"),
        (Bug(), "failed", "a fault in voin: KeyError: 'absent'; this is not your input; please report it"),
        (Crash(), "failed", r"the job's process died \(signal 9\); it may have needed more memory"),
    ],
)
def test_a_job_that_ends_badly_says_why_and_the_next_one_runs(jobs: Jobs, work: object, state: str, text: str) -> None:
    bad = jobs.put("me", "bad", work)  # pyright: ignore[reportArgumentType]
    good = jobs.put("me", "good", Steps(1))
    wait(bad)
    assert bad.state == state
    assert re.search(text, "; ".join(bad.parts))
    assert wait(good).state == "done"


def test_faults_are_reported_with_their_traceback() -> None:
    told: list[Job] = []
    jobs = Jobs(failed=told.append)
    wait(jobs.put("me", "bug", Bug()))
    jobs.close()
    assert [("KeyError" in job.trace, "Traceback" in job.trace) for job in told] == [(True, True)]


def test_a_cancelled_job_has_really_stopped(jobs: Jobs, tmp_path: Path) -> None:
    job = jobs.put("me", "ticks", Ticks(tmp_path / "ticks"))
    while not (tmp_path / "ticks").exists():
        time.sleep(0.02)
    jobs.cancel(job)
    written = (tmp_path / "ticks").read_text()
    assert job.state == "cancelled"
    assert not is_alive(int(written.split()[0]))
    time.sleep(0.2)
    assert (tmp_path / "ticks").read_text() == written
    assert wait(jobs.put("me", "next", Steps(1))).state == "done"


def test_jobs_wait_in_order_and_a_waiting_one_can_be_cancelled(jobs: Jobs, tmp_path: Path) -> None:
    first = jobs.put("me", "ticks", Ticks(tmp_path / "ticks"))
    while first.state == "waiting":
        time.sleep(0.01)
    second, third = jobs.put("me", "b", Steps(1)), jobs.put("you", "c", Steps(1))
    assert (jobs.position(second), jobs.position(third)) == (0, 1)
    jobs.cancel(second)
    assert (second.state, second.is_over, jobs.position(third)) == ("cancelled", True, 0)
    jobs.cancel(first)
    assert wait(third).state == "done"


def test_an_owner_has_only_so_many_unfinished_jobs(jobs: Jobs, tmp_path: Path) -> None:
    for number in range(4):
        jobs.put("me", "ticks", Ticks(tmp_path / str(number)))
    with pytest.raises(ValueError, match="4 of your jobs are unfinished; at most 4 may be; wait"):
        jobs.put("me", "one more", Steps(1))
    other = jobs.put("you", "mine", Steps(1))
    jobs.forget("me")
    assert wait(other).state == "done"


def test_closing_stops_everything(tmp_path: Path) -> None:
    jobs = Jobs()
    running, waiting = jobs.put("me", "a", Ticks(tmp_path / "a")), jobs.put("me", "b", Steps(1))
    # There, and written.
    while not (tmp_path / "a").exists() or not (tmp_path / "a").read_text():
        time.sleep(0.02)
    jobs.close()
    assert {running.state, waiting.state} == {"cancelled"}
    assert not is_alive(int((tmp_path / "a").read_text().split()[0]))
    with pytest.raises(ValueError, match="jobs are unfinished"):
        jobs.put("me", "late", Steps(1))


def test_the_time_left_follows_the_pace_so_far() -> None:
    assert Stage(10, 0, began=0.0).seconds_left(5.0) is None
    assert Stage(10, 4, began=1.0).seconds_left(9.0) == pytest.approx(12.0)
    assert Stage(10, 10, began=1.0).seconds_left(9.0) == 0
    job = Job("me", "a", Steps(1))
    now = time.monotonic()
    job.stages = {"masks": Stage(5, 5, now - 9), "complete": Stage(10, 5, now - 5), "write": Stage(10, 2, now - 5)}
    assert job.seconds_left() == pytest.approx(20, rel=0.05)
    job.stages["write"] = Stage(10, 0, now)
    assert job.seconds_left() is None


def test_the_wait_is_told_by_what_jobs_took_lately(jobs: Jobs, tmp_path: Path) -> None:
    first = jobs.put("me", "ticks", Ticks(tmp_path / "ticks"))
    while first.state == "waiting":
        time.sleep(0.01)
    waiting = [jobs.put("you", "b", Steps(1)) for _ in range(3)]
    assert jobs.seconds_until(waiting[0]) is None  # nothing is known yet
    jobs._lately.extend([10.0, 30.0])
    first.began = time.monotonic() - 5
    for ahead, job in enumerate(waiting):
        assert jobs.seconds_until(job) == pytest.approx(15 + 20 * ahead, abs=1)
    jobs.cancel(first)
    assert wait(waiting[2]).state == "done"
    assert len(jobs._lately) == 5


def test_at_least_one_job_must_run() -> None:
    with pytest.raises(ValueError, match="jobs is 0; at least one job must run at a time"):
        Jobs(places=0)
