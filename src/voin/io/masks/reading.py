"""How masks were understood: one line that every run prints, and the same as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voin.core.errors import count_of

# Files that hold the masks of all frames, beside videos; as messages and help name them.
FILE_FORMS = ".npz, .npy or annotations (COCO, YouTube-VIS, CVAT, LabelMe, Label Studio)"
_NAMED = 5  # frames that the line names
_LISTED = 8  # objects that it lists


@dataclass(frozen=True)
class MaskReading:
    """What a set of masks was taken for."""

    count: int  # of masks
    unit: str  # what one is: "file" or "mask frame"
    matched: str  # how they were matched to frames, in words
    frames: int  # of the video
    missing: tuple[int, ...]  # frames without a mask, of one object or more
    shares: Mapping[int, float]  # every id that occurs, and its mean share of the frame where it is seen, 0 to 1
    taken: tuple[int, ...]  # ids
    void: bool = False  # whether index 255 was taken for pixels that belong to no object
    tracked: bool = False  # whether the tracker follows objects through the frames without a mask
    surrounding: tuple[int, ...] = ()  # ids that look like what surrounds an object
    black_and_white: bool = False  # so that the masks can be inverted
    categories: Mapping[int, str] = field(default_factory=dict)  # of ids, in the words of an annotation file
    numbered: str = ""  # where the ids of an annotation file are from
    rims: int = 0  # values that were taken for the shades of soft edges
    within: str = ""  # what the masks lie in, where that is several: " in 2 folders"
    lacking: tuple[int, ...] = ()  # ids without a mask in a frame that has one of others
    overlaps: str = ""  # which objects overlap, and which of them is seen there, in words

    @property
    def line(self) -> str:
        """All of it in one line."""
        parts = [f"{count_of(self.count, self.unit)}{self.within}, matched {self.matched}"]
        if self.missing:
            named = ", ".join(map(str, self.missing[:_NAMED])) + (", ..." if len(self.missing) > _NAMED else "")
            of_whom = f" of {_objects(self.lacking)}" if self.lacking else ""
            without = f"{len(self.missing)} of {count_of(self.frames, 'frame')} have none{of_whom} ({named})"
            hidden = "objects count as hidden there (--track-between follows them)"
            followed = "the tracker follows objects there (--no-track-between: they count as hidden there)"
            parts.append(f"{without}: {followed if self.tracked else hidden}")
        named = {number: f"{number} {self.categories.get(number, '')}".rstrip() for number in self.shares}
        listed = [f"{named[number]} ({share:.1%} of the frame)" for number, share in self.shares.items()]
        more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
        parts.append(f"{'object' if len(listed) == 1 else 'objects'} {', '.join(listed[:_LISTED])}{more}")
        if self.numbered:
            parts.append(self.numbered)
        if self.overlaps:
            parts.append(self.overlaps)
        if self.rims:
            parts.append(f"{count_of(self.rims, 'further value')} at most two pixels wide taken for soft edges")
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
            "tracked": self.tracked,
        }


def _objects(ids: tuple[int, ...]) -> str:
    listed = ", ".join(map(str, ids[:_LISTED])) + (", ..." if len(ids) > _LISTED else "")
    return f"{'object' if len(ids) == 1 else 'objects'} {listed}"
