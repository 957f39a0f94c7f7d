from __future__ import annotations

import pytest
import torch

from fakes.tiny_baselines import holes
from voin.baselines.trained.deepfill import PAPER, SMALL, Deepfill, DeepfillConfig, _fuse, contextual_attention

TINY = DeepfillConfig(channels=2)


def test_each_frame_is_filled_by_itself_and_the_hole_is_not_looked_at() -> None:
    frames, visible, hole = holes(t=3, b=2)
    network = Deepfill(TINY)
    made = network(frames, visible, hole)
    assert made.shape == frames.shape
    assert torch.equal(made, network(torch.where(hole > 0, 1 - frames, frames), visible, hole))
    assert not torch.equal(made, network(frames, 0 * visible, hole))
    other = frames.clone()
    other[:, 1] = 1 - other[:, 1]
    change = (network(other, visible, hole) - made).abs().flatten(2).amax(dim=2)
    assert (change[:, 1] > 0).all()
    assert not change[:, [0, 2]].any()


@pytest.mark.parametrize(("size", "name"), [((36, 48), "height of 36"), ((32, 44), "width of 44")])
def test_sizes_that_cells_do_not_divide_are_refused(size: tuple[int, int], name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} pixels; it must be a multiple of 8; pad or crop"):
        Deepfill(TINY)(*holes(size=size))


def test_attention_borrows_what_looks_alike_and_never_from_the_hole() -> None:
    # Two columns of stripes that differ; the hole lies in a stripe that is seen elsewhere, too.
    features = torch.zeros(1, 8, 16, 16)
    features[:, :4, :, :8], features[:, 4:, :, 8:] = 1.0, 1.0
    features += 0.01 * torch.rand_like(features)
    hole = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    hole[..., 6:9, 1:4] = True
    borrowed = contextual_attention(features, hole)
    inside = hole.expand_as(features)[:, :4]
    assert (borrowed[:, :4][inside] - features[:, :4][inside]).abs().mean() < 0.05
    # What stands deep in a hole is borrowed by nobody: only its own queries change.
    wide = torch.zeros_like(hole)
    wide[..., 4:14, 4:14] = True
    other = features.clone()
    other[..., 8:10, 8:10] = 50.0
    far = (slice(None), slice(None), slice(0, 4))
    assert (contextual_attention(other, wide)[far] - contextual_attention(features, wide)[far]).abs().max() < 5.0
    assert contextual_attention(other, wide).max() < 5.0
    everything = torch.ones_like(hole)
    assert torch.isfinite(contextual_attention(features, everything)).all()


def test_fusion_adds_the_matches_of_neighbours() -> None:
    h, w = 3, 4
    scores = torch.rand(1, h * w, h * w)
    fused = _fuse(scores, h, w)

    def at(s, y, x, v, u):
        return s[0, y * w + x, v * w + u].item()

    # In the middle of the grid: the sum over three rows and three columns, in the order in which they are laid out.
    expected = sum(at(scores, 1 + j, 1 + i, 1 + j, 2 + i) for i in (-1, 0, 1) for j in (-1, 0, 1))
    assert at(fused, 1, 1, 1, 2) == pytest.approx(expected, rel=1e-5)


def test_sizes_are_as_published_but_for_the_visible_mask() -> None:
    assert sum(weight.numel() for weight in Deepfill(PAPER).parameters()) == pytest.approx(15.7e6, rel=0.02)
    assert sum(weight.numel() for weight in Deepfill(SMALL).parameters()) == pytest.approx(1.76e6, rel=0.03)
