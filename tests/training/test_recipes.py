"""Recipes are run with a `voin` that only writes down what it is asked for, or refuses."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from voin.benchmark.paper.options import WHAT

RECIPES = Path(__file__).parents[2] / "recipes"
REFUSAL = "partial names bmx-bumps; it must name some of the pack's"


def run(folder: Path, recipe: str, *words: str, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a recipe where `voin` is this shell script."""
    (folder / "bin").mkdir(exist_ok=True)
    voin = folder / "bin" / "voin"
    voin.write_text(f"#!/bin/sh\n{script}\n")
    voin.chmod(0o755)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    command = ["sh", str(RECIPES / recipe), *words]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env={**os.environ, "PATH": path, **variables}, check=False
    )


def test_the_papers_recipe_has_one_view_and_takes_raft_by_path(tmp_path: Path) -> None:
    words = ("videos", "out", "8", "raft.pt")
    assert "raft.pt is no file" in run(tmp_path, "paper.sh", *words, script="exit 0").stderr
    (tmp_path / "raft.pt").touch()
    for stage in ("shape", "flow", "fill"):
        (tmp_path / "out" / stage / "best").mkdir(parents=True)
        (tmp_path / "out" / stage / "best" / f"{stage}.json").touch()
    done = run(tmp_path, "paper.sh", *words, script=f'echo "$@" >> {tmp_path}/asked')
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "asked").read_text().splitlines()
    packs, trained = ([line for line in asked if line.startswith(word)] for word in ("data pack", "train"))
    assert [line.split()[1] for line in trained] == ["shape", "flow", "fill", "joint"]
    assert len(packs) == 2
    assert all("--whole-frames --size 384" in line for line in packs)
    assert all("--preset paper" in line for line in [*trained, asked[-1]])
    assert all("raft.pt" in line for line in [*trained, asked[-1]])


CALLS = {
    "small_cpu.sh": (".", ".", "out"),
    "small_gpu.sh": ("train.pack", "cutouts.pack", "validation.pack", "alexnet.pt", "out"),
}
# Refuses to train, and makes sets and packs of nothing.
REFUSES = f'[ "$1" = train ] || exit 0; echo "{REFUSAL}" >&2; exit 2'


@pytest.mark.parametrize("recipe", CALLS)
def test_a_recipe_whose_training_is_refused_says_why_and_fails(tmp_path: Path, recipe: str) -> None:
    done = run(tmp_path, recipe, *CALLS[recipe], script=REFUSES)
    assert done.returncode != 0
    assert REFUSAL in done.stderr


@pytest.mark.parametrize("recipe", CALLS)
@pytest.mark.parametrize(
    ("partial", "asked"), [(None, "bmx-bumps,bus,dog-agility,soccerball"), ("", ""), ("a,b", "a,b")]
)
def test_the_names_of_partly_hidden_videos_are_those_of_the_set(
    tmp_path: Path, recipe: str, partial: str | None, asked: str
) -> None:
    variables = {} if partial is None else {"PARTIAL": partial}
    run(tmp_path, recipe, *CALLS[recipe], script=f'echo "$@" >> {tmp_path}/asked; {REFUSES}', **variables)
    trained = [line.split() for line in (tmp_path / "asked").read_text().splitlines() if line.startswith("train")]
    assert trained
    assert all(f"sampler.partial={asked}" in words for words in trained)


def test_the_recipe_of_the_tables_asks_for_all_of_them_with_one_budget(tmp_path: Path) -> None:
    more = {"CUTOUTS": "cutouts.pack", "VIDEO": "clip.mp4", "MASKS": "masks", "OCCLUDER": "walker", "PARTIAL": "a,b"}
    # Both chains write at once, each line whole.
    done = run(tmp_path, "paper_tables.sh", "set", "train.pack", "out", "9", script='echo "$@" >> asked', **more)
    assert done.returncode == 0, done.stderr
    asked = [line.split() for line in (tmp_path / "asked").read_text().splitlines()]
    assert sorted(words[1] for words in asked) == sorted(WHAT)
    assert all("--budget 9 --seeds 1 --change sampler.partial=a,b" in " ".join(words) for words in asked)
    assert all("--cutouts cutouts.pack" in " ".join(words) for words in asked)
    assert asked[-1][-6:] == ["--video", "clip.mp4", "--masks", "masks", "--occluder", "walker"]
    planned = run(tmp_path, "paper_tables.sh", "set", "train.pack", "out", script="exit 3", PLAN="1")
    assert planned.returncode == 3
    for failing in ("table3", "table4"):
        script = f'[ "$2" != {failing} ] || exit 2; echo "$2" >> {failing}'
        assert run(tmp_path, "paper_tables.sh", "set", "train.pack", "out", script=script).returncode == 2
        assert "figure6" not in (tmp_path / failing).read_text()


def test_make_paper_says_what_it_lacks(tmp_path: Path) -> None:
    for name in ("pyvenv.cfg", ".dev"):
        (tmp_path / name).touch()
    command = ["make", "-C", str(RECIPES.parent), "paper", f"VENV={tmp_path}", "-o", f"{tmp_path}/.dev"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "SET and PACK are missing" in done.stderr
