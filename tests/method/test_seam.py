"""The seam: visible pixels along the hidden part, where masks are not exact, are made anew with it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from scenes.hidden_clips import Scene, inpainter, scene
from voin.jobs.options import CompleteOptions
from voin.method.parts import complete_parts
from voin.method.window import paste

WRONG = 1  # pixels by which the visible mask reaches into what is in front


@pytest.fixture(scope="module")
def sliding() -> Scene:
    return scene()


def complete(clip: Scene, seam: int) -> tuple[np.ndarray, ...]:
    """Frames, the true ones, the result, the masks given, and what of them is hidden and was changed."""
    pictures = (x[0].permute(0, 2, 3, 1).numpy() for x in (clip.frames, clip.clean))
    frames, true = ((255 * x).round().astype(np.uint8) for x in pictures)
    amodal, visible = (x[0, :, 0].numpy() > 0.5 for x in (clip.amodal, clip.visible))
    square = np.ones((2 * WRONG + 1, 2 * WRONG + 1), np.uint8)
    drawn = np.stack([cv2.dilate(mask.view(np.uint8), square) > 0 for mask in visible]) & amodal
    result, changed = frames.copy(), np.zeros_like(drawn)
    for part, boxes in complete_parts(inpainter(), [*frames], [*drawn], amodal=[*amodal], seam=seam):
        for i, box in zip(part, boxes, strict=True):
            result[i] = paste(frames[i], [box])
            changed[i, box.rows, box.columns] = box.occluded
    return frames, true, result, amodal, drawn, changed


def test_pixels_of_the_occluder_that_a_mask_takes_in_are_made_anew(sliding: Scene) -> None:
    error = {}
    for seam in (0, 2):
        _, true, result, _, drawn, _ = complete(sliding, seam)
        taken_in = drawn & ~(sliding.visible[0, :, 0].numpy() > 0.5)
        assert taken_in.sum() > 200
        error[seam] = np.abs(result[taken_in].astype(int) - true[taken_in]).mean()
    assert error[2] < error[0] / 3


def test_only_the_seam_is_made_anew_beside_what_is_hidden(sliding: Scene) -> None:
    frames, _, result, amodal, drawn, changed = complete(sliding, 2)
    hidden = amodal & ~drawn
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    wide = np.stack([cv2.dilate(mask.view(np.uint8), disc) > 0 for mask in hidden]) & amodal
    assert (changed == wide).all()
    assert (changed & drawn).any()
    assert (result[~changed] == frames[~changed]).all()


def test_without_a_seam_all_that_masks_show_is_kept(sliding: Scene) -> None:
    frames, _, result, _, drawn, changed = complete(sliding, 0)
    assert not (changed & drawn).any()
    assert (result[drawn] == frames[drawn]).all()


@pytest.mark.parametrize(("size", "pixels"), [((96, 128), 0), ((360, 640), 2), ((640, 360), 2), ((1080, 1920), 4)])
def test_the_seam_grows_with_the_video_unless_it_is_given(size: tuple[int, int], pixels: int) -> None:
    assert CompleteOptions().seam_of(size) == pixels
    assert CompleteOptions(seam=7).seam_of(size) == 7


def test_a_seam_that_cannot_be_is_refused() -> None:
    with pytest.raises(
        ValueError, match="seam is -1; it must be finite, at least 0 and at most 64; correct it or leave it out"
    ):
        CompleteOptions(seam=-1)
