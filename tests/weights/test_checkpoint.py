"""Networks as files: what goes in comes out, and anything else is refused."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import safetensors.torch
import torch
from torch import nn

from voin.core.config import Checked, setting
from voin.core.errors import Refusal
from voin.weights import checkpoint
from voin.weights.checkpoint import About, Recipe, load_checkpoint, read_record, read_use, save_checkpoint


@dataclass(frozen=True)
class InnerConfig:
    sizes: tuple[tuple[int, int], ...] = ((2, 2), (4, 3))
    slope: float = 0.2


@dataclass(frozen=True)
class ToyConfig(Checked):
    """As it became: `channels` had another name, `levels` has no default, and `unit` is a constant."""

    retired: ClassVar[Mapping[str, Any]] = {"unit": 0.02}

    levels: int
    channels: int = setting(6, least=1, was=("widths", "width"))
    inner: InnerConfig = InnerConfig()


class Toy(nn.Module):
    """Has what networks have: 4-D weights, an integer buffer, a spectral norm, two names for one weight."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.inside = nn.Conv2d(3, config.channels, 3)
        self.norm = nn.BatchNorm2d(config.channels)
        self.outside = nn.utils.parametrizations.spectral_norm(nn.Conv2d(config.channels, 3, 3))
        self.tied = nn.Linear(3, 3)
        self.again = self.tied


BUILD = {"shape": (ToyConfig, Toy)}
ABOUT = About(
    kind="shape",
    classes=("bear", "trâin"),
    recipe=Recipe("voin train shape --minutes 3", 3.0, "2 CPU cores"),
    data=("DAVIS train: 30 clips", "cutouts"),
    scores={"iou, DAVIS validation": 0.5},
)


def toy(channels: int = 6) -> Toy:
    network = Toy(ToyConfig(1, channels))
    network.norm(torch.rand(2, channels, 4, 4))  # moves its statistics
    return network


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "small" / "shape.safetensors"
    save_checkpoint(path, toy(), ABOUT)
    return path


def change(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Edit the JSON beside `path`."""
    beside = path.with_suffix(".json")
    values = json.loads(beside.read_text(encoding="utf-8"))
    edit(values)
    beside.write_text(json.dumps(values), encoding="utf-8")


def replace_tensors(path: Path, data: bytes) -> None:
    """Put other bytes into the tensors' file, and their sum into the JSON beside it."""
    path.write_bytes(data)
    change(path, lambda v: v.update(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data)))


def test_what_was_saved_in_fp32_is_loaded_bit_for_bit(tmp_path: Path) -> None:
    network = toy(7)
    save_checkpoint(tmp_path / "x.safetensors", network, ABOUT)
    loaded = load_checkpoint(tmp_path / "x.safetensors", BUILD)
    assert isinstance(loaded, Toy)
    assert loaded.config == network.config
    assert not loaded.training
    assert loaded.state_dict().keys() == network.state_dict().keys()
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_fp16_takes_half_the_room_and_is_loaded_as_fp32_with_the_values_rounded(tmp_path: Path) -> None:
    network = toy(32)
    full = save_checkpoint(tmp_path / "full.safetensors", network, ABOUT)
    half = save_checkpoint(tmp_path / "half.safetensors", network, ABOUT, precision="fp16")
    assert half.size_bytes < 0.65 * full.size_bytes
    loaded = load_checkpoint(tmp_path / "half.safetensors", BUILD).state_dict()
    for name, tensor in network.state_dict().items():
        expected = tensor.half().float() if tensor.is_floating_point() else tensor
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], expected), name


def test_weights_in_channels_last_or_bfloat16_are_saved_as_well(tmp_path: Path) -> None:
    network = toy().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    save_checkpoint(tmp_path / "x.safetensors", network, ABOUT)
    loaded = load_checkpoint(tmp_path / "x.safetensors", BUILD)
    assert torch.equal(loaded.state_dict()["inside.weight"], network.inside.weight)
    network = network.to(torch.bfloat16)
    save_checkpoint(tmp_path / "x.safetensors", network, ABOUT)
    loaded = load_checkpoint(tmp_path / "x.safetensors", BUILD)
    assert torch.equal(loaded.state_dict()["inside.weight"], network.inside.weight.float())


