"""Networks outside torch: the layers of one as an ONNX file, and ONNX Runtime, which computes them.

FOLDER/NAME.onnx   beside NAME.safetensors and NAME.json; it says of which tensors it was made
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from voin.core.errors import FileRefusal, PackageRefusal

ONNX = ".onnx"
OPSET = 18
LEAST_FRAMES = (
    8  # of a clip; in a shorter one moves in time, whose lengths are fixed in the file, would reach beyond it
)
_SOURCE = "sha256"  # entry of the file: of the tensors it was made of
# Providers that need more than is asked for here, or send pictures elsewhere.
_PASSED_OVER = ("TensorrtExecutionProvider", "AzureExecutionProvider")


class OnnxLayers:
    """The layers of a network, computed by ONNX Runtime in float32; what the file cannot do, torch does.

    Args:
        path: written by `export_layers`.
        sha256: of the tensors that the file must have been made of.
        layers: the same in torch, for several clips at once and for short ones.
        device: `cpu` takes the processor, anything else what the runtime has to offer, best first.

    Raises:
        ImportError: onnxruntime is missing.
        OSError: the file is not there, cannot be read, or is of other tensors.
    """

    def __init__(self, path: Path, sha256: str, layers: Callable[..., Any], device: str = "cpu") -> None:
        runtime = _module("onnxruntime")
        must = "it must be made of the tensors beside it"
        if not path.is_file():
            raise FileRefusal(f"{path} is not there", must, "make it: voin export MODEL -o DIR, and give --model DIR")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        # Threads that spin take the processor from others, and clips of many sizes make an arena grow.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False
        names = ["CPUExecutionProvider"]
        if device != "cpu":
            names = [name for name in runtime.get_available_providers() if name not in _PASSED_OVER]
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=names)
        except Exception as error:  # the runtime's own errors
            raise FileRefusal(f"{path} cannot be read ({error})", must, "make it again: voin export") from error
        if self._session.get_modelmeta().custom_metadata_map.get(_SOURCE) != sha256:
            raise FileRefusal(f"{path} is of other weights", must, "make it again: voin export")
        self._names = [given.name for given in self._session.get_inputs()]
        self._layers, self.providers = layers, tuple(self._session.get_providers())

    def __call__(self, *given: Tensor) -> Any:
        """Compute the layers as torch would, on the device of what is given."""
        if given[0].shape[0] != 1 or given[0].shape[1] < LEAST_FRAMES:
            return self._layers(*given)
        arrays = [x.float() if x.is_floating_point() else x for x in given]
        feed = {name: x.contiguous().cpu().numpy() for name, x in zip(self._names, arrays, strict=True)}
        results = [torch.from_numpy(x).to(given[0]) for x in self._session.run(None, feed)]
        return results[0] if len(results) == 1 else tuple(results)


def export_layers(
    network: nn.Module,
    given: Sequence[Tensor],
    path: Path,
    sha256: str,
    axes: Mapping[int, Mapping[int, str]],
    results: int = 1,
) -> None:
    """Write what a network computes, its `compute`, as an ONNX file.

    Args:
        network: with a method `compute`; in float32, on the CPU.
        given: what the layers are traced with; one clip of at least `LEAST_FRAMES` frames.
        path: the file.
        sha256: of the tensors, noted in the file.
        axes: for each of `given`, by number, the axes that may have any length, by name.
        results: how many tensors the layers return.

    Raises:
        ImportError: onnx is missing.
    """
    onnx = _module("onnx")
    names = [f"given_{i}" for i in range(len(given))]
    made = [f"result_{i}" for i in range(results)]
    free = {names[i]: dict(lengths) for i, lengths in axes.items()} | {name: {1: "t"} for name in made}
    traced = _Traced(network).eval()
    torch.onnx.export(
        traced, tuple(given), str(path), dynamo=False, input_names=names, output_names=made, dynamic_axes=free,
        opset_version=OPSET,
    )  # fmt: skip
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {_SOURCE: sha256})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def largest_difference(one: Any, other: Any) -> float:
    """Return the largest difference between results of layers, over the largest of their values."""
    pairs = zip(*((x,) if isinstance(x, Tensor) else x for x in (one, other)), strict=True)
    return max(float((x - y).abs().max() / y.abs().max().clamp(min=1.0)) for x, y in pairs)


class _Traced(nn.Module):
    """A network whose call is that of its layers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *given: Tensor) -> Any:
        return self.network.compute(*given)  # pyright: ignore[reportCallIssue]


def _module(name: str) -> Any:
    try:
        # By name: type checkers know it only where the extra is installed.
        return import_module(name)
    except ImportError as error:
        raise PackageRefusal(
            f"{name} does not import ({error})", "it must be installed", "run: pip install 'voin[onnx]'"
        ) from error
