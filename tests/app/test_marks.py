from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from voin.app.marks import MarkedFrames, Marks, as_data_url, check_marks, marks_of_texts, painted_mask

SIZE = (40, 60)


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[5:20, 10:30] = True
    return mask


def test_what_is_painted_comes_back_as_it_was_sent(mask: np.ndarray) -> None:
    assert (painted_mask(as_data_url(mask), SIZE) == mask).all()  # pyright: ignore[reportOptionalMemberAccess]
    assert painted_mask(as_data_url(np.zeros(SIZE, bool)), SIZE) is None
    assert as_data_url(None) == ""


def data_url(picture: Image.Image, kind: str = "PNG") -> str:
    data = io.BytesIO()
    picture.save(data, kind)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


@pytest.mark.parametrize(
    "text",
    [
        *(None, 3, "", "data:image/png;base64,", "data:image/png;base64,!!!", "http://example.org/a.png"),
        data_url(Image.new("RGBA", (61, 40))),
        data_url(Image.new("1", (9000, 9000))),  # a few kilobytes that would become very many
        data_url(Image.new("RGB", (60, 40)), "JPEG"),
        as_data_url(np.ones(SIZE, bool))[:-60],
    ],
)
def test_what_was_not_painted_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="what was painted cannot be read; it must be a picture of 60x40; paint it"):
        painted_mask(text, SIZE)


def test_marks_are_typed_as_they_are_shown(mask: np.ndarray) -> None:
    marks = Marks((1, 2, 30, 20), ((5, 6), (7, 8)), ((9, 10),), mask)
    assert marks.texts() == ("1,2,30,20", "5,6 7,8", "9,10")
    again = marks_of_texts(*marks.texts(), mask, SIZE)
    assert (again.box, again.points, again.negative) == (marks.box, marks.points, marks.negative)
    assert again.mask is mask
    assert not marks_of_texts("", " ", "", None, SIZE)
    assert marks_of_texts("", "5,6; 7,8", "", None, SIZE).points == ((5, 6), (7, 8))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("1,2,3", "", ""), "the box is '1,2,3'; it must be"),
        (("a", "", ""), "the box is 'a'"),
        (("50,30,20,20", "", ""), "leaves the frame"),
        (("", "60,10", ""), "outside the frame"),
        (("", "", "1,40"), "outside the frame"),
        (("", "5 6", ""), "the point is '5'"),
        (("0,0,2,2", "", ""), "it must be at least 4x4"),
    ],
)
def test_marks_that_do_not_fit_are_refused(texts: tuple[str, str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        marks_of_texts(*texts, None, SIZE)


def test_marks_make_a_prompt_once_they_say_what_the_object_is(mask: np.ndarray) -> None:
    assert Marks().prompt(3) is None
    assert Marks(negative=((1, 1),)).prompt(3) is None
    prompt = Marks(box=(1, 2, 30, 20), negative=((1, 1),)).prompt(3)
    assert prompt is not None
    assert (prompt.frame, prompt.box, prompt.negative) == (3, (1, 2, 30, 20), ((1, 1),))
    assert Marks(mask=mask).prompt(0) is not None
    check_marks(Marks(), SIZE)


def test_each_step_can_be_undone() -> None:
    marked = MarkedFrames()
    marked.add(3, (1, 2), on=True)
    marked.add(3, (4, 5), on=False)
    marked.put(7, Marks(box=(0, 0, 9, 9)))
    marked.clear(3)
    assert list(marked.frames) == [7]
    marked.clear()
    assert marked.frames == {}
    marked.undo()
    marked.undo()
    assert (marked.on(3).points, marked.on(3).negative, list(marked.frames)) == (((1, 2),), ((4, 5),), [3, 7])
    for _ in range(5):
        marked.undo()
    assert marked.frames == {}


def test_a_point_that_is_marked_again_changes_sides() -> None:
    marked = MarkedFrames()
    marked.add(0, (1, 2), on=True)
    marked.add(0, (1, 2), on=False)
    assert (marked.on(0).points, marked.on(0).negative) == ((), ((1, 2),))


def test_only_marks_of_the_part_become_prompts() -> None:
    marked = MarkedFrames()
    for frame in (2, 9, 5):
        marked.put(frame, Marks(box=(0, 0, 9, 9)))
    marked.add(6, (1, 1), on=False)
    assert [prompt.frame for prompt in marked.prompts(3, 10)] == [5, 9]
    with pytest.raises(ValueError, match=r"no frame from 6 to 8 says what the object is; .*; draw one"):
        marked.prompts(6, 9)


def test_nobody_needs_so_many_points() -> None:
    marked = MarkedFrames()
    marked.put(0, Marks(points=tuple((x, y) for x in range(20) for y in range(10))))
    with pytest.raises(ValueError, match="frame 0 has more than 200 points"):
        marked.add(0, (30, 30), on=True)
