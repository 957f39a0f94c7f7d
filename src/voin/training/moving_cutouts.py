"""Set photographed objects in motion before a background that moves otherwise: the amodal mask and the flow are exact.

    picture of the object  --sways, turns, tilts, grows-->  window  <--pans, zooms--  picture of the background

Not in the paper: real clips of whole objects are scarce, and no real clip has exact flow. Deformations are shears along
waves, whose inverse is as simple as they are, so that flow needs no search.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from voin.core.config import Checked, setting
from voin.core.types import Flows, Frames, Masks
from voin.training.augment import Numbers, Offsets, check_span, sway

Points = Float[Tensor, "b n h w 2"]  # x y; [-1, 1] is from edge to edge of a square picture
Planes = Float[Tensor, "b t 3 3"]  # homographies, float64, on the CPU

_SHEARS = 4
OBJECT_NUMBERS, _BACKGROUND_NUMBERS = 25 + 5 * _SHEARS, 14
MOVE_NUMBERS = OBJECT_NUMBERS + _BACKGROUND_NUMBERS


@dataclass(frozen=True)
class MoveConfig(Checked):
    """How cutouts move; lengths are over the window's side."""

    scale: tuple[float, float] = setting((0.6, 0.85), "Least and most side of the cutout's picture.", above=0)
    stretch: float = setting(0.12, "Most change of its width against its height, share.", least=0, most=0.5)
    shift: float = setting(0.08, "Most way from the middle, for good; and as much again by motion.", least=0)
    turn: float = setting(0.2, "Most rotation, radians, for good; and as much again by motion.", least=0)
    grow: float = setting(0.12, "Most change of its size, and the background's, share.", least=0, most=0.5)
    tilt: float = setting(
        0.15, "Most perspective: how much nearer an edge is than the middle, share.", least=0, most=0.2
    )
    sway: float = setting(0.03, "Most way of a point by each of four waves of deformation.", least=0, most=0.05)
    zoom: tuple[float, float] = setting((0.6, 0.95), "Least and most side of the background's part.", above=0)
    pan: float = setting(0.06, "Most way of the background between two frames.", least=0)
    aside: float = setting(0.5, "Most way of the background's middle to the sides; a third up and down.", least=0)
    background_turn: float = setting(0.06, "Most rotation of the background, radians.", least=0)
    resting: float = setting(0.0, "Share that rests in the scene: what moves it is the camera.", least=0, most=1)

    def check(self) -> None:
        """Refuse spans that are none."""
        check_span("scale", self.scale, "(0.6, 0.85)")
        check_span("zoom", self.zoom, "(0.6, 0.95)")


@dataclass(frozen=True)
class Moved:
    """Clips of moving cutouts; masks are 0 or 1, and flow (pixels) is exactly that of what is seen."""

    frames: Frames
    amodal: Masks
    forward: Flows
    backward: Flows


@dataclass(frozen=True)
class Distractors:
    """Cutouts that pass behind the objects, by `offsets`; masks are 0 where a clip has none."""

    pictures: Float[Tensor, "b 3 s s"]
    masks: Float[Tensor, "b 1 s s"]
    numbers: Numbers
    offsets: Offsets


