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
