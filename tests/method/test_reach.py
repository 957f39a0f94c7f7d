from __future__ import annotations

import pytest

from voin.method.reach import Reach, pairs_of

LENGTHS = (1, 2, 7, 8, 9, 40, 41, 56, 57, 100, 137)


@pytest.mark.parametrize("context", [0, 1, 4, 13, 32])
@pytest.mark.parametrize("length", LENGTHS)
def test_each_frame_and_each_pair_is_of_one_step(context: int, length: int) -> None:
    reach = Reach(context)
    steps = reach.steps(range(length))
    assert [i for step in steps for i in reach.shape_of(step, length)] == [*range(length)]
    assert [i for step in steps for i in reach.flow_of(step, length)] == [*pairs_of(range(length))]


@pytest.mark.parametrize("context", [0, 1, 4, 13, 32])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_step_looks_at_nothing_that_it_cannot_know(context: int, length: int) -> None:
    reach = Reach(context)
    for near in (range(first, min(first + 2 * context + 5, length)) for first in range(length)):
        steps = reach.steps(near)
        begin, end = reach.first_needed(near.start), reach.last_needed(near.stop, length)
        assert begin <= near.start < near.stop <= end <= length
        known = range(0)
        for step in range(max(steps.start - 1, 0), steps.stop):
            part = reach.shape_of(step, length)
            around = reach.around(part, length)
            assert begin <= around.start
            assert around.stop <= end
            known = range(known.start if known else part.start, part.stop)
            if step in steps and (pairs := reach.flow_of(step, length)):
                looked_at = reach.around(pairs, length)
                assert known.start <= looked_at.start
                assert pairs.stop < looked_at.stop <= known.stop
        assert known.start <= near.start
        assert near.stop <= known.stop


def test_a_first_part_of_a_quarter_of_the_context_needs_one_step() -> None:
    reach = Reach(32)
    assert reach.steps(range(8 + 32)) == range(1)
    assert reach.last_needed(8 + 32, 1000) == 72
