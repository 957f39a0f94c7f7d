from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sets.photos import write_photo
from voin.data.objects.cutouts import ENLARGE, pack_cutouts


def test_objects_fill_their_pictures_alike(tmp_path: Path) -> None:
    write_photo(tmp_path / "cats", "one", (300, 400), (20, 30, 340, 190))  # shrinks
    write_photo(tmp_path / "things", "two", (60, 50), (5, 20, 15, 50))  # grows
    pack = pack_cutouts([tmp_path / "cats", tmp_path / "things"], tmp_path / "out.pack", 72)
    assert [clip.name for clip in pack.clips] == ["cats/one", "things/two"]
    assert [clip.video for clip in pack.clips] == ["cats/one", "things/two"]
    assert pack.categories == ("cat", None)
    for index, ratio in enumerate((2, 1 / 3)):
        frames, masks = pack.clip(index)
        assert frames.shape == (1, 72, 72, 3)
        rows, columns = np.nonzero(masks[0])
        high, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert abs(max(high, wide) - 72 / ENLARGE) <= 2
        assert abs(wide / high - ratio) < 0.15 * ratio
        assert abs(rows.mean() - 35.5) < 1.5
        assert abs(columns.mean() - 35.5) < 1.5
        core = cv2.erode(masks[0], np.ones((7, 7))) > 0
        assert frames[0][core][:, 0].min() > 220
        assert frames[0][core][:, 2].max() < 40


def test_folders_without_photos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"have no img/\*.jpg"):
        pack_cutouts([tmp_path], tmp_path / "out.pack")


def test_a_photo_without_its_mask_is_refused(tmp_path: Path) -> None:
    write_photo(tmp_path / "cats", "one", (30, 40), (5, 5, 20, 20))
    (tmp_path / "cats" / "mask" / "one.png").unlink()
    with pytest.raises(OSError, match="each photo needs a mask"):
        pack_cutouts([tmp_path / "cats"], tmp_path / "out.pack")
    assert not (tmp_path / "out.pack").exists()


@pytest.mark.parametrize("part", ["img/one.jpg", "mask/one.png"])
def test_a_picture_that_would_not_fit_into_memory_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    write_photo(tmp_path / "cats", "one", (30, 40), (5, 5, 20, 20))
    cv2.imwrite(str(tmp_path / "cats" / part), np.zeros((300, 400), np.uint8))
    monkeypatch.setattr("voin.data.objects.cutouts.MOST_PIXELS", 30 * 40)
    monkeypatch.setattr(cv2, "imread", lambda *_: pytest.fail("it is read"))
    with pytest.raises(OSError, match=r"one\.(jpg|png) has too many pixels; .*; make it smaller"):
        pack_cutouts([tmp_path / "cats"], tmp_path / "out.pack")
