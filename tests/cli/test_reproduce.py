"""The command `voin reproduce`, on a set and packs so small that a row takes a second."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fakes.fake_method import save_frames, save_labels
from fakes.tiny_baselines import save_baseline
from fakes.tiny_model import save_model
from fakes.tiny_training import TINY, options
from scenes.sliding_square import slide
from sets.voi_sets import write_set
from voin.benchmark.paper.figures import FIGURES
from voin.benchmark.paper.options import WHAT, ReproduceOptions, SceneOptions
from voin.benchmark.paper.tables import TABLES
from voin.cli.app import app
from voin.cli.reproduce.command import Reproduction
from voin.core.errors import Refusal
from voin.data.manifest import Manifest, write_manifest
from voin.data.sets import open_set
from voin.io.images import read_picture
from voin.training import config as train_config
from voin.training import train as train_room

pytest.importorskip("lightning", reason="lightning not installed; run pip install 'voin[train]'")
pytest.importorskip("tensorboard", reason="tensorboard not installed; run pip install 'voin[train]'")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set and packs; not to be changed."""
    folder = tmp_path_factory.mktemp("place")
    write_set(folder / "set")
    options(folder, "shape")
    return folder


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(train_config.PRESETS, "small", TINY)


def asked(place: Path, what: str = "table1", **more) -> ReproduceOptions:
    given = {"pack": place / "clips.pack", "budget": 0.004, "clips": 1, "device": "cpu", **more}
    return ReproduceOptions(what=what, voi_set=place / "set", **given)  # pyright: ignore[reportArgumentType]


def states(out: Path, what: str = "table1") -> dict[str, str]:
    return {row["name"]: row["state"] for row in json.loads((out / f"{what}.json").read_text())["rows"]}


