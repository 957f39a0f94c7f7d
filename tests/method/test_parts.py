from __future__ import annotations

import numpy as np
import pytest

from scenes.hidden_clips import Scene, inpainter, scene
from voin.method import parts
from voin.method.parts import complete_parts
from voin.method.window import paste


def arrays(clip: Scene) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """The frames of a scene, float32 (h, w, 3), its visible masks, and those of the bar."""
    frames = [np.ascontiguousarray(x) for x in clip.frames[0].permute(0, 2, 3, 1).numpy()]
    return frames, list(clip.visible[0, :, 0].numpy() > 0.5), list(clip.bar[0, :, 0].numpy() > 0.5)


def test_a_clip_of_one_part_comes_out_as_it_does_as_a_whole() -> None:
    clip = scene()
    frames, visible, bar = arrays(clip)
    whole = inpainter()(clip.frames, clip.visible, occluder=clip.bar)
    ((span, boxes),) = complete_parts(inpainter(), frames, visible, occluder=bar)
    assert span == range(len(frames))
    pasted = np.stack([paste(frame, [box]) for frame, box in zip(frames, boxes, strict=True)])
    assert whole.occluded.any()
    assert np.array_equal(pasted, whole.frames[0].permute(0, 2, 3, 1).numpy())


def test_parts_follow_each_other_end_at_cuts_and_leave_out_what_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "CORE_FRAMES", 4)
    monkeypatch.setattr(parts, "CONTEXT_FRAMES", 1)
    frames, visible, _ = arrays(scene(t=12, bar=None))
    visible[9:] = [np.zeros_like(visible[0])] * 3
    made = list(complete_parts(inpainter(128), frames, visible, cuts=(5, 9)))
    assert [(part.start, part.stop) for part, _ in made] == [(0, 2), (2, 5), (5, 9)]
    for part, boxes in made:
        for i, box in zip(part, boxes, strict=True):
            assert np.array_equal(paste(frames[i], [box]), frames[i])
            assert box.amodal.sum() == visible[i].sum()


def test_clips_in_which_nothing_is_seen_are_refused() -> None:
    frames, visible, _ = arrays(scene(t=3))
    with pytest.raises(ValueError, match="visible marks no pixel in any frame; it must mark the object"):
        next(complete_parts(inpainter(), frames, [np.zeros_like(visible[0])] * 3))
    with pytest.raises(ValueError, match="the frames are 20x64"):
        next(complete_parts(inpainter(), [x[:, :20] for x in frames], [x[:, :20] for x in visible]))
