"""`voin data build` and `voin data verify` as a user meets them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sets import voi_sources
from voin.cli import data as cli_data
from voin.data.sets import open_set


def call(*words: str | Path) -> tuple[int, str, str]:
    """Run a command in this process; gives exit code, output, and errors."""
    done = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(cli_data.data_app, list(map(str, words)))
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small DAVIS; not to be changed."""
    return voi_sources.davis(tmp_path_factory.mktemp("davis"), ["bear", "bus"], ["dog"])


def test_build_and_verify_say_what_they_did(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    code, said, wrong = call(
        *("build", source, "-o", out, "--layout", "davis", "--seed", "5", "--size", "72x48", "--composites")
    )
    assert (code, wrong) == (0, "")
    first, second, last = said.splitlines()
    assert first == "train: 2 clips of 2 videos, 20 frames"
    assert second == "validation: 1 clip of 1 video, 10 frames"
    assert last.startswith(f"Set in {out}, ")
    manifest = open_set(out).manifest
    assert manifest.seed == 5
    assert {record.size for record in manifest.clips} == {(48, 72)}
    assert manifest.settings["composites"] is True
    assert call("verify", out) == (0, f"{out}: all is well\n", "")
    assert call("verify", out, "--quiet") == (0, "", "")


def test_what_was_left_out_is_said_and_only_the_asked_split_is_built(source: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(source, tmp_path / "source")
    (broken / "JPEGImages" / "480p" / "bus" / "00004.jpg").unlink()
    code, said, _ = call(
        *("build", broken, "-o", tmp_path / "set", "--layout", "davis", "--size", "72x48", "--split", "train")
    )
    assert code == 0
    assert said.splitlines()[:2] == ["train: 1 clip of 1 video, 10 frames", "left out: 1 missing or broken files"]
    assert not (tmp_path / "set" / "validation").exists()


def test_a_split_without_clips_is_warned_of(tmp_path: Path) -> None:
    voi_sources.folder(tmp_path / "source", videos=1)
    words = ("--layout", "folder", "--size", "96x64")
    code, _, wrong = call("build", tmp_path / "source", "-o", tmp_path / "set", *words)
    assert (code, wrong.strip()) == (0, "There is no validation clip in this set")
    code, _, wrong = call("build", tmp_path / "source", "-o", tmp_path / "one", *words, "--split", "train")
    assert (code, wrong) == (0, "")


def test_verify_names_the_faults_and_fails(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    call("build", source, "-o", out, "--layout", "davis", "--size", "72x48", "--quiet")
    (out / "train" / "Visible" / "bear" / "00002.png").unlink()
    code, said, wrong = call("verify", out)
    assert (code, said) == (1, "")
    assert wrong.splitlines() == ["train/bear: Visible/00002.png is missing", f"1 fault in {out}"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--layout", "youtube-vos"], "it holds Annotations/, ImageSets/, JPEGImages/"),
        (["--layout", "folder"], "the layout folder has VIDEO/frames"),
        (["--layout", "davis", "--size", "huge"], "it must be width x height"),
        (["--layout", "davis", "--workers", "0"], "workers is 0"),
        (["--layout", "davis", "--share-validation", "2"], "share_validation is 2"),
    ],
)
def test_bad_input_is_refused_in_three_parts(source: Path, tmp_path: Path, words: list[str], told: str) -> None:
    code, said, wrong = call("build", source, "-o", tmp_path / "set", *words)
    assert (code, said) == (2, "")
    assert told in wrong
    assert wrong.startswith("Error: ")
    assert len(wrong.splitlines()) == 3
    assert not (tmp_path / "set").exists()


def test_a_set_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"version": 99}))
    code, _, wrong = call("verify", tmp_path)
    assert code == 2
    assert "is of version 99" in wrong


def test_help_needs_no_torch() -> None:
    code = "import sys, voin.cli.data; print(sorted({'torch', 'cv2', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
