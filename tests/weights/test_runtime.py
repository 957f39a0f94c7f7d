"""Networks in ONNX Runtime compute what torch does, for clips of any length, and are asked for by `runtime`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from voin.cli.app import app
from voin.core.errors import FileRefusal, ValueRefusal
from voin.method import export
from voin.method.export import export_model, sample_input
from voin.method.fill.generator import Generator, GeneratorConfig
from voin.method.flow.network import FlowConfig, FlowNetwork
from voin.method.load import load, use_after_training
from voin.method.shape.network import ShapeConfig, ShapeNetwork
from voin.weights import runtime
from voin.weights.checkpoint import About, Recipe, save_checkpoint
from voin.weights.runtime import LEAST_FRAMES, OnnxLayers

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

NETWORKS = {
    "shape": ShapeNetwork(ShapeConfig(channels=(8, 8), depth=1, patches=((2, 2), (4, 4)), evidence=True)),
    "flow": FlowNetwork(FlowConfig(channels=(8, 8), gaps=(1, 2))),
    "generator": Generator(GeneratorConfig(channels=(8, 12), dilations=(1, 2))),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks with random weights, none of which are 0."""
    folder = tmp_path_factory.mktemp("model")
    for kind, network in NETWORKS.items():
        torch.manual_seed(0)
        for weight in network.parameters():
            torch.nn.init.normal_(weight, std=0.1)
        recipe = Recipe("none", 0.0, "none")
        about = About(kind, (), recipe, (), {}, use_after_training(kind, 32))
        save_checkpoint(folder / f"{kind}.safetensors", network, about)
    return folder


@pytest.fixture(scope="module")
def exported(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    rows = list(export_model(model, folder))
    assert [row["kind"] for row in rows] == list(NETWORKS)
    assert all(0 < row["difference"] < 1e-5 for row in rows)
    return folder


@pytest.mark.parametrize("kind", list(NETWORKS))
@pytest.mark.parametrize("frames", [LEAST_FRAMES, 21, LEAST_FRAMES - 5])
def test_clips_of_any_length_give_what_torch_gives(exported: Path, kind: str, frames: int) -> None:
    network = NETWORKS[kind].eval()
    record = json.loads((exported / f"{kind}.json").read_text())
    layers = OnnxLayers(exported / f"{kind}.onnx", record["sha256"], network.compute)  # pyright: ignore[reportArgumentType]
    given, _ = sample_input(network, frames, 32)
    with torch.no_grad():
        results, expected = layers(*given), network.compute(*given)  # pyright: ignore[reportCallIssue]
    for result, wanted in zip(*((x,) if torch.is_tensor(x) else x for x in (results, expected)), strict=True):
        assert torch.allclose(result, wanted, atol=1e-4)


def test_a_loaded_method_asks_the_runtime_and_says_so(exported: Path) -> None:
    plain, other = (load(exported, runtime=name, device="cpu") for name in ("torch", "onnx"))
    assert isinstance(other.shape.network.runtime, OnnxLayers)  # pyright: ignore[reportAttributeAccessIssue]
    assert plain.shape.network.runtime is None  # pyright: ignore[reportAttributeAccessIssue]
    assert [stage for stage in ("shape", "flow", "fill") if "runtime" in other.settings()[stage]] == [
        "shape",
        "flow",
        "fill",
    ]
    assert not any("runtime" in stage for stage in plain.settings().values() if isinstance(stage, dict))


def test_a_file_of_other_weights_or_none_is_refused(exported: Path, model: Path) -> None:
    with pytest.raises(FileRefusal, match="is of other weights"):
        OnnxLayers(exported / "flow.onnx", "0" * 64, print)
    with pytest.raises(FileRefusal, match=r"shape\.onnx is not there"):
        load(model, runtime="onnx", device="cpu")
    for method, name in (("classical", "onnx"), ("voin", "tvm")):
        with pytest.raises(ValueRefusal, match=f"runtime is '{name}'"):
            load(method, runtime=name)


def test_results_that_differ_are_refused(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "BOUND", 0.0)
    with pytest.raises(FileRefusal, match="differ by"):
        list(export_model(model, tmp_path))
    assert not list(tmp_path.glob("*.onnx"))


def test_another_model_is_not_overwritten(model: Path, tmp_path: Path) -> None:
    (tmp_path / "flow.json").write_text("{}")
    with pytest.raises(FileRefusal, match="holds another model"):
        next(export_model(model, tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["flow.json"]


def test_without_the_extra_it_is_named(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(runtime, "import_module", lacking)
    with pytest.raises(ImportError, match=r"voin\[onnx\]"):
        load(exported, runtime="onnx", device="cpu")


def test_the_command_takes_the_model_as_its_examples_do(model: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", str(model), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert len([*(tmp_path / "out").glob("*.onnx")]) == 3
    refused = CliRunner().invoke(app, ["export", str(tmp_path / "nowhere"), "-o", str(tmp_path / "other")])
    assert refused.exit_code == 2
    assert not (tmp_path / "other").exists()
