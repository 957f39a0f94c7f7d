"""Settings: frozen dataclasses inside frozen dataclasses, changed by dotted paths, written as JSON and read again.

All is strict: unknown, missing and mistyped settings are refused, since one that is silently ignored costs a training
run. A config may hold bool, int, float, str, Literal, tuples of these, X | None, and further configs; the schema of a
file also dicts with text as keys.
"""

from __future__ import annotations

import difflib
import json
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from voin.core.errors import ValueRefusal

Config = TypeVar("Config")
Number = int | float
# What a value of a type must be, and an example.
_WORDS: dict[Any, tuple[str, str]] = {
    bool: ("true or false", "true"),
    int: ("a whole number", "4"),
    float: ("a finite number", "0.5"),
    str: ("text", "text"),
}


@dataclass(frozen=True)
class Limits:
    """The numbers that a setting may have; each item of a tuple, too."""

    least: Number | None = None
    most: Number | None = None
    above: Number | None = None
    below: Number | None = None

    def hold(self, number: Number) -> bool:
        """Return whether a number lies within them and is finite."""
        return (
            math.isfinite(number)
            and (self.least is None or number >= self.least)
            and (self.most is None or number <= self.most)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        words = {"least": "at least", "most": "at most", "above": "above", "below": "below"}
        given = {word: getattr(self, name) for name, word in words.items()}
        return " and ".join(f"{word} {limit:g}" for word, limit in given.items() if limit is not None)


def setting(
    default: Any = MISSING,
    help: str = "",
    *,
    factory: Callable[[], Any] | None = None,
    unit: str = "",
    least: Number | None = None,
    most: Number | None = None,
    above: Number | None = None,
    below: Number | None = None,
    **more: Any,
) -> Any:
    """Declare a field of a dataclass once, with all that is said of it anywhere.

    Without a `default` it must be given; `factory` makes a default that is itself a config. `help` is one sentence for
    users, the `unit` of a number too; `least` to `below` limit it (`Limits`). `more` is metadata for those that make
    options, controls and pages of it; `must` there replaces the words of the refusal that say what the value must be.
    """
    metadata = {"help": help, "unit": unit, "limits": Limits(least, most, above, below), **more}
    if factory is not None:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


class Checked:
    """A dataclass that checks its values when it is made: numbers against their limits, words against their Literal."""

    def __post_init__(self) -> None:
        for name, (kind, declared) in _declared(type(self)).items():
            value = getattr(self, name)
            if value is None:
                continue
            literal = next((choice for choice in (kind, *get_args(kind)) if get_origin(choice) is Literal), None)
            words = get_args(literal)
            limits = declared.metadata.get("limits", Limits())
            numbers = [item for item in (value if isinstance(value, tuple) else (value,)) if type(item) in (int, float)]
            if (words and value not in words) or not all(limits.hold(number) for number in numbers):
                must = f"it must be one of {', '.join(map(str, words))}" if words else f"it must be finite, {limits}"
                must = declared.metadata.get("must", must)
                default = declared.default
                left = "correct it or leave it out" if default is None else f"leave it out for {default}"
                raise ValueRefusal(
                    f"{name} is {value!r}", must.rstrip(", "), "correct it" if default is MISSING else left
                )
        self.check()

    def check(self) -> None:
        """Refuse values that do not fit each other; for subclasses."""


@cache
def _declared(kind: type) -> dict[str, tuple[Any, Field[Any]]]:
    """List the settings of a dataclass, in their order: name to type and field."""
    hints = typing.get_type_hints(kind)
    return {declared.name: (hints[declared.name], declared) for declared in fields(kind)}  # type: ignore[arg-type]


def edit(config: Config, changes: Iterable[str]) -> Config:
    """Copy `config` with settings changed, all at once, so that those which must fit together can change together.

    Args:
        config: a dataclass instance; stays as it is.
        changes: "path=value" each, such as "shape.depth=4", "patches=[[2,2],[4,4]]", "channels=24,48", "name=none"; the
            last one wins where a path is named twice.

    Raises:
        ValueError: no "=", an unknown path, a value of the wrong type, or one that the config itself refuses.
    """
    values = to_json(config)
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals:
            raise ValueRefusal(
                f"{change!r} is no change of a setting", "it must be PATH=VALUE", "write it as shape.depth=4"
            )
        *groups, name = path.strip().split(".")
        place, kind = values, type(config)
        for i, group in enumerate(groups):
            kind = _known(kind, group, ".".join(groups[:i]))
            if not is_dataclass(kind):
                above = ".".join(groups[: i + 1])
                raise ValueRefusal(f"{above} is a single setting", f"{path} goes below it", f"use {above}=VALUE")
            place = place[group]
        place[name] = _parse(_known(kind, name, ".".join(groups)), text.strip(), path.strip())
    return from_json(type(config), values)


def paths(config: object) -> dict[str, Any]:
    """List all settings: dotted path to value."""
    found: dict[str, Any] = {}
    for name in _declared(type(config)):
        value = getattr(config, name)
        if is_dataclass(value):
            found |= {f"{name}.{path}": inner for path, inner in paths(value).items()}
        else:
            found[name] = value
    return found


def to_json(config: object) -> dict[str, Any]:
    """Turn a config into what JSON can hold: dicts, lists, numbers, strings, bools and None."""
    return {name: _plain(getattr(config, name)) for name in _declared(type(config))}


def from_json(kind: type[Config], values: Any, path: str = "") -> Config:
    """Make a config of what `to_json` gave: every setting of it, as defaults stand in for nothing.

    Raises:
        ValueError: a setting is unknown, missing or of the wrong type, or the config itself refuses it; `path` says
            where in a larger config it stands.
    """
    if not isinstance(values, Mapping):
        raise ValueRefusal(f"{path or kind.__name__} is {values!r}", "it must be an object with settings", "use {...}")
    for name in values:
        _known(kind, name, path)
    missing = [name for name in _declared(kind) if name not in values]
    if missing:
        raise ValueRefusal(
            f"{path or kind.__name__} lacks {', '.join(missing)}",
            "every setting must be given",
            "add them, or write the file again with this version",
        )
    return kind(**{name: _read(hint, values[name], _join(path, name)) for name, (hint, _) in _declared(kind).items()})


def from_older(kind: type[Config], values: Any, path: str = "") -> Config:
    """Make a config of what another version's `to_json` gave.

    Settings that are lacking take their defaults. What a version changed is said where the setting is declared:
    `setting(..., was=("name",))` for one that had other names, and `retired = {"name": value}` in the class for one
    that has become a constant.

    Raises:
        ValueError: as `from_json`, but for what is lacking; or a retired setting has another value than its constant.
    """
    if not isinstance(values, Mapping):
        return from_json(kind, values, path)
    known = dict(values)
    for name, constant in getattr(kind, "retired", {}).items():
        if known.pop(name, constant) != constant:
            raise ValueRefusal(
                f"{_join(path, name)} is {values[name]!r}",
                f"it must be {constant!r} in this version",
                "install the voin that wrote it",
            )
    for name, (hint, declared) in _declared(kind).items():
        for former in declared.metadata.get("was", ()):
            if former in known:
                known.setdefault(name, known.pop(former))
        if name not in known and declared.default is not MISSING:
            known[name] = _plain(declared.default)
        elif name not in known and declared.default_factory is not MISSING:
            known[name] = _plain(declared.default_factory())
        elif is_dataclass(hint) and name in known:
            known[name] = to_json(from_older(hint, known[name], _join(path, name)))  # type: ignore[arg-type]
    for name in known.keys() - _declared(kind).keys():
        try:
            _known(kind, name, path)
        except ValueRefusal as error:
            raise ValueRefusal(error.what, error.must, "it is newer than this version: install a newer voin") from None
    return from_json(kind, known, path)


def _known(kind: Any, name: str, path: str) -> Any:
    """Return the type of the setting `name`, or refuse it with a list of those there are."""
    known = _declared(kind)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        advice = f"did you mean {_join(path, near[0])}?" if near else "choose one of these"
        must = f"{path or kind.__name__} must have one of {', '.join(known)}"
        raise ValueRefusal(f"{_join(path, name)} is no setting", must, advice)
    return known[name][0]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _parse(kind: Any, text: str, path: str) -> Any:
    """Turn the text of a change into what JSON would hold; `_read` judges it later."""
    kind, optional = _type_of(kind)
    if optional and text.lower() in ("none", "null"):
        return None
    if is_dataclass(kind):
        names = ", ".join(_join(path, name) for name in _declared(kind))  # type: ignore[arg-type]
        raise ValueRefusal(f"{path} is a group of settings", "one of them must be named", f"use {names}")
    if kind is str:
        return text
    if get_origin(kind) is Literal:
        return next((word for word in get_args(kind) if str(word) == text), text)
    if get_origin(kind) is tuple and not text.startswith("["):
        items = [item.strip() for item in text.split(",")] if text else []
        return [_parse(get_args(kind)[0], item, path) for item in items]
    try:
        return json.loads(text.lower() if kind is bool else text)
    except json.JSONDecodeError:
        return text


def _read(kind: Any, value: Any, path: str) -> Any:
    """Turn what JSON holds into the type `kind`, or refuse it."""
    kind, optional = _type_of(kind)
    if value is None and optional:
        return None
    if is_dataclass(kind):
        return from_json(kind, value, path)  # type: ignore[arg-type]
    if get_origin(kind) is tuple and isinstance(value, (list, tuple)):
        items = get_args(kind)
        if items[-1] is Ellipsis:
            items = items[:1] * len(value)
        if len(items) == len(value):
            pairs = enumerate(zip(items, value, strict=True))
            return tuple(_read(item, given, f"{path}[{i}]") for i, (item, given) in pairs)
    elif get_origin(kind) is Literal:
        # 1 == True == 1.0 in Python, but not here.
        if any(value == word and type(value) is type(word) for word in get_args(kind)):
            return value
    elif get_origin(kind) is dict and isinstance(value, dict):
        inner = get_args(kind)[1]
        return value if inner is Any else {name: _read(inner, value[name], _join(path, name)) for name in value}
    elif kind is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    elif type(value) is kind:
        return value
    must, example = _words_of(kind)
    none = " or none" if optional else ""
    raise ValueRefusal(f"{path} is {value!r}", f"it must be {must}{none}", f"write it as {path}={example}")


def _type_of(kind: Any) -> tuple[Any, bool]:
    """Return the type of a setting without its None, and whether it may be None."""
    choices = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    proper = [choice for choice in choices if choice is not type(None)]
    if len(proper) != 1:
        raise TypeError(f"a setting is declared as {kind}; it must be one type, or one and None; split the setting")
    return proper[0], len(choices) > 1


def _words_of(kind: Any) -> tuple[str, str]:
    """Return what a setting of a type must be, and an example."""
    if get_origin(kind) is Literal:
        words = [str(word) for word in get_args(kind)]
        return "one of " + ", ".join(words), words[0]
    if get_origin(kind) is dict or is_dataclass(kind):
        return "a table", "{}"
    if get_origin(kind) in (Union, types.UnionType):
        must, example = _words_of(_type_of(kind)[0])
        return f"{must} or none", example
    if get_origin(kind) is tuple:
        items = [item for item in get_args(kind) if item is not Ellipsis]
        musts, examples = zip(*map(_words_of, items), strict=True)
        each = (
            f", each item {musts[0]}" if len(items) < len(get_args(kind)) else f" of {len(items)}: " + ", ".join(musts)
        )
        quoted = [f'"{example}"' if item is str else example for item, example in zip(items, examples, strict=True)]
        return f"a list{each}", f"[{','.join(quoted)}]"
    if kind not in _WORDS:
        raise TypeError(f"a setting is declared as {kind}; a config cannot hold that; use a tuple or a number")
    return _WORDS[kind]
