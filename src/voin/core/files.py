"""Files written whole, what tells a file from another, JSON that people can read, and HTML pages."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from voin.core import __version__


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


def write_page(path: Path, template: Path, **values: Any) -> None:
    """Write an HTML page, whole or not at all; all pages share the base, the style sheet and the parts in `templates`.

    Args:
        path: of the page.
        template: a jinja2 template; it may extend or include files of its own folder and of `voin/core/templates`.
        values: what the template names, escaped where it is shown; one that is absent is an error. The filter
            `data_url(kind)` puts bytes into the page itself.
    """
    # Imported here: commands that write no page start without it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_url"] = lambda data, kind: f"data:{kind};base64,{base64.b64encode(data).decode()}"
    text = environment.get_template(template.name).render({"version": __version__, **values})
    write_whole(path, (text + "\n").encode())
