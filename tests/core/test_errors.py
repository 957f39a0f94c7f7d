"""Refusals: three parts, of a built-in family, whole through pipes; anything else is a fault of voin's own."""

from __future__ import annotations

import errno
import pickle

import pytest

from voin.core.errors import FileRefusal, PackageRefusal, Refusal, ValueRefusal, count_of, is_fault, parts_of

PARTS = ("the video is blue; very", "it must be green", "paint it")


@pytest.mark.parametrize(
    ("kind", "family"), [(ValueRefusal, ValueError), (FileRefusal, OSError), (PackageRefusal, ImportError)]
)
def test_a_refusal_keeps_its_parts_whatever_stands_in_them(kind: type[Refusal], family: type[Exception]) -> None:
    error = kind(*PARTS)
    assert isinstance(error, family)
    assert parts_of(error) == list(PARTS)
    assert str(error) == "; ".join(PARTS)
    assert (error.what, error.must, error.remedy) == PARTS
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.parts) == (kind, list(PARTS))


def test_what_is_self_evident_needs_no_middle_part() -> None:
    assert parts_of(ValueRefusal("two masks for frame 3", remedy="remove one")) == [
        "two masks for frame 3",
        "remove one",
    ]


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (ValueRefusal(*PARTS), False),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.mp4"), False),
        (ImportError("no module"), False),
        (ValueError("a; b; c"), True),  # parts alone do not make a refusal
        (KeyError("a"), True),
    ],
)
def test_only_refusals_and_the_systems_complaints_are_no_faults(error: Exception, ours: bool) -> None:
    assert is_fault(error) == ours


def test_the_systems_complaints_get_advice() -> None:
    said = parts_of(OSError(errno.ENOSPC, "No space left on device", "out/a.png"))
    assert said[0] == "No space left on device: out/a.png"
    assert said[1] == "the disk must have room"
    assert "free some room" in said[2]
    assert all(len(parts_of(OSError(code, "no"))) == 3 for code in (errno.EFBIG, errno.EMFILE, errno.ENFILE))
    assert len(parts_of(OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300))) == 3
    assert parts_of(ImportError("no av"))[1] == "`voin doctor` shows what is installed"
    assert parts_of(RuntimeError()) == ["RuntimeError"]


def test_things_are_counted_in_words() -> None:
    assert (count_of(1, "frame"), count_of(12000, "frame")) == ("1 frame", "12,000 frames")
