from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import pytest

from voin.core.config import Checked, edit, from_json, paths, setting, to_json
from voin.core.errors import ValueRefusal


@dataclass(frozen=True)
class Part:
    depth: int = 8
    width: float = 1.5
    channels: tuple[int, ...] = (24, 48)
    patches: tuple[tuple[int, int], ...] = ((2, 2), (4, 4))

    def __post_init__(self) -> None:
        if len(self.channels) != len(self.patches):
            raise ValueError("channels and patches must be equally many; give as many of each")


@dataclass(frozen=True)
class Whole:
    shape: Part = field(default_factory=Part)
    name: str | None = None
    gating: bool = True
    precision: Literal["bf16", "fp32"] = "bf16"
    level: Literal[1, 2] = 1
    words: tuple[str, ...] = ()
    pair: tuple[int, float] = (1, 0.5)


CONFIG = Whole()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("shape.depth=4", replace(CONFIG, shape=Part(depth=4))),
        ("shape.depth = 4", replace(CONFIG, shape=Part(depth=4))),
        ("shape.width=2", replace(CONFIG, shape=Part(width=2.0))),
        ("shape.width=1e-4", replace(CONFIG, shape=Part(width=1e-4))),
        ("shape.channels=8,16", replace(CONFIG, shape=Part(channels=(8, 16)))),
        ("shape.channels=[8, 16]", replace(CONFIG, shape=Part(channels=(8, 16)))),
        ("shape.patches=[[1,2],[3,4]]", replace(CONFIG, shape=Part(patches=((1, 2), (3, 4))))),
        ("name=a=b", replace(CONFIG, name="a=b")),
        ("name=4", replace(CONFIG, name="4")),
        ("name=None", CONFIG),
        ("gating=False", replace(CONFIG, gating=False)),
        ("precision=fp32", replace(CONFIG, precision="fp32")),
        ("level=2", replace(CONFIG, level=2)),
        ("words=a, b", replace(CONFIG, words=("a", "b"))),
        ('words=["a"]', replace(CONFIG, words=("a",))),
        ("words=", CONFIG),
        ("pair=[2, 3]", replace(CONFIG, pair=(2, 3.0))),
    ],
)
def test_a_change_sets_one_setting(change: str, expected: Whole) -> None:
    found = edit(CONFIG, [change])
    assert found == expected
    assert {name: type(value) for name, value in paths(found).items()} == {
        name: type(value) for name, value in paths(expected).items()
    }


