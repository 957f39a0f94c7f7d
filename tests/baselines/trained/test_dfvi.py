from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fakes.tiny_baselines import holes
from voin.baselines.trained.dfvi import PAPER, SMALL, Dfvi, DfviConfig, FlowCompletion, hole_errors
from voin.baselines.trained.rounds import ends_of_stretches, fill_smoothly

TINY = DfviConfig(stem=4, channels=(4, 4, 4, 4), blocks=(1, 1, 1, 1), head=(4, 4), frames=3)


def flows(t: int = 9) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random flow both ways, visible, hole."""
    _, visible, hole = holes(t)
    return torch.randn(1, t - 1, 2, 32, 48), torch.randn(1, t - 1, 2, 32, 48), visible, hole


def lively(config: DfviConfig = TINY) -> Dfvi:
    """An untrained network whose residual branches say something."""
    network = Dfvi(config)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return network


@pytest.mark.parametrize("shared", [True, False])
def test_flow_changes_in_the_hole_alone_and_both_ways(shared: bool) -> None:
    forward, backward, visible, hole = flows()
    found = lively(replace(TINY, shared=shared))(forward, backward, visible, hole)
    assert len(found) == 3
    for first, second in found:
        for flow, start, given in ((first, hole[:, :-1], forward), (second, hole[:, 1:], backward)):
            inside = (start > 0.5).expand_as(flow)
            assert torch.equal(flow[~inside], given[~inside])
            assert not torch.equal(flow[inside], given[inside])


def test_as_many_frames_are_looked_at_as_the_config_says() -> None:
    forward, backward, visible, hole = flows()
    network = lively()
    other = forward.clone()
    other[:, 0] += 1
    change = [
        (one[0] - two[0]).abs().flatten(2).amax(dim=2)[0] > 0
        for one, two in zip(
            network(forward, backward, visible, hole), network(other, backward, visible, hole), strict=True
        )
    ]
    # One frame to each side in every network of the row.
    for i, changed in enumerate(change):
        assert changed[: i + 2].all()
        assert not changed[i + 2 :].any()


def test_the_visible_mask_is_told() -> None:
    forward, backward, visible, hole = flows()
    network = lively()
    one, other = (network(forward, backward, mask, hole)[-1][0] for mask in (visible, 0 * visible))
    assert not torch.equal(one, other)


def test_sizes_that_cells_do_not_divide_are_taken() -> None:
    forward, backward, visible, hole = (x[..., :30, :45] for x in flows())
    assert lively()(forward, backward, visible, hole)[-1][1].shape == backward.shape


def test_smooth_filling_is_laplaces() -> None:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(48.0), indexing="ij")
    flow = torch.stack([0.1 * x + 0.02 * y, x * y / 300]).expand(1, 2, 2, 32, 48)  # harmonic
    hole = torch.zeros(1, 2, 1, 32, 48)
    hole[..., 10:20, 15:33] = 1
    filled = fill_smoothly(flow + 9 * hole, hole)
    assert torch.equal(filled[:, :, :, :9], flow[:, :, :, :9])
    assert (filled - flow).abs().max() < 0.08


def test_the_harder_half_counts_again() -> None:
    truth, region = torch.zeros(1, 1, 2, 2, 4), torch.zeros(1, 1, 1, 2, 4)
    region[..., 0, :] = 1
    flow = truth.clone()
    flow[..., 0, :] = torch.tensor([1.0, 2.0, 3.0, 6.0])
    flow[..., 1, :] = 100.0  # not in the region
    mean, hard = hole_errors(flow, truth, region)
    assert mean.item() == pytest.approx(3.0)
    assert hard.item() == pytest.approx(11 / 3)
    assert [x.item() for x in hole_errors(flow, truth, 0 * region)] == [0.0, 0.0]


def test_the_ends_of_each_stretch_are_found() -> None:
    missing = torch.zeros(9, 1, 4, 4, dtype=torch.bool)
    missing[[1, 2, 3, 6]] = True
    assert ends_of_stretches(missing) == [1, 3, 6]
    assert ends_of_stretches(missing & False) == []


def test_sizes_are_those_of_three_resnets_or_small() -> None:
    count = sum(weight.numel() for weight in FlowCompletion(SMALL, 20, 2).parameters())
    assert count == pytest.approx(1.25e6, rel=0.05)
    with torch.device("meta"):
        encoder = FlowCompletion(PAPER, 44, 2).encoder
        # ResNet-50's convolutions have 23.45 million weights; here they have biases, and more channels come in.
        assert sum(weight.numel() for weight in encoder.parameters()) == pytest.approx(23.6e6, rel=0.01)
        assert len(Dfvi(PAPER).refine) == 2


@pytest.mark.parametrize("changes", [{"frames": 4}, {"blocks": (1, 1)}, {"scales": (1.0,)}, {"scales": (0.5, 2.0)}])
def test_numbers_that_do_not_fit_are_refused(changes: dict) -> None:
    with pytest.raises(ValueError, match=r"; .*; "):
        replace(TINY, **changes)
