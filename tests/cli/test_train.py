from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fakes.tiny_training import TINY, options
from voin.cli.app import app
from voin.core.config import paths
from voin.training.config import PRESETS
from voin.weights.checkpoint import read_record

pytest.importorskip("lightning", reason="lightning not installed; run pip install 'voin[train]'")
pytest.importorskip("tensorboard", reason="tensorboard not installed; run pip install 'voin[train]'")


def invoke(*words: object):
    return CliRunner().invoke(app, ["train", *map(str, words)])


def tiny() -> list[str]:
    """Give the `--set` options that make the preset tiny."""
    small = paths(PRESETS["small"])
    changed = {path: value for path, value in paths(TINY).items() if value != small[path]}
    texts = {path: str(value).replace("(", "[").replace(")", "]").replace(",]", "]") for path, value in changed.items()}
    return [word for path, text in texts.items() for word in ("--set", f"{path}={text}")]


def test_a_run_by_the_command_line(tmp_path: Path) -> None:
    given = options(tmp_path, "shape")
    words = ("shape", "--pack", given.pack, "--cutouts", given.cutouts, "-o", given.out, "--device", "cpu", *tiny())
    done = invoke(*words)
    assert done.exit_code == 0, done.output
    assert "validation at step 6" in done.output
    about = read_record(given.out / "best" / "shape.safetensors").about
    # Folders of whoever trained are nobody's business.
    assert str(tmp_path) not in about.recipe.command
    again = invoke(*words)
    assert again.exit_code == 2
    assert "--resume" in again.output
    assert invoke(*words, "--resume", "--quiet").exit_code == 0


def test_inpaint_is_an_older_name_of_fill(tmp_path: Path) -> None:
    given = options(tmp_path, "fill")
    words = ("--pack", given.pack, "--cutouts", given.cutouts, "-o", given.out, "--device", "cpu", *tiny())
    older = ("--set", "steps=1", "--set", "visits=2", "--set", "imitation.share=0.5", "--set", "loss.inpaint=2")
    newer = (
        "--set",
        "steps=1",
        "--set",
        "echoes=2",
        "--set",
        "simulated_propagation.share=0.5",
        "--set",
        "loss.fill=2",
    )
    done = invoke("inpaint", *words, *older)
    assert done.exit_code == 0, done.output
    assert (given.out / "best" / "generator.safetensors").exists()
    # The same run: it goes on under either name.
    assert invoke("fill", *words, *newer, "--resume", "--quiet").exit_code == 0
    assert "inpaint" not in invoke("--help").output
    wrong = invoke("paint", *words)
    assert wrong.exit_code == 2
    assert "'paint' is not one of 'shape'" in wrong.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--set", "shape.deep=3"], "shape.depth"),
        (["--set", "loss.patch=-1"], "must be finite, at least 0"),
        (["--init", "no/such/folder"], "no model"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, words: list[str], told: str) -> None:
    given = options(tmp_path, "shape")
    done = invoke("shape", "--pack", given.pack, "-o", given.out, "--device", "cpu", *tiny(), *words)
    assert done.exit_code == 2, done.output
    assert told in done.output


def test_a_run_that_was_refused_can_be_started_rightly(tmp_path: Path) -> None:
    given = options(tmp_path, "shape")
    words = ("shape", "--pack", given.pack, "-o", given.out, "--device", "cpu", *tiny())
    assert invoke(*words, "--set", "sampler.partial=nobody").exit_code == 2
    done = invoke(*words)
    assert done.exit_code == 0, done.output


def test_a_pack_that_is_not_there_is_refused_with_what_to_do(tmp_path: Path) -> None:
    done = invoke("shape", "--pack", tmp_path / "none.pack", "-o", tmp_path / "run", "--device", "cpu")
    assert done.exit_code == 2
    assert "voin data pack" in done.output
    assert not (tmp_path / "run").exists()
