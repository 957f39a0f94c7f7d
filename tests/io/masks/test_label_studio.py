"""Label Studio's exports, as its documents and those of its run lengths lay them out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenes.video_clips import SIZE, described
from voin.io.masks.source import open_masks

H, W = SIZE
COUNT = 3


def square(frame: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[5:17, 3 + frame : 20 + frame] = True
    return mask


def packed(mask: np.ndarray, soft: int = 255) -> list[int]:
    """Pack RGBA words by the documented layout, in which words that differ follow one by one."""
    words = np.zeros((H, W, 4), np.uint8)
    words[mask] = (12, 34, 56, soft)
    flat, bits, at = words.ravel(), f"{4 * H * W:032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16)), 0
    while at < len(flat):
        same = at + 1
        while same < len(flat) and flat[same] == flat[at] and same - at < 65536:
            same += 1
        if same - at > 1:
            count, start = same - at, at
            place, size = next((place, size) for place, size in enumerate((3, 4, 8, 16)) if count <= 1 << size)
            bits += f"1{place:02b}{count - 1:0{size}b}{flat[start]:08b}"
        else:
            same = at
            while same < len(flat) and same - at < 256 and (same + 1 == len(flat) or flat[same] != flat[same + 1]):
                same += 1
            bits += f"010{same - at - 1:08b}" + "".join(f"{word:08b}" for word in flat[at:same])
        at = same
    bits += "0" * (-len(bits) % 8)
    return [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]


def brush(frame: int, label: str = "Person", **more: Any) -> dict[str, Any]:
    value = {"format": "rle", "rle": packed(square(frame)), "brushlabels": [label]}
    return {"id": "x1", "type": "brushlabels", "from_name": "tag", "to_name": "image", "image_rotation": 0,
            "original_width": W, "original_height": H, "value": value} | more  # fmt: skip


def polygon(frame: int, label: str = "Person") -> dict[str, Any]:
    corners = [(3 + frame, 5), (20 + frame, 5), (20 + frame, 17), (3 + frame, 17)]
    value = {"points": [[100 * x / W, 100 * y / H] for x, y in corners], "closed": True, "polygonlabels": [label]}
    return brush(frame) | {"type": "polygonlabels", "value": value}


def tasks(region: Callable[[int], dict[str, Any]] = brush, name: str = "{:05d}.png") -> list[dict[str, Any]]:
    return [
        {
            "id": 40 - frame,  # tasks come in any order
            "data": {"image": name.format(frame)},
            "annotations": [
                {"id": frame, "result": [region(frame), {"type": "choices", "value": {"choices": ["day"]}}]},
                {"id": 90 + frame, "result": [], "was_cancelled": True},
            ],
        }
        for frame in reversed(range(COUNT))
    ]


def save(path: Path, found: Any) -> Path:
    path.write_text(json.dumps(found))
    return path


@pytest.mark.parametrize("region", [brush, polygon])
@pytest.mark.parametrize(
    "name", ["{:05d}.png", "/data/upload/3/1a2b3c4d-frame_{:05d}.jpg", "/data/local-files/?d=clips/12/{:05d}.png"]
)
def test_brushes_and_polygons_give_the_masks_that_they_were_made_from(tmp_path: Path, region: Any, name: str) -> None:
    source = open_masks(save(tmp_path / "a.json", tasks(region, name)), described(count=COUNT))
    assert source.ids == (1,)
    assert all(((source.label(frame) == 1) == square(frame)).all() for frame in range(COUNT))
    assert source.reading.categories == {1: "Person"}
    assert (
        "ids are labels; all that has the same label is one object, numbered anew (1 is Person)" in source.reading.line
    )


def test_soft_brushes_count_from_half_on_and_notes_are_ids(tmp_path: Path) -> None:
    found = tasks(lambda frame: brush(frame, meta={"text": ["7"]}))
    found[0]["annotations"][0]["result"][0]["value"]["rle"] = packed(square(2), soft=127)
    source = open_masks(save(tmp_path / "a.json", found), described(count=COUNT))
    assert source.ids == (7,)
    assert not source.label(2).any()
    assert (source.label(1) > 0).sum() == square(1).sum()
    assert "ids are the regions' notes" in source.reading.line


def with_first(**change: Any) -> list[dict[str, Any]]:
    found = tasks()
    found[0]["annotations"][0]["result"][0] |= change
    return found


def with_rle(rle: Any) -> list[dict[str, Any]]:
    return with_first(value={"format": "rle", "rle": rle, "brushlabels": ["Person"]})


BOX = {"x": 25, "y": 50, "width": 50, "height": 25}
FILM = {"sequence": [BOX | {"frame": 3}], "labels": ["Person"]}
REFUSED = {
    "box": (with_first(type="rectanglelabels", value=BOX), r"'rectanglelabels'; .*; let voin .* --box 16,24,32,12"),
    "video": (with_first(type="videorectangle", value=FILM), r"voin mask VIDEO -o masks --box 16,24,32,12 --frame 2"),
    "unknown size": (with_first(type="videorectangle", value={"sequence": []}), r"--box X,Y,W,H"),
    "ellipse": (with_first(type="ellipselabels"), r"'ellipselabels'; it must be a brush or a polygon"),
    "two": ([task | {"annotations": task["annotations"][:1] * 2} for task in tasks()], "has 2 annotations"),
    "min": ([{"image": "0.png", "tag": []}], "not JSON-MIN"),
    "no region": ([task | {"annotations": []} for task in tasks()], "has no regions"),
    "no image": ([task | {"data": {}} for task in tasks()], "has no image"),
    "short": (with_rle(packed(square(0))[:-9]), "brush that cannot be read"),
    "long": (with_rle(packed(square(0)) * 99), "brush that cannot be read"),
    "other size": (with_first(original_width=W - 2), r"it must be of 62x48 pixels"),
    "no bytes": (with_rle(["a", None, 1e9]), "brush that cannot be read"),
    "lying": (with_rle([255] * 40), "brush that cannot be read|it must be of 64x48 pixels"),
    "none": (with_rle(None), "rle of .* is no list"),
    "points": (with_first(type="polygonlabels", value={"points": [["a", 1], [2, 2], [3]]}), "polygon that is none"),
    "empty": ([], "has no regions"),
    "text": (["a"], "is no object"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_mask_is_refused_with_a_remedy(tmp_path: Path, name: str) -> None:
    found, text = REFUSED[name]
    with pytest.raises(ValueError, match=text) as refusal:
        open_masks(save(tmp_path / "a.json", found), described(count=COUNT))
    assert len(getattr(refusal.value, "parts", [])) == 3
