from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from scenes.sliding_square import Sliding, psnr, slide
from voin.core.morphology import grow
from voin.method.fill.inpaint import InpaintFill
from voin.method.flow.smooth import SmoothFlow
from voin.method.motion import DIS
from voin.method.paste import fetch
from voin.method.pipeline import Inpainter, PipelineConfig
from voin.method.propagation.propagate import SOURCE_MARGIN
from voin.method.propagation.tracks import CYCLE_SIGMA, MAX_CYCLE_ERROR, Tracks, track
from voin.method.shape.voting import VotedShape
from voin.method.window import ObjectClip, WindowConfig, Windows, cut, cut_clip


def still(sliding: Sliding) -> ObjectClip:
    """Cut one window that does not move, working pixels the size of native ones."""
    t, (h, w) = len(sliding.frames), sliding.visible[0].shape
    windows = Windows(np.zeros(t), np.full(t, (h - w) / 2), np.full(t, float(w)), w)
    frames, visible, amodal = (
        [cut(picture, windows, i) for i, picture in enumerate(pictures)]
        for pictures in (sliding.frames, sliding.visible, sliding.amodal)
    )
    return ObjectClip(windows, (h, w), frames, visible, amodal)


def true_tracks(sliding: Sliding) -> tuple[Tracks, Tracks]:
    """Track every hidden pixel of the clip in its still window along the true flow."""
    clip = still(sliding)
    assert clip.amodal is not None
    visible, amodal = (torch.from_numpy(np.stack(masks)) for masks in (clip.visible, clip.amodal))
    hidden, (dx, dy) = amodal & ~visible, sliding.speed
    forward = torch.tensor([dx, dy]).view(1, 1, 2, 1, 1).expand(1, len(clip) - 1, 2, *visible.shape[1:]).contiguous()
    sources = visible & ~grow(hidden, SOURCE_MARGIN)
    return track(forward, -forward, hidden, 0, sources, amodal)


