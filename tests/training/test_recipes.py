"""Recipes are run with a `voin` that only writes down what it is asked for, or refuses."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

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
    "ablations.sh": ("train.pack", "cutouts.pack", "validation.pack", "out"),
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
