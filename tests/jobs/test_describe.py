from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import pytest
import typer.main

import voin
from voin.cli.app import app
from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.jobs.describe import command_words, describe_options, make
from voin.jobs.options import CompleteOptions, MaskOptions, MethodOptions

SOURCE = Path(voin.__file__).parent
# Fields that are no option of `voin complete`, those that the page does not ask for, as it has other ways or none, and
# those that its jobs leave as they are.
NOT_IN_COMMAND = {"chunk_frames", "context_frames"}
NOT_ON_PAGE = {
    "seam",
    *("start", "end", "skip_broken", "overwrite", "amodal", "occluder"),
    *("quality.preset", "quality.lossless", "resize_masks", "invert_masks", "mask_frames", "absent", "audio"),
    *(
        "background_model",
        "track_between",
        "tracker",
        "limits.frames",
        "limits.pixels",
        "linear",
        "deinterlace",
        "hwaccel",
        "quality.codec",
    ),
    *NOT_IN_COMMAND,
}


@dataclass(frozen=True)
class Inner(Checked):
    crf: int = setting(18, "Quality.", least=0, most=51, flag="--crf")
    hidden: int = 3


@dataclass(frozen=True)
class Outer(Checked):
    kind: Literal["a", "b"] = setting(help="Which.", flag="KIND")
    split: str | None = setting(None, "Clips.", choices={"train": "train", "all": None})
    ids: tuple[int, ...] = setting((), "Objects.")
    size: tuple[int, int] = setting(
        (2, 3), "Size.", read=lambda text: tuple(map(int, text.split("x"))), write=lambda size: f"{size[0]}x{size[1]}"
    )
    pictures: bool = setting(True, "Make pictures.")
    inner: Inner = setting(factory=Inner)


def test_every_field_with_help_is_an_option_and_those_inside_too() -> None:
    options = {option.name: option for option in describe_options(Outer)}
    assert list(options) == ["kind", "split", "ids", "size", "pictures", "inner.crf"]
    assert [option.flag for option in options.values()] == ["KIND", "--split", "--ids", "--size", "--pictures", "--crf"]
    assert options["inner.crf"].default == 18
    assert list(options["kind"].choices) == ["a", "b"]


def test_an_instance_gives_the_defaults() -> None:
    options = {option.name: option for option in describe_options(Outer("b", inner=Inner(crf=4)))}
    assert (options["kind"].default, options["inner.crf"].default) == ("b", 4)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("split", "all", None), ("split", "train", "train"), ("ids", "1,2", (1, 2)), ("size", "4x5", (4, 5))],
)
def test_what_is_read_is_written_again(name: str, text: str, value: object) -> None:
    option = next(option for option in describe_options(Outer) if option.name == name)
    assert option.read(text) == value
    assert value is None or option.write(value) == text


def test_numbers_that_are_none_are_refused_by_the_options_name() -> None:
    option = next(option for option in describe_options(Outer) if option.name == "ids")
    with pytest.raises(ValueRefusal, match="--ids is 'one'; it must be whole numbers with commas between; write 1,2"):
        option.read("one")


def test_values_by_name_make_the_dataclass() -> None:
    assert make(Outer, {"kind": "a", "inner.crf": 7}) == Outer("a", inner=Inner(crf=7))
    with pytest.raises(ValueRefusal, match="crf is 99"):
        make(Outer, {"kind": "a", "inner.crf": 99})


# --- each option stands once


def parameters(command: str) -> dict[str, Any]:
    found = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    return {flag: parameter for parameter in found.params for flag in parameter.opts}


def test_every_field_reaches_the_command_with_its_help_and_default() -> None:
    given = parameters("complete")
    for kind in (CompleteOptions, MethodOptions):
        for option in describe_options(kind):
            assert (option.name in NOT_IN_COMMAND) == (not option.flag)
            if option.flag:
                parameter = given[option.flag]
                assert (parameter.help, parameter.default) == (option.help, option.write(option.default))
    for option in describe_options(MaskOptions):
        assert parameters("mask")[option.flag].help == option.help
    # No field without a help: it would be left out of everything unseen.
    for kind in (CompleteOptions, MethodOptions, MaskOptions):
        described = {option.name.partition(".")[0] for option in describe_options(kind)}
        assert described == {field.name for field in fields(kind)}


def test_every_field_reaches_the_page_or_is_known_not_to() -> None:
    assert {option.name for option in describe_options(CompleteOptions) if not option.label} == NOT_ON_PAGE


def another(option: Any) -> Any:
    """Return a value of an option that is not its default."""
    if option.choices:
        return next(value for value in option.choices.values() if value != option.default)
    if option.kind is bool:
        return not option.default
    return {int: 7, float: 0.5, Path: Path("a b"), str: "5"}.get(
        option.kind, (2, 1) if option.default == () else "none"
    )


def test_every_option_reaches_the_text_of_the_command_and_comes_back() -> None:
    for kind in (CompleteOptions, MaskOptions, MethodOptions):
        options = [option for option in describe_options(kind) if option.flag]
        for option in options:
            settings = make(kind, {option.name: another(option)})
            words = command_words(settings)
            off = option.default is True
            assert words[0] == (option.flag.replace("--", "--no-") if off else option.flag)
            given = words[1] if len(words) > 1 else not off
            read = option.read(type(another(option))(given) if option.kind in (int, float, Path) else given)
            assert make(kind, {option.name: read}) == settings, shlex.join(words)


def test_a_switch_is_written_as_it_stands() -> None:
    assert command_words(Outer("a", pictures=False)) == ["KIND", "a", "--no-pictures"]
    assert command_words(CompleteOptions(track_between=True)) == ["--track-between"]
    assert command_words(CompleteOptions(track_between=False)) == ["--no-track-between"]
    assert command_words(CompleteOptions()) == []


def test_an_option_stands_where_it_is_declared_and_where_it_is_used_alone() -> None:
    places = [
        f"{path.relative_to(SOURCE)}:{number}"
        for path in sorted(SOURCE.rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(r"save[-_]flow", line)
    ]
    assert len(places) <= 4, places
    assert not [place for place in places if place.startswith(("cli", "app"))]
