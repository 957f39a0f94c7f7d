from __future__ import annotations

import time
from pathlib import Path

import pytest

from fakes.web_desks import HereJobs
from fakes.web_works import Steps
from voin.app.queue import Job, Stage
from voin.app.text import form, jobs_html, marked_text, span_text


def job(state: str, **more: object) -> Job:
    made = Job("me", "1. <clip>", Steps())
    for name, value in {"state": state, **more}.items():
        setattr(made, name, value)
    return made


def test_what_users_name_is_text_and_never_a_tag() -> None:
    evil = "<img src=x onerror=alert(1)>"
    shown = [
        jobs_html([job("refused", title=evil, parts=[evil, "do this"])], HereJobs()),
        form("refusal", parts=[evil]),
    ]
    assert all("<img" not in text and "&lt;img" in text for text in shown)


def test_messages_of_jobs_are_made_plain() -> None:
    broken = job("refused", parts=["/secret/a.mp4 is broken"])
    text = jobs_html([broken], HereJobs(), lambda text: text.replace("/secret/", ""))
    assert "<b>a.mp4 is broken.</b>" in text


def test_each_stage_of_a_running_job_is_shown_with_the_time_left() -> None:
    now = time.monotonic()
    text = jobs_html([job("running", stages={"complete": Stage(10, 5, now - 60)}, began=now)], HereJobs())
    assert "completing" in text
    assert 'value="50.0"' in text
    assert "5 of 10" in text
    assert "about 1 min 0 s left" in text
    assert "starting" in jobs_html([job("running")], HereJobs())


def test_the_latest_job_comes_first() -> None:
    text = jobs_html([job("done", title="first"), job("waiting", title="second")], HereJobs())
    assert text.index("second") < text.index("first")
    assert "next in the queue" in text
    assert "Nothing has been started yet" in jobs_html([], HereJobs())


def test_a_waiting_job_says_when_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = HereJobs()
    monkeypatch.setattr(jobs, "position", lambda job: 2)
    monkeypatch.setattr(jobs, "seconds_until", lambda job: 200.0)
    assert "2 jobs before it in the queue, begins in about 3 min 20 s</p>" in jobs_html([job("waiting")], jobs)


def test_messages_are_sentences() -> None:
    text = form("refusal", parts=["the video is blue", "it must be green", "paint it!"])
    assert text == '<p class="message"><b>The video is blue.</b><br>It must be green.<br>Paint it!</p>'


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (-1, "0 s")]
)
def test_times_are_said_for_people(seconds: float, text: str) -> None:
    assert span_text(float(seconds)) == text


def test_marks_outside_the_part_are_said_not_to_count() -> None:
    assert marked_text([3], 0, 9) == "Marked on frame 3."
    assert marked_text([3, 7, 12], 0, 9) == "Marked on frames 3, 7. Marks outside the part do not count."
    assert marked_text([], 0, 9).startswith("Go to a frame")


def test_files_are_links_with_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "completed.mp4"
    path.write_bytes(bytes(2_500_000))
    text = form("files", files=[(path, 'gradio_api/file=/a"b')])
    assert 'href="gradio_api/file=/a&#34;b" download="completed.mp4"' in text
    assert "the video with the hidden part shown" in text
    assert "2.5 MB" in text


def test_a_result_says_what_was_seen_and_what_was_invented() -> None:
    record = {"totals": {"occluded": 200, "propagated": 150}, "start": 0, "end": 4, "seconds": {"total": 3.2}}
    text = " ".join(form("result", **record).split())
    assert "4 frames, 200 hidden pixels: 75% were seen in other frames, 25% are invented" in text
    record["totals"] = {"occluded": 0, "propagated": 0}
    assert "Nothing of the object is hidden" in form("result", **record)