def test_the_record_says_all_that_was_said(saved: Path) -> None:
    record = read_record(saved)
    assert record.about == ABOUT
    assert record.config == {"levels": 1, "channels": 6, "inner": {"sizes": [[2, 2], [4, 3]], "slope": 0.2}}
    assert record.size_bytes == saved.stat().st_size
    assert record.sha256 == hashlib.sha256(saved.read_bytes()).hexdigest()
    assert record == save_checkpoint(saved, load_checkpoint(saved, BUILD), ABOUT)


def test_the_same_network_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "again.safetensors", load_checkpoint(saved, BUILD), ABOUT)
    for suffix in (".safetensors", ".json"):
        assert (tmp_path / f"again{suffix}").read_bytes() == saved.with_suffix(suffix).read_bytes()


def test_loading_leaves_the_random_numbers_as_they_were(saved: Path) -> None:
    state = torch.random.get_rng_state()
    load_checkpoint(saved, BUILD)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("step", ["tensors", "record", "rename"])
def test_a_kill_at_any_step_leaves_the_old_or_the_new_checkpoint(
    saved: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    old, new = load_checkpoint(saved, BUILD), toy()

    def write(path: Path, data: bytes, dies_at: str) -> None:
        if dies_at == ("record" if path.suffix == ".json" else "tensors"):
            raise KeyboardInterrupt
        path.write_bytes(data)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_whole", partial(write, dies_at=step))
        patch.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(saved, new, ABOUT)
    expected = new if step == "rename" else old
    loaded = load_checkpoint(saved, BUILD)
    assert torch.equal(loaded.state_dict()["inside.weight"], expected.state_dict()["inside.weight"])

    # The next save is killed early, too: what was loaded a moment ago is still there.
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_whole", partial(write, dies_at="record"))
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(saved, toy(), ABOUT)
    again = load_checkpoint(saved, BUILD)
    assert torch.equal(again.state_dict()["inside.weight"], expected.state_dict()["inside.weight"])

    save_checkpoint(saved, old, ABOUT)
    assert sorted(path.name for path in saved.parent.iterdir()) == ["shape.json", "shape.safetensors"]
    last = load_checkpoint(saved, BUILD)
    assert torch.equal(last.state_dict()["inside.weight"], old.state_dict()["inside.weight"])


def test_a_full_disk_leaves_the_old_checkpoint(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(saved, toy(), ABOUT)
    load_checkpoint(saved, BUILD)
    assert len(list(saved.parent.iterdir())) == 2


@pytest.mark.parametrize("keep", [0, 7, 500, -1])
def test_truncated_tensors_are_refused(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(OSError, match=r"bytes where its \.json file says .*; it must be whole .*; copy it again"):
        load_checkpoint(saved, BUILD)


def test_garbled_tensors_are_refused(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    data[-5] ^= 1
    saved.write_bytes(bytes(data))
    with pytest.raises(OSError, match=r"has SHA-256 .*, not .*; it must be whole .*; copy"):
        load_checkpoint(saved, BUILD)


@pytest.mark.parametrize("data", [b"", pickle.dumps({"x": 1}), b"\xff" * 64])
def test_a_file_in_another_format_is_refused_even_with_its_sum_right(saved: Path, data: bytes) -> None:
    replace_tensors(saved, data)
    with pytest.raises(OSError, match=r"is garbled .*; it must be whole"):
        load_checkpoint(saved, BUILD)


@pytest.mark.parametrize("name", ["shape.pt", "shape.pth", "shape.json", "shape"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"is no \.safetensors file; .*never pickles.*; give"):
        load_checkpoint(tmp_path / name, BUILD)
    with pytest.raises(ValueError, match=r"is no \.safetensors file"):
        save_checkpoint(tmp_path / name, toy(), ABOUT)


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_one_file_without_the_other_is_refused(saved: Path, suffix: str) -> None:
    saved.with_suffix(suffix).unlink()
    with pytest.raises(OSError, match=f"shape{suffix} is no file; .*; .*copy both"):
        load_checkpoint(saved, BUILD)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"kind": "shape"}', '{"version": true}', "[" * 100_000])
def test_garbled_json_is_refused(saved: Path, text: str) -> None:
    saved.with_suffix(".json").write_text(text)
    with pytest.raises(OSError, match=r"shape\.json (is no JSON|has no version).*; it must be whole .*; copy"):
        read_record(saved)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda v: v.update(version=2, voin="9.1"), r"version 2; voin .* reads version 1; .*\(9\.1\)"),
        (lambda v: v.pop("sha256"), "lacks sha256"),
        (lambda v: v.update(more=1), "more is no setting"),
        (lambda v: v.update(precision="fp8"), "precision is 'fp8'; it must be one of fp16, fp32"),
        (lambda v: v.update(classes="bear"), "classes is 'bear'; it must be a list"),
        (lambda v: v.update(use=[128]), r"has \[128\] as use; it must be an object"),
        (lambda v: v["recipe"].update(minutes="3"), "recipe.minutes is '3'"),
        (lambda v: v["recipe"].update(minutes=-1), "minutes is -1.0; it must be finite, at least 0"),
        (lambda v: v.update(kind="../shape"), "kind is '../shape'; it must be a word"),
        (lambda v: v.pop("config"), "has None as config; it must be an object"),
        (lambda v: v.update(scores={"iou": "good"}), "as scores; it must be names with numbers"),
        (lambda v: v.update(scores={"iou": float("nan")}), "the score iou is nan"),
        (lambda v: v.update(scores={"iou": 10**400}), "not as voin writes it"),
    ],
)
def test_a_record_with_other_entries_is_refused(saved: Path, edit: Callable[[dict], Any], message: str) -> None:
    change(saved, edit)
    with pytest.raises(ValueError, match=message):
        read_record(saved)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda c: c.update(depth=4),
            "config.depth is no setting; config must have one of levels, channels, inner; .*a newer voin",
        ),
        (lambda c: c["inner"].update(depth=4), "config.inner.depth is no setting; .*install a newer voin"),
        (lambda c: c.pop("levels"), "config lacks levels; every setting must be given"),
        (lambda c: c.update(unit=0.5), "config.unit is 0.5; it must be 0.02 in this version; install the voin that"),
        (lambda c: c["inner"].update(slope="steep"), "config.inner.slope is 'steep'; it must be a finite number"),
        (lambda c: c.update(channels=0), "channels is 0; it must be finite, at least 1"),
    ],
)
def test_a_config_that_the_network_does_not_know_is_refused(
    saved: Path, edit: Callable[[dict], Any], message: str
) -> None:
    change(saved, lambda v: edit(v["config"]))
    with pytest.raises(Refusal, match=r"shape\.json does not fit voin .*; " + message) as refusal:
        load_checkpoint(saved, BUILD)
    assert isinstance(refusal.value, ValueError)
    assert len(refusal.value.parts) == 3


