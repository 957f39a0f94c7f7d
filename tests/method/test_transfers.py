"""What leaves the device: with a GPU, each of these is a copy across the bus, and a wait for it."""

from __future__ import annotations

import sys
from collections import Counter

import pytest
from torch import Tensor

from voin.jobs.speed import BenchConfig, synthetic_frames
from voin.method.load import load
from voin.method.window import cut_clip

# OpenCV does the work there (DIS; distances; matching; Telea), or lists of found pixels and native windows, which are
# the CPU's from there on: docs/results.md has how much of each.
ON_THE_CPU = {
    *("voin.method.motion", "voin.method.affine", "voin.method.gaps", "voin.method.fill.inpaint"),
    *("voin.method.propagation.propagate", "voin.method.propagation.tracks", "voin.method.propagation.matches"),
    *("voin.method.propagation.blend", "voin.method.paste", "voin.method.pipeline"),
}


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Numbers that are asked for on the CPU, by the module that asks."""
    found, plain = Counter(), Tensor.cpu

    def cpu(tensor: Tensor) -> Tensor:
        frame = sys._getframe(1)
        while not frame.f_globals["__name__"].startswith("voin"):
            assert frame.f_back is not None
            frame = frame.f_back
        found[frame.f_globals["__name__"]] += tensor.numel()
        return plain(tensor)

    monkeypatch.setattr(Tensor, "cpu", cpu)
    return found


def test_pixels_leave_the_device_only_where_the_cpu_does_the_work(moved: Counter[str]) -> None:
    frames, visible = zip(*synthetic_frames(BenchConfig(size=(96, 128), frames=38)), strict=True)
    clip = cut_clip(frames[30:], visible[30:])
    boxes = load("classical", device="cpu").complete_object(clip, range(len(clip)))
    assert any(box.occluded.any() for box in boxes)
    pixels = len(clip) * 256 * 256
    assert {module for module, count in moved.items() if count > 0.01 * pixels} <= ON_THE_CPU
    # Grey pictures go to DIS, once for shape and once painted over, and nothing else of motion.
    assert moved["voin.method.motion"] <= 3 * pixels
    # The frames, and the masks of what is visible and whole: not a copy for each stage and each direction.
    assert sum(moved.values()) < 60 * pixels
