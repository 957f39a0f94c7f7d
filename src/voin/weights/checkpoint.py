"""A trained network as two files: its tensors as safetensors, and beside them JSON that says what they are.

    FOLDER/NAME.safetensors   the tensors, fp16 or fp32
    FOLDER/NAME.json          kind, config, use, classes, recipe, data, scores, version, sum of the tensors' file

Tensors are taken strictly, the JSON file may be older (`from_older`), and no pickle is ever read.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from voin.core import __version__
from voin.core.config import Checked, Config, from_older, setting, to_json
from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.files import replace_file, write_whole

VERSION = 1  # of the layout of the JSON file; the version of voin is noted, but not asked for
TENSORS, RECORD = ".safetensors", ".json"

Precision = Literal["fp16", "fp32"]
_DTYPES: dict[str, torch.dtype] = {"fp16": torch.float16, "fp32": torch.float32}
# Kind -> (class of its config, what makes the network of one). The networks stand above this module.
Build = Mapping[str, tuple[type[Any], Callable[[Any], nn.Module]]]


@dataclass(frozen=True)
class Recipe(Checked):
    """How a network was trained."""

    command: str = setting(help="As typed.")
    minutes: float = setting(help="Of training: core-minutes on processors, minutes by the clock on GPUs.", least=0)
    device: str = setting(help='Such as "2 CPU cores" or "NVIDIA H200".')


@dataclass(frozen=True)
class About:
    """What the trainer says about a network."""

    kind: str  # such as "shape"; letters, digits and `_`
    classes: tuple[str, ...]  # names of the object classes that the network knows, in the order of its indices
    recipe: Recipe
    data: tuple[str, ...]  # what it was trained on, a line each
    scores: Mapping[str, float]  # the name says of which data and in which unit
    # How the pipeline is to use it, as `to_json` gives it; what is left out is as the pipeline does by default.
    use: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][\w-]*", self.kind, re.ASCII):
            raise ValueRefusal(f"kind is {self.kind!r}", "it must be a word of letters, digits, _ and -", "use shape")
        for name, score in self.scores.items():
            if not math.isfinite(score):
                raise ValueRefusal(f"the score {name} is {score}", "scores must be finite", "leave it out")


@dataclass(frozen=True)
class Record:
    """All that the JSON file of a checkpoint says."""

    about: About
    config: Mapping[str, Any]  # of the network, as `to_json` gives it
    precision: Precision  # of the floating-point tensors in the file
    voin: str  # version of the package that saved it
    size_bytes: int  # of the tensors' file
    sha256: str  # likewise


@dataclass(frozen=True)
class Entries:
    """The entries of the JSON file that have types: all but `scores`, `use` and `config`, which come last."""

    version: int
    kind: str
    voin: str
    precision: Precision
    size_bytes: int
    sha256: str
    recipe: Recipe
    data: tuple[str, ...]
    classes: tuple[str, ...]


def save_checkpoint(path: str | Path, network: nn.Module, about: About, precision: Precision = "fp32") -> Record:
    """Write a network, whose attribute `config` made it, and what it is; the same network gives the same bytes.

    `path` is the tensors' file. A kill at any moment leaves the checkpoint that was there before, or the new one,
    whole.

    Raises:
        ValueError: the path has another suffix, the network has no config, or a tensor is not finite (in fp16).
        OSError: the files cannot be written.
    """
    path, record_path = _files(path)
    config = getattr(network, "config", None)
    if not is_dataclass(config):
        what = f"{type(network).__name__}.config is {config!r}"
        raise ValueRefusal(what, "it must be the dataclass that made the network", "set it")
    data = safetensors.torch.save(_tensors_of(network, precision))
    record = Record(about, to_json(config), precision, __version__, len(data), hashlib.sha256(data).hexdigest())
    path.parent.mkdir(parents=True, exist_ok=True)
    _finish(path)
    # Two files cannot change at once, so the JSON file decides: until it is there the old tensors hold, and from then
    # on those under the pending name, wherever the tensors' file has not got its name yet.
    write_whole(_pending(path), data)
    write_whole(record_path, _text_of(record).encode())
    replace_file(_pending(path), path)
    return record


def load_checkpoint(path: str | Path, build: Build, device: str | torch.device = "cpu") -> nn.Module:
    """Make the network that was saved, in fp32, ready for use (`eval`); random numbers go on as if it had not been.

    Kinds that `build` does not have are refused.

    Raises:
        OSError: a file is absent, truncated or garbled.
        ValueError: another version, kind, precision or config than this voin knows, or other tensors than it needs.
    """
    path, _ = _files(path)
    record = read_record(path)
    kind = record.about.kind
    if kind not in build:
        raise ValueRefusal(
            f"{path} holds a network of kind {kind!r}", f"it must be {either(build)}", "give another file"
        )
    config_class, module = build[kind]
    config = _read_entry(path, config_class, record.config, "config")
    with torch.random.fork_rng(devices=[]):  # the first weights are drawn, and thrown away
        network = module(config)
    try:
        tensors = safetensors.torch.load(_bytes_of(path, record))
    except SafetensorError as error:
        raise _broken(path, f"is garbled ({error})") from error
    _check_fit(path, record, tensors, network.state_dict())
    network.load_state_dict(tensors)
    return network.to(device).eval()


def read_use(path: str | Path, kind: type[Config]) -> Config:
    """Read how the network in a checkpoint is to be used: a `kind`, which has defaults for what is not said."""
    return _read_entry(Path(path), kind, read_record(path).about.use, "use")


def _read_entry(path: Path, kind: type[Config], values: Any, name: str) -> Config:
    try:
        return from_older(kind, values, name)
    except ValueError as error:
        what = f"{path.with_suffix(RECORD)} does not fit voin {__version__}"
        raise ValueRefusal(what, f"{error}", "get the weights for this version") from error


def read_record(path: str | Path) -> Record:
    """Read what the JSON file of a checkpoint says; the tensors are not looked at.

    Raises:
        OSError: there is no such file, or it is garbled.
        ValueError: it is of another version, or its entries are not those of this version.
    """
    path, record_path = _files(path)
    if not record_path.is_file():
        raise FileRefusal(
            f"{record_path} is no file",
            f"a checkpoint must be a {TENSORS} file and a {RECORD} file of one name",
            "check the path, or copy both",
        )
    try:
        given = json.loads(record_path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _broken(record_path, f"is no JSON ({error})") from error
    version = given.get("version") if isinstance(given, dict) else None
    if type(version) is not int:
        raise _broken(record_path, "has no version")
    if version != VERSION:
        raise ValueRefusal(
            f"{record_path} is of version {version}",
            f"voin {__version__} reads version {VERSION}",
            f"install the voin that wrote it ({given.get('voin', 'unknown')}), or get the weights for this one",
        )
    config, use, scores = given.pop("config", None), given.pop("use", {}), given.pop("scores", None)
    for name, entry in (("config", config), ("use", use)):
        if not isinstance(entry, dict):
            raise ValueRefusal(
                f"{record_path} has {entry!r} as {name}", "it must be an object with settings", "get it again"
            )
    if not isinstance(scores, dict) or any(type(score) not in (int, float) for score in scores.values()):
        raise ValueRefusal(f"{record_path} has {scores!r} as scores", "it must be names with numbers", "get it again")
    try:
        entries = from_older(Entries, given)
        scores = {name: float(score) for name, score in scores.items()}
        about = About(entries.kind, entries.classes, entries.recipe, entries.data, scores, use)
    except (ValueError, OverflowError) as error:
        raise ValueRefusal(f"{record_path} is not as voin writes it", f"{error}", "get it again") from error
    return Record(about, config, entries.precision, entries.voin, entries.size_bytes, entries.sha256)


def either(words: Iterable[str]) -> str:
    """Write a choice: "a", "a or b", "a, b or c"."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _files(path: str | Path) -> tuple[Path, Path]:
    """Return the tensors' file and the JSON file."""
    path = Path(path)
    if path.suffix != TENSORS:
        raise ValueRefusal(
            f"{path} is no {TENSORS} file",
            "only these are read and written, never pickles (.pt, .pth, .ckpt)",
            f"give FOLDER/NAME{TENSORS}",
        )
    return path, path.with_suffix(RECORD)


