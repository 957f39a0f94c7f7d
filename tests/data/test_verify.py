"""Checking sets: every kind of damage is found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sets import voi_sources
from sets.voi_sources import SIZE, small
from voin.data.build import build
from voin.data.manifest import ClipRecord, Manifest, Skipped, sum_of, write_manifest
from voin.data.sets import VoiSet, open_set, read_occluder, write_masks
from voin.data.verify import verify
from voin.io.images import read_picture, write_image


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set; not to be changed."""
    folder = tmp_path_factory.mktemp("verify")
    voi_sources.davis(folder / "source", ["bear", "bus", "hike"], ["dog"])
    build(folder / "source", folder / "set", small("davis", size=(48, 72), composites=True))
    return folder / "set"


@pytest.fixture
def voi(built: Path, tmp_path: Path) -> VoiSet:
    """A small set that may be changed."""
    return open_set(shutil.copytree(built, tmp_path / "set"))


def bear(voi: VoiSet) -> ClipRecord:
    return next(record for record in voi.records() if record.name == "bear")


def rewrite(voi: VoiSet, change: Callable[[ClipRecord], ClipRecord], name: str = "bear") -> None:
    """Change a clip in the manifest."""
    clips = tuple(change(record) if record.name == name else record for record in voi.records())
    write_manifest(voi.root, replace(voi.manifest, clips=clips))


def resum(voi: VoiSet) -> None:
    """Let the manifest agree with the files of the bear, so that only the laws can find what is wrong."""
    record = bear(voi)
    rewrite(voi, lambda _: replace(record, sums={kind: sum_of(voi.folder(record, kind)) for kind in record.sums}))


def test_a_set_that_is_well_has_no_faults(voi: VoiSet) -> None:
    assert verify(voi.root) == ()


@pytest.mark.parametrize("kind", ["JPEGImages", "Amodal", "Visible", "Occluder", "Occluded"])
def test_a_changed_a_missing_and_a_strange_file_are_found(voi: VoiSet, kind: str) -> None:
    folder = voi.folder(bear(voi), kind)
    first, second, *_ = sorted(folder.iterdir())
    second.write_bytes(first.read_bytes())
    assert verify(voi.root)[0] == f"train/bear: the files in {kind} are not those that were built"
    second.unlink()
    (folder / "note.txt").write_text("")
    assert verify(voi.root) == (
        f"train/bear: {kind}/{second.name} is missing",
        f"train/bear: {kind}/note.txt does not belong there",
    )
    shutil.rmtree(folder)
    assert f"train/bear: {kind}/{first.name} is missing" in verify(voi.root)


def test_visible_beyond_amodal_is_found(voi: VoiSet) -> None:
    write_masks(voi.folder(bear(voi), "Visible"), "Visible", np.ones((10, 48, 72), bool))
    resum(voi)
    faults = verify(voi.root)
    assert "train/bear: visible reaches beyond amodal in 10 frames, first in 00000.png" in faults
    assert len(faults) == 2


def test_visible_that_leaves_something_out_is_found(voi: VoiSet) -> None:
    write_masks(voi.folder(bear(voi), "Visible"), "Visible", np.zeros((10, 48, 72), bool))
    resum(voi)
    (fault,) = verify(voi.root)
    assert fault.startswith("train/bear: visible is not amodal without the occluder in ")


def test_colours_where_the_occluder_is_not_and_half_alpha_are_found(voi: VoiSet) -> None:
    paths = sorted(voi.folder(bear(voi), "Occluder").iterdir())
    picture = read_occluder(paths[4])
    picture[0, 0] = (9, 0, 0, 0)
    write_image(paths[4], picture)
    picture = read_occluder(paths[6])
    picture[..., 3] = np.where(picture[..., 3] > 0, 254, 0)
    write_image(paths[6], picture)
    resum(voi)
    told = "train/bear: the occluder has colours where it is not in 1 frames, first in 00004.png"
    assert told in verify(voi.root)
    assert "train/bear: the alpha of Occluder/00006.png is not only 0 and 255" in verify(voi.root)


def test_a_composite_that_is_not_the_input_is_found(voi: VoiSet) -> None:
    path = sorted(voi.folder(bear(voi), "Occluded").iterdir())[2]
    write_image(path, read_picture(path) // 2)
    resum(voi)
    assert verify(voi.root) == ("train/bear: Occluded/00002.png is not the occluder before the true frame",)


def test_files_that_are_no_pictures_are_found(voi: VoiSet) -> None:
    sorted(voi.folder(bear(voi), "Amodal").iterdir())[2].write_bytes(b"no picture")
    resum(voi)
    (fault,) = verify(voi.root)
    assert "00002.png cannot be read as a picture" in fault


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rates": (0.5,) * 10}, "its rates are not those of its masks"),
        ({"rate": 0.9}, "its rates are not those of its masks"),
        ({"rates": (0.5,)}, "it has 10 frames and 1 rates"),
        ({"size": SIZE}, "is 72x48, the manifest says 96x64"),
        ({"count": 9}, "JPEGImages/00009.jpg does not belong there"),
        ({"count": 11}, "JPEGImages/00010.jpg is missing"),
        ({"category": "unicorn"}, "its category is 'unicorn'"),
        ({"sums": {"Amodal": ""}}, "it has the folders Amodal; it must have"),
        ({"donor_video": "bear"}, "its occluder comes from its own video"),
        ({"donor": "bear", "donor_video": "hike"}, "its occluder comes from its own video"),
        ({"donor_video": "dog"}, "its occluder comes from the validation video dog"),
        ({"donor": "dog", "donor_video": "hike"}, "its occluder comes from the validation video"),
        ({"donor_video": None}, "of an unknown video"),
    ],
)
def test_a_manifest_that_does_not_fit_is_found(voi: VoiSet, change: dict, told: str) -> None:
    rewrite(voi, lambda record: replace(record, **change))
    faults = verify(voi.root)
    assert [fault for fault in faults if fault.startswith("train/bear: ") and told in fault], faults


def test_a_video_in_both_splits_is_found(voi: VoiSet) -> None:
    rewrite(voi, lambda record: replace(record, video="bear"), "dog")
    assert "the video bear is in both splits" in verify(voi.root)


def test_clips_that_are_not_listed_listed_twice_or_skipped_as_well_are_found(voi: VoiSet) -> None:
    records = voi.records()
    manifest: Manifest = replace(voi.manifest, skipped=(Skipped("hike", "too small"),))
    write_manifest(voi.root, replace(manifest, clips=tuple(r for r in records if r.name != "bus")))
    faults = verify(voi.root)
    assert "train/Amodal/bus is not in the manifest" in faults
    assert "the clip hike is listed and skipped" in faults
    write_manifest(voi.root, replace(manifest, clips=(*records, records[-1])))
    assert f"the clip {records[-1].name} is listed more than once" in verify(voi.root)
