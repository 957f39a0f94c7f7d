from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from scenes.sliding_square import waves
from voin.method.motion import DIS, RAFT, Motion, load_motion


def shifting(dx: float, dy: float, t: int = 2, size: int = 64) -> Tensor:
    """Render a texture that moves by (dx, dy) a frame, (1, t, 3, size, size)."""
    colours = waves(3, 8.0, 30.0)
    y, x = np.mgrid[0:size, 0:size].astype(float)
    pictures = np.stack([colours(x - dx * i, y - dy * i) for i in range(t)])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)[None]


def assert_shift(flow: Tensor, dx: float, dy: float) -> None:
    inner = flow[..., 12:-12, 12:-12]
    assert inner[:, :, 0].median().item() == pytest.approx(dx, abs=0.15)
    assert inner[:, :, 1].median().item() == pytest.approx(dy, abs=0.15)


@pytest.mark.parametrize("finest", [0, 1])
def test_flow_points_where_the_texture_goes(finest: int) -> None:
    forward, backward = DIS(finest)(shifting(2.5, -1.5))
    assert_shift(forward, 2.5, -1.5)
    assert_shift(backward, -2.5, 1.5)


def test_clips_and_frames_keep_their_order() -> None:
    frames = torch.cat([shifting(2.0, 0.0, t=3), shifting(0.0, -3.0, t=3)])
    frames[0, 2] = frames[0, 1]
    forward, backward = DIS()(frames)
    assert forward.shape == backward.shape == (2, 2, 2, 64, 64)
    assert_shift(forward[:1, :1], 2.0, 0.0)
    assert_shift(forward[:1, 1:], 0.0, 0.0)
    assert_shift(forward[1:], 0.0, -3.0)


def test_one_frame_has_no_pairs() -> None:
    forward, backward = DIS()(shifting(0.0, 0.0, t=1))
    assert forward.shape == backward.shape == (1, 0, 2, 64, 64)


def test_an_unknown_estimator_is_refused() -> None:
    assert isinstance(load_motion("dis"), Motion)
    with pytest.raises(ValueError, match="dis, raft-small or raft-large"):
        load_motion("flownet")
    with pytest.raises(ValueError, match="small or large"):
        RAFT("huge")


def test_raft_has_the_same_signature_and_refuses_small_frames(raft_small: Path) -> None:
    pytest.importorskip("torchvision")
    raft = RAFT("small", raft_small)
    forward, backward = raft(shifting(2.0, -1.0, size=132))
    assert forward.shape == backward.shape == (1, 1, 2, 132, 132)
    inner = forward[..., 30:-30, 30:-30]
    assert inner[:, :, 0].median().item() == pytest.approx(2.0, abs=0.5)
    assert raft(torch.zeros(1, 1, 3, 128, 128))[0].shape == (1, 0, 2, 128, 128)
    for size in ((127, 128), (128, 127)):
        with pytest.raises(ValueError, match="at least 128x128"):
            raft(torch.zeros(1, 2, 3, *size))


def test_enlarged_raft_gives_pixels_of_the_frames_it_was_given(raft_small: Path) -> None:
    pytest.importorskip("torchvision")
    forward, backward = RAFT("small", raft_small, enlarge=2)(shifting(2.0, -1.0, size=70))
    assert forward.shape == backward.shape == (1, 1, 2, 70, 70)
    for flow, sign in ((forward, 1), (backward, -1)):
        inner = flow[..., 20:-20, 20:-20]
        assert inner[:, :, 0].median().item() == pytest.approx(2.0 * sign, abs=0.3)
        assert inner[:, :, 1].median().item() == pytest.approx(-1.0 * sign, abs=0.3)


def test_raft_refuses_files_that_are_not_its_weights(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    with pytest.raises(OSError, match="is no file"):
        RAFT("small", tmp_path / "absent.pt")
    (tmp_path / "noise.pt").write_bytes(b"noise")
    with pytest.raises(OSError, match="cannot be read"):
        RAFT("small", tmp_path / "noise.pt")
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="does not fit raft_small"):
        RAFT("small", tmp_path / "other.pt")


def test_raft_does_pairs_one_after_the_other(raft_small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # All pairs of a chunk at once took 20 GB.
    pytest.importorskip("torchvision")
    raft, sizes = RAFT("small", raft_small), []
    network = raft.network
    monkeypatch.setattr(raft, "network", lambda one, other: sizes.append(len(one)) or network(one, other))
    frames = torch.cat([shifting(2.0, -1.0, size=128), shifting(-1.0, 0.0, size=128)])
    frames = torch.cat([frames, frames[:, :1]], dim=1)
    together = raft(frames)
    assert sizes == [2] * 4
    for b in range(2):
        for flow, alone in zip(together, raft(frames[b : b + 1]), strict=True):
            torch.testing.assert_close(flow[b : b + 1], alone)
