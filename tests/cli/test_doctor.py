from __future__ import annotations

import io
import json
import re
import tomllib
from pathlib import Path

import pytest
from rich.console import Console

from fakes.tiny_model import save_model
from voin.cli import doctor
from voin.tracking import sam2
from voin.weights import hub as models

ROOT = Path(__file__).resolve().parents[2]


def shown(found: dict) -> str:
    console = Console(file=io.StringIO(), width=120)
    doctor.show(found, console)
    return console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


def test_the_report_is_plain_json_of_a_sound_machine() -> None:
    found = doctor.report()
    assert json.loads(json.dumps(found)) == found
    assert found["problems"] == []
    assert found["packages"]["torch"]
    assert found["devices"]["cpu"]["cores"] >= 1
    assert found["codecs"].keys() == doctor.CODECS.keys()
    assert found["codecs"]["libx264"]
    assert "libavcodec" in found["ffmpeg"]
    assert min(found["disk"].values()) > 0


@pytest.mark.parametrize(("version", "told"), [("13.0", True), (None, False)])
def test_without_a_card_it_says_that_a_smaller_torch_will_do(
    version: str | None, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.version.cuda", version)
    monkeypatch.setattr("torch.version.hip", None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert ("torch's build for processors alone" in " ".join(shown(doctor.report()).split())) == told


def test_the_extras_are_those_of_the_project() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(doctor.EXTRAS) == set(extras) - {"dev", "docs"}  # for work on voin itself


def test_raft_weights_are_found_where_torchvision_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert doctor.report()["weights"] == {"classical": "none needed", "raft-small": None, "raft-large": None}
    path = tmp_path / "hub" / "checkpoints" / "raft_small_C_T_V2-01064c6d.pth"
    path.parent.mkdir(parents=True)
    path.touch()
    assert doctor.report()["weights"]["raft-small"] == str(path)


def test_the_models_that_ship_are_told_with_their_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "WEIGHTS", tmp_path)
    found = doctor.report()
    assert found["models"] == {}
    assert "use --method classical, or give a model: --model FOLDER" in shown(found)
    folder = save_model(tmp_path / "small")
    found = doctor.report()
    assert json.loads(json.dumps(found)) == found
    assert list(found["models"]["small"]) == ["shape", "flow", "generator"]
    shape = found["models"]["small"]["shape"]
    assert shape["bytes"] == (folder / "shape.safetensors").stat().st_size
    assert (shape["minutes"], shape["scores"]) == (12, {"iou, DAVIS": 0.5})
    text = " ".join(shown(found).split())
    assert re.search(r"small generator 0\.\d MB fp16 trained 12 min on 2 CPU cores; iou, DAVIS 0\.5", text)
    (folder / "flow.json").write_text("{")
    assert f"models cannot be looked at: {folder / 'flow.json'}" in doctor.report()["problems"][0]


def test_what_is_broken_is_told_and_the_rest_is_still_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("libtorch.so: cannot open shared object file")

    monkeypatch.setattr(doctor, "_devices", broken)
    monkeypatch.setattr(doctor, "_codecs", lambda: dict.fromkeys(doctor.CODECS, False))
    found = doctor.report()
    assert len(found["problems"]) == 2
    text = shown(found)
    assert "devices cannot be looked at: OSError: libtorch.so" in text
    assert "no libx264, the default codec; use --png" in text
    assert found["voin"] in text


def test_it_says_what_extras_bring_and_which_tracker_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sam2, "has_sam2", lambda: False)
    found = doctor.report()
    assert found["tracker"] == {"auto": "grabcut", "sam2_weights": False}
    text = " ".join(shown(found).split())
    assert "auto grabcut needs no weights; those of SAM 2 are not here" in text
    for _, brings in doctor.EXTRAS.values():
        assert brings in text
    monkeypatch.setattr(sam2, "has_sam2", lambda: True)
    assert "auto sam2 its weights are here" in " ".join(shown(doctor.report()).split())


def test_a_missing_extra_is_shown_with_the_command_that_adds_it() -> None:
    found = doctor.report()
    found["extras"] = {"raft": False, "web": True}
    text = shown(found)
    assert 'pip install "voin[raft]"' in text
    assert "voin[web]" not in text
