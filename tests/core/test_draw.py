from __future__ import annotations

import numpy as np
import pytest

from voin.core.draw import (
    AMODAL,
    INK,
    PAPER,
    around,
    contact_sheet,
    flow_colours,
    heat,
    outline,
    overlay,
    readable_ground,
    spread,
)


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((40, 60), bool)
    mask[10:30, 15:45] = True
    return mask


def test_overlay_changes_the_mask_alone_and_not_its_input(picture: np.ndarray, mask: np.ndarray) -> None:
    before = picture.copy()
    result = overlay(picture, mask)
    assert np.array_equal(picture, before)
    assert np.array_equal(result[~mask], picture[~mask])
    assert not np.array_equal(result[mask], picture[mask])


def test_overlay_goes_from_the_picture_to_the_colour(picture: np.ndarray, mask: np.ndarray) -> None:
    assert np.array_equal(overlay(picture, mask, alpha=0.0), picture)
    assert (overlay(picture, mask, alpha=1.0)[mask] == AMODAL).all()


def test_outline_is_the_inner_rim(picture: np.ndarray, mask: np.ndarray) -> None:
    result = outline(picture, mask, width=2)
    coloured = (result == AMODAL).all(axis=-1)
    rim = mask.copy()
    rim[12:28, 17:43] = False
    assert np.array_equal(coloured, rim)
    assert np.array_equal(result[~mask], picture[~mask])
    assert np.array_equal(result[14:26, 19:41], picture[14:26, 19:41])


def test_no_flow_is_white_and_unknown_flow_black() -> None:
    flow = np.zeros((2, 2, 2), np.float32)
    flow[0, 0] = np.nan
    colours = flow_colours(flow)
    assert (colours[0, 0] == 0).all()
    assert (colours[1] == 255).all()


def test_flow_to_the_right_is_red_and_opposite_flows_differ() -> None:
    flow = np.array([[[1, 0], [-1, 0], [0, 1], [0, -1]]], np.float32)
    right, left, down, up = flow_colours(flow)[0].astype(int)
    assert tuple(right) == (255, 0, 0)
    assert np.abs(right - left).sum() > 255
    assert np.abs(down - up).sum() > 255


def test_flow_longer_than_the_longest_is_darker() -> None:
    flow = np.array([[[1, 0], [2, 0]]], np.float32)
    colours = flow_colours(flow, longest=1.0)[0]
    assert tuple(colours[0]) == (255, 0, 0)
    assert tuple(colours[1]) == (191, 0, 0)


def test_flow_colours_are_those_of_torchvision() -> None:
    torch = pytest.importorskip("torch")
    utils = pytest.importorskip("torchvision.utils")
    flow = np.random.default_rng(0).normal(0, 3, (20, 30, 2)).astype(np.float32)
    theirs = utils.flow_to_image(torch.from_numpy(flow).permute(2, 0, 1)).permute(1, 2, 0).numpy()
    assert np.abs(flow_colours(flow).astype(int) - theirs).max() <= 1


def test_heat_rises_with_confidence_and_takes_nan() -> None:
    levels = np.array([[np.nan, -1, 0, 0.5, 1, 2]], np.float32)
    brightness = heat(levels).astype(int).sum(axis=-1)[0]
    assert brightness[0] == brightness[1] == brightness[2] < brightness[3] < brightness[4] == brightness[5]


@pytest.mark.parametrize(
    ("count", "columns", "numbers"), [(10, 4, [0, 3, 6, 9]), (3, 8, [0, 1, 2]), (1, 5, [0]), (9, 1, [4]), (0, 3, [])]
)
def test_spread_is_even_and_has_both_ends(count: int, columns: int, numbers: list[int]) -> None:
    assert spread(count, columns) == numbers


def test_around_holds_every_mask_and_stays_inside(picture: np.ndarray, mask: np.ndarray) -> None:
    corner = np.zeros_like(mask)
    corner[:3, :3] = True
    rows, columns = around([mask, corner], margin=0.1)
    assert (rows.start, columns.start) == (0, 0)
    assert 30 <= rows.stop <= 40
    assert 45 <= columns.stop <= 60
    assert picture[around([np.zeros_like(mask)])].shape == picture.shape


def test_text_of_any_colour_can_be_read_on_its_ground() -> None:
    assert (readable_ground((255, 255, 0)), readable_ground((128, 0, 255))) == (INK, PAPER)
    levels = (0, 64, 128, 192, 255)
    for red, green, blue in ((r, g, b) for r in levels for g in levels for b in levels):
        ground = readable_ground((red, green, blue))
        # The weights of Rec. 709, and the contrast of WCAG 2.
        linear = [np.dot((0.2126, 0.7152, 0.0722), (np.array(c) / 255) ** 2.2) for c in ((red, green, blue), ground)]
        assert (max(linear) + 0.05) / (min(linear) + 0.05) > 3


def test_a_contact_sheet_shows_every_picture_at_its_place(picture: np.ndarray) -> None:
    red, blue = np.full_like(picture, (200, 0, 0)), np.full_like(picture, (0, 0, 200))
    sheet = contact_sheet([("one", [red, blue]), ("two", [blue, red])], columns=["frame 0", "frame 7"])
    reds, blues = (sheet == (200, 0, 0)).all(axis=-1), (sheet == (0, 0, 200)).all(axis=-1)
    assert reds.sum() == blues.sum() == 2 * 80 * 120  # each at twice its size
    h, w = sheet.shape[:2]
    assert reds[: h // 2, : w // 2].any()
    assert not reds[: h // 2, w * 2 // 3 :].any()
    assert (sheet[0] == PAPER).all()


def test_a_contact_sheet_keeps_to_its_width_and_crop(picture: np.ndarray, mask: np.ndarray) -> None:
    row = [picture] * 12
    sheet = contact_sheet([("input", row)], width=500, crop=around([mask]))
    assert 480 <= sheet.shape[1] <= 520


@pytest.mark.parametrize(
    ("counts", "columns"), [((2, 3), []), ((2, 2), ["frame 0"]), ((0, 0), [])], ids=["rows", "columns", "empty"]
)
def test_a_ragged_contact_sheet_is_refused(picture: np.ndarray, counts: tuple[int, ...], columns: list[str]) -> None:
    with pytest.raises(ValueError, match="each row needs one picture a column"):
        contact_sheet([("row", [picture] * count) for count in counts], columns=columns)
