from __future__ import annotations

import inspect
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from scenes.hidden_clips import Scene, inpainter, iou, psnr, scene
from voin.core.system import choose_device
from voin.method.load import load
from voin.method.pipeline import Completion, Fill, Flow, Inpainter, Motion, Shape
from voin.method.window import WindowConfig, cut_clip

SIZE = 64


@pytest.fixture(scope="module")
def sliding() -> Scene:
    return scene()


@pytest.fixture(scope="module")
def completed(sliding: Scene) -> Completion:
    return inpainter()(sliding.frames, sliding.visible)


@pytest.fixture(scope="module")
def given(sliding: Scene) -> Completion:
    return inpainter()(sliding.frames, sliding.visible, amodal=sliding.amodal)


def telea(clip: Scene) -> Tensor:
    """The clip with its hidden part inpainted frame by frame."""
    result = clip.frames.clone()
    for picture, hole in zip(result[0], clip.hidden[0, :, 0].byte().numpy(), strict=True):
        colours = (picture.permute(1, 2, 0) * 255).round().byte().numpy()
        picture.copy_(torch.from_numpy(cv2.inpaint(colours, hole, 3, cv2.INPAINT_TELEA)).permute(2, 0, 1) / 255)
    return result


# How sure the shape is.


def test_what_is_seen_is_surely_the_object_and_what_lies_far_away_surely_not(
    sliding: Scene, completed: Completion
) -> None:
    sure = completed.amodal_confidence
    assert sure is not None
    assert sure.shape == sliding.visible.shape
    assert (sure[sliding.visible > 0.5] == 1).all()
    assert sure[completed.occluded > 0].mean() > 0.5
    assert sure[(completed.amodal == 0) & (sliding.amodal == 0)].mean() < 0.1


def test_a_given_mask_is_sure_and_so_is_that_nothing_outside_the_occluder_is_hidden(
    sliding: Scene, given: Completion
) -> None:
    assert given.amodal_confidence is not None
    assert torch.equal(given.amodal_confidence, given.amodal)
    nothing = inpainter()(sliding.frames, sliding.visible, occluder=torch.zeros_like(sliding.visible))
    assert nothing.amodal_confidence is not None
    assert torch.equal(nothing.amodal_confidence, (sliding.visible > 0.5).float())
    assert torch.equal(nothing.frames, sliding.frames)


# What comes back, and what must not change.


@pytest.mark.parametrize("mode", ["completed", "given"])
def test_everything_outside_the_hidden_part_is_bit_equal(mode, sliding: Scene, request) -> None:
    result = request.getfixturevalue(mode)
    kept = (result.occluded == 0).expand_as(sliding.frames)
    assert result.occluded.any()
    assert torch.equal(result.frames[kept], sliding.frames[kept])
    assert not torch.equal(result.frames, sliding.frames)
    assert result.frames.shape == sliding.frames.shape
    assert result.frames.dtype == sliding.frames.dtype


@pytest.mark.parametrize("mode", ["completed", "given"])
def test_masks_nest(mode, sliding: Scene, request) -> None:
    result = request.getfixturevalue(mode)
    for mask in (result.amodal, result.occluded, result.missing):
        assert mask.shape == sliding.visible.shape
        assert set(mask.unique().tolist()) <= {0.0, 1.0}
    assert (sliding.visible <= result.amodal).all()
    assert torch.equal(result.occluded, result.amodal - sliding.visible)
    assert (result.missing <= result.occluded).all()


@pytest.mark.parametrize("mode", ["completed", "given"])
def test_confidence_is_1_where_visible_and_0_where_missing(mode, sliding: Scene, request) -> None:
    result = request.getfixturevalue(mode)
    found = (result.occluded > 0) & (result.missing == 0)
    assert (result.confidence[sliding.visible > 0] == 1).all()
    assert (result.confidence[result.missing > 0] == 0).all()
    assert (result.confidence[result.amodal == 0] == 0).all()
    assert found.any()
    assert (result.confidence[found] > 0).all()
    assert (result.confidence <= 1).all()


def test_the_given_amodal_mask_is_taken_as_it_is(sliding: Scene, given: Completion) -> None:
    assert torch.equal(given.amodal, sliding.amodal)
    assert torch.equal(given.occluded, sliding.hidden)


