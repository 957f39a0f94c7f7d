from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from fakes.tiny_model import save_model
from sets.voi_sets import BARS, write_set
from voin.cli import evaluate as cli_evaluate

app = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False)
app.command(epilog=cli_evaluate.EXAMPLES)(cli_evaluate.evaluate)


@app.callback()
def _voin() -> None:
    """So that `evaluate` is a command of several."""


def call(*words: str | Path) -> tuple[int, str, str]:
    """Run the command in this process; gives exit code, output, and errors."""
    done = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, ["evaluate", *map(str, words)])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    write_set(folder, BARS[:2])
    return folder


def test_help_lists_examples_and_groups() -> None:
    code, text, _ = call("--help")
    assert code == 0
    assert "voin evaluate" in text[text.index("Examples") :]
    for group in ("Methods", "What is judged", "Which clips", "Output", "Run"):
        assert f"─ {group} ─" in text


def test_it_writes_tables_and_page_and_says_one_line(root: Path, tmp_path: Path) -> None:
    code, text, errors = call(root, "--methods", "telea,visible,h=hull", "-o", tmp_path, "--no-pictures")
    assert (code, errors) == (0, "")
    assert text.splitlines() == [f"{tmp_path}: 2 clips, 8 frames, 0 failures"]
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert list(results["tables"]["end to end"]) == ["telea", "visible", "h"]
    assert {path.name for path in tmp_path.iterdir()} == {".scores", "results.json", "results.md", "index.html"}


def test_quiet_says_nothing(root: Path, tmp_path: Path) -> None:
    options = ("--methods", "visible", "--setting", "end-to-end", "--clips", "1", "-q")
    assert call(root, "-o", tmp_path, *options) == (0, "", "")
    assert len(json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["clips"]) == 1


def test_a_failing_method_is_told_and_the_exit_code_is_1(root: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs" / "a").mkdir(parents=True)
    code, text, errors = call(
        root, "--methods", "", "--results", f"theirs={tmp_path / 'theirs'}", "-o", tmp_path / "out", "--no-pictures"
    )
    assert code == 1
    assert "1 failure" in text
    assert "b is not there" in errors
    assert (tmp_path / "out" / "results.md").is_file()


def test_degrade_draws_curves(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    words = ("--methods", "visible", "--degrade", "--clips", "a", "--no-pictures", "--split", "validation")
    assert call(root, "-o", tmp_path, *words)[0] == 0
    assert (tmp_path / "degrade.png").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--methods", "nearest"),
            "it must be one of telea, copy, visible, hull, sttn, lgtsm, dfvi, fgvc, pcnet, pcnet-m, pcnet-c, pcnet-mc, "
            "voin, voin-classical-shape",
        ),
        (("--methods", "voin-classical-fill", "--model", "absent"), "'absent' is no model"),
        (("--methods", "telea,telea"), "has telea twice"),
        (("--methods", "telea,,hull"), "names with commas between"),
        (("--methods", "absent_module_of_a_test:Mine"), "no module 'absent_module_of_a_test'"),
        (("--results", "folder"), "it must be NAME=DIR"),
        (("--results", "theirs=absent"), "absent is no folder"),
        (("--clips", "nobody"), "it must be one of a, b"),
        (("--clips", "0"), "there must be at least one"),
        (("--workers", "0"), "there must be at least 1"),
        (("--flow-truth", "raft-small", "--flow-truth-weights", "absent.pt"), "absent.pt is no file"),
    ],
)
def test_bad_options_are_refused_in_three_parts(words: tuple[str, ...], said: str, root: Path, tmp_path: Path) -> None:
    if "--flow-truth" in words:
        pytest.importorskip("torchvision")
    code, text, errors = call(root, "-o", tmp_path / "out", *words)
    assert (code, text) == (2, "")
    assert errors.startswith("Error: ")
    assert said in errors
    assert len(errors.strip().splitlines()) == 3


def test_what_is_no_set_is_refused(tmp_path: Path) -> None:
    code, _, errors = call(tmp_path, "-o", tmp_path / "out")
    assert code == 2
    assert "no VOI set" in errors


def test_networks_and_what_they_are_worth_are_compared_in_one_table(root: Path, tmp_path: Path) -> None:
    names = ["voin", "voin-classical-fill"]
    words = ("--methods", ",".join(names), "--model", save_model(tmp_path / "model"), "--clips", "1", "--no-pictures")
    assert call(root, "-o", tmp_path / "out", *words, "-q") == (0, "", "")
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert list(results["tables"]["given"]) == names
    assert len(results["methods"]["voin"]["settings"]["fill"]["sha256"]) == 12


def test_own_methods_are_found_where_the_command_runs(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    source = "from voin.baselines.hull import HullShape\nclass Mine(HullShape):\n    pass\n"
    (tmp_path / "method_of_a_cli_test.py").write_text(source, encoding="utf-8")
    assert call(root, "--methods", "method_of_a_cli_test:Mine", "-o", "out", "--no-pictures")[0] == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert list(results["methods"]) == ["Mine"]


def test_the_command_is_imported_without_what_is_heavy() -> None:
    code = "import sys, voin.cli.evaluate; print(sorted({'torch', 'cv2', 'av', 'numpy'} & set(sys.modules)))"
    source = str(Path(cli_evaluate.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": source}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
