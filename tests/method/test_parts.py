from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from scenes.hidden_clips import Scene, inpainter, scene
from voin.method import parts
from voin.method.flow.smooth import SmoothFlow
from voin.method.motion import DIS
from voin.method.parts import complete_parts
from voin.method.shape.voting import VotedShape
from voin.method.window import CompletedBox, paste


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


# What one part hands on to the next.


class _Counted:
    """Stages that count the frames or pairs that they are asked for."""

    def __init__(self) -> None:
        self.pairs: Counter[int] = Counter()
        self.masks = self.flows = 0
        self.stages = {"shape": self.shape, "flow": self.flow, "coarse_motion": self.coarse_motion}

    def coarse_motion(self, frames):
        # A pair is known by its pictures.
        self.pairs.update(hash(pair.numpy().tobytes()) for pair in frames[0].unfold(0, 2, 1))
        return DIS(2)(frames)

    def shape(self, *given):
        self.masks += len(given[-1])
        return VotedShape()(*given)

    def flow(self, *given):
        self.flows += len(given[-1])
        return SmoothFlow()(*given)


def complete_in(core: int, stages: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[CompletedBox]:
    """Complete a long scene in parts of `core` frames."""
    for name, number in (("CORE_FRAMES", core), ("CONTEXT_FRAMES", 8)):
        monkeypatch.setattr(parts, name, number)
    frames, visible, _ = arrays(scene(t=34, size=(64, 90), start=(2.0, 20.0), speed=(1.7, 0.2)))
    made = complete_parts(inpainter(**stages), frames, visible, with_flow=True, with_shape=True)
    return [box for _, boxes in made for box in boxes]


def test_neither_motion_nor_shape_nor_flow_of_a_frame_is_computed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = _Counted()
    complete_in(10, counted.stages, monkeypatch)
    assert (counted.pairs.total(), set(counted.pairs.values())) == (33, {1})
    assert (counted.masks, counted.flows) == (34, 33)


def test_masks_and_flow_are_the_same_however_a_clip_is_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours are not: how far they are believed is measured, and the rest generated, in each part by itself."""
    one, other = complete_in(10, {}, monkeypatch), complete_in(17, {}, monkeypatch)
    assert sum(box.occluded.sum() for box in one) > 1000
    for box, again in zip(one, other, strict=True):
        assert np.array_equal(box.amodal, again.amodal)
        assert np.array_equal(box.occluded, again.occluded)
        assert box.soft is not None
        assert again.soft is not None
        assert np.array_equal(box.soft.values, again.soft.values)
        for flow, same in ((box.forward, again.forward), (box.backward, again.backward)):
            # A part in which nothing is hidden tells no flow.
            assert flow is None or same is None or np.array_equal(flow, same)