def restored(sliding: Sliding, tracks: tuple[Tracks, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Fetch every hidden pixel; give the colours found and the true ones, (n, 3) each."""
    clip, truth = still(sliding), still(replace(sliding, frames=sliding.true))
    assert clip.amodal is not None
    given, wanted = [], []
    for i in range(len(clip)):
        rows, columns = np.nonzero(clip.amodal[i] & ~clip.visible[i])
        colours, found = fetch(clip, tracks, i, rows, columns)
        given.append(colours[found])
        wanted.append(truth.frames[i][rows, columns][found])
    return np.concatenate(given), np.concatenate(wanted)


def link_by_link(sliding: Sliding, tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """Restore the same pixels from the same sources, but resample the whole picture at every link.

    The reference: it starts from pictures without the bar, so that resampling is all that it loses.
    """
    truth = still(replace(sliding, frames=sliding.true))
    dx, dy = sliding.speed
    y, x = np.mgrid[0 : truth.windows.size, 0 : truth.windows.size].astype(np.float32)
    given, wanted = [], []
    for i, source in enumerate(tracks.source.numpy()):
        for other in np.unique(source[source >= 0]):
            sign = np.sign(other - i)
            picture = truth.frames[other]
            for _ in range(abs(other - i)):
                picture = cv2.remap(picture, x + np.float32(sign * dx), y + np.float32(sign * dy), cv2.INTER_CUBIC)  # pyright: ignore[reportCallIssue]
            given.append(picture[source == other])
            wanted.append(truth.frames[i][source == other])
    return np.concatenate(given), np.concatenate(wanted)


@pytest.fixture(scope="module")
def sliding() -> Sliding:
    return slide()


@pytest.fixture(scope="module")
def tracks(sliding: Sliding) -> tuple[Tracks, Tracks]:
    return true_tracks(sliding)


def test_a_square_behind_a_bar_is_restored_by_propagation_alone(
    sliding: Sliding, tracks: tuple[Tracks, Tracks]
) -> None:
    given, wanted = restored(sliding, tracks)
    hidden = sum((a & ~v).sum() for a, v in zip(sliding.amodal, sliding.visible, strict=True))
    assert len(given) > 0.85 * hidden
    assert psnr(given, wanted) >= 35


def test_composed_sampling_beats_link_by_link_sampling(sliding: Sliding, tracks: tuple[Tracks, Tracks]) -> None:
    ahead, _ = tracks
    composed, linked = psnr(*restored(sliding, (ahead,))), psnr(*link_by_link(sliding, ahead))
    assert composed > linked + 3


# DIS depends on the processor: in the second scene, from the same start as in the first, PSNR is 34.9 on one without
# AVX-512.
@pytest.mark.parametrize(
    ("t", "speed", "start", "size"), [(16, (3.3, 0.4), (8.0, 22.0), 96), (26, (1.7, 0.3), (9.0, 24.0), 128)]
)
def test_with_estimated_flow_the_square_is_restored_too(
    t: int, speed: tuple[float, float], start: tuple[float, float], size: int
) -> None:
    sliding = slide(t=t, speed=speed, start=start)
    config = PipelineConfig(window=WindowConfig(size=size))
    inpainter = Inpainter(VotedShape(), SmoothFlow(), InpaintFill(), DIS(0), DIS(), config)
    clip = cut_clip(sliding.frames, sliding.visible, sliding.amodal, config=config.window)
    given, wanted, hidden = [], [], 0
    for i, patch in enumerate(inpainter.complete_object(clip, range(len(clip)))):
        found = patch.occluded & ~patch.missing
        given.append(patch.colours[found])
        wanted.append(sliding.true[i][patch.rows, patch.columns][found])
        hidden += patch.occluded.sum()
    assert sum(map(len, given)) > 0.85 * hidden
    assert psnr(np.concatenate(given), np.concatenate(wanted)) >= 35


def flat(t: int, dx: float, size: int = 40) -> tuple[Tensor, Tensor]:
    forward = torch.zeros(1, t - 1, 2, size, size)
    forward[:, :, 0] = dx
    return forward, -forward


def block(t: int, columns: slice, size: int = 40) -> Tensor:
    mask = torch.zeros(t, size, size, dtype=torch.bool)
    mask[:, 10:30, columns] = True
    return mask


def test_tracks_lead_to_the_nearest_source_on_each_side() -> None:
    forward, backward = flat(5, 3.0)
    everything = torch.ones(5, 40, 40, dtype=torch.bool)
    sources = everything.clone()
    sources[1:4] = False
    ahead, back = track(forward, backward, block(1, slice(15, 25)), 2, sources, everything)
    assert (ahead.first, back.first) == (2, 2)
    assert set(ahead.source[0, 10:30, 15:25].flatten().tolist()) == {4}
    assert set(back.source[0, 10:30, 15:25].flatten().tolist()) == {0}
    assert ahead.maps(0)[0][:, 20, 20].tolist() == pytest.approx([6, 0])
    assert back.maps(0)[0][:, 20, 20].tolist() == pytest.approx([-6, 0])
    assert (ahead.source[0, :10] == -1).all()
    assert ahead.confidence[0, 20, 20] == 1


def test_tracks_end_outside_the_amodal_mask() -> None:
    forward, backward = flat(4, 5.0)
    amodal = block(4, slice(10, 30))
    sources = torch.ones(4, 40, 40, dtype=torch.bool)
    sources[0] = False
    ahead, _ = track(forward, backward, block(1, slice(10, 30)), 0, sources, amodal)
    assert (ahead.source[0, 10:30, 10:25] == 1).all()
    assert (ahead.source[0, 10:30, 25:30] == -1).all()


def test_the_forward_backward_check_rejects() -> None:
    forward, backward = flat(3, 2.0)
    sources = everything = torch.ones(3, 40, 40, dtype=torch.bool)
    wrong = backward.clone()
    wrong[..., 20:] += 2 * MAX_CYCLE_ERROR * 40 / 320
    ahead, _ = track(forward, wrong, block(1, slice(10, 30)), 0, sources, everything)
    assert (ahead.source[0, 10:30, 10:17] == 1).all()
    assert (ahead.source[0, 10:30, 19:30] == -1).all()
    assert (ahead.confidence[0, 10:30, 19:30] == 0).all()


def test_errors_add_up_link_by_link() -> None:
    forward, backward = flat(6, 1.0)
    sources = torch.zeros(6, 40, 40, dtype=torch.bool)
    sources[[0, 5]] = True
    everything = torch.ones_like(sources)
    wanted = block(4, slice(15, 25))
    ahead, _ = track(forward, backward + 0.1, wanted, 1, sources, everything)
    trust = ahead.confidence[:, 20, 20]
    assert (trust[1:] > trust[:-1]).all()
    assert trust[0] < 1


def test_an_error_of_the_size_of_cycle_sigma_leaves_a_confidence_of_1_over_e() -> None:
    forward, backward = flat(2, 1.0)
    sources = everything = torch.ones(2, 40, 40, dtype=torch.bool)
    backward[:, :, 1] += CYCLE_SIGMA * 40 / 320
    ahead, _ = track(forward, backward, block(1, slice(15, 25)), 0, sources, everything)
    assert ahead.confidence[0, 20, 20].item() == pytest.approx(math.exp(-1), rel=1e-4)


def test_sources_lie_no_farther_than_the_reach() -> None:
    forward, backward = flat(8, 0.0)
    sources = torch.zeros(8, 40, 40, dtype=torch.bool)
    sources[7] = True
    ahead, _ = track(forward, backward, block(7, slice(15, 25)), 0, sources, torch.ones_like(sources), 3)
    assert (ahead.source[:, 20, 20] >= 0).tolist() == [False] * 4 + [True] * 3


def test_sources_near_the_occluder_are_not_used(sliding: Sliding, tracks: tuple[Tracks, Tracks]) -> None:
    clip = still(sliding)
    assert clip.amodal is not None
    hidden = torch.from_numpy(np.stack(clip.amodal) & ~np.stack(clip.visible))
    near = grow(hidden, SOURCE_MARGIN)
    for each in tracks:
        (frame, row, column), shift = each.found, each.shift
        to_x, to_y = (column + shift[:, 0]).round().long(), (row + shift[:, 1]).round().long()
        assert len(frame) > 0
        assert not near[each.source[frame, row, column].long(), to_y, to_x].any()


def test_turning_time_round_swaps_the_directions(sliding: Sliding, tracks: tuple[Tracks, Tracks]) -> None:
    t = len(sliding.frames)
    turned = Sliding(
        sliding.frames[::-1],
        sliding.true[::-1],
        sliding.visible[::-1],
        sliding.amodal[::-1],
        (-sliding.speed[0], -sliding.speed[1]),
    )
    for one, other in zip(tracks, reversed(true_tracks(turned)), strict=True):
        source = other.source.flip(0)
        assert torch.equal(one.source, torch.where(source >= 0, t - 1 - source, source))
        for entry in range(len(source)):
            torch.testing.assert_close(one.maps(entry)[0], other.maps(len(source) - 1 - entry)[0])
        torch.testing.assert_close(one.confidence, other.confidence.flip(0))
