"""The table of categories."""

from __future__ import annotations

from pathlib import Path

from voin.data import categories
from voin.data.categories import CATEGORIES, DAVIS_SEQUENCES, davis_category, known_category


def test_youtube_vos_has_65_categories() -> None:
    assert len(CATEGORIES) == len(set(CATEGORIES)) == 65
    assert list(CATEGORIES) == sorted(CATEGORIES)


def test_each_object_of_davis_has_a_category_of_youtube_vos_or_none() -> None:
    assert len(DAVIS_SEQUENCES) == 90
    for name in DAVIS_SEQUENCES:
        for number in range(10):
            assert davis_category(name, number) in (None, *CATEGORIES)
    assert set(categories._WHOLE) <= set(DAVIS_SEQUENCES)


def test_what_is_not_in_the_tables_is_unknown() -> None:
    assert davis_category("my-video", 0) is None
    assert davis_category("bear", 2) is None
    assert known_category("fox") == "fox"
    assert known_category("goat") is None
    assert known_category(None) is None


def test_objects_of_davis_are_what_they_are() -> None:
    assert davis_category("bear", 0) == davis_category("bear", 1) == "bear"
    assert davis_category("goat", 0) is None
    assert davis_category("horsejump-high", 0) == "horse"
    assert davis_category("horsejump-high", 2) == "person"


def test_every_sequence_at_hand_is_in_the_table(davis: Path) -> None:
    for file in ("train.txt", "val.txt"):
        assert set((davis / "ImageSets" / "2016" / file).read_text().split()) <= set(DAVIS_SEQUENCES)
