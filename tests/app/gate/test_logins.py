from __future__ import annotations

import time

import pytest

from voin.app.gate.logins import WrongPasswords


def test_who_was_wrong_a_few_times_must_wait_a_while() -> None:
    wrong = WrongPasswords(most=2, seconds=0.3)
    wrong.note("a")
    assert wrong.seconds_to_wait("a") == 0
    wrong.note("a")
    assert 0 < wrong.seconds_to_wait("a") <= 0.3
    assert wrong.seconds_to_wait("b") == 0
    time.sleep(0.35)
    assert wrong.seconds_to_wait("a") == 0


def test_the_right_one_makes_up_for_the_wrong_ones() -> None:
    wrong = WrongPasswords(most=1)
    wrong.note("a")
    wrong.forget("a")
    assert wrong.seconds_to_wait("a") == 0


@pytest.mark.parametrize(
    ("first", "second", "one"), [("2001:db8::1", "2001:db8::ffff:2", True), ("10.0.0.1", "10.0.0.2", False)]
)
def test_the_addresses_that_one_user_has_count_together(first: str, second: str, one: bool) -> None:
    wrong = WrongPasswords(most=1)
    wrong.note(first)
    assert (wrong.seconds_to_wait(second) > 0) == one


def test_many_addresses_take_no_more_memory_than_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voin.app.gate.logins._MOST_ADDRESSES", 10)
    wrong = WrongPasswords(most=1)
    for number in range(50):
        wrong.note(f"10.0.0.{number}")
    assert len(wrong._times) == 10
    assert wrong.seconds_to_wait("10.0.0.49") > 0
