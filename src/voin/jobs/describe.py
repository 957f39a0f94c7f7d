"""Dataclasses of settings as users meet them: each field is one option of a command, the page and the documentation.

All that is said of an option stands in its field (`voin.core.config.setting`); besides help, unit and limits:

| metadata | meaning |
|---|---|
| `flag` | its name in commands, made of the field's where none is given; without dashes an argument; "" for none |
| `panel`, `metavar`, `envvar` | its group in the help, what stands for its value, the variable that it is read from |
| `choices` | word -> value, where users choose by words that are not the values |
| `read`, `write` | turn text into the value and back, where commands take it as text |
| `label` | its name on the page, which leaves out what has none |
| `words` | what the page shows for each value |
| `page` | further arguments of its control on the page |
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from functools import partial
from operator import attrgetter
from typing import Any, Literal, TypeVar, get_args, get_origin

from voin.core.config import Limits
from voin.core.errors import ValueRefusal

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Option:
    """A field of a dataclass of settings, with all that is said of it.

    Attributes:
        name: of the field, with those that lead to it: "quality.crf".
        kind: type of the value; of `X | None`, X.
        default: `dataclasses.MISSING` where it must be given.
        more: the metadata that the module lists.
    """

    name: str
    kind: Any
    default: Any
    help: str = ""
    unit: str = ""
    limits: Limits = field(default_factory=Limits)
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def flag(self) -> str:
        """Its name in commands: "--crf", "--output -o", "STAGE"; "" if they do not have it."""
        return self.more.get("flag", f"--{self.name.rpartition('.')[2].replace('_', '-')}")

    @property
    def label(self) -> str:
        """Its name on the page; "" if it is not there."""
        return self.more.get("label", "")

    @property
    def choices(self) -> Mapping[str, Any]:
        """The words that a user may choose, with their values; empty where any value may be given."""
        words = get_args(self.kind) if get_origin(self.kind) is Literal else ()
        return self.more.get("choices", {str(word): word for word in words})

    @property
    def is_text(self) -> bool:
        """Whether commands take it as text that must be read."""
        return "read" in self.more or get_origin(self.kind) is tuple

    def read(self, given: Any) -> Any:
        """Turn what a command was given into the value; None is the default."""
        if given is None:
            return self.default
        if self.choices:
            return self.choices[given]
        return self.more.get("read", partial(_whole_numbers, self.flag))(given) if self.is_text else given

    def write(self, value: Any) -> Any:
        """Turn a value into what a command is given, the inverse of `read`; None where it is left out."""
        for word, chosen in self.choices.items():
            if chosen == value:
                return word
        if value is None or value == ():
            return None
        return self.more.get("write", _text)(value) if self.is_text else value


def describe_options(settings: Any) -> list[Option]:
    """List the options of a dataclass, those of the dataclasses in it between them; fields without help are none.

    Args:
        settings: the class, or one of it, whose values are then the defaults.
    """
    kind = settings if isinstance(settings, type) else type(settings)
    hints, found = typing.get_type_hints(kind), []
    for declared in fields(kind):
        default = declared.default
        if not isinstance(settings, type):
            default = getattr(settings, declared.name)
        elif declared.default_factory is not MISSING:
            default = declared.default_factory()
        if is_dataclass(default):
            inner = describe_options(default)
            found += [replace(option, name=f"{declared.name}.{option.name}") for option in inner]
        elif declared.metadata.get("help"):
            more = dict(declared.metadata)
            said = {name: more.pop(name) for name in ("help", "unit", "limits")}
            found.append(Option(declared.name, _given(hints[declared.name]), default, **said, more=more))
    return found


def make(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Make settings of the values of their options, by name; what is left out takes its default."""
    given, inner = {name: value for name, value in values.items() if "." not in name}, {}
    for name in values.keys() - given.keys():
        group, _, rest = name.partition(".")
        inner.setdefault(group, {})[rest] = values[name]
    kinds = typing.get_type_hints(kind) if inner else {}
    return kind(**given, **{group: make(kinds[group], rest) for group, rest in inner.items()})


def command_words(settings: Any) -> list[str]:
    """Write those options that differ from their defaults as words of a command."""
    words = []
    for option in describe_options(type(settings)):
        value = attrgetter(option.name)(settings)
        if value != option.default and option.flag:
            flag = option.flag.split()[0]
            switch = {True: [flag], False: [flag.replace("--", "--no-", 1)]} if option.kind is bool else {}
            words += switch.get(value) or [flag, str(option.write(value))]
    return words


def _given(hint: Any) -> Any:
    """Return X of `X | None`."""
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    return kinds[0] if len(kinds) == 1 and len(get_args(hint)) == 2 and type(None) in get_args(hint) else hint


def _whole_numbers(flag: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise ValueRefusal(f"{flag} is {text!r}", "it must be whole numbers with commas between", "write 1,2") from None


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
