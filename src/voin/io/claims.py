"""What a QuickTime or MP4 file claims to hold, read from its boxes: FFmpeg makes room for every sample named there.

A table of samples of one size takes 20 bytes in the file whatever their number, and 24 bytes a sample in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_OUTER = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf")
_MOST_BOXES = 1_000_000
_SIZE_AT = 8 + 8 + 24  # of the first sample entry: after version, count, the entry's head and its first fields


class Claims(NamedTuple):
    """The samples of all tracks together, and the largest frame (h, w), (0, 0) where none is said."""

    samples: int
    size: tuple[int, int]


def read_claims(path: Path) -> Claims:
    """Read what a file claims; nothing where it has no such boxes, or they are cut off."""
    samples, size = 0, (0, 0)
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        video, chunked = False, False
        for count, (kind, at, length) in enumerate(_boxes(file, 0, end)):
            if count > _MOST_BOXES:
                break
            if kind == b"hdlr" and _read(file, at + 4, 4) != b"dhlr":
                video, chunked = _read(file, at + 8, 4) == b"vide", False
            elif kind == b"stts":
                # Sound in samples of one tick, of which FFmpeg keeps whole chunks.
                chunked = not video and _number(file, at + 4) == 1 and _number(file, at + 12) == 1
            elif kind == b"stsz" and not chunked:
                samples += _number(file, at + 8)
            elif kind == b"trun":
                samples += _number(file, at + 4)
            elif kind == b"stsd" and video and length >= _SIZE_AT + 4:
                both = _number(file, at + _SIZE_AT)
                found = (both & 0xFFFF, both >> 16)
                size = max(size, found, key=lambda pair: pair[0] * pair[1])
    return Claims(samples, size)


def _boxes(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, place and length of what is in each box, those of outer ones after them."""
    stack = [(at, end)]
    while stack:
        at, end = stack.pop()
        if at + 8 > end:
            continue
        head = _read(file, at, 16)
        length, inner = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, inner = int.from_bytes(head[8:16], "big"), 16
        after = end if length == 0 else min(at + length, end)
        if len(head) < 8 or after < at + inner:
            continue
        stack.append((after, end))
        yield head[4:8], at + inner, after - at - inner
        if head[4:8] in _OUTER:
            stack.append((at + inner, after))


def _read(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(at)
    return file.read(length)


def _number(file: BinaryIO, at: int) -> int:
    return int.from_bytes(_read(file, at, 4), "big")
