"""How a long job tells how far it is, and what its stages are called."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Told how far a job is; called from several threads.

    Stages are "masks" (once for each source of masks), "cuts", "complete" and "write"; the last two overlap. Counts are
    masks read, or frames that are still to do: a job that goes on does not count what was finished before.
    """

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of `total` steps."""

    def advance(self, name: str, count: int = 1) -> None:
        """Take `count` more steps of a stage."""


@runtime_checkable
class Notes(Protocol):
    """Progress that also takes what a user should know before the work is done."""

    def note(self, line: str) -> None:
        """Show one line."""


class Silent:
    """Progress that nobody looks at."""

    def stage(self, name: str, total: int) -> None:
        """Do nothing."""

    def advance(self, name: str, count: int = 1) -> None:
        """Do nothing."""


# Names of the stages, as a user reads them.
STAGES = {
    "masks": "reading masks",
    "cuts": "looking for cuts",
    "complete": "completing",
    "write": "writing",
    "track": "tracking",
    "preview": "drawing",
    "clips": "making clips",
    "check": "checking",
    "batch": "clips",
    "pack": "packing",
    "clip": "making the clip",
}
