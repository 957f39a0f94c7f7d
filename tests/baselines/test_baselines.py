from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from fakes.tiny_model import save_model
from scenes.sliding_square import Sliding, slide
from sets.voi_sets import write_set
from voin.baselines.copy import Copy, nearest_showing
from voin.baselines.hull import HullShape, hull
from voin.baselines.load import BASELINES, load_method
from voin.baselines.method import Method, Resources, make_completion
from voin.baselines.telea import Telea
from voin.baselines.visible import VisibleShape
from voin.benchmark.trials import MethodEntry
from voin.cli import app as cli
from voin.method.pipeline import Completion, Inpainter

FILLS = [Telea(), Copy()]
ALL = [*FILLS, VisibleShape(), HullShape()]


def by_name(method: object) -> str:
    return type(method).__name__


def tensors(sliding: Sliding) -> tuple[Tensor, Tensor, Tensor]:
    """Frames in 8-bit steps, visible, amodal."""
    frames = torch.from_numpy(np.stack(sliding.frames)).permute(0, 3, 1, 2)[None]
    frames = (frames * 255).round() / 255
    visible, amodal = (sliding.stack(masks).float()[None, :, None] for masks in (sliding.visible, sliding.amodal))
    return frames, visible, amodal


@pytest.fixture(scope="module")
def clip() -> tuple[Tensor, Tensor, Tensor]:
    return tensors(slide(t=9))


@pytest.mark.parametrize("method", ALL, ids=by_name)
@pytest.mark.parametrize("given", [True, False])
def test_only_hidden_pixels_change_and_the_masks_fit_together(method: Any, given: bool, clip) -> None:
    frames, visible, amodal = clip
    done = method(frames, visible, amodal=amodal if given else None)
    assert torch.equal(torch.where(done.occluded > 0, frames, done.frames), frames)
    assert torch.equal(done.occluded, done.amodal * (1 - visible))
    assert (visible <= done.amodal).all()
    assert (done.missing <= done.occluded).all()
    assert torch.equal(done.confidence[visible > 0], torch.ones(int(visible.sum())))
    assert (done.confidence[done.missing > 0] == 0).all()
    assert (done.confidence[done.amodal == 0] == 0).all()


@pytest.mark.parametrize("method", FILLS, ids=by_name)
def test_the_given_shape_is_taken_over(method: Any, clip) -> None:
    frames, visible, amodal = clip
    assert torch.equal(method(frames, visible, amodal=amodal).amodal, amodal)


@pytest.mark.parametrize("method", FILLS, ids=by_name)
def test_without_a_shape_it_is_the_hull(method: Any, clip) -> None:
    frames, visible, _ = clip
    assert torch.equal(method(frames, visible).amodal, HullShape()(frames, visible).amodal)


@pytest.mark.parametrize("method", FILLS, ids=by_name)
def test_nothing_but_visible_pixels_feeds_the_fill(method: Any, clip) -> None:
    frames, visible, amodal = clip
    other = torch.where(visible > 0, frames, torch.rand(frames.shape))
    hidden = (amodal * (1 - visible)).expand_as(frames) > 0
    first, second = method(frames, visible, amodal=amodal), method(other, visible, amodal=amodal)
    assert hidden.any()
    assert torch.equal(first.frames[hidden], second.frames[hidden])


@pytest.mark.parametrize("method", FILLS, ids=by_name)
def test_an_even_object_is_filled_with_its_colour(method: Any) -> None:
    sliding = slide(t=5)
    frames, visible, amodal = tensors(sliding)
    colour = torch.tensor([30.0, 180.0, 90.0]).view(3, 1, 1) / 255
    frames = torch.where(visible > 0, colour, frames)
    # One frame shows nothing of it, and none shows one column.
    visible[0, 2] = 0
    done = method(frames, visible, amodal=amodal)
    inside = amodal.expand_as(frames) > 0
    error = (done.frames - colour)[inside].abs()
    # OpenCV's steps along the slopes that it takes from rounded colours.
    assert error.max() < 6 / 255
    assert error.mean() < 2 / 255


