from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch

from fakes.tiny_training import TINY, longer, options
from fakes.training_runs import start_run
from voin.core.config import edit, to_json
from voin.method.load import NETWORKS
from voin.training.batches import make_batches
from voin.training.config import PRESETS, LossConfig, OptimizerConfig, TrainConfig, change_settings
from voin.training.options import TrainOptions
from voin.training.run import learning_rate
from voin.training.state import load_state, save_state
from voin.training.train import train
from voin.weights.checkpoint import load_checkpoint, read_record

pytest.importorskip("lightning", reason="lightning not installed; run pip install 'voin[train]'")
pytest.importorskip("tensorboard", reason="tensorboard not installed; run pip install 'voin[train]'")

STAGES = ("shape", "flow", "fill", "joint")


def lines(said: list[str], start: str) -> list[str]:
    return [line for line in said if line.startswith(start)]


def states_of(folder: Path) -> dict[str, torch.Tensor]:
    found = load_state(folder)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_trains_validates_and_leaves_a_model(tmp_path: Path, stage: str) -> None:
    said: list[str] = []
    best = train(options(tmp_path, stage, command="voin train"), TINY, said.append)
    kinds = {"fill": ["generator"], "joint": ["flow", "generator", "shape"]}.get(stage, [stage])
    assert sorted(path.stem for path in best.glob("*.safetensors")) == kinds
    for kind in kinds:
        network = load_checkpoint(best / f"{kind}.safetensors", NETWORKS)
        record = read_record(best / f"{kind}.safetensors")
        assert network.config == getattr(TINY, kind)
        assert record.about.recipe.command == "voin train"
        assert "3 videos: a, b, c" in record.about.data
        assert record.about.scores
        assert record.precision == "fp16"
        assert record.about.use["size"] == (None if kind == "generator" else TINY.sampler.size)
    assert [line.split()[1] for line in lines(said, "step")] == ["1", "2", "4", "6"]
    assert len(lines(said, "validation")) == 1
    row = json.loads((tmp_path / "run" / "scores.jsonl").read_text())
    assert row["step"] == 6
    assert list((tmp_path / "run" / "pictures").glob("*.png"))
    assert list((tmp_path / "run" / "events").glob("events.*"))


@pytest.mark.parametrize("stage", STAGES)
def test_a_resumed_run_gives_the_same_weights_bit_for_bit(tmp_path: Path, stage: str) -> None:
    config = longer(7)
    train(options(tmp_path, stage, "whole"), config)
    # Stopped after its first step, and again after its fourth.
    for name in ("first", "second"):
        stop_at = {"first": 1, "second": 4}[name]
        _train_and_stop(options(tmp_path, stage, "parts", resume=True), config, stop_at)
        found = load_state(tmp_path / "parts")
        assert found is not None
        assert found[1]["step"] == stop_at
    train(options(tmp_path, stage, "parts", resume=True), config)
    one, other = states_of(tmp_path / "whole"), states_of(tmp_path / "parts")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_processes_that_make_batches_do_not_change_what_is_learned(tmp_path: Path) -> None:
    config = longer(5, echoes=2)
    train(options(tmp_path, "fill", "one"), config)
    train(options(tmp_path, "fill", "three", workers=2), config)
    one, other = states_of(tmp_path / "one"), states_of(tmp_path / "three")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_that_echoes_batches_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    config = longer(9, echoes=3)
    train(options(tmp_path, "flow", "whole"), config)
    _train_and_stop(options(tmp_path, "flow", "parts", resume=True), config, 5)
    train(options(tmp_path, "flow", "parts", resume=True), config)
    one, other = states_of(tmp_path / "whole"), states_of(tmp_path / "parts")
    assert all(torch.equal(one[name], other[name]) for name in one)


