"""`voin data pack`, `unpack` and `show` as a user meets them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sets import voi_sets
from sets.photos import write_photo
from voin.cli.data import data_app
from voin.data.packs.pack import open_pack


def call(*words: str | Path) -> tuple[int, str, str]:
    done = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(data_app, list(map(str, words)))
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def voi_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("voi") / "set"
    voi_sets.write_set(root)
    return root


def test_a_pack_goes_through_its_small_form_and_back(voi_set: Path, tmp_path: Path) -> None:
    pack, small, again = tmp_path / "a.pack", tmp_path / "a.zip", tmp_path / "b.pack"
    code, said, wrong = call("pack", voi_set, "-o", pack, "--size", "64", "--transport", small)
    assert (code, wrong) == (0, "")
    assert f"{pack}: 1 clip, 4 frames of 64x64" in said
    assert f"{small}: " in said
    code, said, _ = call("unpack", small, "-o", again)
    assert code == 0
    one, other = open_pack(pack), open_pack(again)
    assert [clip.name for clip in one.clips] == [clip.name for clip in other.clips] == ["z"]
    assert np.array_equal(one.clip(0)[1], other.clip(0)[1])
    difference = one.clip(0)[0].astype(int) - other.clip(0)[0]
    assert np.abs(difference).mean() < 6


def test_a_pack_that_is_there_is_kept_unless_it_may_be_replaced(voi_set: Path, tmp_path: Path) -> None:
    pack = tmp_path / "a.pack"
    pack.write_text("something else")
    code, _, wrong = call("pack", voi_set, "-o", pack)
    assert code == 2
    assert "is there already" in wrong
    assert pack.read_text() == "something else"
    assert call("pack", voi_set, "-o", pack, "--overwrite", "--size", "64", "--split", "validation", "-q")[0] == 0
    assert len(open_pack(pack)) == 3


def test_what_is_no_set_or_no_small_form_is_refused(tmp_path: Path) -> None:
    assert call("pack", tmp_path, "-o", tmp_path / "a.pack")[0] == 2
    assert call("show", tmp_path, "-o", tmp_path / "page")[0] == 2
    (tmp_path / "broken.zip").write_bytes(b"PK no zip")
    code, _, wrong = call("unpack", tmp_path / "broken.zip", "-o", tmp_path / "a.pack")
    assert code == 2
    assert "broken.zip" in wrong
    assert not (tmp_path / "a.pack").exists()


def test_a_set_is_shown_as_a_page(voi_set: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    code, said, wrong = call("show", voi_set, "-o", tmp_path / "page", "--split", "validation")
    assert (code, wrong) == (0, "")
    assert str(tmp_path / "page" / "index.html") in said
    assert "<html" in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")


def test_photos_become_a_pack_of_cutouts(tmp_path: Path) -> None:
    write_photo(tmp_path / "cats", "one", (60, 50), (5, 20, 15, 50))
    write_photo(tmp_path / "things", "two", (60, 50), (5, 10, 35, 50))
    pack = tmp_path / "cutouts.pack"
    code, said, wrong = call("cutouts", tmp_path / "cats", tmp_path / "things", "-o", pack, "--size", "48")
    assert (code, wrong) == (0, "")
    assert "2 clips, 2 frames of 48x48" in said
    assert open_pack(pack).categories == ("cat", None)
    code, _, wrong = call("cutouts", tmp_path / "cats", "-o", pack)
    assert code == 2
    assert "--overwrite" in wrong
    code, _, wrong = call("cutouts", tmp_path / "none", "-o", tmp_path / "other.pack")
    assert code == 2
    assert not (tmp_path / "other.pack").exists()


def test_moving_objects_become_a_pack_of_sprites(tmp_path: Path) -> None:
    for name, left in (("whole", 20), ("cut", 0)):
        (tmp_path / "birds" / name).mkdir(parents=True)
        layer = np.full((48, 64, 4), 200, np.uint8)
        layer[..., 3] = 0
        layer[10:40, left : left + 20, 3] = 255
        for i in range(3):
            Image.fromarray(layer).save(tmp_path / "birds" / name / f"{i}.png")
    pack = tmp_path / "sprites.pack"
    code, said, wrong = call("sprites", tmp_path / "birds", "-o", pack, "--size", "32")
    assert (code, wrong) == (0, "")
    assert "1 clip, 3 frames of 32x32" in said
    assert "left out, cut off by the border or empty: 1" in said
    assert open_pack(pack).soft
    code, _, wrong = call("sprites", tmp_path / "birds", "-o", pack)
    assert code == 2
    assert "--overwrite" in wrong
