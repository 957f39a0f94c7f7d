"""What passes in front of an object: silhouettes of other objects, free-form strokes, and blobs, with their pixels.

A shape lives in a square of its own, x and y in [-1, 1]. The paper says "object-like occlusion patterns", "occluder
movements and shape deformations" (4.1), and free-form masks (its refs [25, 1], random thick polylines that move).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal

Kind = Literal["object", "strokes", "blob"]
Numbers = Float[Tensor, "b numbers"]  # uniform in [0, 1), float64, on the CPU

STROKES, CORNERS, WAVES = 3, 5, 4  # most strokes, corners of each, waves of a blob's outline
COARSE, FINE = 5, 21  # sides of the grids of colour noise
DRAWN_NUMBERS = STROKES * (3 * CORNERS + 1) + 2 * WAVES + 8
SHAPE_NUMBERS = DRAWN_NUMBERS + 3 * COARSE**2 + 4 * FINE**2 + 16


@dataclass(frozen=True)
class Material:
    """What object-like occluders are made of, in [0, 1]: windows of other objects as those move; one donor per clip.

    A donor of another number of frames than the clip is played to and fro; one without any object makes its clip a
    stroke or a blob.
    """

    frames: Float[Tensor, "b t 3 s s"]
    masks: Float[Tensor, "b t 1 s s"]

    def __post_init__(self) -> None:
        if self.frames.shape[:2] != self.masks.shape[:2] or self.frames.shape[-2:] != self.masks.shape[-2:]:
            what = f"material has frames {tuple(self.frames.shape)} and masks {tuple(self.masks.shape)}"
            raise ValueRefusal(what, "b, t and s must be the same", "cut both with the same windows")


@dataclass(frozen=True)
class ShapeConfig(Checked):
    """How strokes and blobs are drawn; lengths are in the shape's own square, which is 2 wide."""

    size: int = setting(128, "Side of the picture that strokes and blobs are drawn in.", unit="pixels", least=16)
    thickness: tuple[float, float] = setting((0.13, 0.28), "Least and most half thickness of a stroke.", above=0)
    step: tuple[float, float] = setting((0.3, 0.7), "Least and most length of a stroke between two corners.")
    turn: float = setting(1.3, "Most change of direction at a corner.", unit="radians")
    roughness: float = setting(0.3, "How far a blob's outline departs from an ellipse, over its radius.")
    # The others have pixels of the material, or noise where there is none.
    noise: float = setting(0.35, "Share of strokes and blobs with smooth colour noise.", least=0)
    flat: float = setting(0.2, "Share of them with one shaded colour.", least=0)

    def check(self) -> None:  # noqa: D102
        if self.thickness[0] > self.thickness[1]:
            raise ValueRefusal(f"thickness is {self.thickness}", "it must be least <= most", "use (0.13, 0.28)")
        if self.noise + self.flat > 1:
            raise ValueRefusal(
                f"noise and flat are {self.noise}, {self.flat}", "shares must add up to at most 1", "use less"
            )


@dataclass(frozen=True)
class Shapes:
    """Shapes of a batch, in their own squares; all but the pictures on the CPU, float64.

    Attributes:
        pictures: colours times alpha, and alpha, in [0, 1]; n is 1 for shapes without a motion of their own, else t.
        centre: x y of the middle of the shape's box, in [-1, 1].
        half: half the width and height of its box, in [0, 1].
        mirrored: whether the shape is shown with left and right exchanged.
    """

    pictures: Float[Tensor, "b n 4 s s"]
    centre: Float[Tensor, "b 2"]
    half: Float[Tensor, "b 2"]
    mirrored: Bool[Tensor, " b"]


def usable(material: Material | None, count: int) -> Bool[Tensor, " b"]:
    """Return which clips of a batch of `count` have a donor with an object, (b,) on the CPU."""
    if material is None:
        return torch.zeros(count, dtype=torch.bool)
    return _areas(material).gt(0).any(dim=1)


def _areas(material: Material) -> Int[Tensor, "b t"]:
    return (material.masks > 0.5).flatten(2).view(torch.uint8).sum(dim=2, dtype=torch.int32).cpu()


