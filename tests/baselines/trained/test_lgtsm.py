from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from fakes.tiny_baselines import holes
from fakes.tiny_training import TINY as TRAINING
from voin.baselines.trained.lgtsm import PAPER, SMALL, Lgtsm, LgtsmConfig, LgtsmPainting
from voin.core.config import edit
from voin.method.fill.lgtsm import LearnedShift
from voin.training.tasks.colours import LgtsmTask, gram

TINY = LgtsmConfig(channels=4, dilations=(2,))


def test_kernels_start_out_as_shifts_of_a_quarter_each_way() -> None:
    x = torch.rand(2, 5, 8, 3, 4)
    moved = LearnedShift(8)(x)
    assert torch.equal(moved[:, :-1, :2], x[:, 1:, :2])
    assert torch.equal(moved[:, 1:, 2:4], x[:, :-1, 2:4])
    assert torch.equal(moved[:, :, 4:], x[:, :, 4:])
    assert not moved[:, -1, :2].any()
    assert not moved[:, 0, 2:4].any()


def test_kernels_filter_in_time_as_a_convolution_does() -> None:
    shift, x = LearnedShift(4), torch.rand(1, 6, 4, 1, 1)
    torch.nn.init.normal_(shift.kernels)
    for group in range(2):
        expected = F.conv1d(x[0, :, group, 0, 0][None, None], shift.kernels[group].view(1, 1, 3), padding=1)[0, 0]
        assert torch.allclose(shift(x)[0, :, group, 0, 0], expected)


@pytest.mark.parametrize(("size", "name"), [((30, 48), "height of 30"), ((32, 46), "width of 46")])
def test_sizes_that_cells_do_not_divide_are_refused(size: tuple[int, int], name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} pixels; it must be a multiple of 4; pad or crop"):
        Lgtsm(TINY)(*holes(size=size))


def test_the_hole_is_not_looked_at_and_the_visible_mask_is_told() -> None:
    frames, visible, hole = holes(b=2)
    network = Lgtsm(TINY).eval()
    made = network(frames, visible, hole)
    assert made.shape == frames.shape
    assert torch.equal(made, network(torch.where(hole > 0, 1 - frames, frames), visible, hole))
    assert not torch.equal(made, network(torch.where(hole > 0, frames, 1 - frames), visible, hole))
    assert not torch.equal(made, network(frames, 0 * visible, hole))


def test_information_goes_one_frame_a_layer_and_no_farther() -> None:
    frames, visible, hole = holes(t=19)
    network = Lgtsm(LgtsmConfig(channels=4, dilations=(1,), normed=False)).eval()
    reach = sum(isinstance(layer, LearnedShift) for layer in network.modules())
    still = torch.zeros(2, 3)
    other = frames.clone()
    other[:, 0] = 1 - other[:, 0]
    change = (network(other, visible, hole) - network(frames, visible, hole)).abs().flatten(2).amax(dim=2)[0]
    assert (change > 0).nonzero()[-1] > 3
    assert not change[reach + 1 :].any()
    for layer in network.modules():
        if isinstance(layer, LearnedShift):
            layer.kernels.data.copy_(still)
    change = (network(other, visible, hole) - network(frames, visible, hole)).abs().flatten(2).amax(dim=2)[0]
    assert (change > 0).nonzero()[:, 0].tolist() == [0]


def test_long_clips_go_in_groups_and_shared_frames_are_the_mean() -> None:
    frames, visible, hole = holes(t=50, size=(4, 4))
    seen = []

    def network(frames, visible, hole):
        seen.append(frames.shape[1])
        return torch.full_like(frames, len(seen))

    made = LgtsmPainting(network).generate(frames, visible, hole, torch.ones(50, dtype=torch.bool))  # pyright: ignore
    assert seen == [32, 32]
    assert made[0, :, 0, 0, 0].tolist() == [1.0] * 18 + [1.5] * 14 + [2.0] * 18


def test_size_is_as_published_but_for_the_norm_of_layers() -> None:
    assert sum(weight.numel() for weight in Lgtsm(PAPER).parameters()) == pytest.approx(12.1e6, rel=0.02)
    assert sum(weight.numel() for weight in Lgtsm(SMALL).parameters()) == pytest.approx(0.76e6, rel=0.02)


def test_features_and_styles_are_compared_where_they_count() -> None:
    frames, visible, hole = holes(t=2)
    layers = SimpleNamespace(features=lambda pictures: [pictures, pictures[..., ::2, ::2].square()])
    x = {"frames": frames, "truth": frames, "visible": visible, "hole": hole, "whole": torch.ones_like(hole)}
    estimators = SimpleNamespace(perceptual=layers)
    with_features, without = LgtsmTask(edit(TRAINING, ["loss.perceptual=0.5"])), LgtsmTask(TRAINING)
    with_features.estimators = without.estimators = estimators  # pyright: ignore
    assert with_features(x)[0].keys() == {"whole", "features", "style"}
    assert without(x)[0].keys() == {"whole"}
    assert with_features.weights() == {"whole": 1.0, "features": 0.5, "style": 5.0, "patch": 0.5}
    terms = with_features.terms({"made": frames, "shown": frames}, x)
    assert not any(value.any() for value in terms.values())


def test_style_forgets_places() -> None:
    features = torch.rand(1, 3, 4, 5)
    shuffled = features.flatten(2)[..., torch.randperm(20)].view_as(features)
    assert torch.allclose(gram(features), gram(shuffled))
    assert gram(features)[0, 1, 2].item() == pytest.approx((features[0, 1] * features[0, 2]).mean().item() / 3)
