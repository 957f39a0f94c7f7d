"""What the commands say and when: progress bars, and errors in three parts."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from voin.cli import FAULT, REFUSED, STOPPED
from voin.core.errors import is_fault, parts_of
from voin.core.files import check_working_folder
from voin.core.progress import STAGES
from voin.core.system import LESS, memory_refusal

ISSUES = "please report it, with the command and the text above"

# Results go to `out`, everything else to `err`, so that `voin bench --json > file` works.
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False)


@contextmanager
def report_errors(
    show_traceback: bool = False, stopped: str = "run the same command again to go on", less: str = LESS
) -> Iterator[None]:
    """Turn exceptions into messages and exit codes; everything that a command does happens inside.

    Args:
        show_traceback: also show where an error comes from.
        stopped: what a user who interrupts the command should know.
        less: what makes the command take less memory.
    """
    try:
        with _sigterm_as_interrupt():
            check_working_folder()
            yield
    except KeyboardInterrupt:
        err.print(f"\nStopped; {stopped}", style="yellow")
        raise typer.Exit(STOPPED) from None
    except Exception as error:
        if isinstance(error, typer.Exit | BrokenPipeError):
            raise
        refusal = memory_refusal(error, less)
        ours = refusal is None and is_fault(error)
        if ours or show_traceback:
            err.print(Text("".join(traceback.format_exception(error)).rstrip()), soft_wrap=True)
        if ours:
            say_parts("A fault in voin", [f"{type(error).__name__}: {error}", f"this is not your input: {ISSUES}"])
            raise typer.Exit(FAULT) from None
        say_parts("Error", parts_of(refusal or error))
        raise typer.Exit(REFUSED) from None


def say_parts(title: str, parts: list[str]) -> None:
    """Print an error: a red panel for people, plain unbroken lines for logs and programs."""
    first, *rest = parts
    if err.is_terminal:
        lines = [Text(first, style="bold"), *(Text(part, style="default") for part in rest)]
        err.print(Panel(Group(*lines), title=title, title_align="left", border_style="red", width=min(err.width, 100)))
    else:
        err.print(
            Text(f"{title}: {first}", style="red"), *(Text(f"  {part}") for part in rest), sep="\n", soft_wrap=True
        )


_UNITS = {"batch": "clips", "clips": "clips"}  # what a stage counts, where it is not frames


class Bars:
    """Shows a job's progress: a bar a stage, with frames a second and the time left; silent when not on a terminal.

    Use it as a context manager. It fits `voin.core.progress.Progress`.
    """

    def __init__(self, quiet: bool = False) -> None:
        columns = (
            TextColumn("{task.description:<18}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._bars = Progress(*columns, console=err, disable=quiet or not err.is_terminal)
        self._stages: dict[str, Any] = {}
        self._prefix = ""

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._bars.disable:  # rich 13 would end even bars that nobody sees with a line
            self._bars.stop()

    def part(self, name: str) -> None:
        """Start a new part of the work; its stages get bars of their own, with the name in front."""
        self._stages.clear()
        self._prefix = f"{name}: "

    def stage(self, name: str, total: int) -> None:
        """Start a stage of `total` frames, or start it again: there may be several sources of masks."""
        if name in self._stages:
            self._bars.reset(self._stages[name], total=total)
        else:
            title, unit = self._prefix + STAGES.get(name, name), _UNITS.get(name, "frames")
            self._stages[name] = self._bars.add_task(title, total=total, unit=unit)

    def advance(self, name: str, count: int = 1) -> None:
        """Count frames that are done."""
        self._bars.advance(self._stages[name], count)


class _Rate(ProgressColumn):
    """Frames, or whatever the stage counts, a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {task.fields['unit']}/s", style="progress.data.speed")


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does, so that what is finished is kept whole."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are not ours to handle
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class NotingBars(Bars):
    """Bars that also print what should be known before the work is done."""

    def note(self, line: str) -> None:
        """Print a line."""
        out.print(escape(line))
