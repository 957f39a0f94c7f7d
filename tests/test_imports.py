"""The import table: which module may use which."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import voin

PACKAGE = Path(voin.__file__).parent
MAX_LINES = 500

# A module may import those of the rows above its own, and those to its left in its own row. So no circle can form, and
# whoever opens a file knows what lies below it.
TABLE: tuple[tuple[str, ...], ...] = (
    # Words
    ("clip", "config"),
    # Tools
    (
        *("masks", "warp", "pyramid", "diffuse", "resolution", "cuts", "viz"),
        *("video_info", "pictures", "video_read", "video_write", "video_join", "video"),
        *("mask_read", "mask_frames", "mask_arrays", "mask_files", "frame_blocks", "prompts"),
    ),
    # Parts
    (
        *("window", "object_clip", "motion", "gaps", "outline", "flow_classical", "carry"),
        *("shape_classical", "at_rest", "fill_classical"),
        *("propagation", "afar", "fetch", "blend", "propagated", "patches"),
        *("occluder_shapes", "occluder_paths", "occluder_search", "occlude"),
        *("metrics", "perceptual", "scores"),
        *("augment", "moving_cutouts", "hidden_motion", "imitate"),
        *("mask_smooth", "appearance", "box_evidence", "segment"),
        *("mask_view", "mask_link", "mask_return", "mask_shot", "mask_track", "mask_sam2"),
        *("losses", "attention", "shape", "flow", "layers", "generator", "fill", "discriminators"),
    ),
    # Stores
    (
        *("categories", "source_layouts", "sources", "clip_filter", "manifest", "dataset"),
        *("pack", "cutouts", "device_pack", "checkpoint", "models"),
    ),
    # Jobs
    (
        *("memory", "threads", "options", "preflight", "plan"),
        *("crops", "outputs", "preview", "chunk_writer", "run_record", "job", "mask_output"),
    ),
    # Methods
    ("pipeline", "methods", "baselines", "mask_job"),
    # Runs
    (
        *("workers", "clip_build", "build", "verify", "show_page", "show"),
        *("degrade", "truth_flow", "trials", "judge", "results", "result_tables", "curves", "films"),
        *("report_page", "report", "evaluate"),
        *("sampler", "train_config", "tasks", "validate"),
        *("train_state", "batches", "train_run", "train"),
    ),
    # Faces
    (
        *("doctor", "terminal", "demo_page", "demo", "bench", "cli_options", "cli_demo", "cli_mask"),
        *("web_calls", "web_limits", "web_session", "web_jobs", "web_marks", "web_view", "web_work", "web_studio"),
        *("web_panel", "web_layout", "web_events", "web_guard", "web"),
        *("cli_data", "cli_pack", "cli_evaluate", "cli_train", "cli_serve", "cli", "__main__"),
    ),
)
PLACE = {module: (row, column) for row, modules in enumerate(TABLE) for column, module in enumerate(modules)}
# `__init__` names what is public and imports it at first use; the modules may ask it for nothing but the version.
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


def imports(source: str) -> Iterator[tuple[str, int]]:
    """Yield (module, line) for each import of voin's own modules, inside functions too; `voin.x` gives `x`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name == "voin" or name.name.startswith("voin."):
                    yield name.name.removeprefix("voin").removeprefix("."), node.lineno
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "." * node.level, node.lineno
            elif node.module == "voin":
                for name in node.names:
                    if name.name != "__version__":
                        yield name.name, node.lineno
            elif (node.module or "").startswith("voin."):
                yield (node.module or "").removeprefix("voin."), node.lineno


def faults(module: str, source: str) -> list[str]:
    """Say what in `source`, taken as the text of `module`, breaks the table."""
    found = []
    for name, line in imports(source):
        if name not in PLACE:
            found.append(
                f"{module}.py:{line} imports {name or 'voin'!r}, which is no module of the table; use voin.MODULE"
            )
        elif PLACE[name] >= PLACE[module]:
            found.append(f"{module}.py:{line} imports {name}, which does not stand before it in the table")
    return found


def test_every_module_stands_in_the_table_once() -> None:
    assert sorted(module for row in TABLE for module in row) == MODULES


def test_the_package_is_flat() -> None:
    assert [path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE] == []


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down_the_table(module: str) -> None:
    assert module in PLACE
    assert faults(module, (PACKAGE / f"{module}.py").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_no_file_is_too_long(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{path.name} has {lines} lines; at most {MAX_LINES}; split it by concept"


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("from voin.clip import Frames", 0),
        ("from voin import __version__, clip", 0),
        ("from voin.masks import fill", 0),  # to the left in the same row
        ("from voin.viz import outline", 1),  # itself
        ("from voin.video import read", 1),  # to the right
        ("def f():\n    import voin.cli", 1),
        ("from voin import load", 1),
        ("import voin", 1),
        ("from . import clip", 1),
        ("import numpy\nfrom torch import nn", 0),
    ],
)
def test_the_table_test_sees_each_kind_of_import(source: str, count: int) -> None:
    assert len(faults("viz", source)) == count


def test_the_public_names_are_these() -> None:
    assert sorted(voin.__all__) == ["Inpainter", "__version__", "load"]
    for name in voin.__all__:
        assert getattr(voin, name) is not None
    assert set(voin.__all__) <= set(dir(voin))


def test_an_unknown_public_name_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="public names are Inpainter, __version__, load"):
        voin.absent  # noqa: B018


@pytest.mark.parametrize("module", ["voin", "voin.cli"])
def test_the_command_line_starts_without_torch(module: str) -> None:
    heavy = "{'torch', 'cv2', 'av', 'numpy', 'gradio'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