@pytest.mark.parametrize("method", ALL, ids=by_name)
def test_nothing_hidden_means_nothing_changed(method: Any) -> None:
    frames, mask = torch.rand(1, 3, 3, 20, 24), torch.zeros(1, 3, 1, 20, 24)
    mask[..., 4:12, 5:15] = 1
    done = method(frames, mask)
    assert torch.equal(done.frames, frames)
    assert torch.equal(done.amodal, mask)


@pytest.mark.parametrize("method", ALL, ids=by_name)
def test_clips_of_a_batch_do_not_meet(method: Any, clip) -> None:
    frames, visible, amodal = clip
    pair = [torch.cat([x, x.flip(1)]) for x in (frames, visible, amodal)]
    together = method(pair[0], pair[1], amodal=pair[2])
    alone = method(frames, visible, amodal=amodal)
    for field in ("frames", "amodal", "occluded", "missing", "confidence"):
        assert torch.equal(getattr(together, field)[:1], getattr(alone, field))


@pytest.mark.parametrize("method", FILLS, ids=by_name)
def test_a_clip_that_shows_nothing_of_the_object_is_refused(method: Any) -> None:
    with pytest.raises(ValueError, match=r"no pixel in a clip; .*; "):
        method(torch.rand(1, 2, 3, 16, 16), torch.zeros(1, 2, 1, 16, 16), amodal=torch.ones(1, 2, 1, 16, 16))


@pytest.mark.parametrize("method", ALL, ids=by_name)
def test_tensors_that_are_no_clip_are_refused(method: Any) -> None:
    with pytest.raises(ValueError, match=r"lies in \[.*\]; "):
        method(torch.rand(1, 2, 3, 16, 16) * 255, torch.ones(1, 2, 1, 16, 16))


# --- copy


def test_copy_restores_what_stands_still_and_was_seen() -> None:
    still = torch.randint(0, 256, (1, 1, 3, 16, 20)).float().expand(1, 6, 3, 16, 20) / 255
    amodal = torch.ones(1, 6, 1, 16, 20)
    visible = amodal.clone()
    for i in range(6):
        visible[0, i, 0, :, 2 * i : 2 * i + 6] = 0
    frames = torch.where(visible > 0, still, torch.zeros(()))
    done = Copy()(frames, visible, amodal=amodal)
    assert torch.equal(done.frames, still)
    assert done.missing.sum() == 0


def test_copy_takes_the_nearest_frame_and_of_two_the_earlier() -> None:
    known = np.zeros((5, 1, 3), bool)
    known[0, 0, 0] = known[4, 0, 0] = True  # seen in the first and the last frame
    known[3, 0, 1] = True
    source = nearest_showing(known)
    assert source[:, 0, 0].tolist() == [0, 0, 0, 4, 4]
    assert source[:, 0, 1].tolist() == [3] * 5
    assert source[:, 0, 2].tolist() == [-1] * 5


def test_nearest_showing_agrees_with_a_plain_loop() -> None:
    known = np.random.default_rng(1).random((7, 4, 5)) < 0.2
    found = nearest_showing(known)
    for i, y, x in np.ndindex(known.shape):
        seen = np.flatnonzero(known[:, y, x])
        expected = seen[np.abs(seen - i).argmin()] if len(seen) else -1
        assert found[i, y, x] == expected


# --- shapes


def test_the_hull_of_corners_is_the_box() -> None:
    mask = np.zeros((12, 14), bool)
    mask[[2, 2, 9, 9], [3, 11, 3, 11]] = True
    expected = np.zeros_like(mask)
    expected[2:10, 3:12] = True
    assert np.array_equal(hull(mask), expected)
    assert np.array_equal(hull(expected), expected)


def test_the_hull_of_nothing_is_nothing() -> None:
    assert not hull(np.zeros((4, 5), bool)).any()


def test_shapes_judge_no_pixels_and_fills_do() -> None:
    assert [method.content for method in ALL] == [True, True, False, False]


# --- by name


@pytest.mark.parametrize("name", [*BASELINES, "classical"])
def test_methods_are_found_by_name(name: str) -> None:
    method = load_method(name)
    assert isinstance(method, Method)
    assert method.name == name


