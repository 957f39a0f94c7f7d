"""The reference of the commands, from the typer application itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer.main

_TYPES = {bool: "", int: "N", float: "NUMBER", str: "TEXT", Path: "PATH"}


def commands_markdown() -> str:
    """Describe every command: usage, arguments, options by panel, examples."""
    return "\n\n".join(_command(words, command) for words, command in commands())


def commands() -> Iterator[tuple[list[str], Any]]:
    """List all commands that do something, with the words that call them."""
    from voin.cli.app import app

    yield from _walk(["voin"], typer.main.get_command(app))


def _walk(words: list[str], command: Any) -> Iterator[tuple[list[str], Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield words, command
        return
    for name, each in inner.items():
        yield from _walk([*words, name], each)


def _command(words: list[str], command: Any) -> str:
    name, kinds = " ".join(words), _kinds(command)
    arguments = [each for each in command.params if not each.opts[0].startswith("-")]
    options = [each for each in command.params if each.opts[0].startswith("-") and not each.hidden]
    usage = " ".join([name, *(each.metavar or each.name.upper() for each in arguments), "[OPTIONS]"])
    parts = [f"## {name}", inspect.cleandoc(command.help or ""), f"```text\n{usage}\n```"]
    if arguments:
        rows = [[_code(each.metavar or each.name.upper()), _help(each) + _one_of(each, kinds)] for each in arguments]
        parts.append(_table(["argument", "what it is"], rows))
    for panel in dict.fromkeys(each.rich_help_panel or "Options" for each in options):
        rows = [
            [
                ", ".join(map(_code, [*each.opts, *each.secondary_opts])),
                _values(each, kinds),
                _default(each),
                _help(each),
            ]
            for each in options
            if (each.rich_help_panel or "Options") == panel
        ]
        parts += [f"**{panel}**", _table(["option", "values", "default", "what it does"], rows)]
    if command.epilog:
        parts.append(f"```bash\n{_examples(command.epilog)}\n```")
    return "\n\n".join(parts)


def _kinds(command: Any) -> dict[str, Any]:
    """Give the annotation of each parameter, without what typer is told beside it."""
    found = {}
    for name, parameter in inspect.signature(command.callback, eval_str=True).parameters.items():
        kind = parameter.annotation
        found[name] = get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
    return found


def _one_of(parameter: Any, kinds: dict[str, Any]) -> str:
    return f" One of {_values(parameter, kinds)}." if get_origin(kinds.get(parameter.name)) is Literal else ""


def _values(parameter: Any, kinds: dict[str, Any]) -> str:
    kind = kinds.get(parameter.name)
    inner = [kind, *get_args(kind)]
    choices = next((get_args(each) for each in inner if get_origin(each) is Literal), ())
    if choices:
        return ", ".join(map(_code, choices))
    if parameter.metavar:
        return _code(parameter.metavar)
    found = next((_TYPES[each] for each in inner if each in _TYPES), "TEXT")
    return _code(found) if found else ""


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if parameter.secondary_opts:
        return _code((parameter.opts if value else parameter.secondary_opts)[0])
    return "" if value is None or value is False or value in ((), []) or not parameter.show_default else _code(value)


def _help(parameter: Any) -> str:
    variable = f" Environment: {_code(parameter.envvar)}." if parameter.envvar else ""
    repeated = " May be repeated." if parameter.multiple and "repeated" not in (parameter.help or "") else ""
    return f"{parameter.help or ''}{repeated}{variable}"


def _examples(epilog: str) -> str:
    """Turn the examples of the help into shell: what is no command becomes a comment."""
    lines = [re.sub(r"\[/?(bold|dim)\]", "", line).strip() for line in epilog.splitlines()]
    lines = [line for line in lines if line and line != "Examples"]
    return "\n".join(line if line.startswith("voin ") else f"# {line}" for line in lines)


def _code(value: object) -> str:
    return f"`{value}`".replace("|", "\\|")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
