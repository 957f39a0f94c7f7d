from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sets.voi_sets import write_set
from voin.core.errors import ValueRefusal
from voin.data.packs.join import join_packs
from voin.data.packs.pack import Pack, make_pack, open_pack
from voin.data.sets import VoiSet


@pytest.fixture(scope="module")
def voi_set(tmp_path_factory: pytest.TempPathFactory) -> VoiSet:
    return write_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def packs(voi_set: VoiSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pack, Pack]:
    folder = tmp_path_factory.mktemp("packs")
    one = make_pack(voi_set, folder / "one.pack", 32, "validation")
    # The same pictures under other names: what a set of other videos would give.
    text = (folder / "one.pack").read_bytes()
    for clip in one.clips:
        text = text.replace(f'"name": "{clip.name}"'.encode(), f'"name": "{clip.name.swapcase()}"'.encode())
    (folder / "other.pack").write_bytes(text)

    return one, open_pack(folder / "other.pack")


def test_a_joined_pack_has_the_clips_of_each_in_turn(packs: tuple[Pack, Pack], tmp_path: Path) -> None:
    one, other = packs
    counted: list[tuple[int, int]] = []
    joined = join_packs(packs, tmp_path / "joined.pack", lambda done, count: counted.append((done, count)))
    assert [clip.name for clip in joined.clips] == [clip.name for clip in (*one.clips, *other.clips)]
    assert joined.categories == one.categories + other.categories
    assert (joined.shape, joined.split, joined.enlarge, joined.soft) == (one.shape, one.split, one.enlarge, one.soft)
    for number, (pack, inside) in enumerate(
        [(one, i) for i in range(len(one))] + [(other, i) for i in range(len(one))]
    ):
        for part, expected in zip(joined.clip(number), pack.clip(inside), strict=True):
            assert np.array_equal(part, expected)
    assert counted == [(i + 1, len(joined)) for i in range(len(joined))]
    assert joined.source not in (one.source, other.source)


def test_packs_that_differ_or_share_a_clip_are_not_joined(
    voi_set: VoiSet, packs: tuple[Pack, Pack], tmp_path: Path
) -> None:
    one, _ = packs
    out = tmp_path / "joined.pack"
    larger = make_pack(voi_set, tmp_path / "larger.pack", 64, "validation")
    train = make_pack(voi_set, tmp_path / "train.pack", 32, "train")
    with pytest.raises(ValueRefusal, match="windows \\(h, w\\)"):
        join_packs([one, larger], out)
    with pytest.raises(ValueRefusal, match="split"):
        join_packs([one, train], out)
    with pytest.raises(ValueRefusal, match="both have a clip"):
        join_packs([one, one], out)
    with pytest.raises(ValueRefusal, match="at least two"):
        join_packs([one], out)
    assert not out.exists()