def test_changes_are_made_together_and_the_last_one_wins() -> None:
    found = edit(CONFIG, ["shape.channels=4", "shape.depth=3", "shape.patches=[[1,1]]", "shape.depth=2"])
    assert found.shape == Part(depth=2, channels=(4,), patches=((1, 1),))
    assert Whole() == CONFIG
    assert edit(CONFIG, []) == CONFIG


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("shape.depth", "'shape.depth' is no change of a setting; it must be PATH=VALUE; write it as"),
        ("shape.dept=4", "shape.dept is no setting; shape must have one of depth, width, channels, patches; did you "),
        ("shap.depth=4", "shap is no setting; Whole must have one of shape, .*; did you mean shape?"),
        ("zzz=4", "zzz is no setting; .*; choose one of these"),
        ("=4", " is no setting"),
        ("shape=4", "shape is a group of settings; one of them must be named; use shape.depth, shape.width"),
        ("name.x=4", "name is a single setting; name.x goes below it; use name=VALUE"),
        ("shape.depth=many", "shape.depth is 'many'; it must be a whole number; write it as shape.depth=4"),
        ("shape.depth=4.0", "shape.depth is 4.0; it must be a whole number"),
        ("shape.depth=true", "shape.depth is True; it must be a whole number"),
        ("shape.depth=", "shape.depth is ''; it must be a whole number"),
        ("shape.width=NaN", "shape.width is nan; it must be a finite number"),
        ("shape.width=Infinity", "shape.width is inf; it must be a finite number"),
        ("shape.width=none", "shape.width is 'none'; it must be a finite number"),
        ("shape.channels=8,x", r"shape.channels\[1\] is 'x'; it must be a whole number"),
        ("shape.channels=[8", r"shape.channels is '\[8'; it must be a list, each item a whole number; write it as"),
        ("shape.patches=2,2", r"shape.patches\[0\] is \[2\]; it must be a list of 2: a whole number, a whole number"),
        ("shape.patches=[[2,2,2]]", r"shape.patches\[0\] is \[2, 2, 2\]; it must be a list of 2"),
        ("shape.channels=8", "channels and patches must be equally many"),
        ("gating=1", "gating is 1; it must be true or false; write it as gating=true"),
        ("precision=fp16", "precision is 'fp16'; it must be one of bf16, fp32; write it as precision=bf16"),
        ("level=3", "level is '3'; it must be one of 1, 2"),
    ],
)
def test_a_wrong_change_is_refused_with_what_to_do(change: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        edit(CONFIG, [change])


def test_json_gives_back_the_same_config() -> None:
    config = edit(CONFIG, ["shape.depth=3", "name=cat", "words=a,b", "shape.width=3"])
    assert from_json(Whole, json.loads(json.dumps(to_json(config)))) == config


def _changed(path: str, value: Any) -> dict[str, Any]:
    values = to_json(CONFIG)
    *groups, name = path.split(".")
    place = values
    for group in groups:
        place = place[group]
    place[name] = value
    return values


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (_changed("shape.color", 1), "shape.color is no setting; shape must have one of depth, width"),
        (_changed("shape", {"depth": 3}), "shape lacks width, channels, patches; every setting must be given; add"),
        ({}, "Whole lacks shape, name, "),
        (_changed("shape", 3), "shape is 3; it must be an object with settings"),
        (_changed("shape.depth", "3"), "shape.depth is '3'; it must be a whole number"),
        (_changed("shape.depth", None), "shape.depth is None; it must be a whole number"),
        (_changed("name", 3), "name is 3; it must be text or none; write it as name=text"),
        (_changed("level", True), "level is True; it must be one of 1, 2"),
        (_changed("words", "ab"), "words is 'ab'; it must be a list, each item text"),
    ],
)
def test_json_that_does_not_fit_is_refused(values: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        from_json(Whole, values)


@dataclass(frozen=True)
class Table:
    sums: dict[str, str]
    parts: tuple[Part, ...] = ()
    anything: dict[str, Any] = field(default_factory=dict)


def test_the_schema_of_a_file_may_hold_tables() -> None:
    given = {"sums": {"a": "0f"}, "parts": [to_json(Part())], "anything": {"a": [None, {}]}}
    assert to_json(from_json(Table, given)) == given
    for wrong, said in (
        ({"sums": {"a": 3}}, "sums.a is 3; it must be text"),
        ({"sums": []}, r"sums is \[\]; it must be a table"),
        ({"parts": None}, "parts is None; it must be a list, each item a table"),
        ({"parts": [3]}, r"parts\[0\] is 3; it must be an object"),
    ):
        with pytest.raises(ValueError, match=said):
            from_json(Table, given | wrong)


def test_paths_name_every_setting() -> None:
    found = paths(CONFIG)
    assert list(found)[:3] == ["shape.depth", "shape.width", "shape.channels"]
    assert found["shape.patches"] == ((2, 2), (4, 4))
    for path, value in found.items():
        if isinstance(value, (int, float)):
            assert edit(CONFIG, [f"{path}={value}"]) == CONFIG


def test_a_config_of_unknown_types_is_a_mistake_of_the_program() -> None:
    @dataclass(frozen=True)
    class Odd:
        either: int | str = 1

    with pytest.raises(TypeError, match="must be one type, or one and None"):
        from_json(Odd, {"either": 1})


# --- declared settings


@dataclass(frozen=True)
class Declared(Checked):
    size: int = setting(4, "How large.", unit="pixels", least=1, most=8)
    share: tuple[float, ...] = setting((0.5,), "How much of each.", above=0, below=1)
    kind: Literal["mov", "webm"] = "mov"

    def check(self) -> None:
        if self.size == 7:
            raise ValueRefusal("size is 7", "it must not be unlucky", "take 6")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"size": 0}, "size is 0; it must be finite, at least 1 and at most 8; leave it out for 4"),
        ({"size": 9}, "at most 8"),
        ({"share": (0.5, 1.0)}, "above 0 and below 1"),
        ({"share": (float("nan"),)}, "finite"),
        ({"kind": "gif"}, "kind is 'gif'; it must be one of mov, webm; leave it out for mov"),
        ({"size": 7}, "unlucky"),
    ],
)
def test_a_value_outside_its_declaration_is_refused_when_it_is_made(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueRefusal, match=re.escape(said)):
        Declared(**values)


def test_a_value_at_its_limit_is_taken_and_its_help_stands_in_the_field() -> None:
    assert Declared(size=8, share=(0.01, 0.99), kind="webm").size == 8
    told = {each.name: each.metadata.get("help") for each in fields(Declared)}
    assert told == {"size": "How large.", "share": "How much of each.", "kind": None}
