"""The notebook, run cell by cell in this process: no kernel is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voin
from scenes.hidden_clips import inpainter

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "quickstart.ipynb"
SPAN = "start, end = 190, 214"


def cells(kind: str) -> list[str]:
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"])
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == kind]


def test_the_notebook_is_kept_without_what_a_run_has_left() -> None:
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_links_of_the_notebook_lead_to_files() -> None:
    links = [link.split(")")[0] for cell in cells("markdown") for link in cell.split("](")[1:]]
    assert links
    assert all((NOTEBOOK.parent / link).is_file() for link in links)


@pytest.mark.parametrize("method", ["small parts", pytest.param("its own", marks=pytest.mark.slow)])
def test_every_cell_runs_on_the_clip_of_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bikes: Path, method: str
) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    shown: list[int] = []
    names: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)
    if method == "small parts":
        monkeypatch.setattr(voin, "load", lambda method: inpainter(64), raising=False)
    for number, cell in enumerate(cells("code")):
        # Few frames: all cells, in a fraction of the time.
        assert number or SPAN in cell
        exec(compile(cell.replace(SPAN, "start, end = 203, 207"), f"cell {number}", "exec"), names)
        shown += [len(pyplot.figure(figure).axes) for figure in pyplot.get_fignums()]
        pyplot.close("all")
    assert shown == [2, 3, 3]
    assert names["record"]["totals"]["occluded"] > 1000
    # The small parts find nothing of so few frames behind the man alone.
    for folder in ("bicycle", "behind") if method == "its own" else ("bicycle",):
        after = names["read_picture"](tmp_path / "quickstart-out" / folder / "completed" / f"{names['frame']:05d}.png")
        changed = (after != names["before"]).any(axis=2)
        assert 100 < np.count_nonzero(changed) < 0.2 * changed.size
