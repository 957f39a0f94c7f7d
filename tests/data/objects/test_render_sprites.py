"""The recipe that renders animated models: what it reads of them, and that what it writes are sprites."""

from __future__ import annotations

import base64
import importlib.util
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voin.data.objects.sprites import pack_sprites, read_sprite
from voin.io.images import write_image

RECIPE = Path(__file__).resolve().parents[3] / "recipes" / "render_sprites.py"
# A tetrahedron of three colours.
PLACES = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)], np.float32)
FACES = np.array([(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)], np.uint16)


@pytest.fixture(scope="module")
def recipe() -> Any:
    spec = importlib.util.spec_from_file_location("render_sprites", RECIPE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["render_sprites"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def write_model(path: Path, arrays: dict[str, np.ndarray], **content: Any) -> Path:
    """Write a glTF file: each array is an accessor, and named where others are asked for by number."""
    data, views, accessors = b"", [], []
    kinds = {"float32": 5126, "uint16": 5123, "uint8": 5121}
    items = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
    for array in arrays.values():
        views.append({"buffer": 0, "byteOffset": len(data), "byteLength": array.nbytes})
        accessors.append(
            {
                "bufferView": len(views) - 1,
                "componentType": kinds[str(array.dtype)],
                "count": len(array),
                "type": items[array.shape[1:]],
            }
        )
        data += array.tobytes() + bytes(-array.nbytes % 4)
    number = {name: i for i, name in enumerate(arrays)}
    uri = "data:application/octet-stream;base64," + base64.b64encode(data).decode()
    text = json.dumps({"buffers": [{"uri": uri}], "bufferViews": views, "accessors": accessors, **content})
    for name, i in number.items():
        text = text.replace(f'"@{name}"', str(i))
    path.write_text(text)
    return path


def moving(path: Path, **changed: Any) -> Path:
    """Write a tetrahedron that goes 4 to the right in a second, in a group that is twice as large, and turns once."""
    half = np.sqrt(0.5)
    arrays = {
        "places": PLACES,
        "faces": FACES.ravel(),
        "tint": np.eye(4, dtype=np.float32) * 0.6 + np.float32(0.4),
        "times": np.array([0, 1], np.float32),
        "way": np.array([(0, 0, 0), (4, 0, 0)], np.float32),
        "turns": np.array([(0, 0, 0, 1), (0, half, 0, half)], np.float32),
    }
    primitive = {"attributes": {"POSITION": "@places", "COLOR_0": "@tint"}, "indices": "@faces"}
    content = {
        "nodes": [{"children": [1], "scale": [2, 2, 2]}, {"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "animations": [
            {
                "name": "go & turn",
                "channels": [
                    {"sampler": 0, "target": {"node": 1, "path": "translation"}},
                    {"sampler": 1, "target": {"node": 1, "path": "rotation"}},
                ],
                "samplers": [{"input": "@times", "output": "@way"}, {"input": "@times", "output": "@turns"}],
            }
        ],
    }
    return write_model(path, arrays, **{**content, **changed})


def test_parts_go_where_their_animation_takes_them(recipe: Any, tmp_path: Path) -> None:
    model = recipe.Model(moving(tmp_path / "a.gltf"))
    assert list(model.animations) == ["go___turn"]
    assert model.length("go___turn") == 1
    for time, shift in ((0.0, 0.0), (0.5, 4.0), (1.0, 8.0), (7.0, 8.0)):
        places, normals = model.pose("go___turn", time)[0]
        np.testing.assert_allclose(places[0], (shift, 0, 0), atol=1e-6)  # the group doubles the way, too
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)
    # A quarter turn around y takes x to -z, and z to x.
    places, _ = model.pose("go___turn", 1.0)[0]
    np.testing.assert_allclose(places - (8, 0, 0), [(0, 0, 0), (0, 0, -2), (0, 2, 0), (2, 0, 0)], atol=1e-5)


def test_a_skin_follows_its_joints_by_their_weights(recipe: Any, tmp_path: Path) -> None:
    inverse = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    inverse[1, 3, :3] = (0, -5, 0)  # by columns, as glTF has matrices: the joint rests at y = 5
    arrays = {
        "places": np.array([(0, 0, 0), (0, 5, 0), (0, 5, 0)], np.float32),
        "faces": np.array([0, 1, 2], np.uint16),
        "joints": np.array([(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0)], np.uint8),
        "weights": np.array([(1, 0, 0, 0), (1, 0, 0, 0), (0.5, 0.5, 0, 0)], np.float32),
        "inverse": inverse,
        "times": np.array([0, 2], np.float32),
        "way": np.array([(0, 5, 0), (6, 5, 0)], np.float32),
    }
    attributes = {"POSITION": "@places", "JOINTS_0": "@joints", "WEIGHTS_0": "@weights"}
    model = recipe.Model(
        write_model(
            tmp_path / "a.gltf",
            arrays,
            nodes=[{"mesh": 0, "skin": 0}, {}, {"translation": [0, 5, 0]}],
            meshes=[{"primitives": [{"attributes": attributes, "indices": "@faces"}]}],
            skins=[{"joints": [1, 2], "inverseBindMatrices": "@inverse"}],
            animations=[
                {
                    "channels": [{"sampler": 0, "target": {"node": 2, "path": "translation"}}],
                    "samplers": [{"input": "@times", "output": "@way"}],
                }
            ],
        )
    )
    places, _ = model.pose("0", 1.0)[0]
    np.testing.assert_allclose(places, [(0, 0, 0), (3, 5, 0), (1.5, 5, 0)], atol=1e-6)


def test_turns_go_the_shorter_way_and_steps_do_not_mix(recipe: Any) -> None:
    times = np.array([0.0, 1.0])
    turns = np.array([(0, 0, 0, 1.0), (0, 0, 0, -1.0)])  # the same turn
    np.testing.assert_allclose(recipe._sample(times, turns, 0.5, "LINEAR", True), (0, 0, 0, 1))
    ways = np.array([(0.0, 0, 0), (2.0, 0, 0)])
    assert recipe._sample(times, ways, 0.9, "STEP", False)[0] == 0
    assert recipe._sample(times, ways, 0.25, "LINEAR", False)[0] == 0.5
    assert recipe._sample(times, ways, 9.0, "LINEAR", False)[0] == 2


def test_the_camera_sees_the_middle_in_the_middle_and_what_is_nearer_larger(recipe: Any) -> None:
    middle = np.array([3.0, -2.0, 7.0])
    camera = recipe.camera_of(middle, 10.0, 0.7, 0.3, 0.1, 0.9)
    assert recipe.extent(camera, middle[None]) < 1e-9
    cube = middle + np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    nearer = recipe.camera_of(middle, 5.0, 0.7, 0.3, 0.1, 0.9)
    assert recipe.extent(nearer, cube) > 1.5 * recipe.extent(camera, cube)


def test_colours_are_those_of_the_nearest_pixel_beyond_the_edge(recipe: Any) -> None:
    colours, inside = np.zeros((8, 12, 3), np.float32), np.zeros((8, 12), bool)
    inside[3:5, 2], inside[3:5, 9] = True, True
    colours[3:5, 2], colours[3:5, 9] = (200, 0, 0), (0, 0, 90)
    spread = recipe._spread(colours, inside)
    assert (spread[:, :5] == (200, 0, 0)).all()
    assert (spread[:, 7:] == (0, 0, 90)).all()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"animations": []}, "has no animation"),
        ({"meshes": [{"primitives": []}]}, "has no triangles"),
        ({"extensionsRequired": ["KHR_draco_mesh_compression"]}, "needs KHR_draco_mesh_compression"),
        ({"nodes": [{"mesh": 7}]}, "cannot be read as glTF"),
        ({"buffers": [{"uri": "absent.bin"}]}, "cannot be read as glTF"),
    ],
)
def test_what_is_no_moving_model_is_refused(recipe: Any, tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(OSError, match=told) as caught:
        recipe.Model(moving(tmp_path / "a.gltf", **changed))
    assert str(caught.value).count("; ") == 2


def test_a_broken_binary_file_is_refused(recipe: Any, tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(b"glTF" + bytes(20))
    with pytest.raises(OSError, match="cannot be read as glTF"):
        recipe.Model(tmp_path / "a.glb")


def test_what_is_rendered_is_whole_in_every_frame_and_becomes_a_pack(recipe: Any, tmp_path: Path) -> None:
    pytest.importorskip("moderngl", reason='moderngl not found; pip install "voin[sprites]"')
    try:
        painter = recipe.Painter(64)
    except ImportError as error:
        pytest.skip(str(error))
    model = recipe.Model(moving(tmp_path / "a.gltf"))
    (tmp_path / "sprites" / "one").mkdir(parents=True)
    name, frames = recipe.render(model, painter, random.Random(3), 6)
    assert name == "go___turn"
    for i, frame in enumerate(frames):
        assert frame.shape == (64, 64, 4)
        border = np.concatenate([frame[0], frame[-1], frame[:, 0], frame[:, -1]])
        assert not border[:, 3].any()
        assert (frame[..., 3] > 200).any()
        write_image(tmp_path / "sprites" / "one" / f"{i:05d}.png", frame)
    reach = max(np.abs(np.argwhere(frame[..., 3] > 100) - 31.5).max() for frame in frames)
    assert reach > 0.7 * 32
    again = recipe.render(model, painter, random.Random(3), 6)[1]
    assert all(np.array_equal(one, other) for one, other in zip(frames, again, strict=True))
    pack, left_out = pack_sprites([tmp_path / "sprites"], tmp_path / "a.pack", 32)
    assert (len(pack), left_out) == (1, [])
    assert read_sprite(tmp_path / "sprites" / "one")[0].shape == (6, 64, 64, 3)