@pytest.mark.parametrize("name", ["voin", "voin-classical-shape", "voin-classical-flow", "voin-classical-fill"])
def test_the_networks_of_a_model_can_be_exchanged_one_by_one(name: str, tmp_path: Path) -> None:
    method = load_method(name, Resources(save_model(tmp_path)))
    assert isinstance(method, Inpainter)
    assert method.name == name
    networks = {stage for stage in ("shape", "flow", "fill") if "Network" in method.settings()[stage]["kind"]}
    assert networks == {"shape", "flow", "fill"} - {name.removeprefix("voin-classical-")}


def test_other_weights_are_another_method_to_the_evaluation(tmp_path: Path) -> None:
    entries = [
        MethodEntry("voin", load_method("voin", Resources(save_model(tmp_path, seed=seed)))) for seed in (0, 0, 1)
    ]
    first, same, other = (json.dumps(entry.identity("bear")) for entry in entries)
    assert first == same
    assert first != other
    pickle.loads(pickle.dumps(entries[0].method))  # as it goes to other processes


class Toy(torch.nn.Module):
    """A baseline with a network, as a file of the room holds it: paints the hidden part of each frame."""

    name = "toy"

    def __init__(self, device: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = torch.nn.Conv2d(4, 3, 3, padding=1).to(device if device != "auto" else "cpu")

    def settings(self) -> dict[str, Any]:
        return {"parameters": sum(weight.numel() for weight in self.parameters())}

    @torch.no_grad()
    def forward(self, frames: Tensor, visible: Tensor, *, amodal=None, occluder=None, category=None) -> Completion:
        seen = visible > 0.5
        whole = seen if amodal is None else amodal > 0.5
        painted = self.network(torch.cat([frames, visible], dim=2).flatten(0, 1)).view_as(frames).sigmoid()
        filled = torch.where(whole & ~seen, painted, frames)
        return make_completion(frames, seen, whole, filled, torch.zeros_like(visible))


def test_a_new_baseline_is_one_line_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BASELINES, "toy", lambda resources: Toy(resources.device))
    with pytest.raises(
        ValueError,
        match="must be one of telea, copy, visible, hull, toy, sttn, lgtsm, dfvi, fgvc, pcnet, pcnet-m, pcnet-c, "
        "pcnet-mc, voin, ",
    ):
        load_method("nearest")
    voi_set = write_set(tmp_path / "set")
    words = ["evaluate", str(voi_set.root), "--methods", "toy,telea", "--clips", "1", "-o", str(tmp_path / "out"), "-q"]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert list(results["tables"]["given"]) == ["toy", "telea"]
    assert results["methods"]["toy"]["settings"] == {"parameters": 4 * 3 * 9 + 3}
    assert {film["method"] for film in results["films"]} == {"toy", "telea"}


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r"'nearest'; it must be one of telea, copy, visible, hull, sttn, .*, voin, .*, classical, or "
    ):
        load_method("nearest")


OWN = """
def plain(frames, visible, *, amodal=None, occluder=None, category=None): ...
class Made:
    def __call__(self, frames, visible, *, amodal=None, occluder=None, category=None): ...
number = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "own_method_of_a_test.py").write_text(OWN, encoding="utf-8")
    monkeypatch.delitem(sys.modules, "own_method_of_a_test", raising=False)
    return "own_method_of_a_test"


def test_own_methods_are_found_in_the_working_folder(own: str) -> None:
    assert load_method(f"{own}:plain").__name__ == "plain"  # pyright: ignore[reportFunctionMemberAccess]
    assert type(load_method(f"{own}:Made")).__name__ == "Made"


@pytest.mark.parametrize("attribute", ["absent", "number"])
def test_what_is_no_method_is_refused(own: str, attribute: str) -> None:
    with pytest.raises(ValueError, match=f"has no method '{attribute}'; it must be a class or a callable"):
        load_method(f"{own}:{attribute}")


def test_an_absent_module_is_refused() -> None:
    with pytest.raises(ImportError, match=r"no module 'absent_module_of_a_test'; .*; "):
        load_method("absent_module_of_a_test:run")


def test_a_completion_comes_back(clip) -> None:
    assert isinstance(Telea()(*clip[:2]), Completion)
