from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from voin.benchmark.corrupt import KINDS, STRENGTHS, Corruption, corrupt, diameter, standard


@pytest.fixture(scope="module")
def visible() -> np.ndarray:
    """A disc of 1257 pixels that moves, and is gone in one frame."""
    y, x = np.mgrid[:96, :128]
    masks = np.stack([np.hypot(x - 40 - 4 * i, y - 45) <= 20 for i in range(10)])
    masks[6] = False
    return masks


@pytest.mark.parametrize("what", standard(), ids=lambda what: what.name)
def test_the_same_seed_gives_the_same_masks_and_the_input_stays(what: Corruption, visible: np.ndarray) -> None:
    before = visible.copy()
    first = corrupt(visible, what, 3)
    assert np.array_equal(first, corrupt(visible, what, 3))
    assert np.array_equal(visible, before)
    assert not np.array_equal(first, visible)
    assert not first[6].any()  # where the object is not seen, no damage shows it


@pytest.mark.parametrize("kind", KINDS)
def test_strength_zero_changes_nothing(kind: str, visible: np.ndarray) -> None:
    assert np.array_equal(corrupt(visible, Corruption(kind, 0.0), 0), visible)


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_without_the_object_stays_empty(kind: str) -> None:
    assert not corrupt(np.zeros((3, 8, 9), bool), Corruption(kind, 0.2), 0).any()


@pytest.mark.parametrize("kind", KINDS)
def test_more_strength_is_more_corrupt(kind: str, visible: np.ndarray) -> None:
    wrong = [(corrupt(visible, Corruption(kind, strength), 1) != visible).sum() for strength in STRENGTHS[kind]]
    assert all(more > less for less, more in pairwise(wrong)), wrong


@pytest.mark.parametrize("strength", STRENGTHS["dilated"])
def test_dilated_and_eroded_discs_are_discs_of_another_radius(strength: float, visible: np.ndarray) -> None:
    reach = strength * diameter(visible)
    for kind, sign in (("dilated", 1), ("eroded", -1)):
        area = corrupt(visible, Corruption(kind, strength), 0)[0].sum()
        # Within the pixels that lie on the rim.
        assert abs(np.sqrt(area / np.pi) - (20 + sign * reach)) < 0.7


def test_dilation_adds_and_erosion_takes_away(visible: np.ndarray) -> None:
    assert (visible <= corrupt(visible, Corruption("dilated", 0.1), 0)).all()
    assert (corrupt(visible, Corruption("eroded", 0.1), 0) <= visible).all()
    assert (corrupt(visible, Corruption("lost", 0.1), 0) <= visible).all()


def test_the_edge_of_the_picture_does_not_erode() -> None:
    full = np.ones((2, 20, 30), bool)
    assert corrupt(full, Corruption("eroded", 0.1), 0).all()


def test_something_is_left_of_thin_objects() -> None:
    thin = np.zeros((3, 30, 40), bool)
    thin[1, 15:18, 2:38] = True
    left = corrupt(thin, Corruption("eroded", 0.2), 0)
    assert set(np.argwhere(left)[:, 1]) == {16}  # the middle row
    assert left[1, 16].sum() >= 30


def test_a_shift_moves_all_frames_alike_and_as_far_as_it_says(visible: np.ndarray) -> None:
    moved = corrupt(visible, Corruption("shifted", 0.2), 5)
    steps = []
    for mask, other in zip(visible, moved, strict=True):
        if mask.any():
            steps.append(np.argwhere(other).mean(axis=0) - np.argwhere(mask).mean(axis=0))
    assert np.allclose(steps, steps[0])
    assert abs(np.hypot(*steps[0]) - 0.2 * diameter(visible)) < 0.75


def test_shifts_of_other_seeds_go_elsewhere(visible: np.ndarray) -> None:
    found = {corrupt(visible, Corruption("shifted", 0.2), seed).tobytes() for seed in range(8)}
    assert len(found) > 5


def test_a_shift_out_of_the_picture_leaves_nothing() -> None:
    narrow = np.ones((2, 8, 200), bool)
    left = [corrupt(narrow, Corruption("shifted", 2.0), seed).any() for seed in range(8)]
    assert not all(left)


@pytest.mark.parametrize("strength", STRENGTHS["lost"])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_lost_is_the_share_asked_for(strength: float, seed: int, visible: np.ndarray) -> None:
    left = corrupt(visible, Corruption("lost", strength), seed).sum() / visible.sum()
    assert 1 - strength - 0.03 <= left <= 1 - strength


def test_everything_can_be_lost(visible: np.ndarray) -> None:
    assert not corrupt(visible, Corruption("lost", 1.0), 0).any()


def test_lost_pieces_move_with_the_object(visible: np.ndarray) -> None:
    left = corrupt(visible, Corruption("lost", 0.1), 2)
    lost = visible & ~left
    gone = np.flatnonzero(lost.any(axis=(1, 2)))
    together = [
        (lost[a][:, : -4 or None] == lost[b][:, 4:])[lost[a][:, :-4]].mean() for a, b in pairwise(gone) if b == a + 1
    ]
    assert len(gone) >= 3
    assert max(together) > 0.99


@pytest.mark.parametrize(("kind", "strength"), [("blurred", 0.1), ("lost", 1.5), ("dilated", -0.1), ("shifted", 3.0)])
def test_unknown_damage_is_refused(kind: str, strength: float) -> None:
    with pytest.raises(ValueError, match=r"; it must .*; "):
        Corruption(kind, strength)


def test_names_are_those_of_files() -> None:
    names = [what.name for what in standard()]
    assert len(set(names)) == len(names) == 16
    assert names[0] == "dilated-0.025"


def test_another_object_is_taken_in_beside_the_object_as_large_as_asked() -> None:
    visible = np.zeros((3, 60, 120), bool)
    visible[0, 20:40, 10:30] = visible[2, 22:42, 14:34] = True
    joined = corrupt(visible, Corruption("joined", 1.0), 0)
    assert not (visible & ~joined).any()
    assert not joined[1].any()
    areas = joined.sum(axis=(1, 2)) / np.maximum(visible.sum(axis=(1, 2)), 1)
    assert 1.7 < areas[0] <= 2
    assert areas[0] == areas[2]
    # On the side where there is room, and on the same ground.
    assert joined[0, 20:40, 30:45].all()
    assert not joined[0, 40:].any()
    half = corrupt(visible, Corruption("joined", 0.25), 0).sum() - visible.sum()
    assert 0.15 < half / visible.sum() < 0.3
