"""Every command that the documents show is real; those of README.md and docs/start are run, on a tiny clip."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from fakes.copies import run_copy
from sets import voi_sources

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCUMENTS = sorted([README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
START = sorted((ROOT / "docs" / "start").glob("*.md"))
# Run as they stand. The others take long (demo, bench, those that need weights): their options are checked.
QUICK = {"complete", "mask", "doctor", "data", "evaluate"}
SLOW_OPTIONS = {"raft-small", "raft-large", "--raft-weights", "--lpips-weights", "cuda"}
# Programs of the shell that a document may show without our having anything to check.
FOREIGN = {"cd", "cp", "mkdir", "git", "docker", "source", "open", "xdg-open", "pre-commit", "export", "ray"}


def blocks(path: Path, language: str) -> list[str]:
    if not path.exists():
        return []
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[list[str]]:
    """Split a shell block into commands of words; continued lines are joined, comments and assignments left out."""
    split = [shlex.split(line, comments=True) for line in block.replace("\\\n", " ").replace("&&", "\n").splitlines()]
    bare = [[*words[next((i for i, word in enumerate(words) if "=" not in word), len(words)) :]] for words in split]
    return [words for words in bare if words]


def cases(documents: list[Path]) -> list[Any]:
    return [
        pytest.param(words, id=f"{path.relative_to(ROOT)}: {shlex.join(words)}")
        for path in documents
        for block in blocks(path, "bash")
        for words in commands(block)
    ]


PLAIN = {"COLUMNS": "250", "NO_COLOR": "1", "TERM": "dumb"}


@cache
def help_text(*command: str) -> str:
    done = run_copy(["voin", *command, "--help"], ROOT, PLAIN)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_voin(words: list[str]) -> None:
    """Refuse a `voin` command whose subcommand or options its help does not list."""
    depth = 2 if words[1:2] in (["data"], ["masks"]) else 1
    command = words[1 : 1 + depth] if len(words) > depth and not words[1].startswith("-") else []
    text = help_text(*command)
    for word in words[1:]:
        if word.startswith("-"):
            option = word.partition("=")[0]
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), f"{shlex.join(command)} has no {option}"


def check_pip(words: list[str]) -> None:
    """Refuse extras that pyproject.toml does not have."""
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extras in re.findall(r"\[([\w,-]+)\]", " ".join(words)):
        assert set(extras.split(",")) <= set(known)


def check_make(words: list[str]) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {word for word in words[1:] if "=" not in word} <= set(targets)


@pytest.mark.parametrize("words", cases(DOCUMENTS))
def test_each_command_of_the_documents_exists(words: list[str]) -> None:
    program = Path(words[0]).name
    if program == "voin":
        check_voin(words)
    elif program == "make":
        check_make(words)
    elif program == "pip" or words[1:3] == ["-m", "pip"]:
        check_pip(words)
    elif words[1:3] == ["-m", "venv"]:
        pass
    elif words[1:3] == ["-m", "voin"]:
        check_voin(words[2:])
    elif program.startswith(("python", "bash")) or "/" in words[0]:
        script = words[1] if program.startswith(("python", "bash")) else words[0]
        assert (ROOT / script).is_file()
    elif program in {"pytest", "ruff", "pyright"}:
        assert shutil.which(program, path=str(Path(sys.executable).parent))
    else:
        assert program in FOREIGN, f"{shlex.join(words)}: say in {Path(__file__).name} how to check it"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that README.md names: a textured square that passes behind a bar, its masks; a DAVIS."""
    h, w, t = 96, 128, 10
    random = np.random.default_rng(0)
    ground = cv2.resize(random.integers(60, 120, (12, 16, 3), dtype=np.uint8), (w, h), interpolation=cv2.INTER_CUBIC)
    texture = random.integers(120, 256, (40, 40, 3), dtype=np.uint8)
    for name in ("frames", "masks", "amodal", "occluder"):
        (tmp_path / name).mkdir()
    bar = np.zeros((h, w), bool)
    bar[:, 60:72] = True
    with av.open(str(tmp_path / "video.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = w, h, "yuv420p"
        for number in range(t):
            frame, amodal = ground.copy(), np.zeros((h, w), bool)
            left = 20 + 4 * number
            frame[28:68, left : left + 40] = texture
            amodal[28:68, left : left + 40] = True
            frame[bar] = (200, 30, 30)
            cv2.imwrite(str(tmp_path / "frames" / f"{number:05d}.png"), frame[..., ::-1])
            for name, mask in (("masks", amodal & ~bar), ("amodal", amodal), ("occluder", bar)):
                cv2.imwrite(str(tmp_path / name / f"{number:05d}.png"), mask.astype(np.uint8) * 255)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.astype(np.uint8), format="rgb24")))
        container.mux(stream.encode())
    (tmp_path / "cuts.txt").write_text("6\n")
    voi_sources.davis(tmp_path / "DAVIS", ["bear", "bus"], ["dog"])
    return tmp_path


def is_quick(words: list[str]) -> bool:
    return (
        words[0] == "voin" and (set(words[1:2]) & QUICK != set() or "--help" in words) and not SLOW_OPTIONS & set(words)
    )


# A block of README.md stands by itself, a page of docs/start goes on from block to block.
COPIED = [*blocks(README, "bash"), *("".join(blocks(path, "bash")) for path in START)]


@pytest.mark.parametrize("block", [block for block in COPIED if any(map(is_quick, commands(block)))])
def test_the_quick_commands_that_a_newcomer_copies_run(block: str, folder: Path) -> None:
    for words in filter(is_quick, commands(block)):
        done = run_copy(words, folder, PLAIN)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("block", [block for path in [README, *START] for block in blocks(path, "python")])
def test_the_python_that_a_newcomer_copies_runs(block: str, folder: Path) -> None:
    done = run_copy(block, folder, PLAIN)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_shows_the_commands_that_a_newcomer_needs() -> None:
    shown = {" ".join(words[:2]) for block in blocks(README, "bash") for words in commands(block)}
    assert {"make demo", "make test", "voin complete"} <= shown


@pytest.mark.parametrize("words", [["voin", "complete", "--nonsense"], ["voin", "absent"], ["make", "absent"]])
def test_a_command_that_does_not_exist_is_noticed(words: list[str]) -> None:
    with pytest.raises(AssertionError):
        (check_voin if words[0] == "voin" else check_make)(words)
