"""Progress of which tests look at the notes."""

from __future__ import annotations


class Told:
    """Progress that keeps its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage(self, name: str, total: int) -> None: ...

    def advance(self, name: str, count: int = 1) -> None: ...

    def note(self, line: str) -> None:
        self.notes.append(line)
