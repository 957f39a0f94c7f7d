from __future__ import annotations

import numpy as np

from scenes.mask_clips import iou, texture
from voin.tracking.flow_link import Link, LinkConfig, signed_distance

SHEET = texture(4, (96, 160), 40, 250, (1.0, 0.9, 0.8))
MASK = np.zeros((80, 120), bool)
MASK[25:55, 30:70] = True


def test_nothing_moves_between_equal_pictures() -> None:
    link = Link.between(SHEET, SHEET)
    assert np.abs(link.forward).max() < 0.1
    assert link.error.max() < 0.2


def test_a_mask_is_carried_by_whole_pixels() -> None:
    link = Link.between(SHEET[:80, 10:130], SHEET[:80, 5:125])  # everything moves 5 pixels to the right
    distance, odds = link.carry(MASK, LinkConfig())
    moved = np.roll(MASK, 5, axis=1)
    assert iou(distance > 0, moved) > 0.95
    assert iou(odds > 0, moved) > 0.95
    assert iou(link.push(MASK) > 0.5, moved) > 0.95


def test_the_signed_distance_counts_pixels_to_the_outline() -> None:
    distance = signed_distance(MASK)
    assert np.array_equal(distance > 0, MASK)
    assert distance[40, 32] == 3
    assert distance[40, 27] == -3


def test_where_the_check_fails_the_object_is_doubted() -> None:
    still = np.zeros((80, 120, 2), np.float32)
    link = Link(still, still, np.zeros((80, 120), np.float32))
    broken = Link(still, still, np.full((80, 120), 6.0, np.float32))
    (_, sure), (_, doubted) = (each.carry(MASK, LinkConfig()) for each in (link, broken))
    assert (doubted[MASK] < sure[MASK]).all()
    assert (doubted < sure)[25:28, 30:70].all()
