"""Read JSON and XML of strangers: sizes, depth and numbers are checked before anything is made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.text_files import read_bytes

_MOST_BYTES = 256_000_000
_MOST_SIDE, _MOST_PIXELS = 16_384, 1 << 26


def _content(path: Path) -> bytes:
    return read_bytes(path, "an annotation file", "export it again, each video on its own", _MOST_BYTES)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds. Raises OSError where it is damaged, ValueError where it holds none."""
    return mapping(read_document(path), str(path))


def read_document(path: Path) -> Any:
    """Return what a JSON file holds. Raises OSError where it is damaged."""

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is no number")

    try:
        return json.loads(_content(path), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise FileRefusal(f"{path} cannot be read ({said})", "it must be whole JSON", "export it again") from error


def read_xml(path: Path) -> ElementTree.Element:
    """Return the root of an XML file. Raises OSError where it is damaged, or declares entities."""
    parser = ElementTree.XMLParser(target=_Builder())
    try:
        parser.feed(_content(path))
        return parser.close()
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        what = f"{path} cannot be read ({str(error)[:200]})"
        raise FileRefusal(what, "it must be whole XML without a DOCTYPE", "export it again") from error


class _Builder(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it has a DOCTYPE")  # whose entities may grow without bounds


def mapping(value: Any, where: str) -> dict[str, Any]:
    """Return a JSON object, or refuse."""
    if not isinstance(value, dict):
        raise ValueRefusal(f"{where} is no object but {_short(value)}", "it must be {...}", "export it again")
    return value


def listed(value: Any, where: str) -> list[Any]:
    """Return a JSON list, or refuse."""
    if not isinstance(value, list):
        raise ValueRefusal(f"{where} is no list but {_short(value)}", "it must be [...]", "export it again")
    return value


def whole(value: Any, where: str, least: int = 0, most: int = 1 << 53) -> int:
    """Return a whole number within bounds, from a number or its text, or refuse."""
    number = None
    if isinstance(value, str) and len(value) < 20 and value.strip().lstrip("-").isdecimal():
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    if number is None or not least <= number <= most:
        must = f"it must be a whole number, {least} to {most}"
        raise ValueRefusal(f"{where} is {_short(value)}", must, "export the file again")
    return number


def frame_size(height: Any, width: Any, where: str) -> tuple[int, int]:
    """Return (h, w) of a frame, or refuse what no frame has."""
    size = whole(height, f"the height of {where}", 1, _MOST_SIDE), whole(width, f"the width of {where}", 1, _MOST_SIDE)
    if size[0] * size[1] > _MOST_PIXELS:
        what = f"{where} is {size[1]}x{size[0]}"
        raise ValueRefusal(what, f"a frame may have {_MOST_PIXELS} pixels", "scale the video")
    return size


def _short(value: Any) -> str:
    text = repr(value)[:60] if isinstance(value, str | int | float | bool) or value is None else type(value).__name__
    return text if text != "NoneType" else "missing"
