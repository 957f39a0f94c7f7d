from __future__ import annotations

import numpy as np
import pytest

from voin.baselines.trained.poisson import solve_poisson


def differences(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.roll(picture, -1, axis=1) - picture, np.roll(picture, -1, axis=0) - picture


def case(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Random values, hole, differences and weights."""
    generator = np.random.default_rng(seed)
    values, right, down = generator.normal(size=(3, 7, 9, 2))
    return values, generator.random((7, 9)) > 0.5, right, down, *generator.random((2, 7, 9))


def test_the_true_differences_give_the_true_picture() -> None:
    values, hole, *_ = case()
    ones = np.ones(hole.shape)
    wrong = np.where(hole[..., None], 7.0, values)
    found = solve_poisson(wrong, hole, *differences(values), ones, ones, hold=1e-9)
    assert np.allclose(found, values, atol=1e-5)
    assert np.array_equal(found[~hole], values[~hole])


def test_it_is_what_a_dense_least_squares_solver_finds() -> None:
    values, hole, right, down, weight_right, weight_down = case(1)
    hold = 0.01
    number = {place: i for i, place in enumerate(zip(*np.nonzero(hole), strict=True))}
    rows, targets = [], []
    for y in range(7):
        for x in range(9):
            for there, difference, weight in (((y, x + 1), right, weight_right), ((y + 1, x), down, weight_down)):
                if there[0] >= 7 or there[1] >= 9 or not (hole[y, x] or hole[there]):
                    continue
                row, target = np.zeros(len(number)), difference[y, x].copy()
                for place, sign in ((there, 1), ((y, x), -1)):
                    if hole[place]:
                        row[number[place]] = sign
                    else:
                        target -= sign * values[place]
                rows.append(np.sqrt(weight[y, x]) * row)
                targets.append(np.sqrt(weight[y, x]) * target)
    rows += [*(np.sqrt(hold) * np.eye(len(number)))]
    targets += [*(np.sqrt(hold) * values[hole])]
    expected = np.linalg.lstsq(np.array(rows), np.array(targets), rcond=None)[0]
    found = solve_poisson(values, hole, right, down, weight_right, weight_down, hold=hold)
    assert np.allclose(found[hole], expected, atol=1e-6)


@pytest.mark.parametrize("full", [True, False])
def test_a_hole_of_everything_or_nothing(full: bool) -> None:
    values, _, right, down, weight_right, weight_down = case()
    found = solve_poisson(values, np.full((7, 9), full), right, down, weight_right, weight_down)
    assert np.isfinite(found).all()
    assert full or np.array_equal(found, values)


def test_what_no_difference_joins_stays_at_its_value() -> None:
    values, hole, right, down, *_ = case()
    nothing = np.zeros(hole.shape)
    assert np.allclose(solve_poisson(values, hole, right, down, nothing, nothing), values)