def test_visible_pixels_outside_the_given_amodal_mask_join_it(sliding: Scene) -> None:
    amodal = sliding.amodal.clone()
    amodal[..., :24, :] = 0
    result = inpainter()(sliding.frames, sliding.visible, amodal=amodal)
    assert torch.equal(result.amodal, torch.maximum(amodal, sliding.visible))


def test_nothing_hidden_gives_the_input_back(sliding: Scene) -> None:
    result = inpainter()(sliding.frames, sliding.visible, amodal=sliding.visible)
    assert torch.equal(result.frames, sliding.frames)
    assert torch.equal(result.amodal, sliding.visible)
    assert not result.occluded.any()
    assert not result.missing.any()
    assert torch.equal(result.confidence, sliding.visible)


def test_an_object_in_full_view_gives_the_input_back() -> None:
    clip = scene(bar=None)
    result = inpainter(128)(clip.frames, clip.visible)
    assert torch.equal(result.frames, clip.frames)
    assert torch.equal(result.amodal, clip.visible)


def test_the_occluder_restricts_the_hidden_part(sliding: Scene, completed: Completion) -> None:
    half = sliding.bar.clone()
    half[..., :32, :] = 0
    for amodal in (None, sliding.amodal):
        result = inpainter()(sliding.frames, sliding.visible, amodal=amodal, occluder=half)
        assert result.occluded.any()
        assert (result.occluded <= half).all()
    nowhere = inpainter()(sliding.frames, sliding.visible, occluder=torch.zeros_like(half))
    assert torch.equal(nowhere.frames, sliding.frames)


def test_the_input_is_not_written_to(sliding: Scene) -> None:
    frames, visible = sliding.frames.clone(), sliding.visible.clone()
    inpainter()(frames, visible, amodal=sliding.amodal)
    assert torch.equal(frames, sliding.frames)
    assert torch.equal(visible, sliding.visible)


# How well it is done.


def test_a_textured_object_behind_a_bar_comes_back(sliding: Scene, completed: Completion) -> None:
    assert iou(completed.occluded, sliding.hidden) > 0.5
    ours, plain = (psnr(x, sliding.clean, sliding.hidden) for x in (completed.frames, telea(sliding)))
    assert ours > plain + 3, f"{ours:.1f} dB against Telea's {plain:.1f} dB"


def test_with_the_true_mask_little_is_missing_and_colours_are_right(sliding: Scene, given: Completion) -> None:
    assert given.missing.sum() < 0.1 * given.occluded.sum()
    assert psnr(given.frames, sliding.clean, sliding.hidden) > 22


@pytest.mark.parametrize("size", [64, 96, 128, 160])
def test_no_window_size_loses_to_plain_inpainting(size: int, sliding: Scene) -> None:
    result = inpainter(size)(sliding.frames, sliding.visible)
    assert iou(result.occluded, sliding.hidden) > 0.5
    assert psnr(result.frames, sliding.clean, sliding.hidden) > psnr(telea(sliding), sliding.clean, sliding.hidden) + 3


# Settings of the paper's rows


def test_plain_propagation_brings_the_nearest_valid_pixel_as_it_is(sliding: Scene) -> None:
    plain = inpainter(size=128)  # of whole frames, which are 16:9, so that pixels stay as large as they are
    plain.config = replace(plain.config, propagation="plain", whole_frame=True)
    completion = plain(sliding.frames, sliding.visible, amodal=sliding.amodal)
    found = sliding.hidden * (1 - completion.missing)
    assert found.sum() > 0.5 * sliding.hidden.sum()
    assert psnr(completion.frames, sliding.clean, found) > 22
    # Nothing between known and missing.
    confidence = completion.confidence[sliding.hidden > 0]
    assert set(confidence.unique().tolist()) == {0.0, 1.0}


def test_without_propagation_all_that_is_hidden_is_missing(sliding: Scene) -> None:
    alone = inpainter()
    alone.config = replace(alone.config, propagation="none")
    completion = alone(sliding.frames, sliding.visible, amodal=sliding.amodal)
    assert torch.equal(completion.missing, completion.occluded)
    assert not completion.confidence[sliding.hidden > 0].any()
    assert (completion.frames != sliding.frames)[sliding.hidden.expand_as(sliding.frames) > 0].float().mean() > 0.9