@pytest.mark.parametrize(
    "edit",
    [
        lambda c: c.pop("channels"),
        lambda c: c.pop("inner"),
        lambda c: c["inner"].pop("slope"),
        lambda c: c.update(widths=c.pop("channels")),
        lambda c: c.update(width=c.pop("channels")),
        lambda c: c.update(unit=0.02),
    ],
    ids=["lacks a setting", "lacks a group", "lacks one of a group", "its former name", "an older one", "a constant"],
)
def test_an_older_config_is_the_same_network(saved: Path, edit: Callable[[dict], Any]) -> None:
    before = load_checkpoint(saved, BUILD)
    change(saved, lambda v: edit(v["config"]))
    after = load_checkpoint(saved, BUILD)
    assert after.config == before.config
    assert all(torch.equal(one, other) for one, other in zip(before.parameters(), after.parameters(), strict=True))


@dataclass(frozen=True)
class ToyUse(Checked):
    size: int | None = 128
    certainty: float = setting(0.6, above=0, below=1)


def test_how_a_network_is_used_stands_in_its_file_and_has_defaults(saved: Path) -> None:
    assert read_use(saved, ToyUse) == ToyUse()
    change(saved, lambda v: v.pop("use"))
    assert read_use(saved, ToyUse) == ToyUse()
    save_checkpoint(saved, toy(), replace(ABOUT, use={"size": None}))
    assert read_record(saved).about.use == {"size": None}
    assert read_use(saved, ToyUse) == ToyUse(size=None)
    for use, message in (({"certainty": 2.0}, "certainty is 2.0; .* below 1"), ({"mood": 1}, "use.mood is no setting")):
        save_checkpoint(saved, toy(), replace(ABOUT, use=use))
        with pytest.raises(ValueError, match=r"shape\.json does not fit voin .*; " + message):
            read_use(saved, ToyUse)