def _pending(path: Path) -> Path:
    """Return the name of tensors whose JSON file is not written yet, or only just."""
    return path.with_name(f".{path.name}.next")


def _finish(path: Path) -> None:
    """Name the tensors of a save that was killed after its JSON file was written."""
    with suppress(OSError, ValueError):  # nothing there that could be kept
        if hashlib.sha256(_pending(path).read_bytes()).hexdigest() == read_record(path).sha256:
            replace_file(_pending(path), path)


def _text_of(record: Record) -> str:
    about = record.about
    said = {**vars(record), **vars(about), "version": VERSION}
    entries = Entries(**{entry.name: said[entry.name] for entry in fields(Entries)})
    values = {**to_json(entries), "scores": dict(about.scores), "use": dict(about.use), "config": record.config}
    lines = (f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())
    return "{\n  " + ",\n  ".join(lines) + "\n}\n"


def _tensors_of(network: nn.Module, precision: Precision) -> dict[str, Tensor]:
    tensors = {}
    for name, tensor in network.state_dict().items():
        dtype = _DTYPES[precision] if tensor.is_floating_point() else tensor.dtype
        # A copy of each: safetensors takes neither two names of one memory nor memory in another order (channels_last).
        stored = tensor.detach().to("cpu", dtype, copy=True).contiguous()
        if not torch.isfinite(stored).all():
            peak = f"reaches {tensor.abs().max().item():.3g}" if torch.isfinite(tensor).all() else "is not finite"
            raise ValueRefusal(
                f"{name} {peak}",
                f"weights must be finite in {precision}",
                "save as fp32, or go back to an earlier checkpoint",
            )
        tensors[name] = stored
    return tensors