def _train_and_stop(given: TrainOptions, config: TrainConfig, step: int) -> None:
    """Train, and ask for a stop by a signal when step `step` is logged."""
    from voin.training import run as train_run

    learn = train_run.Run._learn

    def learn_and_stop(self, x, share):
        terms = learn(self, x, share)
        if self.step + 1 == step:
            os.kill(os.getpid(), signal.SIGINT)
        return terms

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_run.Run, "_learn", learn_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train(given, config)


@pytest.mark.parametrize("there", [False, True])
def test_bfloat16_is_used_where_the_device_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr("voin.training.run.has_bfloat16", lambda device: there)
    for name, half in (("half", True), ("full", False)):
        train(options(tmp_path, "shape", name), longer(2, half=half))
    half, full = states_of(tmp_path / "half"), states_of(tmp_path / "full")
    names = [name for name in full if name.startswith("networks.")]
    assert names
    assert all(torch.equal(half[name], full[name]) for name in names) != there


def test_training_lowers_the_loss_of_the_shape_network(tmp_path: Path) -> None:
    said: list[str] = []
    train(options(tmp_path, "shape"), longer(60, log_steps=1), said.append)
    losses = [float(line.split("bce_occluded")[1].split()[0]) for line in lines(said, "step")]
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


def test_the_saved_model_has_the_averaged_weights(tmp_path: Path) -> None:
    config = longer(3, optimizer=OptimizerConfig(rate=1e-2, warmup_steps=0, average=0.5))
    train(options(tmp_path, "flow"), config)
    tensors = states_of(tmp_path / "run")
    saved = safetensors.torch.load_file(tmp_path / "run" / "last" / "flow.safetensors")
    name = "stem.weight"
    averaged, latest = (tensors[f"{prefix}.networks.flow.{name}"] for prefix in ("averaged", "networks"))
    assert torch.equal(saved[name], averaged.half())
    assert not torch.equal(averaged, latest)


def test_init_starts_from_a_models_weights(tmp_path: Path) -> None:
    first = train(options(tmp_path, "shape", "first"), TINY)
    config = longer(1, optimizer=OptimizerConfig(rate=1e-12, warmup_steps=0, decay=0.0))
    second = train(options(tmp_path, "shape", "second", init=str(first)), config)
    one, other = (load_checkpoint(each / "shape.safetensors", NETWORKS).state_dict() for each in (first, second))
    assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)
    bigger = replace(TINY, shape=replace(TINY.shape, depth=2))
    with pytest.raises(ValueError, match="another config"):
        train(options(tmp_path, "shape", "third", init=str(first)), bigger)


def test_init_takes_weights_that_have_seen_no_evidence_and_the_first_step_is_theirs(tmp_path: Path) -> None:
    first = train(options(tmp_path, "shape", "first"), TINY)
    seeing = longer(1, shape=replace(TINY.shape, evidence=True), log_steps=1)
    losses = []
    for name, config in (("blind", longer(1, log_steps=1)), ("seeing", seeing)):
        said: list[str] = []
        train(options(tmp_path, "shape", name, init=str(first)), config, said.append)
        losses.append(lines(said, "step")[0].split("waiting")[0].split("bce")[1])
    assert losses[0] == losses[1]
    with pytest.raises(ValueError, match="another config"):
        train(options(tmp_path, "shape", "third", init=str(tmp_path / "seeing" / "best")), TINY)
    deeper = replace(seeing, shape=replace(seeing.shape, depth=2))
    with pytest.raises(ValueError, match="another config"):
        train(options(tmp_path, "shape", "fourth", init=str(first)), deeper)


def test_init_takes_a_generator_without_references_and_one_that_shifts_less(tmp_path: Path) -> None:
    first = train(options(tmp_path, "fill", "first"), TINY)
    seeing = longer(1, generator=replace(TINY.generator, references=2, share=0.9))
    second = train(options(tmp_path, "fill", "second", init=str(first)), seeing)
    network = load_checkpoint(second / "generator.safetensors", NETWORKS)
    assert network.config == seeing.generator
    with pytest.raises(ValueError, match="another config"):
        train(options(tmp_path, "fill", "third", init=str(second)), TINY)


