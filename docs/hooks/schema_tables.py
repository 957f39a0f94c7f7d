"""Tables of a JSON schema: each entry of the file, its type, and its description."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def schema_markdown(path: Path) -> str:
    """Tell the entries of the file that a schema describes."""
    schema = json.loads(path.read_text(encoding="utf-8"))
    rows = [["entry", "type", "what it is"], ["---"] * 3, *_rows(schema, schema, "")]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _rows(node: dict[str, Any], schema: dict[str, Any], prefix: str) -> Iterator[list[str]]:
    for name, entry in _children(_resolved(node, schema)):
        entry = _resolved(entry, schema)
        path = f"{prefix}{name}"
        yield [f"`{path}`", _type(entry), entry.get("description", "")]
        inner = _resolved(entry.get("items", {}), schema) if "items" in entry else entry
        yield from _rows(inner, schema, f"{path}[]." if "items" in entry else f"{path}.")


def _children(node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from node.get("properties", {}).items()
    for extra in node.get("patternProperties", {}).values():
        yield f"<{extra.get('title', 'name')}>", extra


def _resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    target = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return {**target, **{key: value for key, value in node.items() if key != "$ref"}}


def _type(entry: dict[str, Any]) -> str:
    if "enum" in entry:
        return ", ".join(f"`{json.dumps(each)}`" for each in entry["enum"])
    if "const" in entry:
        return f"`{entry['const']}`"
    kinds = entry.get("type", "any")
    return " or ".join(kinds) if isinstance(kinds, list) else kinds