def test_what_no_frame_saw_is_missing_and_gets_object_colours() -> None:
    clip = scene(t=8, speed=(0.0, 0.0), start=(26.0, 20.0))  # the bar never leaves it
    result = inpainter()(clip.frames, clip.visible, amodal=clip.amodal)
    # Along the outline a neighbour may be seen; inside nothing is.
    assert result.missing.sum() > 0.8 * result.occluded.sum()
    inside = (result.missing > 0).expand_as(clip.frames)
    bar, skin = torch.tensor([0.1, 0.15, 0.6]), torch.tensor([0.75, 0.5, 0.3])
    colour = result.frames[inside].view(-1)
    assert torch.isfinite(colour).all()
    mean = (result.frames * result.missing).sum((0, 1, 3, 4)) / result.missing.sum()
    assert (mean - skin).abs().max() < 0.15
    assert (mean - bar).abs().max() > 0.3


# Shapes of clips.


def test_one_frame_works(sliding: Scene) -> None:
    middle = slice(5, 6)
    frames, visible, amodal = (x[:, middle] for x in (sliding.frames, sliding.visible, sliding.amodal))
    alone = inpainter()(frames, visible)
    assert torch.equal(alone.frames, frames)
    result = inpainter()(frames, visible, amodal=amodal)
    assert torch.equal(result.occluded, amodal - visible)
    assert torch.equal(result.missing, result.occluded)
    assert torch.isfinite(result.frames).all()


def test_two_clips_at_once_equal_two_calls(sliding: Scene, completed: Completion) -> None:
    other = scene(seed=7, speed=(2.1, -0.3))
    both = inpainter()(torch.cat([sliding.frames, other.frames]), torch.cat([sliding.visible, other.visible]))
    alone = inpainter()(other.frames, other.visible)
    for name in ("frames", "amodal", "occluded", "missing", "confidence"):
        assert torch.equal(getattr(both, name)[:1], getattr(completed, name)), name
        assert torch.equal(getattr(both, name)[1:], getattr(alone, name)), name


def test_the_same_input_gives_the_same_bytes(sliding: Scene, completed: Completion) -> None:
    again = inpainter()(sliding.frames, sliding.visible)
    assert again.frames.numpy().tobytes() == completed.frames.numpy().tobytes()
    assert again.confidence.numpy().tobytes() == completed.confidence.numpy().tobytes()


@pytest.mark.parametrize("size", [(61, 83), (33, 101), (75, 32)])
def test_odd_sizes_keep_every_promise(size: tuple[int, int]) -> None:
    clip = scene(t=8, size=size, start=(2.0, 4.0), side=20, bar=(14, 20))
    result = inpainter()(clip.frames, clip.visible, amodal=clip.amodal)
    assert result.frames.shape == clip.frames.shape
    assert torch.equal(result.occluded, clip.hidden)
    kept = (result.occluded == 0).expand_as(clip.frames)
    assert torch.equal(result.frames[kept], clip.frames[kept])


def test_an_object_at_the_edge_of_the_picture_works() -> None:
    clip = scene(start=(-14.0, -8.0), bar=(2, 8))
    result = inpainter()(clip.frames, clip.visible)
    kept = (result.occluded == 0).expand_as(clip.frames)
    assert torch.equal(result.frames[kept], clip.frames[kept])
    assert (clip.visible <= result.amodal).all()


def test_frames_where_the_object_is_not_seen_work(sliding: Scene) -> None:
    visible, amodal = sliding.visible.clone(), sliding.amodal.clone()
    visible[:, 4:6] = 0
    result = inpainter()(sliding.frames, visible, amodal=amodal)
    assert torch.equal(result.occluded, amodal - visible)
    assert torch.isfinite(result.frames).all()


def test_a_mask_of_one_pixel_works(sliding: Scene) -> None:
    visible = torch.zeros_like(sliding.visible)
    visible[:, :, :, 30, 40] = 1
    result = inpainter()(sliding.frames, visible)
    assert (visible <= result.amodal).all()
    assert torch.isfinite(result.frames).all()


def test_uint8_and_float_frames_agree_within_rounding(sliding: Scene) -> None:
    bytes_ = (sliding.frames[0].permute(0, 2, 3, 1) * 255).round().byte().numpy()
    masks = [[mask > 0 for mask in each[0, :, 0].numpy()] for each in (sliding.visible, sliding.amodal)]
    method, config = inpainter(), WindowConfig(size=SIZE)
    kinds = (list(bytes_), list(bytes_.astype(np.float32) / 255))
    patches = [method.complete_object(cut_clip(each, *masks, config=config), range(len(each))) for each in kinds]
    for whole, unit in zip(*patches, strict=True):
        assert whole.colours.dtype == np.uint8
        assert unit.colours.dtype == np.float32
        assert np.array_equal(whole.occluded, unit.occluded)
        # Bytes are rounded where they are sampled and where they are written.
        assert np.abs(whole.colours / 255.0 - unit.colours).max() <= 2 / 255


