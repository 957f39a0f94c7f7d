"""JSON tables of files that others may have written or a disk damaged: read within limits, whatever stands there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from voin.core.errors import parts_of

MOST_BYTES = 2**26  # of JSON text: in memory it takes some thirty times as much


def parse_table(text: bytes) -> dict[str, Any]:
    """Return the table that a JSON text is.

    Raises:
        ValueError: it is none, or deeper than any that voin writes.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("lists in lists without end") from None
    if not isinstance(content, dict):
        raise ValueError("no table of names and values")
    return content


def read_table(path: Path) -> dict[str, Any]:
    """Return the table in a JSON file.

    Raises:
        OSError: the file cannot be read.
        ValueError: as `parse_table`, or it is larger than `MOST_BYTES`.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{size:,} bytes of text, where at most {MOST_BYTES:,} are read")
    return parse_table(path.read_bytes())


def reason_of(error: Exception) -> str:
    """Return in a few words what is wrong with a table, for a refusal that says of which file it is."""
    words = " ".join(", ".join(parts_of(error)[:2]).split())
    return words if len(words) <= 200 else f"{words[:200]} ..."
