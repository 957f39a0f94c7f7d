"""What holds for every trained baseline, untrained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from fakes.tiny_baselines import save_baseline, tensors
from fakes.tiny_training import TINY, longer, options
from sets.voi_sets import BARS, write_set
from voin.baselines.load import load_method
from voin.baselines.method import Method, Resources
from voin.baselines.trained.models import NETWORKS, PAPER, ROWS, load_baseline
from voin.benchmark.trials import MethodEntry
from voin.cli.app import app as cli
from voin.jobs.options import MethodOptions
from voin.training.config import PRESETS
from voin.training.state import load_state
from voin.training.tasks import TASKS
from voin.weights.checkpoint import load_checkpoint

CONTENT = [name for name in ROWS if ROWS[name].content]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all networks."""
    return save_baseline(tmp_path_factory.mktemp("models"), *NETWORKS)


@pytest.fixture(scope="module")
def made(models: Path) -> dict[str, Any]:
    return {name: load_baseline(name, [models], device="cpu") for name in ROWS}


def test_the_list_of_networks_is_that_of_the_configs() -> None:
    assert {kind.replace("-", "_") for kind in NETWORKS} == set(vars(PAPER))
    assert {kind for row in ROWS.values() for kind in row.kinds} <= set(NETWORKS)
    assert set(NETWORKS) <= set(TASKS)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("given", [True, False])
def test_only_hidden_pixels_change_and_the_masks_fit_together(made: dict[str, Any], name: str, given: bool) -> None:
    frames, visible, amodal = tensors()
    done = made[name](frames, visible, amodal=amodal if given else None)
    assert isinstance(made[name], Method)
    assert torch.equal(torch.where(done.occluded > 0, frames, done.frames), frames)
    assert torch.equal(done.occluded, done.amodal * (1 - visible))
    assert (visible <= done.amodal).all()
    assert (done.missing <= done.occluded).all()
    assert (done.confidence[done.missing > 0] == 0).all()
    if given:
        assert torch.equal(done.amodal, amodal)
        hidden = (done.occluded > 0).expand_as(frames)
        if name in CONTENT:
            assert not torch.equal(done.frames[hidden], frames[hidden])


# Flow is estimated of the frames as they are.
@pytest.mark.parametrize("name", [name for name in CONTENT if not ROWS[name].flow])
def test_the_occluder_inside_the_object_is_not_looked_at(made: dict[str, Any], name: str) -> None:
    frames, visible, amodal = tensors()
    other = torch.where(amodal * (1 - visible) > 0, 1 - frames, frames)
    first, second = (made[name](clip, visible, amodal=amodal) for clip in (frames, other))
    # Pixels of the window hold some of the occluder where it begins.
    hidden = (amodal * (1 - visible) > 0).expand_as(frames)
    assert (first.frames - second.frames)[hidden].abs().mean() < 0.02


@pytest.mark.parametrize("name", ROWS)
def test_nothing_hidden_means_nothing_changed(made: dict[str, Any], name: str) -> None:
    frames, _, amodal = tensors()
    done = made[name](frames, amodal, amodal=amodal)
    assert torch.equal(done.frames, frames)
    assert torch.equal(done.amodal, amodal)


@pytest.mark.parametrize("name", ROWS)
def test_flow_is_given_by_those_that_have_it(made: dict[str, Any], name: str) -> None:
    frames, visible, amodal = tensors()
    done = made[name](frames, visible, amodal=amodal)
    if not ROWS[name].flow:
        assert done.forward is None
        assert done.backward is None
    else:
        assert done.forward.shape == (1, frames.shape[1] - 1, 2, *frames.shape[-2:])
        assert done.forward[(done.occluded[:, :-1] > 0).expand_as(done.forward)].any()


@pytest.mark.parametrize("name", ROWS)
def test_results_depend_on_the_weights_and_the_settings_say_so(models: Path, made: dict[str, Any], name: str) -> None:
    settings = MethodEntry(name, made[name]).identity("a")["settings"]
    assert json.loads(json.dumps(settings)) == settings
    assert set(settings["networks"]) == set(ROWS[name].kinds)
    assert all(len(sum_) == 12 for sum_ in settings["networks"].values())
    assert MethodEntry(name, made[name]).content == (name in CONTENT)