def test_a_part_of_the_frames_equals_that_part_of_all(sliding: Scene) -> None:
    pictures = list(np.ascontiguousarray(sliding.frames[0].permute(0, 2, 3, 1).numpy()))
    masks = [[mask > 0 for mask in each[0, :, 0].numpy()] for each in (sliding.visible, sliding.amodal)]
    clip = cut_clip(pictures, *masks, config=WindowConfig(size=SIZE))
    part, whole = (inpainter().complete_object(clip, wanted, with_flow=True) for wanted in (range(3, 6), range(10)))
    assert len(part) == 3
    for one, other in zip(part, whole[3:6], strict=True):
        assert (one.left, one.top) == (other.left, other.top)
        for name in ("amodal", "occluded"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name
        assert one.forward is not None
        assert other.forward is not None
        assert one.backward is not None
        assert np.array_equal(one.forward, other.forward)
        assert one.forward.shape == (*one.amodal.shape, 2)
    assert whole[0].backward is None
    assert whole[-1].forward is None


def test_the_completed_flow_is_the_motion_in_native_pixels(sliding: Scene) -> None:
    pictures = list(np.ascontiguousarray(sliding.frames[0].permute(0, 2, 3, 1).numpy()))
    masks = [[mask > 0 for mask in each[0, :, 0].numpy()] for each in (sliding.visible, sliding.amodal)]
    clip = cut_clip(pictures, *masks, config=WindowConfig(size=SIZE))
    for patch in inpainter().complete_object(clip, range(10), with_flow=True)[2:8]:
        for flow, sign in ((patch.forward, 1), (patch.backward, -1)):
            assert flow is not None
            hidden = flow[patch.occluded]
            error = np.abs(hidden - sign * np.array([2.6, 0.4])).mean() if len(hidden) else 0.0
            assert error < 0.6


def test_a_completion_of_tensors_holds_the_completed_flow(sliding: Scene) -> None:
    result = inpainter()(sliding.frames, sliding.visible, amodal=sliding.amodal)
    t, h, w = sliding.frames.shape[1], *sliding.frames.shape[-2:]
    for flow, part, sign in ((result.forward, slice(2, 7), 1), (result.backward, slice(3, 8), -1)):
        assert flow is not None
        assert flow.shape == (1, t - 1, 2, h, w)
        links = flow[:, 2:7]  # backward flow 2 starts in frame 3
        hidden = sliding.hidden[:, part].expand_as(links) > 0
        expected = sign * torch.tensor([2.6, 0.4]).view(1, 1, 2, 1, 1).expand_as(links)
        assert (links - expected)[hidden].abs().mean() < 0.6
        assert (flow[..., :4] == 0).all()  # far from the object


# Stages are parts.


class _GivenShape:
    def __init__(self) -> None:
        self.seen: dict[str, object] = {}

    def __call__(self, frames, visible, allowed, forward, backward, category=None, wanted=None):
        self.seen = {"frames": frames.shape, "flows": forward.shape, "allowed": allowed, "category": category}
        grown = torch.nn.functional.max_pool2d(visible[0], 17, 1, 8)[None]
        return torch.maximum(grown * allowed, visible)


class _NoFlow:
    def __init__(self) -> None:
        self.calls = 0
        self.given: list[bool] = []

    def __call__(self, frames, forward, backward, visible, amodal, given=None, wanted=None):
        self.calls += 1
        self.given += [] if given is None else given.tolist()
        return torch.zeros_like(forward), torch.zeros_like(backward)


class _OneColour:
    def __init__(self) -> None:
        self.category: str | None = None

    def __call__(self, frames, visible, amodal, confidence, category=None, around=None):
        self.category = category
        hidden = (amodal > 0.5) & (visible <= 0.5) & (confidence == 0)
        return torch.where(hidden, torch.tensor([1.0, 0.0, 1.0]).view(3, 1, 1), frames)


class _CountedMotion:
    def __init__(self) -> None:
        self.pairs = 0

    def __call__(self, frames):
        self.pairs += frames.shape[0] * (frames.shape[1] - 1)
        empty = frames.new_zeros(frames.shape[0], frames.shape[1] - 1, 2, *frames.shape[-2:])
        return empty, empty


def test_another_shape_stage_is_used(sliding: Scene) -> None:
    stage = _GivenShape()
    assert isinstance(stage, Shape)
    result = inpainter(shape=stage)(sliding.frames, sliding.visible, occluder=sliding.bar, category="bicycle")
    assert stage.seen["frames"] == (1, 10, 3, SIZE, SIZE)
    assert stage.seen["flows"] == (1, 9, 2, SIZE, SIZE)
    assert stage.seen["category"] == "bicycle"
    assert 0 < stage.seen["allowed"].mean() < 1  # type: ignore[attr-defined]
    assert result.occluded.any()


def test_a_given_mask_needs_no_shape_stage(sliding: Scene) -> None:
    stage = _GivenShape()
    inpainter(shape=stage)(sliding.frames, sliding.visible, amodal=sliding.amodal)
    assert not stage.seen


def test_another_fill_stage_is_used_for_missing_pixels_alone() -> None:
    clip = scene(t=6, speed=(0.0, 0.0), start=(26.0, 20.0))
    stage = _OneColour()
    assert isinstance(stage, Fill)
    result = inpainter(fill=stage)(clip.frames, clip.visible, amodal=clip.amodal, category="dog")
    assert stage.category == "dog"
    filled = result.frames.permute(0, 1, 3, 4, 2)[result.missing[:, :, 0] > 0]
    core = (filled - torch.tensor([1.0, 0.0, 1.0])).abs().amax(dim=1) < 0.02
    assert core.float().mean() > 0.9


def test_another_flow_stage_is_used(sliding: Scene, given: Completion) -> None:
    stage = _NoFlow()
    assert isinstance(stage, Flow)
    result = inpainter(flow=stage)(sliding.frames, sliding.visible, amodal=sliding.amodal)
    assert stage.calls == 1
    assert stage.given == [True]
    assert not torch.equal(result.frames, given.frames)


def test_the_flow_stage_knows_a_completed_mask_from_a_given_one(sliding: Scene) -> None:
    stage = _NoFlow()
    inpainter(shape=_GivenShape(), flow=stage)(sliding.frames, sliding.visible)
    assert stage.given == [False]


def test_fine_motion_is_estimated_only_beside_hidden_pixels(sliding: Scene) -> None:
    motion, coarse_motion = _CountedMotion(), _CountedMotion()
    assert isinstance(motion, Motion)
    inpainter(motion=motion, coarse_motion=coarse_motion)(sliding.frames, sliding.visible, amodal=sliding.amodal)
    touched = sliding.hidden[0].flatten(1).any(dim=1)
    assert coarse_motion.pairs == 9
    assert 0 < motion.pairs <= (touched[1:] | touched[:-1]).sum()
    motion = _CountedMotion()
    inpainter(motion=motion)(sliding.frames, sliding.visible, amodal=sliding.visible)
    assert motion.pairs == 0


def test_seconds_are_told_by_stage(sliding: Scene) -> None:
    pictures = list(np.ascontiguousarray(sliding.frames[0].permute(0, 2, 3, 1).numpy()))
    visible = [mask > 0 for mask in sliding.visible[0, :, 0].numpy()]
    clock: dict[str, float] = {"motion": 100.0}
    inpainter().complete_object(cut_clip(pictures, visible, config=WindowConfig(size=SIZE)), range(10), clock=clock)
    assert set(clock) == {"motion", "shape", "flow", "propagation", "fill"}
    assert clock["motion"] > 100
    assert min(clock.values()) > 0


# What is refused.


def call(frames: object, visible: object, **extra: object) -> None:
    # Unwrapped: users run without the checks of shapes that the tests switch on.
    inspect.unwrap(Inpainter.__call__)(inpainter(), frames, visible, **extra)  # type: ignore[arg-type]


FRAMES, MASK = torch.full((1, 2, 3, 40, 48), 0.5), torch.ones(1, 2, 1, 40, 48)


@pytest.mark.parametrize(
    ("frames", "visible", "message"),
    [
        (FRAMES[0], MASK, r"frames has shape \(2, 3, 40, 48\); it must be \(b, t, 3, h, w\)"),
        (FRAMES.transpose(1, 2), MASK, r"frames has shape \(1, 3, 2, 40, 48\); it must be"),
        (FRAMES, FRAMES, r"visible has shape \(1, 2, 3, 40, 48\); it must be \(b, t, 1, h, w\)"),
        (FRAMES, MASK[:, :1], r"visible has shape \(1, 1, 1, 40, 48\) for frames of shape \(1, 2, 3, 40, 48\)"),
        (FRAMES, MASK[..., :47], r"b, t, h and w must be the same"),
        (FRAMES[:, :0], MASK[:, :0], "no axis may be empty"),
        ((FRAMES * 255).byte(), MASK, r"frames has dtype torch.uint8; it must be float in \[0, 1\]"),
        (FRAMES, MASK.bool(), "visible has dtype torch.bool; it must be float"),
        (FRAMES * float("nan"), MASK, "frames has values that are NaN or infinite"),
        (FRAMES, MASK * float("inf"), "visible has values that are NaN or infinite"),
        (FRAMES * 255, MASK, r"frames lies in \[128, 128\]; it must lie in \[0, 1\]; divide"),
        (FRAMES - 1, MASK, r"frames lies in \[-0.5, -0.5\]"),
        (FRAMES, MASK * 2, "visible lies in"),
        (FRAMES, MASK * 0, "visible marks no pixel in any frame"),
        (FRAMES[..., :31, :], MASK[..., :31, :], "the frames are 48x31; they must be at least 32x32"),
        (FRAMES[..., :20], MASK[..., :20], "the frames are 20x40; they must be at least 32x32"),
    ],
)
def test_bad_tensors_are_refused_with_what_to_do(frames: object, visible: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(frames, visible)


@pytest.mark.parametrize("name", ["amodal", "occluder"])
@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (MASK[:, :1], r"has shape \(1, 1, 1, 40, 48\) for frames"),
        (MASK * float("nan"), "has values that are NaN"),
        (MASK.byte(), "has dtype torch.uint8"),
    ],
)
def test_bad_extra_masks_are_refused_by_name(name: str, mask: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=f"{name} {message}"):
        call(FRAMES, MASK, **{name: mask})