def shapes_of_objects(material: Material, count: int, numbers: Numbers) -> Shapes:
    """Make the donors' silhouettes shapes of `count` frames, half of them mirrored.

    Frames in which less than a third of the donor is seen repeat the nearest frame with more of it, so that it
    neither vanishes nor pops up.
    """
    areas = _areas(material)
    shown = areas > areas.amax(dim=1, keepdim=True) / 3
    length = areas.shape[1]
    to_and_fro = torch.arange(count) % max(2 * length - 2, 1)
    at = torch.where(to_and_fro < length, to_and_fro, 2 * length - 2 - to_and_fro)
    distance = (at[:, None] - torch.arange(length)).abs()  # (count, length)
    nearest = torch.where(shown[:, None], distance, 2 * length).argmin(dim=2).to(material.frames.device)
    clip = torch.arange(len(areas), device=nearest.device)[:, None]
    alpha = material.masks[clip, nearest] > 0.5
    pictures = material.frames.new_empty(*alpha.shape[:2], 4, *alpha.shape[3:])
    pictures[:, :, 3:] = alpha
    pictures[:, :, :3] = material.frames[clip, nearest].mul_(pictures[:, :, 3:])
    return Shapes(pictures, *_boxes(alpha[:, :, 0]), mirrored=numbers[:, 0] < 0.5)


def draw_shapes(
    kinds: Sequence[Kind], material: Material | None, numbers: Numbers, config: ShapeConfig, device: torch.device
) -> Shapes:
    """Draw a free-form stroke or a blob for each clip, and colour it."""
    drawn, rest = numbers.to(device, torch.float32).tensor_split([DRAWN_NUMBERS], dim=1)
    lines = (torch.arange(config.size, device=device) + 0.5) * 2 / config.size - 1
    y, x = torch.meshgrid(lines, lines, indexing="ij")
    strokes = torch.tensor([kind == "strokes" for kind in kinds], device=device)
    outside = torch.where(
        strokes[:, None, None], _stroke_distance(x, y, drawn, config), _blob_distance(x, y, drawn, config)
    )
    # A ramp two pixels wide, so that the outline stays smooth when it is looked up between pixels.
    alpha = (0.5 - outside * config.size / 4).clamp(0, 1)
    colours = _texture(rest, material, config)
    pictures = torch.cat([colours * alpha[:, None], alpha[:, None]], dim=1)[:, None]
    return Shapes(pictures, *_boxes(alpha[:, None] > 0.5), mirrored=torch.zeros(len(alpha), dtype=torch.bool))


def _boxes(inside: Bool[Tensor, "b n s s"]) -> tuple[Float[Tensor, "b 2"], Float[Tensor, "b 2"]]:
    """Return centre and half size of the box around each shape, the mean over its frames."""
    size = inside.shape[-1]
    ends = []
    for axis in (-2, -1):  # columns in which there is something, then rows
        line = inside.view(torch.uint8).amax(dim=axis).cpu()
        first, last = line.argmax(dim=-1), size - line.flip(-1).argmax(dim=-1)
        ends.append(torch.stack([first, last]).double() * 2 / size - 1)
    low, high = (torch.stack([ends[0][i], ends[1][i]], dim=-1) for i in range(2))  # (b, n, 2)
    # Rounded, so that the order in which means are summed is not seen.
    centre, half = (low + high).mean(dim=1) / 2, (high - low).mean(dim=1) / 2
    return (centre * 4096).round() / 4096, ((half * 4096).round() / 4096).clamp(min=0.05)


def between(number: Tensor, low: float, high: float) -> Tensor:
    """Spread numbers in [0, 1) over a range."""
    return low + (high - low) * number


def _stroke_distance(x: Tensor, y: Tensor, numbers: Tensor, config: ShapeConfig) -> Float[Tensor, "b s s"]:
    """Return the distance to the nearest stroke's edge, negative inside it."""
    used = STROKES * (3 * CORNERS + 1)
    walk = numbers[:, :used].reshape(-1, STROKES, 3 * CORNERS + 1)
    heading = 6.2831853 * walk[:, :, 0]
    # The strokes start near each other, or they would be several things.
    corner = 0.5 * walk[:, :, 1:3] - 0.25
    thickness = between(walk[:, :, 3], *config.thickness)
    count = 1 + (numbers[:, used] * STROKES).floor()
    nearest = torch.full((len(numbers), *x.shape), 9.0, device=x.device)
    for step in range(CORNERS - 1):
        turn, length = walk[:, :, 4 + 2 * step], walk[:, :, 5 + 2 * step]
        heading = heading + between(turn, -config.turn, config.turn)
        reach = between(length, *config.step)[..., None]
        after = (corner + reach * torch.stack([heading.cos(), heading.sin()], dim=-1)).clamp(-0.68, 0.68)
        for stroke in range(STROKES):
            distance = _segment_distance(x, y, corner[:, stroke], after[:, stroke]) - thickness[:, stroke, None, None]
            drawn = (stroke < count)[:, None, None]
            nearest = torch.where(drawn, torch.minimum(nearest, distance), nearest)
        corner = after
    return nearest


