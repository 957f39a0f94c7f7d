"""The words of the page that change: jobs and how far they are, messages, what a result holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from voin.app.queue import Job, Jobs
from voin.app.work import Complete
from voin.core.errors import count_of
from voin.core.progress import STAGES

ASSETS = Path(__file__).parent / "assets"  # forms of HTML, scripts and style
_SHOWN = 6


def span_text(seconds: float) -> str:
    """Write a time: "7 s", "3 min 20 s", "2 h 5 min"."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def _size_text(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{max(count / 1e3, 0.1):.1f} kB"


def _sentence(part: str) -> str:
    """Begin with a capital, unless with the name of a file, and end with a stop."""
    begun = part[:1].upper() + part[1:] if part.partition(" ")[0].isalpha() else part
    return begun if begun.endswith((".", "!", "?")) else f"{begun}."


_FORMS = Environment(
    loader=FileSystemLoader(ASSETS), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_FORMS.filters |= {"count": count_of, "span": span_text, "size": _size_text, "sentence": _sentence}
_FORMS.tests["completion"] = lambda job: isinstance(job.work, Complete)


def form(name: str, **values: Any) -> str:
    """Fill in a form of `assets`: "files", "legend", "refusal", "result"; what it names is escaped."""
    return _FORMS.get_template(f"{name}.html").render(values).strip()


def jobs_html(mine: Sequence[Job], jobs: Jobs, plain: Callable[[str], str] = str) -> str:
    """Return where a user's jobs are in the queue, the latest first; `plain` drops from texts what is not for users."""
    latest = list(reversed(mine))[:_SHOWN]
    return form("jobs", jobs=latest, queue=jobs, stages=STAGES, parts=lambda job: map(plain, job.parts))


def file_url(path: Path) -> str:
    """Return where a browser finds a file of its session, from the page on."""
    return f"gradio_api/file={quote(str(path))}"


def marked_text(frames: Sequence[int], start: int, end: int, front: bool = False) -> str:
    """Return on which frames something is marked."""
    inside = [frame for frame in frames if start <= frame < end]
    outside = "" if len(inside) == len(frames) else " Marks outside the part do not count."
    if not inside:
        what = "what hides the object" if front else "the object"
        return f"Go to a frame on which {what} is clearly seen, and draw a box around it.{outside}"
    return f"Marked on frame{'s' if len(inside) > 1 else ''} {', '.join(map(str, inside))}.{outside}"
