from __future__ import annotations

import pytest
import torch
from torch import Tensor

from scenes.hidden_clips import inpainter, scene
from voin.method.propagation import blend
from voin.method.propagation.blend import Band, calibrate, compare_bands, correct_shade, draw, rate, split_detail
from voin.method.propagation.tracks import Tracks

SIZE, REACH = 64, 32


def tracks(frames: int = 2, shift: tuple[float, float] = (0.0, 0.0), confidence: float = 1.0) -> Tracks:
    """The middle square of frame 0 is found in frame 1."""
    source = torch.full((1, SIZE, SIZE), -1, dtype=torch.int16)
    source[:, 24:40, 24:40] = frames - 1
    count = 16 * 16
    return Tracks(0, source, torch.tensor([shift]).repeat(count, 1), torch.full((count,), confidence))


def textured(count: int = 2) -> Tensor:
    smooth = torch.nn.functional.avg_pool2d(torch.rand(1, 3, SIZE + 2, SIZE + 2), 3, 1)
    return (0.3 + 0.4 * smooth).repeat(count, 1, 1, 1)


def seen() -> Tensor:
    """Everything is seen, but in frame 0 the middle square."""
    mask = torch.ones(2, SIZE, SIZE, dtype=torch.bool)
    mask[0, 24:40, 24:40] = False
    return mask


def band_of(frames: Tensor, found: Tracks, width: int = 3) -> Band:
    (band,) = compare_bands(frames, seen(), [found], width, 2.0)
    assert band is not None
    return band


def made_up(real: Tensor, predicted: Tensor, length: int) -> Band:
    where = torch.zeros(len(real), dtype=torch.long)
    return Band(where, where, where, where + length, torch.zeros_like(real), real, predicted)


# Shade and detail.


def test_shade_and_detail_add_up_where_something_is_seen() -> None:
    frames, mask = textured(), seen()
    shade, detail = split_detail(frames, mask, 2.0)
    assert torch.allclose((shade + detail)[mask[:, None].expand_as(frames)], frames[mask[:, None].expand_as(frames)])
    assert (detail[~mask[:, None].expand_as(frames)] == 0).all()


def test_what_is_not_seen_does_not_bleed_into_the_shade() -> None:
    frames, mask = textured(), seen()
    other = torch.where(mask[:, None], frames, torch.ones_like(frames))
    assert torch.equal(split_detail(frames, mask, 2.0)[0], split_detail(other, mask, 2.0)[0])


def test_a_flat_picture_has_no_detail() -> None:
    _, detail = split_detail(torch.full((2, 3, SIZE, SIZE), 0.4), seen(), 2.0)
    assert detail.abs().max() < 1e-4


# The band.


def test_the_band_lies_around_found_pixels_and_is_seen() -> None:
    band = band_of(textured(), tracks(), width=3)
    assert seen()[band.frame, band.row, band.column].all()
    outside = torch.maximum(
        (23.5 - band.row).maximum(band.row - 39.5), (23.5 - band.column).maximum(band.column - 39.5)
    )
    assert outside.min() > 0
    assert outside.max() < 3
    assert (band.length == 1).all()


def test_frames_that_agree_differ_in_nothing() -> None:
    band = band_of(textured(), tracks())
    assert (band.real - band.predicted).abs().max() < 0.05
    assert band.shade.abs().mean() < 0.01


def test_the_band_follows_the_displacement() -> None:
    frames = textured()
    frames[1] = frames[0].roll((2, 5), (1, 2))
    right, wrong = band_of(frames, tracks(shift=(5.0, 2.0))), band_of(frames, tracks())
    assert (right.real - right.predicted).abs().mean() < 0.25 * (wrong.real - wrong.predicted).abs().mean()


def test_without_found_pixels_there_is_no_band() -> None:
    nothing = Tracks(0, torch.full((1, SIZE, SIZE), -1, dtype=torch.int16), torch.zeros(0, 2), torch.zeros(0))
    assert compare_bands(textured(), seen(), [nothing], 3, 2.0) == [None]
    assert not correct_shade(None, nothing, 0.1).any()


