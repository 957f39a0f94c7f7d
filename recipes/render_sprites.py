"""Render animated models as sprites: whole moving things with soft masks, for `voin data sprites`.

    python recipes/render_sprites.py MODEL.glb [MODEL.gltf ...] -o FOLDER [--clips 20] [--frames 24] [--size 192]
    voin data sprites FOLDER -o sprites.pack

A model is any glTF 2.0 file with triangles and an animation: skins, moving parts and morph targets are played, base
colours and textures shown. Each clip is one of its animations, seen from a side and in a light of its own, at a pace of
its own, while the camera goes round a little; it is a folder of RGBA frames, `NAME-ANIMATION-SEED/00000.png`. The whole
thing is in every frame. The same seed gives the same clips on the same machine.

It needs moderngl (`pip install "voin[sprites]"`) and EGL; without a graphics card Mesa draws
(Debian: `apt-get install libegl1 libgl1-mesa-dri`). Mind the licences of the models: what is trained on them may have
to name their authors.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
import typer
from PIL import Image

from voin.cli.console import report_errors
from voin.core.errors import FileRefusal, PackageRefusal
from voin.io.images import write_image

_NUMBERS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_ITEMS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_TRIANGLES = 4
_OVER = 3  # so many samples a pixel, each way
_FILL = 0.86  # of the frame, by the model where it is largest
_VERTEX = """#version 330
uniform mat4 camera; in vec3 place; in vec3 normal; in vec2 at; in vec4 tint;
out vec3 n; out vec2 uv; out vec4 c;
void main() { n = normal; uv = at; c = tint; gl_Position = camera * vec4(place, 1); }"""
_FRAGMENT = """#version 330
uniform sampler2D picture; uniform vec3 sun; uniform vec3 sunlight; uniform vec3 sky; uniform vec3 ground;
uniform float least;
in vec3 n; in vec2 uv; in vec4 c; out vec4 colour;
void main() {
  vec4 base = texture(picture, uv) * c;
  if (base.a < least) discard;
  vec3 up = normalize(gl_FrontFacing ? n : -n);
  vec3 light = mix(ground, sky, 0.5 * up.y + 0.5) + sunlight * max(dot(up, sun), 0.0);
  colour = vec4(pow(min(pow(base.rgb, vec3(2.2)) * light, vec3(1.0)), vec3(1.0 / 2.2)), 1.0);
}"""


@dataclass(frozen=True)
class Part:
    """Triangles with one material, in the space of their node.

    Attributes:
        node: that they hang on.
        skin: that moves them instead, or None.
        places, normals: (n, 3).
        at: (n, 2) places in the picture.
        tint: (n, 4) by which its colours are multiplied.
        faces: (m, 3).
        joints, weights: (n, k) of the skin.
        morphs: (targets, n, 3), added to the places.
        picture: RGBA.
        least: alpha from which on something is there.
    """

    node: int
    skin: int | None
    places: np.ndarray
    normals: np.ndarray
    at: np.ndarray
    tint: np.ndarray
    faces: np.ndarray
    joints: np.ndarray
    weights: np.ndarray
    morphs: np.ndarray
    picture: Image.Image
    least: float


Channel = tuple[int, str, np.ndarray, np.ndarray, str]  # node, what of it moves, times, values, interpolation
Pose = list[tuple[np.ndarray, np.ndarray]]  # places and normals of each part


class Model:
    """A glTF file.

    Attributes:
        parts: what is drawn.
        animations: by name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._read(path)
        except (ValueError, KeyError, IndexError, TypeError, OSError) as error:
            if isinstance(error, FileRefusal):
                raise
            what = f"{path} cannot be read as glTF ({type(error).__name__}: {error})"
            raise FileRefusal(what, "it must be a whole .gltf or .glb file, version 2", "export it again") from error
        if not self.parts or not self.animations:
            lack = "triangles" if not self.parts else "animation"
            raise FileRefusal(f"{path} has no {lack}", "a sprite is a model that moves", "give another model")

    def _read(self, path: Path) -> None:
        data, self._blob = path.read_bytes(), b""
        if data[:4] == b"glTF":
            start, chunks = 12, {}
            while start < len(data):
                length, kind = int.from_bytes(data[start : start + 4], "little"), data[start + 4 : start + 8]
                chunks[kind] = data[start + 8 : start + 8 + length]
                start += 8 + length
            data, self._blob = chunks[b"JSON"], chunks.get(b"BIN\0", b"")
        self._json: dict[str, Any] = json.loads(data)
        refused = set(self._json.get("extensionsRequired", ())) - {"KHR_materials_unlit", "KHR_texture_transform"}
        if refused:
            what = f"{path} needs {', '.join(sorted(refused))}"
            raise FileRefusal(what, "plain glTF 2.0 is understood", "export it without compression")
        self._buffers = [self._bytes_of(buffer) for buffer in self._json.get("buffers", ())]
        self._nodes = self._json.get("nodes", [])
        self.parents = {child: i for i, node in enumerate(self._nodes) for child in node.get("children", ())}
        self.skins = [
            (skin["joints"], self._numbers(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1))
            for skin in self._json.get("skins", ())
        ]
        self.parts = [
            self._part(number, node.get("skin"), primitive)
            for number, node in enumerate(self._nodes)
            if "mesh" in node
            for primitive in self._json["meshes"][node["mesh"]]["primitives"]
            if primitive.get("mode", _TRIANGLES) == _TRIANGLES
        ]
        self.animations = {
            "".join(letter if letter.isalnum() else "_" for letter in animation.get("name") or str(number)): [
                self._channel(animation, channel) for channel in animation["channels"] if "node" in channel["target"]
            ]
            for number, animation in enumerate(self._json.get("animations", ()))
        }

    def _bytes_of(self, source: dict[str, Any]) -> bytes:
        uri = source.get("uri")
        if uri is None:
            return self._blob
        if uri.startswith("data:"):
            return base64.b64decode(uri.partition(",")[2])
        return (self.path.parent / unquote(uri)).read_bytes()

    def _numbers(self, index: int) -> np.ndarray:
        """Return the numbers of an accessor, (count, items) float64; those that stand for shares are in [-1, 1]."""
        accessor = self._json["accessors"][index]
        kind, items = np.dtype(_NUMBERS[accessor["componentType"]]), _ITEMS[accessor["type"]]
        view = self._json["bufferViews"][accessor["bufferView"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        stride = view.get("byteStride", kind.itemsize * items)
        shape, strides = (accessor["count"], items), (stride, kind.itemsize)
        values = np.ndarray(shape, kind, self._buffers[view["buffer"]], start, strides).astype(float)
        return values / np.iinfo(kind).max if accessor.get("normalized") else values

    def _part(self, node: int, skin: int | None, primitive: dict[str, Any]) -> Part:
        given = {name: self._numbers(index) for name, index in primitive["attributes"].items()}
        places = given["POSITION"]
        count = len(places)
        order = self._numbers(primitive["indices"])[:, 0] if "indices" in primitive else np.arange(count)
        faces = order.astype(np.int32).reshape(-1, 3)
        material = self._json.get("materials", [{}])[primitive.get("material", 0)] if "material" in primitive else {}
        surface = material.get("pbrMetallicRoughness", {})
        tint = np.ones((count, 4))
        if "COLOR_0" in given:
            tint[:, : given["COLOR_0"].shape[1]] = given["COLOR_0"]
        masked = material.get("alphaMode", "OPAQUE") != "OPAQUE"
        return Part(
            node=node,
            skin=skin,
            places=places,
            normals=given["NORMAL"] if "NORMAL" in given else _normals(places, faces),
            at=given.get("TEXCOORD_0", np.zeros((count, 2))),
            tint=tint * surface.get("baseColorFactor", (1, 1, 1, 1)),
            faces=faces,
            joints=given.get("JOINTS_0", np.zeros((count, 0))).astype(int),
            weights=given.get("WEIGHTS_0", np.zeros((count, 0))),
            morphs=np.array([self._numbers(target["POSITION"]) for target in primitive.get("targets", ())]),
            picture=self._picture(surface.get("baseColorTexture")),
            least=material.get("alphaCutoff", 0.5) if masked else 0.0,
        )

    def _picture(self, texture: dict[str, Any] | None) -> Image.Image:
        if texture is None:
            return Image.new("RGBA", (1, 1), (255, 255, 255, 255))
        source = self._json["images"][self._json["textures"][texture["index"]]["source"]]
        if "bufferView" in source:
            view = self._json["bufferViews"][source["bufferView"]]
            start = view.get("byteOffset", 0)
            data = self._buffers[view["buffer"]][start : start + view["byteLength"]]
        else:
            data = self._bytes_of(source)
        return Image.open(BytesIO(data)).convert("RGBA")

    def _channel(
        self, animation: dict[str, Any], channel: dict[str, Any]
    ) -> tuple[int, str, np.ndarray, np.ndarray, str]:
        sampler, target = animation["samplers"][channel["sampler"]], channel["target"]
        times, values = self._numbers(sampler["input"])[:, 0], self._numbers(sampler["output"])
        kind = sampler.get("interpolation", "LINEAR")
        values = values.reshape(len(times), -1) if target["path"] == "weights" else values
        if kind == "CUBICSPLINE":  # tangents stand beside each value; the curve is followed by lines
            values = values.reshape(len(times), 3, -1)[:, 1]
        return target["node"], target["path"], times, values, kind

    def length(self, animation: str) -> float:
        """Return how long an animation is, in seconds."""
        return max(float(times[-1]) for _, _, times, _, _ in self.animations[animation])

    def pose(self, animation: str, time: float) -> Pose:
        """Return places and normals of each part in the world, at a time of an animation."""
        states = [
            {
                "translation": node.get("translation", (0, 0, 0)),
                "rotation": node.get("rotation", (0, 0, 0, 1)),
                "scale": node.get("scale", (1, 1, 1)),
                "weights": node.get("weights", ()),
            }
            for node in self._nodes
        ]
        moved = set()
        for node, path, times, values, kind in self.animations[animation]:
            states[node][path] = _sample(times, values, time, kind, turns=path == "rotation")
            moved.add(node)
        known: dict[int, np.ndarray] = {}

        def world(node: int) -> np.ndarray:
            if node not in known:
                fixed = self._nodes[node].get("matrix")
                still = fixed is not None and node not in moved
                own = np.array(fixed, float).reshape(4, 4).T if still else _matrix(**states[node])
                known[node] = world(self.parents[node]) @ own if node in self.parents else own
            return known[node]

        return [self._posed(part, world, states[part.node]["weights"]) for part in self.parts]

    def _posed(self, part: Part, world: Any, weights: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        places = part.places
        if len(part.morphs) and len(weights):
            places = places + np.tensordot(np.asarray(weights)[: len(part.morphs)], part.morphs, 1)
        if part.skin is None or not part.joints.shape[1]:
            matrices = np.broadcast_to(world(part.node), (len(places), 4, 4))
        else:
            joints, inverse = self.skins[part.skin]
            bones = np.stack([world(joint) for joint in joints]) @ inverse
            matrices = np.einsum("nk,nkij->nij", part.weights, bones[part.joints])
        moved = np.einsum("nij,nj->ni", matrices[:, :3, :3], places) + matrices[:, :3, 3]
        normals = np.einsum("nij,nj->ni", matrices[:, :3, :3], part.normals)
        return moved, normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)


def _normals(places: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return the mean normal of the triangles around each place."""
    a, b, c = (places[faces[:, i]] for i in range(3))
    normals = np.zeros_like(places)
    for i in range(3):
        np.add.at(normals, faces[:, i], np.cross(b - a, c - a))
    return normals


def _sample(times: np.ndarray, values: np.ndarray, time: float, kind: str, turns: bool) -> np.ndarray:
    after = int(np.clip(np.searchsorted(times, time, side="right"), 1, max(len(times) - 1, 1)))
    if len(times) == 1:
        return values[0]
    share = float(np.clip((time - times[after - 1]) / max(times[after] - times[after - 1], 1e-9), 0, 1))
    first, second = values[after - 1], values[after]
    if kind == "STEP":
        return first if share < 1 else second
    if turns and first @ second < 0:  # the shorter way round
        second = -second
    mixed = first + share * (second - first)
    return mixed / np.linalg.norm(mixed) if turns else mixed


def _matrix(translation: Any, rotation: Any, scale: Any, weights: Any = ()) -> np.ndarray:
    x, y, z, w = rotation
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= np.asarray(scale, float)
    matrix[:3, 3] = translation
    return matrix


def camera_of(middle: np.ndarray, distance: float, around: float, above: float, roll: float, view: float) -> np.ndarray:
    """Return the matrix from the world to what is seen; angles in radians, `view` is that of the whole frame."""
    towards = np.array([np.sin(around) * np.cos(above), np.sin(above), np.cos(around) * np.cos(above)])
    right = np.cross([0.0, 1.0, 0.0], towards)
    right /= np.linalg.norm(right)
    up = np.cross(towards, right)
    right, up = np.cos(roll) * right + np.sin(roll) * up, np.cos(roll) * up - np.sin(roll) * right
    look = np.eye(4)
    look[:3, :3] = right, up, towards
    look[:3, 3] = -look[:3, :3] @ (middle + distance * towards)
    near, far, zoom = distance / 50, distance * 50, 1 / np.tan(view / 2)
    lens = np.zeros((4, 4))
    lens[0, 0] = lens[1, 1] = zoom
    lens[2, 2:] = (far + near) / (near - far), 2 * far * near / (near - far)
    lens[3, 2] = -1
    return lens @ look


def extent(camera: np.ndarray, places: np.ndarray) -> float:
    """Return how far places reach from the middle of the frame; 1 is its edge."""
    seen = np.c_[places, np.ones(len(places))] @ camera.T
    return float(np.abs(seen[:, :2] / np.maximum(seen[:, 3:], 1e-6)).max())


class Painter:
    """Draws parts with a graphics card, or Mesa in its place."""

    def __init__(self, size: int) -> None:
        try:
            gl: Any = import_module("moderngl")
            self.context = gl.create_context(standalone=True, backend="egl")
        except Exception as error:  # of a driver anything may come
            raise PackageRefusal(
                f"models are drawn with moderngl and EGL, which do not work here ({error})",
                remedy="pip install 'voin[sprites]', and apt-get install libegl1 libgl1-mesa-dri",
            ) from error
        self.size, over = size, (size * _OVER,) * 2
        self.screen = self.context.texture(over, 4)
        self.frame = self.context.framebuffer([self.screen], self.context.depth_renderbuffer(over))
        self.program = self.context.program(_VERTEX, _FRAGMENT)
        self.context.enable(gl.DEPTH_TEST)
        self.textures: dict[int, Any] = {}

    def paint(
        self, parts: Sequence[Part], posed: Sequence[Any], camera: np.ndarray, light: dict[str, Any]
    ) -> np.ndarray:
        """Return the picture, (size, size, 4) uint8: colours, spread past their edge, and how much is covered."""
        self.frame.use()
        self.frame.clear(0, 0, 0, 0)
        for name, value in light.items():
            self.program[name].value = tuple(map(float, value))
        self.program["camera"].write(camera.T.astype("f4").tobytes())
        for part, (places, normals) in zip(parts, posed, strict=True):
            self._texture(part).use(0)
            self.program["least"].value = part.least
            data = np.concatenate([places, normals, part.at, part.tint], axis=1).astype("f4")
            vertices, faces = self.context.buffer(data.tobytes()), self.context.buffer(part.faces.tobytes())
            layout = (vertices, "3f 3f 2f 4f", "place", "normal", "at", "tint")
            drawn = self.context.vertex_array(self.program, [layout], faces)
            drawn.render()
            for used in (drawn, vertices, faces):
                used.release()
        side = self.size
        samples = np.frombuffer(self.screen.read(), np.uint8).reshape(side, _OVER, side, _OVER, 4)[::-1, ::-1]
        sums = samples.astype(np.float32).sum(axis=(1, 3))
        covered = sums[..., 3] / 255
        colours = sums[..., :3] / np.maximum(covered, 1)[..., None]
        alpha = covered / _OVER**2 * 255
        return np.dstack([_spread(colours, covered > 0), alpha]).round().astype(np.uint8)

    def _texture(self, part: Part) -> Any:
        if id(part) not in self.textures:
            texture = self.context.texture(part.picture.size, 4, part.picture.tobytes())
            texture.build_mipmaps()
            self.textures[id(part)] = texture
        return self.textures[id(part)]


def _spread(colours: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Give what is not covered the colour of the nearest pixel that is, so that resampling mixes nothing else in."""
    if not inside.any():
        return colours
    outside = (~inside).astype(np.uint8)
    found = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    labels = np.asarray(found, np.int64)
    nearest = np.zeros((int(labels.max()) + 1, 3), np.float32)
    nearest[labels[inside]] = colours[inside]
    return nearest[labels]


def render(model: Model, painter: Painter, draw: random.Random, frames: int) -> tuple[str, list[np.ndarray]]:
    """Render a clip; return the name of its animation and its frames, RGBA."""
    animation = draw.choice(sorted(model.animations))
    length = model.length(animation)
    step, start = draw.uniform(0.6, 1.5) / 24, draw.uniform(0, length)
    # Played in rounds, as walking and running are.
    poses = [model.pose(animation, (start + i * step) % max(length, 1e-6)) for i in range(frames)]
    every = np.concatenate([places for posed in poses for places, _ in posed])
    middle = (every.min(axis=0) + every.max(axis=0)) / 2
    view, above, roll = np.radians(draw.uniform(18, 55)), np.radians(draw.uniform(-5, 30)), draw.gauss(0, 0.03)
    around, turning = draw.uniform(0, 2 * np.pi), draw.gauss(0, 0.3) / frames
    distance = float(np.linalg.norm(every - middle, axis=1).max()) / np.sin(view / 2) * 1.5
    for _ in range(4):  # until the model fills the frame as it should
        reach = max(
            extent(camera_of(middle, distance, around + turning * i, above, roll, view), places)
            for i in range(0, frames, 3)
            for places, _ in poses[i]
        )
        distance *= reach / _FILL
    sun, strength = np.array([draw.gauss(0, 1), draw.uniform(0.3, 1.5), draw.gauss(0, 1)]), draw.uniform(0.5, 1.1)
    warm = draw.uniform(-0.12, 0.15)
    light = {
        "sun": sun / np.linalg.norm(sun),
        "sunlight": np.array([1 + warm, 1, 1 - warm]) * draw.uniform(0.4, 1.4) * strength,
        "sky": np.array([0.5, 0.55, 0.62]) * draw.uniform(0.7, 1.4) * strength,
        "ground": np.array([0.33, 0.3, 0.26]) * draw.uniform(0.6, 1.4) * strength,
    }
    pictures = []
    for i, posed in enumerate(poses):
        camera = camera_of(middle, distance, around + turning * i, above, roll, view)
        pictures.append(painter.paint(model.parts, posed, camera, light))
    return animation, pictures


def main() -> None:
    """Render clips of models, in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL", help=".gltf or .glb")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the sprites")
    parser.add_argument("--clips", type=int, default=20, help="in all")
    parser.add_argument("--frames", type=int, default=24, help="of a clip")
    parser.add_argument("--size", type=int, default=192, help="side of the frames, pixels")
    parser.add_argument("--seed", type=int, default=0, help="of the first clip; the next ones have the next numbers")
    options = parser.parse_args()
    models = [Model(path) for path in options.models]
    painter = Painter(options.size)
    for number in range(options.clips):
        model, seed = models[number % len(models)], options.seed + number
        animation, frames = render(model, painter, random.Random(seed), options.frames)
        folder = options.output / f"{model.path.stem}-{animation}-{seed:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        for i, frame in enumerate(frames):
            write_image(folder / f"{i:05d}.png", frame)
        print(folder)


if __name__ == "__main__":
    try:
        with report_errors():
            main()
    except typer.Exit as done:
        sys.exit(done.exit_code)