def _segment_distance(x: Tensor, y: Tensor, start: Tensor, end: Tensor) -> Float[Tensor, "b s s"]:
    x0, y0 = (start[:, i, None, None] for i in range(2))
    dx, dy = ((end - start)[:, i, None, None] for i in range(2))
    along = (((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy + 1e-6)).clamp(0, 1)
    return ((x - x0 - along * dx) ** 2 + (y - y0 - along * dy) ** 2).sqrt()


def _blob_distance(x: Tensor, y: Tensor, numbers: Tensor, config: ShapeConfig) -> Float[Tensor, "b s s"]:
    """Return roughly what `_stroke_distance` does, for a smooth closed outline."""
    numbers = numbers[:, -(2 * WAVES + 7) :]
    wide = between(numbers[:, 0], 0.45, 1.0)[:, None, None]
    x, y = x / wide, y.expand(len(numbers), -1, -1)
    radius = (x * x + y * y).sqrt() + 1e-6
    cos, sin = x / radius, y / radius
    outline = torch.ones_like(radius)
    # cos and sin of k times the angle by turning once more by it each time: no call of atan2.
    turned_cos, turned_sin = cos, sin
    for wave in range(WAVES):
        turned_cos, turned_sin = turned_cos * cos - turned_sin * sin, turned_sin * cos + turned_cos * sin
        a, b = (2 * numbers[:, 2 * wave + i + 1, None, None] - 1 for i in range(2))
        outline = outline + config.roughness * 2 / (wave + 2) * (a * turned_cos + b * turned_sin)
    return (radius - 0.55 * outline.clamp(0.35, 1.6)) * wide


def _texture(numbers: Tensor, material: Material | None, config: ShapeConfig) -> Float[Tensor, "b 3 s s"]:
    """Colour each shape: smooth noise, one shaded colour, or the material's pixels."""
    b, size = len(numbers), config.size
    style, contrast, base = numbers[:, 0], between(numbers[:, 1], 0.15, 0.6), 0.1 + 0.8 * numbers[:, 2:5]
    # Things are rarely of pure colours.
    base = 0.5 * base + 0.5 * base[:, :1]
    coarse = numbers[:, 5 : 5 + 3 * COARSE**2].reshape(b, 3, COARSE, COARSE) - 0.5
    fine = numbers[:, 5 + 3 * COARSE**2 :][:, : 4 * FINE**2].reshape(b, 4, FINE, FINE) - 0.5
    coarse, fine = _spread(coarse, size), _spread(fine, size)
    strength = contrast[:, None, None, None]
    # Both are mostly shared by the three colours, as light and shade are.
    detail = 0.8 * fine[:, 3:] + 0.2 * fine[:, :3]
    shade = coarse[:, :1] + 0.4 * coarse
    noise = base[:, :, None, None] + strength * (shade + 0.8 * detail)
    flat = base[:, :, None, None] + 0.15 * coarse[:, :1] + 0.05 * detail
    style = style[:, None, None, None]
    result = torch.where(style < config.flat, flat, noise)
    if material is not None:
        frames = material.frames[:, material.frames.shape[1] // 2].to(result)
        # By `grid_sample`, as all that is looked up here: `interpolate` rounds otherwise with more threads.
        lines = (torch.arange(size, device=frames.device, dtype=frames.dtype) + 0.5) * 2 / size - 1
        grid = torch.stack(torch.meshgrid(lines, lines, indexing="xy"), dim=-1).expand(b, -1, -1, -1)
        pixels = F.grid_sample(frames, grid, padding_mode="border", align_corners=False)
        result = torch.where(style >= config.flat + config.noise, pixels, result)
    return result.clamp(0, 1)


def _spread(grid: Float[Tensor, "b c n n"], size: int) -> Float[Tensor, "b c s s"]:
    """Interpolate a grid smoothly; its first and last values lie on the picture's edges.

    Written as sums of products, whose rounding depends on nothing else.
    """
    n = grid.shape[-1]
    at = torch.linspace(0, n - 1, size, dtype=torch.float64)
    near = (1 - (at - torch.arange(n)[:, None]).abs()).clamp(min=0)  # (n, size)
    weight = (near * near * (3 - 2 * near)).to(grid)
    wide = weight[0] * grid[..., 0, None]  # (b, c, n, size)
    for i in range(1, n):
        wide = wide + weight[i] * grid[..., i, None]
    full = weight[0][:, None] * wide[..., 0, None, :]
    for i in range(1, n):
        full = full + weight[i][:, None] * wide[..., i, None, :]
    return full