def lay_out(values: Tensor, found: Tracks) -> Tensor:
    """Put the found pixels' values where they are; 0 elsewhere."""
    entry, row, column = found.found
    maps = torch.zeros(len(found.source), 3, SIZE, SIZE)
    maps[entry, :, row, column] = values
    return maps


# Trust.


def test_exact_predictions_are_trusted_and_unrelated_ones_are_not() -> None:
    detail = 0.1 * torch.randn(20000, 3)
    exact = calibrate([made_up(detail, detail, 4)], REACH)
    unrelated = calibrate([made_up(detail, 0.1 * torch.randn(20000, 3), 4)], REACH)
    assert exact[4] > 0.95
    assert unrelated[4] < 0.1


def test_a_half_true_prediction_is_half_trusted() -> None:
    own, other = 0.1 * torch.randn(2, 20000, 3)
    share = calibrate([made_up(own, (own + other), 3)], REACH)
    assert share[3].item() == pytest.approx(0.5, abs=0.06)


def test_trust_lies_between_0_and_1_and_falls_with_time() -> None:
    bands = [made_up(*(0.1 * torch.randn(2, 500, 3)), length) for length in (1, 5, 20)]  # pyright: ignore[reportCallIssue]
    for each in (bands, [None, None], [], [None, *bands]):
        share = calibrate(each, REACH)
        assert share.shape == (REACH + 1,)
        assert ((share >= 0) & (share <= 1)).all()
        assert (share.diff() <= 0).all()


def test_where_nothing_is_measured_patience_decides() -> None:
    share = calibrate([None], REACH)
    assert share[0].item() == pytest.approx(1.0, abs=1e-4)
    assert share[6].item() == pytest.approx(0.368, abs=1e-2)


def test_rated_pixels_keep_their_place_and_stay_found() -> None:
    share = torch.zeros(REACH + 1)
    rated = rate(tracks(), share)
    found = rated.source >= 0
    assert (rated.confidence[found] > 0).all()
    assert (rated.confidence[~found] == 0).all()
    assert torch.equal(rated.source, tracks().source)
    assert torch.equal(rate(tracks(confidence=0.5), share + 1).confidence, tracks(confidence=0.5).confidence)


# The seam.


@pytest.mark.parametrize("step", [0.05, -0.05])
def test_a_step_in_exposure_is_corrected(step: float) -> None:
    frames = textured()
    frames[1] += step
    found = tracks()
    correction = lay_out(correct_shade(band_of(frames, found), found, 0.1), found)
    inside = (found.source >= 0)[:, None].expand_as(correction)
    assert (correction[inside] + step).abs().max() < 0.02
    assert (correction[~inside] == 0).all()


def test_no_correction_is_larger_than_its_limit() -> None:
    frames = textured()
    frames[1] += 0.3
    found = tracks()
    assert correct_shade(band_of(frames, found), found, 0.1).abs().max() <= 0.1 + 1e-4


def test_draw_shows_the_source() -> None:
    frames = torch.rand(2, 3, SIZE, SIZE)
    found = tracks(shift=(3.0, -2.0))
    drawn = lay_out(draw(found, frames), found)
    assert torch.allclose(drawn[0, :, 24:40, 24:40], frames[1, :, 22:38, 27:43], atol=1e-5)
    assert (drawn[0, :, :24] == 0).all()


def test_flicker_leaves_no_seam_in_the_whole_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = scene(t=10, speed=(2.6, 0.0))
    # The frames in which the bar hides something are darker than all others.
    dark = -0.06 * clip.hidden.flatten(2).any(dim=2).float().view(1, 10, 1, 1, 1)
    dark[:, ::2] = 0
    frames, clean = (x * 0.8 + 0.1 + dark for x in (clip.frames, clip.clean))
    method = inpainter()
    ours = method(frames, clip.visible, amodal=clip.amodal)
    monkeypatch.setattr(blend, "SHADE_LIMIT", 0.0)
    raw = method(frames, clip.visible, amodal=clip.amodal)
    good, bad = (
        ((x.frames - clean) * clip.hidden).sum((0, 2, 3, 4)).abs().sum() / clip.hidden.sum() / 3 for x in (ours, raw)
    )
    # Compared is the mean colour of each frame's hidden part: a seam is a wrong one.
    assert good < bad, f"{good:.4f} corrected, {bad:.4f} not"