def test_a_table_goes_on_after_a_kill_takes_what_is_trained_and_judges_it(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, trained = tmp_path / "out", []
    train = train_room.train

    def train_but_stop_at_fill(given, config, say=None):
        trained.append(given.out.name)
        if trained.count("fill") == 1 and given.out.name == "fill":
            raise KeyboardInterrupt
        return train(given, config, say)

    monkeypatch.setattr(train_room, "train", train_but_stop_at_fill)
    wanted = asked(place, rows=("sttn", "ours"))
    with pytest.raises(KeyboardInterrupt):
        Reproduction(wanted, out, quiet=True).run()
    assert states(out)["sttn"] == "judged"
    assert states(out)["ours"] == "not trained"
    Reproduction(wanted, out, quiet=True).run()
    assert trained == ["sttn", "flow", "fill", "fill"]
    assert states(out)["ours"] == "judged"
    assert states(out)["dfvi"] == "not trained"
    for kind in ("md", "html"):
        text = (out / f"table1.{kind}").read_text()
        assert all(word in text for word in ("45.97", "48.99", "0.004 core-minutes", "not trained"))
    content = json.loads((out / "table1.json").read_text())
    ours = next(row for row in content["rows"] if row["name"] == "ours")
    assert ours["cells"]["psnr_frame"]["difference"] == pytest.approx(ours["cells"]["psnr_frame"]["here"] - 48.99)
    assert "paper, Table 1" in (out / "table1.csv").read_text()
    # Taken from there, in another folder, without a pack: nothing is trained, and the numbers are the same.
    taken = asked(place, rows=("ours",), models=out / "runs", pack=None)
    Reproduction(taken, tmp_path / "other", quiet=True).run()
    assert len(trained) == 4
    other = json.loads((tmp_path / "other" / "table1.json").read_text())["rows"]
    there = next(row for row in other if row["name"] == "ours")
    assert there["cells"]["psnr_frame"] == ours["cells"]["psnr_frame"]


def test_every_row_is_done_once_more_with_each_seed(place: Path, tmp_path: Path) -> None:
    models, rows = tmp_path / "models", ("image-based", "bs-4")
    for seed, name in enumerate(("pcnet", "pcnet.1")):
        save_baseline(models / name, "pcnet", seed=seed)
    for seed, name in enumerate(("shape-bs4", "shape-bs4.1")):
        save_model(models / name / "best", "shape", seed=seed)
    reproduction = Reproduction(asked(place, "table2", rows=rows, seeds=2, models=models, pack=None), tmp_path, True)
    (network,) = reproduction.table.row("bs-4").networks
    assert [reproduction.networks.config_of(network, seed).seed for seed in (0, 1)] == [0, 1]
    reproduction.run()
    content = {row["name"]: row for row in json.loads((tmp_path / "table2.json").read_text())["rows"]}
    assert [[seed["seed"] for seed in content[name]["seeds"]] for name in rows] == [[0, 1], [0, 1]]
    assert content["bs-4"]["seeds"][0]["sums"] != content["bs-4"]["seeds"][1]["sums"]
    (margin,) = content["bs-4"]["margins"]
    assert margin["cells"]["iou_amodal"]["verdict"] in ("difference", "within seeds")
    assert "BS-4 was trained for 12.0 of 0.004 core-minutes" in (tmp_path / "table2.md").read_text()


def test_figures_show_all_methods_side_by_side_and_say_what_is_not_trained(place: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    save_model(models / "flow", "flow")
    save_model(models / "fill", "generator")
    sizes = {}
    for what, more in (
        ("figure6", {}),
        ("figure7", {"models": models, "rows": ("dfvi", "ours")}),
        ("figure8", {"models": models, "rows": ("sttn", "ours")}),
    ):
        wanted = asked(place, what, pack=None, **more)
        folder = Reproduction(wanted, tmp_path, quiet=True).run()
        paths = sorted((tmp_path / what).glob("*.png"))
        assert folder in (tmp_path / what, *paths)
        assert len(paths) == 1
        sizes[what] = read_picture(paths[0]).shape
        note = json.loads(paths[0].with_suffix(".json").read_text())
        if what != "figure6":
            assert [bool(sums) for _, sums in note["rows"]] == [False, True]
            # What is drawn already is not drawn again.
            before = paths[0].stat().st_mtime_ns
            Reproduction(wanted, tmp_path, quiet=True).run()
            assert paths[0].stat().st_mtime_ns == before
    # Input, two methods, truth.
    assert sizes["figure7"][0] == sizes["figure8"][0]


def test_a_real_clip_is_shown_without_what_is_in_front_by_each_row_with_the_same_whole_mask(tmp_path: Path) -> None:
    sliding = slide(t=4, size=(48, 64), side=20.0, speed=(3.0, 0.0), bar=(24, 32), start=(14.0, 14.0))
    bar = np.zeros((48, 64), bool)
    bar[:, 24:32] = True
    frames = [np.rint(frame * 255).astype(np.uint8) for frame in sliding.frames]
    scene = SceneOptions(
        video=save_frames(tmp_path / "clip", frames),
        masks=save_labels(tmp_path / "masks", [mask.astype(np.uint8) for mask in sliding.visible]),
        occluder=save_labels(tmp_path / "bar", [bar.astype(np.uint8)] * 4),
    )
    models = save_baseline(tmp_path / "models" / "sttn", "sttn").parent
    asked = ReproduceOptions(what="figure11", models=models, device="cpu", scene=scene)
    path = Reproduction(asked, tmp_path / "out", quiet=True).run()
    assert path == tmp_path / "out" / "figure11" / "clip.png"
    # What went in, ours, STTN, and FGVC, which is not trained: rows of one height.
    assert read_picture(path).shape[0] > 4 * 48
    records = {name: json.loads((path.parent / name / "run.json").read_text()) for name in ("shipped", "sttn")}
    assert not (path.parent / "fgvc").exists()
    behind = [record["request"]["settings"]["background"] for record in records.values()]
    assert behind[0] == behind[1]
    ours, theirs = ([p.read_bytes() for p in sorted((path.parent / name / "amodal").iterdir())] for name in records)
    assert ours == theirs
    for missing in ("video", "masks", "occluder"):
        with pytest.raises(Refusal, match=f"without --{missing}"):
            Reproduction(replace(asked, scene=replace(scene, **{missing: None})), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_plan_says_what_would_be_trained_and_trains_nothing(place: Path, tmp_path: Path) -> None:
    models = save_baseline(tmp_path / "models" / "sttn", "sttn").parent
    words = ["reproduce", "table1", "--plan", "--rows", "dfvi,fgvc,sttn", "--budget", "40", "--seeds", "2"]
    words += ["--set", place / "set", "--pack", place / "clips.pack", "--models", models, "--device", "cpu"]
    done = CliRunner().invoke(app, [*map(str, words), "-o", str(tmp_path / "out")])
    printed = done.output.splitlines()
    # The image network is shared; the seed that is not among the models is trained.
    assert printed[:4] == [
        "dfvi: to train, 20 core-minutes",
        "deepfill: to train, 20 core-minutes",
        "edges: to train, 20 core-minutes",
        "sttn: taken",
    ]
    assert "sttn.1: to train, 40 core-minutes" in printed
    assert "7 networks to train: 2.7 hours of core time" in printed[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_faulty_masks_are_drawn_and_plotted(place: Path, tmp_path: Path) -> None:
    Reproduction(asked(place, "figure9", pack=None), tmp_path, quiet=True).run()
    assert {path.name for path in (tmp_path / "figure9").glob("*.png")} == {"a.png", "degrade.png"}


def test_the_options_name_all_tables_and_figures() -> None:
    assert (*TABLES, *FIGURES) == WHAT


def test_what_cannot_work_is_refused_before_anything_is_trained(place: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="budget"):
        asked(place, budget=0.0)
    refused: tuple[tuple[str, dict[str, Any]], ...] = (
        ("no row rnn", {"rows": ("rnn",)}),
        ("neither a pack nor a folder", {"pack": None}),
        ("no folder", {"models": place / "nowhere"}),
        ("no setting", {"changes": ["sampler.colour=1"]}),
    )
    for text, more in refused:
        with pytest.raises(Refusal, match=text):
            Reproduction(asked(place, **more), tmp_path / "out")
    with pytest.raises(Refusal, match="paper has no networks for own-shape"):
        Reproduction(asked(place, "own-shape", preset="paper"), tmp_path / "out")
    with pytest.raises(Refusal, match="without a set"):
        Reproduction(ReproduceOptions(what="table1", pack=place / "clips.pack"), tmp_path / "out")
    with pytest.raises(Refusal, match="lies in the set"):
        Reproduction(asked(place), place / "set" / "out")
    voi_set = open_set(place / "set")
    (tmp_path / "set").mkdir()
    left = tuple(record for record in voi_set.manifest.clips if record.split == "train")
    write_manifest(tmp_path / "set", Manifest(voi_set.manifest.version, "0", 0, {}, {}, left, ()))
    with pytest.raises(Refusal, match="no validation clips"):
        Reproduction(ReproduceOptions(what="table1", voi_set=tmp_path / "set", pack=place / "clips.pack"), tmp_path)
    assert not (tmp_path / "out").exists()
