from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from voin.training.batch.camera import CAMERA_NUMBERS, CameraConfig, compress, go_through_camera

NOTHING = CameraConfig(clips=1.0, gamma=0.0, blur=0.0, noise=0.0)


def clips(b: int = 2) -> torch.Tensor:
    """Smooth pictures with a sharp square."""
    lines = torch.linspace(0, 1, 64)
    pictures = (0.2 + 0.5 * lines[:, None] * lines).expand(b, 4, 3, 64, 64).clone()
    pictures[..., 20:40, 20:40] = 0.9
    return pictures


def drawn(*numbers: float, b: int = 2) -> torch.Tensor:
    """Chosen, gamma twice, blur twice, noise twice, codec twice."""
    assert len(numbers) == CAMERA_NUMBERS
    return torch.tensor([numbers] * b, dtype=torch.float64)


def test_clips_that_are_not_drawn_keep_their_bits() -> None:
    frames = clips()
    numbers = drawn(0, *[0.4] * 8)
    numbers[1, 0] = 0.9
    seen, truth = go_through_camera(frames, frames, numbers, CameraConfig(clips=0.5), [1, 2])
    for result in (seen, truth):
        assert torch.equal(result[1], frames[1])
        assert not torch.equal(result[0], frames[0])


def test_gamma_and_blur_change_the_truth_and_noise_does_not() -> None:
    frames = clips()
    config = replace(NOTHING, gamma=0.3, blur=1.0)
    seen, truth = go_through_camera(frames, frames, drawn(0, 0.1, 0.9, 0.1, 0.9, 0.9, 0, 0.9, 0), config, [1, 2])
    assert torch.equal(seen, truth)
    assert not torch.equal(truth, frames)
    config = replace(NOTHING, noise=0.03)
    seen, truth = go_through_camera(frames, frames, drawn(0, 0.9, 0, 0.9, 0, 0.1, 1, 0.9, 0), config, [1, 2])
    torch.testing.assert_close(truth, frames)
    assert 0.02 < (seen - frames).std() < 0.04
    assert not torch.equal((seen - frames)[0], (seen - frames)[1])
    again, _ = go_through_camera(frames[:1], frames[:1], drawn(0, 0.9, 0, 0.9, 0, 0.1, 1, 0.9, 0, b=1), config, [1])
    assert torch.equal(again[0], seen[0]), "a clip depends on its own seed alone"


def test_compression_leaves_traces_near_edges_and_more_at_worse_quality() -> None:
    frames = clips()
    wrong = []
    for quality in (23, 38):
        config = replace(NOTHING, quality=(quality, quality))
        seen, truth = go_through_camera(frames, frames, drawn(0, 0.9, 0, 0.9, 0, 0.9, 0, 0.1, 0.5), config, [1, 2])
        torch.testing.assert_close(truth, frames)
        wrong.append(float((seen - frames).abs().mean()))
    assert 0.0005 < wrong[0] < wrong[1] < 0.05


def test_compressing_twice_gives_the_same_bytes() -> None:
    pictures = (clips(1)[0] * 255).byte().permute(0, 2, 3, 1).numpy()
    one, other = (compress(np.ascontiguousarray(pictures), 30) for _ in range(2))
    assert one.shape == pictures.shape
    assert np.array_equal(one, other)


def test_a_span_of_quality_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"quality is \(40, 20\)"):
        CameraConfig(quality=(40, 20))
