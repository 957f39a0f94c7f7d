"""How masks were understood: one line that every run prints, and the same as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voin.core.errors import count_of

_NAMED = 5  # frames that the line names
_LISTED = 8  # objects that it lists


@dataclass(frozen=True)
class MaskReading:
    """What a set of masks was taken for.

    Args:
        count: Masks that were read.
        unit: What one is: "file" or "mask frame".
        matched: How they were matched to frames, in words.
        frames: Frames of the video.
        missing: Frames without a mask.
        shares: Every id that occurs, and its mean share of the frame where it is seen, 0 to 1.
        taken: Ids that are taken.
        void: Whether index 255 was taken for pixels that belong to no object.
        inverted: Whether the only object looks like what surrounds one.
    """

    count: int
    unit: str
    matched: str
    frames: int
    missing: tuple[int, ...]
    shares: Mapping[int, float]
    taken: tuple[int, ...]
    void: bool = False
    inverted: bool = False

    @property
    def line(self) -> str:
        """All of it in one line."""
        parts = [f"{count_of(self.count, self.unit)}, matched {self.matched}"]
        if self.missing:
            named = ", ".join(map(str, self.missing[:_NAMED])) + (", ..." if len(self.missing) > _NAMED else "")
            parts.append(
                f"{len(self.missing)} of {count_of(self.frames, 'frame')} have none ({named}): objects count as hidden "
                "there"
            )
        listed = [f"{number} ({share:.1%} of the frame)" for number, share in self.shares.items()]
        more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
        parts.append(f"{'object' if len(listed) == 1 else 'objects'} {', '.join(listed[:_LISTED])}{more}")
        if self.void:
            parts.append("255 is void (--ids 255 takes it)")
        elif len(self.taken) < len(self.shares):
            parts.append(f"taken: {', '.join(map(str, self.taken))}")
        return f"Masks: {'; '.join(parts)}"

    def record(self) -> dict[str, Any]:
        """Return the line and its numbers, as JSON can hold them."""
        return {
            "line": self.line,
            "count": self.count,
            "matched": self.matched,
            "missing": list(self.missing),
            "shares": {str(number): round(share, 5) for number, share in self.shares.items()},
            "taken": list(self.taken),
            "void": self.void,
        }