def test_a_run_speaks_before_its_first_step_at_it_and_before_it_validates(tmp_path: Path) -> None:
    said: list[str] = []
    train(options(tmp_path, "shape"), longer(5, log_steps=100), said.append)
    assert said[0].startswith("shape on ")
    assert "3 clips" in said[0]
    assert "4 clips" in said[0]
    assert [line.split()[1] for line in lines(said, "step")] == ["1"]
    assert said.index(lines(said, "validating")[0]) < said.index(lines(said, "validation at step 5")[0])
    assert " s)" in lines(said, "validation at step 5")[0]  # how long it took


def test_true_flow_is_kept_for_other_runs_on_the_same_batches(tmp_path: Path) -> None:
    def kept() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()}

    train(options(tmp_path, "flow", "one", truth_cache=tmp_path / "kept"), longer(2))
    before = kept()
    assert before
    # The batches of its steps; a run makes some more ahead of them, as it has time.
    other = longer(2, flow=replace(TINY.flow, guidance=False))
    make = make_batches(options(tmp_path, "flow", "two", truth_cache=tmp_path / "kept"), other, "cpu", 0, 1)
    for step in range(2):
        make(step)
    assert kept() == before


def test_a_pool_of_batches_comes_again_mirrored_and_is_prepared_once(tmp_path: Path) -> None:
    given = options(tmp_path, "fill", batch_cache=tmp_path / "kept")
    config = longer(8, pool=3)
    made = [make_batches(given, config, "cpu", 0, 1)(step) for step in range(7)]
    files = sorted(path.name for path in (tmp_path / "kept").glob("*/*"))
    assert files == [f"{number:07d}.safetensors" for number in range(3)]
    for name, value in made[0].items():
        assert torch.equal(value, made[6][name])
        assert torch.equal(value.flip(-1) if value.ndim == 5 else value, made[3][name])
    assert not torch.equal(made[0]["truth"], made[1]["truth"])
    plain = make_batches(options(tmp_path, "fill"), longer(8), "cpu", 0, 1)(1)
    torch.testing.assert_close(made[1], plain, rtol=0, atol=6e-4)
    other = replace(config, sampler=replace(config.sampler, clear=1.0))
    make_batches(given, other, "cpu", 0, 1)(0)
    assert len([*(tmp_path / "kept").iterdir()]) == 2


def test_a_pause_ends_the_run_early_and_resume_goes_on(tmp_path: Path) -> None:
    config = longer(40)
    train(options(tmp_path, "shape", pause_minutes=1e-6), config)
    found = load_state(tmp_path / "run")
    assert found is not None
    assert found[1]["step"] == 1
    assert not (tmp_path / "run" / "best").exists()


def test_a_run_of_an_older_version_goes_on_where_newer_settings_are_as_by_default(tmp_path: Path) -> None:
    train(options(tmp_path, "shape", pause_minutes=1e-6), longer(3))
    path = tmp_path / "run" / "train.json"
    record = json.loads(path.read_text())
    del record["config"]["shape"]["evidence"]
    path.write_text(json.dumps(record))
    seeing = longer(3, shape=replace(TINY.shape, evidence=True))
    with pytest.raises(ValueError, match="other settings"):
        train(options(tmp_path, "shape", resume=True), seeing)
    train(options(tmp_path, "shape", resume=True), longer(3))


def test_minutes_end_a_run(tmp_path: Path) -> None:
    said: list[str] = []
    train(options(tmp_path, "shape"), replace(TINY, minutes=0.02, steps=10**6, log_steps=1), said.append)
    found = load_state(tmp_path / "run")
    assert found is not None
    assert 1.2 <= found[1]["seconds"] < 10
    assert 1 <= found[1]["step"] < 10**5


