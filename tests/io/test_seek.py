from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scenes.video_clips import COUNT, encode, pictures
from voin.io.seek import FrameBlocks
from voin.io.video import probe, read


@pytest.mark.parametrize("order", [range(COUNT), range(COUNT - 1, -1, -1), [5, 0, 11, 6, 5, 1]])
def test_frames_come_in_any_order(order: range | list[int], tmp_path: Path) -> None:
    info = probe(encode(tmp_path / "clip.mp4", pictures()))
    frames, truth = FrameBlocks(info, 0, COUNT), list(read(info))
    frames.length = 3
    assert all(np.array_equal(frames[number], truth[number]) for number in order)
    assert len(frames._blocks) <= 2


def test_blocks_shrink_as_frames_grow(folder: Path) -> None:
    info = probe(folder)
    small = FrameBlocks(info, 0, info.count)
    large = FrameBlocks(type(info)(**{**info.__dict__, "size": (2160, 3840)}), 0, info.count)
    assert small.length > 8 * large.length
    assert large.length * 2160 * 3840 * 3 * 2 < 110 * 2**20