def _bytes_of(path: Path, record: Record) -> bytes:
    """Read the tensors' file that belongs to `record`."""
    read = [file.read_bytes() for file in (path, _pending(path)) if file.is_file()]
    if not read:
        raise FileRefusal(f"{path} is no file", f"the tensors must be beside their {RECORD} file", "copy both")
    for data in read:
        if hashlib.sha256(data).hexdigest() == record.sha256:
            return data
    size = len(read[0])
    if size != record.size_bytes:
        raise _broken(path, f"has {size:,} bytes where its {RECORD} file says {record.size_bytes:,}")
    raise _broken(path, f"has SHA-256 {hashlib.sha256(read[0]).hexdigest()[:12]}, not {record.sha256[:12]}")


def _broken(path: Path, found: str) -> OSError:
    return FileRefusal(
        f"{path} {found}", "it must be whole and as voin wrote it", "copy it again, with the file beside it"
    )


def _check_fit(path: Path, record: Record, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are not those of the network, by name, shape and type."""
    advice = f"install the voin that wrote it ({record.voin}), or train it again with this one ({__version__})"
    must = f"a {record.about.kind} of its config must have exactly the network's {len(expected)} tensors"
    lacking, unknown = expected.keys() - found.keys(), found.keys() - expected.keys()
    if lacking or unknown:
        faults = [f"lacks {_few(lacking)}"] * bool(lacking) + [f"has the unknown {_few(unknown)}"] * bool(unknown)
        raise ValueRefusal(f"{path} {' and '.join(faults)}", must, advice)
    for name, tensor in expected.items():
        dtype = _DTYPES[record.precision] if tensor.is_floating_point() else tensor.dtype
        form, wanted = (
            f"{tuple(shape)} {str(kind).removeprefix('torch.')}"
            for shape, kind in ((found[name].shape, found[name].dtype), (tensor.shape, dtype))
        )
        if form != wanted:
            raise ValueRefusal(
                f"{path} has {name} as {form}", f"a {record.about.kind} of its config has {wanted}", advice
            )


def _few(names: Iterable[str]) -> str:
    names = sorted(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
