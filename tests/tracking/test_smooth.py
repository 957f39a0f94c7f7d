from __future__ import annotations

import numpy as np

from voin.tracking.smooth import smooth_evidence

PICTURE = np.full((40, 60, 3), 90, np.uint8)
PICTURE[:, 30:] = (200, 60, 60)


def test_a_lone_pixel_follows_its_neighbours() -> None:
    evidence = np.where(np.arange(60) < 30, -1.0, 1.0)[None].repeat(40, axis=0).astype(np.float32)
    truth = evidence > 0
    evidence[10, 10], evidence[20, 45] = 1.0, -1.0
    assert np.array_equal(smooth_evidence(evidence, PICTURE) > 0, truth)


def test_votes_stop_at_edges() -> None:
    evidence = np.zeros((40, 60), np.float32)
    evidence[:, :30] = 0.3
    evidence[:, 30:] = -0.3
    evidence[:, 28:32] = 0
    result = smooth_evidence(evidence, PICTURE)
    assert (result[5:35, 28:30] > 0).all()
    assert (result[5:35, 30:32] < 0).all()


def test_nothing_known_stays_nothing() -> None:
    assert not smooth_evidence(np.zeros((40, 60), np.float32), PICTURE).any()
