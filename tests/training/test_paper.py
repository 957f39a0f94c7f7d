"""Preset `paper`: one view of whole frames from the pack to the tables, and the paper's terms."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from sets.voi_sets import write_set
from voin.method.fill.generator import BaseGenerator, make_generator
from voin.method.load import PAPER_SIZE, load
from voin.method.shape.network import ShapeNetwork
from voin.method.window import WholeFrame
from voin.training.config import PRESETS, change_settings
from voin.training.options import TrainOptions

PAPER = PRESETS["paper"]
# Reduced widths, and whole frames of 128x72 for those of 384x216.
REDUCED = [
    *("shape.channels=8,16", "shape.depth=1", "flow.channels=4,4", "flow.gaps=0,0", "generator.channels=4,8,16"),
    *("generator.dilations=2", "patch_discriminator.channels=4,1", "class_discriminator.channels=4,4,4,4,4"),
    *("sampler.batch=1", "sampler.frames=3", "sampler.size=112", "sampler.height=64", "sampler.occluder.tries=2"),
    *("truth=dis", "steps=2", "validation_clips=4", "half=false"),
]


def test_the_paper_has_the_papers_view_and_terms() -> None:
    assert WholeFrame(PAPER_SIZE, frame=(720, 1280)).shape == (216, 384)
    assert PAPER.sampler.shape == (180, 320)
    assert PAPER.sampler.crop
    loss = PAPER.loss
    assert (loss.bce_amodal, loss.bce_occluded, loss.dice_occluded, loss.reconstruction_hidden) == (1, 0, 1, 0)
    assert PAPER.simulated_propagation.share == 0
    assert PAPER.flow.start == "raw"
    assert (PAPER.generator.propagation, PAPER.generator.hard, PAPER.generator.base) == ("plain", True, True)
    # Sides of patches divide crops and whole frames, on a grid of a quarter of their size; larger ones are all of it.
    for height, width in ((180, 320), (216, 384)):
        cells = height // PAPER.shape.step, width // PAPER.shape.step
        for patch in PAPER.shape.patches:
            assert all(cell % min(side, cell) == 0 for side, cell in zip(patch, cells, strict=True))
        assert height % PAPER.generator.factor == 0
    with torch.device("meta"):
        assert isinstance(make_generator(PAPER.generator), BaseGenerator)
        ShapeNetwork(PAPER.shape)


@pytest.mark.slow
def test_it_walks_from_the_pack_over_all_stages_to_the_table(tmp_path: Path) -> None:
    pytest.importorskip("lightning", reason="lightning not installed; run pip install 'voin[train]'")
    from voin.cli.app import app
    from voin.training.train import train

    root = tmp_path / "set"
    write_set(root)

    def voin(*words: object) -> str:
        done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    pack = tmp_path / "whole.pack"
    voin("data", "pack", root, "-o", pack, "--whole-frames", "--size", 128, "--split", "validation")
    config, model = change_settings(PAPER, REDUCED), tmp_path / "model"
    model.mkdir()
    for stage in ("shape", "flow", "fill", "joint"):
        init = str(model) if stage == "joint" else None
        options = TrainOptions(stage=stage, pack=pack, out=tmp_path / stage, init=init, device="cpu")  # pyright: ignore[reportArgumentType]
        best = train(options, config, lambda _: None)
        if init is None:
            for file in best.iterdir():
                shutil.copy(file, model)
    joint = tmp_path / "joint" / "best"
    inpainter = load(joint, preset="paper")
    assert inpainter.config.propagation == "plain"
    assert inpainter.window_of((216, 384)).shape == (216, 384)
    out = tmp_path / "out"
    voin("evaluate", root, "--methods", "voin", "--model", joint, "--preset", "paper", "--clips", 1, "-o", out)
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert results["failures"] == 0
