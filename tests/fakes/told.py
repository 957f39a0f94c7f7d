"""Progress of which tests look at what it was told."""

from __future__ import annotations

from collections import Counter


class Told:
    """Progress that keeps the steps of its stages, in the order in which these began, and its notes."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self.done: Counter[str] = Counter()
        self.notes: list[str] = []

    def stage(self, name: str, total: int) -> None:
        self.totals[name] = total

    def advance(self, name: str, count: int = 1) -> None:
        self.done[name] += count

    def note(self, line: str) -> None:
        self.notes.append(line)