@pytest.mark.parametrize("name", ROWS)
def test_a_model_of_another_kind_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        OSError, match=rf"{name} was given no model; the baseline {name} must have .*; train with: voin"
    ):
        load_method(name)
    other = next(kind for kind in NETWORKS if kind not in ROWS[name].kinds) if len(NETWORKS) > 1 else None
    if other is not None:
        save_baseline(tmp_path, other)
        with pytest.raises(OSError, match=rf" has no .* network; the baseline {name} must have .*; train with: "):
            load_baseline(name, [tmp_path])
    with pytest.raises(OSError, match=rf" has no .* network; the baseline {name} must have .*; train with: "):
        load_baseline(name, ["small"])
    kind = ROWS[name].kinds[0]
    save_baseline(tmp_path, kind)
    record = tmp_path / f"{kind}.json"
    record.write_text(record.read_text().replace(f'"kind": "{kind}"', '"kind": "something"'))
    with pytest.raises(ValueError, match=rf"holds a network of kind 'something'; it must be {kind}; "):
        load_baseline(name, [save_baseline(tmp_path, *ROWS[name].kinds[1:]), "small"])


def test_networks_come_from_the_first_folder_that_has_them(tmp_path: Path) -> None:
    first = save_baseline(tmp_path / "first", "sttn", size=32)
    second = save_baseline(tmp_path / "second", "sttn", size=64)
    assert load_baseline("sttn", ["small", first, second]).painting.size == 32  # pyright: ignore
    assert load_method("sttn", Resources(baseline_models=(second, first))).painting.size == 64  # pyright: ignore
    assert MethodOptions(method="sttn", model=str(second), device="cpu").load().painting.size == 64  # pyright: ignore


def test_complete_takes_the_networks_of_a_baseline_from_several_folders(tmp_path: Path) -> None:
    flow, pictures = (str(save_baseline(tmp_path / kind, kind)) for kind in ("dfvi", "deepfill"))
    made = MethodOptions(method="dfvi", model=flow, device="cpu").load([pictures])
    assert made.networks.keys() == {"dfvi", "deepfill"}  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValueError, match="voin must have all its networks in one"):
        MethodOptions(model="small", device="cpu").load([pictures])


@pytest.mark.parametrize("preset", ["small", "paper"])
def test_presets_choose_the_view(tmp_path: Path, preset: Any) -> None:
    inpainter = load_baseline("sttn", [save_baseline(tmp_path, "sttn")], preset=preset)
    assert inpainter.config.whole_frame == (preset == "paper")
    with pytest.raises(ValueError, match="preset is 'huge'; it must be small or paper; choose one of these"):
        load_baseline("sttn", [tmp_path], preset="huge")


@pytest.mark.parametrize("kind", NETWORKS)
def test_training_goes_on_and_its_model_completes_and_is_evaluated(tmp_path: Path, folder, masks, kind: str) -> None:
    from voin.training.train import train

    pytest.importorskip("lightning", reason="lightning not installed; run pip install 'voin[train]'")
    config = longer(2, validation_clips=4, log_steps=1)
    said: list[str] = []
    train(options(tmp_path, kind, pause_minutes=1e-9), config, said.append)
    state = load_state(tmp_path / "run")
    assert state is not None
    assert state[1]["step"] == 1
    best = train(options(tmp_path, kind, resume=True), config, said.append)
    assert sum(line.startswith("step") for line in said) == 2
    assert "going on at step 1, after 0.0 min" in said
    assert [path.name for path in best.glob("*.safetensors")] == [f"{kind}.safetensors"]
    assert load_checkpoint(best / f"{kind}.safetensors", NETWORKS).config == TINY.baselines.of(kind)  # pyright: ignore
    name = next((name for name in ROWS if ROWS[name].kinds == (kind,)), None)
    if name is None:  # a part of a baseline
        return
    words = ["complete", str(folder), str(masks), "-o", str(tmp_path / "out"), "--method", name, "--model", str(best)]
    done = CliRunner().invoke(cli, [*words, "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "out" / "run.json").read_text())["request"]["settings"]["method"] == name
    write_set(tmp_path / "set", BARS[:1])
    words = ["evaluate", str(tmp_path / "set"), "--methods", name, "--baseline-model", str(best), "--device", "cpu"]
    done = CliRunner().invoke(cli, [*words, "-o", str(tmp_path / "eval"), "--no-pictures"])
    assert done.exit_code == 0, done.output
    assert name in json.loads((tmp_path / "eval" / "results.json").read_text())["tables"]["end to end"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", NETWORKS)
def test_sizes_of_the_paper_are_made_and_take_a_step(kind: str) -> None:
    from sets.packs import pack_of
    from voin.training.sampler import Sampler

    config = replace(TINY, baselines=PRESETS["paper"].baselines, sampler=replace(TINY.sampler, batch=1, size=128))
    task = TASKS[kind](config)  # pyright: ignore
    x = task.prepare(Sampler(pack_of(("a", "b"), size=128), config.sampler, "cpu", 0).batch(0), (1,))
    terms, _ = task(x)
    torch.stack([task.weights()[name] * value for name, value in terms.items()]).sum().backward()
    optimizer = torch.optim.SGD(task.parameters(), 1e-3)
    optimizer.step()
    assert all(torch.isfinite(weight).all() for weight in task.parameters())