def test_another_kind_is_refused(saved: Path) -> None:
    kinds = {"flow": (ToyConfig, Toy), "generator": (ToyConfig, Toy)}
    with pytest.raises(ValueError, match="kind 'shape'; it must be flow or generator; give another file"):
        load_checkpoint(saved, kinds)


def test_other_keys_are_refused(saved: Path) -> None:
    tensors = safetensors.torch.load(saved.read_bytes())
    tensors["inside.scale"] = tensors.pop("inside.weight")
    replace_tensors(saved, safetensors.torch.save(tensors))
    message = r"lacks inside\.weight and has the unknown inside\.scale; .* exactly .*; install the voin"
    with pytest.raises(ValueError, match=message):
        load_checkpoint(saved, BUILD)


def test_of_many_other_keys_the_first_are_named(saved: Path) -> None:
    replace_tensors(saved, safetensors.torch.save({}))
    with pytest.raises(ValueError, match=r"lacks again\.bias, again\.weight, inside\.bias and \d+ more; "):
        load_checkpoint(saved, BUILD)


@pytest.mark.parametrize("axis", range(4))
def test_other_shapes_are_refused_in_each_axis(saved: Path, axis: int) -> None:
    tensors = safetensors.torch.load(saved.read_bytes())
    weight = tensors["inside.weight"]
    tensors["inside.weight"] = weight.narrow(axis, 0, weight.shape[axis] - 1).contiguous()
    replace_tensors(saved, safetensors.torch.save(tensors))
    with pytest.raises(ValueError, match=r"inside\.weight as \(.*\) float32; .* has \(6, 3, 3, 3\) float32; install"):
        load_checkpoint(saved, BUILD)


def test_a_config_of_another_size_is_refused(saved: Path) -> None:
    change(saved, lambda v: v["config"].update(channels=8))
    with pytest.raises(ValueError, match=r"inside\.weight as \(6, 3, 3, 3\) float32; .* has \(8, 3, 3, 3\) float32; "):
        load_checkpoint(saved, BUILD)


@pytest.mark.parametrize(
    ("name", "dtype"), [("inside.weight", torch.float16), ("norm.num_batches_tracked", torch.float32)]
)
def test_other_types_are_refused(saved: Path, name: str, dtype: torch.dtype) -> None:
    tensors = safetensors.torch.load(saved.read_bytes())
    tensors[name] = tensors[name].to(dtype)
    replace_tensors(saved, safetensors.torch.save(tensors))
    with pytest.raises(ValueError, match=f"{name} as .* {str(dtype)[6:]}; .*; install"):
        load_checkpoint(saved, BUILD)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_not_saved(saved: Path, value: float) -> None:
    network = toy()
    network.inside.weight.data[2] = value
    before = saved.read_bytes()
    with pytest.raises(ValueError, match=r"inside\.weight is not finite; weights must be finite in fp32; "):
        save_checkpoint(saved, network, ABOUT)
    assert saved.read_bytes() == before


def test_weights_that_are_too_large_for_fp16_are_not_saved_in_it(tmp_path: Path) -> None:
    network = toy()
    network.inside.weight.data[2] = 1e6
    with pytest.raises(
        ValueError, match=r"inside\.weight reaches 1e\+06; weights must be finite in fp16; save as fp32"
    ):
        save_checkpoint(tmp_path / "x.safetensors", network, ABOUT, precision="fp16")
    save_checkpoint(tmp_path / "x.safetensors", network, ABOUT)


def test_a_network_without_a_config_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Linear\.config is None; it must be the dataclass .*; set it"):
        save_checkpoint(tmp_path / "x.safetensors", nn.Linear(2, 2), ABOUT)


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="the score psnr is inf; scores must be finite; leave it out"):
        replace(ABOUT, scores={"psnr": float("inf")})