@torch.no_grad()
def move_cutouts(
    pictures: Float[Tensor, "b 3 s s"],
    masks: Float[Tensor, "b 1 s s"],
    backgrounds: Float[Tensor, "b 3 n n"],
    count: int,
    size: int,
    numbers: Numbers,
    config: MoveConfig = MoveConfig(),
    *,
    drift: Offsets | None = None,
    distractors: Distractors | None = None,
) -> Moved:
    """Set one cutout a clip in motion, over `count` frames of `size` pixels.

    Args:
        pictures: of the objects, in [0, 1]; what is around an object is not shown.
        masks: of the objects, in [0, 1].
        backgrounds: in [0, 1]; continued by their mirror images.
        count: of frames.
        size: their side.
        numbers: at least `MOVE_NUMBERS`, each clip's own.
        config: how far and how fast they move.
        drift: of the whole picture in its window.
        distractors: what passes between object and background.
    """
    device = pictures.device
    if drift is None:
        drift = torch.zeros(len(pictures), count, 2, dtype=torch.float64)
    ground = _background_layer(numbers[:, OBJECT_NUMBERS:MOVE_NUMBERS], count, config, drift, device)
    things = [(pictures, masks, _rest(_object_layer(numbers, count, config, drift, device), ground, numbers, config))]
    if distractors is not None:
        layer = _object_layer(distractors.numbers, count, config, drift + distractors.offsets, device)
        things.insert(0, (distractors.pictures, distractors.masks, layer))
    lines = (torch.arange(size, device=device) + 0.5) * 2 / size - 1
    grid = torch.stack(torch.meshgrid(lines, lines, indexing="xy"), dim=-1)  # h w 2
    points = grid.expand(len(pictures), count, -1, -1, -1)
    # From each frame to the next, and back.
    ways = ((slice(0, count - 1), slice(1, count)), (slice(1, count), slice(0, count - 1)))
    at = ground.find(points, slice(0, count))
    frames = _look_up(backgrounds, at, "reflection")
    inside = torch.zeros_like(frames[:, :, :1], dtype=torch.bool)
    moved = [ground.place(at[:, start], end) for start, end in ways]
    for picture, mask, layer in things:
        at = layer.find(points, slice(0, count))
        # Colours are weighted by the mask, so that nothing of the photo's own background is mixed in.
        found = _look_up(torch.cat([picture * mask, mask], dim=1), at, "zeros")
        alpha = found[:, :, 3:].clamp(0, 1)
        frames = found[:, :, :3] + (1 - alpha) * frames
        inside = alpha > 0.5
        moved = [
            torch.where(inside[:, start, 0, ..., None], layer.place(at[:, start], end), below)
            for (start, end), below in zip(ways, moved, strict=True)
        ]
    forward, backward = (((end - grid) * (size / 2)).permute(0, 1, 4, 2, 3) for end in moved)
    return Moved(frames.clamp(0, 1), inside.float(), forward, backward)


def _look_up(pictures: Float[Tensor, "b c s s"], at: Points, outside: str) -> Float[Tensor, "b n c h w"]:
    # All frames of a clip are one tall picture to look up.
    found = F.grid_sample(pictures, at.flatten(1, 2), padding_mode=outside, align_corners=False)
    return found.unflatten(2, (at.shape[1], -1)).transpose(1, 2)


@dataclass(frozen=True)
class _Layer:
    """How a picture lies in the window in each frame: deformed within itself by shears, then seen as a plane."""

    planes: Float[Tensor, "b t 3 3"]  # from the picture to the window
    inverse: Float[Tensor, "b t 3 3"]
    waves: Float[Tensor, "b k 2"]  # length (radians over half the picture) and phase of each shear
    heights: Float[Tensor, "b t k"]  # how far each shear moves

    def find(self, points: Points, frames: slice) -> Points:
        """Find the places in the picture that lie at `points` of the window in these frames."""
        at = _project(self.inverse[:, frames], points)
        return self._shear(at, frames, range(self.waves.shape[1]), 1)

    def place(self, points: Points, frames: slice) -> Points:
        """Place points of the picture in the window in these frames: the inverse of `find`."""
        at = self._shear(points, frames, range(self.waves.shape[1] - 1, -1, -1), -1)
        return _project(self.planes[:, frames], at)

    def _shear(self, points: Points, frames: slice, order: range, sign: int) -> Points:
        at = list(points.unbind(dim=-1))
        for k in order:
            length, phase = (self.waves[:, k, i, None, None, None] for i in range(2))
            height = sign * self.heights[:, frames, k, None, None]
            # In turns across and down.
            at[k % 2] = at[k % 2] + height * torch.sin(length * at[1 - k % 2] + phase)
        return torch.stack(at, dim=-1)


def _project(planes: Float[Tensor, "b n 3 3"], points: Points) -> Points:
    m = planes[:, :, None, None]
    x, y = points[..., 0], points[..., 1]
    across, down, depth = (m[..., i, 0] * x + m[..., i, 1] * y + m[..., i, 2] for i in range(3))
    # Far outside the picture, where nothing is looked at, a tilted plane would end.
    return torch.stack([across, down], dim=-1) / depth.clamp(min=0.1)[..., None]


