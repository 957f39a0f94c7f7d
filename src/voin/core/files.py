"""Files written whole, what tells a file from another, and JSON that people can read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Name the entries, those of inner tables too, in which two requests differ."""
    found = []
    for key in dict.fromkeys([*old, *new]):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key}")
    return found


def write_json(path: Path, content: Any) -> None:
    """Write JSON that people can read, as a whole file: tables in lines, lists of numbers in one line."""
    write_whole(path, (_lines(content, "") + "\n").encode())


def _lines(content: Any, indent: str) -> str:
    if not isinstance(content, dict) or not content:
        return json.dumps(content, ensure_ascii=False, default=str)
    inner = indent + "  "
    entries = [f"{inner}{json.dumps(str(key))}: {_lines(value, inner)}" for key, value in content.items()]
    return "{\n" + ",\n".join(entries) + f"\n{indent}}}"


def identity(path: Path) -> dict[str, Any]:
    """Say what tells a file, or all files of a folder, from others: names, sizes and times of the last change."""
    files = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
    facts = [(each.name, each.stat().st_size, each.stat().st_mtime_ns) for each in files]
    content = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    return {"path": str(path.resolve()), "bytes": sum(size for _, size, _ in facts), "version": content}


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then rename it, so that `path` is always whole or absent."""
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
