"""The recipe of docs/guides/napari.md, run without napari: its layers are arrays with a name."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from contracts.test_readme import blocks
from scenes.hidden_clips import inpainter, scene

RECIPE, USE = blocks(Path(__file__).resolve().parents[2] / "docs" / "guides" / "napari.md", "python")
CLIP = scene()


class Viewer:
    """What the recipe uses of a viewer."""

    def __init__(self, **layers: Any) -> None:
        self.layers = layers
        self.added: dict[str, np.ndarray] = {}

    def add_image(self, data: np.ndarray, name: str) -> None:
        self.added[name] = data

    add_labels = add_image


@pytest.fixture
def names() -> dict[str, Any]:
    found: dict[str, Any] = {}
    exec(RECIPE, found)
    return found


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32", "grey"])
def test_the_hidden_part_is_shown_and_all_else_stays(names: dict[str, Any], kind: str) -> None:
    movie = CLIP.frames[0].permute(0, 2, 3, 1).numpy()
    if kind == "grey":
        movie = (movie.mean(axis=3) * 4000 + 90).astype(np.uint16)
    elif kind != "float32":
        movie = (movie * np.iinfo(kind).max).astype(kind)
    labels = np.where(CLIP.visible[0, :, 0].numpy() > 0.5, 7, 0)
    labels[:, :4, :4] = 3  # another object
    bar = CLIP.bar[0, :, 0].numpy()
    completed, whole = names["complete_label"](movie, labels, 7, inpainter(), bar)
    hidden = (whole == 7) & (labels != 7)
    assert hidden.any()
    assert not (hidden & (bar == 0)).any()
    assert set(np.unique(whole)) == {0, 7}
    assert (whole[labels == 7] == 7).all()
    assert (completed.dtype, completed.shape) == (movie.dtype, movie.shape)
    assert np.array_equal(completed[~hidden], movie[~hidden])
    assert (completed[hidden] != movie[hidden]).any()


def test_layers_of_a_viewer_are_used_and_added(names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.where(CLIP.visible[0, :, 0].numpy() > 0.5, 2, 0)
    image = SimpleNamespace(data=CLIP.frames[0].permute(0, 2, 3, 1).numpy())
    viewer = Viewer(Image=image, Labels=SimpleNamespace(data=labels, selected_label=2))
    monkeypatch.setattr(names["voin"], "load", lambda: inpainter(), raising=False)
    exec(USE, {**names, "viewer": viewer})
    assert list(viewer.added) == ["object 2, completed", "object 2, whole"]
    assert viewer.added["object 2, whole"].shape == labels.shape
