"""Tables of the numbers of a stage: the fields of its config dataclasses, with defaults and what they mean."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from types import ModuleType
from typing import Any


def configs_markdown(name: str) -> str:
    """Tell the configs of a module, or of all modules of a package, a table each."""
    return "\n\n".join(_table(module, config) for module, config in configs(name))


def configs(name: str) -> Iterator[tuple[ModuleType, type]]:
    """List the config dataclasses that a module, or the modules of a package, define."""
    module = importlib.import_module(name)
    inner = pkgutil.iter_modules(getattr(module, "__path__", []))
    for each in [module, *(importlib.import_module(f"{name}.{found.name}") for found in inner if not found.ispkg)]:
        for found in vars(each).values():
            own = inspect.isclass(found) and found.__module__ == each.__name__
            if own and is_dataclass(found) and found.__name__.endswith("Config"):
                yield each, found


def meanings(config: type) -> dict[str, str]:
    """Say what each field means: its own help where it has one, else the line of the class's docstring."""
    text = inspect.cleandoc(config.__doc__ or "")
    body = re.search(r"^(?:Args|Attributes):\n((?:    .*\n?|\n)+)", text, re.MULTILINE)
    found = re.findall(r"^    (\w+): ((?:.+\n?)(?:     +.+\n?)*)", body[1] if body else "", re.MULTILINE)
    told = {name: " ".join(words.split()) for name, words in found}
    found = {each.name: each.metadata.get("help") or told.get(each.name, "") for each in fields(config)}
    units = {each.name: each.metadata.get("unit") for each in fields(config)}
    return {name: f"{words} ({units[name]})" if units[name] else words for name, words in found.items()}


def _table(module: ModuleType, config: type) -> str:
    """Write a table; constants of the module that are such configs get a column each, such as the paper's."""
    named = {key: value for key, value in vars(module).items() if type(value) is config and value != _plain(config)}
    head = ["setting", "default", *(f"`{key}`" for key in named), "what it is"]
    told = meanings(config)
    rows = [
        [
            f"`{each.name}`",
            _shown(_default(each)),
            *(_shown(getattr(v, each.name)) for v in named.values()),
            told[each.name],
        ]
        for each in fields(config)
    ]
    lines = [head, ["---"] * len(head), *rows]
    title = inspect.cleandoc(config.__doc__ or "").partition("\n")[0]
    return "\n".join([f"**`{config.__name__}`** {title}", "", *(f"| {' | '.join(line)} |" for line in lines)])


def _plain(config: type) -> Any:
    try:
        return config()
    except TypeError:
        return None


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return "required" if field.default is MISSING else field.default


def _shown(value: Any) -> str:
    """Write a value as a setting is written; configs inside configs have tables of their own."""
    if is_dataclass(value):
        return f"`{type(value).__name__}`"
    if isinstance(value, tuple):
        inner = ", ".join(f"{each[0]}x{each[1]}" if isinstance(each, tuple) else str(each) for each in value)
        return inner or "none"
    return "required" if value == "required" else f"{value}"
