"""Poisson's equation on a picture: values of which the differences between neighbours are given, by least squares.

They are known outside a hole. With differences of 0 it is Laplace's equation.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

Picture = Float[np.ndarray, "h w c"]
Mask = Bool[np.ndarray, "h w"]


def solve_poisson(
    values: Picture,
    hole: Mask,
    right: Picture,
    down: Picture,
    weight_right: Float[np.ndarray, "h w"],
    weight_down: Float[np.ndarray, "h w"],
    hold: float = 1e-4,
) -> Picture:
    """Find the values in a hole whose differences come nearest to the given ones.

    Args:
        values: known outside the hole; inside, what the result is held to, very loosely.
        hole: what is to be found.
        right: of each pixel, the value of its right neighbour less its own; the last column does not count.
        down: likewise of its lower neighbour; the last row does not count.
        weight_right: how much each of the differences counts, >= 0.
        weight_down: likewise.
        hold: weight of `values` inside the hole, so that what no difference joins to anything has a value, too.
    """
    import scipy.sparse  # with much memory, which every run would take
    from scipy.sparse.linalg import splu

    number = np.full(hole.shape, -1)
    count = int(hole.sum())
    if count == 0:
        return values.copy()
    number[hole] = np.arange(count)
    rows, columns, entries, targets = [], [], [], []
    total = 0
    for step, differences, weights in (((0, 1), right, weight_right), ((1, 0), down, weight_down)):
        y, x = np.nonzero(hole | _moved(hole, step))
        inside = (y + step[0] < hole.shape[0]) & (x + step[1] < hole.shape[1])
        y, x = y[inside], x[inside]
        # One equation a pair: (value there - value here) = difference; what is known goes to the right side.
        root = np.sqrt(weights[y, x])
        target = differences[y, x].astype(np.float64)
        equation = total + np.arange(len(y))
        total += len(y)
        for (row, column), sign in (((y + step[0], x + step[1]), 1.0), ((y, x), -1.0)):
            unknown = hole[row, column]
            rows.append(equation[unknown])
            columns.append(number[row, column][unknown])
            entries.append(sign * root[unknown])
            target[~unknown] -= sign * values[row, column][~unknown]
        targets.append(root[:, None] * target)
    matrix = scipy.sparse.csr_matrix(
        (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))), shape=(total, count)
    )
    normal = (matrix.T @ matrix + hold * scipy.sparse.identity(count)).tocsc()
    side = matrix.T @ np.concatenate(targets) + hold * values[hole]
    result = values.copy()
    result[hole] = splu(normal).solve(side)
    return result


def _moved(mask: Mask, step: tuple[int, int]) -> Mask:
    """Return the pixels whose neighbour by `step` is in the mask."""
    moved = np.zeros_like(mask)
    moved[: mask.shape[0] - step[0], : mask.shape[1] - step[1]] = mask[step[0] :, step[1] :]
    return moved
