"""The words of the page that change: jobs and how far they are, messages, what a result holds. All is plain HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from voin.app.queue import Job, Jobs
from voin.app.work import Complete
from voin.core.errors import count_of
from voin.core.progress import STAGES

_SHOWN = 6


def jobs_html(mine: Sequence[Job], jobs: Jobs, plain: Callable[[str], str] = str) -> str:
    """Return where a user's jobs are in the queue, the latest first; `plain` drops from texts what is not for users."""
    if not mine:
        return '<p class="soft">Nothing has been started yet.</p>'
    items = "".join(_job(job, jobs, plain) for job in list(reversed(mine))[:_SHOWN])
    return f'<ul class="jobs">{items}</ul>'


def _job(job: Job, jobs: Jobs, plain: Callable[[str], str]) -> str:
    detail = ""
    if job.state == "waiting":
        ahead = jobs.position(job)
        detail = f"<p>{count_of(ahead, 'job')} before it in the queue</p>" if ahead else "<p>next in the queue</p>"
    elif job.state == "running":
        detail = "".join(_stage(name, stage.done, stage.total) for name, stage in job.stages.items())
        left = job.seconds_left()
        detail += f"<p>{'starting' if not job.stages else _left(left)}</p>"
    elif job.parts:
        detail = message_html([plain(part) for part in job.parts])
    elif job.state == "done" and job.began is not None and job.ended is not None:
        look = ' <a href="#result">Look at the result</a>' if isinstance(job.work, Complete) else ""
        detail = f"<p>in {span_text(job.ended - job.began)}.{look}</p>"
    return (
        f'<li class="job {job.state}"><div class="head"><b>{escape(job.title)}</b>'
        f'<span class="state">{job.state}</span></div>{detail}</li>'
    )


def _stage(name: str, done: int, total: int) -> str:
    words, share = STAGES.get(name, name), 100 * done / total if total else 100
    return (
        f'<div class="stage-line"><span>{escape(words)}</span><progress max="100" value="{share:.1f}" '
        f'aria-label="{escape(words)}"></progress><span>{done} of {total}</span></div>'
    )


def _left(seconds: float | None) -> str:
    return "working" if seconds is None else f"about {span_text(seconds)} left for these stages"


def span_text(seconds: float) -> str:
    """Write a time: "7 s", "3 min 20 s", "2 h 5 min"."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def message_html(parts: Sequence[str]) -> str:
    """Show the parts of a message: what it is, what it must be, what to do."""
    first, *rest = [_begun(part) for part in parts] or [""]
    lines = "".join(f"<br>{escape(_stopped(part))}" for part in rest)
    return f'<p class="message"><b>{escape(_stopped(first))}</b>{lines}</p>'


def _begun(sentence: str) -> str:
    """Begin a sentence with a capital, unless it begins with the name of a file."""
    return sentence[:1].upper() + sentence[1:] if sentence.partition(" ")[0].isalpha() else sentence


def _stopped(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def marked_text(frames: Sequence[int], start: int, end: int) -> str:
    """Return on which frames something is marked."""
    inside = [frame for frame in frames if start <= frame < end]
    outside = "" if len(inside) == len(frames) else " Marks outside the part do not count."
    if not inside:
        return f"Go to a frame on which the object is clearly seen, and draw a box around it.{outside}"
    return f"Marked on frame{'s' if len(inside) > 1 else ''} {', '.join(map(str, inside))}.{outside}"


_FILES = {
    "completed.mp4": "the video with the hidden part shown",
    "completed.zip": "the frames with the hidden part shown, as PNGs",
    "amodal.zip": "the whole mask of each object, a PNG a frame",
    "masks.zip": "the masks of the visible part, a PNG a frame",
    "object.zip": "the object alone with alpha (RGBA), a PNG a frame",
    "object.mov": "the object alone with alpha, ProRes 4444",
    "object.webm": "the object alone with alpha, VP9",
    "confidence.zip": "how sure each pixel is, a PNG a frame",
    "flow.zip": "the completed motion",
    "preview.png": "a contact sheet: input, masks, result",
    "run.json": "settings, versions, and counts for each frame",
    "command.txt": "the command that does the same",
}


def files_html(files: Sequence[tuple[Path, str]]) -> str:
    """List files to download: their paths, and where the browser finds them."""
    items = "".join(
        f'<li><a href="{escape(url, quote=True)}" download="{escape(path.name, quote=True)}">{escape(path.name)}</a>'
        f"<span>{escape(_FILES.get(path.name, 'the object alone with alpha'))}</span>"
        f"<span>{_size_text(path.stat().st_size)}</span></li>"
        for path, url in files
    )
    return f'<ul class="files">{items}</ul>'


def _size_text(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{max(count / 1e3, 0.1):.1f} kB"


def result_html(record: dict[str, Any]) -> str:
    """Return what a result holds, in one line."""
    totals, hidden = record["totals"], record["totals"]["occluded"]
    if hidden == 0:
        return "<p>Nothing of the object is hidden here, so nothing was changed.</p>"
    seen = totals["propagated"] / hidden
    frames = count_of(record["end"] - record["start"], "frame")
    return (
        f"<p>{frames}, {count_of(hidden, 'hidden pixel')}: {seen:.0%} were seen in other frames, "
        f"{1 - seen:.0%} are invented. {record['seconds']['total']:.0f} s of work.</p>"
    )
