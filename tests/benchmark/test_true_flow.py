"""True flow is estimated once, and never taken for another clip's or another estimator's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from voin.benchmark.true_flow import TrueFlow
from voin.core.types import Flows, Frames
from voin.method.motion import DIS, RAFT


class Counted:
    """A motion that gives the mean colour as flow, and counts the pairs it was asked for."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale, self.pairs = scale, []

    def __call__(self, frames: Frames) -> tuple[Flows, Flows]:
        self.pairs.append(tuple(frames.shape))
        b, t, _, h, w = frames.shape
        flow = frames.mean(dim=2, keepdim=True)[:, : t - 1].expand(b, t - 1, 2, h, w) * self.scale
        return flow, -flow


class Plain(DIS):
    """An estimator whose name stays the same while it counts: no attributes but DIS's own."""

    calls = 0

    def __call__(self, frames: Frames) -> tuple[Flows, Flows]:
        Plain.calls += 1
        return super().__call__(frames)


def clip(seed: int = 0, count: int = 4, h: int = 48, w: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, h, w, 3), dtype=np.uint8)


def test_flow_is_what_the_estimator_gives_rounded_to_fp16(tmp_path: Path) -> None:
    frames = clip()
    forward, backward = TrueFlow(tmp_path, DIS())(frames)
    tensor = torch.from_numpy(frames).permute(0, 3, 1, 2)[None].float() / 255
    for flow, expected in zip((forward, backward), DIS()(tensor), strict=True):
        assert flow.dtype == np.float16
        assert np.array_equal(flow, expected[0].numpy().astype(np.float16))


def test_known_flow_is_not_estimated_again(tmp_path: Path) -> None:
    Plain.calls = 0
    first = TrueFlow(tmp_path, Plain())(clip())
    assert Plain.calls == 3
    again = TrueFlow(tmp_path, Plain())(clip())
    assert Plain.calls == 3
    assert np.array_equal(first, again)


def test_estimation_goes_pair_by_pair(tmp_path: Path) -> None:
    motion = Counted()
    TrueFlow(tmp_path, motion)(clip(count=6))
    assert motion.pairs == [(1, 2, 3, 48, 64)] * 5


@pytest.mark.parametrize("change", ["pixel", "length", "shape", "estimator"])
def test_anything_else_has_a_file_of_its_own(tmp_path: Path, change: str) -> None:
    frames = clip()
    path = TrueFlow(tmp_path, DIS()).path_of(frames)
    assert TrueFlow(tmp_path, DIS()).path_of(frames.copy()) == path
    other, motion = frames.copy(), DIS()
    if change == "pixel":
        other[3, 40, 60, 2] ^= 1
    elif change == "length":
        other = other[:-1]
    elif change == "shape":
        other = other.reshape(4, 64, 48, 3)
    else:
        motion = DIS(finest=0)
    assert TrueFlow(tmp_path, motion).path_of(other) != path


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "other"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: str) -> None:
    flow = TrueFlow(tmp_path, DIS())
    first = [x.copy() for x in flow(clip())]
    path = flow.path_of(clip())
    data = path.read_bytes()
    np.save(tmp_path / "other.npy", np.zeros((1, 2, 2, 48, 64), np.float16))
    other = (tmp_path / "other.npy").read_bytes()
    path.write_bytes({"other": other, "cut": data[: len(data) // 2], "text": b"text", "empty": b""}[damage])
    assert np.array_equal(flow(clip()), first)
    assert path.read_bytes() == data


def test_a_stop_leaves_no_file(tmp_path: Path) -> None:
    class Stopped(Counted):
        def __call__(self, frames: Frames) -> tuple[Flows, Flows]:
            if len(self.pairs) == 2:
                raise KeyboardInterrupt
            return super().__call__(frames)

    with pytest.raises(KeyboardInterrupt):
        TrueFlow(tmp_path, Stopped())(clip())
    assert list(tmp_path.iterdir()) == []


def test_one_frame_has_no_flow_and_no_file(tmp_path: Path) -> None:
    forward, backward = TrueFlow(tmp_path / "none", DIS())(clip(count=1))
    assert forward.shape == backward.shape == (0, 2, 48, 64)
    assert not (tmp_path / "none").exists()


def test_raft_is_named_by_its_weights(tmp_path: Path, raft_small: Path) -> None:
    pytest.importorskip("torchvision")
    name = TrueFlow(tmp_path, RAFT("small", raft_small)).name
    assert name.startswith("raft-small ")
    state = torch.load(raft_small, weights_only=True)
    key = next(key for key, value in state.items() if value.is_floating_point())
    state[key] = state[key] * 2
    torch.save(state, tmp_path / "other.pt")
    assert TrueFlow(tmp_path, RAFT("small", tmp_path / "other.pt")).name != name


def test_raft_follows_a_picture_that_moves(tmp_path: Path, raft_small: Path) -> None:
    pytest.importorskip("torchvision")
    cv2 = pytest.importorskip("cv2")
    wide = cv2.resize(clip(count=1, h=32, w=40)[0], (166, 128), interpolation=cv2.INTER_CUBIC)
    frames = np.stack([wide[:, 6:], wide[:, :-6]])
    forward, backward = TrueFlow(tmp_path, RAFT("small", raft_small))(frames)
    for flow, dx in ((forward, 6), (backward, -6)):
        assert np.median(flow[0, 0]) == pytest.approx(dx, abs=1)
        assert np.median(flow[0, 1]) == pytest.approx(0, abs=1)
