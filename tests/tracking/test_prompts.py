from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voin.io.images import write_image
from voin.tracking.prompts import Prompt, check_prompts, parse_box, parse_point, parse_prompt, read_prompts

SIZE = (48, 64)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"frame": -1, "points": ((3, 3),)}, "frames are numbered from 0"),
        ({"frame": 0}, "marks nothing of the object"),
        ({"frame": 0, "negative": ((3, 3),)}, "marks nothing of the object"),
        ({"frame": 0, "box": (3, 3, 2, 9)}, "at least 4x4"),
        ({"frame": 0, "mask": np.zeros(SIZE, bool)}, "empty mask"),
        ({"frame": 0, "points": ((3, 3),), "negative": ((3, 3),)}, "must be one of both"),
    ],
)
def test_a_prompt_that_says_nothing_or_contradicts_itself_is_refused(given: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        Prompt(**given)
    assert str(caught.value).count("; ") == 2


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        (Prompt(0, points=((64, 3),)), "outside the frame; it must lie in 0,0 to 63,47"),
        (Prompt(0, points=((3, 3),), negative=((3, 48),)), "outside the frame"),
        (Prompt(0, box=(60, 3, 5, 5)), "leaves the frame"),
        (Prompt(0, box=(-1, 3, 5, 5)), "leaves the frame"),
        (Prompt(0, mask=np.ones((48, 63), bool)), "63x48"),
    ],
)
def test_what_lies_outside_the_frame_is_refused(prompt: Prompt, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        prompt.check(SIZE)
    assert str(caught.value).count("; ") == 2


def test_what_touches_the_edge_of_the_frame_fits() -> None:
    Prompt(0, box=(0, 0, 64, 48), points=((63, 47),), negative=((0, 0),)).check(SIZE)


@pytest.mark.parametrize(
    ("prompts", "told"),
    [
        ((), "nothing says what the object is"),
        ((Prompt(3, points=((1, 1),)), Prompt(3, points=((2, 2),))), "frame 3 has two prompts"),
        ((Prompt(9, points=((1, 1),)),), "frames 2 to 8 are tracked"),
        ((Prompt(1, points=((1, 1),)),), "frames 2 to 8 are tracked"),
        ((Prompt(2, points=((99, 1),)),), "outside the frame"),
    ],
)
def test_prompts_that_do_not_fit_the_video_are_refused(prompts: tuple[Prompt, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        check_prompts(prompts, SIZE, 2, 9)
    assert str(caught.value).count("; ") == 2


def test_prompts_come_back_in_the_order_of_their_frames() -> None:
    given = [Prompt(number, points=((1, 1),)) for number in (5, 2, 8)]
    assert [each.frame for each in check_prompts(given, SIZE, 0, 9)] == [2, 5, 8]


def test_a_prompt_is_read_from_text() -> None:
    prompt = parse_prompt("40: box 12,4, 8,16 point 15,9 16,10 not 13,5; point 17,11")
    assert (prompt.frame, prompt.box) == (40, (12, 4, 8, 16))
    assert (prompt.points, prompt.negative) == (((15, 9), (16, 10), (17, 11)), ((13, 5),))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "box 1,2,9,9",
        "x: box 1,2,9,9",
        "4:",
        "4: nonsense",
        "4: box 1,2,9",
        "4: point 1",
        "4: box 1,2,9,9 box 1,2,9,9",
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="; ") as caught:
        parse_prompt(text)
    assert str(caught.value).count("; ") == 2


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "1;2;3;4", "a,b,c,d", "1.5,2,3,4", ""])
def test_a_box_is_four_whole_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="whole pixels"):
        parse_box(text)


def test_a_point_is_two_whole_numbers() -> None:
    assert parse_point(" 16, 9") == (16, 9)
    with pytest.raises(ValueError, match="whole pixels"):
        parse_point("16")


def test_prompts_are_read_from_a_file_with_masks_beside_it(tmp_path: Path) -> None:
    painted = np.zeros(SIZE, np.uint8)
    painted[5:9, 7:11] = 255
    write_image(tmp_path / "painted.png", painted)
    content = [
        {"frame": 0, "box": [1, 2, 30, 20], "points": [[5, 6]], "negative": [[2, 3], [4, 5]]},
        {"frame": 7, "mask": "painted.png"},
    ]
    (tmp_path / "prompts.json").write_text(json.dumps(content))
    first, second = read_prompts(tmp_path / "prompts.json")
    assert (first.box, first.points, first.negative) == ((1, 2, 30, 20), ((5, 6),), ((2, 3), (4, 5)))
    assert second.mask is not None
    assert np.array_equal(second.mask, painted > 0)


@pytest.mark.parametrize(
    "content",
    [
        "nonsense",
        "{}",
        "[1]",
        '[{"frame": 0, "bax": [1, 2, 9, 9]}]',
        '[{"frame": "0", "box": [1, 2, 9, 9]}]',
        '[{"box": [1, 2, 9, 9]}]',
        '[{"frame": 0, "box": [1, 2, 9]}]',
        '[{"frame": 0, "points": [1, 2]}]',
        '[{"frame": 0, "mask": 3}]',
        '[{"frame": 0, "mask": "a\\u0000b.png"}]',
        '[{"frame": 1e400, "points": [[1, 1]]}]',
        "[" * 100_000,
        '{"a":' * 100_000,
        '[{"frame": 0, "box": ' + "[" * 100_000,
    ],
)
def test_a_file_of_something_else_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "prompts.json").write_text(content)
    with pytest.raises(ValueError, match="prompts") as caught:
        read_prompts(tmp_path / "prompts.json")
    assert str(caught.value).count("; ") == 2


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prompts.json").write_text(" " * 2**24 + "[]")
    with pytest.raises(OSError, match="prompts") as caught:
        read_prompts(tmp_path / "prompts.json")
    assert str(caught.value).count("; ") == 2


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot be read"):
        read_prompts(tmp_path / "prompts.json")
