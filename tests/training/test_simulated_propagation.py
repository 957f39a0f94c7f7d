from __future__ import annotations

import pytest
import torch
from torch import Tensor

from voin.training.simulated_propagation import SimulatedPropagationConfig, simulate_propagation

EVERYTHING = SimulatedPropagationConfig(none=0.0, long=1.0, lost=0.0)


def clips(b: int = 3, t: int = 5, size: int = 48) -> tuple[Tensor, ...]:
    """Frames, truth, visible and amodal: a square of which a bar that moves from left to right hides a part."""
    truth = torch.rand(b, t, 3, size, size, generator=torch.Generator().manual_seed(1))
    amodal, bar = torch.zeros(b, t, 1, size, size), torch.zeros(b, t, 1, size, size)
    amodal[..., 10:38, 10:38] = 1
    for i in range(t):
        bar[:, i, :, :, 8 + 3 * i : 20 + 3 * i] = 1
    return torch.where(bar > 0, 0.0, truth), truth, amodal * (1 - bar), amodal


def found_of(given: tuple[Tensor, ...], config: SimulatedPropagationConfig, seeds=(1, 2, 3)) -> tuple[Tensor, Tensor]:
    frames, truth, visible, amodal = given
    return simulate_propagation(frames, truth, visible, amodal, config, seeds)


def test_only_hidden_pixels_change_and_only_they_have_a_confidence() -> None:
    given = clips()
    frames, confidence = found_of(given, SimulatedPropagationConfig(none=0.0))
    hidden = (given[3] > 0) & (given[2] == 0)
    assert torch.equal(frames.where(~hidden, 0.0), given[0].where(~hidden, 0.0))
    assert confidence[~hidden].max() == 0
    assert confidence.max() <= 1
    assert (confidence[hidden] > 0).any()


def test_missing_pixels_stay_as_they_were() -> None:
    given = clips()
    frames, confidence = found_of(given, SimulatedPropagationConfig(lost=0.6, none=0.0))
    missing = (confidence == 0).expand_as(frames)
    assert torch.equal(frames[missing], given[0][missing])


def test_without_losses_all_is_found() -> None:
    given = clips()
    _, confidence = found_of(given, EVERYTHING)
    assert (confidence[(given[3] > 0) & (given[2] == 0)] > 0).all()


def test_in_some_clips_nothing_is_found() -> None:
    assert found_of(clips(), SimulatedPropagationConfig(none=1.0))[1].max() == 0


def test_what_is_found_is_the_truth_where_propagation_does_not_err() -> None:
    given = clips()
    frames, _ = found_of(given, SimulatedPropagationConfig(none=0.0, long=1.0, lost=0.0, offset=0.0, tone=0.0))
    hidden = ((given[3] > 0) & (given[2] == 0)).expand_as(frames)
    torch.testing.assert_close(frames[hidden], given[1][hidden], rtol=0, atol=1e-5)


def test_it_errs_more_where_it_is_less_sure() -> None:
    given = clips(b=8)
    config = SimulatedPropagationConfig(none=0.0, long=1.0, lost=0.0, offset=0.0, tone=0.2)
    frames, confidence = found_of(given, config, range(8))
    error = (frames - given[1]).abs().mean(dim=2, keepdim=True)
    sure, unsure = error[confidence > 0.7].mean(), error[(confidence > 0) & (confidence < 0.4)].mean()
    assert sure < 0.5 * unsure


def test_what_no_frame_shows_is_missing_in_short_clips() -> None:
    frames, truth, visible, amodal = clips()
    visible[..., 10:16, :] = 0  # a strip that is hidden in all frames
    _, confidence = found_of((frames, truth, visible, amodal), SimulatedPropagationConfig(none=0.0, long=0.0, lost=0.0))
    assert confidence[..., 10:16, :].max() == 0
    assert confidence.max() > 0


def test_a_clip_depends_on_its_own_seed_alone() -> None:
    given = clips()
    whole = found_of(given, SimulatedPropagationConfig())
    part = found_of(tuple(x[1:2] for x in given), SimulatedPropagationConfig(), [2])
    assert all(torch.equal(a[1:2], b) for a, b in zip(whole, part, strict=True))


@pytest.mark.parametrize("change", [{"lost": 1.5}, {"none": -0.1}, {"offset": -1.0}])
def test_impossible_settings_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="; "):
        SimulatedPropagationConfig(**change)  # pyright: ignore