def test_a_folder_with_another_run_is_refused(tmp_path: Path) -> None:
    train(options(tmp_path, "shape"), TINY)
    with pytest.raises(OSError, match="use --resume"):
        train(options(tmp_path, "shape"), TINY)
    with pytest.raises(ValueError, match="other settings"):
        train(options(tmp_path, "shape", resume=True), longer(9))
    other = tmp_path / "other"
    other.mkdir()
    (other / "holiday.jpg").touch()
    with pytest.raises(OSError, match="holds something else"):
        train(options(tmp_path, "shape", "other"), TINY)


def test_a_pack_that_is_not_there_is_refused_and_nothing_written(tmp_path: Path) -> None:
    given = replace(options(tmp_path, "shape"), pack=tmp_path / "none.pack")
    with pytest.raises(OSError, match=r"none\.pack"):
        train(given, TINY)
    assert not (tmp_path / "run").exists()


def test_terms_that_count_nothing_are_left_out(tmp_path: Path) -> None:
    said: list[str] = []
    loss = LossConfig(dice_occluded=0.0)
    train(options(tmp_path, "shape"), longer(2, loss=loss), said.append)
    assert "bce_occluded" in lines(said, "step")[0]
    assert "dice" not in lines(said, "step")[0]
    said.clear()
    loss = LossConfig(category=0.0, adversarial_from=0.0)
    train(options(tmp_path, "fill", "second"), longer(2, loss=loss), said.append)
    assert "patch_real_fake" in lines(said, "step")[0]
    assert "category" not in lines(said, "step")[0]