def test_an_empty_clip_among_others_is_refused() -> None:
    visible = MASK.repeat(2, 1, 1, 1, 1)
    visible[1] = 0
    with pytest.raises(ValueError, match="visible marks no pixel"):
        call(FRAMES.repeat(2, 1, 1, 1, 1), visible)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "magic"}, "method is 'magic'; it must be voin, classical or a model"),
        ({"method": "classical", "flow": "lucas"}, "flow is 'lucas'; it must be dis, raft-small or raft-large"),
        ({"device": "tpu"}, "device is 'tpu'; it must be auto, cpu, cuda or mps"),
    ],
)
def test_load_refuses_unknown_names(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(**settings)  # type: ignore[arg-type]


def test_a_device_that_is_not_there_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="cuda is not to be had here"):
        choose_device("cuda")
    assert choose_device("cpu") == torch.device("cpu")


def test_raft_weights_that_are_no_file_are_refused(tmp_path) -> None:
    pytest.importorskip("torchvision", exc_type=ImportError)
    with pytest.raises(OSError, match=r"nothing\.pt is no file"):
        load("classical", flow="raft-small", raft_weights=tmp_path / "nothing.pt", device="cpu")


# What it says of itself.


def test_settings_are_json_and_name_every_stage() -> None:
    method = load("classical", device="cpu")
    settings = json.loads(json.dumps(method.settings()))
    assert settings["method"] == "classical"
    assert settings["model"] is None
    assert settings["device"] == "cpu"
    assert settings["pipeline"]["window"]["size"] == method.config.window.size
    kinds = {name: settings[name]["kind"] for name in ("shape", "flow", "fill", "motion", "coarse_motion")}
    assert kinds == {
        "shape": "VotedShape",
        "flow": "SmoothFlow",
        "fill": "InpaintFill",
        "motion": "DIS",
        "coarse_motion": "DIS",
    }
    assert settings["flow"]["rim"] == method.flow.rim  # type: ignore[attr-defined]


def test_settings_differ_where_numbers_differ() -> None:
    one, other = inpainter(), inpainter()
    other.config = replace(other.config, window=WindowConfig(size=96))
    assert one.settings() != other.settings()
    other = inpainter(motion=type(one.motion)(finest=0))  # pyright: ignore[reportCallIssue]
    assert one.settings() != other.settings()
