"""Methods by name: what each is made of, and what the networks must not change."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fakes.fake_method import save_frames
from fakes.tiny_model import CLASSES, save_model
from scenes.hidden_clips import Scene, scene
from voin.core.system import has_bfloat16
from voin.jobs.complete import complete
from voin.jobs.options import CompleteOptions
from voin.method import load as methods
from voin.method.fill.inpaint import InpaintFill
from voin.method.fill.stage import NetworkFill
from voin.method.flow.smooth import SmoothFlow
from voin.method.flow.stage import FlowUse, NetworkFlow
from voin.method.load import load
from voin.method.pipeline import Completion, Inpainter
from voin.method.shape.stage import NetworkShape, ShapeUse
from voin.method.shape.voting import VotedShape
from voin.method.window import WindowConfig
from voin.weights import hub as models

NETWORKS = {"shape": NetworkShape, "flow": NetworkFlow, "fill": NetworkFill}
CLASSICAL = {"shape": VotedShape, "flow": SmoothFlow, "fill": InpaintFill}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for shipped weights, and a working folder of the test's own."""
    monkeypatch.setattr(models, "WEIGHTS", tmp_path / "weights")
    monkeypatch.chdir(tmp_path)
    return models.WEIGHTS


def small_window(inpainter: Inpainter, size: int = 64) -> Inpainter:
    """Let it work in small windows, and its networks look at half of that."""
    inpainter.config = replace(inpainter.config, window=WindowConfig(size))
    for stage in (inpainter.shape, inpainter.flow, inpainter.fill):
        if isinstance(stage, NetworkShape | NetworkFlow | NetworkFill):
            stage.size = size // 2
    return inpainter


# By name


def test_a_model_can_be_named_in_place_of_the_method(model: Path) -> None:
    found = [load("voin", model=model), load("voin", model=str(model)), load(model), load(str(model))]
    for each in found:
        assert each.settings() == found[0].settings()
        assert (each.name, each.model) == ("voin", str(model))
        assert {stage: type(getattr(each, stage)) for stage in NETWORKS} == NETWORKS


def test_voin_is_the_default_and_takes_the_model_that_ships(shipped: Path) -> None:
    save_model(shipped / "small")
    settings = load().settings()
    assert settings["model"] == "small"
    assert settings == load("voin").settings() == load("small").settings() == load("voin", model="small").settings()