def test_the_rate_rises_and_falls() -> None:
    config = longer(100, optimizer=OptimizerConfig(rate=1.0, warmup_steps=10, last=0.1))
    rates = [learning_rate(config, step, step / 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == max(rates[8:12])
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert rates[-1] == pytest.approx(0.1)


def test_presets_go_to_json_and_take_changes() -> None:
    for config in PRESETS.values():
        assert to_json(config)
    changed = edit(PRESETS["small"], ["shape.depth=8", "loss.dice_occluded=0", "sampler.size=192"])
    assert (changed.shape.depth, changed.loss.dice_occluded, changed.sampler.size) == (8, 0.0, 192)
    with pytest.raises(ValueError, match=r"patch is -1.0; it must be finite, at least 0"):
        edit(PRESETS["small"], ["loss.patch=-1"])


def test_older_names_of_settings_are_understood() -> None:
    changes = ["visits=3", "imitation.share=0.3", "loss.inpaint=2"]
    changed = change_settings(PRESETS["small"], changes)
    assert (changed.echoes, changed.simulated_propagation.share, changed.loss.fill) == (3, 0.3, 2.0)
    with pytest.raises(ValueError, match=r"visit is no setting"):
        change_settings(PRESETS["small"], ["visit=3"])


def test_a_run_with_older_names_of_settings_goes_on(tmp_path: Path) -> None:
    train(options(tmp_path, "fill"), TINY)
    path = tmp_path / "run" / "train.json"
    record = json.loads(path.read_text())
    config = record["config"]
    config["visits"] = config.pop("echoes")
    config["imitation"] = {**config.pop("simulated_propagation"), "guard": 2}
    config["loss"] |= {"inpaint": config["loss"].pop("fill"), "perceptual_side": 80}
    config["optimizer"]["clip"] = 1.0
    path.write_text(json.dumps({**record, "stage": "inpaint"}))
    said: list[str] = []
    train(options(tmp_path, "fill", resume=True), TINY, said.append)
    assert lines(said, "going on at step 6")
    config["optimizer"]["clip"] = 0.5  # no run of today has it
    path.write_text(json.dumps({**record, "stage": "inpaint"}))
    with pytest.raises(ValueError, match="other settings"):
        train(options(tmp_path, "fill", resume=True), TINY)


def test_state_is_saved_in_files_that_can_be_carried(tmp_path: Path) -> None:
    tensors = {f"x{i}": torch.full((2**20,), float(i)) for i in range(9)}  # 4 MiB each
    save_state(tmp_path, 3, tensors, {"step": 3})
    files = sorted((tmp_path / "state-0000003").glob("*.safetensors"))
    assert len(files) > 1
    assert max(path.stat().st_size for path in files) < 16 * 2**20
    found = load_state(tmp_path)
    assert found is not None
    assert all(torch.equal(found[0][name], tensors[name]) for name in tensors)


def test_a_kill_while_state_is_saved_leaves_the_one_before(tmp_path: Path) -> None:
    save_state(tmp_path, 1, {"x": torch.ones(3)}, {"step": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("voin.training.state.write_whole", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            save_state(tmp_path, 2, {"x": torch.zeros(3)}, {"step": 2})
    found = load_state(tmp_path)
    assert found is not None
    assert found[1] == {"step": 1}
    save_state(tmp_path, 2, {"x": torch.zeros(3)}, {"step": 2})
    assert [path.name for path in sorted(tmp_path.glob("state-*"))] == ["state-0000002"]


def test_a_garbled_state_is_refused(tmp_path: Path) -> None:
    save_state(tmp_path, 1, {"x": torch.ones(3)}, {"step": 1})
    path = next((tmp_path / "state-0000001").glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(OSError, match="cannot be read"):
        load_state(tmp_path)


# Spawned as `train` does it; the second time forked, so that torch and lightning are not loaded again.
@pytest.mark.parametrize(("stage", "start"), [("shape", "spawn"), ("fill", "fork")])
def test_two_processes_train_as_one_does(tmp_path: Path, stage: str, start: str) -> None:
    # Due at other steps in each process, as their clocks differ.
    config = longer(4, log_steps=1, half=False, save_minutes=0.0011, validate_minutes=0.0007)
    workers = int(stage == "shape")  # processes of their own for the second run's batches
    given, errors = options(tmp_path, stage, "run2", devices=2, workers=workers), tmp_path / "errors.txt"
    run = start_run(given, config, start, errors)
    try:
        train(options(tmp_path, stage, "run1"), config)
        run.join(600)
        assert run.exitcode == 0, errors.read_text()[-2000:] if errors.exists() else "no traceback"
    finally:
        run.kill()
        run.join()
    one, two = states_of(tmp_path / "run1"), states_of(tmp_path / "run2")
    names = [name for name in one if name.startswith("networks.")]
    assert names
    for name in names:
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=2e-5)


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    given = options(tmp_path, "shape", "run1", resume=True)
    _run_and_kill(given, 0)
    found = load_state(tmp_path / "run1")
    assert found is not None
    done = found[1]["step"]
    assert done > 0
    _run_and_kill(given, done)
    found = load_state(tmp_path / "run1")
    assert found is not None
    assert found[1]["step"] > done


def _run_and_kill(given: TrainOptions, step: int) -> None:
    """Start a run, and kill it some time after it has saved a state beyond `step`."""
    config = longer(100_000, log_steps=1, half=False, save_minutes=0.0011, validate_minutes=0.0007)
    process = start_run(given, config)
    try:
        until = time.time() + 600
        while process.is_alive() and time.time() < until:
            names = [path.name for path in given.out.glob("state-*")]
            if any(int(name.removeprefix("state-")) > step for name in names):
                break
            time.sleep(0.02)
        time.sleep(0.3)
        assert process.is_alive()
    finally:
        process.kill()
        process.join()


def test_on_processors_a_run_counts_what_it_computes_and_not_how_long_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voin.training import run as train_run

    learn, passed = train_run.Run._learn, [0.0]

    def learn_slowly(self, x, share):
        passed[0] += 1000.0  # seconds by the clock, in which nothing is computed
        return learn(self, x, share)

    monkeypatch.setattr(train_run.Run, "_learn", learn_slowly)
    clock = SimpleNamespace(perf_counter=lambda: time.perf_counter() + passed[0])
    monkeypatch.setattr(train_run, "time", clock)
    train(options(tmp_path, "shape"), longer(6))
    found = load_state(tmp_path / "run")
    assert found is not None
    assert found[1]["clock"] > 6 * 1000
    assert 0 < found[1]["seconds"] < 1000
