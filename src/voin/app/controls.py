"""Which options of the commands the page shows as controls, and what comes back from these, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from voin.core.errors import ValueRefusal
from voin.jobs.describe import Option, describe_options, make
from voin.jobs.options import CompleteOptions, MaskOptions, MethodOptions

Settings = TypeVar("Settings")
_MOST_LETTERS = 1000  # that are typed for an option


def shown_options(*kinds: type) -> dict[str, Option]:
    """Return the options that have a control, by name."""
    return {option.name: option for kind in kinds for option in describe_options(kind) if option.label}


TRACK_OPTIONS = shown_options(MaskOptions)
COMPLETE_OPTIONS = shown_options(CompleteOptions, MethodOptions)


def read_controls(kind: type[Settings], given: Mapping[str, Any]) -> Settings:
    """Make settings of what controls give, by the names of the options; names of other settings are passed over.

    A value that its control does not offer is refused: from a browser it may be anything.
    """
    return make(
        kind, {name: _read(option, given[name]) for name, option in shown_options(kind).items() if name in given}
    )


def whole_number(value: object, name: str) -> int:
    """Take a whole number that comes from a browser."""
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]
        if number != int(number):
            raise ValueError
        return int(number)
    except (TypeError, ValueError, OverflowError):
        raise ValueRefusal(f"{name} is {str(value)[:40]!r}", "it must be a whole number", "correct it") from None


def _read(option: Option, value: object) -> Any:
    words = option.more.get("words", {})
    if option.kind is bool:
        return bool(value)
    if option.kind is int:
        return whole_number(value, option.name)
    if words and not (isinstance(value, str) and value in words):
        known = f"it must be one of {', '.join(words)}"
        raise ValueRefusal(f"{str(value)[:40]!r} is no choice", known, "choose one of them")
    if option.is_text and not words:
        text = str(value or "").strip()
        if len(text) > _MOST_LETTERS:
            raise ValueRefusal(f"{option.name} is too long", f"it may have {_MOST_LETTERS} letters", "correct it")
        return option.read(text or None)
    return str(value) if value else None
