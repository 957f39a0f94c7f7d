"""What masks are before their meaning is known: planes of raw values, and which object id each value stands for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from voin.core.errors import ValueRefusal
from voin.io.masks.frames import FrameNumbers, Moments
from voin.io.video_info import VideoInfo

Kind = Literal["ids", "grey", "colour"]

MOST_COLOURS = 64
_MOST_GREY_IDS = 63  # grey values up to here are object ids as they are
_EDGE_SHARE = 0.1  # of the object's pixels; soft edges hold less, objects more
_FEW = 8


class RawMask(NamedTuple):
    """A mask as a file holds it: where it is from, for messages, uint8 (h, w), and what its values are."""

    where: str
    values: np.ndarray
    kind: Kind
    overlap: bool = False  # whether objects overlap in it, of which the one with the higher id is kept


@runtime_checkable
class MaskFile(Protocol):
    """Masks in a file or folder, opened but not yet decoded; a way of storing masks is a class like this."""

    @property
    def names(self) -> Sequence[str] | Moments | FrameNumbers | int:
        """The masks' file stems in natural order, or when they are shown, or their frames, or only their number."""
        ...

    @property
    def size(self) -> tuple[int, int] | None:
        """(h, w) of all masks; None where each mask has its own."""
        ...

    def masks(self, colours: dict[int, int]) -> Iterator[RawMask]:
        """Read one mask after the other; colours are added to `colours`, which numbers them from 1 on."""
        ...


@runtime_checkable
class NamedObjects(Protocol):
    """What masks that come from annotations say besides.

    Attributes:
        categories: of each id, in the file's words.
        numbered: where ids are from, in words.
    """

    categories: dict[int, str]
    numbered: str

    def choose(self, info: VideoInfo) -> None:
        """Keep the masks of this video where there are several. Raises ValueError where none is called like it."""
        ...


@runtime_checkable
class MaskFormat(Protocol):
    """Opens masks that are stored in one way."""

    def takes(self, path: Path) -> bool:
        """Return whether a path looks like this way of storing masks."""
        ...

    def __call__(self, path: Path) -> MaskFile:
        """Look at the masks without decoding them.

        Raises OSError where they cannot be read, ValueError where what is there are no masks.
        """
        ...


def ids_of_values(
    where: Path, counts: dict[Kind, np.ndarray], colours: dict[int, int], palette: np.ndarray
) -> dict[Kind, np.ndarray]:
    """Return which object id each raw value of a set of masks means.

    Indexed PNGs: the index. Grey: values up to 63 are ids; one larger value besides 0 is object 1; of several, 128 and
    more is object 1 (soft edges). Colour: the index in the DAVIS palette if all are in it, otherwise numbered as they
    appear.

    Args:
        where: The masks' path, for messages.
        counts: Pixels of each raw value, (256,), for each kind that occurs.
        colours: Raw value of each colour (as 0xRRGGBB).
        palette: The DAVIS palette, (256, 3).

    Returns:
        For each kind an array (256,): the id of each raw value. Raises ValueError where the masks are ambiguous.
    """
    kinds = [kind for kind in counts if counts[kind][1:].any()]
    if "grey" in kinds and "colour" in kinds:
        # A frame in which only white or grey objects are seen, among coloured ones.
        for value in np.flatnonzero(counts["grey"][1:]) + 1:
            colours.setdefault(int(value) * 0x010101, len(colours) + 1)
        if len(colours) > MOST_COLOURS:
            raise ValueRefusal(
                f"{where} mixes grey and colour masks", "all must be of one kind", "save them as indexed PNGs"
            )
    elif len(kinds) > 1:
        raise ValueRefusal(
            f"{where} mixes {' and '.join(sorted(kinds))} masks", "all must be of one kind", "save all as indexed PNGs"
        )
    tables: dict[Kind, np.ndarray] = {kind: np.zeros(256, np.uint8) for kind in counts}
    if "ids" in kinds:
        tables["ids"] = np.arange(256, dtype=np.uint8)
    if "colour" in kinds:
        tables["colour"] = _ids_of_colours(colours, palette)
        if "grey" in tables:
            tables["grey"] = tables["colour"][[colours.get(value * 0x010101, 0) for value in range(256)]]
    elif "grey" in kinds:
        tables["grey"] = _ids_of_greys(where, counts["grey"])
    return tables


def _ids_of_colours(colours: dict[int, int], palette: np.ndarray) -> np.ndarray:
    index = {(int(r) << 16) | (int(g) << 8) | int(b): i for i, (r, g, b) in reversed(list(enumerate(palette)))}
    named = all(code in index for code in colours)
    table = np.zeros(256, np.uint8)
    for code, value in colours.items():
        table[value] = index[code] if named else value
    return table


def _ids_of_greys(where: Path, counts: np.ndarray) -> np.ndarray:
    values = np.flatnonzero(counts[1:]) + 1
    if values[-1] <= _MOST_GREY_IDS:
        return np.arange(256, dtype=np.uint8)
    if len(values) > 1 and len(values) <= _FEW:
        strongest = max(int(counts[value]) for value in values)
        if strongest < (1 - _EDGE_SHARE) * int(counts[1:].sum()):
            raise ValueRefusal(
                f"{where} has the grey values {', '.join(map(str, values))}",
                f"black and white or object ids 1 to {_MOST_GREY_IDS} are understood",
                "save the ids in indexed PNGs",
            )
    table = np.zeros(256, np.uint8)
    table[128 if len(values) > 1 else values[0] :] = 1
    return table