def _object_layer(numbers: Numbers, count: int, config: MoveConfig, offsets: Offsets, device: torch.device) -> _Layer:
    u = numbers[:, :OBJECT_NUMBERS]
    still = 2 * u[:, :5] - 1
    moving = torch.stack([sway(u[:, 5 + i], u[:, 11 + i], count) for i in range(6)], dim=-1)  # b t 6
    moving = moving * u[:, 17:23][:, None]  # some move much, some little
    scale = config.scale[0] + (config.scale[1] - config.scale[0]) * u[:, 23:24]
    scale = scale * (1 + config.grow * moving[..., 0])  # b t
    wide = 1 + config.stretch * still[:, 3:4]
    mirror = torch.where(u[:, 24:25] < 0.5, -1.0, 1.0)
    angle = config.turn * (still[:, 2:3] + moving[..., 1])
    shift = 2 * config.shift * (still[:, None, :2] + moving[..., 2:4]) + 2 * offsets
    tilt = config.tilt * moving[..., 4:6]
    planes = _planes(scale * wide * mirror, scale / wide, angle, shift, tilt)
    waves = u[:, 25:].unflatten(1, (_SHEARS, 5))
    heights = torch.stack([sway(waves[:, k, 2], waves[:, k, 3], count) for k in range(_SHEARS)], dim=-1)
    heights = 2 * config.sway * waves[:, None, :, 4] * heights
    # Half a wave to one and a half from edge to edge.
    lengths = torch.stack([1.6 + 3.2 * waves[..., 0], 6.2831853 * waves[..., 1]], dim=-1)
    return _layer(planes, lengths, heights, device)


def _rest(layer: _Layer, ground: _Layer, numbers: Numbers, config: MoveConfig) -> _Layer:
    """Let some objects stay where they are on the ground, as they are in the middle of the clip."""
    if config.resting == 0:
        return layer
    # What is left of the number by which cutouts are mirrored.
    rests = ((2 * numbers[:, 24]) % 1 < config.resting).to(layer.planes.device)[:, None, None, None]
    middle = layer.planes.shape[1] // 2
    way = ground.planes @ ground.inverse[:, middle : middle + 1]  # in the window, from the middle of the clip
    planes = torch.where(rests, way @ layer.planes[:, middle : middle + 1], layer.planes)
    inverse = torch.where(rests, torch.linalg.inv(planes), layer.inverse)
    heights = torch.where(rests[..., 0], layer.heights[:, middle : middle + 1], layer.heights)
    return _Layer(planes, inverse / inverse[..., 2:, 2:], layer.waves, heights)


def _background_layer(u: Numbers, count: int, config: MoveConfig, offsets: Offsets, device: torch.device) -> _Layer:
    times = torch.arange(count) - (count - 1) / 2
    swing = torch.stack([sway(u[:, 9 + i], u[:, 11 + i], count) for i in range(2)], dim=-1)  # b t 2
    zoom = config.zoom[0] + (config.zoom[1] - config.zoom[0]) * u[:, 0:1]
    zoom = zoom * (1 + config.grow * u[:, 1:2] * swing[..., 0])
    mirror = torch.where(u[:, 2:3] < 0.5, -1.0, 1.0)
    angle = config.background_turn * ((2 * u[:, 3:4] - 1) + swing[..., 1]) / 2
    # Steady in the main; slow pans are more frequent than fast ones.
    speed = 2 * config.pan * (2 * u[:, 4:6] - 1) * u[:, 6:7]
    # Another part of the background each time: what stands in its middle is not to be always behind the object.
    shift = (2 * u[:, None, 7:9] - 1) * torch.tensor([2.0, 2 / 3]) * config.aside + speed[:, None] * times[:, None]
    shift = shift + 2 * offsets
    planes = _planes(mirror / zoom, 1 / zoom, angle, shift, torch.zeros_like(shift))
    none = torch.zeros(len(u), 0, 2, dtype=torch.float64), torch.zeros(len(u), count, 0, dtype=torch.float64)
    return _layer(planes, *none, device)


def _planes(wide: Tensor, high: Tensor, angle: Tensor, shift: Tensor, tilt: Tensor) -> Planes:
    """Build homographies from a picture to the window: scaled, tilted, turned, then shifted."""
    cos, sin = angle.cos(), angle.sin()
    first, second, one = tilt[..., 0], tilt[..., 1], torch.ones_like(angle)
    # The shift is added after the division by depth.
    rows = [
        [wide * cos + shift[..., 0] * first, -high * sin + shift[..., 0] * second, shift[..., 0]],
        [wide * sin + shift[..., 1] * first, high * cos + shift[..., 1] * second, shift[..., 1]],
        [first, second, one],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _layer(planes: Planes, waves: Tensor, heights: Tensor, device: torch.device) -> _Layer:
    inverse = torch.linalg.inv(planes)
    inverse = inverse / inverse[..., 2:, 2:]  # so that depth is positive
    return _Layer(*(each.to(device, torch.float32) for each in (planes, inverse, waves, heights)))
