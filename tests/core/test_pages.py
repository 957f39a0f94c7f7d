from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from voin.core.files import write_page


def page(tmp_path: Path, template: str, **values: object) -> str:
    (tmp_path / "own.html").write_text(template, encoding="utf-8")
    write_page(tmp_path / "index.html", tmp_path / "own.html", **values)
    return (tmp_path / "index.html").read_text(encoding="utf-8")


def test_a_page_extends_the_base_and_holds_the_style(tmp_path: Path) -> None:
    text = page(tmp_path, '{% extends "base.html" %}{% block title %}{{ name }}{% endblock %}', name="cats")
    assert text.startswith("<!doctype html>")
    assert "<title>cats</title>" in text
    assert "prefers-color-scheme: dark" in text
    assert "http" not in text


def test_values_are_escaped_and_texts_of_templates_are_not(tmp_path: Path) -> None:
    assert page(tmp_path, "<b>{{ name }}</b>", name="<i>&") == "<b>&lt;i&gt;&amp;</b>\n"


def test_bytes_go_into_the_page_itself(tmp_path: Path) -> None:
    assert 'src="data:image/png;base64,YWI="' in page(tmp_path, '<img src="{{ x | data_url("image/png") }}">', x=b"ab")


def test_an_absent_value_is_an_error_and_leaves_no_page(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError, match="name"):
        page(tmp_path, "{{ name }}")
    assert not (tmp_path / "index.html").exists()


def test_a_table_marks_what_is_best_and_can_be_reached_by_keyboard(tmp_path: Path) -> None:
    template = (
        '{% from "parts.html" import table %}{{ table("All", ["a", "b"], [["x", "1"], ["y", "2"]], best=[(1, 1)]) }}'
    )
    text = page(tmp_path, template)
    assert 'tabindex="0" role="group" aria-label="All"' in text
    assert '<td class="number"><b>2</b></td>' in text
    assert text.count("<b>") == 1