@pytest.mark.parametrize("words", [{}, {"method": "small"}, {"model": "small"}])
def test_without_weights_voin_says_what_to_do(words: dict[str, str]) -> None:
    (Path.cwd() / "small").mkdir()  # a folder of that name is not what was meant
    with pytest.raises(OSError, match=r"no weights ship with this voin; .*; use --method classical, or give a model"):
        load(**words)  # pyright: ignore[reportArgumentType]
    assert load("classical").name == "classical"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"method": "magic"}, "method is 'magic'; it must be voin, classical or a model .*; choose it with --method"),
        ({"model": "magic"}, "'magic' is no model; it must be a folder or owner/name"),
        ({"method": "classical", "model": "x"}, "the model is 'x' and the method classical; .*; leave one of them out"),
        ({"method": "x", "model": "y"}, "method is 'x' and the model 'y'; a model must be named once; write --method"),
        ({"preset": "large"}, "preset is 'large'; it must be small or paper; "),
        ({"preset": "paper"}, "preset is paper, and its weights do not ship; .*; train them and give --model FOLDER"),
        ({"preset": "paper", "model": "small"}, "preset is paper, and its weights do not ship; "),
        ({"classical": ("generator",)}, "classical has 'generator'; it must name stages, shape, flow or fill; "),
    ],
)
def test_words_that_name_nothing_are_refused(words: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(**words)


@pytest.mark.parametrize("stage", list(NETWORKS))
def test_a_stage_can_do_without_its_network(stage: str, model: Path) -> None:
    made = load("voin", model=model, classical=(stage,))
    assert made.name == f"voin-classical-{stage}"
    for each in NETWORKS:
        assert type(getattr(made, each)) is (CLASSICAL if each == stage else NETWORKS)[each]


def test_a_model_without_a_network_is_refused_unless_its_stage_does_without(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "some", "shape")
    with pytest.raises(OSError, match=r"some lacks flow\.safetensors and generator\.safetensors; .*; train it, or"):
        load(folder)
    assert isinstance(load(folder, classical=("flow", "fill")).shape, NetworkShape)


def test_the_networks_know_the_classes_of_their_checkpoints_and_look_at_their_size(model: Path) -> None:
    made = load(model)
    for stage, size in ((made.shape, ShapeUse().size), (made.flow, FlowUse().size), (made.fill, None)):
        assert isinstance(stage, NetworkShape | NetworkFlow | NetworkFill)
        assert stage.size == size
        assert stage.half == has_bfloat16(torch.device("cpu"))
        assert getattr(stage, "categories", CLASSES) == CLASSES


def test_numbers_that_belong_to_a_model_stand_in_its_files_and_have_defaults(model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "other")
    changed = {"shape": {"size": 96, "certainty": 0.7}, "flow": {"size": None, "least": 0.0}, "generator": {"size": 64}}
    for kind, use in changed.items():
        record = json.loads((folder / f"{kind}.json").read_text(encoding="utf-8"))
        (folder / f"{kind}.json").write_text(json.dumps({**record, "use": use}), encoding="utf-8")
    default, other = load(model).settings(), load(folder).settings()
    assert (default["shape"]["size"], default["shape"]["certainty"]) == (128, 0.6)
    assert (default["flow"]["size"], default["flow"]["least"]) == (128, 0.12)
    assert (other["shape"]["size"], other["shape"]["certainty"], other["flow"]["least"]) == (96, 0.7, 0.0)
    assert other["fill"]["size"] == 64
    assert load(folder).flow.size is None  # pyright: ignore[reportAttributeAccessIssue]


# What it says of itself


def test_settings_are_json_and_hold_the_sums_of_the_weights(model: Path, tmp_path: Path) -> None:
    settings = load(model).settings()
    assert json.loads(json.dumps(settings))["shape"] == json.loads(json.dumps(settings["shape"]))
    for stage, kind in methods.STAGES.items():
        record = json.loads((model / f"{kind}.json").read_text(encoding="utf-8"))
        assert settings[stage]["kind"] == NETWORKS[stage].__name__
        assert settings[stage]["sha256"] == record["sha256"][:12]
        assert isinstance(settings[stage]["half"], bool)
    assert settings["shape"]["network"]["channels"] == (8, 12, 16)
    assert settings["shape"]["length"] == 16
    assert settings["shape"]["certainty"] == 0.6
    assert settings["flow"]["least"] == 0.12
    assert settings["flow"]["channels"] == (8, 12)
    assert settings["flow"]["prior"]["rim"] == 12
    assert settings["fill"]["groups"]["frames"] == 16
    other = load(save_model(tmp_path / "other", seed=1)).settings()
    assert all(settings[stage] != other[stage] for stage in NETWORKS)


# What the networks must not change


@pytest.fixture(scope="module")
def clip() -> Scene:
    return scene(t=6)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_everything_outside_the_hidden_part_is_bit_equal_and_a_second_run_too(
    half: bool, given: bool, clip: Scene, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "has_bfloat16", lambda _: half)
    amodal = clip.amodal if given else None
    one, other = (small_window(load(model))(clip.frames, clip.visible, amodal=amodal) for _ in range(2))
    kept = (one.occluded == 0).expand_as(clip.frames)
    assert one.occluded.any()
    assert torch.equal(one.frames[kept], clip.frames[kept])
    assert not torch.equal(one.frames, clip.frames)
    assert (one.amodal >= clip.visible).all()
    assert all(torch.equal(a, b) for a, b in zip(values(one), values(other), strict=True))


@pytest.mark.parametrize("half", [False, True])
def test_nothing_hidden_means_nothing_changed(half: bool, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "has_bfloat16", lambda _: half)
    whole = scene(t=4, bar=None)
    result = small_window(load(model))(whole.frames, whole.visible, amodal=whole.amodal)
    assert torch.equal(result.frames, whole.frames)
    assert not result.occluded.any()


def values(done: Completion) -> list[torch.Tensor]:
    return [each for each in vars(done).values() if each is not None]


def test_with_the_paper_preset_it_works_on_whole_frames(clip: Scene, model: Path) -> None:
    made = load(model, preset="paper")
    assert made.config.whole_frame
    assert made.config.window.size == methods.PAPER_SIZE
    assert all(getattr(stage, "size", 1) is None for stage in (made.shape, made.flow, made.fill))
    assert load("classical", preset="paper").config.whole_frame
    made.config = replace(made.config, window=WindowConfig(128))
    seen: list[tuple[int, ...]] = []
    shape = made.shape

    def look(frames: torch.Tensor, *rest: object) -> torch.Tensor:
        seen.append(tuple(frames.shape))
        assert torch.equal(frames[0, :, :, 4:68, 24:104], clip.frames[0])  # 80x64 in the least 16:9 around it
        return shape(frames, *rest)  # pyright: ignore[reportArgumentType]

    made.shape = look  # pyright: ignore[reportAttributeAccessIssue]
    result = made(clip.frames, clip.visible)
    assert seen == [(1, 6, 3, 72, 128)]
    kept = (result.occluded == 0).expand_as(clip.frames)
    assert torch.equal(result.frames[kept], clip.frames[kept])


@pytest.mark.parametrize("preset", ["small", "paper"])
def test_a_run_over_files_says_which_networks_made_it(preset, clip: Scene, model: Path, tmp_path: Path) -> None:
    frames = [np.ascontiguousarray(x) for x in (clip.frames[0].permute(0, 2, 3, 1) * 255).byte().numpy()]
    save_frames(tmp_path / "frames", frames)
    for name, masks in (("masks", clip.visible), ("amodal", clip.amodal)):
        (tmp_path / name).mkdir()
        for i, mask in enumerate(masks[0, :, 0].byte().numpy()):
            cv2.imwrite(str(tmp_path / name / f"{i:05d}.png"), mask * 255)
    made = load(model, preset=preset)
    made.config = replace(made.config, window=WindowConfig(128))
    run = (tmp_path / "frames", tmp_path / "masks", tmp_path / "out", CompleteOptions(amodal=tmp_path / "amodal"))
    record = complete(*run, inpainter=made)
    settings = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))["request"]["settings"]
    assert settings["model"] == str(model)
    assert len(settings["shape"]["sha256"]) == len(settings["fill"]["sha256"]) == 12
    assert record["totals"]["occluded"] > 0
    assert complete(*run, inpainter=made)["finished_before"]


def test_without_torchs_private_functions_networks_stay_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: True, raising=False)
    assert has_bfloat16(torch.device("cpu"))
    assert not has_bfloat16(torch.device("mps"))
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name)
    assert not has_bfloat16(torch.device("cpu"))
