"""Clips in which things pass behind the object, too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from sets.packs import save_pack, sprites_of
from sets.voi_sets import write_set
from sets.voi_sources import tree
from voin.baselines.load import load_method
from voin.benchmark.evaluate import evaluate
from voin.benchmark.options import EvaluateOptions
from voin.data.layers import build_layers
from voin.data.options import LayersOptions
from voin.data.packs.pack import Pack, open_pack
from voin.data.sets import VoiSet, open_set
from voin.data.verify import verify

OPTIONS = LayersOptions(clips=8, frames=4, seed=2)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> VoiSet:
    return write_set(tmp_path_factory.mktemp("films") / "set", bars=((28, 36), (28, 54)))


@pytest.fixture(scope="module")
def sprites(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return open_pack(save_pack(sprites_of(5), tmp_path_factory.mktemp("sprites") / "sprites.pack"))


@pytest.fixture(scope="module")
def layers(films: VoiSet, sprites: Pack, tmp_path_factory: pytest.TempPathFactory) -> VoiSet:
    build_layers(films, sprites, tmp_path_factory.mktemp("layers") / "set", OPTIONS)
    return open_set(tmp_path_factory.getbasetemp() / "layers0" / "set")


def test_it_is_a_set_like_any_other_and_the_laws_hold(layers: VoiSet) -> None:
    assert verify(layers.root) == ()
    assert len(layers.records("validation")) == 8
    assert sorted(path.name for path in layers.root.iterdir()) == ["manifest.json", "validation"]


def test_each_clip_says_what_passes_behind_and_whether_that_is_all(layers: VoiSet, sprites: Pack) -> None:
    known = {clip.name for clip in sprites.clips} | {"a", "b"}
    for record in layers.records():
        clip = layers.load(record)
        assert record.behind in known - {record.name.split("-")[1]}
        assert record.behind_only == record.name.endswith("behind") == (not clip.occluder.any())
        if record.behind_only:
            assert record.kind == "none"
            assert record.rate == 0
            assert record.donor is None
            assert np.array_equal(clip.visible, clip.amodal)
        else:
            assert record.donor in {clip.name for clip in sprites.clips}
    assert sum(record.behind_only for record in layers.records()) == 4
    assert max(record.rate for record in layers.records()) > 0.05


def test_what_passes_behind_changes_the_ground_and_never_the_object(films: VoiSet, layers: VoiSet) -> None:
    by_name = {record.name: record for record in films.records("validation")}
    changed = []
    for record in layers.records():
        if "-film-" not in record.name:
            continue
        film, clip = films.load(by_name[record.name.split("-")[1]]), layers.load(record)
        assert np.array_equal(clip.amodal, film.amodal)
        difference = np.abs(clip.truth.astype(int) - film.truth).max(axis=-1)
        inner = np.stack([cv2.erode(mask.astype(np.uint8), np.ones((9, 9))) > 0 for mask in clip.amodal])
        assert difference[inner].mean() < 6  # of JPEG alone
        outer = np.stack([cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))) == 0 for mask in clip.amodal])
        changed.append((difference[outer] > 40).mean())
    assert len(changed) == 4
    assert max(changed) > 0.02


def test_a_sprite_stands_before_the_film_as_it_is(layers: VoiSet) -> None:
    for record in layers.records():
        if "-sprite-" in record.name:
            clip = layers.load(record)
            inner = np.stack([cv2.erode(mask.astype(np.uint8), np.ones((5, 5))) > 0 for mask in clip.amodal])
            assert inner.any(axis=(1, 2)).all()
            # These sprites are green and blue, without red.
            colours = clip.truth[inner].astype(int)
            assert np.median(colours[:, 0]) < 20
            assert np.median(colours[:, 1:]) > 90


def test_the_same_seed_gives_the_same_bytes_wherever_the_build_was_stopped(
    films: VoiSet, sprites: Pack, layers: VoiSet, tmp_path: Path
) -> None:
    class Stop:
        left = 3

        def stage(self, name: str, total: int) -> None:
            assert (name, total) == ("build", 8)

        def advance(self, name: str, count: int = 1) -> None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_layers(films, sprites, tmp_path / "set", OPTIONS, progress=Stop())
    assert not (tmp_path / "set" / "manifest.json").exists()
    build_layers(films, sprites, tmp_path / "set", OPTIONS)
    assert tree(tmp_path / "set") == tree(layers.root)
    with pytest.raises(OSError, match=r"holds another set \(other seed\)"):
        build_layers(films, sprites, tmp_path / "set", replace(OPTIONS, seed=3))
    build_layers(films, sprites, tmp_path / "set", replace(OPTIONS, seed=3), overwrite=True)
    assert tree(tmp_path / "set") != tree(layers.root)


def test_methods_are_compared_on_it(layers: VoiSet, tmp_path: Path) -> None:
    chosen = {name: load_method(name) for name in ("visible", "hull")}
    found = evaluate(layers, chosen, tmp_path / "out", EvaluateOptions(pictures=False))
    assert len(found["clips"]) == 16
    assert not found["failures"]


def test_too_few_sprites_or_films_are_refused(films: VoiSet, sprites: Pack, tmp_path: Path) -> None:
    few = open_pack(save_pack(sprites_of(2), tmp_path / "few.pack"))
    with pytest.raises(ValueError, match=r"2 sprites; one film and three sprites are needed at least; give others"):
        build_layers(films, few, tmp_path / "set", OPTIONS)
    with pytest.raises(ValueError, match="2 sprites"):
        build_layers(open_set(films.root), few, tmp_path / "set", replace(OPTIONS, split="train"))
    assert not (tmp_path / "set").exists()
